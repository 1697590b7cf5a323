//! Fits the file's tree to the schema: every key known, every value of its kind and within its bounds.
//!
//! What does not fit is a problem at its own place, and is left out; so one bad key hides no other problem, and what
//! remains deserializes without fail. Keys of later features are collected where they say more than their default.

use std::ops::Range;

use serde_json::Value as Json;
use serde_yaml::{Mapping, Value as Yaml};

use super::leaf;
use super::problem::Problem;
use super::schema::{Kind, Shape};
use super::tree::{Key, Node, Scalar, Value};
use super::{closest, quoted};
use crate::logic::limits::PROBLEMS_SHOWN_MAX;

/// A key that this version reads and cannot do yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Later {
    /// Its path, e.g. `routes[0].docker_image`.
    pub(super) key: String,
    pub(super) span: Range<usize>,
    pub(super) hint: String,
}

/// What fitting found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) later: Vec<Later>,
}

/// Fits a value; `None` where nothing of it is left.
pub(super) fn fit(node: &Node, findings: &mut Findings) -> Option<Yaml> {
    Fitting { findings, path: String::new() }.value(node, Shape::file(), None)
}

struct Fitting<'a> {
    findings: &'a mut Findings,
    /// Of the value at hand.
    path: String,
}

impl Fitting<'_> {
    /// `key` is the key that the value belongs to, for messages.
    fn value(&mut self, node: &Node, shape: Shape<'_>, key: Option<&Key>) -> Option<Yaml> {
        if node.broken.get() {
            return None;
        }
        if node.is_null() {
            return self.null(node, shape, key);
        }
        let alternatives = shape.alternatives();
        let kind = kind_of(node);
        let fitting = alternatives.iter().find(|one| one.kind() == kind);
        let fitted = match (fitting, &node.value) {
            (None, _) => self.wrong_kind(node, &alternatives, key),
            // Neither the word nor the map: both are named.
            (Some(inner), Value::Scalar(scalar)) if alternatives.len() > 1 && is_none_of(scalar, *inner) => {
                self.wrong_kind(node, &alternatives, key)
            }
            (Some(inner), Value::Scalar(scalar)) => self.scalar(node, scalar, *inner, shape),
            (Some(inner), Value::List(items)) => self.list(items, *inner),
            (Some(inner), Value::Map(entries)) => self.map(entries, *inner),
        };
        if fitted.is_none() {
            node.broken.set(true);
        }
        fitted
    }

    /// `key:` with nothing behind it is an empty list or map; of a value that counts, it is a mistake.
    fn null(&mut self, node: &Node, shape: Shape<'_>, key: Option<&Key>) -> Option<Yaml> {
        let scalar = shape.alternatives().iter().all(|one| one.kind() == Kind::Scalar);
        if node.is_blank() && scalar {
            let name = key.map_or("an item", |key| key.text.as_str());
            self.problem(
                Problem::error(
                    key.map_or(node.span.clone(), |key| key.span.clone()),
                    format!("{} has no value", quoted(name)),
                )
                .help("give it one, or remove the line"),
            );
            node.broken.set(true);
            return None;
        }
        Some(Yaml::Null)
    }

    fn scalar(&mut self, node: &Node, scalar: &Scalar, inner: Shape<'_>, outer: Shape<'_>) -> Option<Yaml> {
        match read_scalar(scalar, inner, outer) {
            Ok(value) => Some(value),
            Err(trouble) => {
                let mut problem = Problem::error(node.span.clone(), trouble.message);
                problem.help = match (trouble.help, scalar.filled) {
                    (help, false) => help,
                    (help, true) => {
                        let origin =
                            format!("the value is {}, with the environment filled in", quoted(&scalar.text));
                        Some(help.map_or(origin.clone(), |help| format!("{help} ({origin})")))
                    }
                };
                self.problem(problem);
                None
            }
        }
    }

    fn list(&mut self, items: &[Node], shape: Shape<'_>) -> Option<Yaml> {
        let item_shape = shape.items()?;
        let mut fitted = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            let value = self.under(&format!("[{at}]"), |fitting| {
                if item.is_null() {
                    fitting.problem(
                        Problem::error(item.span.clone(), "this item of the list is empty").help("remove it"),
                    );
                    item.broken.set(true);
                    return None;
                }
                fitting.value(item, item_shape, None)
            });
            fitted.extend(value);
        }
        Some(Yaml::Sequence(fitted))
    }

    fn map(&mut self, entries: &[(Key, Node)], shape: Shape<'_>) -> Option<Yaml> {
        let mut fitted = Mapping::new();
        for (key, node) in entries {
            let Some(value_shape) = shape.key(&key.text) else {
                self.unknown_key(key, &shape.keys());
                continue;
            };
            let dot = if self.path.is_empty() { "" } else { "." };
            let value = self.under(&format!("{dot}{}", key.text), |fitting| {
                let value = fitting.value(node, value_shape, Some(key))?;
                fitting.note_later(key, &value, value_shape);
                Some(value)
            });
            if let Some(value) = value {
                fitted.insert(Yaml::String(key.text.clone()), value);
            }
        }
        Some(Yaml::Mapping(fitted))
    }

    fn under<T>(&mut self, step: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        self.path.push_str(step);
        let result = work(self);
        self.path.truncate(length);
        result
    }

    fn note_later(&mut self, key: &Key, value: &Yaml, shape: Shape<'_>) {
        let Some(hint) = shape.text("x-later") else { return };
        if !value.is_null() && !is_default(value, shape) {
            let later = Later { key: self.path.clone(), span: key.span.clone(), hint: hint.into() };
            self.findings.later.push(later);
        }
    }

    fn unknown_key(&mut self, key: &Key, known: &[&str]) {
        if self.findings.problems.len() > PROBLEMS_SHOWN_MAX {
            // Nobody will read it: only its number counts.
            return self.problem(Problem::error(key.span.clone(), "unknown key"));
        }
        let place = if self.path.is_empty() { "the file".into() } else { quoted(&self.path) };
        let problem =
            Problem::error(key.span.clone(), format!("unknown key {} in {place}", quoted(&key.text)));
        self.problem(problem.help(match closest(&key.text, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the keys here are {}", listed(known)),
        }));
    }

    fn wrong_kind(&mut self, node: &Node, alternatives: &[Shape<'_>], key: Option<&Key>) -> Option<Yaml> {
        let expected = alternatives.iter().map(meaning).collect::<Vec<_>>().join(", or ");
        let found = match &node.value {
            Value::Scalar(scalar) => quoted(&scalar.text),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
        };
        let whose = key.map(|key| format!("{}: ", quoted(&key.text))).unwrap_or_default();
        // A list or a map may go on for pages: its key is what the eye needs.
        let span = match (&node.value, key) {
            (Value::Scalar(_), _) | (_, None) => node.span.clone(),
            (_, Some(key)) => key.span.clone(),
        };
        self.problem(Problem::error(span, format!("{whose}expected {expected}, found {found}")));
        None
    }

    fn problem(&mut self, problem: Problem) {
        self.findings.problems.push(problem);
    }
}

