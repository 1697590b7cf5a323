//! The limit of open files (`ulimit -n`). Every connection is one; where there are too few of them, requests fail
//! for a reason that is not the server's.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::engine::Failure;
use crate::plan::Plan;

/// What a process has open besides: the three streams, signals, libraries being read, report files.
const PROCESS: u64 = 24;
/// What a sending thread has open besides: its ring or epoll, its wake-up, the timer of each host twice.
const THREAD: u64 = 6;
/// Connections that were opened anew while the kernel has not closed the old one yet: of so many kept ones one.
const RENEWED: u64 = 8;

/// Raises the limit to what is allowed without asking anybody.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where that is refused, things are as they were.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// Whether a plan's connections can all be open at once.
///
/// # Errors
/// Says what it needs, what there is, and what to do.
pub fn check(plan: &Plan) -> Result<(), Failure> {
    let hosts = plan.places().len() as u64;
    let sources = !plan.args.source.is_empty();
    let connections = descriptors(u64::from(plan.connections), !plan.args.no_keepalive, sources);
    let need = connections + PROCESS + u64::from(plan.threads) * (THREAD + 2 * hosts);
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < need => Err(Failure(format!(
            "-c {} needs about {need} open files, and this process may have {limit} (`ulimit -Hn`): raise that \
             limit or ask for fewer connections",
            plan.connections
        ))),
        _ => Ok(()),
    }
}

/// Descriptors of so many connections. Where each request has its own, the last one of each may not be closed yet; and
/// one from an address of ours is held by a second descriptor while it is opened.
fn descriptors(connections: u64, keepalive: bool, sources: bool) -> u64 {
    let closing = if keepalive { connections / RENEWED } else { connections };
    let opening = if sources && !keepalive { connections } else { 0 };
    connections + closing + opening
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_connection_for_each_request_needs_more_files_than_a_kept_one() {
        assert_eq!(descriptors(80, true, true), 90);
        assert_eq!(descriptors(80, false, false), 160);
        assert_eq!(descriptors(80, false, true), 240);
    }
}
