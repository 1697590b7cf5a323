//! What is wrong with a configuration, and how a person is told.

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::source::Source;
use crate::logic::limits::PROBLEMS_SHOWN_MAX;

/// Does it stop a start?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Yes.
    Error,
    /// No, but the operator should look.
    Warning,
}

/// One problem, at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops a start.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub message: String,
    /// The bytes that it is about; `None` where it is about no text.
    pub span: Option<Range<usize>>,
    /// Another place that belongs to it, and what that is.
    pub other: Option<(Range<usize>, String)>,
    /// What to do.
    pub help: Option<String>,
}

/// All problems of one text. Displayed as rustc does, without colour.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems {
    /// What they are about.
    pub source: Arc<Source>,
    /// In the order of the text.
    pub list: Vec<Problem>,
}

/// A problem as `check --json` and the admin API write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProblemReport {
    /// Whether it stops a start.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// From 1; `None` where it is about no text.
    pub line: Option<usize>,
    /// In characters, from 1.
    pub column: Option<usize>,
    /// What to do.
    pub help: Option<String>,
}

impl Problem {
    /// An error at a place.
    pub fn error(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), span: Some(span), other: None, help: None }
    }

    /// A warning at a place.
    pub fn warning(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// An error about no text in particular, e.g. a file that cannot be read.
    pub fn general(message: impl Into<String>) -> Self {
        Self { span: None, ..Self::error(0..0, message) }
    }

    /// With what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With another place that belongs to it.
    pub fn other(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.other = Some((span, label.into()));
        self
    }
}

impl Problems {
    /// Sorts them into the order of the text.
    pub fn new(source: Arc<Source>, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
        Self { source, list }
    }

    /// True where one of them stops a start.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// As text for a terminal: each with its line and a caret, then how many there are.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for problem in self.list.iter().take(PROBLEMS_SHOWN_MAX) {
            out.push_str(&renderer.render(&[self.group(problem)]));
            out.push_str("\n\n");
        }
        if let Some(more) = self.list.len().checked_sub(PROBLEMS_SHOWN_MAX + 1) {
            let _ = writeln!(out, "... and {} more\n", more + 1);
        }
        out
    }

    /// For machines: the same that are written out for people.
    pub fn reports(&self) -> Vec<ProblemReport> {
        self.list.iter().take(PROBLEMS_SHOWN_MAX).map(|problem| self.report(problem)).collect()
    }

    fn report(&self, problem: &Problem) -> ProblemReport {
        let position = problem.span.as_ref().map(|span| self.source.position(span.start));
        ProblemReport {
            severity: problem.severity,
            message: problem.message.clone(),
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
            help: problem.help.clone(),
        }
    }

    fn group<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(problem.message.as_str());
        let mut group = match &problem.span {
            Some(span) => title.element(self.snippet(span, AnnotationKind::Primary, None)),
            None if self.source.name.is_empty() => Group::with_title(title),
            None => title.element(Origin::path(self.source.name.as_str())),
        };
        if let Some((span, label)) = &problem.other {
            group = group.element(self.snippet(span, AnnotationKind::Context, Some(label)));
        }
        match &problem.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        }
    }

    /// Only the line itself is handed over: a renderer that gets the whole text reads it for every problem.
    fn snippet<'a>(
        &'a self,
        span: &Range<usize>,
        kind: AnnotationKind,
        label: Option<&'a str>,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let line = self.source.line_of(span.start);
        let span = self.source.first_line(span);
        let annotation = kind.span(span.start - line.start..span.end - line.start);
        let annotation = match label {
            Some(label) => annotation.label(label),
            None => annotation,
        };
        Snippet::source(&self.source.text[line])
            .line_start(self.source.position(span.start).line)
            .path(self.source.name.as_str())
            .annotation(annotation)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}
