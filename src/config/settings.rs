//! Finished settings. Whoever holds one needs to check nothing again.

use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::problem::{Problem, Problems};
use super::source::Source;
use crate::logic::access::LogFormat;
use crate::logic::balance::Strategy;
use crate::logic::balance::key::HashKey;
use crate::logic::concurrency::AdaptiveSettings;
use crate::logic::health::Patience;
use crate::logic::hedge::HedgePolicy;
use crate::logic::limits::{MessageLimits, Timeouts, UDP_SESSIONS_DEFAULT};
use crate::logic::outlier::Policy;
use crate::logic::proxy_protocol;
use crate::logic::queue::QueueSettings;
use crate::logic::retry::RetryPolicy;
use crate::logic::route::RouteTable;
use crate::logic::scale::ScaleSettings;
use crate::logic::tls::names::NameTable;

/// The whole configuration, finished.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Worker threads; `None` is one for each core that the process may use.
    pub workers: Option<NonZeroUsize>,
    /// Which I/O driver.
    pub driver: DriverChoice,
    /// How long a drain may take.
    pub grace: Duration,
    /// Peers whose X-Forwarded-* are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where and how exchanges are logged; `None` is off.
    pub access_log: Option<AccessLogSettings>,
    /// In the order of the file; `ListenerIndex` points in here.
    pub listeners: Vec<Listener>,
    /// Limits of messages.
    pub limits: MessageLimits,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// The routes.
    pub routes: Arc<RouteTable>,
    /// In the order of the file; `BackendIndex` points in here.
    pub backends: Vec<BackendSettings>,
    /// The admin API; `None` is off.
    pub admin: Option<Admin>,
    /// What the file asks for and this version cannot run yet. `check` names it, `run` refuses it.
    pub unsupported: Vec<Unsupported>,
    /// What stops no start, and the operator should look at.
    pub warnings: Problems,
    /// What all this was read from.
    pub source: Arc<Source>,
}

impl Settings {
    /// Why `run` refuses these settings: each key of [`Settings::unsupported`], with its place. `None` where it does not.
    pub fn refusal(&self) -> Option<Problems> {
        let problem = |one: &Unsupported| {
            Problem::error(one.span.clone(), format!("`{}` asks for what this version cannot do", one.key))
                .help(one.hint.clone())
        };
        let problems: Vec<_> = self.unsupported.iter().map(problem).collect();
        (!problems.is_empty()).then(|| Problems::new(Arc::clone(&self.source), problems))
    }
}

/// `driver:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DriverChoice {
    /// io_uring where the kernel allows it, else epoll with the reason printed.
    #[default]
    Auto,
    /// io_uring or no start.
    IoUring,
    /// epoll.
    Epoll,
}

/// `access_log:`.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLogSettings {
    /// Where lines go.
    pub target: LogTarget,
    /// How they look.
    pub format: LogFormat,
    /// The share of ordinary lines that is written, 0 to 1.
    pub sample: f64,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to; reopened on USR1.
    File(PathBuf),
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name.
    pub name: Arc<str>,
    /// At least one.
    pub binds: Vec<BindAddress>,
    /// `max_connections:`; `None` where it says nothing.
    pub max_connections: Option<NonZeroUsize>,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Do connections of trusted proxies begin with a PROXY header?
    pub expects_proxy_header: bool,
}

/// `protocol:` of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1: routes say where requests go.
    Http,
    /// Whatever runs over TCP: every connection goes to a node of the backend with this name.
    Tcp(Arc<str>),
    /// TLS over TCP: the name that a connection asks for leads to a backend.
    TlsByName(Arc<NameTable<Arc<str>>>),
    /// Datagrams: every client has a session with a node of the backend with this name.
    Udp(Arc<str>),
}

