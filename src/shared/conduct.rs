//! How a node behaves, as the workers see it at its answers: what ejects it at once, and what brings it back.
//!
//! Every worker writes here, and none waits. The state of one node is one word that only moves by compare-and-swap,
//! so of several threads that see the same failure one ejects, and of several that see the same end of an ejection
//! one sends the trial. All orderings are relaxed: the word guards no other memory, and the counters beside it are
//! hints (how often a node failed in a row) whose loss or doubling by a race moves an ejection by one request.
//!
//! ```text
//!   OPEN --strike--> until --time--> (until) --try_out--> until|TRIAL --good--> OPEN, or PROVEN where it starts slowly
//!                      ^                                       |                        |
//!                      +------------------bad------------------+        the control plane opens it
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::clock;
use crate::logic::limits::REFUSED_REST;
use crate::logic::outlier::{self, Policy};

const OPEN: u64 = 0;
/// Passed its trial; the control plane lets it in, with a growing share.
const PROVEN: u64 = u64::MAX;
/// The lowest bit: one request is out to see whether the node is well again. The others are the time in milliseconds.
const TRIAL: u64 = 1;
const REST_MS: u64 = REFUSED_REST.as_millis() as u64;

/// What the nodes of one backend share: how they are judged, and how many are out. Written by the control plane at a
/// reload; lives as long as the backend has its name.
#[derive(Debug, Default)]
pub struct Bench {
    /// 0 where nothing is ejected.
    consecutive_failures: AtomicU32,
    ejection_ms: AtomicU64,
    starts_slowly: AtomicU32,
    most: AtomicU32,
    ejected: AtomicU32,
}

impl Bench {
    /// How nodes are judged from now on; `None` ejects nobody. `nodes`: how many there are.
    pub fn set(&self, policy: Option<&Policy>, nodes: usize, starts_slowly: bool) {
        let most = policy.map_or(0, |policy| policy.ejected_most(nodes));
        let base = policy.map_or(Duration::ZERO, |policy| policy.ejection);
        self.ejection_ms.store(u64::try_from(base.as_millis()).unwrap_or(u64::MAX), Relaxed);
        self.starts_slowly.store(u32::from(starts_slowly), Relaxed);
        self.most.store(most, Relaxed);
        self.consecutive_failures.store(policy.map_or(0, |policy| policy.consecutive_failures), Relaxed);
    }

    /// Nodes that are out now.
    pub fn ejected(&self) -> u32 {
        self.ejected.load(Relaxed)
    }

    /// A place for one more, unless there are as many as may be.
    fn take(&self) -> bool {
        let most = self.most.load(Relaxed);
        let one_more = |ejected: u32| (ejected < most).then_some(ejected + 1);
        self.ejected.fetch_update(Relaxed, Relaxed, one_more).is_ok()
    }

    fn give_back(&self) {
        self.ejected.fetch_sub(1, Relaxed);
    }
}

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Takes requests.
    Open,
    /// Out, until this time on [`clock::now_ms`], and then until a trial has passed.
    Ejected {
        /// The end of the time.
        until_ms: u64,
    },
    /// Has passed its trial, and waits for [`Conduct::open`].
    Proven,
}

/// A node takes no request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Out;

/// One node's conduct.
#[derive(Debug, Default)]
pub struct Conduct {
    word: AtomicU64,
    in_a_row: AtomicU32,
    /// Ejections in a row: each lasts longer.
    times: AtomicU32,
    failures: AtomicU64,
    /// It took no connection: until when it is left alone; 0 for one that does.
    rests_until_ms: AtomicU64,
    bench: Arc<Bench>,
}

impl Conduct {
    /// Of a node of the backend that has this bench.
    pub fn new(bench: Arc<Bench>) -> Self {
        Self {
            word: AtomicU64::new(OPEN),
            in_a_row: AtomicU32::new(0),
            times: AtomicU32::new(0),
            failures: AtomicU64::new(0),
            rests_until_ms: AtomicU64::new(0),
            bench,
        }
    }

