//! Nodes with a number of places each, one queue before them, random arrivals and answers, and somebody who scales.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use plimsoll::logic::scale::ScaleSettings;
use plimsoll::logic::scale::decide::{Action, FleetView, decide};
use plimsoll::logic::scale::starts::Starts;
use plimsoll::logic::scale::window::{History, Sample};

use crate::traces::{Draws, Trace};

/// Requests that one node answers at once.
pub(crate) const PLACES: u32 = 20;
/// The shortest time of an answer, and the mean of what comes to it at random: 100 ms in the mean.
pub(crate) const SERVICE: (f64, f64) = (0.08, 0.02);
/// How often whoever scales is asked.
pub(crate) const TICK: Micros = 250_000;
/// From the order to start a node to its first request.
pub(crate) const BOOT: f64 = 3.0;
/// A second in which one request of a hundred took longer is above the target. An answer alone takes that long one time
/// in five thousand: what is slower has waited.
pub(crate) const TARGET: f64 = 0.25;
/// Where nobody scales further.
pub(crate) const MAX: u32 = 30;

/// Who decides, four times a second.
pub(crate) trait Scaler {
    fn decide(&mut self, look: &Look) -> Action;
}

/// A moment as whoever scales sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) now: Duration,
    pub(crate) sample: Sample,
    pub(crate) serving: u32,
    pub(crate) starting: u32,
}

/// What a run cost, and what clients felt.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) slow_seconds: u64,
    pub(crate) node_seconds: u64,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// Each change: the second, and the number of nodes from then on.
    pub(crate) changes: Vec<(u64, u32)>,
    pub(crate) most: u32,
}

/// Times in microseconds.
type Micros = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrival,
    Answer { node: usize, came: Micros },
    Boot { node: usize },
    Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Starting,
    Serving,
    Draining,
    Gone,
}

/// A run in progress.
pub(crate) struct World<'a> {
    trace: &'a Trace,
    draws: Draws,
    events: BinaryHeap<Reverse<(Micros, u64, What)>>,
    order: u64,
    now: Micros,
    nodes: Vec<(Node, u32)>,
    queue: VecDeque<Micros>,
    busy: u32,
    latencies: Vec<Vec<f32>>,
    count: Count,
    outcome: Outcome,
    /// Whether a start that is due fails, by the second.
    pub(crate) starts_fail: fn(u64) -> bool,
    /// A node that dies in this second, by its place among those that serve.
    pub(crate) dies: fn(u64) -> Option<usize>,
}

/// Of the second that runs.
#[derive(Default)]
struct Count {
    arrivals: u32,
    finished: u32,
    busy_micros: f64,
    queued_micros: f64,
    since: Micros,
}

impl<'a> World<'a> {
    pub(crate) fn new(trace: &'a Trace, seed: u64, nodes: u32) -> Self {
        let mut world = Self {
            trace,
            draws: Draws::new(seed),
            events: BinaryHeap::new(),
            order: 0,
            now: 0,
            nodes: vec![(Node::Serving, 0); nodes as usize],
            queue: VecDeque::new(),
            busy: 0,
            latencies: vec![Vec::new(); trace.seconds as usize],
            count: Count::default(),
            outcome: Outcome::default(),
            starts_fail: |_| false,
            dies: |_| None,
        };
        world.at(0, What::Arrival);
        world.at(TICK, What::Tick);
        world
    }

    /// Runs the trace to its end.
    pub(crate) fn run(mut self, scaler: &mut dyn Scaler) -> Outcome {
        let end = self.trace.seconds * 1_000_000;
        while let Some(Reverse((at, _, what))) = self.events.pop() {
            if at > end {
                break;
            }
            self.pass(at);
            match what {
                What::Arrival => self.arrive(),
                What::Answer { node, came } => self.answer(node, came),
                What::Boot { node } => self.boot(node),
                What::Tick => self.tick(scaler),
            }
        }
        self.judge()
    }

