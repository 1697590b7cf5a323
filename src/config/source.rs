//! The text of a configuration, and where in it a byte stands.

use std::ops::Range;

/// U+FEFF, which some editors write at the start of a file.
const MARK: &str = "\u{feff}";

/// A file, or what stands for one, by the name that messages call it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// As the operator wrote it, e.g. `plimsoll.yaml`.
    pub name: String,
    /// All of it, but for a byte order mark.
    pub text: String,
    /// Did one stand before it?
    marked: bool,
    /// Where each line begins.
    line_starts: Vec<usize>,
}

/// A place for a person: both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl Source {
    /// A text by its name. A byte order mark is no part of YAML's content, and would shift every column of the first line.
    pub fn new(name: impl Into<String>, text: &str) -> Self {
        let (text, marked) = text.strip_prefix(MARK).map_or((text, false), |rest| (rest, true));
        let text = text.to_owned();
        let line_starts =
            std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1));
        Self { name: name.into(), line_starts: line_starts.collect(), text, marked }
    }

    /// The bytes of the file, mark and all: what a fingerprint is taken of, so that it is the one that `sha256sum` prints.
    pub fn bytes(&self) -> Vec<u8> {
        let mark = if self.marked { MARK } else { "" };
        [mark, &self.text].concat().into_bytes()
    }

    /// Where a byte stands.
    pub fn position(&self, byte: usize) -> Position {
        let line = self.line_of(byte);
        let before = &self.text[line.start..byte.min(line.end).max(line.start)];
        let lines_before = self.line_starts.partition_point(|start| *start <= line.start);
        Position { line: lines_before.max(1), column: before.chars().count() + 1 }
    }

    /// The bytes of the line that holds a byte, without its end.
    pub fn line_of(&self, byte: usize) -> Range<usize> {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        let start = self.text[..byte].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[byte..].find(['\n', '\r']).map_or(self.text.len(), |at| byte + at);
        start..end
    }

    /// The part of a span that lies on its first line; never empty unless the line is.
    pub fn first_line(&self, span: &Range<usize>) -> Range<usize> {
        let line = self.line_of(span.start);
        let start = span.start.clamp(line.start, line.end);
        let mut end = span.end.clamp(start, line.end);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let trimmed = self.text[start..end].trim_end().len();
        start..start + trimmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_moves_no_column_and_is_in_the_bytes() {
        let source = Source::new("a.yaml", "\u{feff}a: b\n");
        assert_eq!(source.text, "a: b\n");
        assert_eq!(source.position(3), Position { line: 1, column: 4 });
        assert_eq!(source.bytes(), b"\xef\xbb\xbfa: b\n");
        assert_eq!(Source::new("a.yaml", "a: b\n").bytes(), b"a: b\n");
    }
}
