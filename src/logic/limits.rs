//! Every maximum in the program, by name, and how they relate.
//!
//! A limit that an operator can set has its default and its bounds here; one that nobody can set is here too.

use std::time::Duration;

const KIB: usize = 1024;

/// Bytes of a message head (request line or status line, fields, the empty line) that fit any buffer of ours.
/// With the edits of a route and the fields that we add, a rewritten head still fits the largest buffer.
pub const HEAD_BYTES_CEILING: usize = 48 * KIB;
/// Bytes that our own fields (`via`, `x-forwarded-*`, `x-request-id`, framing) may add to one head.
pub const OWN_FIELDS_BYTES_MAX: usize = 4 * KIB;
/// The least that `limits.head` may say: below it ordinary browsers are refused.
pub const HEAD_BYTES_FLOOR: usize = KIB;
/// Field lines in one head that `limits.headers` may allow at most: they live in a fixed array on the stack.
pub const FIELDS_CEILING: usize = 128;
/// Bytes that all configured header edits of one route may add to one message.
pub const EDITS_BYTES_CEILING: usize = 8 * KIB;
/// Bytes of one chunk-size line: 16 hexadecimal digits and the extensions that we drop (RFC 9112, 7.1.1).
pub const CHUNK_LINE_BYTES_MAX: usize = 4 * KIB;
/// Bytes of a trailer section.
pub const TRAILER_BYTES_MAX: usize = 8 * KIB;
/// Interim (1xx) responses that one exchange may carry: more is a node that loops.
pub const INTERIM_RESPONSES_MAX: u32 = 16;
/// Empty lines before a request line that are forgiven (RFC 9112, 2.2 asks for at least one).
pub const LEADING_EMPTY_LINES_MAX: usize = 4;

/// Bytes of a PROXY header, its TLVs included: what a certificate's name or a cloud's endpoint needs, many times over.
pub const PROXY_HEADER_BYTES_MAX: usize = 4 * KIB;
/// Bytes of a TLS ClientHello with the heads of its records, from the first to the last: a full record. What browsers send
/// with a post-quantum key share is below 3 KiB.
pub const HELLO_BYTES_MAX: usize = 16 * KIB;
/// Protocols that a ClientHello may offer (RFC 7301).
pub const HELLO_PROTOCOLS_MAX: usize = 64;
/// Entries of `tls_routes` of one listener.
pub const TLS_ROUTES_MAX: usize = 1024;

/// Worker threads: more than any machine has cores.
pub const WORKERS_MAX: usize = 1024;
/// Listeners in one configuration.
pub const LISTENERS_MAX: usize = 64;
/// Addresses that one listener may bind to.
pub const LISTENER_BINDS_MAX: usize = 64;
/// Routes in one configuration.
pub const ROUTES_MAX: usize = 4096;
/// Backends in one configuration.
pub const BACKENDS_MAX: usize = 1024;
/// Nodes in one backend.
pub const NODES_MAX: usize = 4096;
/// Bytes of a configuration file.
pub const CONFIG_BYTES_MAX: usize = 4 * KIB * KIB;
/// Lists and maps within one another in a configuration file; the longest that a key needs is seven.
pub const CONFIG_DEPTH_MAX: usize = 16;
/// Values (keys, items, texts) in a configuration file once its aliases are written out: the wall before a YAML bomb.
/// The largest file of `CONFIG_BYTES_MAX` that says something has fewer.
pub const CONFIG_VALUES_MAX: usize = 1 << 20;
/// Problems of one configuration file that are written out; the rest is counted.
pub const PROBLEMS_SHOWN_MAX: usize = 50;
/// Bytes of a name of a listener or a backend: it is a label in metrics and a word in logs.
pub const NAME_BYTES_MAX: usize = 64;
/// Bytes of a pattern of paths.
pub const PATH_PATTERN_BYTES_MAX: usize = 1024;
/// Bytes of the body of a route that answers by itself.
pub const RESPOND_BODY_BYTES_MAX: usize = 64 * KIB;
/// The longest time that any key may say: longer is a typing error, and deadlines stay far from overflowing.
pub const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// Weight of a server.
pub const WEIGHT_MAX: u32 = 1000;

