//! What a node does with a request. Flags set it, a control call changes it, a query overrides it for one request:
//! all three through [`Behaviour::set`], so that a name means the same everywhere.

use std::{borrow::Cow, time::Duration};

use serde::{Serialize, Serializer};

use super::delay::Delay;
use crate::amount;

/// The largest body that a node sends: 64 GiB, far above any test and far below a counter's end.
const SIZE_MAX: u64 = 64 << 30;
/// The largest piece of a body: it is held in memory.
const PIECE_MAX: u64 = 1 << 20;
/// The most CPU time that one request may burn: it blocks every other request of its thread meanwhile.
const CPU_MAX: Duration = Duration::from_secs(60);
/// The most response headers that a query or a flag may add.
const HEADERS_MAX: usize = 32;

/// How the end of a response's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Framing {
    /// `content-length`.
    Length,
    /// `transfer-encoding: chunked`.
    Chunked,
    /// The connection's end (RFC 9112 section 6.3, rule 8).
    Close,
}

/// Where a connection is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reset {
    /// Before any byte of the response.
    Head,
    /// In the middle of the body.
    Body,
}

/// Everything that can be told to a node about its responses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Behaviour {
    /// The wait before the response.
    #[serde(serialize_with = "as_text")]
    pub(crate) delay: Delay,
    /// CPU time burnt before the response, in microseconds.
    pub(crate) cpu_us: u64,
    /// The response's status.
    pub(crate) status: u16,
    /// The body's bytes.
    pub(crate) size: u64,
    /// How the body's end is told.
    pub(crate) framing: Framing,
    /// The pause between two pieces of the body, in microseconds; 0 sends it at once.
    pub(crate) drip_us: u64,
    /// The bytes of a piece (and of a chunk); 0 chooses.
    pub(crate) piece: u64,
    /// Where the connection is reset, if it is.
    pub(crate) reset: Option<Reset>,
    /// Closes the sending half after the response and goes on reading until the client closes.
    pub(crate) half_close: bool,
    /// Says `connection: close` with this request of a connection; 0 never.
    pub(crate) close_after: u64,
    /// Closes without a word after this many requests of a connection; 0 never.
    pub(crate) drop_after: u64,
    /// Answers with the request itself, as JSON.
    pub(crate) echo: bool,
    /// Answers before it reads the request's body.
    pub(crate) early: bool,
    /// The share of the requests that `delay`, `cpu`, `status`, `reset` and `half_close` strike.
    pub(crate) share: f64,
    /// The load that it reports of itself in `endpoint-load-metrics`, 0 to 1.
    pub(crate) load: Option<f64>,
    /// Headers added to the response.
    pub(crate) headers: Vec<(String, String)>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            delay: Delay::NONE,
            cpu_us: 0,
            status: 200,
            size: 128,
            framing: Framing::Length,
            drip_us: 0,
            piece: 0,
            reset: None,
            half_close: false,
            close_after: 0,
            drop_after: 0,
            echo: false,
            early: false,
            share: 1.0,
            load: None,
            headers: Vec::new(),
        }
    }
}

impl Behaviour {
    /// Sets one property from its text form. Names the node does not know are an error too.
    ///
    /// # Errors
    /// Says which value is wrong and what would be right.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "delay" => self.delay = value.parse()?,
            "cpu" => self.cpu_us = micros(bounded(amount::setting(value)?, CPU_MAX, "1m")?),
            "status" => self.status = status(value)?,
            "size" => self.size = bounded(amount::size(value)?, SIZE_MAX, "64GiB")?,
            "chunked" => {
                self.framing = if amount::switch(value)? { Framing::Chunked } else { Framing::Length }
            }
            "framing" => self.framing = framing(value)?,
            "drip" => self.drip_us = micros(amount::setting(value)?),
            "piece" => self.piece = bounded(amount::size(value)?, PIECE_MAX, "1MiB")?,
            "reset" => self.reset = reset(value)?,
            "half_close" | "half-close" => self.half_close = amount::switch(value)?,
            "close_after" | "close-after" => self.close_after = count(value)?,
            "drop_after" | "drop-after" => self.drop_after = count(value)?,
            "echo" => self.echo = amount::switch(value)?,
            "early" => self.early = amount::switch(value)?,
            "share" => self.share = amount::share(value)?,
            "load" => self.load = Some(amount::share(value)?),
            "header" => self.headers.push(self.header(value)?),
            _ => return Err(format!("a node has no property '{name}'; GET /__node/ lists them")),
        }
        Ok(())
    }

    /// Whether `name` is one that [`Self::set`] knows: a query may hold others, which belong to the application.
    pub(crate) fn knows(name: &str) -> bool {
        PROPERTIES.iter().any(|(known, _)| *known == name)
            || matches!(name, "half-close" | "close-after" | "drop-after")
    }

    /// This behaviour with what the query `a=1&b=2` overrides; a name that the node does not know is passed over.
    ///
    /// # Errors
    /// Says which value is wrong.
    pub(crate) fn with_query(&self, query: &str) -> Result<Cow<'_, Self>, String> {
        let mut own = Cow::Borrowed(self);
        for (name, value) in form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| Self::knows(name)) {
            own.to_mut().set(&name, &value).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(own)
    }

    /// Whether every response is the same few bytes, with no timer, no draw and no fault: the path of benchmarks.
    pub(crate) fn is_plain(&self) -> bool {
        let like_default =
            Self { status: self.status, size: self.size, headers: self.headers.clone(), ..Self::default() };
        self.size <= PLAIN_MAX && self.status >= 200 && *self == like_default
    }

    /// Whether a response with this status has a body (RFC 9110 section 6.4.1).
    pub(crate) fn has_body(&self) -> bool {
        !matches!(self.status, 100..=199 | 204 | 304)
    }

    fn header(&self, text: &str) -> Result<(String, String), String> {
        let wrong = || format!("'{}' is no header: write name:value", text.escape_debug());
        let (name, value) = text.split_once(':').ok_or_else(wrong)?;
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let visible = |b: u8| b == b'\t' || (b >= 0x20 && b != 0x7f);
        if name.is_empty() || !name.bytes().all(token) || !value.bytes().all(visible) {
            return Err(wrong());
        }
        if self.headers.len() == HEADERS_MAX {
            return Err(format!("more than {HEADERS_MAX} headers"));
        }
        Ok((name.to_owned(), value.trim().to_owned()))
    }
}

