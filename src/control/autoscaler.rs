//! Acts on what `logic::scale` decides: starts, watches, drains and stops the nodes of all fleets.
//!
//! One task owns everything here. Engines are called by tasks of their own, whose answers come back as news, so that an
//! engine that hangs delays nothing but itself. What the registry shall publish stands in the [`FleetTable`].

mod calls;
mod fitness;
mod group;
mod knock;
mod mate;
mod orders;
mod roll;
mod sampling;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use self::group::{Group, News};
use super::fleet::{Change, EngineFault, Fleet, Unit, UnitId};
use super::left_out::LeftOut;
use super::reload::InForce;
use crate::config::settings::FleetSettings;
use crate::logic::limits::{CHANGES_WAITING_MAX, SCALE_TICK};
use crate::shared::event::{Event, EventSender, Kind, Level};
use crate::shared::node::{NodeAddress, Origin};
use crate::shared::order::{Fault, Order, Outcome, Refused, Wish};
use crate::shared::roster::Roster;
use crate::shared::snapshot::Published;

/// Looks at the nodes' counters in one [`SCALE_TICK`]: the load of a moment is the mean of these.
const LOOKS: u32 = 5;
/// The engines' lists are read again by themselves this often: what no event told is found then.
const RESYNC: Duration = Duration::from_secs(30);

/// When a unit that did not end is told again.
const END_AGAIN: Duration = Duration::from_secs(60);

/// The fleets, by backend: what the registry shall publish.
pub type FleetTable = HashMap<Arc<str>, FleetState>;

/// One fleet, as the registry shall see it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FleetState {
    /// Its nodes.
    pub nodes: Vec<FleetNode>,
    /// What is decided of it; `None` until something was.
    pub standing: Option<Standing>,
    /// Why it is not as it should be, and what comes next.
    pub trouble: Option<Arc<str>>,
}

/// What is decided of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How many nodes there should be.
    pub wanted: u32,
    /// An operator decides: paused, or a number of nodes that was said.
    pub paused: bool,
    /// No node will take requests within the patience of one that comes now.
    pub hopeless: bool,
    /// When a request that was refused may come again, in seconds.
    pub retry_after_s: u32,
}

/// A node of a fleet, as the registry shall see it.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetNode {
    /// Where it listens.
    pub address: NodeAddress,
    /// Which engine runs it.
    pub origin: Origin,
    /// Its weight.
    pub weight: u32,
    /// Its container or process, once there is one.
    pub unit: Option<Arc<str>>,
    /// What is asked of it.
    pub call: Call,
    /// Why.
    pub reason: Arc<str>,
}

/// What is asked of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Its engine makes it: it has no address yet.
    Starting,
    /// It runs, and does not listen yet: no requests.
    Warming,
    /// It listens: requests, as soon as its probes pass.
    Serving,
    /// It runs, and somebody else says that it should get no new ones.
    Unfit,
    /// No new requests; those in flight finish.
    Draining,
}

/// What the autoscaler meets the rest of the process in.
pub struct Wiring {
    /// What the workers serve from: the nodes' counters.
    pub published: Published,
    /// Where the registry reads the nodes.
    pub table: watch::Sender<FleetTable>,
    /// Orders that concern fleets.
    pub orders: mpsc::Receiver<Order>,
    /// Who is told what happens.
    pub events: EventSender,
    /// What only others know.
    pub signals: Arc<dyn Signals>,
    /// Settings that are read again.
    pub in_force: watch::Receiver<InForce>,
    /// Rung where a request comes to a backend that sleeps.
    pub alarm: Arc<Notify>,
    /// Where nodes are found, be their backend there or not.
    pub roster: Roster,
    /// Decide and tell, and do nothing.
    pub dry_run: bool,
}

/// Signals of a backend that do not stand in its nodes' counters.
pub trait Signals: Send + Sync {
    /// The time within which 99 of 100 requests of the last seconds were answered.
    fn p99(&self, backend: &str) -> Option<Duration>;
}

/// Gives the engine that starts such nodes.
pub type EngineOf = Box<dyn Fn(&FleetSettings) -> Arc<dyn Fleet> + Send>;

