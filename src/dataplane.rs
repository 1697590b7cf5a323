//! What moves bytes: one monoio runtime a core, which parses, routes, picks and relays, and waits for no other thread.

pub mod driver;
pub mod worker;

mod access;
mod buffers;
mod http_session;
mod listener;
mod parking;
mod queue;
mod socket;
mod splice;
mod stats;
mod timers;
mod upstream;
mod view;
