//! Where the two readers may differ, as data: what we refuse and hyper reads, and the few places where it is the other
//! way round. Nothing else may differ, and nothing that is listed may have stopped to.

/// One place where the two differ.
pub(crate) struct Difference {
    pub(crate) name: &'static str,
    /// Bytes on which they do.
    pub(crate) example: &'static [u8],
    /// Is it in this message?
    pub(crate) applies: fn(&Suspect<'_>) -> bool,
    /// We refuse what hyper reads, but for the places where it refuses what we read.
    pub(crate) hyper_is_stricter: bool,
    /// The rule that we follow, or the freedom that we use, with its section.
    pub(crate) reason: &'static str,
}

/// The message on which the two differ, and what follows it.
pub(crate) struct Suspect<'a> {
    lines: Vec<&'a [u8]>,
    body: &'a [u8],
    all: &'a [u8],
}

pub(crate) const REQUESTS: &[Difference] = &[
    Difference {
        name: "a line that ends in LF alone",
        example: b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        applies: |suspect| suspect.has_bare_lf(),
        hyper_is_stricter: false,
        reason: "RFC 9112, 2.2: a recipient MAY take it for a line's end; who does not is safe from who does",
    },
    Difference {
        name: "no Host, several, or one that is no authority",
        example: b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        applies: |suspect| match suspect.values("host")[..] {
            [] => suspect.has_in_first_line(b"HTTP/1.1"),
            [one] => one.is_empty() || one.iter().any(|byte| b" ,@/".contains(byte)),
            _ => true,
        },
        hyper_is_stricter: false,
        reason: "RFC 9112, 3.2: a server MUST answer 400; hyper leaves it to its caller",
    },
    Difference {
        name: "a target in none of the four forms",
        example: b"GET x HTTP/1.1\r\nHost: a\r\n\r\n",
        applies: |suspect| {
            let target = suspect.target();
            let absolute = target.to_ascii_lowercase();
            let absolute = absolute.starts_with(b"http://") || absolute.starts_with(b"https://");
            let asterisk = target == b"*" && suspect.lines[0].starts_with(b"OPTIONS ");
            !(target.starts_with(b"/") || absolute || asterisk)
        },
        hyper_is_stricter: false,
        reason: "RFC 9112, 3.2: origin-form, absolute-form, and the asterisk of OPTIONS alone; we serve two schemes",
    },
    Difference {
        name: "user information, a fragment, or a byte beyond ASCII in the target",
        example: b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        applies: |suspect| suspect.target().iter().any(|byte| b"#@".contains(byte) || !byte.is_ascii()),
        hyper_is_stricter: false,
        reason: "RFC 9112, 3.2 and RFC 9110, 4.2.4: neither belongs in a target; RFC 3986, 2.1 has bytes encoded",
    },
    Difference {
        name: "characters in the target that RFC 3986 has encoded",
        example: b"GET /\"<>`{}|\\^ HTTP/1.1\r\nHost: a\r\n\r\n",
        applies: |suspect| suspect.target().iter().any(|byte| b"\"<>`{}|\\^".contains(byte)),
        hyper_is_stricter: true,
        reason: "browsers send some of them as they are; none of them ends or splits a target, and nginx reads them too",
    },
    Difference {
        name: "an expectation that is not 100-continue",
        example: b"GET / HTTP/1.1\r\nHost: a\r\nExpect: v\r\n\r\n",
        applies: |suspect| suspect.values("expect").iter().any(|value| *value != b"100-continue"),
        hyper_is_stricter: false,
        reason: "RFC 9110, 10.1.1: 417; hyper leaves it to its caller",
    },
    Difference {
        name: "Content-Length more than once, as a list, or no plain number",
        example: b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        applies: |suspect| match suspect.values("content-length")[..] {
            [] => false,
            [one] => one.len() > 19 || one.is_empty() || !one.iter().all(u8::is_ascii_digit),
            _ => true,
        },
        hyper_is_stricter: false,
        reason: "RFC 9112, 6.3: a list of equal lengths MAY be repaired; we do not repair what others may read otherwise",
    },
    Difference {
        name: "Content-Length beside Transfer-Encoding",
        example:
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        applies: |suspect| suspect.has("content-length") && suspect.has("transfer-encoding"),
        hyper_is_stricter: false,
        reason: "RFC 9112, 6.1: a server MAY refuse it, and it is the classic of smuggling",
    },
    Difference {
        name: "a transfer coding that is not exactly `chunked`",
        example: b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        applies: |suspect| match suspect.values("transfer-encoding")[..] {
            [] => false,
            [one] => !one.eq_ignore_ascii_case(b"chunked"),
            _ => true,
        },
        hyper_is_stricter: false,
        reason: "RFC 9112, 6.1 and 7: unknown codings may be refused, `chunked` MUST NOT be applied twice; no peer of ours needs more",
    },
    Difference {
        name: "white space in a chunk's size line, or more than 15 digits",
        example: b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
        applies: |suspect| suspect.has_odd_size(),
        hyper_is_stricter: false,
        reason: "RFC 9112, 7.1: 1*HEXDIG and nothing else; 60 bits are enough for any chunk",
    },
    Difference {
        name: "a control byte in a chunk's extension",
        example:
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;\0\r\nhello\r\n0\r\n\r\n",
        applies: |suspect| suspect.body.contains(&0),
        hyper_is_stricter: false,
        reason: "RFC 9112, 7.1.1: an extension is made of tokens and quoted strings; neither has one",
    },
];