/// What one request may look like; `limits:` in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageLimits {
    /// Bytes of a request's or a response's head: `HEAD_BYTES_FLOOR..=HEAD_BYTES_CEILING`.
    pub head_bytes_max: usize,
    /// Field lines of a head: `1..=FIELDS_CEILING`.
    pub fields_max: usize,
    /// Bytes of a request target; at most `head_bytes_max`.
    pub uri_bytes_max: usize,
    /// Bytes of a request body; `None` is no limit.
    pub body_bytes_max: Option<u64>,
}

impl Default for MessageLimits {
    fn default() -> Self {
        Self { head_bytes_max: 32 * KIB, fields_max: 100, uri_bytes_max: 8 * KIB, body_bytes_max: None }
    }
}

/// How long each phase may take; `timeouts:` in the configuration, and a route's overrides merged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request's head to its last.
    pub client_head: Duration,
    /// From the end of a response to the first byte of the next request on that connection.
    pub client_idle: Duration,
    /// Between two reads of a request body.
    pub client_body: Duration,
    /// To open a connection to a node.
    pub connect: Duration,
    /// From the last byte of the request sent to the last byte of the response's head.
    pub response_head: Duration,
    /// Between two reads of a response body, and between two writes that the client accepts.
    pub body: Duration,
    /// Without a byte in either direction of a tunnel (`Upgrade`).
    pub tunnel_idle: Duration,
    /// Without a datagram of a session in either direction.
    pub udp_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            client_head: Duration::from_secs(10),
            client_idle: Duration::from_secs(60),
            client_body: Duration::from_secs(30),
            connect: Duration::from_secs(2),
            response_head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            tunnel_idle: Duration::from_secs(3600),
            udp_idle: Duration::from_secs(60),
        }
    }
}

/// The shortest timeout that can be kept: the workers look at their deadlines every `TIMER_TICK`.
pub const TIMEOUT_FLOOR: Duration = Duration::from_millis(50);
/// How often a worker looks for deadlines that have passed.
pub const TIMER_TICK: Duration = Duration::from_millis(25);

/// Bytes of the smallest pooled buffer: an ordinary request or a small response.
pub const SMALL_BUFFER_BYTES: usize = 4 * KIB;
/// Bytes of the middle one: a page, an API answer.
pub const MEDIUM_BUFFER_BYTES: usize = 32 * KIB;
/// Bytes of the largest one: bulk, and the longest head.
pub const LARGE_BUFFER_BYTES: usize = 64 * KIB;

/// Writes to the admin API that were refused and are told of one by one, in a second.
pub const AUDITED_REFUSALS_MAX: u32 = 10;
/// Connections to the admin API at a time; for one more, the one that has had nothing to do for longest is closed.
pub const ADMIN_CONNECTIONS_MAX: usize = 128;
/// Bytes that one connection to the admin API buffers: head and all.
pub const ADMIN_BUFFER_BYTES: usize = 16 * KIB;
/// Field lines in one request to the admin API.
pub const ADMIN_FIELDS_MAX: usize = 64;
/// The longest wait for the whole head of a request to the admin API, the pause before it included.
pub const ADMIN_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a client of the admin API may leave a response, or its own request's body, where it is.
pub const ADMIN_STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest wait for the workers' exact numbers; after it the page shows what was there before.
pub const FLUSH_TIMEOUT: Duration = Duration::from_millis(250);

