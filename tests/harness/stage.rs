//! A stage for one case: a running balancer that cases share, and an origin that this case has for itself.
//!
//! A balancer is started once for each driver and configuration, with forty-eight backends of one origin each.
//! A case takes one of them, and reaches it by the host name `s7.test` or, where the host is what is tested,
//! by the path `/slot/7/`. After each case a canary on a fresh connection must get its own answer, and every byte
//! that reached the origin is audited.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use super::balancer::{Balancer, Driver};
use super::client::{Client, fill};
use super::message::Message;
use super::origin::{Act, CANARY, Origin, OriginConnection, Script, answering, ok};

const SLOTS: usize = 48;

/// The configurations that cases share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setup {
    /// One worker, so that every client meets the same pool of connections.
    One,
    /// Two workers.
    Two,
    /// Short timeouts, and a limit on bodies.
    Tight,
    /// Believes what loopback peers say of their clients.
    Trusting,
}

impl Setup {
    fn settings(self) -> &'static str {
        match self {
            Self::One => "workers: 1\n",
            Self::Two => "workers: 2\n",
            Self::Tight => {
                "workers: 1\n\
                 limits: { head: 8KiB, headers: 20, uri: 1KiB, body: 64KiB }\n\
                 timeouts: { client_head: 400ms, client_idle: 500ms, client_body: 400ms, connect: 400ms, \
                 response_head: 400ms, body: 400ms, tunnel_idle: 400ms }\n"
            }
            Self::Trusting => "workers: 1\ntrusted_proxies: [127.0.0.0/8]\n",
        }
    }
}

/// A balancer with its origins.
struct House {
    balancer: Balancer,
    origins: Vec<Origin>,
    free: Mutex<VecDeque<usize>>,
    freed: Condvar,
}

impl House {
    fn get(driver: Driver, setup: Setup) -> &'static Self {
        static HOUSES: [OnceLock<House>; 8] = [const { OnceLock::new() }; 8];
        HOUSES[driver as usize * 4 + setup as usize].get_or_init(|| Self::start(driver, setup))
    }

    fn start(driver: Driver, setup: Setup) -> Self {
        let origins: Vec<_> = (0..SLOTS).map(|_| Origin::start(answering(ok("nobody asked")))).collect();
        let config = format!("{}{LISTENER}{}{}", common(driver), setup.settings(), slots(&origins));
        let free = Mutex::new((0..SLOTS).collect());
        Self { balancer: Balancer::start(&config), origins, free, freed: Condvar::new() }
    }

    fn take(&self) -> usize {
        let mut free = self.free.lock().unwrap();
        loop {
            if let Some(slot) = free.pop_front() {
                return slot;
            }
            free = self.freed.wait(free).unwrap();
        }
    }
}

/// What every test configuration begins with.
pub(crate) fn common(driver: Driver) -> String {
    format!("driver: {}\naccess_log: off\nadmin: {{ bind: \"127.0.0.1:0\" }}\n", driver.name())
}

/// One http listener on a free port.
pub(crate) const LISTENER: &str = "listeners: { web: { bind: \"127.0.0.1:0\" } }\n";

fn slots(origins: &[Origin]) -> String {
    let mut routes = String::from("routes:\n");
    let mut backends = String::from("backends:\n");
    for (n, origin) in origins.iter().enumerate() {
        let _ = writeln!(routes, "  - {{ host: s{n}.test, path: /*, backend: s{n} }}");
        let _ = writeln!(routes, "  - {{ path: /slot/{n}/*, backend: s{n} }}");
        let _ = writeln!(backends, "  s{n}: {{ servers: [{{ url: \"http://{}\" }}] }}", origin.address());
    }
    routes + &backends
}

/// What a case acts on.
pub(crate) struct Stage {
    house: &'static House,
    slot: usize,
    act: Arc<Act>,
    /// The host name that leads to this case's origin.
    pub(crate) host: String,
}

/// Runs a case on a driver, then checks that the next client gets its own answer and that nothing ambiguous
/// reached the origin.
#[track_caller]
pub(crate) fn run(name: &str, driver: Driver, setup: Setup, case: fn(&Stage)) {
    if is_skipped(name, driver) {
        return;
    }
    let stage = Stage::enter(driver, setup);
    case(&stage);
    stage.canaries();
    stage.audit();
}

/// Is this case on the program's list of skips, or its driver not to be had here? Says so, with the reason.
pub(crate) fn is_skipped(name: &str, driver: Driver) -> bool {
    let listed = crate::SKIPS.iter().find(|(skipped, _)| *skipped == name).map(|(_, reason)| *reason);
    let reason = listed.or_else(|| driver.unavailable());
    if let Some(reason) = reason {
        // Past the capture of the test harness: a skip that nobody sees passes for a proof.
        let _ = writeln!(std::io::stderr(), "skipped: test {name} on {}: {reason}", driver.name());
    }
    reason.is_some()
}

impl Stage {
    /// Takes an origin of the balancer with this driver and configuration.
    pub(crate) fn enter(driver: Driver, setup: Setup) -> Self {
        let house = House::get(driver, setup);
        let slot = house.take();
        let act = house.origins[slot].begin(answering(ok("hello")));
        Self { house, slot, act, host: format!("s{slot}.test") }
    }

    pub(crate) fn balancer(&self) -> &Balancer {
        &self.house.balancer
    }

    /// A prefix of paths that leads to this case's origin whatever the host.
    pub(crate) fn path(&self) -> String {
        format!("/slot/{}", self.slot)
    }

    /// Says what the origin does with each connection from now on.
    pub(crate) fn origin(&self, script: impl Fn(&mut OriginConnection) + Send + Sync + 'static) {
        self.act.rewrite(Arc::new(script));
    }

