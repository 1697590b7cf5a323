//! What starts and stops nodes: the one interface that every engine has (Docker, local processes).
//!
//! An engine runs *units*: containers or processes. A unit that runs and listens is a node. Engines act and report; what
//! becomes of a unit is decided in `logic::scale::lifecycle`, by the autoscaler's events.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::config::settings::FleetSettings;
use crate::logic::scale::lifecycle::Happening;
use crate::shared::node::Origin;

/// An answer of an engine that is waited for.
pub type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// An engine.
pub trait Fleet: Send + Sync {
    /// Its name, for people: `docker`, `process`.
    fn name(&self) -> &'static str;

    /// Where its nodes come from.
    fn origin(&self) -> Origin;

    /// Who decides where units run, and which of them goes.
    fn placement(&self) -> Placement {
        Placement::Ours
    }

    /// Everything that it runs for this balancer, and what asked to join by its labels.
    fn list(&self) -> Call<'_, Vec<Unit>>;

    /// Starts one unit; ends when it runs, not when it listens. What happens on the way is told by `steps`.
    fn start<'a>(&'a self, order: &'a StartOrder, steps: Steps) -> Call<'a, Unit>;

    /// Ends a unit: SIGTERM, and after `grace` the end. A unit that does not run is stopped already.
    fn stop<'a>(&'a self, unit: &'a UnitId, grace: Duration) -> Call<'a, ()>;

    /// Forgets a unit that does not run. One that is not known is removed already.
    fn remove<'a>(&'a self, unit: &'a UnitId) -> Call<'a, ()>;

    /// The last lines that it wrote, at most `NODE_LOG_LINES_MAX`.
    fn log<'a>(&'a self, unit: &'a UnitId) -> Call<'a, Vec<String>>;

    /// What it uses now.
    fn stats<'a>(&'a self, unit: &'a UnitId) -> Call<'a, Stats>;

    /// What happens from now on. A receiver that is dropped ends the watch.
    fn watch(&self) -> mpsc::Receiver<Change>;

    /// Why a unit that runs should get no new work for now, as far as events and lists have told. Asks nobody.
    fn unfit(&self, unit: &UnitId) -> Option<Unfit> {
        let _ = unit;
        None
    }

    /// For engines that own placement: makes it so many. Others start and stop unit by unit.
    fn resize<'a>(&'a self, order: &'a StartOrder, count: u32) -> Call<'a, ()> {
        let _ = (order, count);
        Box::pin(async {
            Err(EngineError::new(
                EngineFault::Refused,
                format!("{} starts and stops node by node", self.name()),
                "start or stop single nodes",
            ))
        })
    }
}

/// Who decides where units run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// The balancer starts and stops each unit.
    Ours,
    /// The engine is told a number (a service of a cluster), and chooses by itself.
    Engine,
}

/// A container or a process, as its engine names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitId(pub Arc<str>);

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Twelve letters are what people know containers by.
        f.write_str(self.0.get(..12).unwrap_or(&self.0))
    }
}

/// The address of a container in its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// Where it listens, or will.
    pub address: SocketAddr,
    /// The address of its network's machine. Where that is not this one, the door may be somebody else's.
    pub gateway: IpAddr,
}

/// A unit as its engine lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// Who.
    pub id: UnitId,
    /// Of which backend.
    pub backend: Arc<str>,
    /// What it was started from; empty where somebody else started it.
    pub fingerprint: Arc<str>,
    /// Where it listens, or will.
    pub address: Option<SocketAddr>,
    /// Its own address, beside one that may be a proxy's.
    pub door: Option<Door>,
    /// Does it run?
    pub running: bool,
    /// Did this balancer, or an earlier life of it, start it?
    pub ours: bool,
    /// Its weight, `1..=WEIGHT_MAX`.
    pub weight: u32,
    /// The image that it was made of, by what tells it from others of the same name; `None` where there are no images.
    pub image: Option<Arc<str>>,
}

/// What is to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct StartOrder {
    /// For which backend.
    pub backend: Arc<str>,
    /// Image or command, and all that belongs to it. From the configuration alone.
    pub settings: Arc<FleetSettings>,
    /// Of `settings`: another one means that running units are of an older kind.
    pub fingerprint: Arc<str>,
    /// Tells this start from others, so that what an engine did before its answer was lost can be found.
    pub ticket: u64,
    /// The image that the others of its version were made of ([`Unit::image`]): its name may mean another one by now. `None`
    /// for the first of a version.
    pub image: Option<Arc<str>>,
}

/// What an engine tells while it starts a unit.
#[derive(Debug, Clone)]
pub struct Steps {
    ticket: u64,
    changes: mpsc::Sender<Change>,
}

impl Steps {
    /// Of the start with this ticket.
    pub fn new(ticket: u64, changes: mpsc::Sender<Change>) -> Self {
        Self { ticket, changes }
    }

    /// Something happened; a step that nobody can take now is left out, since the next one tells more.
    pub fn tell(&self, happening: Happening) {
        let _ = self.changes.try_send(Change::Step(self.ticket, happening));
    }
}

/// What an engine reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A start that is under way, by its ticket.
    Step(u64, Happening),
    /// A unit.
    Unit(UnitId, Happening),
    /// A unit runs on, and should get no new work until it is fit again. Its health check tells that by
    /// [`Happening::Passed`], the end of a pause by [`Change::Appeared`] and [`Fleet::unfit`].
    Unfit(UnitId, Unfit),
    /// A unit appeared or asked to join: look at the list.
    Appeared,
    /// The engine answers again after this silence, or events were lost: look at the list.
    Resync,
    /// The engine does not answer. Nodes that run go on; nothing can be started or stopped.
    Down(EngineError),
}

/// Why a unit that runs should get no new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Somebody has frozen it: it answers nothing until somebody wakes it.
    Paused,
    /// Its own health check fails.
    Unhealthy,
    /// Its own health check has not passed yet.
    Unproven,
}

impl Unfit {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Paused => "is paused by somebody: `docker unpause` wakes it",
            Self::Unhealthy => "fails its own health check (HEALTHCHECK): see `docker inspect`",
            Self::Unproven => "has not passed its own health check (HEALTHCHECK) yet",
        }
    }
}

/// What a unit uses.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stats {
    /// Time on processors since it began.
    pub cpu: Duration,
    /// Cores that it may use: its limit, else all of its engine's machine. `None` is all of the balancer's.
    pub cores: Option<f64>,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// An engine could not do as told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineError {
    /// What kind of trouble.
    pub fault: EngineFault,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub cure: String,
}

/// What kind of trouble an engine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EngineFault {
    /// Nobody listens there, or may be asked.
    Down,
    /// No answer in time.
    Slow,
    /// Its disk is full.
    NoSpace,
    /// There is no such image, command or network.
    Missing,
    /// The port is taken.
    PortTaken,
    /// There is no such unit.
    NoSuchUnit,
    /// Anything else that it refused.
    Refused,
}

impl EngineError {
    /// A trouble, and its cure.
    pub fn new(fault: EngineFault, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { fault, message: message.into(), cure: cure.into() }
    }

    /// Is the engine itself out of order, so that another try can only be later?
    pub fn is_outage(&self) -> bool {
        matches!(self.fault, EngineFault::Down | EngineFault::Slow)
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.cure)
    }
}

impl std::error::Error for EngineError {}
