//! Where in the file the value at hand stands: finished alongside the mirror, so that problems find their line.

use std::ops::Range;

use crate::config::tree::{Key, Node, Value};

/// A place in the file. One that the file does not have is the place of what it would be in.
#[derive(Debug, Clone)]
pub(super) struct Place<'t> {
    node: Option<&'t Node>,
    /// What a caret goes under.
    pub(super) span: Range<usize>,
    /// The key that leads here.
    pub(super) name: Option<Range<usize>>,
    /// E.g. `routes[0].path`.
    pub(super) path: String,
}

impl<'t> Place<'t> {
    pub(super) fn root(node: &'t Node) -> Self {
        Self { node: Some(node), span: 0..0, name: None, path: String::new() }
    }

    /// The value of a key.
    pub(super) fn key(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{name}", self.path);
        match self.node.and_then(|node| node.entry(name)) {
            Some((key, node)) => {
                Self { node: Some(node), span: eye(key, node), name: Some(key.span.clone()), path }
            }
            None => {
                Self { node: None, span: self.name.clone().unwrap_or(self.span.clone()), name: None, path }
            }
        }
    }

    /// An item of a list, counted as the mirror counts: without those that did not fit.
    pub(super) fn item(&self, index: usize) -> Self {
        let items = match self.node.map(|node| &node.value) {
            Some(Value::List(items)) => items.as_slice(),
            // One where a list may stand.
            Some(_) => return self.clone(),
            None => &[],
        };
        let (at, node) = match items.iter().enumerate().filter(|(_, item)| !item.broken.get()).nth(index) {
            Some((at, node)) => (at, Some(node)),
            None => (index, None),
        };
        let span = node.map_or(self.span.clone(), |node| node.span.clone());
        Self { node, span, name: None, path: format!("{}[{at}]", self.path) }
    }

    /// Does the file say something here, be it right or wrong?
    pub(super) fn has(&self, key: &str) -> bool {
        self.node
            .and_then(|node| node.entry(key))
            .is_some_and(|(_, node)| !node.is_null() || node.broken.get())
    }

    /// Is there a value that was refused already?
    pub(super) fn is_broken(&self) -> bool {
        self.node.is_some_and(|node| node.broken.get())
    }

    /// How many keys stand here, those that were refused too.
    pub(super) fn entries(&self) -> usize {
        match self.node.map(|node| &node.value) {
            Some(Value::Map(entries)) => entries.len(),
            _ => 0,
        }
    }

    /// Is there an item of a list here that was refused already?
    pub(super) fn has_broken_items(&self) -> bool {
        match self.node.map(|node| &node.value) {
            Some(Value::List(items)) => items.iter().any(|item| item.broken.get()),
            _ => false,
        }
    }

    /// The key that leads here, else the value.
    pub(super) fn key_span(&self) -> Range<usize> {
        self.name.clone().unwrap_or(self.span.clone())
    }
}

/// A list or a map may go on for pages: there the key is what the eye needs.
fn eye(key: &Key, node: &Node) -> Range<usize> {
    match node.value {
        Value::Scalar(_) if !node.is_blank() => node.span.clone(),
        _ => key.span.clone(),
    }
}
