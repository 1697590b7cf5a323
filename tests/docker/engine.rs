//! An engine that says what the test tells it to: HTTP over a unix socket, one request a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll::control::docker::{DockerFleet, Endpoint};
use plimsoll::shared::event::{Event, events};

/// An answer: a status and JSON, and whether the connection stays open after it until the script is replaced.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) hangs: bool,
}

pub(crate) fn ok(body: &str) -> Answer {
    Answer { status: 200, body: body.into(), hangs: false }
}

pub(crate) fn error(status: u16, message: &str) -> Answer {
    Answer { status, body: format!("{{\"message\":\"{message}\"}}"), hangs: false }
}

/// What was asked.
#[derive(Clone)]
pub(crate) struct Asked {
    /// `METHOD path`, without the version.
    pub(crate) what: String,
    pub(crate) query: String,
    pub(crate) body: String,
}

type Script = Box<dyn Fn(&str, &str) -> Option<Answer> + Send>;

/// See the module.
pub(crate) struct Engine {
    path: PathBuf,
    script: Arc<Mutex<Script>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Connections that hang, so that they can be cut.
    open: Arc<Mutex<Vec<UnixStream>>>,
    pub(crate) told: crossbeam_channel::Receiver<Event>,
    pub(crate) fleet: DockerFleet,
}

impl Engine {
    /// With answers for the calls that matter to a test; the rest is what an engine in good order says.
    pub(crate) fn start(script: impl Fn(&str, &str) -> Option<Answer> + Send + 'static) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("plimsoll-engine-{}-{}.sock", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("a socket in the temporary folder");
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let (asked, open) = (Arc::default(), Arc::default());
        let (events, told) = events();
        let endpoint = Endpoint::Unix(path.to_string_lossy().into_owned());
        let fleet = DockerFleet::new(endpoint, "owner-of-tests".into(), events);
        let engine = Self { path, script, asked, open, told, fleet };
        let (script, asked, open) =
            (Arc::clone(&engine.script), Arc::clone(&engine.asked), Arc::clone(&engine.open));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, asked, open) = (Arc::clone(&script), Arc::clone(&asked), Arc::clone(&open));
                std::thread::spawn(move || answer(stream, &script, &asked, &open));
            }
        });
        engine
    }

    pub(crate) fn say(&self, script: impl Fn(&str, &str) -> Option<Answer> + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// Cuts all connections that hang.
    pub(crate) fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// `METHOD path`, without versions and queries.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|asked| asked.what.clone()).collect()
    }

    /// The last time that this was asked.
    #[track_caller]
    pub(crate) fn last(&self, what: &str) -> Asked {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .rfind(|asked| asked.what == what)
            .unwrap_or_else(|| panic!("{what}: never asked"))
            .clone()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.cut();
        let _ = std::fs::remove_file(&self.path);
    }
}

fn answer(
    stream: UnixStream,
    script: &Mutex<Script>,
    asked: &Mutex<Vec<Asked>>,
    open: &Mutex<Vec<UnixStream>>,
) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (method, target, body) = request(&mut reader)?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    // Past the version: `/v1.41/containers/json`.
    let bare = match path.strip_prefix("/v1.") {
        Some(rest) => &rest[rest.find('/')?..],
        None => path,
    };
    asked.lock().unwrap().push(Asked { what: format!("{method} {bare}"), query: query.into(), body });
    let scripted = (script.lock().unwrap())(&method, bare);
    let Answer { status, body, hangs } = scripted.unwrap_or_else(|| in_good_order(&method, bare));
    let mut stream = stream;
    if hangs {
        // Whoever has read the first of it may cut it.
        open.lock().unwrap().push(stream.try_clone().ok()?);
        // Chunks without an end: a stream.
        let text = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(text.as_bytes()).ok()?;
        for line in body.lines() {
            stream.write_all(format!("{:x}\r\n{line}\n\r\n", line.len() + 1).as_bytes()).ok()?;
        }
        return Some(());
    }
    let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let text =
        format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{length}connection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).ok()?;
    if status != 204 {
        stream.write_all(body.as_bytes()).ok()?;
    }
    Some(())
}

/// A request's method, target and body.
fn request(reader: &mut BufReader<UnixStream>) -> Option<(String, String, String)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).ok()?;
        let field = field.trim().to_ascii_lowercase();
        if field.is_empty() {
            break;
        }
        if let Some(value) = field.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((method, target, String::from_utf8_lossy(&body).into_owned()))
}

/// What Docker 20.10 says.
fn in_good_order(method: &str, path: &str) -> Answer {
    match (method, path) {
        ("GET", "/version") => ok("{\"Version\":\"20.10.24\",\"ApiVersion\":\"1.41\"}"),
        ("GET", "/_ping") => ok("OK"),
        ("GET", "/containers/json") => ok("[]"),
        ("GET", "/events") => Answer { hangs: true, ..ok("") },
        ("POST", "/containers/create") => Answer { status: 201, ..ok("{\"Id\":\"c0ffee\",\"Warnings\":[]}") },
        ("GET", _) if path.starts_with("/images/") => {
            ok("{\"Id\":\"i\",\"Config\":{\"ExposedPorts\":{\"8080/tcp\":{}}}}")
        }
        ("GET", "/containers/c0ffee/json") => ok(
            "{\"Id\":\"c0ffee\",\"State\":{\"Running\":true},\"NetworkSettings\":{\"Ports\":{\"8080/tcp\":\
             [{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"49153\"}]}}}",
        ),
        ("POST" | "DELETE", _) => Answer { status: 204, ..ok("") },
        _ => error(404, "no such thing"),
    }
}
