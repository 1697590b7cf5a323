//! From the mirrored file to settings: what no schema can say.
//!
//! Names that must exist, things that exclude one another, places that clash. Each is a problem at its place, and
//! finishing goes on with what is left, so that all of them are reported at once.

mod backends;
mod fleet;
mod health;
mod limits;
mod listeners;
mod place;
mod process;
mod routes;
mod tls_routes;

pub(super) use listeners::default_listener;
pub(super) use process::{default_access_log, default_admin, grace};

use std::sync::Arc;

use self::backends::Backends;
use self::listeners::Listeners;
use self::place::Place;
use super::fit::{Findings, Later};
use super::problem::{Problem, Problems, Severity};
use super::quoted;
use super::raw;
use super::settings::{Settings, Unsupported};
use super::source::Source;
use super::tree::Node;
use crate::logic::limits::NAME_BYTES_MAX;
use crate::logic::route::RouteTable;

/// Finishes a file.
pub(super) fn finish(
    file: &raw::File,
    root: &Node,
    source: Arc<Source>,
    findings: Findings,
) -> Result<Settings, Problems> {
    let mut notes = Notes(findings);
    let root = Place::root(root);
    let mut backends = Backends::read(file, &root, &mut notes);
    let listeners = Listeners::read(file, &root, &mut backends, &mut notes);
    let limits = process::limits(file.limits.as_ref(), &root.key("limits"), &mut notes);
    let timeouts = process::timeouts(file.timeouts.as_ref());
    let routes = routes::read(file, &root, (limits, timeouts), &listeners, &mut backends, &mut notes);
    let admin = process::admin(file, &root, &mut notes);
    listeners.check_clashes(admin.as_ref(), &root, &mut notes);
    if !notes.has_errors() {
        // A route that could not be read may be the one that leads there.
        backends.check_use(&mut notes);
    }
    let settings = Settings {
        workers: file.workers.and_then(|workers| workers.0),
        driver: process::driver(file.driver),
        grace: process::grace(file.grace),
        trusted_proxies: file.trusted_proxies.iter().flatten().map(|network| network.0).collect(),
        access_log: process::access_log(file),
        listeners: listeners.finished,
        limits,
        timeouts,
        routes: Arc::new(RouteTable::new(routes)),
        backends: backends.finished,
        admin,
        unsupported: Vec::new(),
        warnings: Problems::default(),
        source,
    };
    notes.judge(settings)
}

/// What is found on the way.
struct Notes(Findings);

impl Notes {
    fn problem(&mut self, problem: Problem) {
        self.0.problems.push(problem);
    }

    fn has_errors(&self) -> bool {
        self.0.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    fn error(&mut self, place: &Place<'_>, message: impl Into<String>, help: impl Into<String>) {
        self.problem(Problem::error(place.span.clone(), message).help(help));
    }

    /// A key that this version cannot do, which the schema could not tell.
    fn later(&mut self, place: &Place<'_>, hint: impl Into<String>) {
        let later = Later { key: place.path.clone(), span: place.span.clone(), hint: hint.into() };
        self.0.later.push(later);
    }

    /// A name becomes a label of metrics and a word of logs.
    fn check_name(&mut self, what: &str, name: &str, place: &Place<'_>) {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(letter) {
            let span = place.name.clone().unwrap_or(place.span.clone());
            self.problem(
                Problem::error(span, format!("{} is not a name of a {what}", quoted(name)))
                    .help(format!("up to {NAME_BYTES_MAX} letters, digits, `_`, `-` and `.`")),
            );
        }
    }

    /// A key that must be there. Silent where it is there and was refused already.
    fn missing(&mut self, place: &Place<'_>, key: &str, whose: &str, help: &str) {
        if !place.has(key) {
            let span = place.name.clone().unwrap_or(place.span.clone());
            self.problem(Problem::error(span, format!("{whose} has no `{key}`")).help(help));
        }
    }

    /// The settings, where nothing stops a start.
    fn judge(self, mut settings: Settings) -> Result<Settings, Problems> {
        let Findings { problems, mut later } = self.0;
        let problems = Problems::new(Arc::clone(&settings.source), problems);
        if problems.has_errors() {
            return Err(problems);
        }
        later.sort_by_key(|later| later.span.start);
        settings.unsupported = later.into_iter().map(|later| unsupported(&settings.source, later)).collect();
        settings.warnings = problems;
        Ok(settings)
    }
}

fn unsupported(source: &Source, Later { key, span, hint }: Later) -> Unsupported {
    let position = source.position(span.start);
    Unsupported { key, line: position.line, column: position.column, hint, span }
}
