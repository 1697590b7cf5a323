//! What the balancer says through its monitor while a run goes on (`--events ws://…`).
//!
//! The monitor sends JSON messages; those whose `type` is `event` are kept, with the time at which they
//! came. A thread of its own listens, so that nothing of this touches the threads that send.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::{Message, WebSocket};

use crate::engine::Failure;
use crate::result::Event;
use crate::target::{Place, Protocol, TargetUrl};

/// The most events that are kept of a run.
const EVENTS_MAX: usize = 10_000;
/// The longest text of one, in characters.
const TEXT_MAX: usize = 300;
/// How often the thread looks whether the run is over.
const LOOK: Duration = Duration::from_millis(200);
/// Time to connect and shake hands.
const PATIENCE: Duration = Duration::from_secs(5);

/// Somebody who listens to a monitor.
#[derive(Debug)]
pub struct Listener {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Heard>,
}

/// What was heard.
#[derive(Debug, Default)]
struct Heard {
    events: Vec<(Instant, Said)>,
    /// Why the listening ended before the run.
    lost: Option<String>,
}

/// One event as the monitor put it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    kind: String,
    text: String,
}

impl Listener {
    /// Connects and begins to listen.
    ///
    /// # Errors
    /// When the monitor is not there or speaks no WebSocket.
    pub fn start(url: &str) -> Result<Self, Failure> {
        let socket = connect(url).map_err(|error| Failure(format!("--events {url}: {error}")))?;
        let over = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&over);
        let thread = thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || listen(socket, &shared))
            .map_err(|error| Failure(format!("no thread for --events: {error}")))?;
        Ok(Self { over, thread })
    }

    /// Ends the listening. The events, on the time axis that begins at `start`, and a sentence when the
    /// monitor was lost on the way.
    #[must_use]
    pub fn end(self, start: Instant) -> (Vec<Event>, Option<String>) {
        self.over.store(true, Ordering::Relaxed);
        let heard = self.thread.join().unwrap_or_default();
        let event = |(at, said): (Instant, Said)| Event {
            at_ms: offset_ms(start, at),
            kind: said.kind,
            text: said.text,
        };
        let note = heard.lost.map(|why| format!("The balancer's monitor was lost during the run: {why}."));
        (heard.events.into_iter().map(event).collect(), note)
    }
}

fn offset_ms(start: Instant, at: Instant) -> i64 {
    let after = at.saturating_duration_since(start).as_millis() as i64;
    let before = start.saturating_duration_since(at).as_millis() as i64;
    after - before
}

fn connect(url: &str) -> Result<WebSocket<TcpStream>, String> {
    let target = TargetUrl::parse(url)?;
    let (Protocol::WebSocket, Place::Tcp(host, port)) = (target.protocol, &target.place) else {
        return Err("not a ws:// address".to_owned());
    };
    let addresses = (host.as_str(), *port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut last = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return shake_hands(url, stream),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

fn shake_hands(url: &str, stream: TcpStream) -> Result<WebSocket<TcpStream>, String> {
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    let (socket, _) = tungstenite::client(url, stream).map_err(|error| error.to_string())?;
    socket.get_ref().set_read_timeout(Some(LOOK)).map_err(|error| error.to_string())?;
    Ok(socket)
}

fn listen(mut socket: WebSocket<TcpStream>, over: &AtomicBool) -> Heard {
    let mut heard = Heard::default();
    while !over.load(Ordering::Relaxed) {
        match socket.read() {
            Ok(Message::Text(text)) => {
                if let Some(said) = understand(&text).filter(|_| heard.events.len() < EVENTS_MAX) {
                    heard.events.push((Instant::now(), said));
                }
            }
            Ok(_) => {}
            Err(tungstenite::Error::Io(error)) if is_silence(&error) => {}
            Err(error) => {
                heard.lost = Some(error.to_string());
                break;
            }
        }
    }
    heard
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// An event, if the message is one. Its body stands beside `type`, or under `event` or `data`; its kind and
/// text are looked for under the names in use, and a text that is missing is the body itself.
fn understand(message: &str) -> Option<Said> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message.get("type")?.as_str()? != "event" {
        return None;
    }
    let nested =
        ["event", "data"].iter().find_map(|name| message.get(*name).filter(|value| value.is_object()));
    let body = nested.unwrap_or(&message);
    let find = |names: &[&str]| names.iter().find_map(|name| body.get(*name)?.as_str()).map(short);
    let kind = find(&["kind", "event", "name"]).unwrap_or_else(|| "event".to_owned());
    let text = find(&["text", "message", "reason", "detail"]).unwrap_or_else(|| short(&body.to_string()));
    Some(Said { kind, text })
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str) -> Option<(String, String)> {
        understand(message).map(|said| (said.kind, said.text))
    }

    #[test]
    fn events_are_told_from_all_else() {
        let pair = |kind: &str, text: &str| Some((kind.to_owned(), text.to_owned()));
        assert_eq!(
            said(r#"{"type":"event","kind":"scale","text":"api 1 -> 2"}"#),
            pair("scale", "api 1 -> 2")
        );
        assert_eq!(said(r#"{"type":"event","data":{"kind":"node","message":"up"}}"#), pair("node", "up"));
        assert_eq!(said(r#"{"type":"event","event":{"node":"a"}}"#), pair("event", r#"{"node":"a"}"#));
        for other in [r#"{"type":"tick"}"#, r#"{"kind":"scale"}"#, "[]", "", "{", r#"{"type":7}"#] {
            assert_eq!(said(other), None, "{other}");
        }
    }

    #[test]
    fn texts_are_short_and_on_one_line() {
        let long = format!(r#"{{"type":"event","kind":"a\nb","text":"{}"}}"#, "x".repeat(5000));
        let (kind, text) = said(&long).unwrap();
        assert_eq!((kind.as_str(), text.len()), ("ab", TEXT_MAX));
    }
}
