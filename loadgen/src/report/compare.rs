//! `loadgen compare A B`: two runs side by side, and an exit code for a build.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use crate::result::{Mode, RunResult};

use super::{
    Paint, amount,
    change::{Change, FailIf, Finding, changes},
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
    /// Fail only for what chance does not explain: the whole interval must be beyond the limit.
    #[arg(long)]
    pub surely: bool,
    /// Seed of the draws behind the intervals.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Runs `loadgen compare`.
///
/// Exit code 0, 1 when a file cannot be read, 99 when a condition of `--fail-if` holds.
#[must_use]
pub fn compare(args: &CompareArgs) -> ExitCode {
    match side_by_side(args) {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::from(BROKEN),
        Err(error) => {
            eprintln!("loadgen compare: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the comparison; `true` when a condition is broken.
fn side_by_side(args: &CompareArgs) -> Result<bool, String> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let changes = changes(&before, &after, args.seed);
    let mut out = io::stdout().lock();
    let paint = Paint::for_terminal(out.is_terminal());
    let text = render(&before, &after, &changes, paint) + &judge(args, &changes, paint);
    out.write_all(text.as_bytes()).map_err(|error| format!("cannot print: {error}"))?;
    Ok(args.fail_if.iter().any(|condition| condition.is_broken(&changes, args.surely)))
}

/// The table of a comparison.
#[must_use]
pub fn render(before: &RunResult, after: &RunResult, changes: &[Change], paint: Paint) -> String {
    let mut out = String::new();
    for (name, result) in [("A", before), ("B", after)] {
        let _ = writeln!(out, "{} {}", paint.bold(name), describe(result));
    }
    for doubt in doubts(before, after) {
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
    let by = change.relative().map_or_else(|| "new".to_owned(), |share| format!("{:+.1} %", share * 100.0));
    let by = if change.by() == 0.0 { "same".to_owned() } else { by };
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
    let (a, b) = (measure.show(change.before), measure.show(change.after));
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

/// Why the two may not be comparable at all.
fn doubts(before: &RunResult, after: &RunResult) -> Vec<String> {
    let mut lines = Vec::new();
    if before.mode != after.mode {
        lines.push(
            "one run was open-loop and the other closed: their latencies mean different things".to_owned(),
        );
    } else if before.settings.plan != after.settings.plan
        || before.settings.connections != after.settings.connections
    {
        lines.push("the two runs were asked for different loads".to_owned());
    }
    for (name, result) in [("A", before), ("B", after)] {
        if result.client.bottleneck {
            lines.push(format!("in {name} the client was the bottleneck: its numbers are a lower bound"));
        }
    }
    lines
}

fn judge(args: &CompareArgs, changes: &[Change], paint: Paint) -> String {
    let mut out = String::new();
    for condition in &args.fail_if {
        let broken = condition.is_broken(changes, args.surely);
        let mark = if broken { paint.bad("✗ fails:") } else { paint.good("✓ does not hold:") };
        let _ = write!(out, "\n{mark} {condition}");
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}