    /// May a request be sent there? One relaxed load for a node that behaves.
    pub fn admits(&self) -> bool {
        match self.word.load(Relaxed) {
            OPEN => true,
            PROVEN => false,
            word => word & TRIAL == 0 && word <= clock::now_ms() << 1,
        }
    }

    /// Where it stands.
    pub fn standing(&self) -> Standing {
        match self.word.load(Relaxed) {
            OPEN => Standing::Open,
            PROVEN => Standing::Proven,
            word => Standing::Ejected { until_ms: word >> 1 },
        }
    }

    /// Requests that it failed since it exists.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Ejections in a row.
    pub fn times(&self) -> u32 {
        self.times.load(Relaxed)
    }

    /// A request is about to be sent. True where it is the trial of an ejected node: then exactly one of
    /// [`Self::good`], [`Self::bad`] and [`Self::undecided`] must be told so.
    pub fn try_out(&self) -> bool {
        let word = self.word.load(Relaxed);
        word != OPEN
            && word != PROVEN
            && word & TRIAL == 0
            && word <= clock::now_ms() << 1
            && self.word.compare_exchange(word, word | TRIAL, Relaxed, Relaxed).is_ok()
    }

    /// A request is about to be sent. Its trial is known by it: as [`Self::try_out`]. `Err` where the node is out, and
    /// another thread's request tries it since it was looked at: this one belongs elsewhere.
    ///
    /// # Errors
    /// [`Out`], as above.
    pub fn enter(&self) -> Result<bool, Out> {
        if self.word.load(Relaxed) == OPEN {
            return Ok(false);
        }
        if self.try_out() { Ok(true) } else { Err(Out) }
    }

    /// A request was answered as it should be.
    pub fn good(&self, trial: bool) {
        // Read before it is written: the line stays shared between the workers of a node that behaves.
        if self.in_a_row.load(Relaxed) != 0 {
            self.in_a_row.store(0, Relaxed);
        }
        if trial && self.bench.starts_slowly.load(Relaxed) == 0 {
            self.open();
        } else if trial {
            let word = self.word.load(Relaxed);
            // An operator may have let it in meanwhile: then there is nothing to prove.
            if word & TRIAL == TRIAL {
                let _ = self.word.compare_exchange(word, PROVEN, Relaxed, Relaxed);
            }
        }
    }

    /// A request was failed by the node.
    pub fn bad(&self, trial: bool) {
        self.failures.fetch_add(1, Relaxed);
        if trial {
            return self.extend();
        }
        let limit = self.bench.consecutive_failures.load(Relaxed);
        if limit != 0 && self.in_a_row.fetch_add(1, Relaxed) + 1 >= limit {
            self.eject();
        }
    }

    /// A trial came to nothing: its client left. The next request is another one.
    pub fn undecided(&self) {
        let word = self.word.load(Relaxed);
        if word != PROVEN && word & TRIAL == TRIAL {
            let _ = self.word.compare_exchange(word, word & !TRIAL, Relaxed, Relaxed);
        }
    }

    /// Ejects it, unless it is out already or too many others are. True where it did.
    pub fn eject(&self) -> bool {
        if self.word.load(Relaxed) != OPEN || !self.bench.take() {
            return false;
        }
        let ejected = self.word.compare_exchange(OPEN, self.end(1), Relaxed, Relaxed).is_ok();
        if ejected {
            self.times.fetch_add(1, Relaxed);
        } else {
            self.bench.give_back();
        }
        ejected
    }

    /// Lets it in, whatever it was. True where it was out.
    pub fn open(&self) -> bool {
        self.in_a_row.store(0, Relaxed);
        let was_out = self.word.swap(OPEN, Relaxed) != OPEN;
        if was_out {
            self.bench.give_back();
        }
        was_out
    }

    /// It took no connection. For [`REFUSED_REST`] it is asked only where all others rest too, and then by one request
    /// first: a place on a node that refuses is free again at once, and would draw in all that wait.
    pub fn refused(&self) {
        self.rests_until_ms.store(clock::now_ms().saturating_add(REST_MS).max(1), Relaxed);
    }

