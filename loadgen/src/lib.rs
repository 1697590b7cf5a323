//! A load generator whose latency reports can be trusted.

pub mod dialogue;
pub mod engine;
pub mod fault;
pub mod node;
pub mod report;
pub mod result;
pub mod schedule;
pub mod template;