    /// The origin answers every request with these bytes.
    pub(crate) fn answers(&self, bytes: impl AsRef<[u8]>) {
        self.follows(answering(bytes));
    }

    /// The origin follows a ready-made script.
    pub(crate) fn follows(&self, script: Script) {
        self.act.rewrite(script);
    }

    /// What the origin saw.
    pub(crate) fn act(&self) -> &Act {
        &self.act
    }

    /// A new connection to the balancer.
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.house.balancer.address(), &self.host)
    }

    /// Sends a request on a connection of its own and reads the final response.
    #[track_caller]
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> Message {
        let request = request.as_ref();
        let method =
            String::from_utf8_lossy(request.split(|b| *b == b' ').next().unwrap_or(b"")).into_owned();
        self.client().send(request).response_to(method.trim())
    }

    /// A plain GET of a path.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Message {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: {{host}}\r\n\r\n"))
    }

    /// `{host}` filled in.
    pub(crate) fn fill(&self, text: &str) -> String {
        String::from_utf8(fill(text.as_bytes(), &self.host)).unwrap()
    }

    /// The only request that reached the origin.
    #[track_caller]
    pub(crate) fn arrived(&self) -> Message {
        let mut requests = self.act.requests();
        assert_eq!(requests.len(), 1, "exactly one request should have reached the origin: {requests:#?}");
        requests.remove(0)
    }

    /// Sends a request that must be refused with this status and one of these reasons (`a|b`), and never be whole
    /// at the origin. Afterwards the connection must be closed.
    #[track_caller]
    pub(crate) fn refuses(&self, request: impl AsRef<[u8]>, status: u16, reasons: &str) {
        let mut client = self.client();
        client.try_send(request);
        let answer = client.response();
        self.check_refusal(&answer, &[status], reasons);
        client.closed();
    }

    /// As [`Self::refuses`], where more than one status is legitimate.
    #[track_caller]
    pub(crate) fn refuses_with_any(&self, request: impl AsRef<[u8]>, statuses: &[u16]) {
        let mut client = self.client();
        client.try_send(request);
        let answer = client.response();
        self.check_refusal(&answer, statuses, "");
        client.closed();
    }

    #[track_caller]
    fn check_refusal(&self, answer: &Message, statuses: &[u16], reasons: &str) {
        assert!(statuses.contains(&answer.status()), "expected {statuses:?}, got {answer:?}");
        let reason = answer.field("x-plimsoll-reason").unwrap_or("");
        let wanted = reasons.is_empty() && !reason.is_empty() || reasons.split('|').any(|r| r == reason);
        assert!(wanted, "expected reason {reasons:?}, got {answer:?}");
        assert_eq!(answer.field("server"), Some("plimsoll"), "{answer:?}");
        assert!(answer.lists("connection", "close"), "a refusal closes, and says so: {answer:?}");
        let whole = self.act.requests();
        assert!(whole.is_empty(), "a refused request reached the origin: {whole:#?}");
    }

    /// Three clients, one after the other, must each get their own answer.
    #[track_caller]
    fn canaries(&self) {
        self.act.rewrite(answering(ok("hello")));
        for _ in 0..3 {
            if let Err(wrong) = self.canary() {
                panic!("{wrong}");
            }
        }
    }

    /// The next client: an error is what it got in place of its own answer.
    #[track_caller]
    pub(crate) fn canary(&self) -> Result<(), String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = format!("{CANARY}{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let answer = self.get(&path);
        let own = answer.status() == 200 && answer.text() == path;
        own.then_some(()).ok_or_else(|| format!("the next client asked for {path} and got {answer:?}"))
    }

    #[track_caller]
    fn audit(&self) {
        let violations = self.act.audit();
        assert!(violations.is_empty(), "what reached the origin: {}", violations.join("\n"));
    }
}

impl Drop for Stage {
    /// A balancer may take a second to see that a pooled connection has ended; nobody waits for it, the origin is
    /// merely not given to another case before.
    fn drop(&mut self) {
        let (house, slot) = (self.house, self.slot);
        std::thread::spawn(move || {
            house.origins[slot].begin(answering(ok("nobody asked")));
            house.free.lock().unwrap().push_back(slot);
            house.freed.notify_one();
        });
    }
}

/// Cases: each becomes a module of its name with one test for each driver.
macro_rules! cases {
    ($setup:ident; $($(#[$meta:meta])* fn $name:ident($at:ident) $body:block)*) => {
        $($(#[$meta])* mod $name {
            #[allow(unused_imports, reason = "not every case needs what its file imports")]
            use super::*;
            fn case($at: &$crate::harness::stage::Stage) $body
            #[test]
            fn io_uring() {
                $crate::harness::stage::run(
                    stringify!($name),
                    $crate::harness::balancer::Driver::IoUring,
                    $crate::harness::stage::Setup::$setup,
                    case,
                );
            }
            #[test]
            fn epoll() {
                $crate::harness::stage::run(
                    stringify!($name),
                    $crate::harness::balancer::Driver::Epoll,
                    $crate::harness::stage::Setup::$setup,
                    case,
                );
            }
        })*
    };
}
pub(crate) use cases;

/// Requests that must be refused: a name, a status, the reasons that are legitimate, and the bytes.
macro_rules! refusals {
    ($setup:ident; $($name:ident: $status:literal $reasons:literal $request:expr;)*) => {
        $crate::harness::stage::cases! { $setup; $(fn $name(at) { at.refuses($request, $status, $reasons); })* }
    };
}
pub(crate) use refusals;
