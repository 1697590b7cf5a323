//! Raw TCP: bytes go out, known bytes must come back.

use std::sync::Arc;

use super::Progress;
use crate::fault::{Cause, Fault};
use crate::template::Template;

/// What must come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The same bytes.
    Echo,
    /// Exactly these.
    Bytes(Vec<u8>),
    /// Anything up to and with these, as a line end.
    Until(Vec<u8>),
}

/// One exchange, shared by all connections of a thread.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What is sent.
    pub send: Arc<Template>,
    /// What must come back.
    pub expected: Arc<Expected>,
}

/// One connection's place in it.
#[derive(Clone, Debug)]
pub struct Echo {
    exchange: Exchange,
    /// The bytes that are awaited; with `Until`, the mark.
    awaited: Vec<u8>,
    /// How many of them have come.
    matched: usize,
}

impl Echo {
    /// A fresh connection.
    #[must_use]
    pub fn new(exchange: Exchange) -> Self {
        Self { exchange, awaited: Vec::new(), matched: 0 }
    }

    /// Puts the next question into `out`.
    pub fn ask(&mut self, number: u64, out: &mut Vec<u8>) {
        self.matched = 0;
        if out.is_empty() || !self.exchange.send.is_fixed() {
            out.clear();
            self.exchange.send.render(number, out);
        }
        self.awaited.clear();
        match &*self.exchange.expected {
            Expected::Echo => self.awaited.extend_from_slice(out),
            Expected::Bytes(bytes) | Expected::Until(bytes) => self.awaited.extend_from_slice(bytes),
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// When other bytes came, or more.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, Fault> {
        if matches!(*self.exchange.expected, Expected::Until(_)) {
            self.search(bytes)
        } else {
            self.compare(bytes)
        }
    }

    /// The peer closed.
    ///
    /// # Errors
    /// Always: an answer of known bytes is never ended by a close.
    pub fn finish(&mut self) -> Result<Progress, Fault> {
        Err(Fault::closed_early(format!("{} bytes were missing", self.awaited.len() - self.matched)))
    }

    fn compare(&mut self, bytes: &[u8]) -> Result<Progress, Fault> {
        let rest = &self.awaited[self.matched..];
        if bytes.len() > rest.len() || !rest.starts_with(bytes) {
            return Err(unexpected(rest, bytes));
        }
        self.matched += bytes.len();
        Ok(if self.matched == self.awaited.len() { Progress::Done } else { Progress::More })
    }

    /// Looks for the mark byte by byte. After a mismatch the part of the mark that may still have begun is
    /// found again, so that `aab` is seen in `aaab`.
    fn search(&mut self, bytes: &[u8]) -> Result<Progress, Fault> {
        for (index, &byte) in bytes.iter().enumerate() {
            while self.matched > 0 && self.awaited[self.matched] != byte {
                self.matched = longest_border(&self.awaited[..self.matched]);
            }
            self.matched += usize::from(self.awaited[self.matched] == byte);
            if self.matched == self.awaited.len() {
                let rest = &bytes[index + 1..];
                return if rest.is_empty() { Ok(Progress::Done) } else { Err(unexpected(b"", rest)) };
            }
        }
        Ok(Progress::More)
    }
}

/// Length of the longest proper prefix that is also a suffix.
fn longest_border(text: &[u8]) -> usize {
    (0..text.len()).rev().find(|&length| text.ends_with(&text[..length])).unwrap_or(0)
}

fn unexpected(wanted: &[u8], came: &[u8]) -> Fault {
    let show = |bytes: &[u8]| bytes[..bytes.len().min(32)].escape_ascii().to_string();
    Fault::new(Cause::UnexpectedAnswer, format!("wanted `{}`, got `{}`", show(wanted), show(came)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(expected: Expected) -> Echo {
        let exchange = Exchange { send: Arc::new(Template::fixed(b"ping\n")), expected: Arc::new(expected) };
        let mut echo = Echo::new(exchange);
        let mut out = Vec::new();
        echo.ask(0, &mut out);
        assert_eq!(out, b"ping\n");
        echo
    }

    #[test]
    fn an_echo_may_come_in_pieces() {
        let mut echo = echo(Expected::Echo);
        assert_eq!(echo.feed(b"pi"), Ok(Progress::More));
        assert_eq!(echo.feed(b"ng\n"), Ok(Progress::Done));
    }

    #[test]
    fn other_bytes_and_too_many_are_unexpected() {
        for bytes in [&b"pong\n"[..], b"ping\nmore"] {
            assert_eq!(echo(Expected::Echo).feed(bytes).unwrap_err().cause, Cause::UnexpectedAnswer);
        }
        assert_eq!(echo(Expected::Bytes(b"PONG".to_vec())).feed(b"PONG"), Ok(Progress::Done));
    }

    #[test]
    fn a_mark_is_found_across_pieces_and_after_false_starts() {
        let mut echo = echo(Expected::Until(b"aab".to_vec()));
        assert_eq!(echo.feed(b"xyaa"), Ok(Progress::More));
        assert_eq!(echo.feed(b"ab"), Ok(Progress::Done));
    }

    #[test]
    fn a_close_is_too_early() {
        assert_eq!(echo(Expected::Echo).finish().unwrap_err().cause, Cause::ClosedEarly);
    }
}
