//! The command line: one file a subcommand.

pub mod admin_client;
pub mod check;
pub mod demo;
pub mod demo_node;
pub mod nodes;
pub mod orders;
pub mod run;
pub mod schema;
mod table;
pub mod top;
pub mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit code of a wrong command line or configuration.
pub const EXIT_CONFIG: u8 = 2;

/// A load balancer on io_uring, one thread a core.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, about, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Balance, as a file or two flags say
    Run(run::Args),
    /// Show it: a load that rises and falls, nodes that come and go, and the monitor to watch it; no file needed
    Demo(demo::Args),
    /// Say whether a configuration file would run, and what is wrong with it
    Check {
        /// The file; without it ./plimsoll.yaml, ./config/plimsoll.yaml, /etc/plimsoll/plimsoll.yaml
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the nodes of a running balancer: state, why, load
    Nodes(admin_client::Access),
    /// Take a node out of rotation; what it has in flight finishes
    Drain(orders::Drain),
    /// Set how many nodes a backend has that the balancer starts itself
    Scale(orders::Scale),
    /// Watch a running balancer live
    Top(admin_client::Access),
    /// Say where a request would go, and why
    Why(why::Args),
    /// Make a running balancer read its configuration again
    Reload(admin_client::Access),
    /// Print the JSON schema of the configuration file
    Schema,
    /// One node of the demo
    #[command(hide = true)]
    DemoNode(demo_node::Args),
}

impl Cli {
    /// Carries out the command.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Run(args) => run::run(args),
            Command::Demo(args) => demo::run(&args),
            Command::Check { config, json } => check::run(config, json),
            Command::Nodes(access) => nodes::run(&access),
            Command::Drain(args) => orders::drain(&args),
            Command::Scale(args) => orders::scale(&args),
            Command::Top(access) => top::run(&access),
            Command::Why(args) => why::run(&args),
            Command::Reload(access) => orders::reload(&access),
            Command::Schema => schema::run(),
            Command::DemoNode(args) => demo_node::run(&args),
        }
    }
}
