//! The fleet of one backend: its nodes' lives, its history, and what is done about both.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::mate::{Mate, ticket};
use super::roll::{Roll, Spec};
use super::sampling::Moment;
use super::{FleetNode, Standing, Wiring, refuse};
use crate::config::settings::{BackendSettings, FleetSettings};
use crate::control::fleet::{Change, EngineError, EngineFault, Fleet, Stats, Unit, UnitId};
use crate::logic::scale::ScaleSettings;
use crate::logic::scale::decide::{Action, Decision, FleetView, Reason, decide};
use crate::logic::scale::hold;
use crate::logic::scale::lifecycle::{Act, Happening, Leaving, Lifecycle, Phase, Tone};
use crate::logic::scale::processor::Processor;
use crate::logic::scale::starts::Starts;
use crate::logic::scale::window::History;
use crate::shared::event::{Event, Kind, Level};
use crate::shared::order::{Fault, Outcome};

/// How long a unit that is no more is remembered: longer than an engine may take to give its list.
const BURIED: Duration = Duration::from_secs(60);

/// What comes back to the one task.
pub(super) enum News {
    /// An engine reports.
    Changed(usize, Change),
    /// An engine's list, and when it was asked for: what came or went after that is not judged by it.
    Listed(usize, Duration, Result<Vec<Unit>, EngineError>),
    /// A start has ended, by its ticket.
    Started(u64, Result<Unit, EngineError>),
    /// A node takes connections.
    Listens(u64),
    /// A stop has ended.
    Stopped(u64, Result<(), EngineError>),
    /// A removal has ended.
    Removed(u64, Result<(), EngineError>),
    /// The last lines of a node that failed.
    Log(u64, Vec<String>),
    /// What a node has used.
    Used(u64, Stats),
}

/// The fleet of one backend.
pub(super) struct Group {
    pub(super) name: Arc<str>,
    pub(super) engine_index: usize,
    pub(super) engine: Arc<dyn Fleet>,
    /// What nodes are started from now.
    pub(super) spec: Spec,
    /// What the configuration wants them to be started from: another one only where a roll to it has failed.
    pub(super) wanted: Spec,
    pub(super) scale: ScaleSettings,
    pub(super) nodes: Vec<Mate>,
    pub(super) history: History,
    pub(super) starts: Starts,
    pub(super) view: FleetView,
    pub(super) roll: Option<Roll>,
    /// The configuration does not have it any more: it is here until its nodes are gone.
    pub(super) leaves: bool,
    told: Option<(Reason, u32)>,
    /// How many nodes there should be, as was decided last.
    aim: u32,
    pub(super) moment: Moment,
    pub(super) hand_in: mpsc::Sender<News>,
    /// The engine's list was read: before that, nobody knows whether nodes are missing.
    is_known: bool,
    /// The engine stopped answering: what it was asked since then has no answer to wait for.
    hangs: bool,
    /// Units that are no more, and since when: an older list still has them.
    gone: Vec<(UnitId, Duration)>,
}

impl Group {
    pub(super) fn new(
        backend: &BackendSettings,
        fleet: &Arc<FleetSettings>,
        engine: Arc<dyn Fleet>,
        engine_index: usize,
        hand_in: mpsc::Sender<News>,
        now: Duration,
    ) -> Self {
        Self {
            name: Arc::clone(&backend.name),
            engine_index,
            engine,
            spec: Spec::of(fleet),
            wanted: Spec::of(fleet),
            scale: backend.scale,
            nodes: Vec::new(),
            history: History::new(now, keep(&backend.scale)),
            starts: Starts::default(),
            view: FleetView::default(),
            roll: None,
            leaves: false,
            told: None,
            aim: backend.scale.min,
            moment: Moment::default(),
            hand_in,
            is_known: false,
            hangs: false,
            gone: Vec::new(),
        }
    }

    /// What the registry shall publish of it.
    pub(super) fn published(&self) -> Vec<FleetNode> {
        self.nodes.iter().filter_map(|mate| mate.published(self.engine.origin())).collect()
    }

