//! Version 1: `PROXY TCP4 192.0.2.1 198.51.100.7 5000 443\r\n`.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Ends, Header};
use crate::logic::fault::Fault;

/// The longest line, its end included (2.1): that of an unknown protocol with two IPv6 addresses.
const LINE_BYTES_MAX: usize = 107;
const BEGIN: &[u8] = b"PROXY ";

pub(super) fn read(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let known = bytes.len().min(BEGIN.len());
    if bytes[..known] != BEGIN[..known] {
        return Err(Fault::BadProxyHeader);
    }
    let seen = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    // A NUL or a bare line end is no part of any line: waiting for more would be in vain.
    let Some(at) = seen.iter().position(|byte| !(b' '..=b'~').contains(byte)) else {
        return if seen.len() == LINE_BYTES_MAX { Err(Fault::BadProxyHeader) } else { Ok(None) };
    };
    match seen[at..] {
        [b'\r'] if at + 1 < LINE_BYTES_MAX => Ok(None),
        [b'\r', b'\n', ..] => {
            let ends = line(&seen[BEGIN.len().min(at)..at]).ok_or(Fault::BadProxyHeader)?;
            Ok(Some(Header { bytes: at + 2, ends }))
        }
        _ => Err(Fault::BadProxyHeader),
    }
}

/// What stands between `PROXY ` and the line's end. `None` where it is nonsense.
fn line(bytes: &[u8]) -> Option<Option<Ends>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut words = text.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        // Whatever follows is to be passed over (2.1).
        return Some(None);
    }
    let mut next = || words.next();
    let (source, destination) = match family {
        "TCP4" => (address::<Ipv4Addr>(next()?)?, address::<Ipv4Addr>(next()?)?),
        "TCP6" => (address::<Ipv6Addr>(next()?)?, address::<Ipv6Addr>(next()?)?),
        _ => return None,
    };
    let ends = Ends {
        source: SocketAddr::new(source, port(next()?)?),
        destination: SocketAddr::new(destination, port(next()?)?),
    };
    words.next().is_none().then_some(Some(ends))
}

fn address<A: FromStr + Into<IpAddr>>(text: &str) -> Option<IpAddr> {
    text.parse::<A>().ok().map(Into::into)
}

/// Decimal, without a sign or a leading zero.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    if digits && !padded { text.parse().ok() } else { None }
}

pub(super) fn write(ends: Option<Ends>, out: &mut Vec<u8>) {
    // A vector takes every byte.
    let _ = match ends {
        None => write!(out, "PROXY UNKNOWN\r\n"),
        Some(Ends { source, destination }) => {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (source.ip(), destination.ip());
            write!(out, "PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port())
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_specification_are_read() {
        let whole = |text: &str| read(text.as_bytes()).unwrap().unwrap();
        let four = whole("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n");
        assert_eq!(four.ends.unwrap().source, "255.255.255.255:65535".parse().unwrap());
        let six = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let longest = format!("PROXY UNKNOWN {six} {six} 65535 65535\r\n");
        assert_eq!(longest.len(), LINE_BYTES_MAX);
        assert_eq!(whole(&longest), Header { bytes: LINE_BYTES_MAX, ends: None });
        assert_eq!(whole("PROXY UNKNOWN\r\n").ends, None);
        assert_eq!(whole(&format!("PROXY TCP6 {six} ::1 1 2\r\n")).ends.unwrap().destination.port(), 2);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "PROXX",
            "PROXY\t",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rX",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
            "PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
            "PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n",
            "PROXY TCP4 ::1 ::2 1 2\r\n",
            "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n",
            "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY unknown\r\n",
            "PROXY \r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\0\r\n",
        ] {
            assert_eq!(read(text.as_bytes()), Err(Fault::BadProxyHeader), "{text:?}");
        }
        let endless = format!("PROXY UNKNOWN {}", "a".repeat(LINE_BYTES_MAX));
        assert_eq!(read(endless.as_bytes()), Err(Fault::BadProxyHeader));
        let late = format!("PROXY UNKNOWN {}\r\n", "a".repeat(LINE_BYTES_MAX - 15));
        assert_eq!(read(late.as_bytes()), Err(Fault::BadProxyHeader));
    }
}
