//! HTTP/1 answers, read incrementally: framing is followed, bodies are counted and thrown away.

use std::mem::MaybeUninit;
use std::sync::Arc;

use super::chunked::Chunked;
use crate::fault::Fault;

/// The largest head that is read.
const HEAD_MAX: usize = 64 * 1024;
/// The most header lines that are read.
const HEADERS_MAX: usize = 128;
/// The longest value of the node header that is kept.
const NODE_MAX: usize = 128;

/// Whether the answer is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    More,
    /// The answer is whole.
    Done,
}

/// The framing of a body (RFC 9112 section 6.3).
#[derive(Clone, Debug)]
enum Part {
    Head,
    Length { left: u64 },
    Chunked(Chunked),
    UntilClose,
}

/// A reader of one answer after another on one connection.
#[derive(Clone, Debug)]
pub struct AnswerReader {
    part: Part,
    /// A head that came in pieces; empty while heads come whole.
    partial: Vec<u8>,
    head_only: bool,
    node_header: Arc<str>,
    /// Of the answer being read, or of the last one.
    head: Head,
}

/// What a head says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Whether the connection may be used again.
    pub keep: bool,
    /// Value of the node header; empty when there was none.
    pub node: Vec<u8>,
}

impl AnswerReader {
    /// A reader of answers. `head_only`: they answer HEAD requests and have no body.
    #[must_use]
    pub fn new(head_only: bool, node_header: Arc<str>) -> Self {
        let head = Head { status: 0, keep: false, node: Vec::with_capacity(NODE_MAX) };
        Self { part: Part::Head, partial: Vec::new(), head_only, node_header, head }
    }

    /// The head of the answer that [`Progress::Done`] spoke of.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Reads on. After `Done`, the next bytes belong to the next answer.
    ///
    /// # Errors
    /// When the bytes are no HTTP, or go on after the end of the answer.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, Fault> {
        let mut rest = bytes;
        loop {
            let used = match &mut self.part {
                Part::Head => self.feed_head(rest)?,
                Part::Length { left } => feed_length(left, rest),
                Part::Chunked(chunked) => chunked.feed(rest).map_err(Fault::bad_response)?,
                Part::UntilClose => None,
            };
            let Some(used) = used else { return Ok(Progress::More) };
            rest = &rest[used..];
            if self.answer_ended() {
                self.part = Part::Head;
                return no_rest(rest);
            }
        }
    }

    /// The peer closed. That is the proper end of some answers.
    ///
    /// # Errors
    /// When it is not.
    pub fn finish(&mut self) -> Result<Progress, Fault> {
        match std::mem::replace(&mut self.part, Part::Head) {
            Part::UntilClose => Ok(Progress::Done),
            Part::Head if self.partial.is_empty() => Err(Fault::closed_early("no byte of an answer came")),
            Part::Head => Err(Fault::closed_early("the head was not whole")),
            Part::Length { left } => Err(Fault::closed_early(format!("{left} bytes of the body missing"))),
            Part::Chunked(_) => Err(Fault::closed_early("the last chunk is missing")),
        }
    }

    /// Called when a part has ended: a head that announces a body, or a 1xx head, is not the end.
    fn answer_ended(&self) -> bool {
        match &self.part {
            Part::Head => self.head.status >= 200,
            Part::Length { left } => *left == 0,
            // A chunked body says itself where it ends; a part that has just begun has not ended.
            Part::Chunked(chunked) => chunked.ended(),
            Part::UntilClose => false,
        }
    }

    fn feed_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        if self.partial.is_empty() {
            let used = self.parse(bytes)?;
            if used.is_none() {
                self.partial.extend_from_slice(bytes);
            }
            return Ok(used);
        }
        let before = self.partial.len();
        let mut partial = std::mem::take(&mut self.partial);
        partial.extend_from_slice(bytes);
        let used = self.parse(&partial)?.map(|used| used - before);
        if used.is_some() {
            partial.clear();
        }
        self.partial = partial;
        Ok(used)
    }

    /// Parses a head at the start of `bytes`; `None` when it is not whole yet.
    fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let mut lines = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            bytes,
            &mut lines,
        );
        match parsed.map_err(|error| Fault::bad_response(error.to_string()))? {
            httparse::Status::Partial if bytes.len() > HEAD_MAX => {
                Err(Fault::bad_response("the head is longer than 64 KiB"))
            }
            httparse::Status::Partial => Ok(None),
            httparse::Status::Complete(used) => {
                self.part = self.read_head(&response)?;
                Ok(Some(used))
            }
        }
    }

    fn read_head(&mut self, response: &httparse::Response<'_, '_>) -> Result<Part, Fault> {
        let status = final_or_interim(response.code.unwrap_or(0))?;
        self.head.status = status;
        self.head.keep = response.version == Some(1);
        self.head.node.clear();
        let mut length = None;
        let mut chunked = false;
        for header in response.headers.iter() {
            match header.name.len() {
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    length = Some(read_length(length, header.value)?);
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    chunked = header.value.trim_ascii().to_ascii_lowercase().ends_with(b"chunked");
                }
                10 if header.name.eq_ignore_ascii_case("connection") => self.read_connection(header.value),
                _ => {}
            }
            if header.name.eq_ignore_ascii_case(&self.node_header) {
                let value = header.value;
                self.head.node.extend_from_slice(&value[..value.len().min(NODE_MAX)]);
            }
        }
        Ok(self.framing(status, length, chunked))
    }

    fn framing(&mut self, status: u16, length: Option<u64>, chunked: bool) -> Part {
        if self.head_only || status < 200 || status == 204 || status == 304 {
            return Part::Head;
        }
        match length {
            _ if chunked => Part::Chunked(Chunked::default()),
            Some(0) => Part::Head,
            Some(left) => Part::Length { left },
            None => {
                self.head.keep = false;
                Part::UntilClose
            }
        }
    }

    fn read_connection(&mut self, value: &[u8]) {
        for token in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"close") {
                self.head.keep = false;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.head.keep = true;
            }
        }
    }
}

/// After 101 (RFC 9110 section 15.2.2) another protocol is spoken, and below 100 is no status: nothing that could
/// be waited for follows.
fn final_or_interim(status: u16) -> Result<u16, Fault> {
    match status {
        101 => Err(Fault::bad_response("101 switches to a protocol that was not asked for")),
        0..=99 => Err(Fault::bad_response(format!("{status:03} is no status"))),
        _ => Ok(status),
    }
}

fn feed_length(left: &mut u64, bytes: &[u8]) -> Option<usize> {
    let taken = (*left).min(bytes.len() as u64);
    *left -= taken;
    (*left == 0).then_some(taken as usize)
}

fn no_rest(rest: &[u8]) -> Result<Progress, Fault> {
    if rest.is_empty() {
        return Ok(Progress::Done);
    }
    Err(Fault::bad_response(format!("{} bytes after the end of the answer", rest.len())))
}

fn read_length(seen: Option<u64>, value: &[u8]) -> Result<u64, Fault> {
    let text = std::str::from_utf8(value).unwrap_or("").trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(length) if digits && seen.is_none_or(|other| other == length) => Ok(length),
        _ => Err(Fault::bad_response("the content-length is no single number")),
    }
}

#[cfg(test)]
mod tests;
