//! Every file that we hand out is right, and says all there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use plimsoll::config::{self, Settings};
use serde_json::Value;

/// The whole of the file's contract, with everything that any version will read.
const WHOLE: &str = include_str!("whole.yaml");

fn parse(name: &str, text: &str) -> Settings {
    config::parse(text, name, &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

#[test]
fn the_examples_are_right() {
    let files: Vec<_> =
        fs::read_dir(folder().join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 4);
    for file in files {
        let settings = parse(&file.display().to_string(), &fs::read_to_string(&file).unwrap());
        assert!(settings.warnings.list.is_empty(), "{}", settings.warnings);
    }
}

#[test]
fn the_whole_contract_is_read_and_nothing_of_it_is_for_later() {
    let settings = parse("whole.yaml", WHOLE);
    assert!(settings.refusal().is_none(), "{}", settings.refusal().unwrap());
}

#[test]
fn the_explained_file_runs_as_it_stands() {
    let settings = parse("plimsoll.yaml", &fs::read_to_string(folder().join("plimsoll.yaml")).unwrap());
    assert!(settings.warnings.list.is_empty(), "{}", settings.warnings);
    assert!(settings.refusal().is_none(), "{}", settings.refusal().unwrap());
}

#[test]
fn the_explained_file_is_right_with_everything_switched_on() {
    let text = fs::read_to_string(folder().join("plimsoll.yaml")).unwrap();
    parse("plimsoll.yaml", &switched_on(&text));
}

#[test]
fn the_explained_file_has_every_key() {
    let text = fs::read_to_string(folder().join("plimsoll.yaml")).unwrap();
    let missing: Vec<_> =
        keys(config::schema()).into_iter().filter(|key| !text.contains(&format!("{key}:"))).collect();
    assert!(missing.is_empty(), "config/plimsoll.yaml lacks {missing:?}");
}

/// Removes the `#` of settings that are switched off: those with no blank behind it.
fn switched_on(text: &str) -> String {
    let line = |line: &str| {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        match rest.strip_prefix('#') {
            Some(setting)
                if !setting.is_empty() && (!setting.starts_with(' ') || setting.starts_with("  ")) =>
            {
                format!("{indent}{setting}\n")
            }
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

/// The names of all keys of a schema.
fn keys(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(schema, &mut found);
    found
}

fn collect(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(words) => {
            for (word, value) in words {
                if let ("properties", Value::Object(keys)) = (word.as_str(), value) {
                    found.extend(keys.keys().cloned());
                }
                collect(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}
