//! From the command line to a plan that cannot be wrong. Nothing is opened or resolved here, only files
//! with bodies are read.

mod headers;
pub mod job;
mod language;
mod source;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::RunArgs;
use crate::dialogue::echo::{Exchange, Expected};
use crate::dialogue::request::Parts;
use crate::dialogue::websocket::Message;
use crate::dialogue::{Question, Request};
use crate::gate::Gate;
use crate::gate::search::RATE_MIN;
use crate::schedule::{Burst, Load, RateCurve};
use crate::target::{Place, Protocol, TargetUrl};
use crate::template::Template;

/// Length of a run when nothing else says it.
const DURATION: Duration = Duration::from_secs(10);
/// Length of one try of `--find-max` when nothing else says it.
const TRY_DURATION: Duration = Duration::from_secs(5);
/// The first rate that `--find-max` tries when nothing else says it.
const FIRST_RATE: f64 = 1000.0;
/// The largest body.
const BODY_MAX: usize = 64 * 1024 * 1024;
/// The most connections.
const CONNECTIONS_MAX: u64 = 1_000_000;
/// The most threads.
const THREADS_MAX: u64 = 1024;
/// The methods that everybody knows (RFC 9110 section 9.3, RFC 5789).
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"];
/// What is sent to tcp:// and ws:// when nothing else says it.
const MESSAGE: &[u8] = b"ping\n";

/// See the module.
#[derive(Debug)]
pub struct Plan {
    /// The command line as typed, with all that needs no working out.
    pub args: RunArgs,
    /// The URLs.
    pub targets: Vec<TargetUrl>,
    /// What is spoken with all of them.
    pub protocol: Protocol,
    /// The method.
    pub method: String,
    /// What is asked.
    pub question: Arc<Question>,
    /// Extra headers of a WebSocket handshake.
    pub headers: Vec<(String, String)>,
    /// Connections.
    pub connections: u32,
    /// Threads.
    pub threads: u32,
    /// Planned end of the measured part.
    pub duration: Option<Duration>,
    /// The rate over time; `None` in a closed loop.
    pub curve: Option<RateCurve>,
    /// `--slo`.
    pub slo: Option<Gate>,
    /// `--find-max`.
    pub find_max: Option<Gate>,
    /// Bytes of the body, or of the message, as given.
    pub body_bytes: u64,
    /// What `--events-token-file` holds.
    pub events_token: Option<String>,
}

impl Plan {
    /// Works out what the command line means.
    ///
    /// # Errors
    /// What is wrong with it: a usage error.
    pub fn new(args: RunArgs, cores: usize) -> Result<Self, String> {
        let targets = args.urls.iter().map(|url| TargetUrl::parse(url)).collect::<Result<Vec<_>, _>>()?;
        let protocol = one_protocol(&targets)?;
        language::check(&args, protocol)?;
        check_events(&args)?;
        args.outputs.check()?;
        let body = read_body(&args)?;
        let method = method(&args, &body)?;
        let headers = headers::given(&args);
        headers::check(&args, protocol, &headers, &body)?;
        let body_bytes = body.len() as u64;
        let question = question(&args, &targets, protocol, &method, &headers, body)?;
        let connections = at_most(args.connections, CONNECTIONS_MAX, "connections")?;
        let threads = threads(&args, cores, connections)?;
        let slo =
            args.slo.as_deref().map(Gate::parse).transpose().map_err(|error| format!("--slo: {error}"))?;
        let find_max = args.find_max.as_deref().map(Gate::parse).transpose();
        let find_max = find_max.map_err(|error| format!("--find-max: {error}"))?;
        let curve = curve(&args);
        check_load(&args)?;
        Self {
            duration: duration(&args),
            events_token: read_token(&args)?,
            question: Arc::new(question),
            args,
            targets,
            protocol,
            method,
            headers,
            connections,
            threads,
            curve,
            slo,
            find_max,
            body_bytes,
        }
        .with_a_connection_everywhere()
    }

    /// Each thread needs a connection to each host.
    fn with_a_connection_everywhere(mut self) -> Result<Self, String> {
        let places = self.places();
        source::check(&self.args, &places)?;
        let hosts = places.len() as u32;
        if self.connections < hosts {
            return Err(format!("{hosts} hosts need at least {hosts} connections: -c {hosts}"));
        }
        self.threads = self.threads.min(self.connections / hosts);
        Ok(self)
    }

    /// The load of an open loop.
    #[must_use]
    pub fn load(&self) -> Option<Load> {
        self.curve.clone().map(|curve| self.load_along(curve))
    }

    /// The load of one try of `--find-max`.
    #[must_use]
    pub fn load_at(&self, rate: f64) -> Load {
        self.load_along(RateCurve::constant(rate))
    }