pub(crate) const RESPONSES: &[Difference] = &[
    Difference {
        name: "a line that ends in LF alone",
        example: b"HTTP/1.1 200 OK\n\r\n",
        applies: |suspect| suspect.has_bare_lf(),
        hyper_is_stricter: false,
        reason: "RFC 9112, 2.2: a recipient MAY take it for a line's end; who does not is safe from who does",
    },
    Difference {
        name: "Content-Length more than once, as a list, or no plain number",
        example: b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
        applies: |suspect| match suspect.values("content-length")[..] {
            [] => false,
            [one] => one.len() > 19 || one.is_empty() || !one.iter().all(u8::is_ascii_digit),
            _ => true,
        },
        hyper_is_stricter: false,
        reason: "RFC 9112, 6.3: a list of equal lengths MAY be repaired; we do not repair what others may read otherwise",
    },
    Difference {
        name: "Content-Length beside Transfer-Encoding",
        example: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        applies: |suspect| suspect.has("content-length") && suspect.has("transfer-encoding"),
        hyper_is_stricter: false,
        reason: "RFC 9112, 6.1: a server MAY refuse it, and it is the classic of smuggling",
    },
    Difference {
        name: "a transfer coding that is not exactly `chunked`",
        example: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        applies: |suspect| match suspect.values("transfer-encoding")[..] {
            [] => false,
            [one] => !one.eq_ignore_ascii_case(b"chunked"),
            _ => true,
        },
        hyper_is_stricter: false,
        reason: "RFC 9112, 6.1 and 7: unknown codings may be refused, `chunked` MUST NOT be applied twice; no peer of ours needs more",
    },
    Difference {
        name: "white space in a chunk's size line, or more than 15 digits",
        example: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
        applies: |suspect| suspect.has_odd_size(),
        hyper_is_stricter: false,
        reason: "RFC 9112, 7.1: 1*HEXDIG and nothing else; 60 bits are enough for any chunk",
    },
    Difference {
        name: "a control byte in a chunk's extension",
        example: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;\0\r\nhello\r\n0\r\n\r\n",
        applies: |suspect| suspect.body.contains(&0),
        hyper_is_stricter: false,
        reason: "RFC 9112, 7.1.1: an extension is made of tokens and quoted strings; neither has one",
    },
    Difference {
        name: "a transfer coding in an HTTP/1.0 response",
        example: b"HTTP/1.0 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        applies: |suspect| suspect.has_in_first_line(b"HTTP/1.0") && suspect.has("transfer-encoding"),
        hyper_is_stricter: false,
        reason: "RFC 9112, 6.1: faulty framing, whatever the status; hyper looks only where it expects a body",
    },
];

impl<'a> Suspect<'a> {
    pub(crate) fn new(all: &'a [u8]) -> Self {
        let begin = all.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(0);
        let message = &all[begin..];
        let ends = (0..message.len()).filter_map(|at| {
            let rest = &message[at..];
            [&b"\n\r\n"[..], b"\n\n"].iter().find(|end| rest.starts_with(end)).map(|end| at + end.len())
        });
        let end = ends.min().unwrap_or(message.len());
        let (head, body) = message.split_at(end);
        Self { lines: head.split(|&byte| byte == b'\n').collect(), body, all }
    }

    /// In the head or the body. An LF before the message counts as well: it is an empty line.
    fn has_bare_lf(&self) -> bool {
        let bare = |at: usize| self.all[at] == b'\n' && (at == 0 || self.all[at - 1] != b'\r');
        (0..self.all.len()).any(bare)
    }

    fn target(&self) -> &'a [u8] {
        self.lines[0].split(|&byte| byte == b' ').nth(1).unwrap_or_default()
    }

    fn has_in_first_line(&self, part: &[u8]) -> bool {
        self.lines[0].windows(part.len()).any(|window| window == part)
    }

    /// A line of the body with a space or a tab in front of its extension, or with too many digits.
    fn has_odd_size(&self) -> bool {
        let mut lines = self.body.split(|&byte| byte == b'\n');
        lines.any(|line| {
            let size = line.split(|byte| b";\r".contains(byte)).next().unwrap_or_default();
            let digits = size.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            digits > 15 || (digits > 0 && size[digits..].iter().any(|byte| b" \t".contains(byte)))
        })
    }

    fn has(&self, name: &str) -> bool {
        !self.values(name).is_empty()
    }

    fn values(&self, name: &str) -> Vec<&'a [u8]> {
        let fields = self.lines.iter().skip(1).filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            line[..colon].eq_ignore_ascii_case(name.as_bytes()).then(|| line[colon + 1..].trim_ascii())
        });
        fields.collect()
    }
}
