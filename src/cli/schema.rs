//! `plimsoll schema`: the JSON schema of the configuration file, for editors and other tools.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::config;

/// Prints it.
pub fn run() -> ExitCode {
    let written = writeln!(io::stdout(), "{:#}", config::schema());
    // A reader that left early has what it wanted.
    let _ = written;
    ExitCode::SUCCESS
}