/// Reads a text as what its key takes. Bounds stand beside the key, in `outer`.
fn read_scalar(scalar: &Scalar, inner: Shape<'_>, outer: Shape<'_>) -> Result<Yaml, leaf::Trouble> {
    let text = &*scalar.text;
    if let Some(rule) = inner.text("format").and_then(leaf::rule) {
        let checked = (rule.check)(text)?;
        check_amount(text, checked.amount, rule.check, outer)?;
        return Ok(Yaml::String(text.into()));
    }
    if let Some(words) = inner.words() {
        return one_of(text, &words);
    }
    if inner.has_type("integer") {
        return integer(scalar, inner, outer);
    }
    if inner.has_type("number") {
        return number(scalar, inner, outer);
    }
    if inner.has_type("boolean") {
        return boolean(scalar);
    }
    Ok(Yaml::String(text.into()))
}

fn one_of(text: &str, words: &[&str]) -> Result<Yaml, leaf::Trouble> {
    if words.contains(&text) {
        return Ok(Yaml::String(text.into()));
    }
    let trouble = leaf::Trouble::new(format!("expected {}, found {}", listed_or(words), quoted(text)));
    Err(match closest(text, words.iter().copied()) {
        Some(meant) => trouble.help(format!("did you mean `{meant}`?")),
        None => trouble,
    })
}

fn integer(scalar: &Scalar, inner: Shape<'_>, outer: Shape<'_>) -> Result<Yaml, leaf::Trouble> {
    let value = unquoted(scalar, "a whole number", |text| text.parse::<i128>().ok())?;
    let bound = |word: &str| bound(word, inner, outer);
    #[expect(clippy::cast_precision_loss, reason = "bounds are far below 2^52")]
    within(value as f64, &scalar.text, bound("minimum"), bound("maximum"))?;
    let value = u64::try_from(value)
        .map_err(|_| leaf::Trouble::new(format!("{} is too large", quoted(&scalar.text))))?;
    Ok(Yaml::Number(value.into()))
}

fn number(scalar: &Scalar, inner: Shape<'_>, outer: Shape<'_>) -> Result<Yaml, leaf::Trouble> {
    let finite = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
    let value = unquoted(scalar, "a number", finite)?;
    let bound = |word: &str| bound(word, inner, outer);
    within(value, &scalar.text, bound("minimum"), bound("maximum"))?;
    Ok(Yaml::Number(value.into()))
}

