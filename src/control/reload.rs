//! The configuration, read again: what may change while the process runs, and what changed, in words.

mod difference;

use std::fmt;
use std::sync::Arc;

use crate::config::{Problems, Settings};
use crate::shared::order::{Fault, Refused};
use crate::shared::reload::LastReload;

/// Reads the configuration. Called on a thread that may wait for the disk.
pub type Load = Arc<dyn Fn() -> Result<Settings, Problems> + Send + Sync>;

/// The configuration that is gone by.
#[derive(Debug, Clone)]
pub struct InForce {
    /// What it says.
    pub settings: Arc<Settings>,
    /// Wall-clock time of the reload that brought it, milliseconds since the epoch; `None` since the start.
    pub reloaded_ms: Option<u64>,
    /// The newest attempt to reload, the refused ones too.
    pub last: Option<LastReload>,
}

/// Why settings are not taken.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) refused: Refused,
    /// One sentence for each thing.
    pub(super) lines: Vec<String>,
}

impl Trouble {
    /// Nothing could be read at all.
    pub(super) fn unread(why: String) -> Self {
        let refused = Refused {
            fault: Fault::Unavailable,
            code: "unread",
            message: format!("the configuration cannot be read: {why}"),
            hint: "it is a bug: please report it".to_owned(),
        };
        Self { refused, lines: vec![why] }
    }
}

/// The settings that were read and what changes with them; or why they are not taken, all reasons at once.
pub(super) fn judge(
    old: &Settings,
    read: Result<Settings, Problems>,
) -> Result<(Settings, Vec<String>), Trouble> {
    let new = read.map_err(|problems| bad(&problems))?;
    if let Some(problems) = new.refusal() {
        return Err(bad(&problems));
    }
    let fixed = difference::fixed(old, &new);
    if !fixed.is_empty() {
        let refused = Refused {
            fault: Fault::Conflict,
            code: "needs_restart",
            message: fixed.join("; "),
            hint: "restart to change that, or take it back and reload".to_owned(),
        };
        return Err(Trouble { refused, lines: fixed });
    }
    let mut lines = difference::changes(old, &new);
    if lines.is_empty() && old.source.text != new.source.text {
        lines.push("only the text of the file changed: it says the same".to_owned());
    }
    Ok((new, lines))
}

fn bad(problems: &Problems) -> Trouble {
    let lines: Vec<_> = problems
        .reports()
        .into_iter()
        .filter(|report| report.severity == crate::config::problem::Severity::Error)
        .map(|report| {
            let place = report.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            let help = report.help.map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{place}{}{help}", report.message)
        })
        .collect();
    let refused = Refused {
        fault: Fault::Invalid,
        code: "bad_configuration",
        message: lines.join("; "),
        hint: format!(
            "mend {} and reload: `plimsoll check` shows each problem at its place",
            problems.source.name
        ),
    };
    Trouble { refused, lines }
}

impl fmt::Debug for super::registry::Wiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wiring").finish_non_exhaustive()
    }
}
