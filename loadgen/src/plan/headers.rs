//! The headers of a request: those of `-H` and those of the short flags, and whether they contradict each other.
//!
//! A request that says two things at once is answered by whatever the server makes of it, and its numbers are of
//! nothing. Who wants to send one on purpose has `tcp://`.

use base64::Engine as _;

use crate::cli::RunArgs;
use crate::target::Protocol;

/// What to do instead, where a request is wanted that is wrong on purpose.
const ON_PURPOSE: &str = "a request that is wrong on purpose can be sent with tcp://HOST:PORT -b 'GET / …'";
/// What the WebSocket handshake says itself.
const HANDSHAKE: [&str; 5] =
    ["upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"];

/// All headers of the command line.
pub(super) fn given(args: &RunArgs) -> Vec<(String, String)> {
    let short = |name: &str, value: &Option<String>| value.clone().map(|value| (name.to_owned(), value));
    let auth = args.basic_auth.as_ref().map(|pair| {
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        ("authorization".to_owned(), format!("Basic {encoded}"))
    });
    let short = [
        short("host", &args.host),
        short("content-type", &args.content_type),
        short("accept", &args.accept),
        auth,
    ];
    short.into_iter().flatten().chain(args.headers.iter().cloned()).collect()
}

/// Refuses headers that contradict each other, the body, or the protocol.
///
/// # Errors
/// Names the header, and what to do.
pub(super) fn check(
    args: &RunArgs,
    protocol: Protocol,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<(), String> {
    if let Some((name, _)) = headers.iter().find(|(_, value)| value.contains(['\r', '\n', '\0'])) {
        return Err(format!("the value of header `{name}` holds a control character"));
    }
    check_doubles(args, headers)?;
    check_framing(headers, body)?;
    let has = |name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    if let (Protocol::WebSocket, Some(name)) = (protocol, HANDSHAKE.iter().find(|name| has(name))) {
        return Err(format!("-H {name}: the WebSocket handshake says it itself: leave it out"));
    }
    let keeps = headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("connection") && value.to_ascii_lowercase().contains("keep-alive")
    });
    if args.no_keepalive && keeps {
        return Err(
            "-H 'connection: keep-alive' and --no-keepalive contradict each other: leave one out".to_owned()
        );
    }
    Ok(())
}

/// Headers of which a request has one at most.
fn check_doubles(args: &RunArgs, headers: &[(String, String)]) -> Result<(), String> {
    let flags = [
        ("host", "--host", args.host.is_some()),
        ("content-type", "-T", args.content_type.is_some()),
        ("authorization", "-a", args.basic_auth.is_some()),
    ];
    for (name, flag, given) in flags {
        let count = headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).count();
        if count > 1 {
            let twice = if given { format!("{flag} and -H") } else { "-H twice".to_owned() };
            return Err(format!("the header `{name}` is given by {twice}: a request has one; {ON_PURPOSE}"));
        }
    }
    Ok(())
}

/// Where a body ends is said once, and by loadgen, which knows it.
fn check_framing(headers: &[(String, String)], body: &[u8]) -> Result<(), String> {
    for (name, value) in headers {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("transfer-encoding") {
            return Err(format!(
                "-H {name}: a body (-b) is sent whole, with its length, and without a body nothing would follow: \
                 leave the header out; {ON_PURPOSE}"
            ));
        }
        let of_nothing = body.is_empty() && value.trim() == "0";
        if is("content-length") && !of_nothing {
            return Err(format!(
                "-H {name}: the length is counted from the body (-b): leave the header out; {ON_PURPOSE}"
            ));
        }
    }
    Ok(())
}
