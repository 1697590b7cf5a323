//! WebSocket messages that must come back (RFC 6455), after the handshake.
//!
//! Only what an echo needs: one masked frame out, frames of any cut in, pings answered with the next
//! message, a close or a broken rule reported.

use std::sync::Arc;

use super::Progress;
use crate::fault::{Cause, Fault};
use crate::template::Template;

/// The largest control frame (section 5.5).
const CONTROL_MAX: u64 = 125;
/// One key is enough: masking protects intermediaries from scripts in browsers, which this is not.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The message of a run.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its text.
    pub text: Arc<Template>,
}

/// One connection after its handshake.
#[derive(Clone, Debug)]
pub struct WebSocket {
    message: Message,
    /// The text that must come back, and how much of it has.
    awaited: Vec<u8>,
    matched: usize,
    /// A frame header that came in pieces.
    header: Vec<u8>,
    frame: Option<Frame>,
    /// Payload of the control frame being read.
    control: Vec<u8>,
    /// Payload of a ping that is yet to be answered.
    pong: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    last: bool,
    opcode: u8,
    left: u64,
}

impl WebSocket {
    /// A connection whose handshake is done.
    #[must_use]
    pub fn new(message: Message) -> Self {
        Self {
            message,
            awaited: Vec::new(),
            matched: 0,
            header: Vec::with_capacity(14),
            frame: None,
            control: Vec::new(),
            pong: None,
        }
    }

    /// Puts the next message into `out`, behind the pong that is owed.
    pub fn ask(&mut self, number: u64, out: &mut Vec<u8>) {
        self.awaited.clear();
        self.matched = 0;
        self.message.text.render(number, &mut self.awaited);
        out.clear();
        if let Some(payload) = self.pong.take() {
            push_frame(0x8a, &payload, out);
        }
        push_frame(0x81, &self.awaited, out);
    }

    /// Reads on.
    ///
    /// # Errors
    /// When another message came, a close, or a frame that breaks the rules.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, Fault> {
        let mut rest = bytes;
        let mut done = false;
        while !rest.is_empty() {
            let used = match self.frame {
                None => self.feed_header(rest)?,
                Some(frame) => self.feed_payload(frame, rest)?,
            };
            rest = &rest[used..];
            if let Some(frame) = self.frame.filter(|frame| frame.left == 0) {
                self.frame = None;
                done |= self.end_frame(frame)?;
            }
        }
        Ok(if done { Progress::Done } else { Progress::More })
    }

    fn feed_header(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        for (index, &byte) in bytes.iter().enumerate() {
            self.header.push(byte);
            if let Some(frame) = parse_header(&self.header)? {
                self.header.clear();
                self.frame = Some(frame);
                return Ok(index + 1);
            }
        }
        Ok(bytes.len())
    }

    fn feed_payload(&mut self, frame: Frame, bytes: &[u8]) -> Result<usize, Fault> {
        let taken = frame.left.min(bytes.len() as u64) as usize;
        let payload = &bytes[..taken];
        if frame.opcode >= 8 {
            self.control.extend_from_slice(payload);
        } else if self.awaited[self.matched..].starts_with(payload) {
            self.matched += taken;
        } else {
            return Err(Fault::new(Cause::UnexpectedAnswer, "the message that came back is another one"));
        }
        self.frame = Some(Frame { left: frame.left - taken as u64, ..frame });
        Ok(taken)
    }

    /// Whether this frame ended the message.
    fn end_frame(&mut self, frame: Frame) -> Result<bool, Fault> {
        let control = std::mem::take(&mut self.control);
        match frame.opcode {
            0..=2 if frame.last && self.matched < self.awaited.len() => {
                Err(Fault::new(Cause::UnexpectedAnswer, "the message that came back is shorter"))
            }
            0..=2 => Ok(frame.last),
            8 => Err(Fault::closed_early(close_reason(&control))),
            9 => {
                self.pong = Some(control);
                Ok(false)
            }
            _ => Ok(false),
        }
    }
}

