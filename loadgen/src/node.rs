//! `loadgen node`: an HTTP/1.1 server that does what a test tells it: delays, fails, resets, drips, closes.
//!
//! It is the application behind the balancer in tests and in container images, and the bare responder of
//! benchmarks. Its parser is its own, so that no error of the balancer's is shared by its witness.

mod args;
mod behaviour;
mod body;
mod burn;
mod connection;
mod control;
mod delay;
mod echo;
mod echo_json;
mod ledger;
mod listener;
mod reply;
mod request;
mod session;
mod signal;
mod socket;
mod thread;
mod websocket;
mod worker;

use std::{fmt::Write, io, net::SocketAddr, process::ExitCode, sync::Arc};

pub use args::NodeArgs;
use signal::Stop;
use thread::Sockets;
use worker::Node;

use crate::console::{self, tell};
use crate::{open_files, outfile};

/// Runs a node until TERM or INT, and prints what it saw.
///
/// Exit code 0 after a clean end, 1 when it could not run, 2 when a flag's value is wrong.
#[must_use]
pub fn run(args: NodeArgs) -> ExitCode {
    let behaviour = match args.behaviour().and_then(|behaviour| check_report(&args).map(|()| behaviour)) {
        Ok(behaviour) => behaviour,
        Err(error) => {
            tell(format_args!("loadgen node: {error}"));
            return ExitCode::from(2);
        }
    };
    let name = args.name.clone().unwrap_or_else(host_name);
    let node = Arc::new(Node::new(&args, name, behaviour));
    match serve(&args, &node) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(format_args!("loadgen node: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// What a node saw is written when it ends, when nobody may be there to be told that it cannot be.
fn check_report(args: &NodeArgs) -> Result<(), String> {
    let Some(path) = &args.report else { return Ok(()) };
    outfile::check(path).map(drop).map_err(|error| format!("--report {}: {error}", path.display()))
}

fn serve(args: &NodeArgs, node: &Arc<Node>) -> io::Result<()> {
    open_files::raise();
    let mut stop = Stop::on_signals()?;
    if stop.comes_within(args.start_delay)? {
        return Ok(());
    }
    let sockets = Sockets::bind(args)?;
    let addresses = sockets.addresses()?;
    let threads = thread::start(args, node, sockets)?;
    announce(args, node, &addresses)?;
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a thread of the node panicked"))??;
    }
    leave_report(args, node)
}

/// Says where the node is to be reached, once it can be.
fn announce(args: &NodeArgs, node: &Node, addresses: &thread::Addresses) -> io::Result<()> {
    let driver = node.driver.get().map(ToString::to_string).unwrap_or_default();
    let mut out = String::new();
    let _ = writeln!(out, "http://{}", shown(addresses.http));
    if let Some(address) = addresses.tcp {
        let _ = writeln!(out, "tcp://{} (echo)", shown(address));
    }
    if let Some(address) = addresses.udp {
        let _ = writeln!(out, "udp://{} (echo)", shown(address));
    }
    let (threads, name) = (args.threads, &node.name);
    let plural = if threads == 1 { "" } else { "s" };
    let _ = writeln!(out, "node {name} is ready: {threads} thread{plural}, {driver}");
    if node.control {
        let _ = writeln!(out, "how to change it: http://{}/__node/", shown(addresses.http));
    }
    console::print(out.as_bytes())
}

/// An address that a person can click: nobody can connect to "all addresses".
fn shown(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let local =
            if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(local);
    }
    address
}

fn leave_report(args: &NodeArgs, node: &Node) -> io::Result<()> {
    let account = node.account();
    tell(account.summary());
    let Some(path) = &args.report else { return Ok(()) };
    let mut json = serde_json::to_vec_pretty(&account)?;
    json.push(b'\n');
    outfile::save(path, &json)
        .map_err(|error| io::Error::other(format!("--report {}: {error}", path.display())))
}

/// In a container this is its short id, which tells the nodes of a fleet apart.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "node".to_owned() } else { name.replace(|c: char| !c.is_ascii_graphic(), "-") }
}
