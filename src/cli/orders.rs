//! `plimsoll drain`, `scale` and `reload`: what an operator tells a running balancer.

use std::process::ExitCode;

use hyper::Method;
use serde_json::{Value, json};

use super::admin_client::{Access, Failure, clean, finish, segment};
use super::nodes;

/// What `drain` takes.
#[derive(Debug, clap::Args)]
pub struct Drain {
    /// The node, as `plimsoll nodes` lists it, or its address
    node: String,
    /// Take it back: the node takes requests again
    #[arg(long, conflicts_with = "down")]
    undo: bool,
    /// Do not wait for what is in flight: cut it
    #[arg(long)]
    down: bool,
    #[command(flatten)]
    access: Access,
}

/// What `scale` takes.
#[derive(Debug, clap::Args)]
pub struct Scale {
    /// The backend
    backend: String,
    /// How many nodes it shall have, until `--resume`
    #[arg(required_unless_present_any = ["pause", "resume"], conflicts_with_all = ["pause", "resume"])]
    replicas: Option<u32>,
    /// The autoscaler decides nothing until told otherwise
    #[arg(long, conflicts_with = "resume")]
    pause: bool,
    /// The autoscaler decides again
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    access: Access,
}

/// Takes a node out of rotation, and lets it finish what it has. Exit codes: 0, 1 where the balancer refuses or is not
/// there, 2 for a node that is not known.
pub fn drain(args: &Drain) -> ExitCode {
    let state = match (args.undo, args.down) {
        (true, _) => "ready",
        (_, true) => "down",
        _ => "drain",
    };
    let done = nodes::find(&args.access, &args.node).and_then(|id| {
        args.access.write(
            Method::PATCH,
            &format!("/api/v1/nodes/{}", segment(&id)),
            &json!({ "state": state }),
        )
    });
    finish(&args.access, done, text)
}

/// Sets the number of nodes of a backend that the balancer starts itself.
pub fn scale(args: &Scale) -> ExitCode {
    let mut body = json!({});
    if let Some(replicas) = args.replicas {
        body["replicas"] = replicas.into();
    }
    if args.pause || args.resume {
        body["paused"] = args.pause.into();
    }
    let path = format!("/api/v1/backends/{}/scale", segment(&args.backend));
    finish(&args.access, args.access.write(Method::POST, &path, &body), text)
}

/// Tells the balancer to read its configuration again. Exit code 2 where the file is bad: the settings from before go on.
pub fn reload(access: &Access) -> ExitCode {
    match access.write(Method::POST, "/api/v1/reload", &json!({})) {
        Err(Failure::Refused { code, message, hint }) if matches!(&*code, "bad_configuration" | "unread") => {
            finish(access, Err(Failure::Refused { code, message, hint }), text);
            ExitCode::from(super::EXIT_CONFIG)
        }
        result => finish(access, result, text),
    }
}

fn text(done: &Value) -> String {
    format!("{}\n", clean(done["text"].as_str().unwrap_or("done")))
}