    fn at(&mut self, at: Micros, what: What) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, what)));
    }

    fn pass(&mut self, at: Micros) {
        let span = (at - self.count.since) as f64;
        self.count.busy_micros += span * f64::from(self.busy);
        self.count.queued_micros += span * self.queue.len() as f64;
        self.count.since = at;
        self.now = at;
    }

    fn arrive(&mut self) {
        self.count.arrivals += 1;
        self.outcome.requests += 1;
        self.queue.push_back(self.now);
        self.hand_out();
        let rate = (self.trace.rate)(self.now as f64 / 1e6);
        let pause = self.draws.exponential(1e6 / rate);
        self.at(self.now + pause as Micros, What::Arrival);
    }

    /// As `least_connections` with `max_connections` does.
    fn hand_out(&mut self) {
        while let Some(&came) = self.queue.front() {
            let free = |(_, (state, busy)): &(usize, &(Node, u32))| *state == Node::Serving && *busy < PLACES;
            let Some((node, _)) =
                self.nodes.iter().enumerate().filter(free).min_by_key(|(_, (_, busy))| *busy)
            else {
                return;
            };
            self.queue.pop_front();
            self.nodes[node].1 += 1;
            self.busy += 1;
            let takes = SERVICE.0 * 1e6 + self.draws.exponential(SERVICE.1 * 1e6);
            self.at(self.now + takes as Micros, What::Answer { node, came });
        }
    }

    fn answer(&mut self, node: usize, came: Micros) {
        if self.nodes[node].0 == Node::Gone {
            // It died with the request.
            self.outcome.failed += 1;
            return;
        }
        self.nodes[node].1 -= 1;
        self.busy -= 1;
        self.count.finished += 1;
        let second = (came / 1_000_000) as usize;
        self.latencies[second].push((self.now - came) as f32 / 1e6);
        if self.nodes[node] == (Node::Draining, 0) {
            self.nodes[node].0 = Node::Gone;
        }
        self.hand_out();
    }

    fn boot(&mut self, node: usize) {
        if self.nodes[node].0 != Node::Starting {
            return;
        }
        if (self.starts_fail)(self.now / 1_000_000) {
            self.nodes[node].0 = Node::Gone;
            return;
        }
        self.nodes[node].0 = Node::Serving;
        self.hand_out();
    }

    fn count_of(&self, state: Node) -> u32 {
        self.nodes.iter().filter(|node| node.0 == state).count() as u32
    }

    fn tick(&mut self, scaler: &mut dyn Scaler) {
        let now = self.now / 1_000_000;
        let whole = self.now.is_multiple_of(1_000_000);
        if let Some(victim) = (self.dies)(now).filter(|_| whole) {
            self.kill(victim);
        }
        let count = std::mem::take(&mut self.count);
        self.count.since = self.now;
        let sample = Sample {
            in_flight: count.busy_micros / TICK as f64,
            queued: count.queued_micros / TICK as f64,
            arrivals: f64::from(count.arrivals) * 1e6 / TICK as f64,
            finished: f64::from(count.finished) * 1e6 / TICK as f64,
            ..Sample::quiet(Duration::from_micros(self.now), self.count_of(Node::Serving))
        };
        let (serving, starting) = (self.count_of(Node::Serving), self.count_of(Node::Starting));
        if whole {
            self.outcome.node_seconds += u64::from(serving + starting + self.count_of(Node::Draining));
        }
        match scaler.decide(&Look { now: Duration::from_micros(self.now), sample, serving, starting }) {
            Action::Hold => {}
            Action::Up(count) => self.start(count),
            Action::Down(count) => self.drain(count),
        }
        let there = self.count_of(Node::Serving) + self.count_of(Node::Starting);
        self.outcome.most = self.outcome.most.max(there);
        if self.outcome.changes.last().is_none_or(|last| last.1 != there) {
            self.outcome.changes.push((now, there));
        }
        self.at(self.now + TICK, What::Tick);
    }

    fn start(&mut self, count: u32) {
        for _ in 0..count {
            self.nodes.push((Node::Starting, 0));
            self.at(self.now + (BOOT * 1e6) as Micros, What::Boot { node: self.nodes.len() - 1 });
        }
    }

    /// Those that are not up yet first, then the least busy.
    fn drain(&mut self, count: u32) {
        for _ in 0..count {
            let rank = |(_, (state, busy)): &(usize, &(Node, u32))| (*state != Node::Starting, *busy);
            let here =
                |(_, (state, _)): &(usize, &(Node, u32))| matches!(state, Node::Starting | Node::Serving);
            let Some((node, _)) = self.nodes.iter().enumerate().filter(here).min_by_key(rank) else { return };
            let quiet = self.nodes[node].1 == 0;
            self.nodes[node].0 = if quiet { Node::Gone } else { Node::Draining };
        }
    }

    fn kill(&mut self, place: usize) {
        let serving: Vec<_> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].0 == Node::Serving).collect();
        if let Some(&node) = serving.get(place % serving.len().max(1)) {
            self.busy -= self.nodes[node].1;
            self.nodes[node] = (Node::Gone, 0);
        }
    }

    fn judge(mut self) -> Outcome {
        // Those that still wait are as slow as they are old.
        for came in std::mem::take(&mut self.queue) {
            self.latencies[(came / 1_000_000) as usize].push((self.now - came) as f32 / 1e6);
        }
        for second in &mut self.latencies {
            second.sort_unstable_by(f32::total_cmp);
            let p99 = second.get((second.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0.0);
            self.outcome.slow_seconds += u64::from(f64::from(p99) > TARGET);
        }
        self.outcome
    }
}