/// Reports of all workers that may wait to be merged; beyond it a worker keeps its counts for the next one.
pub const REPORTS_MAX: usize = 1024;
/// Seconds over which rates and quantiles of the admin API are taken.
pub const WINDOW_SECONDS: u64 = 10;
/// Rows of a second that the monitor's history keeps of each series: 15 minutes.
pub const HISTORY_SECONDS: usize = 15 * 60;
/// Rows of a minute: 24 hours.
pub const HISTORY_MINUTES: usize = 24 * 60;
/// Series of routes, backends and nodes that have a history, beside the whole.
pub const HISTORY_SERIES_MAX: usize = 128;
/// Series of listener, route and backend that are counted: beyond it those are forgotten that were silent for longest. A
/// configuration has far fewer; reloads that rename things bring new ones for ever.
pub const LEDGER_SERIES_MAX: usize = 4096;
/// Events that are remembered for `GET /api/v1/events` and new viewers.
pub const EVENTS_KEPT_MAX: usize = 1000;
/// Log lines that are remembered for viewers.
pub const LINES_KEPT_MAX: usize = 8192;
/// Bytes of those lines.
pub const LINES_KEPT_BYTES_MAX: usize = 8 * KIB * KIB;
/// Viewers of the monitor at a time.
pub const VIEWERS_MAX: usize = 1024;
/// Frames that wait for a slow viewer; it loses the oldest beyond that.
pub const VIEWER_FRAMES_MAX: usize = 16;
/// Bytes of a frame, and of a message, that a viewer may send.
pub const VIEWER_FRAME_BYTES_MAX: usize = 64 * KIB;
/// Messages of one viewer that may be nonsense before it is cut.
pub const VIEWER_MISTAKES_MAX: u32 = 32;
/// How often a viewer is pinged: one that answers nothing for the stall timeout is cut.
pub const VIEWER_PING: Duration = Duration::from_secs(5);
/// Different log filters that viewers may follow at a time, all viewers together.
pub const VIEWER_FILTERS_MAX: usize = 16;
/// Bytes of the body of a call of the admin API.
pub const ADMIN_BODY_BYTES_MAX: usize = 1024 * KIB;
/// Characters of the token of the admin API: fewer can be guessed.
pub const TOKEN_BYTES_MIN: usize = 16;
/// More do not fit a header field with comfort.
pub const TOKEN_BYTES_MAX: usize = 512;
/// How long the control plane may take to carry an order out before its giver is told that it is still at it.
pub const ORDER_TIMEOUT: Duration = Duration::from_secs(15);

/// Batches of access log lines that may wait for the writer; beyond it they are dropped and counted.
pub const LOG_BATCHES_MAX: usize = 256;
/// Bytes at which a batch of log lines is handed to the writer.
pub const LOG_BATCH_BYTES: usize = 32 * KIB;

/// Batches of log lines for viewers that may wait for the telemetry; beyond it they are dropped and counted.
pub const TAP_BATCHES_MAX: usize = 64;
/// Log lines that one worker shows to the viewers who follow, in a second.
pub const TAP_LINES_PER_SECOND: u32 = 500;
/// Errors of each second that one worker shows, whether somebody follows or not.
pub const TAP_ERRORS_PER_SECOND: u32 = 5;

/// Addresses of one name that become nodes; the rest of a longer answer is left out.
pub const ADDRESSES_PER_NAME_MAX: usize = 256;
/// Names that are looked up at the same time: each costs a thread for as long as the system's resolver takes.
pub const LOOKUPS_AT_ONCE: usize = 32;
/// The longest that the start waits for names.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause before a name that did not resolve is tried again; it doubles with each failure.
pub const LOOKUP_RETRY_MIN: Duration = Duration::from_secs(1);
/// Where that pause stops growing.
pub const LOOKUP_RETRY_MAX: Duration = Duration::from_secs(30);

/// How often a name that resolves is looked up again: the system's resolver does not say how long an answer holds.
pub const LOOKUP_INTERVAL: Duration = Duration::from_secs(10);

/// Probes under way at the same time: each is a socket.
pub const PROBES_AT_ONCE: usize = 256;
/// Bytes of the head and of the body of an answer to a probe that are read; a text that is expected must stand there.
pub const PROBE_BYTES_MAX: usize = 64 * KIB;
/// Bytes of a datagram that asks a node how it is: what passes every network whole.
pub const PROBE_DATAGRAM_BYTES_MAX: usize = 1200;
/// Results of probes that may wait for the control plane; then probes wait.
pub const PROBE_RESULTS_MAX: usize = 256;
/// How often the control plane looks at ejections, drains and slow starts.
pub const REGISTRY_TICK: Duration = Duration::from_millis(100);
/// The longest ejection of a node that fails again and again, unless `ejection` itself is longer.
pub const EJECTION_MAX: Duration = Duration::from_secs(300);
/// Requests of a window below which the share of failures says nothing.
pub const OUTLIER_REQUESTS_MIN: u64 = 20;
/// The window over which the share of failures is taken.
pub const OUTLIER_WINDOW: Duration = Duration::from_secs(1);
/// Steps in which the weight of a node grows in a slow start; each is a new snapshot.
pub const SLOW_START_STEPS: u32 = 20;

