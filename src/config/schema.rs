//! The schema of the file, made from the types that mirror it.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::raw::File;

/// The schema, as JSON Schema 2020-12.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(File).to_value());
    &SCHEMA
}

/// One schema, its references followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'a>(&'a Map<String, Value>);

/// What a value is, before anything is known of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar,
    List,
    Map,
}

impl<'a> Shape<'a> {
    /// Of the whole file.
    pub(super) fn file() -> Shape<'static> {
        Shape::new(schema())
    }

    fn new(value: &'a Value) -> Self {
        static ANYTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        Self(value.as_object().unwrap_or_else(|| &ANYTHING))
    }

    /// A word of this very schema.
    pub(super) fn word(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name)
    }

    /// A word that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.word(name)?.as_str()
    }

    /// The shapes that a value may have: one, but for `off` and lists. `null` is the same as no value, and not named.
    pub(super) fn alternatives(&self) -> Vec<Self> {
        match self.word("anyOf").and_then(Value::as_array) {
            None => vec![self.resolved()],
            Some(all) => {
                let shapes =
                    all.iter().filter(|one| one["type"] != "null").map(|one| Shape::new(one).resolved());
                shapes.flat_map(|shape| shape.alternatives()).collect()
            }
        }
    }

    /// Follows a reference.
    fn resolved(self) -> Self {
        let target =
            self.text("$ref").and_then(|reference| schema().pointer(reference.trim_start_matches('#')));
        target.map_or(self, Shape::new)
    }

    /// What kind of value it takes.
    pub(super) fn kind(&self) -> Kind {
        match () {
            () if self.has_type("object") => Kind::Map,
            () if self.has_type("array") => Kind::List,
            () => Kind::Scalar,
        }
    }

    /// Is this one of its types?
    pub(super) fn has_type(&self, name: &str) -> bool {
        match self.word("type") {
            Some(Value::String(one)) => one == name,
            Some(Value::Array(several)) => several.iter().any(|one| one == name),
            _ => false,
        }
    }

    /// The words that it may be, where it is one of some words.
    pub(super) fn words(&self) -> Option<Vec<&'a str>> {
        Some(self.word("enum")?.as_array()?.iter().filter_map(Value::as_str).collect())
    }

    /// The shape of each item of a list.
    pub(super) fn items(&self) -> Option<Self> {
        self.word("items").map(Shape::new)
    }

    /// The shape of a key's value: a key of its own, or any key of a map of names.
    pub(super) fn key(&self, name: &str) -> Option<Self> {
        let own = self.word("properties").and_then(|keys| keys.get(name));
        own.or_else(|| self.word("additionalProperties").filter(|any| any.is_object())).map(Shape::new)
    }

    /// The keys that have names of their own.
    pub(super) fn keys(&self) -> Vec<&'a str> {
        let keys = self.word("properties").and_then(Value::as_object);
        keys.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }
}
