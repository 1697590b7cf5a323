//! Requests of this worker that wait for a node: who they are, and how places come to them (see `shared::queue`).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::logic::fault::Fault;
use crate::logic::queue::{DrainRate, Order, Standing, retry_after_s};
use crate::shared::mailbox::Mailbox;
use crate::shared::node::Node;
use crate::shared::queue::{Grant, Queue};
use crate::shared::report::{Durations, QueueCounts, new_durations};

/// All queues of one worker.
pub(crate) struct Queues {
    home: Rc<Home>,
    all: RefCell<Vec<Rc<LocalQueue>>>,
}

/// Which worker this is, and how to reach the others.
struct Home {
    worker: usize,
    workers: Vec<Mailbox>,
}

impl Queues {
    pub(crate) fn new(worker: usize, workers: Vec<Mailbox>) -> Rc<Self> {
        Rc::new(Self { home: Rc::new(Home { worker, workers }), all: RefCell::default() })
    }

    /// This worker's part of a queue.
    pub(crate) fn local(&self, shared: &Arc<Queue>) -> Rc<LocalQueue> {
        let mut all = self.all.borrow_mut();
        if let Some(known) = all.iter().find(|local| Arc::ptr_eq(&local.shared, shared)) {
            return Rc::clone(known);
        }
        let local = Rc::new(LocalQueue {
            shared: Arc::clone(shared),
            home: Rc::clone(&self.home),
            waiters: RefCell::default(),
            drain: Cell::default(),
            waits: RefCell::default(),
        });
        all.push(Rc::clone(&local));
        local
    }

    /// Takes in a place that another worker handed on.
    pub(crate) fn deliver(&self, Grant { queue, node }: Grant) {
        let local = self.local(&queue);
        if !local.take_in(&node) {
            local.hand_on(node);
        }
    }

    /// Forgets the queues of backends that are gone, once nobody waits in them.
    pub(crate) fn tidy(&self) {
        self.all.borrow_mut().retain(|local| Rc::strong_count(local) > 1);
    }

    /// How long requests have waited since the last call.
    pub(crate) fn take_waits(&self) -> Vec<QueueCounts> {
        let take = |local: &Rc<LocalQueue>| {
            let waits = local.waits.take()?;
            Some(QueueCounts { backend: Arc::clone(local.shared.backend()), waits })
        };
        self.all.borrow().iter().filter_map(take).collect()
    }
}

/// One queue, as one worker knows it.
pub(crate) struct LocalQueue {
    pub(crate) shared: Arc<Queue>,
    home: Rc<Home>,
    /// By ticket, the oldest first. None of them has a place yet.
    waiters: RefCell<VecDeque<Rc<Waiter>>>,
    drain: Cell<DrainRate>,
    waits: RefCell<Option<Durations>>,
}

struct Waiter {
    ticket: u64,
    granted: RefCell<Option<Arc<Node>>>,
    /// It has left: no node will come.
    let_go: Cell<bool>,
    /// `None` until it was polled once: before that its own task is the one that is running.
    waker: RefCell<Option<Waker>>,
}

impl Waiter {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl LocalQueue {
    /// Begins to wait. `Err`: there is no place in the queue.
    pub(crate) fn enter(self: &Rc<Self>) -> Result<Waiting, Fault> {
        let now_ms = self.shared.now_ms();
        let holding = self.shared.is_holding();
        let full = if holding { Fault::HoldFull } else { Fault::QueueFull };
        // What waits for a node to start says nothing of how fast it will be served.
        if !holding && !self.shared.settings().admits(&self.standing(now_ms)) {
            return Err(full);
        }
        let (_, patience) = self.shared.bounds();
        let ticket = self.shared.enter(self.home.worker, now_ms).ok_or(full)?;
        let waiter = Rc::new(Waiter {
            ticket,
            granted: RefCell::default(),
            let_go: Cell::default(),
            waker: RefCell::default(),
        });
        self.waiters.borrow_mut().push_back(Rc::clone(&waiter));
        self.show();
        let queue = Rc::clone(self);
        Ok(Waiting { queue, waiter, began: Instant::now(), served: false, patience, holding })
    }

    /// Hands a place whose request has ended to the next one that waits, on whichever worker; or gives it back. A node that
    /// some have waited for gets one more with each that has ended.
    pub(crate) fn hand_on(&self, node: Arc<Node>) {
        if self.shared.is_holding() && self.shared.has_open() && node.claim_within(self.shared.room_on(&node))
        {
            self.pass(Arc::clone(&node));
        }
        self.pass(node);
    }

