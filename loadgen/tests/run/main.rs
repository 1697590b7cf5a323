//! The real binary against real sockets: what it sends, what it counts, how it ends.

mod ends;
mod faults;
mod languages;
mod loops;
mod rig;
mod usage;
