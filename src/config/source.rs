//! The text of a configuration, and where in it a byte stands.

use std::ops::Range;

/// A file, or what stands for one, by the name that messages call it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// As the operator wrote it, e.g. `plimsoll.yaml`.
    pub name: String,
    /// All of it.
    pub text: String,
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
    /// A text by its name.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let line_starts =
            std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1));
        Self { name: name.into(), line_starts: line_starts.collect(), text }
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
