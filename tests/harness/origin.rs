//! An origin: a node that follows a script, and records every byte that arrives.
//!
//! It is the oracle. Whatever the balancer was sent, what counts is what reached the origin.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::message::{Message, Side, latin1, parse, parse_head_only};

/// What an origin does with a connection, from accept to close.
pub(crate) type Script = Arc<dyn Fn(&mut OriginConnection) + Send + Sync>;

/// A listening origin. It lives as long as the test process.
#[derive(Clone)]
pub(crate) struct Origin {
    address: SocketAddr,
    act: Arc<Mutex<Arc<Act>>>,
}

/// One script and what was seen while it ran.
pub(crate) struct Act {
    script: Mutex<Script>,
    seen: Mutex<Vec<Seen>>,
    changed: Condvar,
    /// Connections before this one are over and forgotten: a long run has too many to look at each time.
    forgotten: AtomicUsize,
}

/// What was seen of one connection.
#[derive(Default)]
pub(crate) struct Seen {
    /// Every byte that arrived.
    pub(crate) bytes: Vec<u8>,
    /// The requests that the script read, canaries excepted.
    pub(crate) requests: Vec<Message>,
    /// The balancer closed its side, or reset it.
    pub(crate) closed: bool,
    /// The script is over.
    pub(crate) ended: bool,
    /// Bytes that the audit has passed.
    audited: usize,
    /// From here on the bytes are a tunnel's.
    tunnel_from: Option<usize>,
    socket: Option<TcpStream>,
}

impl Origin {
    pub(crate) fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().unwrap();
        let act = Arc::new(Mutex::new(Arc::new(Act::new(script))));
        let origin = Self { address, act: act.clone() };
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let act = act.lock().unwrap().clone();
                act.accept(socket);
            }
        });
        origin
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the act before this one, connections and all, and begins another.
    pub(crate) fn begin(&self, script: Script) -> Arc<Act> {
        let next = Arc::new(Act::new(script));
        let last = std::mem::replace(&mut *self.act.lock().unwrap(), next.clone());
        last.end();
        next
    }

    /// The act that runs now.
    pub(crate) fn act(&self) -> Arc<Act> {
        self.act.lock().unwrap().clone()
    }
}

impl Act {
    fn new(script: Script) -> Self {
        Self {
            script: Mutex::new(script),
            seen: Mutex::default(),
            changed: Condvar::new(),
            forgotten: AtomicUsize::new(0),
        }
    }

    /// Connections accepted from now on follow another script.
    pub(crate) fn rewrite(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    /// What was seen so far.
    pub(crate) fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap()
    }