    fn load_along(&self, curve: RateCurve) -> Load {
        let every = |burst: crate::cli::amount::BurstOf| Burst {
            size: burst.size,
            every_ns: burst.every.as_nanos() as u64,
        };
        Load {
            curve,
            spacing: self.args.arrivals,
            burst: self.args.burst.map(every),
            seed: self.args.seed,
            warmup_ns: self.args.warmup.as_nanos() as u64,
            end_ns: self.end_ns(),
            count_max: self.args.requests.unwrap_or(u64::MAX),
        }
    }

    /// End of the plan, from the start of the warm-up.
    #[must_use]
    pub fn end_ns(&self) -> u64 {
        self.duration.map_or(u64::MAX, |duration| (self.args.warmup + duration).as_nanos() as u64)
    }

    /// The first rate of `--find-max`.
    #[must_use]
    pub fn first_rate(&self) -> f64 {
        self.args.rate.unwrap_or(FIRST_RATE)
    }

    /// The plan in words; empty for a closed loop.
    #[must_use]
    pub fn words(&self) -> String {
        let args = &self.args;
        let mut parts = Vec::new();
        if let Some(rate) = args.rate {
            parts.push(format!("{rate}/s"));
        }
        if let Some(ramp) = args.ramp {
            parts.push(format!("{}/s to {}/s in {:?}", ramp.from, ramp.to, ramp.over));
        }
        if let Some(steps) = &args.steps {
            let rates: Vec<String> = steps.rates.iter().map(|rate| format!("{rate}/s")).collect();
            parts.push(format!("steps of {:?}: {}", steps.each, rates.join(", ")));
        }
        if let Some(burst) = args.burst {
            parts.push(format!("bursts of {} every {:?}", burst.size, burst.every));
        }
        parts.join(", and ")
    }
}

fn one_protocol(targets: &[TargetUrl]) -> Result<Protocol, String> {
    let first = targets.first().ok_or("no URL")?;
    match targets.iter().find(|target| target.protocol != first.protocol) {
        Some(other) => Err(format!("`{}` and `{}` speak different protocols", first.url, other.url)),
        None => Ok(first.protocol),
    }
}

fn check_events(args: &RunArgs) -> Result<(), String> {
    let Some(url) = &args.events else { return Ok(()) };
    let target = TargetUrl::parse(url).map_err(|error| format!("--events: {error}"))?;
    match (target.protocol, target.place) {
        (Protocol::WebSocket, Place::Tcp(..)) => Ok(()),
        _ => Err(format!("--events: `{url}` is not a ws:// address")),
    }
}

/// One line; line breaks around it belong to the file.
fn read_token(args: &RunArgs) -> Result<Option<String>, String> {
    let Some(file) = &args.events_token_file else { return Ok(None) };
    let wrong = |why: &str| format!("--events-token-file {}: {why}", file.display());
    let token = std::fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("a token is one line of visible ASCII characters"));
    }
    Ok(Some(token.to_owned()))
}

fn check_load(args: &RunArgs) -> Result<(), String> {
    if args.timeout.is_zero() {
        return Err("--timeout 0 leaves no time for an answer".to_owned());
    }
    if args.duration.is_some_and(|duration| duration.is_zero()) {
        return Err("--duration 0 leaves nothing to measure".to_owned());
    }
    let searches = args.find_max.is_some();
    let steady = args.rate.is_some() || args.ramp.is_some() || args.steps.is_some();
    if searches && args.rate.is_some_and(|rate| rate < RATE_MIN) {
        return Err(format!(
            "--find-max tries no rate below {RATE_MIN}/s, and --rate is the first one tried"
        ));
    }
    if args.arrivals != crate::schedule::Spacing::Constant && !steady && !searches {
        return Err("--arrivals needs a rate: add --rate, --ramp or --steps".to_owned());
    }
    if args.warmup > args.duration.unwrap_or(crate::cli::amount::TIME_MAX) * 100 {
        return Err("--warmup is more than a hundred times --duration: is a unit missing?".to_owned());
    }
    Ok(())
}

fn read_body(args: &RunArgs) -> Result<Vec<u8>, String> {
    let file = match (&args.body, &args.body_file) {
        (_, Some(file)) => file.clone(),
        (Some(text), None) => match text.strip_prefix('@') {
            Some(file) => PathBuf::from(file),
            None => return Ok(text.clone().into_bytes()),
        },
        (None, None) => return Ok(Vec::new()),
    };
    let body = std::fs::read(&file).map_err(|error| format!("body file {}: {error}", file.display()))?;
    if body.len() > BODY_MAX {
        return Err(format!("body file {} is larger than 64 MiB", file.display()));
    }
    Ok(body)
}

