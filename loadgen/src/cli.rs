//! The command line. Names follow the project's contract; the aliases are those that fingers know from wrk,
//! oha and hey. Here is only the shape; [`crate::plan`] finds out what it means.

pub mod amount;
pub mod foreign;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::driver::Choice;
use crate::node::NodeArgs;
use crate::report::{CompareArgs, Outputs, ReportArgs};
use crate::schedule::Spacing;

/// Sends load and measures what comes back.
///
/// With --rate (or --ramp, --steps, --burst) requests follow a schedule whatever the answers do: an open
/// loop, whose latency counts from the intended send. Without, every connection sends its next request when
/// it has the last answer: a closed loop, which asks a slow server less.
///
/// Exit codes: 0 ok, 1 could not run, 2 usage, 99 a condition of --slo or --find-max was broken.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
// As with wrk and hey the last one counts: scripts put their own flags behind those of a variable.
#[command(args_override_self = true)]
#[command(after_help = "Numbers take k, M and G; times ns, us, ms, s, m and h (seconds without a unit).\n\
    Several URLs: `3@http://a/ http://b/` asks the first three times as often.")]
pub struct Cli {
    /// Something else than a run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// A run.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Something else than a run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A server that delays, fails, resets, drips, closes or reports load to order.
    Node(Box<NodeArgs>),
    /// Rebuilds any report from the JSON of a run.
    Report(ReportArgs),
    /// Puts two runs side by side; can fail a build.
    Compare(CompareArgs),
}

