//! The `plimsoll` command.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    plimsoll::cli::Cli::parse().run()
}
