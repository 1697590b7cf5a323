//! Where a head ends, found as its bytes arrive.
//!
//! A client may send one byte at a time: each byte is looked at once, so a slow head costs what a fast one does.
//! Lines end in CR LF and nothing else (RFC 9112, 2.2, allows a bare LF; two parsers that differ on it are how
//! requests are smuggled).

use super::field::is_tchar;
use crate::logic::fault::Fault;
use crate::logic::limits::{LEADING_EMPTY_LINES_MAX, MessageLimits};

/// What the bytes so far amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// More bytes are needed.
    Partial,
    /// The head stands at `start..end`; `end` is behind its empty line.
    Complete {
        /// Behind any empty lines that came before it.
        start: usize,
        /// Where the body begins.
        end: usize,
    },
}

/// Looks for the end of one head. Make a new one for the next message.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeadScanner {
    /// Bytes before this are known to hold no unfinished business but the line that began at `line`.
    seen: usize,
    /// Where the current line begins.
    line: usize,
    /// Where the head begins, behind the empty lines that are forgiven.
    start: usize,
    /// Empty lines so far, before the head.
    empty_lines: usize,
}

impl HeadScanner {
    /// Has any byte of the head itself been seen?
    pub fn has_begun(&self) -> bool {
        self.seen > self.start
    }

    /// Looks at the bytes that are new. `bytes` begins where it began at the last call.
    ///
    /// # Errors
    /// [`Fault::BadRequest`] for a line that does not end in CR LF, a CR elsewhere, or a first byte that no message
    /// begins with (TLS on a plain port, for example); [`Fault::UriTooLong`] and [`Fault::HeadTooLarge`] as soon as
    /// they are certain.
    pub fn advance(&mut self, bytes: &[u8], limits: &MessageLimits) -> Result<Scan, Fault> {
        while let Some(found) = memchr::memchr(b'\n', &bytes[self.seen..]) {
            let end = self.seen + found + 1;
            let line = &bytes[self.line..end];
            let [text @ .., b'\r', b'\n'] = line else { return Err(Fault::BadRequest) };
            if memchr::memchr(b'\r', text).is_some() {
                return Err(Fault::BadRequest);
            }
            let empty = text.is_empty();
            let first = self.line == self.start;
            // As where the line is still unfinished: the answer must not depend on how the bytes arrived.
            if first && text.first().is_some_and(|&byte| !is_tchar(byte)) {
                return Err(Fault::BadRequest);
            }
            self.seen = end;
            self.line = end;
            if !empty {
                self.check_size(bytes, limits)?;
                continue;
            }
            if !first {
                self.check_size(bytes, limits)?;
                return Ok(Scan::Complete { start: self.start, end });
            }
            self.start = end;
            self.empty_lines += 1;
            if self.empty_lines > LEADING_EMPTY_LINES_MAX {
                return Err(Fault::BadRequest);
            }
        }
        self.seen = bytes.len();
        self.check_unfinished_line(bytes)?;
        self.check_size(bytes, limits)?;
        Ok(Scan::Partial)
    }

    /// What can be refused before a line is whole: the client may wait for us before it sends more.
    fn check_unfinished_line(&self, bytes: &[u8]) -> Result<(), Fault> {
        let line = &bytes[self.line..];
        if self.line == self.start && line.first().is_some_and(|&byte| !is_tchar(byte) && byte != b'\r') {
            return Err(Fault::BadRequest);
        }
        // A CR is fine as the very last byte: its LF may be on the way.
        match memchr::memchr(b'\r', line) {
            Some(at) if at + 1 < line.len() => Err(Fault::BadRequest),
            _ => Ok(()),
        }
    }

    fn check_size(&self, bytes: &[u8], limits: &MessageLimits) -> Result<(), Fault> {
        let size = self.seen - self.start;
        // A request line that is still growing has a method and two spaces beside the target.
        const BESIDE_TARGET: usize = 32;
        if self.line == self.start && size > limits.uri_bytes_max + BESIDE_TARGET {
            // A method without end is no long target.
            let has_method = memchr::memchr(b' ', &bytes[self.start..][..BESIDE_TARGET]).is_some();
            return Err(if has_method { Fault::UriTooLong } else { Fault::BadRequest });
        }
        if size > limits.head_bytes_max {
            return Err(Fault::HeadTooLarge);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Result<Scan, Fault> {
        HeadScanner::default().advance(bytes, &MessageLimits::default())
    }

    /// Every cut into single bytes must end as the whole does.
    fn bytewise(bytes: &[u8]) -> Result<Scan, Fault> {
        let mut scanner = HeadScanner::default();
        for end in 1..=bytes.len() {
            match scanner.advance(&bytes[..end], &MessageLimits::default()) {
                Ok(Scan::Partial) => {}
                done => return done,
            }
        }
        Ok(Scan::Partial)
    }

    #[test]
    fn the_end_is_found_however_the_bytes_arrive() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        let expected = Ok(Scan::Complete { start: 0, end: 27 });
        assert_eq!(whole(head), expected);
        assert_eq!(bytewise(head), expected);
    }

    #[test]
    fn a_few_empty_lines_before_it_are_forgiven() {
        let head = b"\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        assert_eq!(whole(head), Ok(Scan::Complete { start: 4, end: 22 }));
        assert_eq!(bytewise(head), whole(head));
        assert_eq!(whole(b"\r\n\r\n\r\n\r\n\r\n"), Err(Fault::BadRequest));
    }

    #[test]
    fn only_cr_lf_ends_a_line() {
        for bad in
            [&b"GET / HTTP/1.1\n"[..], b"GET / HTTP/1.1\r\nA: b\n", b"GET / \rHTTP/1.1", b"G\rX", b"\n"]
        {
            assert_eq!(whole(bad), Err(Fault::BadRequest), "{bad:?}");
            assert_eq!(bytewise(bad), Err(Fault::BadRequest), "{bad:?}");
        }
    }

    #[test]
    fn tls_on_a_plain_port_is_refused_at_its_first_byte() {
        assert_eq!(whole(b"\x16\x03\x01"), Err(Fault::BadRequest));
    }

    /// Found by fuzzing: the whole was a head for the parser to refuse, its pieces were refused at once.
    #[test]
    fn a_first_byte_that_begins_no_message_is_refused_however_it_arrives() {
        for bad in [&b"\0==L\xff,\r\n\r\n"[..], b"\r\n\0a\r\n\r\n", b" GET / HTTP/1.1\r\n\r\n"] {
            assert_eq!(whole(bad), Err(Fault::BadRequest), "{bad:?}");
            assert_eq!(bytewise(bad), Err(Fault::BadRequest), "{bad:?}");
        }
    }

    #[test]
    fn sizes_are_refused_as_soon_as_they_are_certain() {
        let limits = MessageLimits { head_bytes_max: 1024, uri_bytes_max: 100, ..MessageLimits::default() };
        let long_target = [b"GET /".as_slice(), &[b'a'; 200]].concat();
        assert_eq!(HeadScanner::default().advance(&long_target, &limits), Err(Fault::UriTooLong));
        let no_target = [b'a'; 200];
        assert_eq!(HeadScanner::default().advance(&no_target, &limits), Err(Fault::BadRequest));
        let long_field = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &[b'a'; 1100]].concat();
        assert_eq!(HeadScanner::default().advance(&long_field, &limits), Err(Fault::HeadTooLarge));
    }
}