    /// Hands on a place that was waited for, by one who must not use it. True where nobody else waits: then it would be
    /// offered again at once.
    pub(crate) fn decline(&self, node: &Arc<Node>) -> bool {
        let alone = self.shared.waiting() == 0;
        self.hand_on(Arc::clone(node));
        alone
    }

    fn pass(&self, node: Arc<Node>) {
        loop {
            let called = if node.keeps_place() { self.call() } else { None };
            match called {
                Some(worker) if worker == self.home.worker => {
                    if self.take_in(&node) {
                        return;
                    }
                }
                Some(worker) => {
                    let grant = Grant { queue: Arc::clone(&self.shared), node: Arc::clone(&node) };
                    // A worker that is gone has nobody who waits: its seat is empty once all of it was called.
                    if self.home.workers[worker].grant(grant).is_ok() {
                        return;
                    }
                }
                None => {
                    if !self.shared.give_back(&node) {
                        return;
                    }
                }
            }
        }
    }

    /// Nobody shall wait here any longer: no node will come.
    pub(crate) fn let_go(&self) {
        for waiter in self.waiters.take() {
            waiter.let_go.set(true);
            self.shared.leave(self.home.worker, false);
            waiter.wake();
        }
        self.show();
    }

    /// Seconds until those who wait now are served.
    pub(crate) fn retry_after_s(&self) -> u32 {
        retry_after_s(&self.standing(self.shared.now_ms()))
    }

    fn call(&self) -> Option<usize> {
        if self.shared.waiting() == 0 {
            return None;
        }
        self.shared.call(self.order())
    }

    fn order(&self) -> Order {
        if self.shared.is_holding() {
            return Order::Oldest;
        }
        self.shared.settings().order(&self.standing(self.shared.now_ms()))
    }

    fn standing(&self, now_ms: u64) -> Standing {
        let mut drain = self.drain.get();
        let shared = &self.shared;
        let timeout = shared.settings().timeout;
        let drain_per_s = drain.observe(shared.granted(), now_ms, shared.busy_since_ms(), timeout);
        self.drain.set(drain);
        shared.standing(now_ms, drain_per_s)
    }

    /// Gives a place to one of this worker's requests. False where none is left of the one that was called.
    fn take_in(&self, node: &Arc<Node>) -> bool {
        let order = self.order();
        let mut waiters = self.waiters.borrow_mut();
        let next = if order == Order::Oldest { waiters.pop_front() } else { waiters.pop_back() };
        drop(waiters);
        let Some(waiter) = next else {
            self.shared.came_in_vain(self.home.worker);
            return false;
        };
        self.show();
        *waiter.granted.borrow_mut() = Some(Arc::clone(node));
        waiter.wake();
        true
    }

    /// Tells the other workers who waits here.
    fn show(&self) {
        let waiters = self.waiters.borrow();
        let ends = waiters.front().zip(waiters.back());
        self.shared.show(self.home.worker, ends.map(|(first, last)| (first.ticket, last.ticket)));
    }

    fn forget(&self, ticket: u64) {
        let mut waiters = self.waiters.borrow_mut();
        if let Ok(at) = waiters.binary_search_by_key(&ticket, |waiter| waiter.ticket) {
            waiters.remove(at);
        }
    }

    fn record(&self, wait_us: u64) {
        let mut waits = self.waits.borrow_mut();
        waits.get_or_insert_with(new_durations).saturating_record(wait_us.max(1));
    }
}

/// One request's wait. Dropping it leaves the queue; a place that came meanwhile goes on to the next.
pub(crate) struct Waiting {
    queue: Rc<LocalQueue>,
    waiter: Rc<Waiter>,
    began: Instant,
    served: bool,
    patience: Duration,
    /// For a node to start.
    holding: bool,
}

impl Waiting {
    /// How long it may wait.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// What has become of it where that is over.
    pub(crate) fn too_late(&self) -> Fault {
        if self.holding { Fault::HoldTimeout } else { Fault::QueueTimeout }
    }