/// Idle connections that one worker keeps open to one node.
pub const UPSTREAM_IDLE_MAX: usize = 256;
/// How long an unused connection to a node is kept, where the node does not say less (`Keep-Alive: timeout=`).
pub const UPSTREAM_IDLE: Duration = Duration::from_secs(30);
/// Nodes that one request is tried on before the client is told that none could be reached.
pub const CONNECT_ATTEMPTS_MAX: usize = 8;
/// Tries of one request that `retry.attempts` may ask for.
pub const RETRY_ATTEMPTS_CEILING: u32 = 16;
/// Tries of one request where `retry` does not say.
pub const RETRY_ATTEMPTS_DEFAULT: u32 = 2;
/// Retries beside requests, in thousandths, where `retry.budget` does not say.
pub const RETRY_BUDGET_PERMILLE: u32 = 200;
/// Retries of one backend's requests in a window, however few requests there are.
pub const RETRIES_AT_ONCE_MIN: u64 = 3;
/// The window over which retries are held against requests.
pub const RETRY_WINDOW_SECONDS: u64 = 10;

/// The shortest time after which a second node is asked (`hedge`), in microseconds: what the workers' timers can tell apart.
pub const HEDGE_AFTER_MIN_US: u64 = 1_000;
/// Answers that a worker must have seen in a period before it hedges.
pub const HEDGE_SAMPLES_MIN: u64 = 50;
/// The period whose quantile is gone by in the next one, in milliseconds.
pub const HEDGE_PERIOD_MS: u64 = 10_000;

/// Requests that may wait for a node where `queue.max` does not say.
pub const QUEUE_MAX_DEFAULT: u32 = 1000;
/// For how long, where `queue.timeout` does not say.
pub const QUEUE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// The delay that a queue is kept to that does not become empty any more.
pub const QUEUE_STANDING_TARGET: Duration = Duration::from_millis(10);
/// Requests that may wait however slowly places become free, so that none of them stays empty.
pub const QUEUE_STANDING_MIN: u32 = 16;
/// Over how long at least it is measured how fast places become free.
pub const DRAIN_WINDOW: Duration = Duration::from_millis(100);
/// And over how many places.
pub const DRAIN_GRANTS_MIN: u64 = 4;

/// Over how long at least a node is looked at before its adaptive limit moves.
pub const ADAPTIVE_WINDOW: Duration = Duration::from_millis(100);
/// And over how many requests.
pub const ADAPTIVE_SAMPLES_MIN: u64 = 20;
/// So many times what it takes with nothing else to do may a node take before its limit falls.
pub const ADAPTIVE_TOLERANCE: f64 = 1.5;
/// The lowest that an adaptive limit goes where `adaptive_limit.min` does not say.
pub const ADAPTIVE_MIN_DEFAULT: u32 = 1;
/// And the highest, where `adaptive_limit.max` does not.
pub const ADAPTIVE_MAX_DEFAULT: u32 = 1000;

/// How long a node that took no connection is left alone, where requests would have to wait for others.
pub const REFUSED_REST: Duration = Duration::from_millis(250);
/// How far the trust in a node's idle connections falls, in halvings: of those that it gave back, one in so many is kept.
pub const DISTRUST_MAX: u32 = 6;

/// Clients that rate limits can tell apart at a time, over all routes: what a flood of addresses cannot exceed.
pub const RATE_TABLE_KEYS: usize = 64 * KIB;

