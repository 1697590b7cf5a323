//! One node as the registry knows it: everything that has a say in its state, and what follows from all of that.
//!
//! The first of these that has something to say decides: it leaves; its name does not resolve; an operator or its fleet took it out;
//! its probes fail or have not begun; the workers have ejected it. Else it serves.

use std::num::NonZeroU32;
use std::sync::Arc;

use tokio::time::Instant;

use crate::config::settings::{BackendSettings, HealthSettings};
use crate::control::autoscaler::Call;
use crate::control::probe::{Prober, Probing};
use crate::logic::health::{Health, Verdict};
use crate::logic::limits::{REGISTRY_TICK, SLOW_START_STEPS};
use crate::logic::{outlier, slow_start};
use crate::shared::conduct::Standing;
use crate::shared::event::{Event, EventSender, Kind, Level};
use crate::shared::node::{Node, NodeState};
use crate::shared::order::NodeWish;
use crate::shared::snapshot::Entry;

/// Why a node serves that nobody probes.
const ASSUMED: &str = "in use: no health check is configured";

/// What an operator said of a node. Outlives reloads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Manual {
    /// Drain or down; `None` is ready.
    pub(super) state: Option<NodeWish>,
    /// In place of the weight of the file.
    pub(super) weight: Option<u32>,
}

/// One node.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) node: Arc<Node>,
    /// The weight of the file.
    pub(super) weight: u32,
    /// Requests that it may have in flight, as the file has it.
    pub(super) in_flight_max: Option<NonZeroU32>,
    pub(super) manual: Manual,
    /// Why its name has no address.
    pub(super) unresolved: Option<Arc<str>>,
    /// What its fleet asks of it, and why; `None` where no fleet started it.
    pub(super) call: Option<(Call, Arc<str>)>,
    /// The container or the process that it is.
    pub(super) unit: Option<Arc<str>>,
    /// Why it is not wanted any more. It stays until nothing is in flight.
    pub(super) leaving: Option<&'static str>,
    probes: Option<Probes>,
    /// Why it was ejected, where that was not for failures in a row.
    pub(super) ejected_for: Option<Arc<str>>,
    /// How far its conduct was looked at.
    pub(super) seen: Seen,
    /// When its share began to grow; `None` where it is whole.
    growing_since: Option<Instant>,
    /// What was published of it last.
    published: Option<Entry>,
}

#[derive(Debug)]
struct Probes {
    health: Health,
    /// What the last bad probe said.
    trouble: Arc<str>,
    settings: Arc<HealthSettings>,
    /// The node's agent gave a reading the last time it was asked.
    agent_answers: bool,
    _probing: Probing,
}

/// What was seen of a node's conduct at the last look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) standing: Standing,
    /// Since when it has not been ejected, or forgiven an ejection.
    pub(super) behaved_since: Instant,
    /// Counters when the window began.
    pub(super) requests: u64,
    pub(super) failures: u64,
}

impl Member {
    pub(super) fn new(node: Arc<Node>, weight: u32, unresolved: Option<Arc<str>>) -> Self {
        let seen = Seen { standing: Standing::Open, behaved_since: Instant::now(), requests: 0, failures: 0 };
        Self {
            node,
            weight,
            in_flight_max: None,
            manual: Manual::default(),
            unresolved,
            call: None,
            unit: None,
            leaving: None,
            probes: None,
            ejected_for: None,
            seen,
            growing_since: None,
            published: None,
        }
    }

    /// Probes it as these settings say from now on. What is known of it stays; the same settings change nothing.
    pub(super) fn probe_as(
        &mut self,
        settings: Option<&Arc<HealthSettings>>,
        others_serve: bool,
        prober: &Prober,
    ) {
        let listens = !matches!(self.call, Some((Call::Starting | Call::Warming, _)));
        let wanted = self.unresolved.is_none() && self.leaving.is_none() && listens;
        let Some(settings) = settings.filter(|_| wanted) else {
            self.probes = None;
            return;
        };
        let before = self.probes.take();
        self.probes = match before {
            Some(probes) if probes.settings == *settings => Some(probes),
            before => {
                let health = match before {
                    Some(probes) => probes.health,
                    // A node that serves already has others' trust: it goes on until its first probe. One that a fleet
                    // has started proves itself in any case: requests wait for it.
                    None => Health::unknown(!self.serves() && (others_serve || self.call.is_some())),
                };
                let eager = self.call.is_some() && health.verdict() == Verdict::Warming;
                let probing = prober.start(Arc::clone(&self.node), Arc::clone(settings), eager);
                let settings = Arc::clone(settings);
                Some(Probes { health, trouble: "".into(), settings, agent_answers: true, _probing: probing })
            }
        };
    }

    /// Takes the result of a probe. True where what is published of the node changes.
    pub(super) fn probed(&mut self, result: Result<(), Arc<str>>) -> bool {
        let Some(probes) = &mut self.probes else { return false };
        let patience = probes.settings.patience;
        let changed = probes.health.probed(result.is_ok(), patience);
        match result {
            Err(trouble) => {
                let shown = matches!(probes.health.verdict(), Verdict::Unhealthy | Verdict::Warming);
                let other = shown && probes.trouble != trouble;
                probes.trouble = trouble;
                changed || other
            }
            Ok(()) => changed,
        }
    }

