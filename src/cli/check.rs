//! `plimsoll check`: would this file run?

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::EXIT_CONFIG;
use crate::config::{self, Problems, Settings};

/// Reads a file (the first of [`config::SEARCH`] where none is named), and says what it holds, what is wrong with it,
/// and what `run` would refuse. Touches no network.
pub fn run(file: Option<PathBuf>, json: bool) -> ExitCode {
    let (name, result) = match file.map_or_else(config::search, Ok) {
        Ok(path) => (path.display().to_string(), config::load(&path)),
        Err(problems) => (String::new(), Err(problems)),
    };
    let code = if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) };
    let written = match json {
        true => writeln!(io::stdout(), "{:#}", as_json(&name, &result)),
        false => as_text(&name, &result),
    };
    // A reader that left (`plimsoll check | head -1`) has what it wanted.
    let _ = written;
    code
}

fn as_text(name: &str, result: &Result<Settings, Problems>) -> io::Result<()> {
    let mut errors = io::stderr().lock();
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match result {
        Err(problems) => {
            write!(errors, "{}", problems.render(colour))?;
            writeln!(errors, "{}", verdict(name, problems))
        }
        Ok(settings) => {
            write!(errors, "{}", settings.warnings.render(colour))?;
            let mut out = io::stdout().lock();
            writeln!(out, "{}", summary(name, settings))?;
            refused(name, settings).iter().try_for_each(|line| writeln!(out, "{line}"))
        }
    }
}

fn verdict(name: &str, problems: &Problems) -> String {
    let errors =
        problems.list.iter().filter(|problem| problem.severity == config::problem::Severity::Error).count();
    let what = if name.is_empty() { "the configuration" } else { name };
    format!("{what}: {} to mend", counted(errors, "error"))
}

fn summary(name: &str, settings: &Settings) -> String {
    format!(
        "{name}: ok: {}, {}, {}",
        counted(settings.listeners.len(), "listener"),
        counted(settings.routes.iter().count(), "route"),
        counted(settings.backends.len(), "backend"),
    )
}

/// What `run` would refuse, with its place.
fn refused(name: &str, settings: &Settings) -> Vec<String> {
    if settings.unsupported.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("`run` would refuse {}:", counted(settings.unsupported.len(), "key"))];
    lines.extend(
        settings
            .unsupported
            .iter()
            .map(|one| format!("  {name}:{}:{}: `{}`: {}", one.line, one.column, one.key, one.hint)),
    );
    lines
}

fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

fn as_json(name: &str, result: &Result<Settings, Problems>) -> Value {
    match result {
        Err(problems) => json!({ "ok": false, "file": name, "problems": problems.reports() }),
        Ok(settings) => json!({
            "ok": true,
            "file": name,
            "listeners": settings.listeners.len(),
            "routes": settings.routes.iter().count(),
            "backends": settings.backends.len(),
            "problems": settings.warnings.reports(),
            "unsupported": settings.unsupported.iter().map(|one| json!({
                "key": one.key, "line": one.line, "column": one.column, "hint": one.hint,
            })).collect::<Vec<_>>(),
        }),
    }
}
