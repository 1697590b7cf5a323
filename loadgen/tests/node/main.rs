//! The test node over real sockets: every behaviour, by flag, by query and by control call, on both drivers.

mod control;
mod faults;
mod process;
mod responses;
mod rig;
mod streams;
