//! `plimsoll demo`: a backend that sleeps, grows and shrinks under a load that rises and falls, and the monitor to see it.

mod load;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;

use serde_json::json;

use crate::config::settings::BindAddress;
use crate::config::{self, Problems, Settings};
use crate::process;

/// A public image of a few MB that serves HTTP, where none is named.
const SMALL_IMAGE: &str = "traefik/whoami";
/// How long a node takes to boot, so that a request that waits for one can be seen.
const BOOT: &str = "400";

/// What `demo` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; another free port where this one is taken
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Where the monitor and the admin API listen; another free port where this one is taken
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9900")]
    admin: String,
    /// Start containers of this image as nodes, in place of local processes
    #[arg(long, value_name = "IMAGE", num_args = 0..=1, default_missing_value = SMALL_IMAGE)]
    docker: Option<String>,
    /// Send no load of its own: the backend sleeps until somebody asks for something
    #[arg(long)]
    quiet: bool,
}

/// Runs until Ctrl-C, then ends the nodes too.
pub fn run(args: &Args) -> ExitCode {
    let (listen, admin) = (free(&args.listen), free(&args.admin));
    let settings = match settings(&listen, &admin, args.docker.as_deref()) {
        Ok(settings) => settings,
        Err(problems) => return super::run::refuse(&problems),
    };
    eprintln!(
        "open http://{admin}/ and watch: the load rises and falls, nodes come and go (Ctrl-C ends all of it)\n\
         then try in another terminal: plimsoll scale demo 5 --admin {admin}"
    );
    if let (false, Some(address)) = (args.quiet, address(&settings)) {
        load::start(address);
    }
    process::run(settings, process::Manner { ends_nodes: true, ..process::Manner::default() })
}

/// A small fleet, with windows so short that what happens in minutes elsewhere can be watched.
fn settings(listen: &str, admin: &str, image: Option<&str>) -> Result<Settings, Problems> {
    let scale = json!({
        "min": 0, "max": 8, "target": { "in_flight": 8 }, "idle": "6s",
        "up": { "window": "2s" }, "down": { "window": "8s", "cooldown": "3s" },
    });
    let (engine, nodes) = match image {
        Some(image) => ("docker", json!({ "image": image })),
        None => ("process", json!({ "command": node() })),
    };
    // JSON is YAML, and quotes whatever stands in a path.
    let file = json!({
        "access_log": "off",
        "listeners": { "web": { "bind": listen } },
        "admin": { "bind": admin },
        "routes": [{ "path": "/*", "backend": "demo" }],
        "backends": { "demo": { "strategy": "least_connections", engine: nodes, "scale": scale } },
    });
    config::parse(&file.to_string(), &format!("demo at {listen}"), &|_| None)
}

/// The command of a node: this same program.
fn node() -> Vec<String> {
    let program = std::env::current_exe().unwrap_or_else(|_| "plimsoll".into());
    let program = program.to_string_lossy().into_owned();
    let words = ["demo-node", "--name", "node-{port}", "--port", "{port}", "--boot", BOOT];
    std::iter::once(program).chain(words.map(str::to_owned)).collect()
}

/// Where the load goes: the listener, on this machine.
fn address(settings: &Settings) -> Option<SocketAddr> {
    let bind = settings.listeners.first()?.binds.first()?;
    match bind {
        BindAddress::Tcp(address) if address.ip().is_unspecified() => {
            Some(SocketAddr::from(([127, 0, 0, 1], address.port())))
        }
        BindAddress::Tcp(address) => Some(*address),
        BindAddress::Unix(_) => None,
    }
}

/// The address, or one with another port where somebody listens there, or where the port is 0: the monitor's is told before
/// anything listens, and a demo should not fail over a port.
fn free(address: &str) -> String {
    let another = |host: &str| {
        let bound = TcpListener::bind(format!("{host}:0")).and_then(|listener| listener.local_addr());
        bound.map_or_else(|_| address.to_owned(), |address| address.to_string())
    };
    match (TcpListener::bind(address), address.rsplit_once(':')) {
        (Err(error), Some((host, _))) if error.kind() == io::ErrorKind::AddrInUse => another(host),
        (Ok(_), Some((host, "0"))) => another(host),
        _ => address.to_owned(),
    }
}
