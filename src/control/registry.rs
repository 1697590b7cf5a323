//! The registry of nodes: the one task that owns them, and the one writer of the published snapshot.
//!
//! Whatever changes the world comes in here, one thing after the other: an order of an operator, a probe's result, a
//! name that resolves otherwise, the configuration read again, and a tick that looks at what moves by itself (ejections,
//! drains, slow starts). Each changes settings or nodes, and then a new snapshot is published, of which all that
//! nothing happened to is shared with the one before.

mod affinity;
mod build;
mod gates;
mod group;
mod member;
mod orders;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use self::group::{Group, Manuals};
use super::autoscaler::FleetTable;
use super::dns::{Answer, Name, Resolver};
use super::names::{Change, Names};
use super::probe::{Probed, Prober};
use super::reload::{InForce, Load};
use crate::config::Settings;
use crate::config::settings::ServerHost;
use crate::logic::limits::{PROBE_RESULTS_MAX, PROBES_AT_ONCE, REGISTRY_TICK};
use crate::shared::event::{Event, EventSender, Kind, Level};
use crate::shared::mailbox::{Command, Mailbox};
use crate::shared::order::Order;
use crate::shared::queue::Alarm;
use crate::shared::roster::Roster;
use crate::shared::snapshot::{Published, Snapshot};

/// Knows the nodes.
#[derive(Debug)]
pub struct Registry {
    settings: Arc<Settings>,
    version: u64,
    /// The limits of the routes, as they were published.
    gates: gates::Gates,
    generation: u64,
    names: Names,
    /// By `BackendIndex`.
    groups: Vec<Group>,
    manuals: Manuals,
    /// Nodes that an operator removed until the next reload, by their ids.
    removed: HashSet<Arc<str>>,
    prober: Prober,
    probed: mpsc::Receiver<Probed>,
    /// The nodes of fleets, as the autoscaler wants them.
    fleets: FleetTable,
    /// Rung by workers where a request comes to a backend that sleeps.
    alarm: Arc<Notify>,
    roster: Roster,
    /// Something beside nodes is not what was published.
    stale: bool,
}

/// What the registry meets the rest of the process in.
pub struct Wiring {
    /// Where snapshots go.
    pub published: Published,
    /// Where orders come from.
    pub orders: mpsc::Receiver<Order>,
    /// Who is told what happens.
    pub events: EventSender,
    /// Reads the configuration again; `None` where it came from no file.
    pub load: Option<Load>,
    /// Who is told of another configuration.
    pub in_force: watch::Sender<InForce>,
    /// The nodes of fleets.
    pub fleets: watch::Receiver<FleetTable>,
    /// Who carries out orders that concern fleets.
    pub fleet_orders: mpsc::Sender<Order>,
    /// The workers: requests that wait in them are brought together with nodes that are new.
    pub workers: Vec<Mailbox>,
}

/// Makes nodes of all backends. Names are looked up all at once, and waited for no longer than
/// [`LOOKUP_TIMEOUT`](crate::logic::limits::LOOKUP_TIMEOUT); one that does not resolve is a node that is down.
/// Hand both to [`Registry::run`] and the workers.
pub async fn first_snapshot(settings: Arc<Settings>) -> (Registry, Snapshot) {
    Registry::begin(settings, Resolver::default()).await
}

impl Registry {
    /// As [`first_snapshot`], with a resolver of the caller's choice.
    pub async fn begin(settings: Arc<Settings>, resolver: Resolver) -> (Self, Snapshot) {
        let (results, probed) = mpsc::channel(PROBE_RESULTS_MAX);
        let mut registry = Self {
            version: 0,
            gates: gates::Gates::new(),
            generation: 1,
            names: Names::new(resolver),
            groups: Vec::new(),
            manuals: Manuals::new(),
            removed: HashSet::new(),
            prober: Prober { results, places: Arc::new(Semaphore::new(PROBES_AT_ONCE)) },
            probed,
            fleets: FleetTable::new(),
            alarm: Arc::default(),
            roster: Roster::default(),
            stale: true,
            settings: Arc::clone(&settings),
        };
        registry.go_by(settings).await;
        let snapshot = registry.snapshot(None);
        (registry, snapshot)
    }

    /// Rung where a request comes to a backend that sleeps: for the autoscaler.
    pub fn alarm(&self) -> Arc<Notify> {
        Arc::clone(&self.alarm)
    }

    /// Where its nodes are found: for the autoscaler.
    pub fn roster(&self) -> Roster {
        self.roster.clone()
    }

    /// Keeps the published snapshot true, for as long as it is polled.
    pub async fn run(mut self, mut wiring: Wiring) {
        let mut tick = tokio::time::interval(REGISTRY_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let moves = self.groups.iter().any(Group::is_moving);
            let due = self.names.next_due();
            tokio::select! {
                Some(order) = wiring.orders.recv() => self.obey(order, &wiring).await,
                Some(probed) = self.probed.recv() => self.take_probe(probed, &wiring.events),
                (name, answer) = self.names.answered() => self.take_answer(&name, answer, &wiring.events),
                Ok(()) = wiring.fleets.changed() => {
                    let fleets = wiring.fleets.borrow_and_update().clone();
                    self.take_fleets(fleets);
                }
                () = at(due) => self.names.look(),
                _ = tick.tick(), if moves => self.groups.iter_mut().for_each(Group::tick),
            }
            self.publish(&wiring);
        }
    }

