//! A body on its way through: framing taken off in place, framing put on in place, no copy.
//!
//! A step works on one read buffer. Data stays where the read put it (chunk headers between pieces are squeezed out),
//! and what the outgoing framing needs is written into the room before and behind it:
//!
//! ```text
//!   | front room | chunk header | data | "\r\n" "0\r\n\r\n" | leftover: the next message | back room |
//!                 ^ Step::start                            ^ Step::end  ^ Step::consumed
//! ```

use std::sync::Arc;

use super::chunked::{Decoder, Malformed, Trailers};
use super::field::{Known, classify};
use super::framing::Framing;
use crate::logic::route::Edits;

/// Bytes before the data that a step may write to: 16 digits and CR LF.
pub const FRONT_ROOM: usize = 18;
/// Bytes behind the data that a step may write to: the chunk's CR LF, and the last chunk.
pub const BACK_ROOM: usize = 7;

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Why a body cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFault {
    /// Its coding is broken.
    Malformed,
    /// It is longer than its limit.
    TooLarge,
    /// The connection closed before its end.
    Truncated,
}

impl From<Malformed> for BodyFault {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// How the end of the body is still to be found.
#[derive(Debug)]
enum Incoming {
    Length(u64),
    Chunked(Decoder),
    UntilClose,
    Done,
}

/// Trailers that may go on.
#[derive(Debug)]
enum Kept {
    All,
    /// Those that the route neither removes nor replaces.
    ButFor(Arc<Edits>),
    None,
}

impl Kept {
    fn has(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::ButFor(edits) => !edits.replaces(name),
            Self::None => false,
        }
    }
}

/// One body, from one connection to another.
#[derive(Debug)]
pub struct BodyFlow {
    incoming: Incoming,
    /// Is it sent with the chunked coding?
    chunked_out: bool,
    /// Data so far, in bytes.
    total: u64,
    limit: u64,
    /// Which of its trailers stay behind, beside those that always do.
    trailers: Kept,
}

/// What a step found. Positions are those of the buffer that the step was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Send `start..end`; may be empty.
    pub start: usize,
    /// See `start`.
    pub end: usize,
    /// Bytes from here on were not used: they belong to the next message. Equal to the given end unless `done`.
    pub consumed: usize,
    /// The body is at its end. If [`BodyFlow::tail`] is not empty, that goes out too.
    pub done: bool,
}

impl BodyFlow {
    /// A body that arrives framed as `incoming`. `chunked_out`: whether it leaves with the chunked coding; where it
    /// does not, its bytes go out as they are. `limit`: how many bytes of data it may have.
    pub fn new(incoming: Framing, chunked_out: bool, limit: Option<u64>) -> Self {
        let incoming = match incoming {
            Framing::None | Framing::Length(0) => Incoming::Done,
            Framing::Length(length) => Incoming::Length(length),
            Framing::Chunked => Incoming::Chunked(Decoder::default()),
            Framing::UntilClose => Incoming::UntilClose,
        };
        Self { incoming, chunked_out, total: 0, limit: limit.unwrap_or(u64::MAX), trailers: Kept::All }
    }

    /// The same, without the trailers that `edits` remove or replace; and without all of them where the head's `Connection`
    /// nominates fields: it means the trailers too (RFC 9110, 7.6.1), and which they are is forgotten when they come.
    pub fn without(self, nominates: bool, edits: &Arc<Edits>) -> Self {
        let trailers = match self.incoming {
            Incoming::Chunked(_) if nominates => Kept::None,
            Incoming::Chunked(_) if edits.replaces_any() => Kept::ButFor(Arc::clone(edits)),
            _ => Kept::All,
        };
        Self { trailers, ..self }
    }

    /// Has its end been reached?
    pub fn is_done(&self) -> bool {
        matches!(self.incoming, Incoming::Done)
    }

    /// Bytes of data so far, without framing.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that are certainly still to come: an upper bound for one read that must not take more.
    pub fn expected(&self) -> Option<u64> {
        match self.incoming {
            Incoming::Length(left) => Some(left),
            _ => None,
        }
    }

    /// Bytes that can be moved on without being looked at: the rest of a body whose length is known, framed as it came.
    pub fn opaque(&self) -> Option<u64> {
        self.expected().filter(|_| !self.chunked_out)
    }

    /// So many of the [`BodyFlow::opaque`] bytes were moved on.
    pub fn passed(&mut self, count: u64) {
        let Incoming::Length(left) = &mut self.incoming else { return };
        debug_assert!(count <= *left, "no more than there was");
        *left = left.saturating_sub(count);
        self.total += count;
        if *left == 0 {
            self.incoming = Incoming::Done;
        }
    }