fn parse_header(header: &[u8]) -> Result<Option<Frame>, Fault> {
    let [first, second, extended @ ..] = header else { return Ok(None) };
    let (last, opcode) = (first & 0x80 != 0, first & 0x0f);
    if first & 0x70 != 0 || !matches!(opcode, 0..=2 | 8..=10) {
        return Err(Fault::bad_response("a websocket frame with reserved bits or opcode"));
    }
    if second & 0x80 != 0 {
        return Err(Fault::bad_response("the server masked a websocket frame"));
    }
    let left = match (second & 0x7f, extended) {
        (126, [high, low]) => u64::from(u16::from_be_bytes([*high, *low])),
        (127, bytes) if bytes.len() == 8 => bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
        (126 | 127, _) => return Ok(None),
        (short, _) => u64::from(short),
    };
    if opcode >= 8 && (left > CONTROL_MAX || !last) {
        return Err(Fault::bad_response("a websocket control frame that is too long or fragmented"));
    }
    Ok(Some(Frame { last, opcode, left }))
}

fn push_frame(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    let length = payload.len() as u64;
    match length {
        0..=125 => out.push(0x80 | length as u8),
        126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

fn close_reason(payload: &[u8]) -> String {
    match payload {
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            format!("the server closed the websocket: {code} {}", String::from_utf8_lossy(reason))
        }
        _ => "the server closed the websocket".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(text: &[u8]) -> (WebSocket, Vec<u8>) {
        let mut socket = WebSocket::new(Message { text: Arc::new(Template::fixed(text)) });
        let mut out = Vec::new();
        socket.ask(0, &mut out);
        (socket, out)
    }

    fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            0..=125 => frame.push(payload.len() as u8),
            126..=0xffff => {
                frame.push(126);
                frame.extend((payload.len() as u16).to_be_bytes());
            }
            _ => {
                frame.push(127);
                frame.extend((payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend(payload);
        frame
    }

    #[test]
    fn messages_of_every_length_form_come_back() {
        for length in [0usize, 1, 125, 126, 65_535, 65_536] {
            let text = vec![b'x'; length];
            let (mut socket, _) = socket(&text);
            let frame = server_frame(0x81, &text);
            assert_eq!(socket.feed(&frame[..1]), Ok(Progress::More), "{length}");
            assert_eq!(socket.feed(&frame[1..]), Ok(Progress::Done), "{length}");
        }
    }

    #[test]
    fn what_is_sent_is_masked() {
        let (_, out) = socket(b"hello");
        assert_eq!(out[..2], [0x81, 0x85]);
        let clear: Vec<u8> = out[6..].iter().zip(out[2..6].iter().cycle()).map(|(a, b)| a ^ b).collect();
        assert_eq!(clear, b"hello");
    }

    #[test]
    fn fragments_add_up_and_a_ping_between_them_is_answered_next() {
        let (mut socket, _) = socket(b"hello");
        let mut bytes = server_frame(0x01, b"hel");
        bytes.extend(server_frame(0x89, b"?"));
        bytes.extend(server_frame(0x80, b"lo"));
        assert_eq!(socket.feed(&bytes), Ok(Progress::Done));
        let mut out = Vec::new();
        socket.ask(1, &mut out);
        assert_eq!(out[0], 0x8a);
        assert_eq!(out[7], 0x81);
    }

    #[test]
    fn wrong_answers_are_named() {
        for (frame, cause) in [
            (server_frame(0x81, b"other"), Cause::UnexpectedAnswer),
            (server_frame(0x81, b"hell"), Cause::UnexpectedAnswer),
            (server_frame(0x81, b"hello!"), Cause::UnexpectedAnswer),
            (server_frame(0x88, b"\x03\xe8bye"), Cause::ClosedEarly),
            (vec![0xc1, 0], Cause::BadResponse),
            (vec![0x81, 0x85], Cause::BadResponse),
            (vec![0x83, 0], Cause::BadResponse),
            (vec![0x89, 126, 0, 200], Cause::BadResponse),
        ] {
            let (mut socket, _) = socket(b"hello");
            assert_eq!(socket.feed(&frame).unwrap_err().cause, cause, "{frame:?}");
        }
    }
}
