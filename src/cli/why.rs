//! `plimsoll why`: where a request would go, and why.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::Value;

use super::admin_client::{Access, clean, finish, segment};

/// What `why` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The method
    method: String,
    /// `http://example.com/api/x`, `example.com/api/x`, or `/api/x`
    url: String,
    /// The listener that it comes in on; the first where it is not given
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// The client's address, for strategies that go by it
    #[arg(long, value_name = "ADDRESS")]
    client: Option<std::net::IpAddr>,
    /// A header of the request; several times for several
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    #[command(flatten)]
    access: Access,
}

/// Asks the running balancer, which answers with the logic that routes its traffic. Exit codes: 0 where a node, a redirect
/// or a fixed answer would serve it, 1 where it would be refused or nobody answers.
pub fn run(args: &Args) -> ExitCode {
    let whole = args.url.contains("://") || args.url.starts_with('/') || args.url == "*";
    let url = if whole { args.url.clone() } else { format!("http://{}", args.url) };
    let mut path = format!("/api/v1/why?method={}&url={}", segment(&args.method), segment(&url));
    if let Some(listener) = &args.listener {
        let _ = write!(path, "&listener={}", segment(listener));
    }
    if let Some(client) = args.client {
        let _ = write!(path, "&client={}", segment(&client.to_string()));
    }
    for header in &args.headers {
        let _ = write!(path, "&header={}", segment(header));
    }
    let answer = args.access.get(&path);
    let served = answer.as_ref().is_ok_and(|why| why["outcome"] != "refused" && why["reason"].is_null());
    let code = finish(&args.access, answer, text);
    if served { code } else { ExitCode::FAILURE }
}

fn text(why: &Value) -> String {
    let string = |value: &Value| clean(value.as_str().unwrap_or_default());
    let mut out = format!("{}\n", string(&why["text"]));
    if !why["route"].is_null() {
        let _ = writeln!(out, "\nroute {}", string(&why["route"]["name"]));
        for condition in why["route"]["conditions"].as_array().into_iter().flatten() {
            let _ = writeln!(out, "  {}", string(condition));
        }
    }
    let passed: Vec<&Value> = why["passed_over"].as_array().into_iter().flatten().collect();
    if !passed.is_empty() {
        out.push_str("\npassed over\n");
        for one in passed {
            let _ = writeln!(out, "  {}: {}", string(&one["route"]), string(&one["why"]));
        }
    }
    if !why["backend"].is_null() {
        let backend = &why["backend"];
        let _ = writeln!(out, "\nbackend {} ({})", string(&backend["name"]), string(&backend["strategy"]));
        for node in why["nodes"].as_array().into_iter().flatten() {
            let mark = if node["id"] == why["node"] { '>' } else { ' ' };
            let in_flight = node["in_flight"].as_u64().unwrap_or(0);
            let _ = writeln!(
                out,
                "{mark} {} {}, {in_flight} in flight",
                string(&node["id"]),
                string(&node["why"])
            );
        }
    }
    out
}
