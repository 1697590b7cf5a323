//! Clients that come as they like, workers that pick by the real code, nodes with so many places that serve one request
//! each, and a queue before them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use plimsoll::logic::balance::sample::Draws;
use plimsoll::logic::balance::table::{HashTable, hash};
use plimsoll::logic::balance::{Ask, Balancer, Nodes, Strategy};
use plimsoll::logic::latency::{Estimate, Reading, Sample};

pub(crate) const MS: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000_000;
/// Workers that pick by turns, each with a state of its own.
const WORKERS: usize = 2;
/// How long a failure takes.
const FAILURE_US: u64 = 200;
/// How often a node tells how busy it is.
const CPU_PERIOD_US: u64 = SECOND;

/// What a node is like.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    /// Requests that it serves at the same time; others wait in it.
    pub(crate) places: u32,
    /// How long it serves one, on average; the times are distributed exponentially.
    pub(crate) service_us: u64,
    pub(crate) weight: u32,
    /// From when until when everything that it is sent fails at once.
    pub(crate) fails: std::ops::Range<u64>,
    /// From when until when it must not be picked.
    pub(crate) out: std::ops::Range<u64>,
}

impl Kind {
    pub(crate) fn serving_in(service_us: u64) -> Self {
        Self { places: 4, service_us, weight: 1, fails: 0..0, out: 0..0 }
    }

    /// Requests a second that it can serve.
    pub(crate) fn capacity(&self) -> f64 {
        f64::from(self.places) * SECOND as f64 / self.service_us as f64
    }
}

/// One request that is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) node: usize,
    pub(crate) began_us: u64,
    pub(crate) took_us: u64,
    pub(crate) failed: bool,
}

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) strategy: Strategy,
    pub(crate) nodes: Vec<Kind>,
    /// The share of what all nodes together can serve.
    pub(crate) load: f64,
    pub(crate) length_us: u64,
    /// Do the nodes tell how busy they are?
    pub(crate) tells_cpu: bool,
    pub(crate) seed: u64,
}

impl Plan {
    /// Everything that became of the requests, in the order in which they came.
    pub(crate) fn run(&self) -> Vec<Outcome> {
        World::new(self).run()
    }
}

struct Node {
    kind: Kind,
    in_flight: u32,
    busy: u32,
    waiting: VecDeque<usize>,
    estimate: Estimate,
    cpu: Option<f64>,
    /// Time of its places that was used since it last told.
    used_us: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival,
    /// A request, and the time of a place that it took.
    End(usize, u64),
    Tell,
}

struct World<'a> {
    plan: &'a Plan,
    now_us: u64,
    nodes: Vec<Node>,
    table: Option<HashTable>,
    balancers: Vec<Balancer>,
    draws: Draws,
    /// Apart from the draws of the workers: every strategy sees the same clients.
    client_draws: Draws,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    events_made: u64,
    requests: Vec<Outcome>,
}

