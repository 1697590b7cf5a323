//! The `loadgen` command.

use std::process::ExitCode;

use loadgen::cli::{Command, foreign};

fn main() -> ExitCode {
    let cli = match foreign::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli.command {
        Some(Command::Node(args)) => loadgen::node::run(*args),
        Some(Command::Report(args)) => loadgen::report::run(&args),
        Some(Command::Compare(args)) => loadgen::report::compare(&args),
        None => loadgen::run::run(cli.run),
    }
}
