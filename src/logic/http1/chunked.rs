//! The chunked coding (RFC 9112, 7.1): decoded in place, strictly.
//!
//! Chunk extensions are read and dropped (RFC 9112, 7.1.1, lets a recipient ignore them). Trailers are kept aside, for
//! whoever forwards them.

use super::field::{is_tchar, is_value_byte};
use crate::logic::limits::{CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX};

/// The coding is broken: the position in the stream is lost, so the connection must close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Hexadecimal digits of a chunk size. 15 of them cannot overflow 64 bits.
const SIZE_DIGITS_MAX: u8 = 15;

/// Where the decoder stands in the grammar.
///
/// ```text
///        +------------------------------------------------------------+
///        v                                                            |
///      Size --';'--> Extension --CR--> SizeLf --size>0--> Data --> DataCr --> DataLf
///        |                               |
///        +--------------CR---------------+--size=0--> Trailer --empty line--> Done
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size {
        digits: u8,
    },
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// `line`: bytes of the current line so far. `cr`: its CR was seen.
    Trailer {
        line: usize,
        cr: bool,
    },
    Done,
}

/// Decodes one body. Make a new one for the next.
#[derive(Debug, Clone)]
pub struct Decoder {
    state: State,
    /// Bytes of the current chunk that are still to come.
    remaining: u64,
    /// Bytes of the current size line.
    line: usize,
    /// The trailer section as received, each line with its CR LF, without the empty line. Empty for nearly all bodies.
    trailer: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { state: State::Size { digits: 0 }, remaining: 0, line: 0, trailer: Vec::new() }
    }
}

/// What one call did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// The data stands at `..data`, moved together.
    pub data: usize,
    /// Bytes that were used up; what follows belongs to the next message, and only where `done`.
    pub consumed: usize,
    /// The body has ended.
    pub done: bool,
}

impl Decoder {
    /// Decodes what is there, moving the data to the front of `bytes`.
    ///
    /// # Errors
    /// [`Malformed`] for a size that is empty, signed, spaced, prefixed or too long, for data that no CR LF follows,
    /// for a bare CR or LF, for a control byte in an extension, and for sections beyond their limits.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, Malformed> {
        let mut data = 0;
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            if self.state == State::Data {
                let run = (bytes.len() - at).min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
                if at != data {
                    bytes.copy_within(at..at + run, data);
                }
                data += run;
                at += run;
                self.remaining -= run as u64;
                if self.remaining == 0 {
                    self.state = State::DataCr;
                }
            } else {
                self.state = self.advance(bytes[at])?;
                at += 1;
            }
        }
        Ok(Decoded { data, consumed: at, done: self.state == State::Done })
    }

    /// Bytes of the current chunk that are announced and still to come.
    pub fn announced(&self) -> u64 {
        if matches!(self.state, State::Size { .. }) { 0 } else { self.remaining }
    }

    /// The trailer section as received; see [`Trailers`] for reading it.
    pub fn trailer(&self) -> &[u8] {
        &self.trailer
    }

    /// One byte of what is not data.
    fn advance(&mut self, byte: u8) -> Result<State, Malformed> {
        match (self.state, byte) {
            (State::Size { digits }, _) if byte.is_ascii_hexdigit() && digits < SIZE_DIGITS_MAX => {
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                self.remaining = self.remaining * 16 + u64::from(digit);
                Ok(State::Size { digits: digits + 1 })
            }
            (State::Size { digits: 1.. }, b'\r') | (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Size { digits: 1.. }, b';') => Ok(State::Extension),
            (State::Extension, _) if is_value_byte(byte) && self.line < CHUNK_LINE_BYTES_MAX => {
                self.line += 1;
                Ok(State::Extension)
            }
            (State::SizeLf, b'\n') => {
                self.line = 0;
                Ok(if self.remaining == 0 { State::Trailer { line: 0, cr: false } } else { State::Data })
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { digits: 0 }),
            (State::Trailer { line, cr }, _) => self.advance_trailer(line, cr, byte),
            _ => Err(Malformed),
        }
    }

    fn advance_trailer(&mut self, line: usize, cr: bool, byte: u8) -> Result<State, Malformed> {
        match (byte, cr) {
            (b'\n', true) if line == 0 => return Trailers::check(&self.trailer).map(|()| State::Done),
            (b'\n', true) => self.trailer.extend_from_slice(b"\r\n"),
            (b'\r', false) => return Ok(State::Trailer { line, cr: true }),
            (b'\r' | b'\n', _) | (_, true) => return Err(Malformed),
            _ if self.trailer.len() >= TRAILER_BYTES_MAX => return Err(Malformed),
            _ => {
                self.trailer.push(byte);
                return Ok(State::Trailer { line: line + 1, cr: false });
            }
        }
        Ok(State::Trailer { line: 0, cr: false })
    }
}