/// What is tested: `logic::scale` with its defaults.
pub(crate) struct Ours {
    pub(crate) settings: ScaleSettings,
    history: History,
    view: FleetView,
    before: u32,
    pub(crate) failing: Starts,
    pub(crate) words: Vec<(u64, String)>,
}

impl Ours {
    pub(crate) fn new(settings: ScaleSettings) -> Self {
        Self {
            settings,
            history: History::new(Duration::ZERO, Duration::from_secs(600)),
            view: FleetView::default(),
            before: 0,
            failing: Starts::default(),
            words: Vec::new(),
        }
    }

    /// The defaults, for nodes with [`PLACES`] places.
    pub(crate) fn standard() -> Self {
        let mut settings = ScaleSettings { max: MAX, ..ScaleSettings::default() };
        settings.target.in_flight = Some(f64::from(PLACES));
        Self::new(settings)
    }
}

impl Scaler for Ours {
    fn decide(&mut self, look: &Look) -> Action {
        let now = look.now;
        self.history.push(look.sample);
        // Fewer than there should be, and nothing was taken away: starts failed.
        let there = look.serving + look.starting;
        if there < self.before && look.starting == 0 && self.view.up_at.is_some() {
            self.failing.failed(now);
        } else if look.starting == 0 && there >= self.before {
            self.failing.forgive();
        }
        self.view = FleetView {
            serving: look.serving,
            starting: look.starting,
            boot: Duration::from_secs_f64(BOOT),
            failures: self.failing.failures(),
            blocked_until: self.failing.blocked_until(),
            ..self.view
        };
        let decision = decide(&self.history, &self.view, &self.settings, now);
        match decision.action {
            Action::Hold => self.before = there,
            Action::Up(count) => {
                self.view.up_at = Some(now);
                self.before = there + count;
            }
            Action::Down(count) => {
                self.view.down_at = Some(now);
                self.before = there - count;
            }
        }
        if decision.action != Action::Hold {
            self.words.push((now.as_secs(), format!("{:?} {}", decision.action, decision.words)));
        }
        decision.action
    }
}
