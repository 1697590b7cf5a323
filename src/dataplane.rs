//! What moves bytes: one monoio runtime a core, which parses, routes, picks and relays, and waits for no other thread.

pub mod driver;
pub mod worker;

mod access;
mod buffers;
mod datagrams;
mod descriptors;
mod first_bytes;
mod http_session;
mod listener;
mod parking;
mod proxied;
mod queue;
mod session_task;
mod socket;
mod splice;
mod stats;
mod tap;
mod tcp_session;
mod timers;
mod udp_session;
mod upstream;
mod view;