impl Listener {
    /// Connections, or sessions, that may be open at a time; `None` is no limit but the process's file descriptors.
    pub fn open_max(&self) -> Option<NonZeroUsize> {
        match self.protocol {
            // Whoever sends a datagram makes a session, under any address that it likes.
            Protocol::Udp(_) => self.max_connections.or(NonZeroUsize::new(UDP_SESSIONS_DEFAULT)),
            _ => self.max_connections,
        }
    }
}

impl Protocol {
    /// Its word in the file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp(_) | Self::TlsByName(_) => "tcp",
            Self::Udp(_) => "udp",
        }
    }
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BindAddress {
    /// An IP address and a port; port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One backend.
#[derive(Debug, Clone, PartialEq)]
pub struct BackendSettings {
    /// Its name; a route that carries its servers inline gives its own.
    pub name: Arc<str>,
    /// How nodes are picked.
    pub strategy: Strategy,
    /// What ties requests to nodes.
    pub affinity: AffinitySettings,
    /// At least one, but where there is a fleet.
    pub servers: Vec<Server>,
    /// How nodes are probed; `None` probes nobody.
    pub health: Option<HealthSettings>,
    /// When nodes that fail requests are left out; `None` is never.
    pub outlier: Option<Policy>,
    /// How long a node's share grows once it serves; zero is at once.
    pub slow_start: Duration,
    /// Below this share of nodes that pass, all are used; in hundredths of a percent.
    pub panic_threshold: u32,
    /// What is tried again.
    pub retry: RetryPolicy,
    /// When a second node is asked as well; `None` is never.
    pub hedge: Option<HedgePolicy>,
    /// Where requests wait, where a server has a limit.
    pub queue: QueueSettings,
    /// Between which bounds the servers' limits are found out; `None` where they are not.
    pub adaptive: Option<AdaptiveSettings>,
    /// In which version nodes are told whose connection it is; `None` where they are not.
    pub proxy_header: Option<proxy_protocol::Version>,
    /// What starts and stops its nodes.
    pub fleet: Option<Arc<FleetSettings>>,
    /// Requests that a node of the fleet may have in flight; `None` is no limit.
    pub fleet_in_flight_max: Option<NonZeroU32>,
    /// How many nodes its fleet has.
    pub scale: ScaleSettings,
}

impl BackendSettings {
    /// One with these servers, and defaults for the rest.
    pub fn new(name: Arc<str>, servers: Vec<Server>) -> Self {
        Self {
            name,
            strategy: Strategy::default(),
            affinity: AffinitySettings::default(),
            servers,
            health: None,
            outlier: None,
            slow_start: Duration::ZERO,
            panic_threshold: PANIC_THRESHOLD_DEFAULT,
            retry: RetryPolicy::OFF,
            hedge: None,
            queue: QueueSettings::default(),
            adaptive: None,
            proxy_header: None,
            fleet: None,
            fleet_in_flight_max: None,
            scale: ScaleSettings::default(),
        }
    }
}

/// `panic_threshold:` where the file says nothing: half.
pub const PANIC_THRESHOLD_DEFAULT: u32 = 5000;

/// `health:` of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSettings {
    /// What is asked for by GET; `None` is satisfied by a connection.
    pub path: Option<Box<str>>,
    /// A datagram that is sent instead, and answered by a node that is well.
    pub send: Option<Box<[u8]>>,
    /// Between two probes of one node.
    pub interval: Duration,
    /// How long a probe may take, connecting included.
    pub timeout: Duration,
    /// How many probes in a row are believed.
    pub patience: Patience,
    /// Statuses of a good answer, from and to.
    pub expect: Vec<(u16, u16)>,
    /// What the body of a good answer holds.
    pub expect_body: Option<Box<str>>,
    /// Where the node says how busy its CPU is; see [`crate::logic::health::cpu_reading`].
    pub agent: Option<Box<str>>,
    /// The PROXY header that the node expects before a request, if it does.
    pub proxy_header: Option<proxy_protocol::Version>,
}