/// One engine, which several fleets may share.
struct Engine {
    fleet: Arc<dyn Fleet>,
    /// Why it does nothing, while it does not.
    trouble: Option<Arc<str>>,
}

/// Scales all backends that have a fleet.
pub struct Autoscaler {
    groups: Vec<Group>,
    engines: Vec<Engine>,
    engine: EngineOf,
    wiring: Wiring,
    news: mpsc::Receiver<News>,
    hand_in: mpsc::Sender<News>,
    began: Instant,
    /// Containers that joined nothing.
    left_out: LeftOut,
    /// Units of backends that are gone, which are being stopped, and since when.
    ending: HashMap<UnitId, Duration>,
}

impl Autoscaler {
    /// Of the settings in force. `engine` gives the engine for a backend's nodes; backends of one kind share one.
    pub fn new(engine: EngineOf, wiring: Wiring) -> Self {
        let (hand_in, news) = mpsc::channel(CHANGES_WAITING_MAX);
        let began = Instant::now();
        let mut autoscaler = Self {
            groups: Vec::new(),
            engines: Vec::new(),
            engine,
            wiring,
            news,
            hand_in,
            began,
            left_out: LeftOut::default(),
            ending: HashMap::new(),
        };
        autoscaler.go_by_settings();
        autoscaler
    }

    /// Brings the fleets in line with the settings in force. Nodes of another spec are replaced one at a time; those of a
    /// backend that is gone drain.
    fn go_by_settings(&mut self) {
        let now = self.began.elapsed();
        let settings = Arc::clone(&self.wiring.in_force.borrow_and_update().settings);
        let named = |group: &Group| {
            settings
                .backends
                .iter()
                .find(|backend| backend.name == group.name)
                .filter(|backend| backend.fleet.as_ref().is_some_and(|fleet| kind(fleet) == group.kind()))
        };
        for group in &mut self.groups {
            match named(group) {
                Some(backend) => group.reconfigure(backend, &self.wiring, now),
                None => group.leave(&self.wiring, now),
            }
        }
        let mut added = Vec::new();
        for backend in &settings.backends {
            let Some(fleet) = &backend.fleet else { continue };
            if self.groups.iter().any(|group| group.name == backend.name && !group.leaves) {
                continue;
            }
            let index = self.engine_for(fleet);
            let engine = Arc::clone(&self.engines[index].fleet);
            added.push(index);
            self.groups.push(Group::new(backend, fleet, engine, index, self.hand_in.clone(), now));
        }
        added.dedup();
        added.into_iter().for_each(|index| self.look_at(index));
    }

    fn engine_for(&mut self, fleet: &FleetSettings) -> usize {
        let found = (self.engine)(fleet);
        if let Some(known) = self.engines.iter().position(|known| known.fleet.name() == found.name()) {
            return known;
        }
        let index = self.engines.len();
        forward(index, found.watch(), self.hand_in.clone());
        self.engines.push(Engine { fleet: found, trouble: None });
        index
    }

    /// Keeps every fleet as it should be, for as long as it is polled.
    pub async fn run(mut self) {
        let mut tick = tokio::time::interval(SCALE_TICK / LOOKS);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut resync = tokio::time::interval_at(Instant::now() + RESYNC, RESYNC);
        loop {
            tokio::select! {
                _ = tick.tick(), if !self.groups.is_empty() => self.tick(),
                () = self.wiring.alarm.notified() => self.tick(),
                Ok(()) = self.wiring.in_force.changed() => self.go_by_settings(),
                Some(news) = self.news.recv() => self.take(news),
                Some(order) = self.wiring.orders.recv() => self.obey(order),
                _ = resync.tick() => (0..self.engines.len()).for_each(|index| self.look_at(index)),
            }
            self.publish();
        }
    }

    fn tick(&mut self) {
        let now = self.began.elapsed();
        let snapshot = self.wiring.published.current();
        for group in &mut self.groups {
            let backend = snapshot.backends.iter().find(|backend| backend.name == group.name);
            group.tick(backend.map(|backend| &**backend), &self.wiring, now);
        }
        self.groups.retain(|group| !group.leaves || !group.nodes.is_empty());
    }

