//! A whole telemetry plane with played workers: what the balancer's process wires, without a data plane.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, unbounded};
use plimsoll::config::Settings;
use plimsoll::control::dns::Resolver;
use plimsoll::control::registry::Registry;
use plimsoll::logic::limits::{LOOKUP_TIMEOUT, MessageLimits, Timeouts};
use plimsoll::logic::route::{
    Action, BackendIndex, Edits, HostPattern, Matcher, PathPattern, Rewrite, Route, RouteTable,
};
use plimsoll::shared::event::events;
use plimsoll::shared::log_tap::Tap;
use plimsoll::shared::mailbox::{Command, Inbox, mailbox};
use plimsoll::shared::node::Node;
use plimsoll::shared::order::{Order, Refused, Wish};
use plimsoll::shared::report::{ListenerCounts, NodeCounts, Phases, Report, RouteCounts, new_durations};
use plimsoll::shared::run_state::{Phase, RunState};
use plimsoll::shared::snapshot::Published;
use plimsoll::telemetry::about::{About, Bound, Configuration};
use plimsoll::telemetry::admin::access::{Access, Rules};
use plimsoll::telemetry::admin::{self, Admin, Patience};
use plimsoll::telemetry::collector::Collector;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// A route's name that tries to break out of every format.
pub(crate) const HOSTILE: &str = "a\"} 1\n\\<img onerror=x>";
/// The value of a header edit that must stay a secret.
pub(crate) const SECRET: &str = "Bearer s3cret-of-the-test";

pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) run_state: RunState,
    pub(crate) published: Published,
    control: Arc<Mutex<PlayedControl>>,
    workers: Vec<PlayedWorker>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

/// The token of [`Rig::guarded`].
pub(crate) const TOKEN: &str = "a-token-of-the-tests";

struct Options {
    patience: Patience,
    writable: bool,
    access: Access,
}

impl Default for Options {
    fn default() -> Self {
        Self { patience: Patience::default(), writable: true, access: Access::default() }
    }
}

/// A control plane that writes down what it is told to do, and answers as the test says.
#[derive(Default)]
struct PlayedControl {
    orders: Vec<Wish>,
    refusal: Option<Refused>,
}

async fn carry_out(mut orders: mpsc::Receiver<Order>, control: Arc<Mutex<PlayedControl>>) {
    while let Some(Order { wish, answer }) = orders.recv().await {
        let mut control = control.lock().unwrap();
        control.orders.push(wish);
        answer(control.refusal.clone().map_or_else(|| Ok("as you wish".into()), Err));
    }
}

/// A thread that answers `Flush` with what the test counted on it.
struct PlayedWorker {
    pending: Arc<Mutex<Report>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    /// Two workers, a backend `api` with two nodes, a backend `lost` whose name does not resolve.
    pub(crate) fn new() -> Self {
        Self::with(&settings(&[1, 2], true), Options::default())
    }

    /// Everything is well here.
    pub(crate) fn healthy() -> Self {
        Self::with(&settings(&[1], false), Options::default())
    }

    pub(crate) fn impatient(patience: Patience) -> Self {
        Self::with(&settings(&[1], false), Options { patience, ..Options::default() })
    }

    pub(crate) fn read_only() -> Self {
        Self::with(&settings(&[1], false), Options { writable: false, ..Options::default() })
    }

    /// Only who knows [`TOKEN`] is let in, and `lb.internal` is its name.
    pub(crate) fn guarded() -> Self {
        // One file a rig: tests run side by side, and none may find another's half written.
        static RIGS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = RIGS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("plimsoll-admin-token-{}-{number}", std::process::id()));
        std::fs::write(&path, TOKEN).unwrap();
        let access = Access::load(Some(&path), &["lb.internal".into()]).unwrap();
        Self::with(&settings(&[1], false), Options { access, ..Options::default() })
    }

    fn with(settings: &Settings, options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let settings = Arc::new(settings.clone());
        let run_state = RunState::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let unknown = Resolver::new(|_| async { Err(std::io::Error::other("no such name")) }, LOOKUP_TIMEOUT);
        let (_, snapshot) = runtime.block_on(Registry::begin(Arc::clone(&settings), unknown));
        let published = Published::new(snapshot);

        let (reports, received) = unbounded();
        let (mailboxes, inboxes): (Vec<_>, Vec<_>) = (0..2).map(|_| mailbox().unwrap()).unzip();
        let workers = inboxes.into_iter().enumerate().map(|(at, inbox)| play(at, inbox, reports.clone()));
        let workers = workers.collect();
        let (_, configuration) = watch::channel(Configuration {
            settings,
            hash: "c0ffee".into(),
            reloaded_ms: None,
            last_reload: None,
        });
        let (orders, ordered) = mpsc::channel(8);
        let control = Arc::new(Mutex::new(PlayedControl::default()));
        runtime.spawn(carry_out(ordered, Arc::clone(&control)));
        let (events, happened) = events();
        let admin = Admin {
            about: about(),
            configuration,
            collector: Collector::start(received, mailboxes, published.clone()).unwrap(),
            published: published.clone(),
            run_state: run_state.clone(),
            orders,
            events,
            happened,
            tap: Tap::default(),
            rules: watch::channel(Arc::new(Rules { writable: options.writable, access: options.access })).1,
            log: None,
            patience: options.patience,
        };
        let (stop, stopped) = oneshot::channel();
        let server = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    ended = admin::serve(listener, admin) => ended.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        run_state.advance(Phase::Running);
        Self { address, run_state, published, control, workers, stop: Some(stop), server: Some(server) }
    }

    /// Counts on a worker, as if it had served something; it is told at the next flush.
    pub(crate) fn count(&self, worker: usize, count: impl FnOnce(&mut Report)) {
        count(&mut self.workers[worker].pending.lock().unwrap());
    }

    /// One worker hangs from now on.
    pub(crate) fn deafen(&self, worker: usize) {
        self.workers[worker].over.store(true, SeqCst);
    }

    /// What the control plane was told to do so far.
    pub(crate) fn orders(&self) -> Vec<Wish> {
        self.control.lock().unwrap().orders.clone()
    }

    /// The control plane refuses everything from now on.
    pub(crate) fn refuse(&self, refusal: Refused) {
        self.control.lock().unwrap().refusal = Some(refusal);
    }

    /// A write with this body.
    pub(crate) fn write(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(&self.request(method, path, &format!("content-length: {}\r\n", body.len()), body))
    }

    /// A request with these fields beside those that every write has.
    pub(crate) fn request(&self, method: &str, path: &str, fields: &str, body: &str) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nconnection: close\r\n\
             {fields}\r\n{body}",
            self.address
        )
    }

    pub(crate) fn node(&self, at: usize) -> Arc<Node> {
        Arc::clone(&self.published.current().backends[0].nodes[at].node)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// GET with the server's own address as Host.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address))
    }

    /// These bytes on a connection of their own, and all that comes back.
    pub(crate) fn send(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        // A server that refuses a long request need not read it to its end: what counts is the answer before
        // the reset.
        let _ = stream.write_all(request.as_bytes());
        let mut bytes = Vec::new();
        if let Err(error) = stream.read_to_end(&mut bytes) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        Answer::parse(&String::from_utf8(bytes).unwrap())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.server.take().map(JoinHandle::join);
        for worker in &mut self.workers {
            worker.over.store(true, SeqCst);
            worker.thread.take().map(JoinHandle::join);
        }
    }
}

