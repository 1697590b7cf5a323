//! The PROXY protocol, versions 1 and 2: what stands before a connection's first byte and says whose it is.
//!
//! Source: "The PROXY protocol", HAProxy, revision of 2020-03-05, sections 2.1 (text) and 2.2 (binary).
//! Hostile input is cut off early: the first byte that fits neither version ends the reading, and a header has at most
//! [`PROXY_HEADER_BYTES_MAX`] bytes. What its TLVs say is passed over.

mod binary;
mod text;

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use super::fault::Fault;
use super::limits::PROXY_HEADER_BYTES_MAX;

/// Which of the two a header is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One line of text.
    V1,
    /// Binary.
    V2,
}

/// The two ends of a connection as the client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub source: SocketAddr,
    /// What it connected to.
    pub destination: SocketAddr,
}

/// A header that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its length; what follows is the client's.
    pub bytes: usize,
    /// Whose connection it is. `None`: that of the peer itself (a check of its own, say), or of one without an address.
    pub ends: Option<Ends>,
}

/// Reads the header at the beginning of `bytes`; `None` while it is not whole.
///
/// # Errors
/// [`Fault::BadProxyHeader`] as soon as no more bytes could make it one.
pub fn read(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let header = match bytes.first() {
        None => None,
        Some(b'P') => text::read(bytes)?,
        Some(_) => binary::read(bytes)?,
    };
    match header {
        None if bytes.len() >= PROXY_HEADER_BYTES_MAX => Err(Fault::BadProxyHeader),
        header => Ok(header),
    }
}

/// Appends a header for a connection with these ends; `None` is one whose client has no address.
pub fn write(version: Version, ends: Option<Ends>, out: &mut Vec<u8>) {
    let ends = ends.map(of_one_family);
    match version {
        Version::V1 => text::write(ends, out),
        Version::V2 => binary::write(ends, out),
    }
}

/// Appends the header of a connection that is nobody's but ours: a probe.
pub fn write_own(version: Version, out: &mut Vec<u8>) {
    match version {
        Version::V1 => text::write(None, out),
        Version::V2 => binary::write_own(out),
    }
}

/// A header names one family. An IPv4 client of a dual-stack listener is one of IPv4; where the two ends differ for good,
/// the one of IPv4 is mapped into IPv6 (RFC 4291, 2.5.5.2).
fn of_one_family(ends: Ends) -> Ends {
    let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    let Ends { source, destination } =
        Ends { source: plain(ends.source), destination: plain(ends.destination) };
    if source.is_ipv4() == destination.is_ipv4() {
        return Ends { source, destination };
    }
    Ends { source: mapped(source), destination: mapped(destination) }
}

fn mapped(end: SocketAddr) -> SocketAddr {
    match end.ip() {
        IpAddr::V4(ip) => SocketAddrV6::new(ip.to_ipv6_mapped(), end.port(), 0, 0).into(),
        IpAddr::V6(_) => end,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ends(source: &str, destination: &str) -> Ends {
        Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    fn written(version: Version, ends: Option<Ends>) -> Vec<u8> {
        let mut out = Vec::new();
        write(version, ends, &mut out);
        out
    }

    const BOTH: [Version; 2] = [Version::V1, Version::V2];

    #[test]
    fn what_is_written_is_read_and_every_cut_of_it_is_a_part() {
        let cases = [
            Some(ends("192.0.2.1:5000", "198.51.100.7:443")),
            Some(ends("[2001:db8::1]:65535", "[2001:db8::ffff]:1")),
            None,
        ];
        for (version, case) in BOTH.into_iter().flat_map(|version| cases.map(|case| (version, case))) {
            let header = written(version, case);
            for end in 0..header.len() {
                assert_eq!(read(&header[..end]), Ok(None), "{version:?} {case:?} cut at {end}");
            }
            let whole = Header { bytes: header.len(), ends: case };
            assert_eq!(read(&header), Ok(Some(whole)));
            // What follows is not its business.
            let more = [&header[..], b"\r\nPROXY"].concat();
            assert_eq!(read(&more), Ok(Some(whole)));
        }
    }

    #[test]
    fn a_header_names_one_family() {
        let dual = ends("[::ffff:192.0.2.1]:5000", "[::ffff:198.51.100.7]:443");
        let plain = ends("192.0.2.1:5000", "198.51.100.7:443");
        let mixed = ends("192.0.2.1:5000", "[2001:db8::1]:443");
        let both_six = ends("[::ffff:192.0.2.1]:5000", "[2001:db8::1]:443");
        for version in BOTH {
            assert_eq!(read(&written(version, Some(dual))).unwrap().unwrap().ends, Some(plain));
            assert_eq!(read(&written(version, Some(mixed))).unwrap().unwrap().ends, Some(both_six));
        }
    }

    #[test]
    fn a_probe_of_ours_is_nobodys() {
        for version in BOTH {
            let mut out = Vec::new();
            write_own(version, &mut out);
            assert_eq!(read(&out), Ok(Some(Header { bytes: out.len(), ends: None })));
        }
    }

    #[test]
    fn what_is_no_header_is_refused_at_its_first_byte() {
        for bytes in [&b"GET / HTTP/1.1"[..], b"\x16\x03\x01", b"\0", b"p", b"Q", b"\r\nGET"] {
            assert_eq!(read(bytes), Err(Fault::BadProxyHeader), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_a_longer_input_never_unsays_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let signed = [binary::SIGNATURE, &bytes].concat();
            let texted = [&b"PROXY "[..], &bytes].concat();
            for input in [bytes, signed, texted] {
                let whole = read(&input);
                for end in 0..input.len() {
                    let part = read(&input[..end]);
                    prop_assert!(part == Ok(None) || part == whole, "cut at {end}: {part:?}, then {whole:?}");
                }
            }
        }
    }
}
