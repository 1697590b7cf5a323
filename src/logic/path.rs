//! The normal form of a path: what routes are matched on, so that no spelling of a path slips past its route.
//!
//! A request is forwarded as it came; only the decision looks at the normal form. The rules, all of them:
//!
//! - `%41` is `A`: every escape is decoded, but `%25`, `%23`, `%3F` and `%2F`, which would change their meaning,
//!   stay escapes (with upper-case digits).
//! - `//` is `/`, `.` and `..` segments are resolved (RFC 3986, 5.2.4), however they are escaped.
//! - Ambiguous, and refused: a `..` above the root, a broken escape, a control byte or NUL, a backslash or a `#`
//!   (literal; a backslash escaped too), a dot segment with parameters (`..;x`), and a dot segment beside an
//!   escaped slash (`..%2f`).
//! - An escaped slash elsewhere belongs to its segment. [`Normal::open_slashes`] gives the other reading; the
//!   route table refuses the request where the two readings lead to different routes.

/// The path can be read in more than one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ambiguous;

/// A path in its normal form, in a buffer that the caller gave.
#[derive(Debug)]
pub struct Normal<'a> {
    /// Its first `length` bytes are the path.
    buffer: &'a mut [u8],
    length: usize,
    /// True where segments were removed or merged: the raw path does not have this one's segments.
    pub reshaped: bool,
    /// True where an escaped slash stands in a segment.
    pub escaped_slash: bool,
}

/// True where the path is its own normal form, and nothing needs to be copied: by far the most are.
pub fn is_normal(path: &[u8]) -> bool {
    let mut before = 0;
    for &byte in path {
        // A dot that begins a segment may be harmless (`/.well-known`), but not for this loop to say.
        if !PLAIN[usize::from(byte)] || (before == b'/' && (byte == b'/' || byte == b'.')) {
            return false;
        }
        before = byte;
    }
    path.first() == Some(&b'/')
}

/// Normalises `raw`, a path without its query, into `buffer`, which must be at least as long.
pub fn normalise<'a>(raw: &[u8], buffer: &'a mut [u8]) -> Result<Normal<'a>, Ambiguous> {
    if raw.first() != Some(&b'/') || raw.len() > buffer.len() {
        return Err(Ambiguous);
    }
    let mut writer = Writer { buffer, length: 0, segment: 1, reshaped: false, escaped_slash: false };
    writer.push(b'/');
    let mut rest = &raw[1..];
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'/' => writer.end_segment(true)?,
            b'%' => {
                let (byte, tail) = unescape(rest)?;
                rest = tail;
                writer.push_escaped(byte)?;
            }
            byte => writer.push_checked(*byte)?,
        }
    }
    writer.end_segment(false)?;
    Ok(writer.done())
}

/// Appends a normal path as it may stand in a request target: what a URI cannot hold is escaped, escapes stay.
pub fn encode(normal: &[u8], out: &mut Vec<u8>) {
    for &byte in normal {
        if byte == b'%' || byte == b'/' || is_path_byte(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&escape(byte));
        }
    }
}

/// `%` and two upper-case hexadecimal digits.
pub(super) fn escape(byte: u8) -> [u8; 3] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    [b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// `pchar` without its escapes (RFC 3986, 3.3).
pub(super) fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

impl Normal<'_> {
    /// The path.
    pub fn path(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    /// The other reading of a path with escaped slashes: each of them a slash, `//` merged again.
    pub fn open_slashes(&mut self) {
        let (mut read, mut write) = (0, 0);
        while read < self.length {
            let escaped = self.buffer[read..self.length].starts_with(b"%2F");
            let byte = if escaped { b'/' } else { self.buffer[read] };
            read += if escaped { 3 } else { 1 };
            if byte != b'/' || write == 0 || self.buffer[write - 1] != b'/' {
                self.buffer[write] = byte;
                write += 1;
            }
        }
        self.length = write;
        self.escaped_slash = false;
    }
}

/// Bytes that stand for themselves wherever they are.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let harmful = byte < 0x20 || byte == 0x7f || matches!(byte as u8, b'%' | b'\\' | b'#');
        plain[byte] = !harmful;
        byte += 1;
    }
    plain
};

struct Writer<'a> {
    buffer: &'a mut [u8],
    length: usize,
    /// Where the segment that is being written begins: behind a slash.
    segment: usize,
    reshaped: bool,
    escaped_slash: bool,
}

impl<'a> Writer<'a> {
    fn push(&mut self, byte: u8) {
        self.buffer[self.length] = byte;
        self.length += 1;
    }

    fn push_checked(&mut self, byte: u8) -> Result<(), Ambiguous> {
        if !PLAIN[usize::from(byte)] {
            return Err(Ambiguous);
        }
        self.push(byte);
        Ok(())
    }

    fn push_escaped(&mut self, byte: u8) -> Result<(), Ambiguous> {
        if !matches!(byte, b'%' | b'#' | b'?' | b'/') {
            return self.push_checked(byte);
        }
        self.escaped_slash |= byte == b'/';
        escape(byte).into_iter().for_each(|byte| self.push(byte));
        Ok(())
    }

    /// Closes the segment: keeps it, or resolves it where it is empty or made of dots.
    fn end_segment(&mut self, more: bool) -> Result<(), Ambiguous> {
        match &self.buffer[self.segment..self.length] {
            b"" => self.reshaped |= more,
            b"." => self.rewind(self.segment),
            b".." => self.rewind(self.parent()?),
            segment if hides_dots(segment) => return Err(Ambiguous),
            _ if more => {
                self.push(b'/');
                self.segment = self.length;
            }
            _ => {}
        }
        Ok(())
    }

