//! The file as a tree of values that know where they stand: what carets point at.
//!
//! Whatever breaks YAML ends the reading with one problem; a key given twice is noted, and reading goes on.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::problem::Problem;
use crate::logic::limits::{CONFIG_DEPTH_MAX, CONFIG_VALUES_MAX};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) value: Value,
    /// Set where the value did not fit its key and was left out of what is finished.
    pub(super) broken: Cell<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A text that is not yet a number, a switch or a duration: what it is depends on its key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Without quotes.
    pub(super) plain: bool,
    /// With something from the environment in it.
    pub(super) filled: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

/// Reads a text. The problem of the result is a broken file; `problems` gets what leaves a tree behind.
pub(super) fn read(text: &str, problems: &mut Vec<Problem>) -> Result<Node, Problem> {
    let mut reader = Reader {
        offsets: Offsets::new(text),
        open: Vec::new(),
        anchors: HashMap::new(),
        values: 0,
        root: None,
        documents: 0,
        problems,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = reader.offsets.byte(error.marker().index());
            not_yaml(at, error.info())
        })?;
        reader.event(event, span)?;
    }
    Ok(reader.root.unwrap_or(Node::new(0..0, Value::Map(Vec::new()))))
}

fn not_yaml(at: usize, why: &str) -> Problem {
    let problem = Problem::error(at..at + 1, format!("this is not YAML: {why}"));
    match () {
        () if why.contains("tab") => problem.help("indent with spaces"),
        () if why.contains("quoted") => problem.help("is there a quote that is never closed?"),
        () if why.contains("anchor") => problem.help("quote a value that begins with `*` or `&`"),
        () => problem.help("look for wrong indentation, or for a value that needs quotes"),
    }
}

impl Node {
    fn new(span: Range<usize>, value: Value) -> Self {
        Self { span, value, broken: Cell::new(false) }
    }

    /// The value of a key, and the key's place.
    pub(super) fn entry(&self, name: &str) -> Option<(&Key, &Node)> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(key, _)| key.text == name).map(|(key, node)| (key, node))
    }

    /// Nothing, or a written `null`.
    pub(super) fn is_null(&self) -> bool {
        let Value::Scalar(scalar) = &self.value else { return false };
        scalar.plain && !scalar.filled && matches!(&*scalar.text, "" | "~" | "null" | "Null" | "NULL")
    }

    /// Nothing at all: a key and a colon.
    pub(super) fn is_blank(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.plain && !scalar.filled && scalar.text.is_empty())
    }

    fn values(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => items.iter().map(Node::values).sum(),
            Value::Map(entries) => entries.iter().map(|(_, node)| 1 + node.values()).sum(),
        }
    }

    fn depth(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => 1 + items.iter().map(Node::depth).max().unwrap_or(0),
            Value::Map(entries) => 1 + entries.iter().map(|(_, node)| node.depth()).max().unwrap_or(0),
        }
    }
}

/// A list or a map that has begun.
struct Open {
    start: usize,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, names: HashMap<String, Range<usize>>, key: Option<(Key, bool)> },
}

