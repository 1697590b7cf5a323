//! File descriptors: a proxy needs two for each client that it serves.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Settings;
use crate::config::settings::Protocol;
use crate::logic::limits::RESERVED_FDS;

/// Raises the soft limit to the hard one, and says where that is not enough.
pub(super) fn prepare(settings: &Settings) -> Vec<String> {
    let limit = getrlimit(Resource::Nofile);
    // Descriptors above the soft limit break programs that use select(2); this one does not.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let Some(available) = getrlimit(Resource::Nofile).current else { return Vec::new() };
    let wanted: u64 = settings
        .listeners
        .iter()
        .filter_map(|listener| Some((listener.max_connections?, &listener.protocol)))
        // A session of a udp listener has no socket of its own on the client's side.
        .map(|(max, protocol)| max.get() as u64 * if matches!(protocol, Protocol::Udp(_)) { 1 } else { 2 })
        .sum();
    let needed = wanted + RESERVED_FDS;
    if wanted == 0 || needed <= available {
        return Vec::new();
    }
    vec![format!(
        "max_connections needs {needed} file descriptors (two for each connection), and the limit is {available}: \
         raise it (`ulimit -n {needed}`, or LimitNOFILE= in the systemd unit)"
    )]
}
