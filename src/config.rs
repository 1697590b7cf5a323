//! The configuration: read (`raw`), checked and finished (`finish`) into [`Settings`] that cannot be wrong.
//!
//! A text goes through five steps, and every one but the first reports all that it finds: YAML with marks (`tree`),
//! variables of the environment (`environment`), the schema (`fit`), serde (`raw`), and what no schema can say, such
//! as a route to a backend that does not exist (`finish`).

mod environment;
mod finish;
mod fit;
mod leaf;
pub mod problem;
mod quick;
mod raw;
mod schema;
pub mod settings;
pub mod source;
mod tree;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

pub use problem::{Problem, Problems};
pub use quick::{quick, quick_admin};
pub use schema::schema;
pub use settings::Settings;
pub use source::Source;

use crate::logic::limits::CONFIG_BYTES_MAX;

/// Where a file is looked for when none is named, in this order.
pub const SEARCH: [&str; 3] = ["./plimsoll.yaml", "./config/plimsoll.yaml", "/etc/plimsoll/plimsoll.yaml"];

/// The first file of [`SEARCH`] that exists.
pub fn search() -> Result<PathBuf, Problems> {
    SEARCH.iter().map(PathBuf::from).find(|path| path.is_file()).ok_or_else(|| {
        let problem = Problem::general("there is no configuration file")
            .help(format!("name one with `-c FILE`; without it, these are tried: {}", SEARCH.join(", ")));
        Problems::new(Arc::default(), vec![problem])
    })
}

/// Reads a file, with the environment of this process. Touches no network.
///
/// # Errors
/// All problems of the file at once (of a file that is not YAML, the first).
pub fn load(path: &Path) -> Result<Settings, Problems> {
    let name = path.display().to_string();
    let text = read(path)
        .map_err(|problem| Problems::new(Arc::new(Source::new(name.clone(), "")), vec![problem]))?;
    parse(&text, &name, &|name| std::env::var(name).ok())
}

/// Reads a text. `name` is what messages call it, `environment` says what a variable holds.
///
/// # Errors
/// See [`load`].
pub fn parse(
    text: &str,
    name: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, Problems> {
    let source = Arc::new(Source::new(name, text));
    let mut findings = fit::Findings::default();
    let mut root = match tree::read(&source.text, &mut findings.problems) {
        Ok(root) => root,
        Err(problem) => {
            findings.problems.push(problem);
            return Err(Problems::new(source, findings.problems));
        }
    };
    environment::fill_in(&mut root, environment, &mut findings.problems);
    let fitted =
        fit::fit(&root, &mut findings).unwrap_or(serde_yaml::Value::Mapping(serde_yaml::Mapping::new()));
    match raw::File::deserialize(fitted) {
        Ok(file) => finish::finish(&file, &root, source, findings),
        // What fits the schema deserializes; if it ever does not, the operator still gets a sentence.
        Err(error) => {
            findings.problems.push(Problem::general(error.to_string()));
            Err(Problems::new(source, findings.problems))
        }
    }
}

fn read(path: &Path) -> Result<String, Problem> {
    let name = path.display();
    let unreadable = |error: std::io::Error| {
        Problem::general(format!("cannot read {name}: {error}"))
            .help("name a file that exists with `-c FILE`")
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // One byte more than allowed tells a file that is too large, also where its size is not known (a pipe).
    file.take(CONFIG_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > CONFIG_BYTES_MAX {
        let limit = CONFIG_BYTES_MAX >> 20;
        return Err(Problem::general(format!("{name} is larger than {limit} MiB"))
            .help("a configuration of that size is a mistake: is it the right file?"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        Problem::general(format!("{name} is not UTF-8, from line {line} on")).help("save the file as UTF-8")
    })
}

/// The longest text from a file that a message repeats, in characters.
const QUOTED_CHARS_MAX: usize = 60;

/// A text from outside as it may stand in a message: on one line, and not for ever.
pub(crate) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        short.push_str("...");
    }
    // `escape_debug` escapes quotes too, which are harmless between backticks.
    format!("`{}`", short.replace("\\\"", "\"").replace("\\'", "'"))
}

/// The word that was probably meant.
fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let normal = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    let given = normal(word);
    let distance = |known: &&str| strsim::damerau_levenshtein(&given, &normal(known));
    let limit = (given.chars().count() / 3).max(1);
    // The distance is quadratic in the length: a long word is no typing error.
    if given.len() > 64 {
        return None;
    }
    known
        .map(|known| (distance(&known), known))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, known)| known)
}
