//! The flags of `loadgen node`.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::Args;

use super::behaviour::Behaviour;
use crate::amount;
use crate::driver::Choice;

/// A test node: an HTTP/1.1 server that does what it is told.
///
/// Every property of its responses can be set here, changed at run time with POST /__node/behaviour?delay=20ms,
/// and overridden for one request by its query: /any/path?status=503&size=16KiB.
#[derive(Args, Clone, Debug)]
pub struct NodeArgs {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    pub listen: IpAddr,
    /// Port to listen on; 0 takes a free one.
    #[arg(short, long, default_value_t = 8080)]
    pub port: u16,
    /// Name in the x-node header; the host's name unless given.
    #[arg(long, value_parser = node_name)]
    pub name: Option<String>,
    /// Threads that serve.
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// How to talk to the kernel: auto, io_uring, epoll.
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub driver: Choice,
    /// Seed of every random draw.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = amount::seed)]
    pub seed: u64,

    /// Wait before a response: 20ms, uniform:10ms..30ms, exp:20ms, lognormal:20ms,0.5 or bimodal:5ms,200ms,5%.
    #[arg(long)]
    pub delay: Option<String>,
    /// CPU time to burn for a request, such as 500us.
    #[arg(long)]
    pub cpu: Option<String>,
    /// Status of the responses.
    #[arg(long)]
    pub status: Option<String>,
    /// Bytes of a response's body, such as 16KiB.
    #[arg(long)]
    pub size: Option<String>,
    /// Send bodies chunked.
    #[arg(long)]
    pub chunked: bool,
    /// Pause between two pieces of a body, such as 10ms.
    #[arg(long)]
    pub drip: Option<String>,
    /// Bytes of a piece or a chunk.
    #[arg(long)]
    pub piece: Option<String>,
    /// Reset connections: head (before the response) or body (in the middle of it).
    #[arg(long, value_name = "WHERE")]
    pub reset: Option<String>,
    /// Close the sending half after each response.
    #[arg(long)]
    pub half_close: bool,
    /// Say connection: close with the Nth request of a connection.
    #[arg(long, value_name = "N")]
    pub close_after: Option<String>,
    /// Close without a word after the Nth request of a connection.
    #[arg(long, value_name = "N")]
    pub drop_after: Option<String>,
    /// Answer with the request, as JSON.
    #[arg(long)]
    pub echo: bool,
    /// Answer before the request's body is read.
    #[arg(long)]
    pub early: bool,
    /// Share of the requests that delay, cpu, status, reset and half-close strike, such as 10%.
    #[arg(long)]
    pub share: Option<String>,
    /// Load to report in endpoint-load-metrics, 0 to 1.
    #[arg(long)]
    pub load: Option<String>,
    /// Header to add to responses (may be repeated).
    #[arg(short = 'H', long, value_name = "NAME:VALUE")]
    pub header: Vec<String>,

    /// Requests served at once; further ones wait, see --queue.
    #[arg(long, value_name = "N", value_parser = limit)]
    pub limit: Option<usize>,
    /// Requests that may wait for --limit; further ones get 503 at once.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = queue)]
    pub queue: usize,
    /// Close a connection that is idle this long; 0 never.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = amount::setting)]
    pub keepalive: Duration,
    /// Listen only after this time: connections are refused until then.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = amount::setting)]
    pub start_delay: Duration,
    /// Answer 503 on the health path until this time after the start.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = amount::setting)]
    pub ready_delay: Duration,
    /// Wait this long between two accepts.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = amount::setting)]
    pub accept_delay: Duration,
    /// Connections that the kernel holds until they are accepted.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(i32).range(1..))]
    pub backlog: i32,
    /// Path of the health check.
    #[arg(long, value_name = "PATH", default_value = "/healthz", value_parser = path)]
    pub health_path: String,
    /// Start with the health check failing.
    #[arg(long)]
    pub unhealthy: bool,
    /// Serve no control paths (/__node/…): every path is an ordinary one.
    #[arg(long)]
    pub no_control: bool,
    /// After TERM, wait this long for requests under way.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = amount::setting)]
    pub grace: Duration,
    /// Write what the node saw to this file at the end, as JSON; - is the standard output.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Also echo TCP on this port; 0 takes a free one.
    #[arg(long, value_name = "PORT")]
    pub tcp_echo: Option<u16>,
    /// Also echo UDP on this port; 0 takes a free one.
    #[arg(long, value_name = "PORT")]
    pub udp_echo: Option<u16>,
}

impl NodeArgs {
    /// The behaviour that the flags ask for.
    ///
    /// # Errors
    /// Names the flag whose value is wrong.
    pub(crate) fn behaviour(&self) -> Result<Behaviour, String> {
        let mut behaviour = Behaviour::default();
        let switches = [
            ("chunked", self.chunked),
            ("half-close", self.half_close),
            ("echo", self.echo),
            ("early", self.early),
        ];
        let values = [
            ("delay", &self.delay),
            ("cpu", &self.cpu),
            ("status", &self.status),
            ("size", &self.size),
            ("drip", &self.drip),
            ("piece", &self.piece),
            ("reset", &self.reset),
            ("close-after", &self.close_after),
            ("drop-after", &self.drop_after),
            ("share", &self.share),
            ("load", &self.load),
        ];
        let given = values.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let on = switches.iter().filter(|(_, on)| *on).map(|(name, _)| (*name, "1"));
        let headers = self.header.iter().map(|header| ("header", header.as_str()));
        for (name, value) in given.chain(on).chain(headers) {
            behaviour.set(name, value).map_err(|error| format!("--{name}: {error}"))?;
        }
        Ok(behaviour)
    }
}

fn node_name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_graphic());
    if fits {
        Ok(text.to_owned())
    } else {
        Err("a name is 1 to 128 visible ASCII characters without spaces".to_owned())
    }
}

/// With none at once, nothing would ever be served.
fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(limit @ 1..) => Ok(limit),
        _ => Err(format!("`{text}` is not a limit: a whole number from 1 on; without --limit there is none")),
    }
}

fn queue(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("`{text}` is not a whole number from 0 on"))
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.contains(['?', ' ']) {
        Ok(text.to_owned())
    } else {
        Err("a path begins with / and has no query".to_owned())
    }
}
