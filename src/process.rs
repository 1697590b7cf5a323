//! The story of the process, and the only file that knows every plane: bind, start, serve, drain, end.

mod announce;
mod banner;
mod bind;
mod descriptors;
mod fleets;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::config::Settings;
use crate::config::settings::DriverChoice;
use crate::control::autoscaler::{self, Autoscaler, FleetTable};
use crate::control::registry::{Wiring, first_snapshot};
use crate::control::reload::InForce;
pub use crate::control::reload::Load;
use crate::dataplane::driver::{Choice, Wanted};
use crate::dataplane::worker::{self, Assignment, Loads};
use crate::logic::limits::{ORDERS_WAITING_MAX, REPORTS_MAX};
use crate::shared::event::{self, Event, EventSender, Kind, Level};
use crate::shared::log_channel::{LogSender, log_channel};
use crate::shared::mailbox::{Command, Inbox, Mailbox, mailbox};
use crate::shared::memory;
use crate::shared::order::{Order, Wish};
use crate::shared::report::Report;
use crate::shared::run_state::{Phase, RunState};
use crate::shared::snapshot::Published;
use crate::telemetry::about::{About, Bound, Configuration, config_hash};
use crate::telemetry::access_log::{self, AccessLogHandle};
use crate::telemetry::admin::access::{Access, Rules};
use crate::telemetry::admin::{self, Admin, Patience};
use crate::telemetry::collector::Collector;

/// After the grace of a drain, how long workers may take to cut what is left.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// How a process runs, beside what its settings say.
#[derive(Default)]
pub struct Manner {
    /// Reads the settings again; `None` where they came from no file.
    pub load: Option<Load>,
    /// Decides how many nodes there should be, and starts and stops none.
    pub dry_run: bool,
    /// Leaves no node behind: containers, which go on otherwise for the process that comes next, are stopped and removed.
    pub ends_nodes: bool,
}

