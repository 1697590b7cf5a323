//! A strict reader of HTTP/1 messages that shares nothing with the balancer's own parser.
//!
//! It reads what the balancer *writes*, to nodes and to clients: everything that a recipient could understand in two
//! ways is an error here, even where the RFC would let a lenient recipient accept it.

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    None,
    /// `Content-Length`.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// It ends with the connection.
    Close,
}

/// What is being read, because a response's framing depends on the request and on the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side<'a> {
    /// A request.
    Request,
    /// A response to a request with this method; `ended` once the connection has been closed.
    Response { method: &'a str, ended: bool },
}

/// One message. Bytes above 0x7f are kept as the Latin-1 character of the same number.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The start line without its CRLF.
    pub(crate) start: String,
    /// Field lines in order, names as received.
    pub(crate) fields: Vec<(String, String)>,
    /// The body, codings removed.
    pub(crate) body: Vec<u8>,
    /// Trailer fields in order.
    pub(crate) trailers: Vec<(String, String)>,
    /// How the body was framed.
    pub(crate) framing: Framing,
    /// Bytes of the head, with its empty line.
    pub(crate) head_len: usize,
    /// Bytes of the whole message.
    pub(crate) len: usize,
}

impl Message {
    pub(crate) fn method(&self) -> &str {
        self.part(0)
    }

    pub(crate) fn target(&self) -> &str {
        self.part(1)
    }

    pub(crate) fn status(&self) -> u16 {
        self.part(1).parse().unwrap_or(0)
    }

    /// The only value of a field; fails the test where it occurs twice.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} occurs {} times in {self:?}", all.len());
        all.first().copied()
    }

    /// All values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        values(&self.fields, name)
    }

    /// All values of a trailer field.
    pub(crate) fn trailer(&self, name: &str) -> Vec<&str> {
        values(&self.trailers, name)
    }

    /// Is this element in the comma-separated list of the field, without regard to case?
    pub(crate) fn lists(&self, name: &str, element: &str) -> bool {
        self.all(name).iter().flat_map(|v| v.split(',')).any(|e| e.trim().eq_ignore_ascii_case(element))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        latin1(&self.body)
    }

    fn part(&self, at: usize) -> &str {
        self.start.split(' ').nth(at).unwrap_or("")
    }
}

fn values<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
}

/// The message at the front of `bytes`: `None` while more bytes are needed, an error where they are not one
/// unambiguous message.
pub(crate) fn parse(bytes: &[u8], side: Side<'_>) -> Result<Option<Message>, String> {
    let Some(head_len) = head_len(bytes)? else { return Ok(None) };
    let mut message = parse_head(&bytes[..head_len])?;
    check_start(&message, side)?;
    message.framing = framing(&message, side)?;
    let rest = &bytes[head_len..];
    let used = match message.framing {
        Framing::None => Some(0),
        Framing::Length(length) => take_length(&mut message, rest, length),
        Framing::Chunked => take_chunks(&mut message, rest)?,
        Framing::Close => take_all(&mut message, rest, side),
    };
    message.len = head_len + used.unwrap_or(0);
    Ok(used.map(|_| message))
}

/// The head alone, as soon as it is whole.
pub(crate) fn parse_head_only(bytes: &[u8], side: Side<'_>) -> Result<Option<Message>, String> {
    let Some(head_len) = head_len(bytes)? else { return Ok(None) };
    let mut message = parse_head(&bytes[..head_len])?;
    check_start(&message, side)?;
    message.framing = framing(&message, side)?;
    Ok(Some(message))
}

fn head_len(bytes: &[u8]) -> Result<Option<usize>, String> {
    let found = find(bytes, b"\r\n\r\n").map(|at| at + 4);
    let head = &bytes[..found.unwrap_or(bytes.len())];
    for (at, byte) in head.iter().enumerate() {
        let bare = match byte {
            b'\n' => at == 0 || head[at - 1] != b'\r',
            b'\r' => at + 1 < head.len() && head[at + 1] != b'\n',
            _ => false,
        };
        if bare {
            return Err(format!("a bare CR or LF at byte {at} of {:?}", latin1(head)));
        }
    }
    Ok(found)
}

fn parse_head(head: &[u8]) -> Result<Message, String> {
    let mut lines = split_lines(&head[..head.len() - 4]);
    let start = latin1(lines.remove(0));
    let fields = lines.into_iter().map(field).collect::<Result<_, _>>()?;
    let (body, trailers) = (Vec::new(), Vec::new());
    Ok(Message {
        start,
        fields,
        body,
        trailers,
        framing: Framing::None,
        head_len: head.len(),
        len: head.len(),
    })
}

fn split_lines(mut text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some(at) = find(text, b"\r\n") {
        lines.push(&text[..at]);
        text = &text[at + 2..];
    }
    lines.push(text);
    lines
}

