//! The `loadgen` command.

use std::process::ExitCode;

use clap::Parser;
use loadgen::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Node(args)) => loadgen::node::run(*args),
        Some(Command::Report(args)) => loadgen::report::run(&args),
        Some(Command::Compare(args)) => loadgen::report::compare(&args),
        None => loadgen::run::run(cli.run),
    }
}