fn boolean(scalar: &Scalar) -> Result<Yaml, leaf::Trouble> {
    let word = |text: &str| match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    };
    unquoted(scalar, "`true` or `false`", word).map(Yaml::Bool)
}

/// Reads a text that must stand without quotes.
fn unquoted<T>(
    scalar: &Scalar,
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<T, leaf::Trouble> {
    let value = read(&scalar.text);
    let trouble = || leaf::Trouble::new(format!("expected {expected}, found {}", quoted(&scalar.text)));
    match value {
        Some(_) if !scalar.plain => Err(leaf::Trouble::new(format!("expected {expected}, found a text"))
            .help(format!("remove the quotes around {}", quoted(&scalar.text)))),
        Some(value) => Ok(value),
        None => Err(trouble()),
    }
}

fn bound(word: &str, inner: Shape<'_>, outer: Shape<'_>) -> Option<f64> {
    outer.word(word).or_else(|| inner.word(word)).and_then(Json::as_f64)
}

fn within(value: f64, text: &str, least: Option<f64>, most: Option<f64>) -> Result<(), leaf::Trouble> {
    let below = least.is_some_and(|least| value < least);
    let above = most.is_some_and(|most| value > most);
    if !below && !above {
        return Ok(());
    }
    let bounds = match (least, most) {
        (Some(least), Some(most)) => format!("it must be {least} to {most}"),
        (Some(least), None) => format!("it must be at least {least}"),
        (None, most) => format!("it must be at most {}", most.unwrap_or_default()),
    };
    Err(leaf::Trouble::new(format!("{} is out of bounds: {bounds}", quoted(text))))
}

type Check = fn(&str) -> Result<leaf::Checked, leaf::Trouble>;

fn check_amount(
    text: &str,
    amount: Option<u128>,
    check: Check,
    outer: Shape<'_>,
) -> Result<(), leaf::Trouble> {
    let Some(amount) = amount else { return Ok(()) };
    let amount_of = |word: &str| outer.text(word).and_then(|text| Some((text, check(text).ok()?.amount?)));
    let (least, most) = (amount_of("x-min"), amount_of("x-max"));
    if least.is_none_or(|(_, least)| amount >= least) && most.is_none_or(|(_, most)| amount <= most) {
        return Ok(());
    }
    let bounds = match (least, most) {
        (Some((least, _)), Some((most, _))) => format!("it must be {least} to {most}"),
        (Some((least, _)), None) => format!("it must be at least {least}"),
        (None, most) => format!("it must be at most {}", most.unwrap_or_default().0),
    };
    Err(leaf::Trouble::new(format!("{} is out of bounds: {bounds}", quoted(text))))
}

/// Does a value say no more than its key's absence?
fn is_default(value: &Yaml, shape: Shape<'_>) -> bool {
    let Some(default) = shape.word("default") else { return false };
    let check = shape.alternatives().first().and_then(|inner| inner.text("format")).and_then(leaf::rule);
    match (check, value.as_str(), default.as_str()) {
        (Some(rule), Some(value), Some(default)) => {
            let amount = |text: &str| (rule.check)(text).ok().and_then(|checked| checked.amount);
            value == default || (amount(value).is_some() && amount(value) == amount(default))
        }
        _ => serde_json::to_value(value).is_ok_and(|value| value == *default),
    }
}

fn is_none_of(scalar: &Scalar, shape: Shape<'_>) -> bool {
    shape.words().is_some_and(|words| !words.contains(&&*scalar.text))
}

fn kind_of(node: &Node) -> Kind {
    match &node.value {
        Value::Scalar(_) => Kind::Scalar,
        Value::List(_) => Kind::List,
        Value::Map(_) => Kind::Map,
    }
}

/// What a person is told to write.
fn meaning(shape: &Shape<'_>) -> String {
    if let Some(rule) = shape.text("format").and_then(leaf::rule) {
        return rule.meaning.into();
    }
    match (shape.kind(), shape.words()) {
        (Kind::Scalar, Some(words)) => listed_or(&words),
        (Kind::Map, _) if shape.keys().is_empty() => "a map of names".into(),
        (Kind::Map, _) => format!("a map with {}", listed(&shape.keys())),
        (Kind::List, _) => "a list".into(),
        (Kind::Scalar, None) if shape.has_type("integer") || shape.has_type("number") => "a number".into(),
        (Kind::Scalar, None) if shape.has_type("boolean") => "`true` or `false`".into(),
        (Kind::Scalar, None) => "a text".into(),
    }
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn listed_or(words: &[&str]) -> String {
    match words {
        [] => "nothing".into(),
        [one] => format!("`{one}`"),
        [most @ .., last] => format!("{} or `{last}`", listed(most)),
    }
}
