//! The nodes of one backend: who belongs, how they are judged, what is published of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::build::Place;
use super::gates;
use super::member::{Manual, Member, growth_step};
use crate::config::settings::{BackendSettings, HealthSettings};
use crate::control::autoscaler as fleet;
use crate::control::probe::{Probed, Prober};
use crate::logic::health::panics;
use crate::logic::limits::{NODES_MAX, OUTLIER_WINDOW};
use crate::logic::slow_start::effective;
use crate::shared::conduct::{Bench, Standing};
use crate::shared::event::{Event, EventSender, Kind, Level};
use crate::shared::node::{Node, NodeState, Origin};
use crate::shared::order::NodeWish;
use crate::shared::queue::Alarm;
use crate::shared::roster::Roster;
use crate::shared::scaling::Scaling;
use crate::shared::snapshot::{Backend, Entry};

/// What operators said, by the ids of nodes.
pub(super) type Manuals = HashMap<Arc<str>, Manual>;

/// One backend.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) settings: BackendSettings,
    health: Option<Arc<HealthSettings>>,
    bench: Arc<Bench>,
    pub(super) members: Vec<Member>,
    published: Option<Arc<Backend>>,
    /// What is published is not what is.
    pub(super) stale: bool,
    window_began: Instant,
    grown_at: Instant,
    /// What is decided of its fleet.
    pub(super) standing: Option<fleet::Standing>,
    /// Why its fleet is not as it should be.
    pub(super) trouble: Option<Arc<str>>,
    alarm: Alarm,
    roster: Roster,
}

impl Group {
    pub(super) fn new(settings: BackendSettings, alarm: Alarm, roster: Roster) -> Self {
        Self {
            health: settings.health.clone().map(Arc::new),
            settings,
            bench: Arc::default(),
            members: Vec::new(),
            published: None,
            stale: true,
            window_began: Instant::now(),
            grown_at: Instant::now(),
            standing: None,
            trouble: None,
            alarm,
            roster,
        }
    }

    /// Goes by other settings from now on; [`Self::gather`] must follow.
    pub(super) fn reconfigure(&mut self, settings: BackendSettings) {
        if settings.health != self.settings.health {
            self.health = settings.health.clone().map(Arc::new);
        }
        self.settings = settings;
        self.stale = true;
    }

    /// Makes these the nodes. Those that were there stay the same ones; those that are not wanted any more finish what
    /// they have in flight.
    pub(super) fn gather(
        &mut self,
        places: Vec<Place>,
        removed: &HashSet<Arc<str>>,
        manuals: &mut Manuals,
        prober: &Prober,
    ) {
        let mut before: HashMap<Arc<str>, Member> =
            self.members.drain(..).map(|member| (Arc::clone(&member.node.id), member)).collect();
        let mut ids = HashSet::new();
        for place in places {
            let node = Node::new(Arc::clone(&self.settings.name), place.address, place.origin);
            // Two names can lead to one address: it is one node, as the first of them has it.
            if self.members.len() >= NODES_MAX
                || removed.contains(&node.id)
                || !ids.insert(Arc::clone(&node.id))
            {
                continue;
            }
            let member = before.remove(&node.id);
            // What an operator said of a container or process does not hold for the next one at its address.
            if place.unit.is_some() && member.as_ref().is_none_or(|member| member.unit != place.unit) {
                manuals.remove(&node.id);
            }
            let mut member = member.unwrap_or_else(|| {
                let node = Arc::new(node.on(Arc::clone(&self.bench)));
                self.roster.add(&node);
                Member::new(node, place.weight, None)
            });
            member.weight = place.weight;
            member.in_flight_max = place.in_flight_max;
            member.unresolved = place.unresolved;
            member.call = place.call;
            member.unit = place.unit;
            member.leaving = None;
            member.manual = manuals.get(&member.node.id).copied().unwrap_or_default();
            self.members.push(member);
        }
        self.set_bench();
        // Among those that stay: new ones need not hurry where somebody serves.
        let others_serve = self.members.iter().any(|member| member.published() == Some(NodeState::Serving));
        let was_somewhere = |member: &Member| member.unresolved.is_none() && !member.is_coming();
        let mut gone: Vec<_> = before.into_values().filter(was_somewhere).collect();
        gone.sort_by(|one, other| one.node.id.cmp(&other.node.id));
        for mut member in gone {
            let by_hand = removed.contains(&member.node.id);
            member.leaving = Some(if by_hand {
                "removed by an operator"
            } else {
                "it is not in the configuration any more"
            });
            match member.node.origin {
                Origin::Dns if !by_hand => member.leaving = Some("its name does not lead there any more"),
                Origin::Docker | Origin::Process | Origin::Label if !by_hand => {
                    member.leaving = Some("its fleet does not have it any more");
                }
                _ => {}
            }
            self.members.push(member);
        }
        for member in &mut self.members {
            member.probe_as(self.health.as_ref(), others_serve, prober);
            if self.settings.outlier.is_none() {
                member.node.conduct.open();
            }
        }
        self.stale = true;
    }

