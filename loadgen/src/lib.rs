//! A load generator whose latency reports can be trusted.

pub mod node;
pub mod result;