    /// Takes what its agent said. That it says nothing is told once.
    pub(super) fn read_cpu(&mut self, reading: Result<u32, Arc<str>>, events: &EventSender) {
        let Some(probes) = &mut self.probes else { return };
        let answered = std::mem::replace(&mut probes.agent_answers, reading.is_ok());
        match reading {
            Ok(hundredths) => self.node.set_cpu(f64::from(hundredths) / 10_000.0, std::time::Instant::now()),
            Err(why) if answered => {
                let text = format!("node {}: its agent gives no CPU reading: {why}", self.node.id);
                let event = Event::now(Kind::Node, Level::Warning, text);
                events.send(event.backend(&self.node.backend).node(&self.node.id));
            }
            Err(_) => {}
        }
    }

    /// What it is doing, and why.
    pub(super) fn state(&self, settings: &BackendSettings) -> (NodeState, Arc<str>) {
        if let Some(why) = self.leaving {
            return (NodeState::Draining, why.into());
        }
        if let Some((Call::Starting, why)) = &self.call {
            return (NodeState::Starting, Arc::clone(why));
        }
        if let Some(why) = &self.unresolved {
            return (NodeState::Down, Arc::clone(why));
        }
        match self.manual.state {
            Some(NodeWish::Down) => return (NodeState::Down, "taken down by an operator".into()),
            Some(NodeWish::Drain) => return (NodeState::Draining, "drained by an operator".into()),
            Some(NodeWish::Ready) | None => {}
        }
        match &self.call {
            Some((Call::Warming, why)) => return (NodeState::Warming, Arc::clone(why)),
            Some((Call::Unfit, why)) => return (NodeState::Unhealthy, Arc::clone(why)),
            Some((Call::Draining, why)) => return (NodeState::Draining, Arc::clone(why)),
            Some((Call::Starting | Call::Serving, _)) | None => {}
        }
        let verdict = self.probes.as_ref().map(|probes| (probes.health.verdict(), &probes.trouble));
        match verdict {
            Some((Verdict::Unhealthy, trouble)) => return (NodeState::Unhealthy, Arc::clone(trouble)),
            Some((Verdict::Warming, trouble)) if trouble.is_empty() => {
                return (NodeState::Warming, "waits for its first good probe".into());
            }
            Some((Verdict::Warming, trouble)) => {
                return (NodeState::Warming, format!("has not passed a probe yet: {trouble}").into());
            }
            _ => {}
        }
        if self.seen.standing != Standing::Open {
            return (NodeState::Ejected, self.ejection(settings));
        }
        let why = match verdict {
            None => ASSUMED,
            Some((Verdict::Trusted, _)) => "trusted until its first probe",
            Some(_) => "passes its probes",
        };
        (NodeState::Serving, why.into())
    }

    fn ejection(&self, settings: &BackendSettings) -> Arc<str> {
        let Some(policy) = &settings.outlier else { return "ejected".into() };
        let lasts = outlier::ejection(policy.ejection, self.node.conduct.times());
        let why = self
            .ejected_for
            .clone()
            .unwrap_or_else(|| format!("{} failures in a row", policy.consecutive_failures).into());
        format!("{why}: out for {lasts:?}, then one request tries it").into()
    }

    /// What is to be published of it. A node that begins to serve where others do begins slowly.
    pub(super) fn entry(&mut self, settings: &BackendSettings, others_serve: bool, now_ms: u64) -> Entry {
        let (state, reason) = self.state(settings);
        let before = self.published.as_ref();
        let serves_anew = state == NodeState::Serving
            && before.is_none_or(|before| before.state != NodeState::Serving)
            && others_serve;
        if serves_anew && !settings.slow_start.is_zero() {
            self.growing_since = Some(Instant::now());
        } else if state != NodeState::Serving {
            self.growing_since = None;
        }
        let weight = self.manual.weight.unwrap_or(self.weight);
        let since_ms = before.filter(|before| before.state == state).map_or(now_ms, |before| before.since_ms);
        let entry = Entry {
            node: Arc::clone(&self.node),
            weight,
            effective: weight,
            in_flight_max: self.in_flight_max,
            unit: self.unit.clone(),
            state,
            reason,
            since_ms,
        };
        self.published = Some(entry.clone());
        entry
    }

    /// Is it made just now, without an address?
    pub(super) fn is_coming(&self) -> bool {
        matches!(self.call, Some((Call::Starting, _)))
    }

    fn serves(&self) -> bool {
        self.published() == Some(NodeState::Serving)
    }

    /// The state that was published last.
    pub(super) fn published(&self) -> Option<NodeState> {
        self.published.as_ref().map(|entry| entry.state)
    }

    /// Does it grow still, in a slow start of this length? One that is whole is forgotten.
    pub(super) fn grows(&mut self, settings: &BackendSettings) -> bool {
        if self.growing_since.is_some_and(|since| since.elapsed() >= settings.slow_start) {
            self.growing_since = None;
        }
        self.growing_since.is_some()
    }

    /// Its share of what its weight would give it.
    pub(super) fn share(&self, settings: &BackendSettings) -> u32 {
        self.growing_since
            .map_or(slow_start::WHOLE, |since| slow_start::share(since.elapsed(), settings.slow_start))
    }
}

/// How long each step of a slow start takes.
pub(super) fn growth_step(settings: &BackendSettings) -> std::time::Duration {
    (settings.slow_start / SLOW_START_STEPS).max(REGISTRY_TICK)
}
