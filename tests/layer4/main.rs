//! The real binary before nodes that speak no HTTP: raw sockets on both sides, on both I/O drivers. Waits for conditions,
//! never for a while.

#[path = "../harness/harness.rs"]
mod harness;

mod bulk;
mod datagrams;
mod dns;
mod endings;
mod nodes;
mod rig;
mod trouble;
mod udp;

/// Cases that are not run, by name, each with its reason.
const SKIPS: &[(&str, &str)] = &[];

/// Runs a case on each driver that this machine has.
macro_rules! on_both_drivers {
    ($($case:ident),+ $(,)?) => {$(
        mod $case {
            use crate::harness::balancer::Driver;

            #[test]
            fn io_uring() {
                match Driver::IoUring.unavailable() {
                    Some(reason) => eprintln!("skipped: {reason}"),
                    None => super::$case(Driver::IoUring),
                }
            }

            #[test]
            fn epoll() {
                super::$case(Driver::Epoll);
            }
        }
    )+};
}
pub(crate) use on_both_drivers;