/// How long an idle client connection keeps its task and its buffer, before only a small record of it is left.
pub const HOT_WINDOW: Duration = Duration::from_millis(1000);
/// Idle client connections that keep a task and a buffer at a time; with more, new ones are parked at once.
pub const HOT_IDLE_MAX: usize = 1024;
/// A client that has closed its sending side is given up where no byte of a response moves for this long.
pub const CLIENT_GONE_GRACE: Duration = Duration::from_millis(1000);
/// After an answer that ends a connection, how long bytes still in flight are read and dropped, so that they do not
/// turn into a reset that would take the answer with it (RFC 9112, 9.6).
pub const LINGER: Duration = Duration::from_millis(1000);
/// And how many of them.
pub const LINGER_BYTES_MAX: usize = 1024 * KIB;
/// Connections that one wake-up of a listener accepts.
pub const ACCEPT_BATCH_MAX: usize = 64;
/// Pause after accepting failed for want of file descriptors or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that may wait in the kernel for a listener.
pub const BACKLOG: i32 = 4096;
/// Writes up to this size are not watched on their own account: they fit a socket's empty send buffer (16 KiB and its
/// bookkeeping at the least), so they are over long before anything else happens on the connection.
pub const UNWATCHED_WRITE_BYTES_MAX: usize = 20 * KIB;
/// And where one is not over after this, it is watched like any other.
pub const UNWATCHED_WRITE: Duration = Duration::from_millis(100);
/// Bytes of a pipe that bulk goes through: what an unprivileged process may ask for at most.
pub const PIPE_BYTES: usize = 1024 * KIB;
/// Empty pipes that a worker keeps.
pub const PIPES_FREE_MAX: usize = 16;
/// A body is spliced where at least this much of it is still to come: below, a copy is cheaper than the pipe.
pub const SPLICE_BYTES_MIN: u64 = 192 * 1024;
/// Bytes that one connection may move before others have their turn.
pub const SPLICE_TURN_BYTES: u64 = 2 * 1024 * 1024;
/// Reads in a row that fill their buffers before a direction of a TCP connection is spliced: one small and two larger
/// ones, some 64 KiB that came faster than they were taken.
pub const BULK_READS: u8 = 3;
/// Bytes between two moments at which a spliced source had nothing: fewer would have been cheaper to copy.
pub const BULK_TURN_BYTES_MIN: u64 = 16 * 1024;
/// Such turns in a row before a direction is copied again.
pub const THIN_TURNS_MAX: u8 = 3;
/// Bytes of the largest datagram, and of what the kernel joins datagrams to: the length field has 16 bits.
pub const DATAGRAM_BYTES_MAX: usize = 64 * KIB;
/// Datagrams (or joined ones) that one call receives or sends.
pub const DATAGRAM_BATCH_MAX: usize = 64;
/// Of them, those of one session: others have answers too.
pub const SESSION_BATCH_MAX: usize = 16;
/// Batches of one udp socket before the rest of the worker has its turn.
pub const UDP_TURN_BATCHES_MAX: usize = 4;
/// Datagrams in one message that is cut up by the kernel: Linux's `UDP_MAX_SEGMENTS` was 64 for most of its life.
pub const TRAIN_SEGMENTS_MAX: usize = 64;
/// Bytes of such a message: what is left of 64 KiB after the headers of IPv6 with some options.
pub const TRAIN_BYTES_MAX: usize = 65_000;
/// Sessions of a udp listener where `max_connections` does not say: each holds a descriptor.
pub const UDP_SESSIONS_DEFAULT: usize = 16 * KIB;
/// Bytes of a first datagram that are kept until it is answered, to be sent to another node where this one refuses it.
pub const FIRST_DATAGRAM_BYTES_MAX: usize = 1500;
/// How often udp sessions are looked through for those that were silent for too long.
pub const UDP_SWEEP: Duration = Duration::from_millis(250);
/// How long a session may be silent where the process drains.
pub const UDP_DRAIN_IDLE: Duration = Duration::from_millis(2000);
/// Bytes of datagrams that may wait for us in the kernel, where it allows so many (`net.core.rmem_max`).
pub const UDP_BUFFER_BYTES: usize = 4096 * KIB;
/// Events that may wait for the telemetry to take them: more are dropped and counted.
pub const EVENTS_WAITING_MAX: usize = 1024;
/// How often a backend is looked at for scaling; one sample each. A step of load is met within it, and steps double the
/// fleet each time at most: a slower look would be the larger part of what clients wait.
pub const SCALE_TICK: Duration = Duration::from_millis(250);
/// The longest `scale.up.window` and `scale.down.window`.
pub const SCALE_WINDOW_MAX: Duration = Duration::from_secs(3600);
/// Samples that are kept of one backend.
pub const SCALE_SAMPLES_MAX: usize = 16_384;
/// A signal that is older is no reason to start or stop anything.
pub const SCALE_STALE: Duration = Duration::from_secs(5);
/// The pause after a start that failed; it doubles with each failure in a row.
pub const START_RETRY_MIN: Duration = Duration::from_secs(1);
/// Where that pause stops growing.
pub const START_RETRY_MAX: Duration = Duration::from_secs(60);
/// How long a node must serve before its start counts as one that has succeeded: one that ends sooner would be started again
/// and again without a pause.
pub const NODE_LASTING: Duration = Duration::from_secs(10);
/// Failed starts in a row of one backend, after which only one node at a time is tried.
pub const START_FAILURES_MAX: u32 = 5;
/// How long an engine may take for one call; pulling an image has its own time.
pub const ENGINE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long pulling an image may go without any progress.
pub const PULL_STALL_TIMEOUT: Duration = Duration::from_secs(120);
/// From the start of a node's container or process to its first passed check.
pub const WARM_TIMEOUT: Duration = Duration::from_secs(120);
/// The longest that a node which is to be stopped may take to finish what it has in flight.
pub const NODE_DRAIN_MAX: Duration = Duration::from_secs(3600);
/// How long a node must have had nothing in flight before it is stopped: a worker may have picked it from a snapshot
/// that it took just before.
pub const NODE_QUIET: Duration = Duration::from_millis(250);
/// Changes of one engine that may wait for the autoscaler.
pub const CHANGES_WAITING_MAX: usize = 1024;
/// Log lines of a failed node that are kept.
pub const NODE_LOG_LINES_MAX: usize = 20;
/// Bytes of one of them.
pub const NODE_LOG_LINE_BYTES_MAX: usize = 512;