/// A run.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// What to ask: http://, ws:// (echo), tcp:// (send and expect), unix:/run/x.sock[:/path]
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<String>,

    /// Connections, over all threads
    #[arg(short, long, value_name = "N", default_value = "50", value_parser = amount::count, help_heading = "Load")]
    pub connections: u64,
    /// Length of the measured part [default: 10s, or that of --ramp and --steps]
    #[arg(short, long, short_alias = 'z', value_name = "TIME", value_parser = amount::length, help_heading = "Load")]
    pub duration: Option<Duration>,
    /// End after so many requests
    #[arg(short = 'n', long, value_name = "N", value_parser = amount::count, help_heading = "Load")]
    pub requests: Option<u64>,
    /// Threads that send [default: one a core]
    #[arg(short, long, alias = "cpus", value_name = "N", value_parser = amount::threads, help_heading = "Load")]
    pub threads: Option<u64>,
    /// Open loop: requests a second
    #[arg(long, short_aliases = ['q', 'R'], alias = "qps", value_name = "RATE", value_parser = amount::rate, help_heading = "Load")]
    pub rate: Option<f64>,
    /// Open loop: from one rate to another, as 1k..50k/60s
    #[arg(long, value_name = "A..B/TIME", value_parser = amount::ramp, conflicts_with_all = ["rate", "steps"], help_heading = "Load")]
    pub ramp: Option<amount::Ramp>,
    /// Open loop: one rate after another, as 1k,2k,4k/10s
    #[arg(long, value_name = "A,B,…/TIME", value_parser = amount::steps, conflicts_with_all = ["rate"], help_heading = "Load")]
    pub steps: Option<amount::Steps>,
    /// Open loop: so many at once, again and again, as 500/1s; on top of --rate if given
    #[arg(long, value_name = "N/TIME", value_parser = amount::burst, help_heading = "Load")]
    pub burst: Option<amount::BurstOf>,
    /// How requests lie within the rate: constant, uniform, poisson
    #[arg(long, value_name = "LAW", default_value = "constant", help_heading = "Load")]
    pub arrivals: Spacing,
    /// Seed of the arrivals: the same seed gives the same schedule
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = amount::seed, help_heading = "Load")]
    pub seed: u64,
    /// Load that is not counted, before the measured part
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = amount::time, help_heading = "Load")]
    pub warmup: Duration,

    /// Method [default: GET, or POST with a body]
    #[arg(short, long, value_name = "NAME", help_heading = "Request")]
    pub method: Option<String>,
    /// Header; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = amount::header, help_heading = "Request")]
    pub headers: Vec<(String, String)>,
    /// Body, or the message of ws:// and tcp://; @FILE reads a file
    #[arg(short, long, alias = "data", value_name = "TEXT", help_heading = "Request")]
    pub body: Option<String>,
    /// Body from a file
    #[arg(short = 'D', long, value_name = "FILE", conflicts_with = "body", help_heading = "Request")]
    pub body_file: Option<PathBuf>,
    /// Replace {{counter}} in URL, headers and body by the number of the request
    #[arg(long, help_heading = "Request")]
    pub template: bool,
    /// The content-type header
    #[arg(short = 'T', long, value_name = "TYPE", value_parser = amount::media_type, help_heading = "Request")]
    pub content_type: Option<String>,
    /// The accept header
    #[arg(short = 'A', long, value_name = "TYPES", help_heading = "Request")]
    pub accept: Option<String>,
    /// Basic authentication; not kept in reports
    #[arg(short = 'a', long, value_name = "USER:PASSWORD", value_parser = amount::credentials, help_heading = "Request")]
    pub basic_auth: Option<String>,
    /// The host header
    #[arg(long, value_name = "NAME", help_heading = "Request")]
    pub host: Option<String>,
    /// Statuses that are no failures, as 200-399,404 [default: 200-399]
    #[arg(long, value_name = "RANGES", value_parser = amount::statuses, help_heading = "Request")]
    pub ok: Option<amount::Statuses>,
    /// tcp://: exactly this must come back [default: what was sent]
    #[arg(long, value_name = "TEXT", help_heading = "Request")]
    pub expect: Option<String>,
    /// tcp://: anything may come back, up to and with this
    #[arg(long, value_name = "TEXT", conflicts_with = "expect", help_heading = "Request")]
    pub expect_until: Option<String>,

    /// Time for a whole answer; then the connection is closed
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = amount::time, help_heading = "Connections")]
    pub timeout: Duration,
    /// A new connection for every request
    #[arg(long, alias = "disable-keepalive", help_heading = "Connections")]
    pub no_keepalive: bool,
    /// Local addresses to send from, in turn; may be repeated
    #[arg(long, value_name = "IP", value_delimiter = ',', help_heading = "Connections")]
    pub source: Vec<IpAddr>,
    /// Connect to this socket, whatever host the URLs name
    #[arg(long, value_name = "PATH", help_heading = "Connections")]
    pub unix_socket: Option<PathBuf>,
    /// How to talk to the kernel: auto, io_uring, epoll
    #[arg(long, value_name = "NAME", default_value = "auto", help_heading = "Connections")]
    pub driver: Choice,

    /// Conditions that must hold, as 'p99<10ms,errors<0.1%'; else exit code 99
    #[arg(long, value_name = "CONDITIONS", help_heading = "Gates")]
    pub slo: Option<String>,
    /// Search the highest rate at which these conditions hold; --rate is the first one tried, -d one try
    #[arg(long, value_name = "CONDITIONS", conflicts_with_all = ["slo", "ramp", "steps", "burst", "requests"], help_heading = "Gates")]
    pub find_max: Option<String>,

    /// Name of the run, for comparisons
    #[arg(long, value_name = "TEXT", help_heading = "Reports")]
    pub name: Option<String>,
    /// Response header that names the node which answered
    #[arg(long, value_name = "HEADER", default_value = "x-node", value_parser = amount::header_name, help_heading = "Reports")]
    pub node_header: String,
    /// The balancer's monitor, whose events are put on the time axis
    #[arg(long, value_name = "ws://…", help_heading = "Reports")]
    pub events: Option<String>,
    /// The file that holds the monitor's token, where it wants one
    #[arg(long, value_name = "FILE", requires = "events", help_heading = "Reports")]
    pub events_token_file: Option<PathBuf>,
    /// Where the reports go
    #[command(flatten)]
    pub outputs: Outputs,
    /// No live view
    #[arg(long, alias = "no-tui", overrides_with = "quiet", help_heading = "Reports")]
    pub quiet: bool,

    /// Asked for by wrk's and oha's users; both is what loadgen always does.
    #[arg(short = 'L', long, alias = "latency-correction", hide = true)]
    pub latency: bool,
    /// Asked for by hey's and oha's users; compression is never asked for here.
    #[arg(long, hide = true)]
    pub disable_compression: bool,
    /// Asked for by hey's users; redirects are never followed here.
    #[arg(long, hide = true)]
    pub disable_redirects: bool,
}
