//! A load generator whose latency reports can be trusted.

pub mod result;
pub mod schedule;