    fn take(&mut self, news: News) {
        let now = self.began.elapsed();
        match news {
            News::Changed(engine, change) => self.changed(engine, change),
            News::Listed(engine, asked, Ok(units)) => self.listed(engine, asked, units),
            News::Listed(engine, _, Err(error)) => {
                self.tell_engine(engine, Level::Warning, error.to_string())
            }
            other => {
                self.groups.iter_mut().for_each(|group| group.take(&other, &self.wiring, now));
                if let News::Started(ticket, Ok(_)) = other {
                    self.look_after_start(ticket);
                }
            }
        }
    }

    fn changed(&mut self, engine: usize, change: Change) {
        let now = self.began.elapsed();
        match change {
            Change::Appeared => self.look_at(engine),
            Change::Resync => {
                self.engines[engine].trouble = None;
                self.groups
                    .iter_mut()
                    .filter(|group| group.engine_index == engine)
                    .for_each(|group| group.engine_is_back(&self.wiring, now));
                self.look_at(engine);
            }
            Change::Down(error) => {
                let text = format!("{error}; nodes that run go on");
                self.engines[engine].trouble = Some(text.as_str().into());
                if error.fault == EngineFault::Slow {
                    for group in self.groups.iter_mut().filter(|group| group.engine_index == engine) {
                        group.engine_hangs(&error, &self.wiring, now);
                    }
                }
                self.tell_engine(engine, Level::Error, text);
            }
            Change::Step(ticket, happening) => {
                self.groups.iter_mut().for_each(|group| group.step(ticket, &happening, &self.wiring, now));
            }
            Change::Unit(unit, happening) => {
                self.groups.iter_mut().for_each(|group| group.happened(&unit, &happening, &self.wiring, now));
            }
            Change::Unfit(unit, why) => {
                self.groups.iter_mut().for_each(|group| group.is_unfit(&unit, Some(why), &self.wiring, now));
            }
        }
    }

    fn tell_engine(&self, engine: usize, level: Level, text: String) {
        let name = self.engines.get(engine).map_or("", |engine| engine.fleet.name());
        self.wiring.events.send(Event::now(Kind::Fleet, level, format!("{name}: {text}")));
    }

    fn fleet(&self, engine: usize) -> Option<Arc<dyn Fleet>> {
        self.engines.get(engine).map(|engine| Arc::clone(&engine.fleet))
    }

    /// Asks an engine for its list.
    fn look_at(&self, index: usize) {
        let Some(engine) = self.fleet(index) else { return };
        let (asked, hand_in) = (self.began.elapsed(), self.hand_in.clone());
        tokio::spawn(async move {
            let listed = engine.list().await;
            let _ = hand_in.send(News::Listed(index, asked, listed)).await;
        });
    }

    /// A unit that ended before its start was answered was told under a name that nobody knew yet.
    fn look_after_start(&self, ticket: u64) {
        let has = |group: &&Group| group.nodes.iter().any(|mate| mate.ticket == ticket);
        let engines = 0..self.engines.len();
        match self.groups.iter().find(has) {
            Some(group) => self.look_at(group.engine_index),
            // Nobody waits for it any more: the list has one too many.
            None => engines.for_each(|index| self.look_at(index)),
        }
    }

    /// The truth of an engine: nodes that it does not have are gone, those that it has are known or adopted, and what
    /// belongs to no backend any more is stopped.
    fn listed(&mut self, engine: usize, asked: Duration, units: Vec<Unit>) {
        let now = self.began.elapsed();
        for group in self.groups.iter_mut().filter(|group| group.engine_index == engine) {
            group.reconcile(&units, asked, &self.wiring, now);
        }
        self.left_out.keep(engine, &units);
        for unit in units {
            if self.groups.iter().any(|group| group.name == unit.backend && group.engine_index == engine) {
                continue;
            }
            if unit.ours && !self.wiring.dry_run {
                self.end_orphan(engine, &unit);
            } else if !unit.ours {
                self.tell_left_out(engine, &unit);
            }
        }
    }

