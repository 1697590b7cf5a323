//! `plimsoll demo`: three small nodes as child processes, and the balancer in front of them.

use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, ExitCode, Stdio};

use crate::config::{self, Settings};
use crate::process;

/// How many nodes the demo starts.
const NODES: usize = 3;

/// What `demo` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; another free port where this one is taken
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Where the admin API listens; another free port where this one is taken
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9900")]
    admin: String,
}

/// Runs until Ctrl-C, then ends the nodes too.
pub fn run(args: &Args) -> ExitCode {
    let nodes = match (1..=NODES).map(Node::start).collect::<io::Result<Vec<_>>>() {
        Ok(nodes) => nodes,
        Err(error) => {
            eprintln!("error: the demo's nodes do not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let settings = match settings(args, &nodes) {
        Ok(settings) => settings,
        Err(problems) => return super::run::refuse(&problems),
    };
    // The nodes end with `nodes`: behind the balancer's drain, so that no request of the demo fails at its end.
    process::run(settings, None, false)
}

fn settings(args: &Args, nodes: &[Node]) -> Result<Settings, config::Problems> {
    let to: Vec<_> = nodes.iter().map(|node| node.address.clone()).collect();
    let mut settings = config::quick(&[free(&args.listen)], &to)?;
    settings.admin = config::quick_admin(&free(&args.admin))?;
    settings.access_log = None;
    Ok(settings)
}

/// The address, or one with another port where somebody listens there: a demo should not fail over that.
fn free(address: &str) -> String {
    match (TcpListener::bind(address), address.rsplit_once(':')) {
        (Err(error), Some((host, _))) if error.kind() == io::ErrorKind::AddrInUse => format!("{host}:0"),
        _ => address.to_owned(),
    }
}

/// One node: a child process of this same program.
struct Node {
    process: Child,
    address: String,
}

impl Node {
    fn start(number: usize) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let name = format!("node-{number}");
        let mut process = Command::new(program)
            .args(["demo-node", "--name", &name])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut address)?;
        }
        let node = Self { process, address: address.trim().to_owned() };
        if node.address.is_empty() {
            return Err(io::Error::other(format!("{name} ended before it listened")));
        }
        Ok(node)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // One that has ended already is what was wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