    /// Makes these settings the ones that are gone by. Backends that keep their names keep their nodes.
    async fn go_by(&mut self, settings: Arc<Settings>) {
        let mut before = std::mem::take(&mut self.groups);
        for backend in &settings.backends {
            let known = before.iter().position(|group| group.settings.name == backend.name);
            let group = match known.map(|at| before.swap_remove(at)) {
                Some(mut group) => {
                    group.reconfigure(backend.clone());
                    group
                }
                None => {
                    let bell = Arc::clone(&self.alarm);
                    let alarm = Alarm::new(move || bell.notify_one());
                    Group::new(backend.clone(), alarm, self.roster.clone())
                }
            };
            self.groups.push(group);
        }
        self.settings = settings;
        self.names.follow(names(&self.settings));
        self.names.look_and_wait().await;
        self.gather(|_| true);
        let here: HashSet<_> = self.ids().collect();
        self.manuals.retain(|id, _| here.contains(id));
        self.stale = true;
    }

    /// The nodes that are wanted.
    fn ids(&self) -> impl Iterator<Item = Arc<str>> {
        let members = self.groups.iter().flat_map(|group| &group.members);
        members.filter(|member| member.leaving.is_none()).map(|member| Arc::clone(&member.node.id))
    }

    /// Brings the nodes of these backends in line with the settings, the names and the operator.
    fn gather(&mut self, which: impl Fn(&Group) -> bool) {
        for group in self.groups.iter_mut().filter(|group| which(group)) {
            let fleet = self.fleets.get(&group.settings.name);
            group.standing = fleet.and_then(|fleet| fleet.standing);
            group.trouble = fleet.and_then(|fleet| fleet.trouble.clone());
            let nodes = fleet.map_or(&[][..], |fleet| &fleet.nodes);
            let places = build::places(&group.settings, &self.names, nodes);
            group.gather(places, &self.removed, &mut self.manuals, &self.prober);
        }
    }

    fn take_fleets(&mut self, fleets: FleetTable) {
        let before = std::mem::replace(&mut self.fleets, fleets);
        let changed: HashSet<Arc<str>> = before
            .keys()
            .chain(self.fleets.keys())
            .filter(|name| before.get(*name) != self.fleets.get(*name))
            .cloned()
            .collect();
        self.gather(|group| changed.contains(&group.settings.name));
    }

    fn take_answer(&mut self, name: &Name, answer: Answer, events: &EventSender) {
        match self.names.take(name, answer) {
            Change::None => {}
            Change::Answer => self.gather(|group| {
                group.settings.servers.iter().any(|server| name_of(&server.host).as_ref() == Some(name))
            }),
            Change::Failing(why) => {
                let text = format!("{why}; until then its last addresses stay");
                events.send(Event::now(Kind::Node, Level::Warning, text));
            }
        }
    }

    fn take_probe(&mut self, probed: Probed, events: &EventSender) {
        if let Some(group) = self.groups.iter_mut().find(|group| group.settings.name == probed.node.backend) {
            group.probed(probed, events);
        }
    }

    fn publish(&mut self, wiring: &Wiring) {
        if self.stale || self.groups.iter().any(|group| group.stale) {
            let snapshot = self.snapshot(Some(&wiring.events));
            let queues = || snapshot.backends.iter().filter_map(|backend| backend.queue.as_ref());
            let somebody_waits = queues().any(|queue| queue.has_open());
            wiring.published.publish(snapshot);
            if somebody_waits {
                // One whose mailbox is full looks by itself a moment later.
                wiring.workers.iter().for_each(|worker| drop(worker.send(Command::Settle)));
            }
        }
    }

    fn snapshot(&mut self, events: Option<&EventSender>) -> Snapshot {
        self.stale = false;
        self.version += 1;
        let now_ms = now_ms();
        let backends = self.groups.iter_mut().map(|group| group.publish(now_ms, events)).collect();
        self.gates = gates::gates(&self.settings.routes, &self.gates);
        build::snapshot(&self.settings, self.gates.clone(), backends, self.version, self.generation)
    }
}

/// Waits until then; for ever where there is no such time.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn names(settings: &Settings) -> Vec<Name> {
    let servers = settings.backends.iter().flat_map(|backend| &backend.servers);
    let mut names: Vec<_> = servers.filter_map(|server| name_of(&server.host)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The name of a server that has one.
fn name_of(host: &ServerHost) -> Option<Name> {
    match host {
        ServerHost::Name(host, port) => Some(Name { host: host.clone(), port: *port }),
        ServerHost::Address(_) | ServerHost::Unix(_) => None,
    }
}

/// Milliseconds since the epoch; 0 where the clock stands before it.
fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