    fn tell_left_out(&mut self, engine: usize, unit: &Unit) {
        let settings = Arc::clone(&self.wiring.in_force.borrow().settings);
        if let Some(text) = self.left_out.tell(engine, unit, &settings) {
            self.tell_engine(engine, Level::Warning, text);
        }
    }

    /// Once, and again where that has come to nothing: a second SIGTERM ends many programs at once.
    fn end_orphan(&mut self, index: usize, unit: &Unit) {
        let now = self.began.elapsed();
        self.ending.retain(|_, since| now.saturating_sub(*since) < END_AGAIN);
        if self.ending.contains_key(&unit.id) {
            return;
        }
        self.ending.insert(unit.id.clone(), now);
        let Some(engine) = self.fleet(index) else { return };
        let text =
            format!("stopping {}: the configuration has no backend `{}` any more", unit.id, unit.backend);
        self.tell_engine(index, Level::Info, text);
        let id = unit.id.clone();
        tokio::spawn(async move {
            let _ = engine.stop(&id, crate::config::settings::DEFAULT_STOP_GRACE).await;
            let _ = engine.remove(&id).await;
        });
    }

    fn obey(&mut self, order: Order) {
        let now = self.began.elapsed();
        let outcome = self.carry_out(&order.wish, now);
        (order.answer)(outcome);
    }

    fn carry_out(&mut self, wish: &Wish, now: Duration) -> Outcome {
        match wish {
            Wish::Scale { backend, replicas, paused } => {
                group_of(&mut self.groups, backend)?.scale(*replicas, *paused)
            }
            Wish::AddNode { backend } => group_of(&mut self.groups, backend)?.add_node(&self.wiring, now),
            Wish::Roll { backend } => group_of(&mut self.groups, backend)?.roll(&self.wiring, now),
            Wish::RemoveNode { node } => {
                let wiring = &self.wiring;
                let found = self.groups.iter_mut().find_map(|group| group.remove_node(node, wiring, now));
                found.unwrap_or_else(|| {
                    Err(refuse(
                        Fault::Unknown,
                        "no_such_node",
                        format!("no fleet has a node `{node}`"),
                        "see `plimsoll nodes`",
                    ))
                })
            }
            Wish::SetNode { .. } | Wish::Reload => Err(refuse(
                Fault::Conflict,
                "not_a_fleet",
                "that is no order for a fleet".into(),
                "ask the registry",
            )),
        }
    }

    fn publish(&self) {
        let mut table = FleetTable::new();
        let now = self.began.elapsed();
        for group in &self.groups {
            let fleet = table.entry(Arc::clone(&group.name)).or_default();
            fleet.nodes.extend(group.published());
            // The cause first: what its engine does not do, no fleet can.
            fleet.trouble = self.engines[group.engine_index].trouble.clone().or_else(|| group.trouble());
            if !group.leaves {
                fleet.standing = Some(group.standing(self.wiring.dry_run, now));
            }
        }
        self.wiring.table.send_if_modified(|before| {
            let changed = *before != table;
            if changed {
                *before = table;
            }
            changed
        });
    }
}

fn group_of<'a>(groups: &'a mut [Group], backend: &str) -> Result<&'a mut Group, Refused> {
    groups.iter_mut().find(|group| *group.name == *backend).ok_or_else(|| no_fleet(backend))
}

/// Brings the changes of one engine to the one task.
fn forward(index: usize, mut changes: mpsc::Receiver<Change>, hand_in: mpsc::Sender<News>) {
    tokio::spawn(async move {
        while let Some(change) = changes.recv().await {
            if hand_in.send(News::Changed(index, change)).await.is_err() {
                return;
            }
        }
    });
}

/// Settings of another kind need another engine.
fn kind(settings: &FleetSettings) -> std::mem::Discriminant<FleetSettings> {
    std::mem::discriminant(settings)
}

fn no_fleet(backend: &str) -> Refused {
    let message = format!("the backend `{backend}` has no fleet");
    refuse(
        Fault::Conflict,
        "no_fleet",
        message,
        "give it `docker` or `process`: listed servers are not started",
    )
}

fn refuse(fault: Fault, code: &'static str, message: String, hint: &str) -> Refused {
    Refused { fault, code, message, hint: hint.to_owned() }
}