    /// Moves the bytes at `start..end` of `buffer` on. There must be [`FRONT_ROOM`] before and [`BACK_ROOM`] behind.
    ///
    /// # Errors
    /// [`BodyFault::Malformed`] and [`BodyFault::TooLarge`]; the connection it came from must close.
    pub fn step(&mut self, buffer: &mut [u8], start: usize, end: usize) -> Result<Step, BodyFault> {
        let (data, consumed, done) = self.take(&mut buffer[start..end])?;
        self.total += data as u64;
        // A chunk that is announced counts before it comes: the client may wait for an answer before it sends it.
        if self.total.saturating_add(self.announced()) > self.limit {
            return Err(BodyFault::TooLarge);
        }
        let mut step = Step { start, end: start + data, consumed: start + consumed, done };
        if done {
            self.finish(&mut step, buffer);
        } else if self.chunked_out && data > 0 {
            step.start = put_chunk_header(buffer, start, data);
            step.end = put(buffer, step.end, b"\r\n");
        }
        Ok(step)
    }

    /// The connection has closed: the end of a body that lasts until then, and the truncation of any other.
    /// `buffer` and `at`: where the last chunk may be written.
    ///
    /// # Errors
    /// [`BodyFault::Truncated`].
    pub fn close(&mut self, buffer: &mut [u8], at: usize) -> Result<Step, BodyFault> {
        if !matches!(self.incoming, Incoming::UntilClose) {
            return Err(BodyFault::Truncated);
        }
        self.incoming = Incoming::Done;
        let end = if self.chunked_out { put(buffer, at, LAST_CHUNK) } else { at };
        Ok(Step { start: at, end, consumed: at, done: true })
    }

    fn announced(&self) -> u64 {
        if let Incoming::Chunked(decoder) = &self.incoming { decoder.announced() } else { 0 }
    }

    /// Takes the incoming framing off: (data at the front, bytes used, at the end).
    fn take(&mut self, bytes: &mut [u8]) -> Result<(usize, usize, bool), BodyFault> {
        match &mut self.incoming {
            Incoming::Length(left) => {
                let data = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= data as u64;
                Ok((data, data, *left == 0))
            }
            Incoming::Chunked(decoder) => {
                let decoded = decoder.decode(bytes)?;
                Ok((decoded.data, decoded.consumed, decoded.done))
            }
            Incoming::UntilClose => Ok((bytes.len(), bytes.len(), false)),
            Incoming::Done => Ok((0, 0, true)),
        }
    }

    /// Puts the end of the outgoing framing behind the last data.
    fn finish(&mut self, step: &mut Step, buffer: &mut [u8]) {
        let incoming = std::mem::replace(&mut self.incoming, Incoming::Done);
        if !self.chunked_out {
            return;
        }
        let data = step.end - step.start;
        let trailer = match &incoming {
            Incoming::Chunked(decoder) => decoder.trailer(),
            _ => &[],
        };
        if data == 0 && trailer.is_empty() {
            // The last chunk takes the place of the bytes that were used up: at least its own final CR LF. Ending where
            // they ended, it reaches into the front room at most, and never into what follows.
            step.end = step.consumed;
            step.start = step.consumed - LAST_CHUNK.len();
            put(buffer, step.start, LAST_CHUNK);
            return;
        }
        // Behind data that ends in the same read stand "\r\n0\r\n\r\n" at least: seven bytes for the seven that we write.
        if data > 0 {
            step.start = put_chunk_header(buffer, step.start, data);
            step.end = put(buffer, step.end, b"\r\n");
        }
        if trailer.is_empty() {
            step.end = put(buffer, step.end, LAST_CHUNK);
        } else {
            self.incoming = incoming;
        }
    }

    /// Where the body ended with trailers: the last chunk and those of them that may be forwarded, to be sent behind the
    /// last step. Call once after a step that was `done`; it writes nothing for a body without trailers.
    pub fn tail(&mut self, out: &mut Vec<u8>) {
        let incoming = std::mem::replace(&mut self.incoming, Incoming::Done);
        let Incoming::Chunked(decoder) = incoming else { return };
        out.extend_from_slice(b"0\r\n");
        let stays = |name: &[u8]| may_trail(name) && self.trailers.has(name);
        for (name, value) in Trailers::iter(decoder.trailer()).filter(|(name, _)| stays(name)) {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Is there something for [`BodyFlow::tail`] to write?
    pub fn has_tail(&self) -> bool {
        matches!(self.incoming, Incoming::Chunked(_)) && self.chunked_out
    }
}

/// May this field stand in a trailer section that we forward? Not those that frame, route, authenticate, or control
/// (RFC 9110, 6.5.1): a recipient that merges trailers into the head would act on them.
fn may_trail(name: &[u8]) -> bool {
    const FORBIDDEN: &[&str] = &[
        "authorization",
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "cookie",
        "set-cookie",
        "trailer",
        "max-forwards",
        "range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "www-authenticate",
        "age",
        "expires",
        "location",
        "retry-after",
        "vary",
        "warning",
        "via",
        "pragma",
    ];
    classify(name) == Known::Other
        && !FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden.as_bytes()))
}

/// Writes `size` CR LF right before `at`; returns where it begins.
fn put_chunk_header(buffer: &mut [u8], at: usize, size: usize) -> usize {
    let mut begin = at - 2;
    buffer[begin..at].copy_from_slice(b"\r\n");
    let mut left = size;
    loop {
        begin -= 1;
        buffer[begin] = b"0123456789abcdef"[left % 16];
        left /= 16;
        if left == 0 {
            return begin;
        }
    }
}

