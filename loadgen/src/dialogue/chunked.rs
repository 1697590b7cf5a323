//! The chunked transfer coding (RFC 9112 section 7.1), read incrementally: bodies are counted, not kept.

/// The longest line of a chunk extension or trailer that is read.
const LINE_MAX: u32 = 16 * 1024;

/// Where in the coding the last byte stood.
///
/// ```text
///   Size --CR--> SizeLf --LF--> Data --0 left--> DataCr --> DataLf --> Size
///                  \--LF, size 0--> Trailer --> TrailerLf --(empty line)--> Ended
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Size { value: u64, digits: u8 },
    Extension { size: u64, length: u32 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailer { length: u32 },
    TrailerLf { length: u32 },
    Ended,
}

/// A decoder that says where the body ends.
#[derive(Clone, Debug)]
pub struct Chunked {
    place: Place,
}

impl Default for Chunked {
    fn default() -> Self {
        Self { place: Place::Size { value: 0, digits: 0 } }
    }
}

impl Chunked {
    /// Reads on. `Some(n)`: the body ended after `n` of these bytes. `None`: all were body, more follow.
    ///
    /// # Errors
    /// A phrase that says which rule the coding breaks.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<usize>, &'static str> {
        let mut at = 0;
        while at < bytes.len() {
            if let Place::Data { left } = self.place {
                at += self.skip(left, bytes.len() - at);
                continue;
            }
            let byte = bytes[at];
            at += 1;
            match self.step(byte)? {
                Some(next) => self.place = next,
                None => {
                    self.place = Place::Ended;
                    return Ok(Some(at));
                }
            }
        }
        Ok(None)
    }

    /// Whether the end has been read.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.place == Place::Ended
    }

    fn skip(&mut self, left: u64, available: usize) -> usize {
        let taken = left.min(available as u64);
        self.place = if taken == left { Place::DataCr } else { Place::Data { left: left - taken } };
        taken as usize
    }

    /// The place after one byte; `None` when the body has ended.
    fn step(&self, byte: u8) -> Result<Option<Place>, &'static str> {
        let next = match (self.place, byte) {
            (Place::Size { value, digits }, byte) if byte.is_ascii_hexdigit() => {
                add_digit(value, digits, byte)?
            }
            (Place::Size { digits: 0, .. }, _) => return Err("chunk without a size"),
            (Place::Size { value, .. }, b'\r') => Place::SizeLf { size: value },
            (Place::Size { value, .. }, b';' | b' ' | b'\t') => Place::Extension { size: value, length: 0 },
            (Place::Size { .. }, _) => return Err("chunk size is not hexadecimal"),
            (Place::Extension { size, .. }, b'\r') => Place::SizeLf { size },
            (Place::Extension { length: LINE_MAX.., .. }, _) => return Err("chunk extension is too long"),
            (Place::Extension { size, length }, _) => Place::Extension { size, length: length + 1 },
            (Place::SizeLf { size: 0 }, b'\n') => Place::Trailer { length: 0 },
            (Place::SizeLf { size }, b'\n') => Place::Data { left: size },
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::Size { value: 0, digits: 0 },
            (Place::Trailer { length }, b'\r') => Place::TrailerLf { length },
            (Place::Trailer { length: LINE_MAX.. }, _) => return Err("trailer line is too long"),
            (Place::Trailer { length }, _) => Place::Trailer { length: length + 1 },
            (Place::TrailerLf { length: 0 }, b'\n') => return Ok(None),
            (Place::TrailerLf { .. }, b'\n') => Place::Trailer { length: 0 },
            _ => return Err("chunk does not end in CRLF"),
        };
        Ok(Some(next))
    }
}

fn add_digit(value: u64, digits: u8, byte: u8) -> Result<Place, &'static str> {
    let digit = (byte as char).to_digit(16).map_or(0, u64::from);
    if digits >= 16 {
        return Err("chunk size is too long");
    }
    Ok(Place::Size { value: value << 4 | digit, digits: digits + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"5\r\nhello\r\n0A;name=value\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\nNEXT";

    #[test]
    fn the_end_is_found_wherever_the_bytes_are_cut() {
        let end = BODY.len() - 4;
        for cut in 0..end {
            let mut chunked = Chunked::default();
            assert_eq!(chunked.feed(&BODY[..cut]), Ok(None), "cut at {cut}");
            assert_eq!(chunked.feed(&BODY[cut..]), Ok(Some(end - cut)), "cut at {cut}");
        }
    }

    #[test]
    fn broken_codings_are_named() {
        for (bytes, expected) in [
            (&b"\r\n"[..], "chunk without a size"),
            (b"5x", "chunk size is not hexadecimal"),
            (b"11111111111111111", "chunk size is too long"),
            (b"1\r\nab", "chunk does not end in CRLF"),
            (b"1\rX", "chunk does not end in CRLF"),
        ] {
            assert_eq!(Chunked::default().feed(bytes), Err(expected), "{bytes:?}");
        }
        let mut endless = b"1;".to_vec();
        endless.resize(LINE_MAX as usize + 10, b'x');
        assert_eq!(Chunked::default().feed(&endless), Err("chunk extension is too long"));
    }
}
