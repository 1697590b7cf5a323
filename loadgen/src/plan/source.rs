//! `--source`: whether the addresses are this machine's, and of the kind that the targets are reached with.

use std::net::{IpAddr, SocketAddr, TcpListener};

use crate::cli::RunArgs;
use crate::target::Place;

/// Refuses addresses from which nothing could be sent.
///
/// # Errors
/// Names the address, and what is wrong with it.
pub(super) fn check(args: &RunArgs, places: &[Place]) -> Result<(), String> {
    let Some(first) = args.source.first() else { return Ok(()) };
    if places.iter().any(|place| matches!(place, Place::Unix(_))) {
        return Err("--source is for TCP: a Unix socket has no addresses to send from".to_owned());
    }
    if let Some(other) = args.source.iter().find(|other| other.is_ipv4() != first.is_ipv4()) {
        return Err(format!(
            "--source {first},{other}: one is IPv4 and the other IPv6, and connections take turns"
        ));
    }
    for place in places {
        check_kind(*first, place)?;
    }
    args.source.iter().try_for_each(|source| check_ours(*source))
}

/// A name may have addresses of either kind; that is looked at when it is resolved.
fn check_kind(source: IpAddr, place: &Place) -> Result<(), String> {
    let Place::Tcp(host, _) = place else { return Ok(()) };
    match host.parse::<IpAddr>() {
        Ok(target) if target.is_ipv4() != source.is_ipv4() => Err(unreachable_from(source, host)),
        _ => Ok(()),
    }
}

/// The sentence for a host that has no address of the source's kind.
pub(super) fn unreachable_from(source: IpAddr, host: &str) -> String {
    let (own, other) = if source.is_ipv4() { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
    format!("--source {source}: from an {own} address the {other} address of `{host}` cannot be reached")
}

/// Binding tells, and what is bound to port 0 is in nobody's way.
fn check_ours(source: IpAddr) -> Result<(), String> {
    let bound = TcpListener::bind(SocketAddr::new(source, 0));
    bound.map(drop).map_err(|error| format!("--source {source}: this machine cannot send from it ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_of_the_targets_kind() {
        let place = |host: &str| Place::Tcp(host.to_owned(), 80);
        let (four, six) = ([127, 0, 0, 1].into(), "::1".parse::<IpAddr>().unwrap());
        assert!(
            check_kind(four, &place("127.0.0.1")).is_ok() && check_kind(six, &place("localhost")).is_ok()
        );
        assert!(check_kind(six, &place("127.0.0.1")).unwrap_err().contains("--source ::1"));
        assert!(check_kind(four, &place("::1")).unwrap_err().contains("--source 127.0.0.1"));
    }
}