    /// The node that has a place for this request, once there is one: the place is the caller's from then on. Or why there
    /// will be none.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<Arc<Node>, Fault>> {
        if let Some(node) = self.waiter.granted.take() {
            self.served = true;
            return Poll::Ready(Ok(node));
        }
        if self.waiter.let_go.get() {
            return Poll::Ready(Err(Fault::NoHealthyNode));
        }
        *self.waiter.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Self { queue, waiter, .. } = self;
        queue.record(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX));
        if waiter.let_go.get() {
            return;
        }
        let unused = waiter.granted.take();
        queue.shared.leave(queue.home.worker, self.served || unused.is_some());
        match unused {
            Some(node) => queue.hand_on(node),
            None if !self.served => {
                queue.forget(waiter.ticket);
                queue.show();
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    use super::*;
    use crate::logic::queue::QueueSettings;
    use crate::shared::mailbox::{Inbox, mailbox};
    use crate::shared::node::{NodeAddress, Origin};

    const SETTINGS: QueueSettings = QueueSettings { max: 12, timeout: Duration::from_secs(60) };

    fn node(port: u16, max: u32) -> Arc<Node> {
        let address = NodeAddress::Tcp(([127, 0, 0, 1], port).into());
        let node = Node::new("api".into(), address, Origin::Static);
        node.set_in_flight_max(max);
        Arc::new(node)
    }

    fn poll(waiting: &mut Waiting) -> Poll<Result<Arc<Node>, Fault>> {
        waiting.poll(&Context::from_waker(Waker::noop()))
    }

    /// One worker alone, with a node of one place that is taken.
    fn alone() -> (Rc<LocalQueue>, Arc<Node>) {
        let queues = Queues::new(0, vec![mailbox().unwrap().0]);
        let one = node(1, 1);
        assert!(one.claim() && !one.claim());
        (queues.local(&Arc::new(Queue::new("api".into(), SETTINGS))), one)
    }

    #[test]
    fn the_first_that_came_is_the_first_that_is_served() {
        let (queue, one) = alone();
        let mut waiting: Vec<_> = (0..3).map(|_| queue.enter().ok().unwrap()).collect();
        for at in 0..3 {
            queue.hand_on(Arc::clone(&one));
            let ready: Vec<_> = waiting.iter_mut().map(|waiting| poll(waiting).is_ready()).collect();
            assert_eq!(ready, (0..3).map(|other| other == at).collect::<Vec<_>>());
        }
        assert_eq!(one.in_flight(), 1);
        drop(waiting);
        queue.hand_on(Arc::clone(&one));
        assert_eq!((one.in_flight(), queue.shared.waiting(), queue.shared.granted()), (0, 0, 3));
    }

    #[test]
    fn who_leaves_is_passed_over_and_a_place_that_came_too_late_goes_on() {
        let (queue, one) = alone();
        let (first, second, mut third) =
            (queue.enter().ok().unwrap(), queue.enter().ok().unwrap(), queue.enter().ok().unwrap());
        drop(first);
        queue.hand_on(Arc::clone(&one));
        assert!(poll(&mut third).is_pending());
        // It has the place, and does not know it.
        drop(second);
        assert!(poll(&mut third).is_ready());
        assert_eq!((one.in_flight(), queue.shared.waiting()), (1, 1));
    }

    #[test]
    fn who_is_let_go_leaves_and_whoever_comes_then_is_served() {
        let (queue, one) = alone();
        let mut waiting: Vec<_> = (0..2).map(|_| queue.enter().ok().unwrap()).collect();
        queue.let_go();
        assert!(
            waiting.iter_mut().all(|waiting| matches!(poll(waiting), Poll::Ready(Err(Fault::NoHealthyNode))))
        );
        // A place that comes before they know it finds nobody.
        queue.hand_on(Arc::clone(&one));
        drop(waiting);
        assert_eq!((one.in_flight(), queue.shared.waiting(), queue.shared.has_open()), (0, 0, false));
        let mut next = queue.enter().ok().unwrap();
        assert!(one.claim());
        queue.hand_on(Arc::clone(&one));
        assert!(matches!(poll(&mut next), Poll::Ready(Ok(_))));
    }

    #[test]
    fn the_queue_has_its_size_and_a_node_that_takes_no_more_hands_on_nothing() {
        let (queue, one) = alone();
        let mut waiting: Vec<_> = (0..SETTINGS.max).map(|_| queue.enter().ok().unwrap()).collect();
        assert!(queue.enter().is_err());
        one.set_in_flight_max(0);
        queue.hand_on(Arc::clone(&one));
        assert!(waiting.iter_mut().all(|waiting| poll(waiting).is_pending()));
        assert_eq!(one.in_flight(), 0);
    }

    /// What one worker of the storm has at hand.
    struct Sailor<'a> {
        queues: Rc<Queues>,
        queue: Rc<LocalQueue>,
        inbox: Inbox,
        nodes: &'a [Arc<Node>],
        holding: Vec<Arc<Node>>,
        waiting: Vec<Waiting>,
        random: u64,
        served: usize,
    }

    impl Sailor<'_> {
        fn draw(&mut self, below: usize) -> usize {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.random >> 33) as usize % below
        }