    /// Waits until `condition` gives something; fails the test, saying `what`, when it never does.
    #[track_caller]
    pub(crate) fn wait<T>(&self, what: &str, mut condition: impl FnMut(&[Seen]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen();
        loop {
            if let Some(found) = condition(&seen) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let bytes: Vec<_> =
                    seen.iter().map(|s| latin1(&s.bytes[..s.bytes.len().min(2000)])).collect();
                panic!("the origin never saw {what}; it saw {bytes:#?}");
            }
            seen = self.changed.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// All requests that scripts have read, connection by connection.
    pub(crate) fn requests(&self) -> Vec<Message> {
        self.seen().iter().flat_map(|s| s.requests.iter().cloned()).collect()
    }

    /// Reads every connection's bytes once more, from where the last audit ended: they must be a sequence of
    /// unambiguous requests that carry the balancer's mark. Returns what is wrong.
    pub(crate) fn audit(&self) -> Vec<String> {
        let from = self.forgotten.load(Ordering::Relaxed);
        self.seen()[from..].iter_mut().filter_map(|s| s.audit().err()).collect()
    }

    /// Forgets what was audited and read, so that a test of many requests does not keep them all.
    pub(crate) fn forget(&self) {
        let mut all = self.seen();
        let from = self.forgotten.load(Ordering::Relaxed);
        for seen in all[from..].iter_mut().filter(|s| s.tunnel_from.is_none()) {
            seen.bytes.drain(..seen.audited);
            seen.audited = 0;
            seen.requests.clear();
        }
        let over = all[from..].iter_mut().take_while(|s| s.ended).map(|s| s.bytes = Vec::new()).count();
        self.forgotten.store(from + over, Ordering::Relaxed);
    }

    fn accept(self: &Arc<Self>, socket: TcpStream) {
        let number = {
            let mut seen = self.seen();
            seen.push(Seen { socket: socket.try_clone().ok(), ..Seen::default() });
            seen.len() - 1
        };
        self.changed.notify_all();
        let (act, script) = (self.clone(), self.script.lock().unwrap().clone());
        thread::spawn(move || {
            let mut connection = OriginConnection::new(socket, act.clone(), number);
            // A script that panics is a script that ends: the test's own asserts say what was missing.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| script(&mut connection)));
            drop(connection);
            act.change(number, |seen| {
                seen.ended = true;
                seen.socket = None;
            });
        });
    }

    /// Says goodbye on every connection and waits until the balancer has understood, so that no pooled
    /// connection of this act is left for the next one to stumble over.
    fn end(&self) {
        for socket in self.seen().iter().filter_map(|s| s.socket.as_ref()) {
            let _ = socket.shutdown(Shutdown::Write);
        }
        let deadline = Instant::now() + Duration::from_secs(3);
        let mut seen = self.seen();
        while seen.iter().any(|s| !s.ended) && Instant::now() < deadline {
            seen = self.changed.wait_timeout(seen, Duration::from_millis(100)).unwrap().0;
        }
        for socket in seen.iter().filter_map(|s| s.socket.as_ref()) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen()[number]);
        self.changed.notify_all();
    }
}

impl Seen {
    fn audit(&mut self) -> Result<(), String> {
        let end = self.tunnel_from.unwrap_or(self.bytes.len());
        while let Some(request) =
            parse(&self.bytes[self.audited..end], Side::Request).map_err(|why| self.violation(&why))?
        {
            let marks = request.all("via").iter().flat_map(|v| v.split(',')).filter(|v| is_mark(v)).count();
            if marks != 1 {
                return Err(self.violation(&format!("{marks} marks of the balancer in {request:?}")));
            }
            self.audited += request.len;
        }
        Ok(())
    }

    fn violation(&self, why: &str) -> String {
        format!("{why}\n  in {:?}", latin1(&self.bytes[..self.bytes.len().min(4000)]))
    }
}

/// The balancer's mark, with the version that its client spoke (RFC 9110, 7.6.3).
fn is_mark(via: &str) -> bool {
    ["1.1 plimsoll", "1.0 plimsoll"].contains(&via.trim())
}

/// The origin's side of one connection.
pub(crate) struct OriginConnection {
    socket: TcpStream,
    act: Arc<Act>,
    number: usize,
    /// Received and not yet read.
    buffer: Vec<u8>,
    linger: bool,
}

impl OriginConnection {
    fn new(socket: TcpStream, act: Arc<Act>, number: usize) -> Self {
        let _ = socket.set_nodelay(true);
        let _ = socket.set_read_timeout(Some(PATIENCE * 2));
        let _ = socket.set_write_timeout(Some(PATIENCE));
        Self { socket, act, number, buffer: Vec::new(), linger: true }
    }

    /// Which connection of the act this is, from 0.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// The next whole request; `None` once the balancer has closed. Canaries are answered on the way.
    pub(crate) fn request(&mut self) -> Option<Message> {
        loop {
            let request = self.parsed(|bytes| parse(bytes, Side::Request))?;
            self.buffer.drain(..request.len);
            if request.target().starts_with(CANARY) {
                self.send(canary_answer(request.target()));
                continue;
            }
            self.note(&request);
            return Some(request);
        }
    }

    /// The next request's head; its body stays to be read with [`Self::raw`] or [`Self::body`].
    pub(crate) fn head(&mut self) -> Option<Message> {
        loop {
            let request = self.parsed(|bytes| parse_head_only(bytes, Side::Request))?;
            self.buffer.drain(..request.head_len);
            if request.target().starts_with(CANARY) {
                self.send(canary_answer(request.target()));
                continue;
            }
            self.note(&request);
            return Some(request);
        }
    }

    /// Raw bytes, exactly this many; fewer when the balancer closes.
    pub(crate) fn raw(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count && self.receive() {}
        let count = count.min(self.buffer.len());
        self.buffer.drain(..count).collect()
    }