/// Orders of operators that may wait for the control plane; the next one waits where it is given.
pub const ORDERS_WAITING_MAX: usize = 64;

/// File descriptors that the process needs beside its connections.
pub const RESERVED_FDS: u64 = 64;

/// The time constant with which the latency of a node is forgotten, in microseconds.
pub const LATENCY_DECAY_US: u64 = 10_000_000;
/// A reading of a node's CPU that is older counts as none.
pub const CPU_READING_MAX_AGE: Duration = Duration::from_secs(10);
/// Nodes up to which a strategy looks at all of them; with more it compares a few that it draws.
pub const FULL_SCAN_MAX: usize = 32;
/// What a node may carry beyond its share before `consistent_hash` passes on: 125 of 100.
pub const BOUNDED_LOAD_PERCENT: u64 = 125;
/// Bytes of a secret that signs sticky cookies: fewer could be guessed.
pub const STICKY_SECRET_BYTES_MIN: usize = 16;
/// Bytes of the name of a sticky cookie: it is written into responses.
pub const COOKIE_NAME_BYTES_MAX: usize = 64;

const _: () = assert!(HEAD_BYTES_FLOOR < HEAD_BYTES_CEILING);
const _: () = assert!(HELLO_BYTES_MAX < MEDIUM_BUFFER_BYTES && PROXY_HEADER_BYTES_MAX < MEDIUM_BUFFER_BYTES);
const _: () = assert!(HEAD_BYTES_CEILING + EDITS_BYTES_CEILING + OWN_FIELDS_BYTES_MAX <= LARGE_BUFFER_BYTES);
const _: () = assert!(TIMER_TICK.as_millis() * 2 <= TIMEOUT_FLOOR.as_millis());
const _: () = assert!(SESSION_BATCH_MAX <= DATAGRAM_BATCH_MAX);
const _: () = assert!(TRAIN_BYTES_MAX < DATAGRAM_BYTES_MAX);
const _: () = assert!(RATE_TABLE_KEYS.is_power_of_two());
const _: () = assert!(RETRY_ATTEMPTS_DEFAULT <= RETRY_ATTEMPTS_CEILING);
const _: () = assert!(CONNECT_ATTEMPTS_MAX <= RETRY_ATTEMPTS_CEILING as usize);
const _: () = assert!(ADDRESSES_PER_NAME_MAX <= NODES_MAX);
const _: () = assert!(FLUSH_TIMEOUT.as_millis() < ADMIN_STALL_TIMEOUT.as_millis());
const _: () = assert!(SCALE_WINDOW_MAX.as_millis() / SCALE_TICK.as_millis() <= SCALE_SAMPLES_MAX as u128);
const _: () = assert!(SCALE_TICK.as_millis() * 3 <= SCALE_STALE.as_millis());
