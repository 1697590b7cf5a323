//! The `loadgen` command.

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
enum Command {
    Node(loadgen::node::NodeArgs),
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Node(args) => loadgen::node::run(args),
    }
}
