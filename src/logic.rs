//! What decides, and never acts: no socket, no clock, no randomness, no thread, no runtime.
//!
//! `now` and random draws are arguments, so every decision can be tested, simulated and fuzzed by itself.

pub mod access;
pub mod balance;
pub mod client;
pub mod concurrency;
pub mod fault;
pub mod health;
pub mod hedge;
pub mod http1;
pub mod latency;
pub mod latency_scale;
pub mod limits;
pub mod log_filter;
pub mod message;
pub mod outlier;
pub mod path;
pub mod proxy_protocol;
pub mod queue;
pub mod rate_limit;
pub mod retry;
pub mod route;
pub mod scale;
pub mod slow_start;
pub mod tls;
pub mod udp;