    fn rewind(&mut self, to: usize) {
        self.length = to;
        self.segment = to;
        self.reshaped = true;
    }

    /// Where the segment before this one begins.
    fn parent(&self) -> Result<usize, Ambiguous> {
        let before = self.segment.checked_sub(1).filter(|at| *at > 0).ok_or(Ambiguous)?;
        Ok(memchr::memrchr(b'/', &self.buffer[..before]).map_or(1, |slash| slash + 1))
    }

    fn done(self) -> Normal<'a> {
        let Self { buffer, length, reshaped, escaped_slash, .. } = self;
        Normal { buffer, length, reshaped, escaped_slash }
    }
}

/// Would some servers see a dot segment here: behind an escaped slash, or before path parameters?
fn hides_dots(segment: &[u8]) -> bool {
    let mut pieces = Pieces(Some(segment));
    pieces.any(|piece| {
        let name = memchr::memchr(b';', piece).map_or(piece, |at| &piece[..at]);
        name == b"." || name == b".."
    })
}

/// The parts of a segment between its escaped slashes.
struct Pieces<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let at = memchr::memmem::find(rest, b"%2F");
        self.0 = at.map(|at| &rest[at + 3..]);
        Some(at.map_or(rest, |at| &rest[..at]))
    }
}

fn unescape(rest: &[u8]) -> Result<(u8, &[u8]), Ambiguous> {
    let [high, low, tail @ ..] = rest else { return Err(Ambiguous) };
    let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or(Ambiguous);
    let value = digit(high)? * 16 + digit(low)?;
    Ok((u8::try_from(value).map_err(|_| Ambiguous)?, tail))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(raw: &[u8]) -> Result<Vec<u8>, Ambiguous> {
        let mut buffer = vec![0; raw.len() + 1];
        normalise(raw, &mut buffer).map(|normal| normal.path().to_vec())
    }

    #[test]
    fn spellings_of_one_path_have_one_normal_form() {
        for (raw, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/%61%2F", "/a%2F"),
            ("/%2e/a", "/a"),
            ("/a/%2E%2e/b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a/..", "/"),
            ("//a///b//", "/a/b/"),
            ("/a/./././b", "/a/b"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
            ("/..a", "/..a"),
            ("/caf%c3%a9", "/café"),
            ("/%252e%252E/a", "/%252e%252E/a"),
            ("/a%3fb%23c", "/a%3Fb%23c"),
            ("/a%2fb", "/a%2Fb"),
            ("/%20", "/ "),
        ] {
            assert_eq!(normal(raw.as_bytes()), Ok(expected.as_bytes().to_vec()), "{raw}");
        }
    }

    #[test]
    fn what_servers_disagree_about_is_ambiguous() {
        for raw in [
            "",
            "a",
            "*",
            "/..",
            "/a/../..",
            "/%2e%2e/a",
            "/%",
            "/%4",
            "/%zz",
            "/%00",
            "/%0a",
            "/%7f",
            "/a\\b",
            "/a%5cb",
            "/a%5C..",
            "/a#b",
            "/a/..%2fb",
            "/a%2f..",
            "/a%2f.%2Fb",
            "/..;/a",
            "/a/.;x=1/b",
            "/..;x%2fb",
        ] {
            assert_eq!(normal(raw.as_bytes()), Err(Ambiguous), "{raw}");
        }
    }

    #[test]
    fn opened_slashes_are_merged() {
        let mut buffer = [0; 32];
        let mut path = normalise(b"/a%2f%2fb/%2Fc%2f", &mut buffer).unwrap();
        assert!(path.escaped_slash);
        path.open_slashes();
        assert_eq!(path.path(), b"/a/b/c/");
    }

    /// Paths with everything in them that matters here.
    fn path() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("/"),
            Just("."),
            Just(".."),
            Just("a"),
            Just("B"),
            Just("%2e"),
            Just("%2F"),
            Just("%25"),
            Just("%41"),
            Just(";"),
            Just("é"),
            Just("%c3%a9"),
            Just("%3f"),
            Just(" "),
            Just("%20"),
            Just("%5c"),
            Just("%"),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()).into_bytes())
    }

    proptest! {
        #[test]
        fn normalising_twice_is_normalising_once(raw in path()) {
            if let Ok(once) = normal(&raw) {
                prop_assert_eq!(normal(&once), Ok(once));
            }
        }

        #[test]
        fn an_encoded_normal_path_is_the_same_path(raw in path()) {
            if let Ok(once) = normal(&raw) {
                let mut encoded = Vec::new();
                encode(&once, &mut encoded);
                prop_assert!(encoded.iter().all(|byte| byte.is_ascii_graphic()));
                prop_assert_eq!(normal(&encoded), Ok(once));
            }
        }

        #[test]
        fn a_path_called_normal_is_unchanged(raw in path()) {
            if is_normal(&raw) {
                prop_assert_eq!(normal(&raw), Ok(raw));
            }
        }

        #[test]
        fn escaping_any_byte_changes_nothing_or_is_refused(raw in path(), at in 0usize..12) {
            let Ok(plain) = normal(&raw) else { return Ok(()) };
            let at = at % raw.len();
            // An escape within an escape is another text, and an escaped slash has its own rule.
            let within = raw[at.saturating_sub(2)..=at].contains(&b'%') || raw[at] == b'/';
            if at > 0 && !within {
                let spelled = [&raw[..at], &escape(raw[at]), &raw[at + 1..]].concat();
                prop_assert_eq!(normal(&spelled), Ok(plain));
            }
        }

        #[test]
        fn no_bytes_panic(raw in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = normal(&raw);
        }
    }
}
