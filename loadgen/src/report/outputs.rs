//! The files that a run or `loadgen report` writes.

use std::{
    ffi::OsStr,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;

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
    /// Whether a file could be written, looked at before the run: an hour of load should not end in a typing error.
    ///
    /// # Errors
    /// Names the flag and the folder that is missing.
    pub fn check(&self) -> Result<(), String> {
        if let Some(path) = self.output.as_deref().filter(|path| by_name(path).is_none()) {
            let name = path.display();
            return Err(format!(
                "--output {name}: the end of the name says what: .json, .hgrm, .hlog, .html, .csv"
            ));
        }
        for Output { flag, path, .. } in self.wanted().filter(|output| !is_stdout(output.path)) {
            let folder =
                path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if !folder.is_dir() {
                return Err(format!("--{flag} {}: there is no folder {}", path.display(), folder.display()));
            }
            if path.is_dir() {
                return Err(format!("--{flag} {}: this is a folder, name a file in it", path.display()));
            }
        }
        Ok(())
    }

    /// Whether a file goes to standard output, where the table would spoil it.
    #[must_use]
    pub fn use_stdout(&self) -> bool {
        self.wanted().any(|output| is_stdout(output.path))
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
        save(self.path, &bytes).map_err(|error| error.to_string())
    }
}

fn json(result: &RunResult) -> Result<Vec<u8>, String> {
    let mut bytes = serde_json::to_vec(result).map_err(|error| error.to_string())?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Writes beside the file and renames: whoever watches the file never sees half of it.
fn save(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if is_stdout(path) {
        return io::stdout().write_all(bytes);
    }
    if path.exists() && !path.is_file() {
        // A pipe or a device cannot be replaced.
        return std::fs::write(path, bytes);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, path).inspect_err(|_| drop(std::fs::remove_file(&beside)))
}

fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}
