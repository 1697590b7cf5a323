//! Flags that make no sense with what is spoken: said before the run, not passed over.

use crate::cli::RunArgs;
use crate::target::Protocol;

/// Refuses flags that would do nothing.
///
/// # Errors
/// Names the flags, and what they are for.
pub(super) fn check(args: &RunArgs, protocol: Protocol) -> Result<(), String> {
    match protocol {
        Protocol::Http => {}
        Protocol::WebSocket => refuse(&of_requests(args), "are for http:// targets")?,
        Protocol::Tcp => {
            refuse(&of_requests(args), "are for http:// targets")?;
            refuse(&of_heads(args), "are for http:// and ws:// targets: on tcp:// what is sent is -b alone")?;
        }
    }
    if protocol != Protocol::Tcp {
        let of_tcp = [("--expect", args.expect.is_some()), ("--expect-until", args.expect_until.is_some())];
        refuse(&of_tcp, "are for tcp:// targets")?;
    }
    if protocol == Protocol::WebSocket && args.no_keepalive {
        return Err("a websocket is kept open: --no-keepalive makes no sense with ws://".to_owned());
    }
    if args.expect.as_deref() == Some("") || args.expect_until.as_deref() == Some("") {
        return Err("an answer of nothing cannot be awaited: --expect needs a text".to_owned());
    }
    Ok(())
}

fn of_requests(args: &RunArgs) -> [(&'static str, bool); 4] {
    [
        ("--method", args.method.is_some()),
        ("--content-type", args.content_type.is_some()),
        ("--accept", args.accept.is_some()),
        ("--ok", args.ok.is_some()),
    ]
}

fn of_heads(args: &RunArgs) -> [(&'static str, bool); 3] {
    [
        ("--header", !args.headers.is_empty()),
        ("--host", args.host.is_some()),
        ("--basic-auth", args.basic_auth.is_some()),
    ]
}

fn refuse(flags: &[(&'static str, bool)], why: &str) -> Result<(), String> {
    let Some((given, _)) = flags.iter().find(|(_, given)| *given) else { return Ok(()) };
    let names: Vec<&str> = flags.iter().map(|(name, _)| *name).collect();
    Err(format!("{given} does nothing here: {} {why}", names.join(", ")))
}