        fn arrive(&mut self) {
            let claimed = (self.queue.shared.waiting() == 0).then(|| self.claim()).flatten();
            if let Some(node) = claimed {
                return self.holding.push(node);
            }
            self.waiting.extend(self.queue.enter().ok());
            while self.queue.shared.has_open() {
                let Some(node) = self.claim() else { break };
                self.queue.hand_on(node);
            }
        }

        fn claim(&self) -> Option<Arc<Node>> {
            self.nodes.iter().find(|node| node.claim()).cloned()
        }

        fn look(&mut self) {
            self.inbox.silence();
            while let Some(grant) = self.inbox.next_grant() {
                self.queues.deliver(grant);
            }
            let mut at = 0;
            while at < self.waiting.len() {
                match poll(&mut self.waiting[at]) {
                    Poll::Ready(node) => {
                        self.holding.push(node.expect("nobody is let go"));
                        drop(self.waiting.swap_remove(at));
                        self.served += 1;
                    }
                    Poll::Pending => at += 1,
                }
            }
            for node in self.nodes {
                assert!(node.in_flight() <= 3, "{}", node.in_flight());
            }
        }

        fn step(&mut self) {
            match self.draw(8) {
                0..4 => self.arrive(),
                4..7 if !self.holding.is_empty() => {
                    let at = self.draw(self.holding.len());
                    let node = self.holding.swap_remove(at);
                    self.queue.hand_on(node);
                }
                7 if !self.waiting.is_empty() => {
                    let at = self.draw(self.waiting.len());
                    drop(self.waiting.swap_remove(at));
                }
                _ => {}
            }
            self.look();
        }
    }

    /// Four workers that come, go, and give up, without anybody who looks from time to time: a place that is lost leaves
    /// somebody waiting for ever. It fails where a grant that came in vain is not put back. It does not fail without the
    /// second look of `Queue::give_back`: there is nearly always another request that ends and makes up for it.
    #[test]
    fn a_storm_ends_with_every_place_free_and_nobody_waiting() {
        let mut served_in_all = 0;
        for seed in 0..40 {
            let nodes = [node(1, 3), node(2, 1)];
            let shared = Arc::new(Queue::new("api".into(), SETTINGS));
            let (mailboxes, inboxes): (Vec<_>, Vec<_>) = (0..4).map(|_| mailbox().unwrap()).unzip();
            let (calm, served) = (AtomicUsize::new(0), AtomicUsize::new(0));
            std::thread::scope(|scope| {
                for (worker, inbox) in inboxes.into_iter().enumerate() {
                    let (mailboxes, nodes, shared) = (mailboxes.clone(), &nodes, &shared);
                    let (calm, served) = (&calm, &served);
                    scope.spawn(move || {
                        let queues = Queues::new(worker, mailboxes);
                        let queue = queues.local(shared);
                        let random = seed * 4 + worker as u64;
                        let (holding, waiting) = (Vec::new(), Vec::new());
                        let mut sailor =
                            Sailor { queues, queue, inbox, nodes, holding, waiting, random, served: 0 };
                        (0..3000).for_each(|_| sailor.step());
                        let deadline = Instant::now() + Duration::from_secs(20);
                        let mut counted = false;
                        while calm.load(SeqCst) < 4 {
                            while let Some(node) = sailor.holding.pop() {
                                sailor.queue.hand_on(node);
                            }
                            sailor.look();
                            if sailor.waiting.is_empty() && sailor.holding.is_empty() && !counted {
                                calm.fetch_add(1, SeqCst);
                                counted = true;
                            }
                            let left = sailor.waiting.len();
                            assert!(Instant::now() < deadline, "seed {seed}: {left} wait for ever");
                        }
                        sailor.look();
                        served.fetch_add(sailor.served, SeqCst);
                    });
                }
            });
            let in_flight: u32 = nodes.iter().map(|node| node.in_flight()).sum();
            assert_eq!((in_flight, shared.waiting()), (0, 0), "seed {seed}");
            assert!(!shared.has_open(), "seed {seed}");
            let served = served.into_inner();
            eprintln!("seed {seed}: {served} served from the queue");
            served_in_all += served;
        }
        // Over all of them: one worker may well have run its course while another that held every place was not running.
        assert!(served_in_all > 4000, "{served_in_all} were served from the queue: no storm");
    }
}
