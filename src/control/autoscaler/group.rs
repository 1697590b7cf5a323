//! The fleet of one backend: its nodes' lives, its history, and what is done about both.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::mate::{Mate, ticket};
use super::roll::{Roll, Spec};
use super::sampling::Moment;
use super::{FleetNode, Standing, Wiring};
use crate::config::settings::{BackendSettings, FleetSettings};
use crate::control::fleet::{Change, EngineError, EngineFault, Fleet, Stats, Unit, UnitId};
use crate::logic::scale::ScaleSettings;
use crate::logic::scale::decide::{Action, Decision, FleetView, Reason, decide, failed_starts, nodes};
use crate::logic::scale::hold;
use crate::logic::scale::lifecycle::{Act, Happening, Leaving, Lifecycle, Phase, Tone};
use crate::logic::scale::processor::Processor;
use crate::logic::scale::starts::Starts;
use crate::logic::scale::window::History;
use crate::shared::event::{CUT, Event, Kind, Level};

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
    /// Why the last node ended that did not come up, and its last words.
    last_failure: String,
    /// Why the last roll has stopped.
    pub(super) roll_trouble: Option<String>,
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
            last_failure: String::new(),
            roll_trouble: None,
            gone: Vec::new(),
        }
    }

    /// Why it is not as it should be though its engine works, and what comes next.
    pub(super) fn trouble(&self) -> Option<Arc<str>> {
        if let Some(held) = self.held_down() {
            return Some(held.into());
        }
        let failing = self.starts.pause().map(|pause| {
            let count = failed_starts(self.starts.failures());
            let pause = pause.as_secs_f64().ceil();
            format!("{count}: {}; the next one is tried {pause} s after it", self.last_failure)
        });
        failing.or_else(|| self.roll_trouble.clone()).map(Into::into)
    }

    /// An operator keeps it below what the configuration says, or without any node.
    fn held_down(&self) -> Option<String> {
        let (there, least) = (self.view.there(), self.scale.min.max(1));
        let who = match self.view.replicas {
            Some(0) => "an operator wants none",
            None if self.view.paused && there < least => "an operator paused its autoscaler",
            _ => return None,
        };
        let there = nodes(there);
        Some(format!("{who}, and it has {there}: `plimsoll scale {} --resume` lets it decide", self.name))
    }

    /// What the registry shall publish of it.
    pub(super) fn published(&self) -> Vec<FleetNode> {
        let origin = self.engine.origin();
        let there = self.nodes.iter().filter_map(|mate| mate.published(origin));
        let mut number = 0;
        let coming = self.nodes.iter().filter_map(|mate| {
            let node = mate.coming(number + 1, origin)?;
            number += 1;
            Some(node)
        });
        there.chain(coming).collect()
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
    pub(super) fn reconfigure(&mut self, backend: &BackendSettings, wiring: &Wiring, now: Duration) {
        let Some(fleet) = &backend.fleet else { return };
        if backend.scale != self.scale {
            self.history.keep(keep(&backend.scale));
            self.scale = backend.scale;
            self.bound_replicas(wiring);
        }
        self.wanted = Spec::of(fleet);
        if self.wanted.fingerprint != self.spec.fingerprint {
            self.begin_roll(wiring, now);
        } else {
            self.spec.settings = Arc::clone(&self.wanted.settings);
        }
    }

    /// What an operator said holds within `min` and `max`, as they are now.
    fn bound_replicas(&mut self, wiring: &Wiring) {
        let (min, max) = (self.scale.min, self.scale.max);
        if let Some(count) = self.view.replicas.filter(|count| !(min..=max).contains(count)) {
            let bounded = count.clamp(min, max);
            self.view.replicas = Some(bounded);
            let text = format!(
                "{}: an operator wanted {count} nodes; `min` is {min} and `max` is {max} now, so there will be {bounded}",
                self.name
            );
            wiring.events.send(Event::now(Kind::Scale, Level::Warning, text).backend(&self.name));
        }
    }

    /// All its nodes drain, and it is no more.
    pub(super) fn leave(&mut self, wiring: &Wiring, now: Duration) {
        self.leaves = true;
        if wiring.dry_run {
            return self.nodes.clear();
        }
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
        let snapshot = wiring.published.current();
        let backend = snapshot.backends.iter().find(|backend| backend.name == self.name);
        let backend = backend.map(|backend| &**backend);
        let serving = |ours: bool| {
            let ours = self.nodes.iter().filter(|mate| mate.life.is_ours() == ours);
            // One that an operator holds back carries nothing: another one takes its place.
            let serve = ours.filter(|mate| *mate.life.phase() == Phase::Serving);
            serve.filter(|mate| !mate.is_withheld(&self.name, backend)).count() as u32
        };
        self.view = FleetView {
            serving: serving(true),
            joined: serving(false),
            starting: self.count(Lifecycle::is_starting),
            boot: self.starts.boot(),
            failures: self.starts.failures(),
            blocked_until: self.starts.blocked_until(),
            ..self.view
        };
        let decision = decide(&self.history, &self.view, &self.scale, now);
        self.aim = decision.wanted;
        // Nobody else goes while nodes are replaced: those that are old go anyway.
        let goes_anyway = self.roll.is_some() && matches!(decision.action, Action::Down(_));
        if !goes_anyway {
            self.tell_decision(&decision, wiring);
        }
        if wiring.dry_run {
            return;
        }
        match decision.action {
            Action::Down(_) if goes_anyway => {}
            Action::Hold => {}
            Action::Up(count) => {
                self.view.up_at = Some(now);
                let count = self.make_room(count, wiring, now);
                self.grow(count, wiring, now);
            }
            Action::Down(count) => {
                self.view.down_at = Some(now);
                self.shrink(count, wiring, now);
            }
        }
        if self.roll.is_some() {
            self.go_on_rolling(wiring, now);
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
    pub(super) fn grow(&mut self, count: u32, wiring: &Wiring, now: Duration) {
        let mut missing = count;
        for index in 0..self.nodes.len() {
            if missing > 0 && self.nodes[index].life.is_revivable() {
                let acts = self.nodes[index].life.on(Happening::Revive, now);
                self.act(index, acts, wiring, now);
                missing -= 1;
            }
        }
        (0..missing).for_each(|_| self.start(now));
        if let Some(roll) = &mut self.roll {
            roll.added += missing as usize;
        }
    }

    /// Those first that do not serve yet, then those with the least to lose.
    fn shrink(&mut self, count: u32, wiring: &Wiring, now: Duration) {
        let why = if self.view.replicas.is_some() { Leaving::Operator } else { Leaving::Spare };
        for _ in 0..count {
            let stays = |mate: &Mate| {
                mate.life.is_ours() && (mate.life.is_starting() || *mate.life.phase() == Phase::Serving)
            };
            let rank = |(_, mate): &(usize, &Mate)| (!mate.life.is_starting(), mate.in_flight());
            let chosen = self.nodes.iter().enumerate().filter(|(_, mate)| stays(mate)).min_by_key(rank);
            let Some(index) = chosen.map(|(index, _)| index) else { return };
            self.drain(index, why, wiring, now);
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
                let rolls = self.roll.is_some();
                let Some(mate) = self.nodes.iter_mut().find(|mate| mate.ticket == *ticket) else { return };
                (mate.unit, mate.named) = (Some(unit.clone()), now);
                // What its tag named when the first of a version was started is what all of them are.
                let is_first = self.spec.image.is_none() && unit.fingerprint == self.spec.fingerprint;
                if is_first && (mate.of_roll || !rolls) {
                    self.spec.image.clone_from(&unit.image);
                }
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
            News::Used(ticket, stats) => return self.take_used(*ticket, stats, now),
            News::Changed(..) | News::Listed(..) => return,
        };
        self.step(*ticket, &happening, wiring, now);
        if let News::Started(_, Ok(unit)) = news {
            self.is_unfit(&unit.id, self.engine.unfit(&unit.id), wiring, now);
        }
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
        let found = found.map(|mate| mate.ticket);
        // Its own check says more than that it listens.
        if *happening == Happening::Passed {
            self.is_unfit(unit, None, wiring, now);
        }
        if let Some(ticket) = found {
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
        let name = Arc::clone(&self.name);
        for unit in units.iter().filter(|unit| unit.backend == name && unit.running) {
            self.is_unfit(&unit.id, self.engine.unfit(&unit.id), wiring, now);
        }
        // A start that is under way will name its unit itself.
        let starting = self.nodes.iter().any(|mate| mate.unit.is_none());
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
            node: None,
            unfit: None,
            named: now,
            requests_seen: 0,
            call: None,
            log_is_due: false,
            processor: Processor::default(),
        };
        // A dry run may look at the fleet of a balancer that runs: what does not run may be about to.
        if wiring.dry_run && !unit.running {
            return;
        }
        let acts = match unit.address {
            _ if unit.ours && !unit.running => mate.life.on(Happening::Died(None), now),
            None if unit.ours => mate.life.on(Happening::Drain(Leaving::Unfit), now),
            _ => vec![Act::Announce],
        };
        if mate.is_old && self.roll.is_none() {
            self.roll = Some(Roll::new(self.spec.clone(), now));
        }
        let word = if unit.ours { "found" } else { "joined by its labels" };
        self.tell(&mate, Level::Info, word, wiring);
        if unit.ours && unit.fingerprint == self.spec.fingerprint && self.spec.image.is_none() {
            self.spec.image.clone_from(&unit.image);
        }
        self.nodes.push(mate);
        self.act(self.nodes.len() - 1, acts, wiring, now);
        self.is_unfit(&unit.id, self.engine.unfit(&unit.id), wiring, now);
    }

    // ---- acts

    pub(super) fn act(&mut self, index: usize, acts: Vec<Act>, wiring: &Wiring, now: Duration) {
        for act in acts {
            let mate = &self.nodes[index];
            match act {
                Act::Stop | Act::Remove if wiring.dry_run => {}
                Act::Announce => self.knock(index),
                Act::Admit => self.tell(mate, Level::Info, "takes requests", wiring),
                // The table is made from the phases, and published before anything else is waited for.
                Act::TakeOut | Act::Forget => {}
                Act::Stop => self.call_stop(index),
                Act::Remove => self.call_remove(index),
                Act::ReadLog => self.has_failed(index),
                Act::Booted(took) => self.starts.succeeded(took),
                Act::StartFailed => self.starts.failed(now),
                Act::Fell => self.starts.fell(now),
                Act::Lasted => self.starts.lasted(),
                Act::Cut(count) => {
                    let event = self.said_of(mate, Level::Error, &format!("{count} requests were cut"));
                    wiring.events.send(event.input(CUT, f64::from(count)));
                }
                Act::Tell(tone, text) => {
                    self.tell(mate, level(tone), &text, wiring);
                    if tone == Tone::Bad {
                        self.last_failure = text;
                    }
                }
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

    pub(super) fn tell(&self, mate: &Mate, level: Level, text: &str, wiring: &Wiring) {
        wiring.events.send(self.said_of(mate, level, text));
    }

    fn said_of(&self, mate: &Mate, level: Level, text: &str) -> Event {
        let id = mate.id(&self.name);
        let event = Event::now(Kind::Fleet, level, format!("node {id}: {text}"));
        event.backend(&self.name).node(&id)
    }

    fn tell_log(&mut self, ticket: u64, lines: &[String], wiring: &Wiring) {
        let Some(mate) = self.nodes.iter().find(|mate| mate.ticket == ticket) else { return };
        if !lines.is_empty() {
            let text = format!("its last lines: {}", lines.join(" | "));
            self.tell(mate, Level::Warning, &text, wiring);
            self.last_failure = format!("{} ({text})", self.last_failure);
        }
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
