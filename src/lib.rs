//! Plimsoll: an L4/L7 load balancer on io_uring, one thread a core.
//!
//! Three planes share one process, and meet only in [`shared`]:
//! the data plane moves bytes, the control plane knows the world, telemetry tells what happened.
//! `docs/architecture.md` draws the house; `docs/life-of-a-request.md` walks through it.

pub mod cli;
pub mod config;
pub mod control;
pub mod dataplane;
pub mod logic;
pub mod process;
pub mod shared;
pub mod telemetry;