/// A trailer section, line by line.
pub struct Trailers;

impl Trailers {
    /// Name and value of each line of a section that was checked.
    pub fn iter(section: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
        section.split(|&byte| byte == b'\n').filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
    }

    /// Each line is `token ":" value`, with no white space before the colon and no folding.
    fn check(section: &[u8]) -> Result<(), Malformed> {
        let lines = section.strip_suffix(b"\r\n").unwrap_or(section);
        if lines.is_empty() {
            return Ok(());
        }
        for line in lines.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let colon = memchr::memchr(b':', line).ok_or(Malformed)?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            if name.is_empty()
                || !name.iter().copied().all(is_tchar)
                || !value.iter().copied().all(is_value_byte)
            {
                return Err(Malformed);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes in pieces of `size` bytes.
    fn decode(bytes: &[u8], size: usize) -> Result<(Vec<u8>, Vec<u8>, bool), Malformed> {
        let mut decoder = Decoder::default();
        let mut data = Vec::new();
        for piece in bytes.chunks(size) {
            let mut piece = piece.to_vec();
            let decoded = decoder.decode(&mut piece)?;
            data.extend_from_slice(&piece[..decoded.data]);
            if decoded.done {
                return Ok((data, decoder.trailer().to_vec(), true));
            }
            assert_eq!(decoded.consumed, piece.len());
        }
        Ok((data, decoder.trailer().to_vec(), false))
    }

    #[test]
    fn every_cut_gives_the_same_data() {
        let body = b"5;name=\"va;lue\"\r\nhello\r\n00A\r\n, world!!!\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\nGET /";
        for size in 1..body.len() {
            let (data, trailer, done) = decode(body, size).unwrap();
            assert_eq!(data, b"hello, world!!!", "pieces of {size}");
            assert_eq!(trailer, b"X-Sum: 1\r\nY: 2\r\n");
            assert!(done);
        }
    }

    #[test]
    fn the_end_leaves_the_next_message_alone() {
        let mut bytes = b"1\r\na\r\n0\r\n\r\nGET".to_vec();
        let decoded = Decoder::default().decode(&mut bytes).unwrap();
        assert_eq!(decoded, Decoded { data: 1, consumed: 11, done: true });
    }

    #[test]
    fn broken_codings_are_refused_however_they_arrive() {
        for bad in [
            &b"\r\n"[..],
            b"+5\r\nhello\r\n",
            b"-5\r\n",
            b" 5\r\n",
            b"5 \r\n",
            b"5 ;a=b\r\n",
            b"0x5\r\n",
            b"g\r\n",
            b"5\nhello",
            b"5\rhello",
            b"5\r\nhelloX",
            b"5\r\nhello\n",
            b"5\r\nhello\rX",
            b"1234567890abcdef\r\n",
            b"5;a=\x00\r\n",
            b"5;a\n",
            b"0\r\nA: b\n\r\n",
            b"0\r\nA : b\r\n\r\n",
            b"0\r\n: b\r\n\r\n",
            b"0\r\nnonsense\r\n\r\n",
            b"0\r\nA: b\r\n folded\r\n\r\n",
            b"0\r\n\rX",
        ] {
            for size in [1, 3, bad.len()] {
                assert_eq!(decode(bad, size), Err(Malformed), "{bad:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn long_extensions_and_trailers_are_cut() {
        let extension = [b"5;".as_slice(), &vec![b'a'; CHUNK_LINE_BYTES_MAX + 1]].concat();
        assert_eq!(decode(&extension, 100), Err(Malformed));
        let trailer = [b"0\r\nA: ".as_slice(), &vec![b'a'; TRAILER_BYTES_MAX + 1]].concat();
        assert_eq!(decode(&trailer, 100), Err(Malformed));
    }

    #[test]
    fn trailers_are_read_line_by_line() {
        let lines: Vec<_> = Trailers::iter(b"A: b\r\nC:d \r\n").collect();
        assert_eq!(lines, [(&b"A"[..], &b"b"[..]), (b"C", b"d")]);
    }
}
