//! What a backend was asked: looks at its nodes' counters and its queue, samples of them, and readings of processors.

use std::sync::Arc;
use std::time::Duration;

use super::group::{Group, News};
use super::{LOOKS, Wiring};
use crate::control::fleet::Stats;
use crate::logic::limits::SCALE_TICK;
use crate::logic::scale::lifecycle::{Happening, Lifecycle, Phase};
use crate::logic::scale::window::Sample;
use crate::shared::node::Origin;
use crate::shared::snapshot::Backend;

/// Between two readings of a node's processors.
const READING: Duration = Duration::from_secs(1);

/// Sums over the looks of one tick.
#[derive(Default)]
pub(super) struct Moment {
    looks: u32,
    in_flight: f64,
    queued: f64,
    waiting_before: u32,
    /// When processors were read last; carried from moment to moment.
    read_at: Duration,
}

impl Group {
    pub(super) fn tick(&mut self, backend: Option<&Backend>, wiring: &Wiring, now: Duration) {
        let waiting = backend.and_then(|backend| backend.queue.as_ref()).map_or(0, |queue| queue.waiting());
        self.moment.looks += 1;
        self.moment.queued += f64::from(waiting);
        for index in 0..self.nodes.len() {
            self.nodes[index].look_up(&self.name, &wiring.roster);
            let in_flight = self.nodes[index].in_flight();
            self.moment.in_flight += f64::from(in_flight);
            let acts = self.nodes[index].life.on(Happening::Load(in_flight), now);
            self.act(index, acts, wiring, now);
        }
        self.drain_unhealthy(wiring, now);
        self.bury(now);
        self.read_processors(now);
        // Somebody waits, and nobody is on the way: that is not put off to the end of a tick.
        let wakes = waiting > 0 && self.nodes.iter().all(|mate| !is_there(&mate.life));
        if self.moment.looks >= LOOKS || wakes {
            let sample = self.sample(waiting, wiring, now);
            self.history.push(sample);
            if !self.leaves {
                self.decide(wiring, now);
            }
        }
    }

    fn sample(&mut self, waiting: u32, wiring: &Wiring, now: Duration) -> Sample {
        let next = Moment { waiting_before: waiting, read_at: self.moment.read_at, ..Moment::default() };
        let moment = std::mem::replace(&mut self.moment, next);
        let looks = f64::from(moment.looks);
        let mut begun = 0;
        for mate in &mut self.nodes {
            let total = mate.node.as_ref().map_or(0, |node| node.requests_total());
            begun += total.saturating_sub(mate.requests_seen);
            mate.requests_seen = total;
        }
        let begun = begun as f64 / SCALE_TICK.as_secs_f64();
        let grown = (f64::from(waiting) - f64::from(moment.waiting_before)) / SCALE_TICK.as_secs_f64();
        Sample {
            in_flight: moment.in_flight / looks,
            queued: moment.queued / looks,
            arrivals: (begun + grown).max(0.0),
            // While requests wait, one begins where one ends.
            finished: begun,
            cpu: self.processors(now),
            p99: self.scale.target.p99.and_then(|_| wiring.signals.p99(&self.name)),
            ..Sample::quiet(now, self.count(|life| *life.phase() == Phase::Serving))
        }
    }

    /// The mean share of their cores that the nodes use which take requests.
    fn processors(&self, now: Duration) -> Option<f64> {
        let serving = self.nodes.iter().filter(|mate| *mate.life.phase() == Phase::Serving);
        let shares: Vec<f64> = serving.filter_map(|mate| mate.processor.share(now)).collect();
        (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    }

    /// Asks the engine what its nodes have used; the answers come as news. Where that is no target, only an engine is asked
    /// that it costs nothing: people like to see it.
    fn read_processors(&mut self, now: Duration) {
        let wanted = self.scale.target.cpu.is_some() || self.engine.origin() == Origin::Process;
        if !wanted || now.saturating_sub(self.moment.read_at) < READING {
            return;
        }
        self.moment.read_at = now;
        for mate in self.nodes.iter().filter(|mate| *mate.life.phase() == Phase::Serving) {
            let Some(unit) = mate.unit.as_ref().map(|unit| unit.id.clone()) else { continue };
            let (ticket, engine, hand_in) = (mate.ticket, Arc::clone(&self.engine), self.hand_in.clone());
            tokio::spawn(async move {
                if let Ok(stats) = engine.stats(&unit).await {
                    let _ = hand_in.send(News::Used(ticket, stats)).await;
                }
            });
        }
    }

    /// Takes a reading of a node's processors.
    pub(super) fn take_used(&mut self, ticket: u64, stats: &Stats, now: Duration) {
        let Some(mate) = self.nodes.iter_mut().find(|mate| mate.ticket == ticket) else { return };
        let cores = stats.cores.unwrap_or_else(cores);
        let Some(share) = mate.processor.read(now, stats.cpu, cores) else { return };
        if let Some(node) = &mate.node {
            node.set_cpu(share, std::time::Instant::now());
        }
    }
}

/// Does it take requests, or is it going to?
fn is_there(life: &Lifecycle) -> bool {
    life.is_ours() && (life.is_starting() || *life.phase() == Phase::Serving)
}

/// The cores that a node without a limit may use: those that we may.
fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64)
}