    /// What is decided of it.
    pub(super) fn standing(&self, dry_run: bool, now: Duration) -> Standing {
        let hopeless = dry_run || hold::is_hopeless(&self.view, self.scale.hold.timeout, now);
        Standing {
            wanted: self.view.replicas.unwrap_or(self.aim),
            // Either way it is an operator who decides, until told otherwise.
            paused: self.view.paused || self.view.replicas.is_some(),
            hopeless,
            retry_after_s: hold::retry_after_s(self.starts.boot()),
        }
    }

    pub(super) fn kind(&self) -> std::mem::Discriminant<FleetSettings> {
        super::kind(&self.spec.settings)
    }

    /// Goes by other settings from now on.
    pub(super) fn reconfigure(&mut self, backend: &BackendSettings, now: Duration) {
        let Some(fleet) = &backend.fleet else { return };
        if backend.scale != self.scale {
            self.history.keep(keep(&backend.scale));
            self.scale = backend.scale;
        }
        self.wanted = Spec::of(fleet);
        if self.wanted.fingerprint != self.spec.fingerprint {
            self.begin_roll(now);
        }
    }

    /// All its nodes drain, and it is no more.
    pub(super) fn leave(&mut self, wiring: &Wiring, now: Duration) {
        self.leaves = true;
        for index in 0..self.nodes.len() {
            self.drain(index, Leaving::Operator, wiring, now);
        }
    }

    /// The engine does not answer, and may never answer what it was asked.
    pub(super) fn engine_hangs(&mut self, error: &EngineError, wiring: &Wiring, now: Duration) {
        self.hangs = true;
        let mut unanswered = Vec::new();
        for mate in &mut self.nodes {
            if mate.give_up_call() && mate.unit.is_none() {
                unanswered.push(mate.ticket);
            }
        }
        for ticket in unanswered {
            self.start_has_failed(ticket, error, wiring, now);
        }
    }

    pub(super) fn engine_is_back(&mut self, wiring: &Wiring, now: Duration) {
        if self.hangs {
            let error = EngineError::new(EngineFault::Slow, "the engine did not answer", "it is told again");
            self.engine_hangs(&error, wiring, now);
            self.hangs = false;
        }
        self.starts.forgive();
    }

    /// Forgets nodes that are no more, and after a minute that they were.
    pub(super) fn bury(&mut self, now: Duration) {
        self.gone.retain(|(_, since)| now.saturating_sub(*since) < BURIED);
        for mate in self.nodes.extract_if(.., |mate| *mate.life.phase() == Phase::Gone) {
            self.gone.extend(mate.unit.map(|unit| (unit.id, now)));
        }
    }

    pub(super) fn count(&self, which: impl Fn(&Lifecycle) -> bool) -> u32 {
        self.nodes.iter().filter(|mate| mate.life.is_ours() && which(&mate.life)).count() as u32
    }

    // ---- decisions

    pub(super) fn decide(&mut self, wiring: &Wiring, now: Duration) {
        if !self.is_known {
            return;
        }
        self.view = FleetView {
            serving: self.count(|life| *life.phase() == Phase::Serving),
            starting: self.count(Lifecycle::is_starting),
            boot: self.starts.boot(),
            failures: self.starts.failures(),
            blocked_until: self.starts.blocked_until(),
            ..self.view
        };
        if self.roll.is_some() && !wiring.dry_run {
            return self.go_on_rolling(wiring, now);
        }
        let decision = decide(&self.history, &self.view, &self.scale, now);
        self.aim = decision.wanted;
        self.tell_decision(&decision, wiring);
        if wiring.dry_run {
            return;
        }
        match decision.action {
            Action::Hold => {}
            Action::Up(count) => {
                self.view.up_at = Some(now);
                self.grow(count, wiring, now);
            }
            Action::Down(count) => {
                self.view.down_at = Some(now);
                self.shrink(count, wiring, now);
            }
        }
    }