    /// It took one.
    pub fn connected(&self) {
        if self.rests_until_ms.load(Relaxed) != 0 {
            self.rests_until_ms.store(0, Relaxed);
        }
    }

    /// Has it not refused a connection of late? One relaxed load for a node that takes them.
    pub fn is_awake(&self) -> bool {
        match self.rests_until_ms.load(Relaxed) {
            0 => true,
            until_ms => until_ms <= clock::now_ms(),
        }
    }

    /// A request is about to be sent there. After a rest, true for one of them: what becomes of it decides.
    pub fn may_knock(&self) -> bool {
        let until_ms = self.rests_until_ms.load(Relaxed);
        if until_ms == 0 {
            return true;
        }
        let now_ms = clock::now_ms();
        let next_ms = now_ms.saturating_add(REST_MS);
        until_ms <= now_ms
            && self.rests_until_ms.compare_exchange(until_ms, next_ms, Relaxed, Relaxed).is_ok()
    }

    /// It has behaved for a while: the next ejection is shorter again.
    pub fn forgive(&self) {
        let _ = self.times.fetch_update(Relaxed, Relaxed, |times| times.checked_sub(1));
    }

    /// How long the last ejection was.
    pub fn last_ejection(&self) -> Duration {
        outlier::ejection(Duration::from_millis(self.bench.ejection_ms.load(Relaxed)), self.times())
    }

    /// The trial failed: out for longer.
    fn extend(&self) {
        let word = self.word.load(Relaxed);
        if word != PROVEN
            && word & TRIAL == TRIAL
            && self.word.compare_exchange(word, self.end(1), Relaxed, Relaxed).is_ok()
        {
            self.times.fetch_add(1, Relaxed);
        }
    }

    /// The word of an ejection that begins now, `more` beyond those that there were.
    fn end(&self, more: u32) -> u64 {
        let base = Duration::from_millis(self.bench.ejection_ms.load(Relaxed));
        let lasts = outlier::ejection(base, self.times().saturating_add(more));
        let lasts_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX >> 8);
        clock::now_ms().saturating_add(lasts_ms).min(u64::MAX >> 2) << 1
    }
}

