//! What decides, and never acts: no socket, no clock, no randomness, no thread, no runtime.
//!
//! `now` and random draws are arguments, so every decision can be tested, simulated and fuzzed by itself.

pub mod access;
pub mod balance;
pub mod fault;
pub mod http1;
pub mod limits;
pub mod message;
pub mod path;
pub mod route;
pub mod scale;
