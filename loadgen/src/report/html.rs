//! One self-contained page: the result as data, a script that draws it, nothing from anywhere else.
//!
//! Names, errors and events come from networks and are hostile until proven otherwise. They travel as JSON in which
//! no `<` is left, the script puts them on the page as text only, and the page's policy lets no other script run.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::result::RunResult;

use super::{amount, fairness, verdict};

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &[&str] = &[
    "'use strict';(()=>{\n",
    include_str!("html/amount.js"),
    include_str!("html/chart.js"),
    include_str!("html/heat.js"),
    include_str!("html/tables.js"),
    include_str!("html/view.js"),
    "})();",
];

/// What the script works on: the result, and what is worked out here, so that page and table say the same.
#[derive(Serialize)]
struct Data<'a> {
    run: &'a RunResult,
    throughput: f64,
    error_ratio: f64,
    gap: String,
    client: &'static str,
    too_short: bool,
    doubts: Vec<String>,
    jain: Option<f64>,
}

/// The whole page.
///
/// # Errors
/// The result cannot be written as JSON.
pub fn render(result: &RunResult) -> Result<String, String> {
    let data = Data {
        run: result,
        throughput: result.throughput(),
        error_ratio: result.totals.error_ratio(),
        gap: verdict::gap(result),
        client: verdict::client(result),
        too_short: verdict::is_too_short(result),
        doubts: verdict::doubts(result),
        jain: fairness::jain(&result.nodes),
    };
    let json = serde_json::to_string(&data).map_err(|error| error.to_string())?;
    let script = SCRIPT.concat();
    let parts = [
        ("{{policy}}", policy(&script)),
        ("{{title}}", text(&title(result))),
        ("{{style}}", STYLE.to_owned()),
        ("{{script}}", script),
        // Last: what it brings is not looked through for further marks.
        ("{{data}}", inert(&json)),
    ];
    Ok(fill(PAGE, &parts))
}

/// Replaces each mark once, from left to right: a mark within what was put in is left alone.
fn fill(page: &str, parts: &[(&str, String)]) -> String {
    let mut out = String::with_capacity(page.len() + parts.iter().map(|(_, part)| part.len()).sum::<usize>());
    let mut rest = page;
    while let Some(start) = rest.find("{{") {
        let (before, at) = rest.split_at(start);
        out.push_str(before);
        match parts.iter().find(|(mark, _)| at.starts_with(mark)) {
            Some((mark, part)) => {
                out.push_str(part);
                rest = &at[mark.len()..];
            }
            None => {
                out.push_str("{{");
                rest = &at[2..];
            }
        }
    }
    out + rest
}

/// No request to anywhere, and no script but ours: should a hostile text ever become markup, it still does nothing.
fn policy(script: &str) -> String {
    let hash = STANDARD.encode(Sha256::digest(script.as_bytes()));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; img-src data:; \
         base-uri 'none'; form-action 'none'"
    )
}

fn title(result: &RunResult) -> String {
    let target = result.settings.targets.first().map_or("", |target| target.url.as_str());
    let name = if result.settings.name.is_empty() { target } else { &result.settings.name };
    amount::harmless(&format!("{name} · loadgen"), 200)
}

/// JSON that cannot end the element it stands in. These characters occur in strings only, where an escape is the
/// same character.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for char in json.chars() {
        match char {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            _ => out.push(char),
        }
    }
    out
}

/// Text as HTML.
fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{ErrorGroup, Target};

    #[test]
    fn hostile_text_is_no_markup() {
        let hostile = "</script><script>alert(1)</script><!--{{script}}";
        let mut result = RunResult::default();
        result.settings.targets.push(Target { url: hostile.into(), weight: 1 });
        result.errors.push(ErrorGroup { example: hostile.into(), ..ErrorGroup::default() });
        result.nodes.insert(hostile.into(), 1);
        let page = render(&result).unwrap();
        assert_eq!(page.matches("<script").count(), 2, "the data and ours");
        assert_eq!(page.matches("</script").count(), 2);
        assert!(!page.contains("<!--"));
    }

    #[test]
    fn the_data_reads_back() {
        let mut result = RunResult::default();
        result.notes.push("a<b>&\u{2028}\"\\".into());
        let page = render(&result).unwrap();
        let start = page.find("id=\"run\">").unwrap() + 9;
        let json = &page[start..start + page[start..].find("</script").unwrap()];
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::from_value::<RunResult>(value["run"].clone()).unwrap(), result);
    }

    #[test]
    fn the_page_names_no_other_place() {
        let page = render(&RunResult::default()).unwrap();
        // The namespace of SVG is a name, not an address.
        let page = page.replace("http://www.w3.org/2000/svg", "");
        for word in ["http://", "https://", "src=", "url(", "@import", "{{"] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
