//! The admin server over real sockets, with workers that the tests play.

mod calls;
mod guard;
mod prometheus;
mod refusals;
mod rig;
mod slow;
mod token;
mod why;
mod writes;