/// Balances with these settings until a signal ends it.
pub fn run(settings: Settings, manner: Manner) -> ExitCode {
    memory::refuse_huge_pages();
    let cores = usable_cores();
    let workers = settings.workers.map_or(cores.len(), std::num::NonZero::get);
    for warning in descriptors::prepare(&settings) {
        eprintln!("warning: {warning}");
    }
    let sockets = match bind::all(&settings, workers) {
        Ok(sockets) => sockets,
        Err(errors) => {
            errors.iter().for_each(|error| eprintln!("error: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.and_then(|runtime| {
        runtime.block_on(live(Arc::new(settings), manner, sockets, Cores { cores, workers }))
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The cores that this process may use, by number.
fn usable_cores() -> Vec<usize> {
    let set = rustix::thread::sched_getaffinity(None).unwrap_or_default();
    let cores: Vec<_> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect();
    // A kernel that does not say has one core at least.
    if cores.is_empty() { vec![0] } else { cores }
}

/// What the workers and everybody else meet in.
struct Meeting {
    published: Published,
    mailboxes: Vec<Mailbox>,
    reports: Receiver<Report>,
    /// Ends when the last worker has.
    workers_end: mpsc::Receiver<()>,
    driver: Choice,
}

/// The cores that may be used, and how many workers there shall be.
struct Cores {
    cores: Vec<usize>,
    workers: usize,
}

async fn live(
    settings: Arc<Settings>,
    manner: Manner,
    sockets: bind::Sockets,
    Cores { cores, workers }: Cores,
) -> io::Result<()> {
    let mut signals = Signals::catch()?;
    let rules = rules(&settings)?;
    let (registry, snapshot) = first_snapshot(Arc::clone(&settings)).await;
    let published = Published::new(snapshot);
    let (log_sender, log_receiver) = log_channel();
    let log =
        settings.access_log.as_ref().map(|log| access_log::start(&log.target, log_receiver)).transpose()?;
    let bind::Sockets { listeners, addresses, admin } = sockets;
    let (events, happened) = event::events();
    let happened = announce::start(happened)?;
    let tap = log_sender.tap().clone();
    let (orders, ordered) = mpsc::channel::<Order>(ORDERS_WAITING_MAX);
    let mut meeting = start_workers(&settings, published, listeners, &cores, workers, &log_sender)?;
    drop(log_sender);

    let run_state = RunState::default();
    run_state.advance(Phase::Running);
    let collector =
        Collector::start(meeting.reports.clone(), meeting.mailboxes.clone(), meeting.published.clone())?;
    let collector_for_fleets = collector.clone();
    let about = about(&meeting.driver, workers, &settings, &addresses);
    banner::print(&about, &meeting.published.current(), admin.as_ref());
    let first = InForce { settings: Arc::clone(&settings), reloaded_ms: None, last: None };
    let (tell_configuration, configuration) = watch::channel(configuration(&first));
    let (in_force, newest) = watch::channel(first);
    let (allow, allowed) = watch::channel(rules);
    if let Some(listener) = admin {
        let admin = Admin {
            about,
            configuration,
            collector,
            published: meeting.published.clone(),
            run_state: run_state.clone(),
            orders: orders.clone(),
            events: events.clone(),
            happened,
            tap,
            rules: allowed,
            log: log.as_ref().map(AccessLogHandle::counters),
            patience: Patience::default(),
        };
        tokio::spawn(admin::serve(listener, admin));
    }
    tokio::spawn(tell(newest.clone(), tell_configuration, allow, events.clone()));
    let (fleet_orders, fleets_ordered) = mpsc::channel(ORDERS_WAITING_MAX);
    let (table, fleets) = watch::channel(FleetTable::new());
    let autoscaler = Autoscaler::new(
        fleets::engines(&settings.source.name, manner.dry_run, events.clone()),
        autoscaler::Wiring {
            published: meeting.published.clone(),
            table,
            orders: fleets_ordered,
            events: events.clone(),
            signals: Arc::new(fleets::Measured::new(collector_for_fleets, meeting.published.clone())),
            in_force: newest.clone(),
            alarm: registry.alarm(),
            roster: registry.roster(),
            dry_run: manner.dry_run,
        },
    );
    let scaling = tokio::spawn(autoscaler.run());
    tokio::spawn(registry.run(Wiring {
        published: meeting.published.clone(),
        orders: ordered,
        events: events.clone(),
        load: manner.load,
        in_force,
        fleets,
        fleet_orders,
        workers: meeting.mailboxes.clone(),
    }));

    signals.serve_until_told(log.as_ref(), &orders, &mut meeting.workers_end).await;
    run_state.advance(Phase::Draining);
    let grace = newest.borrow().settings.grace;
    drain(grace, &mut meeting, &mut signals, &run_state).await;
    bind::remove_unix_sockets(&settings);
    if manner.ends_nodes {
        scaling.abort();
        fleets::end_all(&settings, events).await;
    }
    if log.is_some_and(|log| !log.finish()) {
        eprintln!("warning: the access log's target did not take its last lines");
    }
    Ok(())
}

/// Read before anything is served: without the token nobody could be let in, or everybody would be.
fn rules(settings: &Settings) -> io::Result<Arc<Rules>> {
    let Some(admin) = &settings.admin else { return Ok(Arc::default()) };
    let access = Access::load(admin.token_file.as_deref(), &admin.names)?;
    Ok(Arc::new(Rules { writable: admin.writable, access }))
}

fn about(driver: &Choice, workers: usize, settings: &Settings, addresses: &[Vec<String>]) -> About {
    let bound = |(listener, addresses): (&crate::config::settings::Listener, &Vec<String>)| Bound {
        name: Arc::clone(&listener.name),
        protocol: listener.protocol.name(),
        addresses: addresses.clone(),
    };
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    About {
        version: env!("CARGO_PKG_VERSION"),
        driver: driver.name.into(),
        driver_reason: driver.detail.as_str().into(),
        workers,
        started_ms: u64::try_from(started.as_millis()).unwrap_or(u64::MAX),
        listeners: settings.listeners.iter().zip(addresses).map(bound).collect(),
    }
}

/// Starts one thread a worker, and waits until all accept.
fn start_workers(
    settings: &Settings,
    published: Published,
    mut sockets: Vec<bind::WorkerSockets>,
    cores: &[usize],
    workers: usize,
    log: &LogSender,
) -> io::Result<Meeting> {
    let (mailboxes, inboxes): (Vec<Mailbox>, Vec<Inbox>) =
        (0..workers).map(|_| mailbox()).collect::<io::Result<Vec<_>>>()?.into_iter().unzip();
    let limits: Vec<_> = settings.listeners.iter().map(|listener| listener.open_max()).collect();
    let loads = Arc::new(Loads::new(workers, &limits));
    let (report_sender, reports) = bounded(REPORTS_MAX);
    let (ready, readiness) = bounded(workers);
    let (alive, workers_end) = mpsc::channel(1);
    for (index, inbox) in inboxes.into_iter().enumerate() {
        let assignment = Assignment {
            index,
            core: (workers <= cores.len()).then(|| cores[index % cores.len()]),
            driver: wanted(settings.driver),
            sockets: std::mem::take(&mut sockets[index]),
            published: published.clone(),
            inbox,
            workers: mailboxes.clone(),
            loads: Arc::clone(&loads),
            reports: report_sender.clone(),
            log: log.clone(),
            ready: ready.clone(),
        };
        let alive = alive.clone();
        std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            let _alive = alive;
            worker::run(assignment);
        })?;
    }
    let driver = wait_until_ready(&readiness, workers, ready)?;
    Ok(Meeting { published, mailboxes, reports, workers_end, driver })
}

/// All workers accept, or one says why it cannot.
fn wait_until_ready(
    readiness: &Receiver<io::Result<Choice>>,
    workers: usize,
    ready: Sender<io::Result<Choice>>,
) -> io::Result<Choice> {
    drop(ready);
    let mut driver = None;
    for _ in 0..workers {
        let answer = readiness.recv().map_err(|_| io::Error::other("a worker ended before it was ready"))?;
        let choice = answer.map_err(|error| {
            let cure = crate::dataplane::driver::cure(&error);
            io::Error::new(error.kind(), format!("a worker cannot start: {error}; {cure}"))
        })?;
        driver = Some(choice);
    }
    driver.ok_or_else(|| io::Error::other("there are no workers"))
}

fn wanted(choice: DriverChoice) -> Wanted {
    match choice {
        DriverChoice::Auto => Wanted::Auto,
        DriverChoice::IoUring => Wanted::IoUring,
        DriverChoice::Epoll => Wanted::Epoll,
    }
}

/// Lets what is in flight finish, for as long as `grace`; a second signal ends the wait.
async fn drain(grace: Duration, meeting: &mut Meeting, signals: &mut Signals, run_state: &RunState) {
    let send = |command: fn() -> Command| {
        for mailbox in &meeting.mailboxes {
            let _ = mailbox.send(command());
        }
    };
    send(|| Command::Drain);
    tokio::select! {
        _ = meeting.workers_end.recv() => return,
        () = tokio::time::sleep(grace) => eprintln!("grace of {grace:?} is over: cutting what is left"),
        () = signals.end() => eprintln!("told again: cutting what is left"),
    }
    run_state.advance(Phase::Stopping);
    send(|| Command::Stop);
    let _ = tokio::time::timeout(STOP_TIMEOUT, meeting.workers_end.recv()).await;
}

/// The configuration as telemetry shows it.
fn configuration(in_force: &InForce) -> Configuration {
    Configuration {
        settings: Arc::clone(&in_force.settings),
        hash: config_hash(&in_force.settings.source.bytes()),
        reloaded_ms: in_force.reloaded_ms,
        last_reload: in_force.last.clone(),
    }
}

/// Tells telemetry of every other configuration, and of whom the admin API lets in by it. The token is read anew, so that
/// one that was replaced in its file counts from the next reload on; where it cannot be read, the one before stays.
async fn tell(
    mut newest: watch::Receiver<InForce>,
    configurations: watch::Sender<Configuration>,
    allow: watch::Sender<Arc<Rules>>,
    events: EventSender,
) {
    while newest.changed().await.is_ok() {
        let in_force = newest.borrow_and_update().clone();
        match rules(&in_force.settings) {
            Ok(rules) => drop(allow.send_replace(rules)),
            Err(error) => {
                let text = format!("{error}: the admin API goes by what it was told before");
                events.send(Event::now(Kind::Reload, Level::Error, text));
            }
        }
        configurations.send_replace(configuration(&in_force));
    }
}

/// What HUP asks for. The outcome is told on stderr, as that of every reload is.
fn reload(orders: &mpsc::Sender<Order>) {
    let order = Order { wish: Wish::Reload, answer: Box::new(|_| {}) };
    if orders.try_send(order).is_err() {
        eprintln!("HUP: too many orders wait already; try again");
    }
}

/// The signals of the contract.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    reopen: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }

    /// TERM or INT.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Obeys signals until one ends the process, or a worker has ended that should not.
    async fn serve_until_told(
        &mut self,
        log: Option<&AccessLogHandle>,
        orders: &mpsc::Sender<Order>,
        workers_end: &mut mpsc::Receiver<()>,
    ) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return eprintln!("draining: told to end by TERM"),
                _ = self.interrupt.recv() => return eprintln!("draining: told to end by INT"),
                _ = workers_end.recv() => return eprintln!("error: all workers have ended"),
                _ = self.hang_up.recv() => reload(orders),
                _ = self.reopen.recv() => if let Some(log) = log { log.reopen() },
            }
        }
    }
}