struct Reader<'a> {
    offsets: Offsets,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    values: usize,
    root: Option<Node>,
    documents: usize,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let span = self.offsets.range(span);
        match event {
            Event::DocumentStart(_) => self.start_document(span),
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.as_deref(), &span)?;
                let scalar =
                    Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain, filled: false };
                self.value(Node::new(span, Value::Scalar(scalar)), anchor)
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::SequenceStart(anchor, tag) => {
                self.begin(span, anchor, tag.as_deref(), Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let content = Content::Map { entries: Vec::new(), names: HashMap::new(), key: None };
                self.begin(span, anchor, tag.as_deref(), content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            _ => Ok(()),
        }
    }

    fn start_document(&mut self, span: Range<usize>) -> Result<(), Problem> {
        self.documents += 1;
        if self.documents == 1 {
            return Ok(());
        }
        Err(Problem::error(span, "the file holds more than one YAML document")
            .help("keep one document: a second `---` begins another"))
    }

    fn begin(
        &mut self,
        span: Range<usize>,
        anchor: usize,
        tag: Option<&Tag>,
        content: Content,
    ) -> Result<(), Problem> {
        refuse_tag(tag, &span)?;
        if self.open.len() >= CONFIG_DEPTH_MAX {
            return Err(too_deep(span));
        }
        self.open.push(Open { start: span.start, anchor, content });
        Ok(())
    }

    fn end(&mut self, span: Range<usize>) -> Result<(), Problem> {
        let Some(Open { start, anchor, content }) = self.open.pop() else { return Ok(()) };
        let value = match content {
            Content::List(items) => Value::List(items),
            Content::Map { entries, .. } => Value::Map(entries),
        };
        self.value(Node::new(start..span.end.max(start), value), anchor)
    }

    fn alias(&mut self, anchor: usize, span: Range<usize>) -> Result<(), Problem> {
        let Some(meant) = self.anchors.get(&anchor) else {
            return Err(Problem::error(span, "this alias stands inside what it names")
                .help("write the value out: a value cannot hold itself"));
        };
        if self.open.len() + meant.depth() > CONFIG_DEPTH_MAX {
            return Err(too_deep(span));
        }
        self.values += meant.values();
        self.check_size(&span)?;
        let copy = Node { span, ..meant.clone() };
        self.place(copy)
    }

    fn value(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        self.values += 1;
        self.check_size(&node.span)?;
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.place(node)
    }

    fn check_size(&self, span: &Range<usize>) -> Result<(), Problem> {
        if self.values <= CONFIG_VALUES_MAX {
            return Ok(());
        }
        Err(Problem::error(span.clone(), format!("the file holds more than {CONFIG_VALUES_MAX} values here"))
            .help("aliases multiply: one that names a list of aliases grows without end"))
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, node: Node) -> Result<(), Problem> {
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, names, key }) => match key.take() {
                Some((key, first)) => {
                    if first {
                        entries.push((key, node));
                    }
                }
                None => {
                    let name = key_of(node)?;
                    let first = note_name(&name, names, self.problems);
                    *key = Some((name, first));
                }
            },
        }
        Ok(())
    }
}

/// Is this the first key of its name? Notes a problem where it is not.
fn note_name(key: &Key, names: &mut HashMap<String, Range<usize>>, problems: &mut Vec<Problem>) -> bool {
    let Some(before) = names.get(&key.text) else {
        names.insert(key.text.clone(), key.span.clone());
        return true;
    };
    let message = format!("the key {} is given twice", super::quoted(&key.text));
    problems.push(
        Problem::error(key.span.clone(), message)
            .other(before.clone(), "first given here")
            .help("keep one of them: the second would silently replace the first"),
    );
    false
}

fn key_of(node: Node) -> Result<Key, Problem> {
    match node.value {
        Value::Scalar(scalar) if scalar.text == "<<" && scalar.plain => {
            Err(Problem::error(node.span, "merge keys (`<<`) are not supported")
                .help("write the keys out, or use an alias for the whole value"))
        }
        Value::Scalar(scalar) => Ok(Key { text: scalar.text, span: node.span }),
        _ => {
            Err(Problem::error(node.span, "a key must be a text")
                .help("quote a key that begins with `[` or `{`"))
        }
    }
}

fn refuse_tag(tag: Option<&Tag>, span: &Range<usize>) -> Result<(), Problem> {
    match tag {
        None => Ok(()),
        Some(_) => Err(Problem::error(span.clone(), "YAML tags (`!`) are not supported")
            .help("remove the tag: a value that shall be a text is put in quotes")),
    }
}

fn too_deep(span: Range<usize>) -> Problem {
    Problem::error(span, format!("lists and maps are nested more than {CONFIG_DEPTH_MAX} deep"))
        .help("no key needs as many levels: look for a stray `[` or `{`, or for wrong indentation")
}

/// From the parser's characters to our bytes.
struct Offsets {
    /// `None` where the text is ASCII and both are the same.
    of_char: Option<Vec<usize>>,
    length: usize,
}

impl Offsets {
    fn new(text: &str) -> Self {
        let of_char = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect());
        Self { of_char, length: text.len() }
    }

    fn byte(&self, index: usize) -> usize {
        match &self.of_char {
            None => index.min(self.length),
            Some(offsets) => offsets.get(index).copied().unwrap_or(self.length),
        }
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }
}
