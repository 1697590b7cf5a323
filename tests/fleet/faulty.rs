//! A proxy before the engine's socket that does to it what an engine in trouble does. A request a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is wrong with the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// Connections are closed as they come.
    Dead,
    /// Nothing is answered, now or later; what was asked in that time stays unanswered for good.
    Hangs,
    /// Every answer is an error of the engine's.
    Broken,
    /// Every stream of events ends after a moment.
    Cut,
    /// Every event comes twice.
    Twice,
    /// Of two events the second comes first.
    Swapped,
}

/// See the module.
pub(crate) struct Faulty {
    path: PathBuf,
    state: Arc<State>,
}

struct State {
    engine: PathBuf,
    fault: Mutex<Fault>,
    /// Connections that are open, so that a fault meets them too.
    open: Mutex<Vec<UnixStream>>,
    /// Those that are never answered.
    hung: Mutex<Vec<UnixStream>>,
}

impl Faulty {
    /// Before the engine of the tests.
    pub(crate) fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let host = std::env::var("DOCKER_HOST").unwrap_or_default();
        let engine = host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").into();
        let name = format!("plimsoll-faulty-{}-{}.sock", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("a socket in the temporary folder");
        let state = Arc::new(State {
            engine,
            fault: Mutex::new(Fault::Nothing),
            open: Mutex::default(),
            hung: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || state.serve(client));
            }
        });
        Self { path, state }
    }

    /// For the environment of a balancer.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// From now on. Connections that are open meet it as well.
    pub(crate) fn set(&self, fault: Fault) {
        *self.state.fault.lock().unwrap() = fault;
        if fault == Fault::Hangs || fault == Fault::Nothing {
            return;
        }
        for stream in self.state.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl State {
    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }

    fn serve(&self, mut client: UnixStream) -> Option<()> {
        match self.fault() {
            Fault::Dead => return None,
            Fault::Hangs => {
                self.hung.lock().unwrap().push(client);
                return None;
            }
            _ => {}
        }
        let (head, body) = request(&client)?;
        if self.fault() == Fault::Broken {
            let answer = "HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\n\
                          content-length: 26\r\nconnection: close\r\n\r\n{\"message\":\"disk on fire\"}\r\n";
            return client.write_all(&answer.as_bytes()[..answer.len() - 2]).ok();
        }
        let mut engine = UnixStream::connect(&self.engine).ok()?;
        engine.write_all(head.as_bytes()).ok()?;
        engine.write_all(&body).ok()?;
        self.open.lock().unwrap().extend([client.try_clone().ok()?, engine.try_clone().ok()?]);
        if head.split_whitespace().nth(1)?.contains("/events") {
            self.relay_events(engine, client)
        } else {
            self.relay(engine, client)
        }
    }

    fn relay(&self, mut engine: UnixStream, mut client: UnixStream) -> Option<()> {
        let mut chunk = [0; 16384];
        loop {
            let count = engine.read(&mut chunk).ok().filter(|count| *count > 0);
            if self.fault() == Fault::Hangs {
                self.hung.lock().unwrap().push(client);
                return None;
            }
            let Some(count) = count else { return client.shutdown(Shutdown::Both).ok() };
            client.write_all(&chunk[..count]).ok()?;
        }
    }

    /// Piece by piece: the engine sends an event a chunk.
    fn relay_events(&self, engine: UnixStream, mut client: UnixStream) -> Option<()> {
        engine.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
        let mut reader = BufReader::new(engine);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
            client.write_all(line.as_bytes()).ok()?;
        }
        let (mut held, mut quiet) = (None::<Vec<u8>>, 0);
        let mut partial = Vec::new();
        loop {
            let event = piece(&mut reader, &mut partial);
            let fault = self.fault();
            match (event, fault) {
                (_, Fault::Hangs) => {
                    self.hung.lock().unwrap().push(client);
                    return None;
                }
                (Piece::End, _) => return client.shutdown(Shutdown::Both).ok(),
                (Piece::Nothing, _) => {
                    quiet += 1;
                    if let Some(event) = held.take() {
                        client.write_all(&event).ok()?;
                    }
                    if fault == Fault::Cut && quiet >= 2 {
                        return client.shutdown(Shutdown::Both).ok();
                    }
                }
                (Piece::Event(event), Fault::Swapped) if held.is_none() => held = Some(event),
                (Piece::Event(event), _) => {
                    client.write_all(&event).ok()?;
                    if fault == Fault::Twice {
                        client.write_all(&event).ok()?;
                    }
                    if let Some(first) = held.take() {
                        client.write_all(&first).ok()?;
                    }
                }
            }
        }
    }
}

enum Piece {
    /// A chunk with its frame.
    Event(Vec<u8>),
    /// Not now.
    Nothing,
    End,
}

/// One chunk; what came of it before a pause stays in `partial`.
fn piece(reader: &mut BufReader<UnixStream>, partial: &mut Vec<u8>) -> Piece {
    loop {
        if let Some(end) = partial.windows(2).position(|pair| pair == b"\r\n") {
            let size = std::str::from_utf8(&partial[..end]).ok();
            let Some(size) = size.and_then(|size| usize::from_str_radix(size, 16).ok()) else {
                return Piece::End;
            };
            let whole = end + 2 + size + 2;
            if partial.len() >= whole {
                return Piece::Event(partial.drain(..whole).collect());
            }
        }
        match reader.fill_buf() {
            Ok([]) => return Piece::End,
            Ok(bytes) => {
                let count = bytes.len();
                partial.extend_from_slice(bytes);
                reader.consume(count);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Piece::Nothing,
            Err(_) => return Piece::End,
        }
    }
}

/// A request's head, which asks for the end of its connection, and its body.
fn request(client: &UnixStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    head.push_str("connection: close\r\n\r\n");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}