impl Drop for Conduct {
    /// A node that goes while it is out leaves its place to another.
    fn drop(&mut self) {
        self.open();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn bench(nodes: usize, ejection_ms: u64, starts_slowly: bool) -> Arc<Bench> {
        let bench = Arc::new(Bench::default());
        let policy = Policy {
            consecutive_failures: 3,
            failure_rate: 5000,
            ejection: Duration::from_millis(ejection_ms),
            max_ejected: 5000,
        };
        bench.set(Some(&policy), nodes, starts_slowly);
        bench
    }

    fn strike(conduct: &Conduct, times: usize) {
        (0..times).for_each(|_| conduct.bad(false));
    }

    #[test]
    fn failures_in_a_row_eject_and_a_good_answer_breaks_the_row() {
        let conduct = Conduct::new(bench(2, 60_000, false));
        strike(&conduct, 2);
        conduct.good(false);
        strike(&conduct, 2);
        assert!(conduct.admits());
        strike(&conduct, 1);
        assert!(!conduct.admits());
        assert!(!conduct.try_out(), "its time has not passed");
    }

    #[test]
    fn no_more_than_may_be_are_out_and_one_that_goes_makes_room() {
        let bench = bench(3, 60_000, false);
        let (first, second) = (Conduct::new(bench.clone()), Conduct::new(bench.clone()));
        strike(&first, 3);
        strike(&second, 3);
        assert!(!first.admits() && second.admits());
        drop(first);
        assert_eq!(bench.ejected(), 0);
        strike(&second, 1);
        assert!(!second.admits());
    }

    #[test]
    fn without_a_policy_nobody_is_ejected() {
        let conduct = Conduct::default();
        strike(&conduct, 1000);
        assert!(conduct.admits() && !conduct.eject());
    }

    #[test]
    fn one_trial_at_a_time_decides() {
        // An ejection of no time at all: its end is now.
        let conduct = Conduct::new(bench(2, 0, false));
        strike(&conduct, 3);
        assert!(conduct.admits());
        assert!(conduct.try_out());
        assert!(!conduct.admits() && !conduct.try_out(), "a second trial");
        conduct.undecided();
        assert!(conduct.try_out());
        conduct.bad(true);
        assert_eq!(conduct.times(), 2);
        assert!(conduct.try_out());
        conduct.good(false);
        assert!(!conduct.admits(), "an old request's answer is not the trial's");
        conduct.good(true);
        assert_eq!(conduct.standing(), Standing::Open);
        assert_eq!(conduct.bench.ejected(), 0);
    }

    /// Every thread has looked, and may send. One request goes to the ejected node.
    #[test]
    fn of_many_that_come_at_once_one_tries_an_ejected_node() {
        let conduct = Conduct::new(bench(2, 0, false));
        strike(&conduct, 3);
        for _ in 0..2_000 {
            let start = Barrier::new(4);
            let come = || {
                start.wait();
                conduct.admits().then(|| conduct.enter())
            };
            let entered: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(come)).collect();
                threads.into_iter().filter_map(|thread| thread.join().expect("it came")).collect()
            });
            assert_eq!(entered.iter().filter(|&&entry| entry == Ok(true)).count(), 1, "{entered:?}");
            assert!(!entered.contains(&Ok(false)), "an ordinary request to an ejected node: {entered:?}");
            conduct.undecided();
        }
    }

    #[test]
    fn one_that_starts_slowly_waits_for_the_control_plane() {
        let conduct = Conduct::new(bench(2, 0, true));
        strike(&conduct, 3);
        assert!(conduct.try_out());
        conduct.good(true);
        assert_eq!(conduct.standing(), Standing::Proven);
        assert!(!conduct.admits() && !conduct.try_out());
        assert!(conduct.open());
        assert!(conduct.admits());
    }

    #[test]
    fn an_operator_who_opens_it_in_a_trial_is_not_overruled() {
        let conduct = Conduct::new(bench(2, 0, true));
        strike(&conduct, 3);
        assert!(conduct.try_out());
        conduct.open();
        conduct.good(true);
        assert_eq!(conduct.standing(), Standing::Open);
        conduct.bad(true);
        assert_eq!(conduct.standing(), Standing::Open);
        assert_eq!(conduct.bench.ejected(), 0);
    }

    #[test]
    fn one_that_refused_is_left_alone_and_then_asked_by_one() {
        let conduct = Conduct::default();
        assert!(conduct.is_awake() && conduct.may_knock() && conduct.may_knock());
        conduct.refused();
        assert!(!conduct.is_awake() && !conduct.may_knock());
        let ends = std::time::Instant::now() + REFUSED_REST * 20;
        while !conduct.is_awake() {
            assert!(std::time::Instant::now() < ends, "it rests for ever");
            std::thread::sleep(REFUSED_REST / 20);
        }
        assert!(conduct.may_knock());
        assert!(!conduct.is_awake() && !conduct.may_knock(), "a second one");
        conduct.connected();
        assert!(conduct.is_awake() && conduct.may_knock() && conduct.may_knock());
    }

    #[test]
    fn threads_that_storm_it_leave_the_count_exact() {
        let bench = bench(8, 0, false);
        let nodes: Vec<_> = (0..8).map(|_| Conduct::new(bench.clone())).collect();
        let start = Barrier::new(4);
        std::thread::scope(|scope| {
            for thread in 0..4_usize {
                let (nodes, start, bench) = (&nodes, &start, &bench);
                scope.spawn(move || {
                    start.wait();
                    for round in 0..20_000_usize {
                        let node = &nodes[(round * 7 + thread) % nodes.len()];
                        let trial = node.try_out();
                        match (round + thread) % 5 {
                            0 if trial => node.undecided(),
                            0 | 1 => node.good(trial),
                            _ => node.bad(trial),
                        }
                        assert!(bench.ejected() <= 4, "too many are out");
                    }
                });
            }
        });
        let out = nodes.iter().filter(|node| node.standing() != Standing::Open).count();
        assert_eq!(bench.ejected() as usize, out);
        drop(nodes);
        assert_eq!(bench.ejected(), 0);
    }
}