/// A response, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no whole head: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap();
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

fn play(at: usize, inbox: Inbox, reports: Sender<Report>) -> PlayedWorker {
    let pending = Arc::new(Mutex::new(Report { worker: at, ..Report::default() }));
    let over = Arc::new(AtomicBool::new(false));
    let (shared, ends) = (Arc::clone(&pending), Arc::clone(&over));
    let thread = std::thread::spawn(move || {
        let tick = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        while !ends.load(SeqCst) {
            let _ = poll(&mut [PollFd::from_borrowed_fd(inbox.bell(), PollFlags::IN)], Some(&tick));
            inbox.silence();
            while let Some(Command::Flush(ticket)) = inbox.next() {
                let fresh = Report { worker: at, ..Report::default() };
                let mut report = std::mem::replace(&mut *shared.lock().unwrap(), fresh);
                report.ticket = ticket;
                let _ = reports.send(report);
            }
        }
        // A worker that hangs has its inbox still.
        std::mem::forget(inbox);
    });
    PlayedWorker { pending, over, thread: Some(thread) }
}

/// Requests of one route with this status, each of `us` microseconds.
pub(crate) fn requests(route: &str, backend: &str, code: u16, count: u32, us: u64) -> RouteCounts {
    let mut durations = new_durations();
    durations.record_n(us, count).unwrap();
    RouteCounts {
        listener: "web".into(),
        route: route.into(),
        backend: backend.into(),
        codes: vec![(code, count.into())],
        durations,
        phases: Phases::default(),
    }
}

pub(crate) fn node_counts(node: Arc<Node>, count: u32, us: u64) -> NodeCounts {
    let (mut durations, mut connects) = (new_durations(), new_durations());
    durations.record_n(us, count).unwrap();
    connects.record_n(200, 1).unwrap();
    NodeCounts { node, durations, connects, phases: Phases::default() }
}

pub(crate) fn connections(accepted: u64, open: u64) -> ListenerCounts {
    ListenerCounts { listener: "web".into(), accepted, open }
}

pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn about() -> About {
    About {
        version: "0.1.0",
        driver: "io_uring".into(),
        driver_reason: "DEFER_TASKRUN".into(),
        workers: 2,
        started_ms: 1_795_498_606_045,
        listeners: vec![Bound {
            name: "web".into(),
            protocol: "http",
            addresses: vec!["127.0.0.1:8080".into()],
        }],
    }
}

/// What a file with these nodes says; routes are put in by hand, since no file could name one [`HOSTILE`].
fn settings(nodes: &[u8], with_lost: bool) -> Settings {
    let servers: Vec<_> =
        nodes.iter().map(|last| format!("{{ url: 'http://127.0.0.{last}:9001' }}")).collect();
    let lost = if with_lost { "lost: { servers: [{ url: 'http://lost.invalid' }] }" } else { "" };
    let text = format!(
        "trusted_proxies: [10.0.0.0/8]
access_log: off
listeners: {{ web: {{ bind: '127.0.0.1:0' }} }}
routes: [{{ path: /*, backend: api }}]
backends:
  api: {{ strategy: least_connections, servers: [{}] }}
  {lost}
",
        servers.join(", ")
    );
    let settings =
        plimsoll::config::parse(&text, "test", &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
    Settings { routes: Arc::new(RouteTable::new(vec![route("/api/*"), route(HOSTILE)])), ..settings }
}

fn route(name: &str) -> Route {
    Route {
        name: name.into(),
        matcher: Matcher {
            host: HostPattern::Suffix(".example.com".into()),
            path: PathPattern::Prefix("/api/".into()),
            ..Matcher::default()
        },
        action: Action::Forward { backend: BackendIndex(0), rewrite: Rewrite::default() },
        request_edits: Edits { set: vec![("authorization".into(), SECRET.into())], ..Edits::default() }
            .into(),
        response_edits: Edits::default().into(),
        timeouts: Timeouts::default(),
        rate_limit: None,
        in_flight_max: None,
        limits: MessageLimits::default(),
    }
}
