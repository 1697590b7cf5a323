//! When requests are due: a pure function of the plan and a seed.
//!
//! A [`Schedule`] is the sequence of intended send times of a whole run. Every thread walks the same
//! sequence and takes its share ([`Share`]), so what is sent does not depend on the number of threads, and
//! no thread waits for another.
//!
//! ```text
//!   RateCurve --(area under the curve)--+
//!                                       +--> Schedule --> Share --> arrivals of one lane
//!   Gaps (constant, uniform, poisson) --+
//! ```

pub mod curve;
pub mod gaps;

pub use curve::RateCurve;
pub use gaps::{Gaps, Spacing};

/// A burst that comes back: `size` requests at once, every `every_ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Requests at the same instant.
    pub size: u64,
    /// Distance of two bursts.
    pub every_ns: u64,
}

/// What is asked of an open loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// The rate over time; an empty curve when there are only bursts.
    pub curve: RateCurve,
    /// How arrivals lie within that rate.
    pub spacing: Spacing,
    /// Bursts on top.
    pub burst: Option<Burst>,
    /// Seed of the gaps.
    pub seed: u64,
    /// Length of the warm-up, at the curve's first rate, which comes before the curve.
    pub warmup_ns: u64,
    /// End of the plan, warm-up included: no arrival at or after it.
    pub end_ns: u64,
    /// At most this many arrivals after the warm-up.
    pub count_max: u64,
}

/// The intended send times of a run, in order, in nanoseconds from its start (the start of the warm-up).
#[derive(Clone, Debug)]
pub struct Schedule {
    gaps: Gaps,
    walk: curve::Walk,
    /// Area under the curve up to the next steady arrival.
    area: f64,
    burst: Option<Burst>,
    /// Time and number left of the burst that is next.
    burst_at_ns: u64,
    burst_left: u64,
    steady_next_ns: Option<u64>,
    warmup_ns: u64,
    end_ns: u64,
    count_left: u64,
}

impl Schedule {
    /// The schedule of a load.
    #[must_use]
    pub fn new(load: &Load) -> Self {
        let mut schedule = Self {
            gaps: Gaps::new(load.spacing, load.seed),
            walk: load.curve.after_warmup(load.warmup_ns as f64 / 1e9).walk(),
            area: 0.0,
            burst: load.burst,
            burst_at_ns: 0,
            burst_left: load.burst.map_or(0, |burst| burst.size),
            steady_next_ns: None,
            warmup_ns: load.warmup_ns,
            end_ns: load.end_ns,
            count_left: load.count_max,
        };
        schedule.area = schedule.gaps.first();
        schedule.steady_next_ns = schedule.steady_time();
        schedule
    }

    fn steady_time(&mut self) -> Option<u64> {
        let at_ns = self.walk.time_of(self.area)? * 1e9;
        (at_ns < self.end_ns as f64).then_some(at_ns as u64)
    }

    fn take_steady(&mut self) -> Option<u64> {
        let at = self.steady_next_ns?;
        self.area += self.gaps.draw();
        self.steady_next_ns = self.steady_time();
        Some(at)
    }

    fn take_burst(&mut self, burst: Burst) -> u64 {
        let at = self.burst_at_ns;
        self.burst_left -= 1;
        if self.burst_left == 0 {
            self.burst_left = burst.size;
            self.burst_at_ns = self.burst_at_ns.saturating_add(burst.every_ns);
        }
        at
    }

    fn next_of_both(&mut self) -> Option<u64> {
        let due = self.burst.filter(|_| self.burst_at_ns < self.end_ns);
        match (due, self.steady_next_ns) {
            (Some(burst), steady) if steady.is_none_or(|at| self.burst_at_ns <= at) => {
                Some(self.take_burst(burst))
            }
            _ => self.take_steady(),
        }
    }
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let at = self.next_of_both()?;
        if at >= self.warmup_ns {
            self.count_left = self.count_left.checked_sub(1)?;
        }
        Some(at)
    }
}

/// One request that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Intended send, nanoseconds from the start of the run.
    pub at_ns: u64,
    /// Which URL: an index into the targets.
    pub target: u32,
    /// Its number in the whole run, from 0: what a body template counts.
    pub number: u64,
}

/// The arrivals of one lane: those of the whole schedule that fall to one thread and one endpoint.
///
/// Arrival `i` goes to thread `i % threads`; within a thread the targets follow `cycle`, which repeats
/// each target as often as its weight says. Each thread starts at another place of the cycle.
#[derive(Clone, Debug)]
pub struct Share {
    schedule: Schedule,
    cycle: std::rc::Rc<[u32]>,
    /// For each target: whether this lane's endpoint serves it.
    mine: std::rc::Rc<[bool]>,
    thread: u64,
    threads: u64,
    next_number: u64,
}

impl Share {
    /// The share of `thread` (of `threads`) for the targets that `mine` marks.
    ///
    /// # Panics
    /// When the cycle is empty or names a target that `mine` does not know: both come from the same list.
    #[must_use]
    pub fn new(schedule: Schedule, cycle: &[u32], mine: &[bool], thread: u64, threads: u64) -> Self {
        assert!(!cycle.is_empty() && cycle.iter().all(|&target| (target as usize) < mine.len()));
        Self { schedule, cycle: cycle.into(), mine: mine.into(), thread, threads, next_number: 0 }
    }

    fn target_of(&self, number: u64) -> Option<u32> {
        if number % self.threads != self.thread {
            return None;
        }
        let target = turn(&self.cycle, number / self.threads, self.thread, self.threads);
        self.mine[target as usize].then_some(target)
    }
}

impl Iterator for Share {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let at_ns = self.schedule.next()?;
            let number = self.next_number;
            self.next_number += 1;
            if let Some(target) = self.target_of(number) {
                return Some(Arrival { at_ns, target, number });
            }
        }
    }
}

/// The target of a thread's `round`-th request.
#[must_use]
pub fn turn(cycle: &[u32], round: u64, thread: u64, threads: u64) -> u32 {
    let length = cycle.len() as u64;
    let offset = thread * length / threads.max(1);
    cycle[((round + offset) % length) as usize]
}

/// A cycle in which target `i` stands `weights[i]` times, spread as evenly as can be (smooth weighted
/// round robin), so that a heavy target does not come in one run. Common factors are divided out first.
#[must_use]
pub fn weighted_cycle(weights: &[u32]) -> Vec<u32> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let weights: Vec<i64> = weights.iter().map(|&weight| i64::from(weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0i64; weights.len()];
    (0..total).map(|_| next_of_cycle(&weights, &mut credit, total)).collect()
}

fn next_of_cycle(weights: &[i64], credit: &mut [i64], total: i64) -> u32 {
    let mut best = 0;
    for (index, weight) in weights.iter().enumerate() {
        credit[index] += weight;
        if credit[index] > credit[best] {
            best = index;
        }
    }
    credit[best] -= total;
    best as u32
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests;