    /// Each step, and each new reason for none.
    fn tell_decision(&mut self, decision: &Decision, wiring: &Wiring) {
        let key = (decision.reason, decision.wanted);
        let is_step = decision.action != Action::Hold;
        let is_news = !matches!(decision.reason, Reason::Steady | Reason::Cooldown) || is_step;
        let repeated = self.told == Some(key) && (!is_step || wiring.dry_run);
        self.told = Some(key);
        if !is_news || repeated {
            return;
        }
        let level = match decision.reason {
            Reason::Failing | Reason::AtMax | Reason::Stale => Level::Warning,
            _ => Level::Info,
        };
        let dry = if wiring.dry_run { " (dry run: nothing is done)" } else { "" };
        let event = Event::now(Kind::Scale, level, format!("{}: {}{dry}", self.name, decision.words));
        let mut event = event.backend(&self.name).rule(decision.reason.name());
        let from = self.view.there();
        let to = match decision.action {
            Action::Hold => from,
            Action::Up(count) => from + count,
            Action::Down(count) => from.saturating_sub(count),
        };
        event.inputs = vec![("from", f64::from(from)), ("to", f64::from(to))];
        event.inputs.extend(decision.inputs.iter().copied());
        event.inputs.push(("wanted", f64::from(decision.wanted)));
        wiring.events.send(event);
    }

    /// First calls back nodes that are still there, then starts new ones.
    fn grow(&mut self, count: u32, wiring: &Wiring, now: Duration) {
        let mut missing = count;
        for index in 0..self.nodes.len() {
            if missing > 0 && self.nodes[index].life.is_revivable() {
                let acts = self.nodes[index].life.on(Happening::Revive, now);
                self.act(index, acts, wiring, now);
                missing -= 1;
            }
        }
        (0..missing).for_each(|_| self.start(now));
    }

    /// Those first that do not serve yet, then those with the least to lose.
    fn shrink(&mut self, count: u32, wiring: &Wiring, now: Duration) {
        let snapshot = wiring.published.current();
        let backend = snapshot.backends.iter().find(|backend| backend.name == self.name);
        for _ in 0..count {
            let stays = |mate: &Mate| {
                mate.life.is_ours() && (mate.life.is_starting() || *mate.life.phase() == Phase::Serving)
            };
            let in_flight = |mate: &Mate| {
                mate.node(&self.name, backend.map(|backend| &**backend)).map_or(0, |node| node.in_flight())
            };
            let rank = |(_, mate): &(usize, &Mate)| (!mate.life.is_starting(), in_flight(mate));
            let chosen = self.nodes.iter().enumerate().filter(|(_, mate)| stays(mate)).min_by_key(rank);
            let Some(index) = chosen.map(|(index, _)| index) else { return };
            self.drain(index, Leaving::Spare, wiring, now);
        }
    }

    pub(super) fn drain(&mut self, index: usize, why: Leaving, wiring: &Wiring, now: Duration) {
        let acts = self.nodes[index].life.on(Happening::Drain(why), now);
        self.act(index, acts, wiring, now);
    }

    // ---- news

    pub(super) fn take(&mut self, news: &News, wiring: &Wiring, now: Duration) {
        let (ticket, happening) = match news {
            News::Started(ticket, Ok(unit)) => {
                let Some(mate) = self.nodes.iter_mut().find(|mate| mate.ticket == *ticket) else { return };
                (mate.unit, mate.named) = (Some(unit.clone()), now);
                (ticket, Happening::Started)
            }
            News::Started(ticket, Err(error)) => return self.start_has_failed(*ticket, error, wiring, now),
            News::Listens(ticket) => (ticket, Happening::Passed),
            News::Stopped(ticket, Ok(())) => (ticket, Happening::Stopped),
            News::Removed(ticket, Ok(())) => (ticket, Happening::Removed),
            News::Stopped(ticket, Err(error)) | News::Removed(ticket, Err(error)) => {
                (ticket, Happening::EngineFailed(error.to_string()))
            }
            News::Log(ticket, lines) => return self.tell_log(*ticket, lines, wiring),
            News::Used(ticket, stats) => return self.take_used(*ticket, stats, wiring, now),
            News::Changed(..) | News::Listed(..) => return,
        };
        self.step(*ticket, &happening, wiring, now);
    }