    /// Reads exactly this many raw bytes and keeps none of them: for bodies that are too large to remember.
    pub(crate) fn swallow(&mut self, count: usize) -> bool {
        let held = count.min(self.buffer.len());
        self.buffer.drain(..held);
        let mut left = count - held;
        let mut chunk = vec![0; 65536];
        while left > 0 {
            let most = left.min(chunk.len());
            match self.socket.read(&mut chunk[..most]) {
                Ok(more @ 1..) => left -= more,
                _ => return false,
            }
        }
        true
    }

    /// Raw bytes until the balancer closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.receive() {}
        std::mem::take(&mut self.buffer)
    }

    /// Sends bytes; an error is the balancer's leaving, which the test sees elsewhere.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(bytes.as_ref()).is_ok()
    }

    /// Answers every request with these bytes until the balancer leaves.
    pub(crate) fn answer_all(&mut self, bytes: &[u8]) {
        while self.request().is_some() {
            self.send(bytes);
        }
    }

    /// Sends FIN: nothing more will be sent.
    pub(crate) fn finish(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// The connection will end with a reset, not with FIN.
    pub(crate) fn reset_at_end(&mut self) {
        self.linger = false;
    }

    /// From now on an idle connection is closed after this long.
    pub(crate) fn set_patience(&self, patience: Duration) {
        let _ = self.socket.set_read_timeout(Some(patience));
    }

    /// What follows is a tunnel: the audit stops here.
    pub(crate) fn tunnel(&self) {
        let unread = self.buffer.len();
        self.act.change(self.number, |seen| seen.tunnel_from = Some(seen.bytes.len() - unread));
    }

    fn parsed(&mut self, parse: impl Fn(&[u8]) -> Result<Option<Message>, String>) -> Option<Message> {
        loop {
            match parse(&self.buffer) {
                Ok(Some(message)) => return Some(message),
                Ok(None) if self.receive() => {}
                // What is wrong is found again by the audit.
                Ok(None) | Err(_) => return None,
            }
        }
    }

    fn note(&self, request: &Message) {
        self.act.change(self.number, |seen| seen.requests.push(request.clone()));
    }

    fn receive(&mut self) -> bool {
        let mut chunk = vec![0; 65536];
        match self.socket.read(&mut chunk) {
            Ok(count) if count > 0 => {
                self.buffer.extend_from_slice(&chunk[..count]);
                self.act.change(self.number, |seen| seen.bytes.extend_from_slice(&chunk[..count]));
                true
            }
            _ => {
                self.act.change(self.number, |seen| seen.closed = true);
                false
            }
        }
    }
}

/// For libraries that speak a protocol of their own through the connection.
impl Read for OriginConnection {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.buffer.is_empty() {
            self.receive();
        }
        let count = into.len().min(self.buffer.len());
        into[..count].copy_from_slice(&self.buffer[..count]);
        self.buffer.drain(..count);
        Ok(count)
    }
}

impl Write for OriginConnection {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.socket.flush()
    }
}

impl Drop for OriginConnection {
    fn drop(&mut self) {
        if !self.linger {
            let socket = socket2::SockRef::from(&self.socket);
            let _ = socket.set_linger(Some(Duration::ZERO));
            return;
        }
        // The act keeps a clone of the socket, so the end has to be said aloud.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Paths of requests that the harness sends after a case, to see whether the next client gets its own answer.
pub(crate) const CANARY: &str = "/canary-";

fn canary_answer(target: &str) -> String {
    ok(target)
}

/// A whole 200 response with this body.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A script that answers every request with the same bytes.
pub(crate) fn answering(bytes: impl AsRef<[u8]>) -> Script {
    let bytes = bytes.as_ref().to_vec();
    Arc::new(move |c| c.answer_all(&bytes))
}

/// A script that answers every request with the head that arrived, as the body.
pub(crate) fn echoing() -> Script {
    Arc::new(|c| {
        while let Some(request) = c.request() {
            let fields: String = request.fields.iter().map(|(n, v)| format!("{n}: {v}\n")).collect();
            c.send(ok(&format!("{}\n{fields}", request.start)));
        }
    })
}
