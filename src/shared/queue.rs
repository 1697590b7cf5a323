//! The queue of a backend, as far as workers share it: who has requests that wait, and who is called next.
//!
//! Every worker keeps its own waiting requests in order. What it shares is a *seat*: how many of them have not been
//! called yet, and the tickets of the first and the last. A place that becomes free is not freed: it is handed on, with
//! its claim, to one request on one worker. So nobody can slip in between, and exactly one is woken.
//!
//! **Nothing is missed.** A request that comes to wait says so first and looks for a free place then; a request that
//! ends gives its place back first and looks for somebody who waits then. All of these operations are sequentially
//! consistent, so at least one of the two sees the other. Whoever finds both a free place and somebody who waits brings
//! them together. A worker also looks from time to time, because places come from elsewhere too: a node that is new, or
//! serves again.
//!
//! **Nothing is lost.** A seat's `open` is its waiting requests less the grants on their way to it. To call one is to
//! take one off `open`; a request that leaves takes one off as well; a grant that finds nobody puts one back, and goes
//! on to the next. It is below zero for as long as more have left than had not been called.

mod holding;

use std::sync::atomic::{
    AtomicI64, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_utils::CachePadded;

pub use self::holding::{Alarm, Holding};
use super::node::Node;
use crate::logic::limits::WORKERS_MAX;
use crate::logic::queue::{Order, QueueSettings, Standing};
use crate::logic::scale::HoldSettings;

/// No ticket.
const NONE: u64 = u64::MAX;

/// See the module.
#[derive(Debug)]
pub struct Queue {
    backend: Arc<str>,
    /// What a reload may change; whoever waits keeps the place and the patience that it has.
    settings: ArcSwap<QueueSettings>,
    /// Of a backend whose nodes are started and stopped.
    holding: Option<Holding>,
    began: Instant,
    /// Requests that wait, those too that were called and do not know it yet.
    waiting: CachePadded<AtomicU32>,
    /// When it was empty last.
    busy_since_ms: AtomicU64,
    next_ticket: AtomicU64,
    /// Places that were handed to requests that waited.
    granted: AtomicU64,
    seats: Box<[OnceLock<Box<Seat>>]>,
    /// Seats are looked at up to here.
    seats_end: AtomicUsize,
}

/// One worker's share of a queue. On a cache line of its own: its worker writes it, the others read it.
#[derive(Debug, Default)]
struct Seat(CachePadded<SeatWords>);

#[derive(Debug)]
struct SeatWords {
    open: AtomicI64,
    oldest: AtomicU64,
    newest: AtomicU64,
}

impl Default for SeatWords {
    fn default() -> Self {
        Self { open: AtomicI64::new(0), oldest: AtomicU64::new(NONE), newest: AtomicU64::new(NONE) }
    }
}

/// A place on a node, claimed, on its way to a request that waits in this queue.
#[derive(Debug)]
pub struct Grant {
    /// Which queue.
    pub queue: Arc<Queue>,
    /// The node.
    pub node: Arc<Node>,
}

impl Queue {
    /// An empty one.
    pub fn new(backend: Arc<str>, settings: QueueSettings) -> Self {
        Self {
            backend,
            settings: ArcSwap::from_pointee(settings),
            holding: None,
            began: Instant::now(),
            waiting: CachePadded::default(),
            busy_since_ms: AtomicU64::new(0),
            next_ticket: AtomicU64::new(0),
            granted: AtomicU64::new(0),
            seats: (0..WORKERS_MAX).map(|_| OnceLock::new()).collect(),
            seats_end: AtomicUsize::new(0),
        }
    }

    /// Where requests wait for nodes to start, too.
    #[must_use]
    pub fn with(mut self, holding: Option<Holding>) -> Self {
        self.holding = holding;
        self
    }

    /// Name of its backend.
    pub fn backend(&self) -> &Arc<str> {
        &self.backend
    }

    /// What applies while nodes take requests.
    pub fn settings(&self) -> QueueSettings {
        **self.settings.load()
    }

    /// Where requests wait for nodes to start, too.
    pub fn holding(&self) -> Option<&Holding> {
        self.holding.as_ref()
    }

    /// Other settings from now on.
    pub fn set_settings(&self, settings: QueueSettings) {
        if settings != self.settings() {
            self.settings.store(Arc::new(settings));
        }
    }

    /// Do requests wait for a node to start, or are those who did not served yet?
    pub fn is_holding(&self) -> bool {
        self.holding.as_ref().is_some_and(Holding::applies)
    }

    /// Its backend has no node that takes requests any more, or has one again, which takes so many at once in the end.
    pub fn set_asleep(&self, asleep: bool, places: u32) {
        if let Some(holding) = &self.holding {
            holding.set_places(places);
            holding.set_asleep(asleep, self.waiting());
        }
    }

    /// How many requests this node may have in flight, beside its own limits: fewer for one that is just there, and that
    /// some have waited for.
    pub fn room_on(&self, node: &Node) -> u32 {
        self.holding
            .as_ref()
            .filter(|holding| holding.applies())
            .map_or(u32::MAX, |holding| holding.room_on(node))
    }

    /// How many may wait now, and for how long.
    pub fn bounds(&self) -> (u32, Duration) {
        match self.holding.as_ref().filter(|holding| holding.applies()) {
            Some(holding) => {
                let HoldSettings { max, timeout } = holding.settings();
                (max, timeout)
            }
            None => {
                let QueueSettings { max, timeout } = self.settings();
                (max, timeout)
            }
        }
    }

    /// Milliseconds since it exists: the clock that all workers share.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Requests that wait.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(SeqCst)
    }

    /// How it stands, but for how fast it drains.
    pub fn standing(&self, now_ms: u64, drain_per_s: Option<f64>) -> Standing {
        let waiting = self.waiting();
        let busy_ms = if waiting == 0 { 0 } else { now_ms.saturating_sub(self.busy_since_ms()) };
        Standing { waiting, busy_ms, drain_per_s }
    }

    /// When it was empty last.
    pub fn busy_since_ms(&self) -> u64 {
        self.busy_since_ms.load(Relaxed)
    }

    /// Places that were handed on, in all.
    pub fn granted(&self) -> u64 {
        self.granted.load(Relaxed)
    }

    /// A request of this worker begins to wait, if no more than may do; its ticket. [`Queue::leave`] must follow.
    pub fn enter(&self, worker: usize, now_ms: u64) -> Option<u64> {
        let (max, _) = self.bounds();
        let before = self.waiting.fetch_update(SeqCst, SeqCst, |now| (now < max).then_some(now + 1)).ok()?;
        if before == 0 {
            self.busy_since_ms.store(now_ms, Relaxed);
        }
        let ticket = self.next_ticket.fetch_add(1, Relaxed);
        self.seat(worker).open.fetch_add(1, SeqCst);
        if let (0, Some(holding)) = (before, &self.holding) {
            holding.first_came();
        }
        Some(ticket)
    }

    /// A request of this worker waits no longer: it was served with a grant, or it gave up without one.
    pub fn leave(&self, worker: usize, served: bool) {
        if served {
            self.granted.fetch_add(1, Relaxed);
        } else {
            self.seat(worker).open.fetch_sub(1, SeqCst);
        }
        if let (1, Some(holding)) = (self.waiting.fetch_sub(1, SeqCst), &self.holding) {
            holding.ran_empty();
        }
    }

    /// A grant came, and nobody was there for it.
    pub fn came_in_vain(&self, worker: usize) {
        self.seat(worker).open.fetch_add(1, SeqCst);
    }

    /// The tickets of this worker's first and last waiting request.
    pub fn show(&self, worker: usize, ends: Option<(u64, u64)>) {
        let (oldest, newest) = ends.unwrap_or((NONE, NONE));
        self.seat(worker).oldest.store(oldest, SeqCst);
        self.seat(worker).newest.store(newest, SeqCst);
    }

    /// Does anybody wait who was not called yet?
    pub fn has_open(&self) -> bool {
        self.waiting() > 0 && self.seats().any(|(_, seat)| seat.open.load(SeqCst) > 0)
    }

    /// Calls one request, and returns the worker that it is on: the caller owes it a grant.
    pub fn call(&self, order: Order) -> Option<usize> {
        if self.waiting() == 0 {
            return None;
        }
        loop {
            let open = self.seats().filter(|(_, seat)| seat.open.load(SeqCst) > 0);
            let (worker, seat) = match order {
                Order::Oldest => open.min_by_key(|(_, seat)| seat.oldest.load(SeqCst)),
                Order::Newest => open.max_by_key(|(_, seat)| seat.newest.load(SeqCst).wrapping_add(1)),
            }?;
            let called =
                seat.open.fetch_update(SeqCst, SeqCst, |open| (open > 0).then_some(open - 1)).is_ok();
            if called {
                return Some(worker);
            }
        }
    }

    /// Gives a place back that nobody may be waiting for. True: somebody is after all, and the place is claimed again for
    /// them.
    pub fn give_back(&self, node: &Node) -> bool {
        node.give_back();
        self.has_open() && node.claim()
    }

    fn seat(&self, worker: usize) -> &SeatWords {
        let seat = self.seats[worker].get_or_init(|| {
            self.seats_end.fetch_max(worker + 1, SeqCst);
            Box::default()
        });
        &seat.0
    }

    fn seats(&self) -> impl Iterator<Item = (usize, &SeatWords)> {
        let seats = self.seats[..self.seats_end.load(SeqCst)].iter().enumerate();
        seats.filter_map(|(worker, seat)| Some((worker, &*seat.get()?.0)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::shared::node::{NodeAddress, Origin};

    /// A queue, and a node whose only place is taken.
    fn taken() -> (Queue, Node) {
        let node = Node::new("api".into(), NodeAddress::Tcp(([127, 0, 0, 1], 1).into()), Origin::Static);
        node.set_in_flight_max(1);
        assert!(node.claim() && !node.claim());
        (Queue::new("api".into(), QueueSettings { max: 10, timeout: Duration::from_secs(1) }), node)
    }

    /// What a request does that comes to wait: it says so, and looks for a place then. True: it found one.
    fn come(queue: &Queue, node: &Node) -> bool {
        queue.enter(1, 0).expect("the queue has room");
        queue.has_open() && node.claim()
    }

    /// What a request does that ends, with `between` after it saw that nobody waits. True: somebody gets its place.
    fn end(queue: &Queue, node: &Node, between: impl FnOnce()) -> bool {
        let called = queue.call(Order::Oldest).is_some();
        between();
        called || queue.give_back(node)
    }

    #[test]
    fn one_that_comes_between_the_look_and_the_giving_back_is_seen() {
        let (queue, node) = taken();
        let mut found = true;
        assert!(end(&queue, &node, || found = come(&queue, &node)), "the place is free and somebody waits");
        assert!(!found);
        assert_eq!(node.in_flight(), 1);
    }

    /// The same on two threads, at every distance of the two: of a place that becomes free and a request that waits
    /// nobody is left alone, and the place is not given out twice. Both sides are needed; without the second look of
    /// `give_back`, or with the look of the one that comes before it says that it waits, this fails.
    #[test]
    fn a_place_and_a_request_that_meet_on_two_threads_find_each_other() {
        let rounds = 64 * 64;
        let worlds: Vec<_> = (0..rounds).map(|_| taken()).collect();
        let met = AtomicU32::new(0);
        // Both are running when it returns: a barrier of the system would wake the second one far too late.
        let meet = |round: usize| {
            met.fetch_add(1, SeqCst);
            let wanted = 2 * (round as u32 + 1);
            while met.load(SeqCst) < wanted {
                std::thread::yield_now();
            }
        };
        let pause = |spins: u32| (0..spins).for_each(|_| std::hint::spin_loop());
        let (kept, found) = std::thread::scope(|scope| {
            let ending = scope.spawn(|| {
                let one = |(at, (queue, node)): (usize, &(Queue, Node))| {
                    meet(at);
                    end(queue, node, || pause(at as u32 % 64))
                };
                worlds.iter().enumerate().map(one).collect::<Vec<_>>()
            });
            let coming = scope.spawn(|| {
                let one = |(at, (queue, node)): (usize, &(Queue, Node))| {
                    meet(at);
                    pause(at as u32 / 64 % 64);
                    come(queue, node)
                };
                worlds.iter().enumerate().map(one).collect::<Vec<_>>()
            });
            (ending.join().expect("ends"), coming.join().expect("ends"))
        });
        for (at, ((queue, node), (kept, found))) in worlds.iter().zip(kept.into_iter().zip(found)).enumerate()
        {
            assert!(kept || found, "round {at}: the place is free, and somebody waits for ever");
            assert!(!(kept && found), "round {at}: one place was given out twice");
            assert_eq!((node.in_flight(), queue.waiting()), (1, 1), "round {at}");
        }
    }
}
