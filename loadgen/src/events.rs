//! What the balancer says through its monitor while a run goes on (`--events ws://…`).
//!
//! A thread of its own listens, so that nothing of this touches the threads that send. `journal` knows what
//! the messages mean.

mod journal;

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::http::{HeaderValue, StatusCode};
use tungstenite::{Error, Message, WebSocket};

use crate::engine::Failure;
use crate::result::Event;
use crate::target::{Place, Protocol, TargetUrl};
use journal::{Journal, Said};

/// How often the thread looks whether the run is over. What comes within it after the end is still heard.
const LOOK: Duration = Duration::from_millis(200);
/// Time to connect, to shake hands, and until the first snapshot.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time to hear, after the end, what is still under way.
const REST: Duration = Duration::from_secs(1);

/// Somebody who listens to a monitor.
#[derive(Debug)]
pub struct Listener {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Heard>,
}

/// What was heard.
#[derive(Debug, Default)]
struct Heard {
    journal: Journal,
    /// Why the listening ended before the run.
    lost: Option<String>,
}

impl Listener {
    /// Connects and begins to listen: what happens from now on is heard.
    ///
    /// # Errors
    /// When the monitor is not there, refuses, or is none.
    pub fn start(url: &str, token: Option<&str>) -> Result<Self, Failure> {
        let (socket, journal) =
            begin(url, token).map_err(|error| Failure(format!("--events {url}: {error}")))?;
        let over = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&over);
        let thread = thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || listen(socket, journal, &shared))
            .map_err(|error| Failure(format!("no thread for --events: {error}")))?;
        Ok(Self { over, thread })
    }

    /// Ends the listening. The events, on the time axis that begins at `start`, and a sentence for all that
    /// is missing among them.
    #[must_use]
    pub fn end(self, start: Instant) -> (Vec<Event>, Vec<String>) {
        self.over.store(true, Ordering::Relaxed);
        let heard = self.thread.join().unwrap_or_default();
        let lost = heard.lost.map(|why| format!("The balancer's monitor was lost during the run: {why}."));
        let notes = lost.into_iter().chain(heard.journal.gap()).collect();
        let event = |said: Said| Event { at_ms: offset_ms(start, said.at), kind: said.kind, text: said.text };
        (heard.journal.into_events().map(event).collect(), notes)
    }
}

fn offset_ms(start: Instant, at: Instant) -> i64 {
    let after = at.saturating_duration_since(start).as_millis() as i64;
    let before = start.saturating_duration_since(at).as_millis() as i64;
    after - before
}

type Socket = WebSocket<TcpStream>;

fn begin(url: &str, token: Option<&str>) -> Result<(Socket, Journal), String> {
    let mut socket = shake_hands(url, token, connect(url)?)?;
    let mut journal = Journal::default();
    let deadline = Instant::now() + PATIENCE;
    while !journal.has_begun() {
        hear(&mut socket, &mut journal).map_err(|error| error.to_string())?;
        if Instant::now() > deadline {
            return Err("no snapshot came: is this the /ws of a balancer's admin address?".to_owned());
        }
    }
    Ok((socket, journal))
}

fn connect(url: &str) -> Result<TcpStream, String> {
    let target = TargetUrl::parse(url)?;
    let (Protocol::WebSocket, Place::Tcp(host, port)) = (target.protocol, &target.place) else {
        return Err("not a ws:// address".to_owned());
    };
    let addresses = (host.as_str(), *port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut last = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("{last}. Is the balancer running, and is this its admin address?"))
}

fn shake_hands(url: &str, token: Option<&str>, stream: TcpStream) -> Result<Socket, String> {
    let mut request = url.into_client_request().map_err(|error| error.to_string())?;
    if let Some(token) = token {
        let value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| error.to_string())?;
        request.headers_mut().insert("authorization", value);
    }
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    let (socket, _) = tungstenite::client(request, stream).map_err(|error| match error {
        HandshakeError::Failure(Error::Http(answer)) => refusal(answer.status()),
        HandshakeError::Failure(error) => error.to_string(),
        HandshakeError::Interrupted(_) => "no answer came to the handshake".to_owned(),
    })?;
    socket.get_ref().set_read_timeout(Some(LOOK)).map_err(|error| error.to_string())?;
    Ok(socket)
}

/// What to do about a refusal, by the monitor's protocol.
fn refusal(status: StatusCode) -> String {
    let advice = match status.as_u16() {
        401 => "the monitor wants a token: --events-token-file",
        403 => "the monitor does not know this host name: ask by its address",
        404 => "no monitor is here: its path is /ws, on the balancer's admin address",
        503 => "the monitor has as many viewers as it takes",
        _ => "this is no monitor",
    };
    format!("{advice} ({status})")
}

fn listen(mut socket: Socket, mut journal: Journal, over: &AtomicBool) -> Heard {
    let mut end: Option<Instant> = None;
    loop {
        match hear(&mut socket, &mut journal) {
            Ok(Sound::Message) if end.is_none_or(|end| end.elapsed() < REST) => {}
            Ok(Sound::Silence) if end.is_none() => {}
            Ok(_) => break,
            Err(error) => return Heard { journal, lost: end.is_none().then(|| error.to_string()) },
        }
        if end.is_none() && over.load(Ordering::Relaxed) {
            end = Some(Instant::now());
        }
    }
    // Out of politeness: the process may end before the other side has answered it.
    let _ = socket.close(None);
    let _ = socket.flush();
    Heard { journal, lost: None }
}

enum Sound {
    Message,
    Silence,
}

fn hear(socket: &mut Socket, journal: &mut Journal) -> Result<Sound, Error> {
    match socket.read() {
        Ok(Message::Text(text)) => {
            if let Some(answer) = journal.take(&text, Instant::now()) {
                socket.send(Message::text(answer.text()))?;
            }
            Ok(Sound::Message)
        }
        Ok(_) => Ok(Sound::Message),
        Err(Error::Io(error)) if is_silence(&error) => Ok(Sound::Silence),
        Err(error) => Err(error),
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
