//! The control paths: how a test changes a running node, and asks it what it saw.

use std::fmt::Write;

use super::{
    behaviour::{Behaviour, PROPERTIES},
    reply::Reply,
    worker::Node,
};
use crate::amount;

/// Where the control paths begin.
const PREFIX: &str = "/__node";

/// Whether `path` is one of the control paths.
pub(crate) fn is_control(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Does what a control request asks. Its properties may stand in the query or in the body, both as `a=1&b=2`.
pub(crate) fn answer(node: &Node, method: &str, path: &str, query: &str, body: &[u8]) -> Reply {
    let body = String::from_utf8_lossy(body);
    let pairs = || {
        let parse =
            |text: &str| form_urlencoded::parse(text.trim().as_bytes()).into_owned().collect::<Vec<_>>();
        [parse(query), parse(&body)].concat()
    };
    match (method, path[PREFIX.len()..].trim_matches('/')) {
        ("GET" | "HEAD", "") => Reply::text(200, help(&node.name)),
        ("GET" | "HEAD", "report") => Reply::json(200, &node.account()),
        ("GET" | "HEAD", "behaviour") => Reply::json(200, &*node.behaviour()),
        ("POST" | "PATCH", "behaviour") => change(node, (*node.behaviour()).clone(), &pairs()),
        ("PUT", "behaviour") => change(node, Behaviour::default(), &pairs()),
        ("POST", "health") => health(node, &pairs()),
        ("POST", "reset") => {
            node.ledgers.iter().for_each(super::ledger::Ledger::clear);
            Reply::text(200, "the report starts afresh")
        }
        ("POST", "exit") => exit(&pairs()),
        (_, "" | "report" | "behaviour" | "health" | "reset" | "exit") => {
            Reply::text(405, format!("not with {}; see GET {PREFIX}/", method.escape_debug()))
        }
        _ => Reply::text(404, format!("no such control path; see GET {PREFIX}/")),
    }
}

/// All of it or nothing: a wrong value must not leave half a change behind.
fn change(node: &Node, mut behaviour: Behaviour, pairs: &[(String, String)]) -> Reply {
    // Given headers replace those that were there, or a test could never take one away.
    if pairs.iter().any(|(name, _)| name == "header") {
        behaviour.headers.clear();
    }
    for (name, value) in pairs.iter().filter(|(name, value)| !(name == "header" && value.is_empty())) {
        if let Err(error) = behaviour.set(name, value) {
            return Reply::text(400, format!("{}: {error}", name.escape_debug()));
        }
    }
    let reply = Reply::json(200, &behaviour);
    node.set_behaviour(behaviour);
    reply
}

fn health(node: &Node, pairs: &[(String, String)]) -> Reply {
    match pairs {
        [(name, value)] if name == "up" => match amount::switch(value) {
            Ok(up) => {
                node.set_healthy(up);
                Reply::text(200, if up { "healthy" } else { "unhealthy" })
            }
            Err(error) => Reply::text(400, error),
        },
        _ => Reply::text(400, "write up=1 or up=0"),
    }
}

/// Ends the process at once, as a crash would.
#[expect(clippy::disallowed_methods, reason = "skipping every destructor is what a crash does")]
fn exit(pairs: &[(String, String)]) -> Reply {
    let code = match pairs {
        [] => Some(0),
        [(name, value)] if name == "code" => value.parse::<u8>().ok(),
        _ => None,
    };
    match code {
        Some(code) => std::process::exit(i32::from(code)),
        None => Reply::text(400, "write code=0 to code=255"),
    }
}

fn help(name: &str) -> String {
    let mut text = format!(
        "node {name}\n\n\
         GET  {PREFIX}/report               what it saw, as JSON\n\
         GET  {PREFIX}/behaviour            how it answers\n\
         POST {PREFIX}/behaviour?delay=20ms change some properties\n\
         PUT  {PREFIX}/behaviour?delay=20ms change some and set all others back\n\
         POST {PREFIX}/health?up=0          make the health path fail, up=1 make it succeed\n\
         POST {PREFIX}/reset                start the report afresh\n\
         POST {PREFIX}/exit?code=1          end at once, without a word\n\n\
         Properties, also for the query of any other path (/?status=503&delay=20ms):\n"
    );
    for (property, about) in PROPERTIES {
        let _ = writeln!(text, "  {property:<12} {about}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_segments_are_control_paths() {
        assert!(is_control("/__node") && is_control("/__node/report"));
        assert!(!is_control("/__nodes") && !is_control("/") && !is_control("/a/__node"));
    }
}