    /// How many may be ejected: a share of those that an operator has not taken out.
    fn set_bench(&self) {
        let serve = |member: &&Member| {
            let taken_out = matches!(member.manual.state, Some(NodeWish::Drain | NodeWish::Down));
            member.leaving.is_none() && !taken_out
        };
        let able = self.members.iter().filter(serve).count();
        self.bench.set(self.settings.outlier.as_ref(), able, !self.settings.slow_start.is_zero());
    }

    /// Takes the result of a probe of one of its nodes.
    pub(super) fn probed(&mut self, probed: Probed, events: &EventSender) {
        let member = self.members.iter_mut().find(|member| Arc::ptr_eq(&member.node, &probed.node));
        let Some(member) = member else { return };
        self.stale |= member.probed(probed.result);
        if let Some(reading) = probed.cpu {
            member.read_cpu(reading, events);
        }
    }

    /// Does it have to be looked at from time to time?
    pub(super) fn is_moving(&self) -> bool {
        self.settings.outlier.is_some()
            || self.members.iter().any(|member| member.leaving.is_some())
            || self.shows_growth()
    }

    /// Is a share published that is not whole?
    fn shows_growth(&self) -> bool {
        let published = self.published.iter().flat_map(|backend| &backend.nodes);
        published.into_iter().any(|entry| entry.effective != entry.weight)
    }

    /// Looks at what moves by itself: conduct, drains, slow starts.
    pub(super) fn tick(&mut self) {
        if self.settings.outlier.is_some() {
            self.set_bench();
            self.judge();
        }
        let count = self.members.len();
        self.members.retain(|member| member.leaving.is_none() || member.node.in_flight() > 0);
        self.stale |= self.members.len() < count;
        if self.shows_growth() && self.grown_at.elapsed() >= growth_step(&self.settings) {
            self.stale = true;
        }
    }

    /// Notes what the workers did to nodes, and ejects those that fail too often though not in a row.
    fn judge(&mut self) {
        let Some(policy) = self.settings.outlier else { return };
        let window_ends = self.window_began.elapsed() >= OUTLIER_WINDOW;
        if window_ends {
            self.window_began = Instant::now();
        }
        for member in &mut self.members {
            let (conduct, seen) = (&member.node.conduct, &mut member.seen);
            if conduct.standing() == Standing::Proven {
                conduct.open();
            }
            if window_ends {
                let (requests, failures) = (member.node.requests_total(), conduct.failures());
                let (asked, failed) = (requests - seen.requests, failures - seen.failures);
                (seen.requests, seen.failures) = (requests, failures);
                if policy.fails_too_often(asked, failed) && conduct.eject() {
                    let share = failed * 100 / asked.max(1);
                    member.ejected_for =
                        Some(format!("failed {share} % of {asked} requests in a second").into());
                }
            }
            let standing = conduct.standing();
            if standing != seen.standing {
                seen.standing = standing;
                seen.behaved_since = Instant::now();
                self.stale = true;
                if standing == Standing::Open {
                    member.ejected_for = None;
                }
            }
            let behaved = seen.behaved_since.elapsed();
            if standing == Standing::Open && conduct.times() > 0 && behaved >= conduct.last_ejection() {
                conduct.forgive();
                seen.behaved_since = Instant::now();
            }
        }
    }