impl Nodes for World<'_> {
    fn len(&self) -> usize {
        self.nodes.len()
    }
    fn weight(&self, at: usize) -> u32 {
        self.nodes[at].kind.weight
    }
    fn weight_max(&self) -> u32 {
        self.nodes.iter().map(|node| node.kind.weight).max().unwrap_or(1)
    }
    fn in_flight(&self, at: usize) -> u32 {
        self.nodes[at].in_flight
    }
    fn usable(&self, at: usize) -> bool {
        !self.nodes[at].kind.out.contains(&self.now_us)
    }
    fn reading(&self, at: usize, now_us: u64) -> Reading {
        self.nodes[at].estimate.read(now_us, self.nodes[at].in_flight)
    }
    fn cpu(&self, at: usize, _now_us: u64) -> Option<f64> {
        self.nodes[at].cpu
    }
    fn table(&self) -> Option<&HashTable> {
        self.table.as_ref()
    }
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan) -> Self {
        let ids: Vec<_> = (0..plan.nodes.len()).map(|at| format!("node-{at}")).collect();
        let weighed: Vec<_> = ids.iter().zip(&plan.nodes).map(|(id, kind)| (&**id, kind.weight)).collect();
        let node = |kind: &Kind| Node {
            kind: kind.clone(),
            in_flight: 0,
            busy: 0,
            waiting: VecDeque::new(),
            estimate: Estimate::default(),
            cpu: None,
            used_us: 0,
        };
        Self {
            plan,
            // Not zero, which is never on this clock.
            now_us: 1,
            nodes: plan.nodes.iter().map(node).collect(),
            table: HashTable::new(&weighed),
            balancers: (0..WORKERS).map(|worker| Balancer::new(plan.strategy, worker)).collect(),
            draws: Draws::new(plan.seed),
            client_draws: Draws::new(plan.seed ^ 0xc11e_4715),
            events: BinaryHeap::new(),
            events_made: 0,
            requests: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<Outcome> {
        self.at(1, Event::Arrival);
        if self.plan.tells_cpu {
            self.at(CPU_PERIOD_US, Event::Tell);
        }
        while let Some(Reverse((at_us, _, event))) = self.events.pop() {
            self.now_us = at_us;
            match event {
                Event::Arrival => self.arrive(),
                Event::End(request, used_us) => self.end(request, used_us),
                Event::Tell => self.tell(),
            }
        }
        let left: u32 = self.nodes.iter().map(|node| node.in_flight).sum();
        assert_eq!(left, 0, "requests that never ended, seed {}", self.plan.seed);
        self.requests
    }

    fn at(&mut self, at_us: u64, event: Event) {
        self.events_made += 1;
        self.events.push(Reverse((at_us, self.events_made, event)));
    }

    fn arrive(&mut self) {
        let request = self.requests.len();
        let key = hash(&(self.client_draws.below(100_000)).to_le_bytes());
        let ask = Ask { draw: self.draws.next_draw(), key: Some(key), now_us: self.now_us };
        let mut balancers = std::mem::take(&mut self.balancers);
        let picked = balancers[request % WORKERS].pick(&*self, &ask);
        self.balancers = balancers;
        let node = picked.expect("a node may always be used in these worlds");
        assert!(self.usable(node), "{} must not be picked, seed {}", node, self.plan.seed);
        self.requests.push(Outcome { node, began_us: self.now_us, took_us: 0, failed: false });
        self.nodes[node].in_flight += 1;
        if self.nodes[node].kind.fails.contains(&self.now_us) {
            self.requests[request].failed = true;
            self.at(self.now_us + FAILURE_US, Event::End(request, 0));
        } else if self.nodes[node].busy < self.nodes[node].kind.places {
            self.serve(request);
        } else {
            self.nodes[node].waiting.push_back(request);
        }
        let capacity: f64 = self.plan.nodes.iter().map(Kind::capacity).sum();
        let pause_us = exponential(&mut self.client_draws, SECOND as f64 / (capacity * self.plan.load));
        if self.now_us + pause_us < self.plan.length_us {
            self.at(self.now_us + pause_us, Event::Arrival);
        }
    }

    fn serve(&mut self, request: usize) {
        let node = &mut self.nodes[self.requests[request].node];
        node.busy += 1;
        let service_us = exponential(&mut self.draws, node.kind.service_us as f64);
        self.at(self.now_us + service_us, Event::End(request, service_us));
    }

    fn end(&mut self, request: usize, used_us: u64) {
        let outcome = &mut self.requests[request];
        outcome.took_us = self.now_us - outcome.began_us;
        let sample = if outcome.failed { Sample::Failed } else { Sample::Answered(outcome.took_us) };
        let failed = outcome.failed;
        let node = &mut self.nodes[outcome.node];
        node.estimate = node.estimate.with(sample, self.now_us);
        node.in_flight -= 1;
        if failed {
            return;
        }
        node.busy -= 1;
        node.used_us += used_us;
        if let Some(next) = node.waiting.pop_front() {
            self.serve(next);
        }
    }

    fn tell(&mut self) {
        for node in &mut self.nodes {
            let all_us = u64::from(node.kind.places) * CPU_PERIOD_US;
            node.cpu = Some((node.used_us as f64 / all_us as f64).min(1.0));
            node.used_us = 0;
        }
        if self.now_us < self.plan.length_us {
            self.at(self.now_us + CPU_PERIOD_US, Event::Tell);
        }
    }
}

fn exponential(draws: &mut Draws, mean_us: f64) -> u64 {
    let uniform = (draws.next_draw() >> 11) as f64 / (1_u64 << 53) as f64;
    (-(1.0 - uniform).ln() * mean_us).round() as u64
}

/// The share of `outcomes` that went to `node`.
pub(crate) fn share(outcomes: &[Outcome], node: usize) -> f64 {
    let there = outcomes.iter().filter(|outcome| outcome.node == node).count();
    there as f64 / outcomes.len().max(1) as f64
}

/// Those that came in this time.
pub(crate) fn between(outcomes: &[Outcome], time_us: std::ops::Range<u64>) -> Vec<Outcome> {
    outcomes.iter().copied().filter(|outcome| time_us.contains(&outcome.began_us)).collect()
}

/// The time that 99 of 100 took at most.
pub(crate) fn p99_us(outcomes: &[Outcome]) -> u64 {
    let mut times: Vec<_> = outcomes.iter().map(|outcome| outcome.took_us).collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}
