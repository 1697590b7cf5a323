//! `loadgen compare A B`: two runs side by side, and an exit code for a build.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use crate::console::{self, tell};
use crate::result::{Mode, RunResult};
use crate::run::USAGE;

use super::{
    Paint, amount,
    change::{Change, Finding, changes},
    comparable,
    condition::{FailIf, Judgement},
    read,
};

/// The exit code of a broken condition, the same as that of a broken SLO.
const BROKEN: u8 = 99;

/// Puts two runs side by side.
#[derive(Args, Clone, Debug)]
pub struct CompareArgs {
    /// The JSON of the run before.
    #[arg(value_name = "A")]
    pub before: PathBuf,
    /// The JSON of the run after.
    #[arg(value_name = "B")]
    pub after: PathBuf,
    /// Exit with 99 when B is worse than A by this: p99>+5%, mean>+2ms, throughput<-3%, errors>+0.1% (of all
    /// requests). Several are separated by commas.
    #[arg(long, value_name = "CONDITIONS", value_delimiter = ',')]
    pub fail_if: Vec<FailIf>,
    /// Fail only for what chance does not explain: the whole interval must be beyond the limit. Where there is none
    /// (runs of less than five seconds, max), the exit code is 2.
    #[arg(long, requires = "fail_if")]
    pub surely: bool,
    /// Seed of the draws behind the intervals.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = crate::amount::seed)]
    pub seed: u64,
}

/// Runs `loadgen compare`.
///
/// Exit code 0, 1 when a file cannot be read, 2 when a condition of `--fail-if` cannot be judged, 99 when one holds.
#[must_use]
pub fn compare(args: &CompareArgs) -> ExitCode {
    match side_by_side(args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tell(format_args!("loadgen compare: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints the comparison; the exit code by its conditions.
fn side_by_side(args: &CompareArgs) -> Result<u8, String> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let changes = changes(&before, &after, args.seed);
    let answered = (before.totals.completed > 0, after.totals.completed > 0);
    let judge = |condition: &FailIf| condition.judge(&changes, answered, args.surely);
    let judgements: Vec<Judgement> = args.fail_if.iter().map(judge).collect();
    let paint = Paint::for_terminal(io::stdout().is_terminal());
    let mut text = render(&before, &after, &changes, paint);
    for (at, (condition, judgement)) in args.fail_if.iter().zip(&judgements).enumerate() {
        let gap = if at == 0 { "\n" } else { "" };
        let _ = writeln!(text, "{gap}{}", verdict(condition, *judgement, paint));
    }
    console::print(text.as_bytes()).map_err(|error| format!("cannot print: {error}"))?;
    Ok(exit_code(&judgements))
}

/// One broken condition is enough; one that cannot be judged must not look like one that is kept.
fn exit_code(judgements: &[Judgement]) -> u8 {
    let broken = |judgement: &Judgement| matches!(judgement, Judgement::Broken | Judgement::NothingMeasured);
    match judgements {
        all if all.iter().any(broken) => BROKEN,
        all if all.iter().any(|judgement| matches!(judgement, Judgement::Unknown(_))) => USAGE,
        _ => 0,
    }
}

/// The table of a comparison.
#[must_use]
pub fn render(before: &RunResult, after: &RunResult, changes: &[Change], paint: Paint) -> String {
    let mut out = String::new();
    for (name, result) in [("A", before), ("B", after)] {
        let _ = writeln!(out, "{} {}", paint.bold(name), describe(result));
    }
    for doubt in comparable::doubts(before, after) {
        let _ = writeln!(out, "{}", paint.odd(&format!("! {doubt}")));
    }
    let head = format!("{:<12} {:>12} {:>12} {:>10}   {:<28}", "", "A", "B", "change", "95 % of draws");
    let _ = writeln!(out, "\n{}", paint.bold(head.trim_end()));
    for change in changes {
        let _ = writeln!(out, "{}", row(change, paint).trim_end());
    }
    if changes.iter().all(|change| change.interval.is_none()) {
        out.push_str("\nNo intervals: each run has to last at least five seconds for them.\n");
    }
    out
}

fn row(change: &Change, paint: Paint) -> String {
    let measure = change.measure;
    let by = match (change.by(), change.relative()) {
        (None, _) => String::new(),
        (Some(0.0), _) => "same".to_owned(),
        (_, None) => "new".to_owned(),
        (_, Some(share)) => format!("{:+.1} %", share * 100.0),
    };
    let between = change.interval.map_or_else(String::new, |(low, high)| {
        let signed =
            |value: f64| format!("{}{}", if value < 0.0 { "-" } else { "+" }, measure.show(value.abs()));
        format!("{} to {}", signed(low), signed(high))
    });
    let finding = match change.finding() {
        Finding::Better => paint.good("better"),
        Finding::Worse => paint.bad("worse"),
        Finding::Unsure => paint.faint("may be chance"),
        Finding::Unknown => String::new(),
    };
    let show = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), |value| measure.show(value));
    let (a, b) = (show(change.before), show(change.after));
    format!("{:<12} {a:>12} {b:>12} {by:>10}   {between:<28} {finding}", measure.name())
}

fn describe(result: &RunResult) -> String {
    let settings = &result.settings;
    let mode = match result.mode {
        Mode::Closed => format!("closed loop, {} connections", settings.connections),
        Mode::Open => format!("open loop, {}", settings.plan),
    };
    let target = settings.targets.first().map_or("", |target| target.url.as_str());
    let name = if settings.name.is_empty() { String::new() } else { format!("{} · ", settings.name) };
    amount::harmless(&format!("{name}{target} · {mode} · {}", amount::offset(result.elapsed_ms)), 200)
}

fn verdict(condition: &FailIf, judgement: Judgement, paint: Paint) -> String {
    match judgement {
        Judgement::Kept => format!("{} {condition}", paint.good("✓ does not hold:")),
        Judgement::Broken => format!("{} {condition}", paint.bad("✗ fails:")),
        Judgement::NothingMeasured => {
            format!("{} {condition} (nothing measured in B breaks every promise)", paint.bad("✗ fails:"))
        }
        Judgement::Unknown(why) => format!("{} {condition} ({why})", paint.odd("? cannot be judged:")),
    }
}