    /// What is to be published: the same as before where nothing changed.
    pub(super) fn publish(&mut self, now_ms: u64, events: Option<&EventSender>) -> Arc<Backend> {
        if let Some(published) = self.published.as_ref().filter(|_| !self.stale) {
            return Arc::clone(published);
        }
        self.stale = false;
        self.grown_at = Instant::now();
        let before = self.published.take();
        let mut nodes = self.entries(now_ms);
        let able = |entry: &&Entry| {
            matches!(entry.state, NodeState::Serving | NodeState::Unhealthy | NodeState::Ejected)
        };
        let healthy = nodes.iter().filter(|entry| entry.state == NodeState::Serving).count();
        let able = nodes.iter().filter(able).count();
        let panics = panics(healthy, able, self.settings.panic_threshold);
        if panics {
            for entry in &mut nodes {
                if matches!(entry.state, NodeState::Unhealthy | NodeState::Ejected | NodeState::Warming) {
                    entry.reason =
                        format!("{} (used all the same: too few others pass)", entry.reason).into();
                }
            }
        }
        if let Some(events) = events {
            announce(before.as_deref(), &nodes, healthy, events);
            let panicked = before.as_ref().is_some_and(|before| before.panics);
            if panics != panicked {
                announce_panic(&self.settings.name, panics, healthy, able, events);
            }
        }
        let name = Arc::clone(&self.settings.name);
        let queue = gates::queue(&self.settings, before.as_deref(), &self.alarm);
        let scaling = self.scaling(&nodes);
        let trouble = self.trouble.clone();
        let backend = super::build::backend(
            name,
            &self.settings,
            panics,
            nodes,
            before.as_deref(),
            (queue, scaling, trouble),
        );
        let backend = Arc::new(backend);
        self.published = Some(Arc::clone(&backend));
        backend
    }

    /// How the fleet of these nodes does; `None` where there is none.
    fn scaling(&self, nodes: &[Entry]) -> Option<Scaling> {
        let asleep = !nodes.iter().any(|entry| rules_out_sleep(entry.state))
            && self.members.iter().all(|member| member.manual.state.is_none());
        let running = nodes.iter().filter(|entry| entry.state == NodeState::Serving).count();
        super::build::scaling(&self.settings, self.standing, running, asleep)
    }

    fn entries(&mut self, now_ms: u64) -> Vec<Entry> {
        let settings = &self.settings;
        let serving = self.members.iter().filter(|member| member.published() == Some(NodeState::Serving));
        let others_serve = serving.count() > 0;
        let mut entries: Vec<_> =
            self.members.iter_mut().map(|member| member.entry(settings, others_serve, now_ms)).collect();
        let grow = self.members.iter_mut().any(|member| member.grows(settings));
        if grow {
            for (entry, member) in entries.iter_mut().zip(&self.members) {
                entry.effective = effective(entry.weight, member.share(&self.settings));
            }
        }
        entries
    }
}

/// A backend with such a node is not asleep: it serves, or it is out of order, and waiting would mend nothing.
fn rules_out_sleep(state: NodeState) -> bool {
    matches!(state, NodeState::Serving | NodeState::Unhealthy | NodeState::Ejected | NodeState::Down)
}

/// Tells of every node that is in another state than before, came or went.
fn announce(before: Option<&Backend>, nodes: &[Entry], healthy: usize, events: &EventSender) {
    let Some(before) = before else { return };
    let old: HashMap<_, _> = before.nodes.iter().map(|entry| (&entry.node.id, entry.state)).collect();
    for entry in nodes {
        let was = old.get(&entry.node.id);
        // Its fleet tells of one that is made.
        if was == Some(&entry.state) || entry.state == NodeState::Starting {
            continue;
        }
        let level = match entry.state {
            NodeState::Unhealthy | NodeState::Ejected | NodeState::Down if healthy == 0 => Level::Error,
            NodeState::Unhealthy | NodeState::Ejected | NodeState::Down => Level::Warning,
            _ => Level::Info,
        };
        let from = was.map_or("new", |state| state.name());
        let text = format!("node {} is {} (was {from}): {}", entry.node.id, entry.state.name(), entry.reason);
        events.send(about(entry, level, text));
    }
    let now: HashSet<_> = nodes.iter().map(|entry| &entry.node.id).collect();
    let was_there = |entry: &&Entry| entry.state != NodeState::Starting && !now.contains(&entry.node.id);
    for entry in before.nodes.iter().filter(was_there) {
        let text = format!("node {} is gone: {}", entry.node.id, entry.reason);
        events.send(about(entry, Level::Info, text));
    }
}

fn about(entry: &Entry, level: Level, text: String) -> Event {
    Event::now(Kind::Node, level, text).backend(&entry.node.backend).node(&entry.node.id)
}

fn announce_panic(name: &Arc<str>, panics: bool, healthy: usize, able: usize, events: &EventSender) {
    let (level, text) = match panics {
        true => (
            Level::Error,
            format!(
                "backend {name}: only {healthy} of {able} nodes pass: all of them are used (panic_threshold)"
            ),
        ),
        false => {
            (Level::Info, format!("backend {name}: {healthy} of {able} nodes pass: only those are used"))
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "counts of nodes are small")]
    let event = Event::now(Kind::Node, level, text)
        .backend(name)
        .input("healthy", healthy as f64)
        .input("able", able as f64);
    events.send(event);
}