/// Writes `bytes` at `at`; returns the end.
fn put(buffer: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    let end = at + bytes.len();
    buffer[at..end].copy_from_slice(bytes);
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `input` through in pieces of `size`, with a byte of the next message right behind each: it must survive.
    fn through(flow: &mut BodyFlow, input: &[u8], size: usize) -> Result<Vec<u8>, BodyFault> {
        let mut out = Vec::new();
        for piece in input.chunks(size) {
            let mut buffer = vec![b'#'; FRONT_ROOM];
            buffer.extend_from_slice(piece);
            let end = buffer.len();
            buffer.extend_from_slice(&[b'#'; BACK_ROOM]);
            let step = flow.step(&mut buffer, FRONT_ROOM, end)?;
            let rest = input.len() - (step.consumed - FRONT_ROOM);
            out.extend_from_slice(&buffer[step.start..step.end]);
            if step.done {
                assert_eq!(
                    &buffer[step.consumed..end],
                    &piece[step.consumed - FRONT_ROOM..],
                    "what follows was overwritten"
                );
                if flow.has_tail() {
                    flow.tail(&mut out);
                }
                return Ok(out);
            }
            assert_eq!(step.consumed, end, "{rest}");
        }
        Ok(out)
    }

    fn decoded(mut bytes: Vec<u8>) -> Vec<u8> {
        let decoded = Decoder::default().decode(&mut bytes).unwrap();
        assert!(decoded.done && decoded.consumed == bytes.len());
        bytes.truncate(decoded.data);
        bytes
    }

    #[test]
    fn chunked_bodies_are_written_anew() {
        let input = b"5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET / HTTP/1.1";
        for size in 1..=input.len() {
            let mut flow = BodyFlow::new(Framing::Chunked, true, None);
            let out = through(&mut flow, input, size).unwrap();
            assert_eq!(decoded(out), b"hello!", "pieces of {size}");
            assert_eq!(flow.total(), 6);
        }
    }

    #[test]
    fn chunked_bodies_lose_their_coding_for_old_clients() {
        for size in 1..20 {
            let mut flow = BodyFlow::new(Framing::Chunked, false, None);
            assert_eq!(through(&mut flow, b"3\r\nabc\r\n0\r\nX: y\r\n\r\n", size).unwrap(), b"abc");
        }
    }

    #[test]
    fn trailers_go_on_but_for_those_that_control() {
        let input = b"1\r\na\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\nAuthorization: x\r\nHost: evil\r\n\r\n";
        for size in 1..=input.len() {
            let mut flow = BodyFlow::new(Framing::Chunked, true, None);
            let out = through(&mut flow, input, size).unwrap();
            assert!(out.ends_with(b"0\r\nX-Sum: 7\r\n\r\n"), "{:?}", String::from_utf8_lossy(&out));
        }
    }

    #[test]
    fn trailers_that_the_route_or_the_head_keeps_back_stay_behind() {
        let input = b"1\r\na\r\n0\r\nX-Sum: 7\r\nX-Inner: 8\r\n\r\n";
        let edits = Arc::new(Edits { remove: vec!["x-inner".into()], ..Edits::default() });
        let mut flow = BodyFlow::new(Framing::Chunked, true, None).without(false, &edits);
        assert!(through(&mut flow, input, 9).unwrap().ends_with(b"0\r\nX-Sum: 7\r\n\r\n"));
        let mut flow = BodyFlow::new(Framing::Chunked, true, None).without(true, &Arc::default());
        assert!(through(&mut flow, input, 9).unwrap().ends_with(b"\r\n0\r\n\r\n"));
    }

    #[test]
    fn a_length_is_kept_and_the_rest_left() {
        for size in 1..10 {
            let mut flow = BodyFlow::new(Framing::Length(5), false, None);
            assert_eq!(through(&mut flow, b"helloGET", size).unwrap(), b"hello");
            assert!(flow.is_done());
        }
    }

    #[test]
    fn a_body_until_close_is_chunked_and_ends_with_the_connection() {
        let mut flow = BodyFlow::new(Framing::UntilClose, true, None);
        let mut out = through(&mut flow, b"hello", 2).unwrap();
        let mut buffer = [0; 64];
        let step = flow.close(&mut buffer, FRONT_ROOM).unwrap();
        out.extend_from_slice(&buffer[step.start..step.end]);
        assert_eq!(decoded(out), b"hello");
    }

    #[test]
    fn limits_and_truncation() {
        let mut flow = BodyFlow::new(Framing::Chunked, true, Some(4));
        assert_eq!(through(&mut flow, b"5\r\nhello\r\n", 3), Err(BodyFault::TooLarge));
        let mut flow = BodyFlow::new(Framing::Length(5), false, None);
        through(&mut flow, b"hell", 2).unwrap();
        assert_eq!(flow.close(&mut [0; 32], FRONT_ROOM), Err(BodyFault::Truncated));
    }
}
