//! The fleet of one backend: its nodes' lives, its history, and what is done about both.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::mate::{Mate, ticket};
use super::roll::Roll;
use super::sampling::Moment;
use super::{FleetNode, Standing, Wiring, refuse};
use crate::config::settings::{BackendSettings, FleetSettings};
use crate::control::fleet::{Change, EngineError, Fleet, StartOrder, Stats, Steps, Unit, UnitId};
use crate::logic::limits::WARM_TIMEOUT;
use crate::logic::scale::ScaleSettings;
use crate::logic::scale::decide::{Action, Decision, FleetView, Reason, decide};
use crate::logic::scale::hold::{self, Knocks};
use crate::logic::scale::lifecycle::{Act, Happening, Leaving, Lifecycle, Phase, Tone};
use crate::logic::scale::processor::Processor;
use crate::logic::scale::starts::Starts;
use crate::logic::scale::window::History;
use crate::shared::event::{Event, Kind, Level};
use crate::shared::order::{Fault, Outcome};

/// What comes back to the one task.
pub(super) enum News {
    /// An engine reports.
    Changed(usize, Change),
    /// An engine's list.
    Listed(usize, Result<Vec<Unit>, EngineError>),
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
    settings: Arc<FleetSettings>,
    pub(super) scale: ScaleSettings,
    fingerprint: Arc<str>,
    pub(super) nodes: Vec<Mate>,
    pub(super) history: History,
    pub(super) starts: Starts,
    pub(super) view: FleetView,
    pub(super) roll: Option<Roll>,
    /// The configuration does not have it any more: it is here until its nodes are gone.
    pub(super) leaves: bool,
    told: Option<(Reason, u32)>,
    /// How many nodes there should be, as was decided last.
    wanted: u32,
    pub(super) moment: Moment,
    pub(super) hand_in: mpsc::Sender<News>,
}

