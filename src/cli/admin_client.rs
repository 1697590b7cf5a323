//! A client of the admin API of a running balancer, for the commands that ask it or tell it something.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// The longest that a call takes: an order may wait for the control plane.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest that opening a connection takes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of an answer: a list of thousands of nodes has a few MB.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where the admin API is, and how to be let in.
#[derive(Debug, Clone, clap::Args)]
pub struct Access {
    /// Where the admin API listens
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9900", env = "PLIMSOLL_ADMIN")]
    admin: String,
    /// The file with the bearer token, where the balancer asks for one
    #[arg(long, value_name = "FILE", env = "PLIMSOLL_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody answers there.
    Unreachable(String),
    /// The balancer refuses: its own words.
    Refused { code: String, message: String, hint: String },
    /// The operator's mistake on this side.
    Usage(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(what) => f.write_str(what),
            Self::Refused { message, hint, .. } => write!(f, "{}\n  {}", clean(message), clean(hint)),
            Self::Usage(what) => f.write_str(what),
        }
    }
}

impl Access {
    /// Asks for something.
    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, "")
    }

    /// Asks for a change.
    pub(super) fn write(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(method, path, &body.to_string())
    }

    /// The address to connect to, and the name for `host`.
    pub(super) fn address(&self) -> &str {
        self.admin.strip_prefix("http://").unwrap_or(&self.admin).trim_end_matches('/')
    }

    pub(super) fn token(&self) -> Result<Option<String>, Failure> {
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path);
            text.map_err(|error| Failure::Usage(format!("the token file {}: {error}", path.display())))
        };
        Ok(self.token_file.as_ref().map(read).transpose()?.map(|text| text.trim().to_owned()))
    }

    pub(super) async fn connect(&self) -> Result<TcpStream, Failure> {
        let address = self.address();
        let unreachable = |error: &dyn fmt::Display| {
            Failure::Unreachable(format!(
                "nobody answers at {address}: {error}\n  is a balancer running, with `admin.bind` as `--admin` says?"
            ))
        };
        if address.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            let what = format!(
                "`{address}` is no address with a port: write `--admin 127.0.0.1:9900`, or what `admin.bind` has"
            );
            return Err(Failure::Usage(what));
        }
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(unreachable(&error)),
            Err(_) => Err(unreachable(&"no connection within three seconds")),
        }
    }

    fn call(&self, method: Method, path: &str, body: &str) -> Result<Value, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Unreachable(error.to_string()))?;
        let called = async { tokio::time::timeout(CALL_TIMEOUT, self.exchange(method, path, body)).await };
        runtime.block_on(called).unwrap_or_else(|_| {
            Err(Failure::Unreachable(format!("{} did not answer within 20 seconds", self.address())))
        })
    }

    async fn exchange(&self, method: Method, path: &str, body: &str) -> Result<Value, Failure> {
        let broken =
            |error: &dyn fmt::Display| Failure::Unreachable(format!("{} broke off: {error}", self.address()));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address())
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = self.token()? {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.map_err(|error| broken(&error))?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let done = response.status().is_success();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| broken(&error))?.to_bytes();
        let value: Value = serde_json::from_slice(&body)
            .map_err(|_| Failure::Unreachable(format!("{} is no admin API of ours", self.address())))?;
        if done { Ok(value) } else { Err(refused(&value)) }
    }
}

fn refused(answer: &Value) -> Failure {
    let text = |key: &str| answer["error"][key].as_str().unwrap_or_default().to_owned();
    Failure::Refused { code: text("code"), message: text("message"), hint: text("hint") }
}

/// Prints an answer, as JSON or in the words of the command, and says how it went.
pub(super) fn finish(
    access: &Access,
    result: Result<Value, Failure>,
    text: impl FnOnce(&Value) -> String,
) -> ExitCode {
    let (written, code) = match result {
        Ok(value) if access.json => (writeln!(io::stdout(), "{value:#}"), ExitCode::SUCCESS),
        Ok(value) => (write!(io::stdout(), "{}", text(&value)), ExitCode::SUCCESS),
        Err(failure) => {
            let code = match failure {
                Failure::Usage(_) => ExitCode::from(super::EXIT_CONFIG),
                _ => ExitCode::FAILURE,
            };
            (tell(access, &failure), code)
        }
    };
    // A reader that left (`plimsoll nodes | head -1`) has what it wanted.
    let _ = written;
    code
}

fn tell(access: &Access, failure: &Failure) -> io::Result<()> {
    match failure {
        Failure::Refused { code, message, hint } if access.json => {
            let error = serde_json::json!({ "code": code, "message": message, "hint": hint });
            writeln!(io::stdout(), "{:#}", serde_json::json!({ "error": error }))
        }
        _ => writeln!(io::stderr(), "error: {failure}"),
    }
}

/// A string from elsewhere, safe for a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// One segment of a path: everything but letters, digits and `-._~` becomes `%XX`.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_survives_whatever_is_in_it() {
        assert_eq!(segment("api/127.0.0.1:9001"), "api%2F127.0.0.1%3A9001");
        assert_eq!(segment("é%?#"), "%C3%A9%25%3F%23");
    }

    #[test]
    fn what_a_terminal_would_obey_is_replaced() {
        assert_eq!(clean("a\u{1b}[2Jb\u{9b}"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