/// The largest body that is built once and sent from memory.
pub(crate) const PLAIN_MAX: u64 = 16 << 10;

/// Every property with one line of help: the control page prints it.
pub(crate) const PROPERTIES: [(&str, &str); 17] = [
    ("delay", "20ms | uniform:10ms..30ms | exp:20ms | lognormal:20ms,0.5 | bimodal:5ms,200ms,5%"),
    ("cpu", "CPU time to burn, such as 500us"),
    ("status", "200 to 599"),
    ("size", "bytes of the body, such as 16KiB"),
    ("chunked", "1: chunked transfer coding"),
    ("framing", "length | chunked | close"),
    ("drip", "pause between two pieces of the body, such as 10ms"),
    ("piece", "bytes of a piece or chunk"),
    ("reset", "1 or head: before the response; body: in the middle of it; 0: no"),
    ("half_close", "1: close the sending half after the response"),
    ("close_after", "N: say connection: close with the Nth request"),
    ("drop_after", "N: close without a word after the Nth request"),
    ("echo", "1: answer with the request as JSON"),
    ("early", "1: answer before the request's body is read"),
    ("share", "the share of requests that delay, cpu, status, reset and half_close strike, such as 10%"),
    ("load", "0 to 1: reported in endpoint-load-metrics"),
    ("header", "name:value, added to the response"),
];

fn status(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(code @ 200..=599) => Ok(code),
        _ => Err(format!("'{text}' is no final status: 200 to 599")),
    }
}

fn framing(text: &str) -> Result<Framing, String> {
    match text {
        "length" => Ok(Framing::Length),
        "chunked" => Ok(Framing::Chunked),
        "close" => Ok(Framing::Close),
        _ => Err(format!("'{text}' is no framing: length, chunked or close")),
    }
}

fn reset(text: &str) -> Result<Option<Reset>, String> {
    match text {
        "head" => Ok(Some(Reset::Head)),
        "body" => Ok(Some(Reset::Body)),
        _ => match amount::switch(text) {
            Ok(on) => Ok(on.then_some(Reset::Head)),
            Err(_) => Err(format!("'{text}' is no place for a reset: head, body, or 0 for none")),
        },
    }
}

fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("'{text}' is not a whole number"))
}

fn bounded<T: PartialOrd>(value: T, max: T, shown: &str) -> Result<T, String> {
    if value <= max { Ok(value) } else { Err(format!("a node allows at most {shown}")) }
}

fn micros(time: Duration) -> u64 {
    time.as_micros().try_into().unwrap_or(u64::MAX)
}

fn as_text<S: Serializer>(delay: &Delay, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_overrides_one_request_only() {
        let usual = Behaviour::default();
        let own = usual.with_query("delay=20ms&status=503&size=16KiB&chunked=1&user=7").unwrap();
        assert_eq!((own.status, own.size, own.framing), (503, 16384, Framing::Chunked));
        assert_eq!(usual, Behaviour::default());
        assert!(
            matches!(usual.with_query("user=7&x").unwrap(), Cow::Borrowed(_)),
            "nothing of ours: nothing copied"
        );
    }

    #[test]
    fn wrong_values_are_named() {
        let usual = Behaviour::default();
        for query in [
            "status=99",
            "status=101",
            "delay=soon",
            "size=big",
            "reset=maybe",
            "share=2",
            "header=nocolon",
            "header=a:b%0d%0ac:d",
        ] {
            let error = usual.with_query(query).unwrap_err();
            assert!(error.starts_with(query.split('=').next().unwrap()), "{error}");
        }
    }

    #[test]
    fn a_limit_that_is_passed_is_named() {
        for (name, value, words) in [
            ("cpu", "2m", "at most 1m"),
            ("piece", "2MiB", "at most 1MiB"),
            ("size", "65GiB", "at most 64GiB"),
            ("reset", "maybe", "head, body"),
        ] {
            let error = Behaviour::default().set(name, value).unwrap_err();
            assert!(error.contains(words), "{name}={value}: {error}");
        }
    }

    #[test]
    fn every_listed_property_is_one_that_can_be_set() {
        for (name, _) in PROPERTIES {
            let error = Behaviour::default().set(name, "\u{1}").unwrap_err();
            assert!(!error.contains("has no property"), "{name}");
        }
    }

    #[test]
    fn only_a_behaviour_without_surprises_is_plain() {
        assert!(Behaviour::default().is_plain());
        for (name, value) in [
            ("delay", "1ms"),
            ("size", "1MiB"),
            ("chunked", "1"),
            ("close_after", "2"),
            ("echo", "1"),
            ("share", "1%"),
        ] {
            let mut own = Behaviour::default();
            own.set(name, value).unwrap();
            assert!(!own.is_plain(), "{name}");
        }
    }
}