    /// An engine that is out of order says nothing of the version that is rolled out.
    fn start_has_failed(&mut self, ticket: u64, error: &EngineError, wiring: &Wiring, now: Duration) {
        let mate = self.nodes.iter_mut().find(|mate| mate.ticket == ticket);
        if let Some(mate) = mate.filter(|_| error.is_outage()) {
            mate.of_roll = false;
        }
        self.step(ticket, &Happening::EngineFailed(error.to_string()), wiring, now);
    }

    pub(super) fn step(&mut self, ticket: u64, happening: &Happening, wiring: &Wiring, now: Duration) {
        if let Some(index) = self.nodes.iter().position(|mate| mate.ticket == ticket) {
            let acts = self.nodes[index].life.on(happening.clone(), now);
            self.act(index, acts, wiring, now);
        }
    }

    pub(super) fn happened(&mut self, unit: &UnitId, happening: &Happening, wiring: &Wiring, now: Duration) {
        let found = self.nodes.iter().find(|mate| mate.unit.as_ref().is_some_and(|known| known.id == *unit));
        if let Some(ticket) = found.map(|mate| mate.ticket) {
            self.step(ticket, happening, wiring, now);
        }
    }

    /// Makes the engine's list the truth, as of when it was asked for.
    pub(super) fn reconcile(&mut self, units: &[Unit], asked: Duration, wiring: &Wiring, now: Duration) {
        self.is_known = true;
        for index in 0..self.nodes.len() {
            let Some(known) = self.nodes[index].unit.clone() else { continue };
            let happening = match units.iter().find(|unit| unit.id == known.id) {
                None if self.nodes[index].named >= asked => continue,
                None => Happening::Removed,
                Some(unit) if !unit.running => Happening::Died(None),
                Some(_) => continue,
            };
            let acts = self.nodes[index].life.on(happening, now);
            self.act(index, acts, wiring, now);
        }
        // A start that is under way will name its unit itself.
        let starting = self.nodes.iter().any(|mate| mate.unit.is_none());
        let name = Arc::clone(&self.name);
        for unit in units.iter().filter(|unit| unit.backend == name) {
            let known =
                self.nodes.iter().any(|mate| mate.unit.as_ref().is_some_and(|known| known.id == unit.id));
            let is_gone = self.gone.iter().any(|(id, since)| *id == unit.id && *since >= asked);
            if known || is_gone || (unit.ours && starting) {
                continue;
            }
            self.adopt(unit, wiring, now);
        }
    }

    fn adopt(&mut self, unit: &Unit, wiring: &Wiring, now: Duration) {
        let mut mate = Mate {
            ticket: ticket(),
            life: Lifecycle::found(unit.ours, now),
            is_old: unit.ours && unit.fingerprint != self.spec.fingerprint,
            of_roll: false,
            unit: Some(unit.clone()),
            named: now,
            requests_seen: 0,
            call: None,
            log_is_due: false,
            processor: Processor::default(),
        };
        let mut acts = vec![Act::Announce];
        if unit.ours && (!unit.running || unit.address.is_none()) {
            acts = mate.life.on(Happening::Died(None), now);
        }
        if mate.is_old && self.roll.is_none() {
            self.roll = Some(Roll::new(self.spec.clone(), now));
        }
        let word = if unit.ours { "found" } else { "joined by its labels" };
        self.tell(&mate, Level::Info, word, wiring);
        self.nodes.push(mate);
        self.act(self.nodes.len() - 1, acts, wiring, now);
    }

    // ---- acts

