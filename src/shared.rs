//! What crosses threads: published settings and nodes, exact counters, reports, commands.

pub mod adaptive;
pub mod budget;
pub mod child;
pub mod clock;
pub mod conduct;
pub mod event;
pub mod log_channel;
pub mod log_tap;
pub mod mailbox;
pub mod memory;
pub mod node;
pub mod order;
pub mod queue;
pub mod rate_table;
pub mod reload;
pub mod report;
pub mod roster;
pub mod route_gate;
pub mod run_state;
pub mod scaling;
pub mod snapshot;
