//! The files that a run or `loadgen report` writes.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use clap::Args;

use crate::outfile::{self, Destination};
use crate::result::RunResult;

use super::{csv, hgrm, hlog, html};

/// Where the reports go; `-` is the standard output.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Write the whole result as JSON: `loadgen report` and `compare` read it.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the percentile distribution in HdrHistogram's text format (response time, milliseconds).
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
    /// Write one histogram a second as an HdrHistogram interval log.
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,
    /// Write one self-contained page with charts.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write one line a second as CSV.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write the report that the name ends with: as load.html; `csv` or `json` alone goes to standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl Outputs {
    /// Whether all files could be written, looked at before the run: an hour of load should not end in a typing error.
    ///
    /// # Errors
    /// Names the flag and what is wrong with its file.
    pub fn check(&self) -> Result<(), String> {
        if let Some(path) = self.output.as_deref().filter(|path| by_name(path).is_none()) {
            let name = path.display();
            return Err(format!(
                "--output {name}: the end of the name says what: .json, .hgrm, .hlog, .html, .csv"
            ));
        }
        let mut taken: Vec<(&str, Destination)> = Vec::new();
        for output in self.wanted() {
            let (flag, path) = (output.flag, output.path.display());
            let destination =
                outfile::check(output.path).map_err(|error| format!("--{flag} {path}: {error}"))?;
            let same = taken.iter().find(|(_, other)| *other == destination);
            match (same, &destination) {
                (Some((other, _)), Destination::Stdout) => {
                    return Err(format!(
                        "--{other} and --{flag} both go to standard output, which holds one report: name a file for one"
                    ));
                }
                (Some((other, _)), Destination::Replaced(_)) => {
                    return Err(format!(
                        "--{other} and --{flag} both name {path}: each report needs its own file"
                    ));
                }
                _ => taken.push((flag, destination)),
            }
        }
        Ok(())
    }

    /// Whether a file goes to standard output, where the table would spoil it.
    #[must_use]
    pub fn use_stdout(&self) -> bool {
        self.wanted().any(|output| outfile::is_stdout(output.path))
    }

    /// Writes everything that was asked for.
    ///
    /// # Errors
    /// Names the flag and the file that could not be written; the others are written all the same.
    pub fn write(&self, result: &RunResult) -> Result<(), String> {
        let failed: Vec<String> = self
            .wanted()
            .filter_map(|output| {
                let error = output.write(result).err()?;
                Some(format!("--{} {}: {error}", output.flag, output.path.display()))
            })
            .collect();
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
    }

    /// Writes everything that was asked for, and then the table, unless standard output holds a report.
    ///
    /// # Errors
    /// All that could not be written, one a line; the rest is written all the same.
    pub fn write_and_print(&self, result: &RunResult, quiet: bool) -> Result<(), String> {
        let written = self.write(result);
        let printed = if quiet || self.use_stdout() { Ok(()) } else { super::print(result) };
        match (written, printed.map_err(|error| format!("cannot print: {error}"))) {
            (Err(files), Err(table)) => Err(format!("{files}\n{table}")),
            (written, printed) => written.and(printed),
        }
    }

    fn wanted(&self) -> impl Iterator<Item = Output<'_>> {
        let paths = [&self.json, &self.hgrm, &self.hlog, &self.html, &self.csv];
        let own = paths.into_iter().zip(KINDS);
        own.filter_map(|(path, (flag, render))| Some(Output { flag, path: path.as_deref()?, render }))
            .chain(self.output.as_deref().and_then(by_name))
    }
}

/// Every kind of report, by the name of its flag and the end of its file's name.
const KINDS: [(&str, Render); 5] = [
    ("json", json),
    ("hgrm", |result| Ok(hgrm::render(&result.response).into_bytes())),
    ("hlog", hlog::render),
    ("html", |result| html::render(result).map(String::into_bytes)),
    ("csv", |result| Ok(csv::render(result).into_bytes())),
];

/// `-o FILE` as in oha, `-o csv` as in hey.
fn by_name(path: &Path) -> Option<Output<'_>> {
    let kind = |name: &OsStr| KINDS.into_iter().find(|(flag, _)| name == *flag);
    if let Some((_, render)) = kind(path.as_os_str()) {
        return Some(Output { flag: "output", path: Path::new("-"), render });
    }
    let (_, render) = kind(path.extension()?)?;
    Some(Output { flag: "output", path, render })
}

type Render = fn(&RunResult) -> Result<Vec<u8>, String>;

/// One file that is wanted.
struct Output<'a> {
    flag: &'static str,
    path: &'a Path,
    render: Render,
}

impl Output<'_> {
    fn write(&self, result: &RunResult) -> Result<(), String> {
        let bytes = (self.render)(result)?;
        outfile::save(self.path, &bytes)
    }
}

fn json(result: &RunResult) -> Result<Vec<u8>, String> {
    let mut bytes = serde_json::to_vec(result).map_err(|error| error.to_string())?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_and_one_standard_output_hold_one_report_each() {
        let file = std::env::temp_dir().join(format!("loadgen-outputs-{}.json", std::process::id()));
        let other = std::env::temp_dir().join(".").join(file.file_name().unwrap());
        let same = Outputs { json: Some(file.clone()), csv: Some(other), ..Outputs::default() };
        let error = same.check().unwrap_err();
        assert!(error.contains("--json") && error.contains("--csv") && error.contains("own file"), "{error}");
        let both = Outputs { json: Some("-".into()), output: Some("csv".into()), ..Outputs::default() };
        assert!(both.check().unwrap_err().contains("standard output"));
        let apart = Outputs { json: Some(file), csv: Some("-".into()), ..Outputs::default() };
        assert_eq!(apart.check(), Ok(()));
    }
}