    pub(super) fn act(&mut self, index: usize, acts: Vec<Act>, wiring: &Wiring, now: Duration) {
        for act in acts {
            let mate = &self.nodes[index];
            match act {
                Act::Announce => self.knock(index),
                Act::Admit => self.tell(mate, Level::Info, "takes requests", wiring),
                // The table is made from the phases, and published before anything else is waited for.
                Act::TakeOut | Act::Forget => {}
                Act::Stop => self.call_stop(index),
                Act::Remove => self.call_remove(index),
                Act::ReadLog => self.has_failed(index),
                Act::Booted(took) => self.starts.succeeded(took),
                Act::StartFailed => self.starts.failed(now),
                Act::Cut(count) => {
                    self.tell(mate, Level::Error, &format!("{count} requests were cut"), wiring);
                }
                Act::Tell(tone, text) => self.tell(mate, level(tone), &text, wiring),
            }
        }
    }

    /// It ended against our wish: a new version that does so is not rolled out any further.
    fn has_failed(&mut self, index: usize) {
        self.nodes[index].log_is_due = true;
        if let Some(roll) = self.roll.as_mut().filter(|_| self.nodes[index].of_roll) {
            roll.failed = true;
        }
    }

    fn tell(&self, mate: &Mate, level: Level, text: &str, wiring: &Wiring) {
        let id = mate.id(&self.name);
        let event = Event::now(Kind::Fleet, level, format!("node {id}: {text}"));
        wiring.events.send(event.backend(&self.name).node(&id));
    }

    fn tell_log(&self, ticket: u64, lines: &[String], wiring: &Wiring) {
        let Some(mate) = self.nodes.iter().find(|mate| mate.ticket == ticket) else { return };
        if !lines.is_empty() {
            self.tell(mate, Level::Warning, &format!("its last lines: {}", lines.join(" | ")), wiring);
        }
    }

    // ---- orders

    pub(super) fn scale(&mut self, replicas: Option<u32>, paused: Option<bool>) -> Outcome {
        let (min, max) = (self.scale.min, self.scale.max);
        if let Some(count) = replicas.filter(|count| !(min..=max).contains(count)) {
            let message = format!("{count} nodes are outside of `min` ({min}) and `max` ({max})");
            return Err(refuse(
                Fault::Invalid,
                "out_of_range",
                message,
                "change `scale` in the configuration",
            ));
        }
        if let Some(paused) = paused {
            self.view.paused = paused;
            if !paused {
                self.view.replicas = None;
            }
        }
        if replicas.is_some() {
            (self.view.replicas, self.view.paused) = (replicas, false);
            self.starts.forgive();
        }
        Ok(match (replicas, self.view.paused) {
            (Some(count), _) => {
                format!("{} shall have {count} nodes until `paused: false` is said", self.name)
            }
            (None, true) => format!("the autoscaler of {} is paused", self.name),
            (None, false) => format!("the autoscaler of {} decides again", self.name),
        })
    }

    pub(super) fn add_node(&mut self, wiring: &Wiring, now: Duration) -> Outcome {
        let there = self.count(|life| life.is_starting() || *life.phase() == Phase::Serving);
        self.scale(Some(there + 1), None)?;
        if !wiring.dry_run {
            self.grow(1, wiring, now);
        }
        Ok(format!("one more node of {} starts: {} in all", self.name, there + 1))
    }

    pub(super) fn remove_node(&mut self, id: &str, wiring: &Wiring, now: Duration) -> Option<Outcome> {
        let index = self.nodes.iter().position(|mate| *mate.id(&self.name) == *id)?;
        self.drain(index, Leaving::Operator, wiring, now);
        Some(Ok(format!(
            "{id} drains, and is stopped when nothing is in flight; {} may start another",
            self.name
        )))
    }
}

/// How long samples are of use: a p99 target remembers for longer than it decides.
fn keep(scale: &ScaleSettings) -> Duration {
    (scale.down.window * 10).max(scale.up.window * 2)
}

fn level(tone: Tone) -> Level {
    match tone {
        Tone::Good => Level::Info,
        Tone::Odd => Level::Warning,
        Tone::Bad => Level::Error,
    }
}
