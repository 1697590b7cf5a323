//! The `loadgen` command.

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
enum Command {
    Node(loadgen::node::NodeArgs),
    Report(loadgen::report::ReportArgs),
    Compare(loadgen::report::CompareArgs),
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Node(args) => loadgen::node::run(args),
        Command::Report(args) => loadgen::report::run(&args),
        Command::Compare(args) => loadgen::report::compare(&args),
    }
}
