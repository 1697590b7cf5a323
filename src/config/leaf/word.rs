//! Words with a little grammar: what to hash by, what to limit by, where to log.

use super::http::{field_name, is_token};
use super::{Leaf, Trouble};
use crate::config::quoted;
use crate::config::settings::LogTarget;
use crate::logic::balance::key as balance;
use crate::logic::limits::{COOKIE_NAME_BYTES_MAX, PROBE_DATAGRAM_BYTES_MAX};
use crate::logic::rate_limit;

/// `client_ip`, `path`, `header:NAME`, `cookie:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct HashKey(pub(in crate::config) balance::HashKey);

/// `client_ip`, `header:NAME`, `route`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct RateKey(pub(in crate::config) rate_limit::RateKey);

/// `connect`, `reset`, or a status of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum RetryOn {
    Connect,
    Reset,
    Status(u16),
}

/// A quantile such as `p95`, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Quantile(pub(in crate::config) u32);

/// `stdout`, `stderr`, or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct LogPath(pub(in crate::config) LogTarget);

/// The name of a cookie (RFC 6265, 4.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct CookieName(pub(in crate::config) Box<str>);

/// What a datagram holds: text, or after `hex:` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Datagram(pub(in crate::config) Box<[u8]>);

impl Leaf for Datagram {
    const FORMAT: &'static str = "datagram";
    const MEANING: &'static str = "a text such as `ping`, or bytes such as `hex:0001ff`";

    fn read(text: &str) -> Result<Self, Trouble> {
        let bytes = match text.strip_prefix("hex:") {
            Some(digits) => bytes_of(digits).ok_or_else(|| {
                let trouble =
                    Trouble::new(format!("{} is not an even number of hexadecimal digits", quoted(text)));
                trouble.help("two digits make a byte: `hex:0001ff`")
            })?,
            None => text.as_bytes().to_vec(),
        };
        if bytes.is_empty() || bytes.len() > PROBE_DATAGRAM_BYTES_MAX {
            let trouble = Trouble::new(format!("a datagram of {} bytes asks nothing", bytes.len()));
            return Err(trouble.help(format!("send 1 to {PROBE_DATAGRAM_BYTES_MAX} bytes")));
        }
        Ok(Self(bytes.into()))
    }
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

impl Leaf for HashKey {
    const FORMAT: &'static str = "hash-key";
    const MEANING: &'static str = "`client_ip`, `path`, `header:NAME` or `cookie:NAME`";

    fn read(text: &str) -> Result<Self, Trouble> {
        match text.split_once(':') {
            None if text == "client_ip" => Ok(Self(balance::HashKey::ClientIp)),
            None if text == "path" => Ok(Self(balance::HashKey::Path)),
            Some(("header", name)) => {
                field_name(name).map(|_| Self(balance::HashKey::Header(name.to_ascii_lowercase().into())))
            }
            Some(("cookie", name)) => {
                CookieName::read(name).map(|cookie| Self(balance::HashKey::Cookie(cookie.0)))
            }
            _ => Err(unknown::<Self>(text)),
        }
    }
}

impl Leaf for RateKey {
    const FORMAT: &'static str = "rate-key";
    const MEANING: &'static str = "`client_ip`, `header:NAME` or `route`";

    fn read(text: &str) -> Result<Self, Trouble> {
        match text.split_once(':') {
            None if text == "client_ip" => Ok(Self(rate_limit::RateKey::ClientIp)),
            None if text == "route" => Ok(Self(rate_limit::RateKey::Route)),
            Some(("header", name)) => field_name(name).map(|name| Self(rate_limit::RateKey::Header(name))),
            _ => Err(unknown::<Self>(text)),
        }
    }
}

impl Leaf for RetryOn {
    const FORMAT: &'static str = "retry-condition";
    const MEANING: &'static str = "`connect`, `reset` or a status from 500 to 599";

    fn read(text: &str) -> Result<Self, Trouble> {
        match (text, text.parse()) {
            ("connect", _) => Ok(Self::Connect),
            ("reset", _) => Ok(Self::Reset),
            (_, Ok(status @ 500..=599)) => Ok(Self::Status(status)),
            _ => Err(unknown::<Self>(text)),
        }
    }
}

impl Leaf for Quantile {
    const FORMAT: &'static str = "quantile";
    const MEANING: &'static str = "a quantile from `p50` to `p99.9`";

    fn read(text: &str) -> Result<Self, Trouble> {
        let number = text.strip_prefix('p').unwrap_or("");
        let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str, most: usize| {
            let good = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            if good { text.parse::<u32>().ok() } else { None }
        };
        match digits(whole, 2).zip(digits(tenths, 1)) {
            Some((whole @ 50..=99, tenths)) => Ok(Self(whole * 10 + tenths)),
            _ => Err(unknown::<Self>(text)),
        }
    }
}

impl Leaf for LogPath {
    const FORMAT: &'static str = "log-path";
    const MEANING: &'static str = "`stdout`, `stderr` or a file";

    fn read(text: &str) -> Result<Self, Trouble> {
        match text {
            "stdout" => Ok(Self(LogTarget::Stdout)),
            "stderr" => Ok(Self(LogTarget::Stderr)),
            "" => Err(Trouble::new("the access log has no path").help("write `access_log: off` for none")),
            _ if text.contains('\0') => Err(Trouble::new("a file's name holds no NUL")),
            _ if text.contains(['/', '.']) => Ok(Self(LogTarget::File(text.into()))),
            _ => Err(unknown::<Self>(text).help(format!("write `./{text}` if it is a file"))),
        }
    }
}

impl Leaf for CookieName {
    const FORMAT: &'static str = "cookie-name";
    const MEANING: &'static str = "a cookie's name such as `lb`";

    fn read(text: &str) -> Result<Self, Trouble> {
        match is_token(text) {
            true if text.len() > COOKIE_NAME_BYTES_MAX => Err(Trouble::new(format!(
                "the name of this cookie is longer than {COOKIE_NAME_BYTES_MAX} bytes"
            ))),
            true => Ok(Self(text.into())),
            false => Err(unknown::<Self>(text)),
        }
    }
}

fn unknown<L: Leaf>(text: &str) -> Trouble {
    Trouble::new(format!("expected {}, found {}", L::MEANING, quoted(text)))
}