/// Whom to call about a node, and where the answer goes.
type Callee = (u64, UnitId, Arc<dyn Fleet>, mpsc::Sender<News>);

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
            settings: Arc::clone(fleet),
            scale: backend.scale,
            fingerprint: fingerprint(fleet),
            nodes: Vec::new(),
            history: History::new(now, keep(&backend.scale)),
            starts: Starts::default(),
            view: FleetView::default(),
            roll: None,
            leaves: false,
            told: None,
            wanted: backend.scale.min,
            moment: Moment::default(),
            hand_in,
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
            wanted: self.view.replicas.unwrap_or(self.wanted),
            // Either way it is an operator who decides, until told otherwise.
            paused: self.view.paused || self.view.replicas.is_some(),
            hopeless,
            retry_after_s: hold::retry_after_s(self.starts.boot()),
        }
    }

    pub(super) fn kind(&self) -> std::mem::Discriminant<FleetSettings> {
        super::kind(&self.settings)
    }

    /// Goes by other settings from now on.
    pub(super) fn reconfigure(&mut self, backend: &BackendSettings, now: Duration) {
        let Some(fleet) = &backend.fleet else { return };
        if backend.scale != self.scale {
            self.history.keep(keep(&backend.scale));
            self.scale = backend.scale;
        }
        let other = fingerprint(fleet);
        self.settings = Arc::clone(fleet);
        if other != self.fingerprint {
            self.fingerprint = other;
            self.starts.forgive();
            self.nodes.iter_mut().filter(|mate| mate.life.is_ours()).for_each(|mate| mate.is_old = true);
            self.roll = Some(Roll::new(now));
        }
    }

    /// All its nodes drain, and it is no more.
    pub(super) fn leave(&mut self, wiring: &Wiring, now: Duration) {
        self.leaves = true;
        for index in 0..self.nodes.len() {
            self.drain(index, Leaving::Operator, wiring, now);
        }
    }

    pub(super) fn engine_is_back(&mut self) {
        self.starts.forgive();
    }

    pub(super) fn count(&self, which: impl Fn(&Lifecycle) -> bool) -> u32 {
        self.nodes.iter().filter(|mate| mate.life.is_ours() && which(&mate.life)).count() as u32
    }

    // ---- decisions

    pub(super) fn decide(&mut self, wiring: &Wiring, now: Duration) {
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
        self.wanted = decision.wanted;
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

    pub(super) fn start(&mut self, now: Duration) {
        let ticket = ticket();
        let order = StartOrder {
            backend: Arc::clone(&self.name),
            settings: Arc::clone(&self.settings),
            fingerprint: Arc::clone(&self.fingerprint),
            ticket,
        };
        self.nodes.push(Mate {
            ticket,
            unit: None,
            life: Lifecycle::ordered(now),
            is_old: false,
            of_roll: self.roll.is_some(),
            requests_seen: 0,
            processor: Processor::default(),
        });
        let (engine, hand_in) = (Arc::clone(&self.engine), self.hand_in.clone());
        let (changes, mut steps) = mpsc::channel(16);
        let index = self.engine_index;
        let forward = hand_in.clone();
        tokio::spawn(async move {
            while let Some(step) = steps.recv().await {
                let _ = forward.send(News::Changed(index, step)).await;
            }
        });
        tokio::spawn(async move {
            let started = engine.start(&order, Steps::new(ticket, changes)).await;
            let _ = hand_in.send(News::Started(ticket, started)).await;
        });
    }

    // ---- news

    pub(super) fn take(&mut self, news: &News, wiring: &Wiring, now: Duration) {
        let (ticket, happening) = match news {
            News::Started(ticket, Ok(unit)) => {
                let Some(mate) = self.nodes.iter_mut().find(|mate| mate.ticket == *ticket) else { return };
                mate.unit = Some(unit.clone());
                (ticket, Happening::Started)
            }
            News::Started(ticket, Err(error)) => (ticket, Happening::EngineFailed(error.to_string())),
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

    /// Makes the engine's list the truth.
    pub(super) fn reconcile(&mut self, units: &[Unit], wiring: &Wiring, now: Duration) {
        for index in 0..self.nodes.len() {
            let Some(known) = self.nodes[index].unit.clone() else { continue };
            let happening = match units.iter().find(|unit| unit.id == known.id) {
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
            if known || (unit.ours && starting) {
                continue;
            }
            self.adopt(unit, wiring, now);
        }
    }

    fn adopt(&mut self, unit: &Unit, wiring: &Wiring, now: Duration) {
        let mut mate = Mate {
            ticket: ticket(),
            life: Lifecycle::found(unit.ours, now),
            is_old: unit.ours && unit.fingerprint != self.fingerprint,
            of_roll: false,
            unit: Some(unit.clone()),
            requests_seen: 0,
            processor: Processor::default(),
        };
        let mut acts = vec![Act::Announce];
        if unit.ours && (!unit.running || unit.address.is_none()) {
            acts = mate.life.on(Happening::Died(None), now);
        }
        if mate.is_old && self.roll.is_none() {
            self.roll = Some(Roll::new(now));
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
                Act::ReadLog => self.read_log(index),
                Act::Booted(took) => self.starts.succeeded(took),
                Act::StartFailed => self.start_failed(now),
                Act::Cut(count) => {
                    self.tell(mate, Level::Error, &format!("{count} requests were cut"), wiring);
                }
                Act::Tell(tone, text) => self.tell(mate, level(tone), &text, wiring),
            }
        }
    }

    fn start_failed(&mut self, now: Duration) {
        self.starts.failed(now);
        if let Some(roll) = &mut self.roll {
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

    /// Tries to connect until it listens: from a millisecond on, since requests may wait for it.
    fn knock(&self, index: usize) {
        let mate = &self.nodes[index];
        let (ticket, hand_in) = (mate.ticket, self.hand_in.clone());
        let Some(address) = mate.unit.as_ref().and_then(|unit| unit.address) else { return };
        tokio::spawn(async move {
            let listens = async {
                for pause in Knocks::default() {
                    if TcpStream::connect(address).await.is_ok() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                }
            };
            if tokio::time::timeout(WARM_TIMEOUT, listens).await.is_ok() {
                let _ = hand_in.send(News::Listens(ticket)).await;
            }
        });
    }

    fn call_stop(&self, index: usize) {
        let Some((ticket, unit, engine, hand_in)) = self.call(index) else {
            return self.nothing_to_call(index, News::Stopped);
        };
        let grace = self.settings.stop_grace();
        tokio::spawn(async move {
            let stopped = engine.stop(&unit, grace).await;
            let _ = hand_in.send(News::Stopped(ticket, stopped)).await;
        });
    }

    fn call_remove(&self, index: usize) {
        let Some((ticket, unit, engine, hand_in)) = self.call(index) else {
            return self.nothing_to_call(index, News::Removed);
        };
        tokio::spawn(async move {
            let removed = engine.remove(&unit).await;
            let _ = hand_in.send(News::Removed(ticket, removed)).await;
        });
    }

    fn read_log(&self, index: usize) {
        let Some((ticket, unit, engine, hand_in)) = self.call(index) else { return };
        tokio::spawn(async move {
            let lines = engine.log(&unit).await.unwrap_or_default();
            let _ = hand_in.send(News::Log(ticket, lines)).await;
        });
    }

    fn call(&self, index: usize) -> Option<Callee> {
        let mate = &self.nodes[index];
        let unit = mate.unit.as_ref()?.id.clone();
        Some((mate.ticket, unit, Arc::clone(&self.engine), self.hand_in.clone()))
    }

    /// The engine never named a unit. Should it have made one, the next look at its list finds it.
    fn nothing_to_call(&self, index: usize, news: fn(u64, Result<(), EngineError>) -> News) {
        let (ticket, hand_in) = (self.nodes[index].ticket, self.hand_in.clone());
        tokio::spawn(async move {
            let _ = hand_in.send(news(ticket, Ok(()))).await;
        });
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

/// Tells one way of starting nodes from another.
fn fingerprint(settings: &FleetSettings) -> Arc<str> {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("{settings:?}").as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>().into()
}
