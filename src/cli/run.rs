//! `plimsoll run`: balance, as a file or two flags say.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::EXIT_CONFIG;
use crate::config::{self, Problems, Settings};
use crate::process;

/// What `run` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file; without it ./plimsoll.yaml, ./config/plimsoll.yaml, /etc/plimsoll/plimsoll.yaml
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["listen", "to"])]
    config: Option<PathBuf>,
    /// Where to listen, without a file: `:8080`, `127.0.0.1:8080`, `unix:/run/x.sock`; several with commas
    #[arg(long, value_name = "ADDRESS", requires = "to")]
    listen: Vec<String>,
    /// Where to send requests, without a file: `a:1,b:2`
    #[arg(long, value_name = "HOST:PORT")]
    to: Vec<String>,
    /// Where the admin API listens, without a file; `off` for none
    #[arg(long, value_name = "ADDRESS", requires = "to")]
    admin: Option<String>,
    /// Decide how many nodes backends should have, and tell, without starting or stopping any
    #[arg(long)]
    dry_run: bool,
}

/// Balances until a signal ends it. Exit codes: 0 after a drain, 1 where it could not run, 2 for a wrong configuration.
pub fn run(args: Args) -> ExitCode {
    let dry_run = args.dry_run;
    let (settings, load) = match settings(args) {
        Ok(read) => read,
        Err(problems) => return refuse(&problems),
    };
    if let Some(refusal) = settings.refusal() {
        return refuse(&refusal);
    }
    eprint!("{}", settings.warnings.render(std::io::stderr().is_terminal()));
    process::run(settings, process::Manner { load, dry_run, ..process::Manner::default() })
}

/// The settings, and what reads them again where they came from a file.
fn settings(args: Args) -> Result<(Settings, Option<process::Load>), Problems> {
    if args.to.is_empty() {
        let path = args.config.map_or_else(config::search, Ok)?;
        let settings = config::load(&path)?;
        return Ok((settings, Some(Arc::new(move || config::load(&path)))));
    }
    let mut settings = config::quick(&args.listen, &args.to)?;
    if let Some(admin) = &args.admin {
        settings.admin = config::quick_admin(admin)?;
    }
    Ok((settings, None))
}

/// Prints what is wrong.
pub(super) fn refuse(problems: &Problems) -> ExitCode {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    eprint!("{}", problems.render(colour));
    ExitCode::from(EXIT_CONFIG)
}