/// What `health: {}` asks for.
impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            path: None,
            send: None,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            patience: Patience { rise: 2, fall: 3 },
            expect: vec![(200, 399)],
            expect_body: None,
            agent: None,
            proxy_header: None,
        }
    }
}

/// What ties requests to nodes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AffinitySettings {
    /// What hashing strategies go by.
    pub hash_key: HashKey,
    /// `sticky:`.
    pub sticky: Option<StickySettings>,
}

/// `sticky:`.
#[derive(Clone, PartialEq, Eq)]
pub struct StickySettings {
    /// The name of the cookie.
    pub cookie: Box<str>,
    /// What it is signed with; `None` is a random one of this process's.
    pub secret: Option<Box<str>>,
}

/// Never tells the secret.
impl fmt::Debug for StickySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.secret.as_ref().map(|_| "...");
        f.debug_struct("StickySettings").field("cookie", &self.cookie).field("secret", &secret).finish()
    }
}

/// What nodes are started from.
#[derive(Debug, Clone, PartialEq)]
pub enum FleetSettings {
    /// `docker:`.
    Docker(DockerSettings),
    /// `process:`.
    Process(ProcessSettings),
}

/// `docker:`.
#[derive(Debug, Clone, PartialEq)]
pub struct DockerSettings {
    /// The image.
    pub image: String,
    /// The port inside; `None` is the image's only exposed one.
    pub port: Option<u16>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// In place of the image's command, where there is one.
    pub command: Vec<String>,
    /// The Docker network.
    pub network: String,
    /// How nodes are reached.
    pub reach: Reach,
    /// Cores; 0 is no limit.
    pub cpus: f64,
    /// Bytes; 0 is no limit.
    pub memory_bytes: u64,
    /// When the image is pulled.
    pub pull: Pull,
    /// How long a container may take to stop.
    pub stop_grace: Duration,
}

/// `docker.reach`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Published on 127.0.0.1 with a free port.
    Loopback,
    /// The container's own address.
    Network,
}

/// `docker.pull`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// Where the engine does not have it.
    Missing,
    /// Before each start.
    Always,
    /// Never.
    Never,
}

/// `process:`.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessSettings {
    /// Program and arguments; `{port}` stands for the port.
    pub command: Vec<String>,
    /// Environment variables; `{port}` stands for the port.
    pub env: Vec<(String, String)>,
}

impl FleetSettings {
    /// The engine's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Docker(_) => "docker",
            Self::Process(_) => "process",
        }
    }

    /// How long a node may take to stop before it is ended.
    pub fn stop_grace(&self) -> Duration {
        match self {
            Self::Docker(docker) => docker.stop_grace,
            Self::Process(_) => DEFAULT_STOP_GRACE,
        }
    }
}

/// `docker.stop_grace`, where nothing is said.
pub const DEFAULT_STOP_GRACE: Duration = Duration::from_secs(10);

/// One server of a backend: an address, or a name that the control plane resolves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where.
    pub host: ServerHost,
    /// Its weight, `1..=WEIGHT_MAX`.
    pub weight: u32,
    /// Requests that it may have in flight; `None` is no limit.
    pub in_flight_max: Option<NonZeroU32>,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerHost {
    /// An address.
    Address(SocketAddr),
    /// A name to resolve, and a port.
    Name(Box<str>, u16),
    /// A unix socket.
    Unix(PathBuf),
}

/// `admin:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens.
    pub bind: SocketAddr,
    /// Whether it takes writes.
    pub writable: bool,
    /// The file with the bearer token.
    pub token_file: Option<PathBuf>,
    /// Names of hosts that it goes by.
    pub names: Vec<Box<str>>,
}

/// A key whose feature is not in this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// Path of the key, e.g. `routes[0].docker_image`.
    pub key: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What to do instead.
    pub hint: String,
    /// Where it stands in [`Settings::source`].
    pub span: Range<usize>,
}