fn method(args: &RunArgs, body: &[u8]) -> Result<String, String> {
    let method = args.method.as_deref().unwrap_or(if body.is_empty() { "GET" } else { "POST" });
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    {
        return Err(format!("`{}` is no method", method.escape_debug()));
    }
    if method.eq_ignore_ascii_case("CONNECT") {
        return Err("CONNECT opens tunnels, which are not measured here".to_owned());
    }
    // Methods are case-sensitive (RFC 9110 section 9.1): a server knows no `get`, and nobody means one.
    let known = METHODS.into_iter().find(|known| method.eq_ignore_ascii_case(known));
    Ok(known.unwrap_or(method).to_owned())
}

fn question(
    args: &RunArgs,
    targets: &[TargetUrl],
    protocol: Protocol,
    method: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> Result<Question, String> {
    let template = |bytes: &[u8]| {
        if args.template { Template::with_counter(bytes) } else { Template::fixed(bytes) }
    };
    let given = args.body.is_some() || args.body_file.is_some();
    if protocol == Protocol::Tcp && given && body.is_empty() {
        return Err(
            "nothing is sent, so nothing would come back: with tcp:// the body (-b) is a text".to_owned()
        );
    }
    let message = if given { body.clone() } else { MESSAGE.to_vec() };
    Ok(match protocol {
        Protocol::Http => {
            let request = |target: &TargetUrl| {
                Request::new(Parts {
                    method,
                    path: &target.path,
                    host: &target.authority,
                    headers,
                    body: template(&body),
                    keepalive: !args.no_keepalive,
                    counted: args.template,
                })
            };
            Question::Http {
                requests: targets.iter().map(request).collect(),
                head_only: method == "HEAD",
                node_header: args.node_header.as_str().into(),
            }
        }
        Protocol::WebSocket => Question::WebSocket(Message { text: Arc::new(template(&message)) }),
        Protocol::Tcp => Question::Tcp(Exchange {
            send: Arc::new(template(&typed(args, message))),
            expected: Arc::new(expected(args)),
        }),
    })
}

/// In a body that was typed, `\n` is a line end.
fn typed(args: &RunArgs, message: Vec<u8>) -> Vec<u8> {
    match &args.body {
        Some(text) if !text.starts_with('@') => unescape(text),
        _ => message,
    }
}

fn expected(args: &RunArgs) -> Expected {
    match (&args.expect, &args.expect_until) {
        (Some(text), _) => Expected::Bytes(unescape(text)),
        (None, Some(text)) => Expected::Until(unescape(text)),
        (None, None) => Expected::Echo,
    }
}

/// `\n`, `\r`, `\t`, `\0` and `\\`, which are hard to type in a shell.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let plain =
            if byte == b'\\' { rest.next().map(|next| escaped(next, &mut out)) } else { Some(Some(byte)) };
        match plain {
            Some(Some(byte)) => out.push(byte),
            Some(None) => {}
            None => out.push(b'\\'),
        }
    }
    out
}

/// The byte that an escape stands for; an unknown one is left as it is.
fn escaped(letter: u8, out: &mut Vec<u8>) -> Option<u8> {
    match letter {
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'0' => Some(0),
        b'\\' => Some(b'\\'),
        other => {
            out.extend_from_slice(&[b'\\', other]);
            None
        }
    }
}

fn at_most(value: u64, max: u64, what: &str) -> Result<u32, String> {
    match u32::try_from(value) {
        Ok(small) if value <= max => Ok(small),
        _ => Err(format!("{value} {what} are more than the highest number, {max}")),
    }
}

fn threads(args: &RunArgs, cores: usize, connections: u32) -> Result<u32, String> {
    let threads = at_most(args.threads.unwrap_or(cores as u64), THREADS_MAX, "threads")?;
    if args.threads.is_some_and(|asked| asked > u64::from(connections)) {
        return Err(format!("{threads} threads need at least as many connections: -c {threads}"));
    }
    Ok(threads.min(connections))
}

fn curve(args: &RunArgs) -> Option<RateCurve> {
    if let Some(ramp) = args.ramp {
        return Some(RateCurve::ramp(ramp.from, ramp.to, ramp.over.as_secs_f64()));
    }
    if let Some(steps) = &args.steps {
        return Some(RateCurve::steps(&steps.rates, steps.each.as_secs_f64()));
    }
    args.rate.map(RateCurve::constant).or_else(|| args.burst.map(|_| RateCurve::default()))
}

fn duration(args: &RunArgs) -> Option<Duration> {
    let of_plan = match (&args.ramp, &args.steps) {
        (Some(ramp), _) => Some(ramp.over),
        (None, Some(steps)) => Some(steps.each * steps.rates.len() as u32),
        (None, None) if args.find_max.is_some() => Some(TRY_DURATION),
        (None, None) if args.requests.is_some() => return args.duration,
        (None, None) => Some(DURATION),
    };
    args.duration.or(of_plan)
}
