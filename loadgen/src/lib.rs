//! A load generator whose latency reports can be trusted.

pub mod amount;
pub mod assemble;
pub mod cli;
pub mod console;
pub mod dialogue;
pub mod driver;
pub mod engine;
pub mod events;
pub mod fault;
pub mod gate;
pub mod honesty;
pub mod node;
pub mod open_files;
pub mod outfile;
pub mod plan;
pub mod report;
pub mod result;
pub mod run;
pub mod schedule;
pub mod secrets;
pub mod signals;
pub mod target;
pub mod template;
