//! Version 2: a signature, a command, a family, a length, two addresses, and TLVs.
//!
//! ```text
//!   12 signature | 1 version, command | 1 family, transport | 2 length | addresses | TLVs
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Ends, Header};
use crate::logic::fault::Fault;
use crate::logic::limits::PROXY_HEADER_BYTES_MAX;

/// What no other protocol begins with (2.2).
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED_BYTES: usize = 16;
/// Version 2, and what the connection is: the peer's own, or a client's.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Family and transport: a stream (or none that is known) over what the high half says.
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
/// Bytes of two addresses and two ports.
const TCP4_BYTES: usize = 12;
const TCP6_BYTES: usize = 36;

pub(super) fn read(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Err(Fault::BadProxyHeader);
    }
    if bytes.get(SIGNATURE.len()).is_some_and(|&command| !matches!(command, LOCAL | PROXY)) {
        return Err(Fault::BadProxyHeader);
    }
    let Some(&[.., command, family, high, low]) = bytes.first_chunk::<FIXED_BYTES>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let whole = FIXED_BYTES + length;
    if whole > PROXY_HEADER_BYTES_MAX || length < needed(command, family)? {
        return Err(Fault::BadProxyHeader);
    }
    let Some(said) = bytes.get(FIXED_BYTES..whole) else { return Ok(None) };
    let ends = match (command, family) {
        (PROXY, TCP4) => ends::<4, Ipv4Addr>(said),
        (PROXY, TCP6) => ends::<16, Ipv6Addr>(said),
        _ => None,
    };
    Ok(Some(Header { bytes: whole, ends }))
}

/// Bytes of the addresses that this family comes with. Families and transports that are none of TCP's (unix sockets,
/// datagrams) are well formed, and say nothing that could be believed of a TCP connection.
fn needed(command: u8, family: u8) -> Result<usize, Fault> {
    match family {
        // The addresses of a connection of the peer's own are passed over, whatever they are (2.2).
        _ if command == LOCAL => Ok(0),
        UNSPECIFIED => Ok(0),
        TCP4 | 0x12 => Ok(TCP4_BYTES),
        TCP6 | 0x22 => Ok(TCP6_BYTES),
        0x31 | 0x32 => Ok(216),
        _ => Err(Fault::BadProxyHeader),
    }
}

/// Source and destination address, source and destination port.
fn ends<const N: usize, A: From<[u8; N]> + Into<IpAddr>>(said: &[u8]) -> Option<Ends> {
    let (source, rest) = said.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (from, rest) = rest.split_first_chunk::<2>()?;
    let (to, _) = rest.split_first_chunk::<2>()?;
    let end =
        |address: [u8; N], port: [u8; 2]| SocketAddr::new(A::from(address).into(), u16::from_be_bytes(port));
    Some(Ends { source: end(*source, *from), destination: end(*destination, *to) })
}

pub(super) fn write(ends: Option<Ends>, out: &mut Vec<u8>) {
    match ends {
        None => begin(PROXY, UNSPECIFIED, 0, out),
        Some(Ends { source, destination }) => {
            let (family, length) = if source.is_ipv4() { (TCP4, TCP4_BYTES) } else { (TCP6, TCP6_BYTES) };
            begin(PROXY, family, length, out);
            [source, destination].iter().for_each(|end| write_address(end.ip(), out));
            [source, destination].iter().for_each(|end| out.extend_from_slice(&end.port().to_be_bytes()));
        }
    }
}

pub(super) fn write_own(out: &mut Vec<u8>) {
    begin(LOCAL, UNSPECIFIED, 0, out);
}

fn begin(command: u8, family: u8, length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    // One of three lengths, all below 256.
    out.extend_from_slice(&[command, family, 0, length as u8]);
}

fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, said: &[u8]) -> Vec<u8> {
        let length = u16::try_from(said.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, said].concat()
    }

    #[test]
    fn tlvs_behind_the_addresses_are_passed_over() {
        let addresses = [192, 0, 2, 1, 198, 51, 100, 7, 0x13, 0x88, 0x01, 0xbb];
        let tlvs = [0x04, 0, 2, 0, 0, 0xea, 0, 3, 1, 2, 3];
        let bytes = header(PROXY, TCP4, &[&addresses[..], &tlvs].concat());
        let read = read(&bytes).unwrap().unwrap();
        assert_eq!(read.bytes, bytes.len());
        assert_eq!(read.ends.unwrap().source, "192.0.2.1:5000".parse().unwrap());
        assert_eq!(read.ends.unwrap().destination, "198.51.100.7:443".parse().unwrap());
    }

    #[test]
    fn a_connection_of_the_peers_own_and_other_families_say_nothing() {
        for bytes in [
            header(LOCAL, UNSPECIFIED, &[]),
            header(LOCAL, TCP4, &[0; 12]),
            header(LOCAL, 0x77, &[0; 3]),
            header(PROXY, UNSPECIFIED, &[1, 2, 3]),
            header(PROXY, 0x31, &[0; 216]),
            header(PROXY, 0x12, &[9; 12]),
        ] {
            assert_eq!(read(&bytes), Ok(Some(Header { bytes: bytes.len(), ends: None })), "{bytes:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_as_soon_as_it_is_seen() {
        let mut other = SIGNATURE.to_vec();
        other[11] = b'\r';
        for bytes in [
            other,
            [SIGNATURE, &[0x11]].concat(),
            [SIGNATURE, &[0x22]].concat(),
            header(PROXY, TCP4, &[0; 11]),
            header(PROXY, TCP6, &[0; 35]),
            header(PROXY, 0x31, &[0; 215]),
            header(PROXY, 0x41, &[0; 64]),
            header(PROXY, 0x13, &[0; 64]),
            header(PROXY, UNSPECIFIED, &[0; PROXY_HEADER_BYTES_MAX - FIXED_BYTES + 1]),
        ] {
            assert_eq!(read(&bytes), Err(Fault::BadProxyHeader), "{bytes:?}");
        }
        let largest = header(PROXY, UNSPECIFIED, &[0; PROXY_HEADER_BYTES_MAX - FIXED_BYTES]);
        assert!(read(&largest).unwrap().is_some());
        assert_eq!(read(&largest[..largest.len() - 1]), Ok(None));
    }
}
