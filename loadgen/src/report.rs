//! Reports: everything that a person or a program reads of a run, made from [`RunResult`] alone, so that
//! `loadgen report FILE` can make any of them again, later and elsewhere.

pub mod amount;
pub mod bootstrap;
pub mod change;
mod comparable;
pub mod compare;
pub mod condition;
pub mod csv;
pub mod fairness;
pub mod hgrm;
pub mod hlog;
pub mod html;
pub mod live;
pub mod outputs;
pub mod table;
pub mod verdict;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use crate::console::{self, tell};
use crate::result::{FORMAT, RunResult};
use crate::run::USAGE;
use crate::secrets;

pub use compare::{CompareArgs, compare};
pub use live::Live;
pub use outputs::Outputs;
pub use table::Paint;

/// The largest result file that is read: 2 GiB, days of seconds.
const FILE_MAX: u64 = 2 << 30;

/// Rebuilds reports from the JSON of a run.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// The JSON that a run wrote with --json.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the reports go.
    #[command(flatten)]
    pub outputs: Outputs,
    /// Print no table.
    #[arg(short, long)]
    pub quiet: bool,
}

/// Runs `loadgen report`: prints the table and writes the files that are asked for.
///
/// Exit code 0, 1 when the file cannot be read or a report cannot be written, or 2 when what is asked for cannot be.
#[must_use]
pub fn run(args: &ReportArgs) -> ExitCode {
    if let Err(error) = args.outputs.check() {
        tell(format_args!("loadgen report: {error}\nTry `loadgen report --help`."));
        return ExitCode::from(USAGE);
    }
    match report(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(format_args!("loadgen report: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn report(args: &ReportArgs) -> Result<(), String> {
    let result = read(&args.file)?;
    args.outputs.write_and_print(&result, args.quiet)
}

/// Prints the final table to standard output, in colour where that is a terminal.
///
/// # Errors
/// Standard output cannot be written. That its reader has left is none.
pub fn print(result: &RunResult) -> io::Result<()> {
    let text = table::render(result, Paint::for_terminal(io::stdout().is_terminal()));
    console::print(text.as_bytes())
}

/// Reads the JSON of a run.
///
/// # Errors
/// Says whether the file is missing, is no result, or was written by a newer loadgen.
pub fn read(file: &Path) -> Result<RunResult, String> {
    let shown = file.display();
    let len = std::fs::metadata(file).map_err(|error| format!("cannot read {shown}: {error}"))?.len();
    if len > FILE_MAX {
        return Err(format!("{shown} is larger than any result ({len} bytes)"));
    }
    let bytes = std::fs::read(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let mut result = parse(&bytes).map_err(|error| format!("{shown} {error}"))?;
    mask(&mut result);
    Ok(result)
}

/// A file of an older version may hold secrets that a report of it must not.
fn mask(result: &mut RunResult) {
    result.settings.command = secrets::mask(std::mem::take(&mut result.settings.command));
    for target in &mut result.settings.targets {
        target.url = secrets::mask_url(&target.url);
    }
}

/// Reads a run from JSON. The version is looked at first: a newer file may differ anywhere else.
fn parse(bytes: &[u8]) -> Result<RunResult, String> {
    #[derive(serde::Deserialize)]
    struct Version {
        format: u32,
    }
    let no_result = |error| format!("is no result of loadgen (write one with --json): {error}");
    let version: Version = serde_json::from_slice(bytes).map_err(no_result)?;
    match version.format {
        found if found > FORMAT => {
            Err(format!("has format {found}; this loadgen reads up to {FORMAT}: use a newer one"))
        }
        _ => serde_json::from_slice(bytes).map_err(no_result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_refused_whatever_else_it_holds() {
        let error = parse(br#"{"format": 99, "totals": "otherwise"}"#).unwrap_err();
        assert!(error.contains("format 99"), "{error}");
        assert!(parse(b"[]").unwrap_err().contains("no result"));
        assert!(parse(b"").unwrap_err().contains("no result"));
    }

    #[test]
    fn a_result_survives_the_way_through_json() {
        let result = RunResult { format: FORMAT, program: "loadgen 0".into(), ..RunResult::default() };
        assert_eq!(parse(&serde_json::to_vec(&result).unwrap()), Ok(result));
    }
}
