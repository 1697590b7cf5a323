//! The body of a request: taken off the connection's buffer piece by piece, counted, and a part of it kept.

use super::request::Body;

/// The longest chunk-size line with its extensions, and the longest trailer section, in bytes.
const LINE_MAX: usize = 4 << 10;
/// How much of a body an echo shows.
pub(crate) const KEPT_MAX: usize = 64 << 10;

/// Reads one body out of successive buffers.
#[derive(Debug)]
pub(crate) struct BodyReader {
    state: State,
    /// The body's bytes so far, without chunk framing.
    pub(crate) received: u64,
    /// The first [`KEPT_MAX`] of them, where they were asked for.
    pub(crate) kept: Option<Vec<u8>>,
}

/// ```text
/// Data(n) ──n bytes──> Done                        (content-length)
/// Size ──"5\r\n"──> Chunk(5+2) ──> Size            (chunked)
///   └──"0\r\n"──> Trailers ──"\r\n"──> Done
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Data(u64),
    Size,
    /// This many bytes of a chunk are to come, and then its line end.
    Chunk(u64),
    ChunkEnd,
    Trailers,
    Done,
}

/// The body's framing is broken: nothing after it can be trusted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl BodyReader {
    /// A reader for a body with this framing; `keep` keeps its beginning.
    pub(crate) fn new(body: Body, keep: bool) -> Self {
        let state = match body {
            Body::Length(0) => State::Done,
            Body::Length(bytes) => State::Data(bytes),
            Body::Chunked => State::Size,
        };
        Self { state, received: 0, kept: keep.then(Vec::new) }
    }

    /// Whether the body has been read whole.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes what it can from the front of `bytes` and returns how much that was.
    /// When the body is not done afterwards, more bytes are needed.
    ///
    /// # Errors
    /// [`Broken`] when the chunk framing is.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            let (taken, next) = match self.state {
                State::Done => return Ok(at),
                State::Data(left) => self.data(rest, left, State::Data, State::Done),
                State::Chunk(left) => self.data(rest, left, State::Chunk, State::ChunkEnd),
                State::Size => match line(rest)? {
                    Some((text, len)) => match chunk_size(text)? {
                        0 => (len, State::Trailers),
                        size => (len, State::Chunk(size)),
                    },
                    None => return Ok(at),
                },
                State::ChunkEnd => match line(rest)? {
                    Some((b"", len)) => (len, State::Size),
                    Some(_) => return Err(Broken),
                    None => return Ok(at),
                },
                State::Trailers => match line(rest)? {
                    Some((b"", len)) => (len, State::Done),
                    Some((_, len)) => (len, State::Trailers),
                    None => return Ok(at),
                },
            };
            if taken == 0 {
                return Ok(at);
            }
            at += taken;
            self.state = next;
        }
    }

    fn data(&mut self, bytes: &[u8], left: u64, more: fn(u64) -> State, end: State) -> (usize, State) {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        self.received += taken as u64;
        if let Some(kept) = &mut self.kept {
            let room = KEPT_MAX - kept.len();
            kept.extend_from_slice(&bytes[..taken.min(room)]);
        }
        let left = left - taken as u64;
        (taken, if left == 0 { end } else { more(left) })
    }
}

/// The line at the front of `bytes` without its CRLF, and its length with it; `None` when it has not arrived whole.
fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Broken> {
    let Some(end) = bytes.iter().take(LINE_MAX).position(|&b| b == b'\n') else {
        return if bytes.len() >= LINE_MAX { Err(Broken) } else { Ok(None) };
    };
    let text = bytes[..end].strip_suffix(b"\r").ok_or(Broken)?;
    Ok(Some((text, end + 1)))
}

/// The size in hexadecimal digits; an extension after `;` is passed over (RFC 9112 section 7.1.1).
fn chunk_size(line: &[u8]) -> Result<u64, Broken> {
    let digits = line.split(|&b| b == b';').next().unwrap_or_default().trim_ascii_end();
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Broken);
    }
    std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(Broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in pieces of `step`, the way a connection's buffer does.
    fn read(body: Body, bytes: &[u8], step: usize) -> Result<(Vec<u8>, usize), Broken> {
        let mut reader = BodyReader::new(body, true);
        let (mut buffer, mut used) = (Vec::new(), 0);
        for piece in bytes.chunks(step) {
            buffer.extend_from_slice(piece);
            let taken = reader.take(&buffer)?;
            buffer.drain(..taken);
            used += taken;
        }
        assert!(reader.is_done());
        Ok((reader.kept.unwrap_or_default(), used))
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let chunked = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: 1\r\n\r\nGET";
        for step in 1..chunked.len() {
            assert_eq!(
                read(Body::Chunked, chunked, step),
                Ok((b"hello world".to_vec(), chunked.len() - 3)),
                "{step}"
            );
            assert_eq!(read(Body::Length(5), b"helloGET", step), Ok((b"hello".to_vec(), 5)), "{step}");
        }
    }

    #[test]
    fn broken_chunks_are_refused() {
        let long = format!("1;{}", "x".repeat(LINE_MAX));
        for text in ["x\r\n", "\r\n", "5\nhello", "2\r\nabc\r\n", "fffffffffffffffff\r\n", "-1\r\n", &long] {
            assert_eq!(BodyReader::new(Body::Chunked, false).take(text.as_bytes()), Err(Broken), "{text}");
        }
    }

    #[test]
    fn an_echo_keeps_a_bounded_part() {
        let bytes = vec![b'x'; KEPT_MAX * 2];
        let mut reader = BodyReader::new(Body::Length(bytes.len() as u64), true);
        assert_eq!(reader.take(&bytes), Ok(bytes.len()));
        assert_eq!((reader.kept.unwrap().len(), reader.received), (KEPT_MAX, bytes.len() as u64));
    }
}