fn field(line: &[u8]) -> Result<(String, String), String> {
    let bad = |why: &str| format!("{why}: {:?}", latin1(line));
    let colon = line.iter().position(|b| *b == b':').ok_or_else(|| bad("a field line without a colon"))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
        return Err(bad("a field name that is no token"));
    }
    if value.iter().any(|b| (*b < 0x20 && *b != b'\t') || *b == 0x7f) {
        return Err(bad("a control byte in a field value"));
    }
    Ok((latin1(name), latin1(value).trim_matches([' ', '\t']).to_owned()))
}

fn check_start(message: &Message, side: Side<'_>) -> Result<(), String> {
    let bad = |why: &str| Err(format!("{why}: {:?}", message.start));
    // A tab is legal in a reason phrase (RFC 9112, 4), and nowhere else in a start line.
    let is_tab_of_reason = |at: usize, b: u8| b == b'\t' && at > 12 && matches!(side, Side::Response { .. });
    if message.start.bytes().enumerate().any(|(at, b)| (b < 0x20 || b == 0x7f) && !is_tab_of_reason(at, b)) {
        return bad("a control byte in the start line");
    }
    match side {
        Side::Request => {
            let parts: Vec<&str> = message.start.split(' ').collect();
            if parts.len() != 3 || parts[2] != "HTTP/1.1" {
                return bad("not a request line");
            }
            if parts[0].is_empty() || !parts[0].bytes().all(is_token) {
                return bad("a method that is no token");
            }
            if !(parts[1].starts_with('/') || parts[1] == "*" || parts[1].starts_with("http://")) {
                return bad("a target of no known form");
            }
            match message.all("host").len() {
                1 => Ok(()),
                n => Err(format!("{n} Host fields in {message:?}")),
            }
        }
        Side::Response { .. } => {
            let line = message.start.as_bytes();
            let code = line.get(9..12).is_some_and(|c| c.iter().all(u8::is_ascii_digit));
            if !message.start.starts_with("HTTP/1.1 ") || !code || line.get(12).is_some_and(|b| *b != b' ') {
                return bad("not a status line");
            }
            Ok(())
        }
    }
}

fn framing(message: &Message, side: Side<'_>) -> Result<Framing, String> {
    let (codings, lengths) = (message.all("transfer-encoding"), message.all("content-length"));
    if codings.len() + lengths.len() > 1 {
        return Err(format!("more than one statement of the framing in {message:?}"));
    }
    if let Side::Response { method, .. } = side {
        let status = message.status();
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return Ok(Framing::None);
        }
    }
    if let Some(coding) = codings.first() {
        return if coding.eq_ignore_ascii_case("chunked") {
            Ok(Framing::Chunked)
        } else {
            Err(format!("a coding other than chunked: {coding:?}"))
        };
    }
    match (lengths.first(), side) {
        (Some(length), _) => digits(length, 10).map(Framing::Length),
        (None, Side::Request) => Ok(Framing::None),
        (None, Side::Response { .. }) => Ok(Framing::Close),
    }
}

fn digits(text: &str, radix: u32) -> Result<usize, String> {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    plain
        .then(|| usize::from_str_radix(text, radix).ok())
        .flatten()
        .ok_or_else(|| format!("{text:?} is not a plain number"))
}

fn take_length(message: &mut Message, rest: &[u8], length: usize) -> Option<usize> {
    message.body = rest.get(..length)?.to_vec();
    Some(length)
}

fn take_all(message: &mut Message, rest: &[u8], side: Side<'_>) -> Option<usize> {
    let Side::Response { ended: true, .. } = side else { return None };
    message.body = rest.to_vec();
    Some(rest.len())
}

fn take_chunks(message: &mut Message, rest: &[u8]) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let Some(end) = find(&rest[at..], b"\r\n") else { return Ok(None) };
        let size = digits(&latin1(&rest[at..at + end]), 16)?;
        at += end + 2;
        if size == 0 {
            return take_trailers(message, &rest[at..]).map(|used| used.map(|used| at + used));
        }
        let Some(chunk) = rest.get(at..at.saturating_add(size).saturating_add(2)) else { return Ok(None) };
        if !chunk.ends_with(b"\r\n") {
            return Err(format!("chunk data of {size} bytes without its CRLF"));
        }
        message.body.extend_from_slice(&chunk[..size]);
        at += size + 2;
    }
}

fn take_trailers(message: &mut Message, rest: &[u8]) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let Some(end) = find(&rest[at..], b"\r\n") else { return Ok(None) };
        let line = &rest[at..at + end];
        at += end + 2;
        if line.is_empty() {
            return Ok(Some(at));
        }
        message.trailers.push(field(line)?);
    }
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}

pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
