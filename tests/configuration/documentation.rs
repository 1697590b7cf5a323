//! `docs/configuration.md` has every key, with its default, as the schema has it.
//!
//! The reference between the two marks is written from the schema: `BLESS=1 cargo test --test configuration`.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use plimsoll::config;
use serde_json::Value;

const BEGIN: &str = "<!-- written from the schema -->\n";
const END: &str = "<!-- end of what is written from the schema -->\n";

/// The tables, in the order of a file: where in the file, and the name in the schema (none: the file itself).
const TABLES: &[(&str, Option<&str>)] = &[
    ("The file", None),
    ("`access_log`", Some("AccessLog")),
    ("`listeners.NAME`", Some("Listener")),
    ("`listeners.NAME.tls_routes[]`", Some("TlsRoute")),
    ("`limits`", Some("Limits")),
    ("`timeouts`, `routes[].timeouts`", Some("Timeouts")),
    ("`routes[]`", Some("Route")),
    ("`routes[].redirect`", Some("Redirect")),
    ("`routes[].respond`", Some("Respond")),
    ("`routes[].rewrite`", Some("Rewrite")),
    ("`routes[].request_headers`, `response_headers`", Some("Edits")),
    ("`routes[].rate_limit`", Some("RateLimit")),
    ("`backends.NAME`, and beside the keys of a route", Some("Backend")),
    ("`servers[]`", Some("Server")),
    ("`sticky`", Some("Sticky")),
    ("`health`", Some("Health")),
    ("`outlier`", Some("Outlier")),
    ("`retry`", Some("Retry")),
    ("`hedge`", Some("Hedge")),
    ("`queue`", Some("Queue")),
    ("`adaptive_limit`", Some("AdaptiveLimit")),
    ("`docker`", Some("Docker")),
    ("`process`", Some("Process")),
    ("`scale`", Some("Scale")),
    ("`scale.target`", Some("Target")),
    ("`scale.hold`", Some("Hold")),
    ("`scale.up`", Some("Up")),
    ("`scale.down`", Some("Down")),
    ("`admin`", Some("Admin")),
];

#[test]
fn the_reference_is_what_the_schema_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the first mark");
    let (said, after) = rest.split_once(END).expect("the second mark");
    let expected = reference();
    if env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
    } else {
        assert_eq!(said, expected, "write it anew: BLESS=1 cargo test --test configuration");
    }
}

#[test]
fn every_shape_of_the_schema_has_its_table() {
    let shapes = config::schema()["$defs"].as_object().unwrap();
    for (name, shape) in shapes {
        let listed = TABLES.iter().any(|(_, table)| *table == Some(name));
        assert!(listed || shape.get("properties").is_none(), "{name} has no table");
    }
}

fn reference() -> String {
    let schema = config::schema();
    let mut out = String::new();
    for (title, name) in TABLES {
        let shape = name.map_or(schema, |name| &schema["$defs"][name]);
        write!(out, "\n### {title}\n\n{}\n\n| key | takes | default | |\n|---|---|---|---|\n", text(shape))
            .unwrap();
        let shared = &schema["$defs"]["Backend"]["properties"];
        for (key, value) in shape["properties"].as_object().unwrap() {
            // The keys of a backend are said once, not again for each route.
            if *name != Some("Route") || shared.get(key).is_none() {
                writeln!(out, "{}", row(key, value)).unwrap();
            }
        }
    }
    out
}

fn row(key: &str, value: &Value) -> String {
    let later = if value.get("x-later").is_some() { " *Refused by `run` in this version.*" } else { "" };
    format!("| `{key}` | {} | {} | {}{later} |", takes(value), default(value), text(value))
}

fn text(value: &Value) -> String {
    value["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

fn default(value: &Value) -> String {
    match value.get("default") {
        None => String::new(),
        Some(Value::String(text)) if text.is_empty() => "empty".into(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(Value::Array(items)) if items.iter().all(Value::is_string) && !items.is_empty() => {
            let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            format!("`[{}]`", items.join(", "))
        }
        Some(other) => format!("`{other}`"),
    }
}

/// What a key takes, in a word or two.
fn takes(value: &Value) -> String {
    if let Some(all) = value.get("anyOf").and_then(Value::as_array) {
        let words: Vec<_> = all.iter().filter(|one| one["type"] != "null").map(takes).collect();
        return words.join(" or ");
    }
    if let Some(reference) = value["$ref"].as_str() {
        let target = config::schema().pointer(reference.trim_start_matches('#')).unwrap();
        return if target.get("properties").is_some() { "map".into() } else { takes(target) };
    }
    if let Some(words) = value.get("enum").and_then(Value::as_array) {
        let words: Vec<_> = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    format!("{}{}", kind(value), bounds(value))
}

fn kind(value: &Value) -> String {
    let has = |name: &str| {
        value["type"] == name || value["type"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
    };
    let format = value["format"].as_str().filter(|format| !format.starts_with("uint") && *format != "double");
    match format {
        Some(format) => format.replace('-', " "),
        None if has("array") => format!("list of {}", takes(&value["items"])),
        None if has("object") => format!("map of names to {}", takes(&value["additionalProperties"])),
        None if has("boolean") => "`true`, `false`".into(),
        None if has("integer") || has("number") => "number".into(),
        None => "text".into(),
    }
}

fn bounds(value: &Value) -> String {
    let word = |name: &str| value.get(name).map(|bound| bound.to_string().trim_matches('"').to_owned());
    match (word("x-min").or(word("minimum")), word("x-max").or(word("maximum"))) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) if least != "0" => format!(", at least {least}"),
        (None, Some(most)) => format!(", at most {most}"),
        _ => String::new(),
    }
}
