//! One sending thread's part in one run.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use monoio::time::sleep;

use super::connection::Connection;
use super::context::Context;
use super::crew::Crew;
use super::job::Job;
use super::lane::Lane;
use super::pacer::pace;
use super::seat::Seat;
use super::socket::Socket;
use super::tally::{Tally, ThreadState};
use crate::fault::Fault;

/// Distance of two tallies.
pub const TICK_NS: u64 = 250_000_000;
/// Connections that a thread opens at the same time before the run: more would overflow accept queues.
const OPENING_MAX: usize = 64;

/// How the coordinator ends a run: load on.
pub const GO: u8 = 0;
/// Begin nothing more, wait for the answers.
pub const FINISH: u8 = 1;
/// Break off.
pub const ABANDON: u8 = 2;

/// What a thread and the coordinator say to each other within one run.
#[derive(Debug)]
pub struct Wires {
    /// What the threads tell.
    pub reports: Sender<Report>,
    /// The start of the clock; closed when the run is not to be.
    pub start: Receiver<Instant>,
    /// Empty tallies.
    pub empty: Receiver<Box<Tally>>,
    /// [`GO`], [`FINISH`] or [`ABANDON`].
    pub stop: Arc<AtomicU8>,
}

/// What a thread tells.
#[derive(Debug)]
pub enum Report {
    /// Its connections are open, or were tried.
    Ready(Opened),
    /// What it counted since the last time.
    Tally(Box<Tally>),
    /// It cannot go on.
    Broken(String),
}

/// What came of opening the connections.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// How many are open.
    pub open: usize,
    /// How many are not.
    pub failed: usize,
    /// Why one of them is not.
    pub fault: Option<Fault>,
}

/// Takes part in a run, from opening the connections to the last tally.
pub async fn take_part(job: Arc<Job>, thread: usize, wires: Wires) {
    let context = Rc::new(Context::new(job, thread));
    let mut connections = seat_all(&context);
    let opened = if context.job.keepalive { open_all(&mut connections).await } else { Opened::default() };
    // All tasks stand ready before the start, and none of them runs before this one waits in the runtime.
    let run = Run::begin(Rc::clone(&context), connections);
    if wires.reports.send(Report::Ready(opened)).is_err() {
        return context.stop();
    }
    // Waiting here stops the thread, which is right: nothing is to happen before the start.
    let Ok(epoch) = wires.start.recv() else { return context.stop() };
    context.set_zero(epoch);
    // What the thread had used before the start is not the run's. It is reported while there is still time for that.
    run.report(&wires, 0, false);
    context.await_zero();
    run.watch(&wires).await;
}

struct Placed {
    connection: Connection,
    socket: Option<Socket>,
}

fn seat_all(context: &Rc<Context>) -> Vec<Placed> {
    let mut placed = Vec::new();
    for (endpoint, settings) in context.job.endpoints.iter().enumerate() {
        let lane = Rc::new(Lane::new(Rc::clone(context), endpoint));
        let before: u32 = settings.connections[..context.thread].iter().sum();
        for number in 0..settings.connections[context.thread] {
            let connection = Connection {
                context: Rc::clone(context),
                lane: Rc::clone(&lane),
                seat: Rc::default(),
                endpoint,
                number: (before + number) as usize,
            };
            placed.push(Placed { connection, socket: None });
        }
    }
    placed
}

/// Opens all connections, some at a time.
async fn open_all(placed: &mut Vec<Placed>) -> Opened {
    let mut opened = Opened::default();
    let mut done = Vec::with_capacity(placed.len());
    let sweeper = Sweeper::start(placed);
    while !placed.is_empty() {
        let some = placed.split_off(placed.len().saturating_sub(OPENING_MAX));
        let tasks: Vec<_> = some.into_iter().map(|one| monoio::spawn(open_one(one))).collect();
        for task in tasks {
            let (one, fault) = task.await;
            opened.open += usize::from(fault.is_none());
            opened.failed += usize::from(fault.is_some());
            opened.fault = opened.fault.or(fault);
            done.push(one);
        }
    }
    sweeper.stop();
    *placed = done;
    opened
}

async fn open_one(mut placed: Placed) -> (Placed, Option<Fault>) {
    match placed.connection.open_early().await {
        Ok(socket) => {
            placed.socket = Some(socket);
            (placed, None)
        }
        Err(fault) => (placed, Some(fault)),
    }
}

/// Looks at deadlines while the connections are opened.
struct Sweeper {
    over: Rc<std::cell::Cell<bool>>,
}

impl Sweeper {
    fn start(placed: &[Placed]) -> Self {
        let over = Rc::new(std::cell::Cell::new(false));
        let seats: Vec<_> = placed.iter().map(|one| Rc::clone(&one.connection.seat)).collect();
        if let Some(first) = placed.first() {
            let (context, over) = (Rc::clone(&first.connection.context), Rc::clone(&over));
            monoio::spawn(async move {
                while !over.get() {
                    sleep(sweep_period(&context.job)).await;
                    seats.iter().for_each(|seat| seat.sweep(context.now_ns()));
                }
            });
        }
        Self { over }
    }

    fn stop(self) {
        self.over.set(true);
    }
}

fn sweep_period(job: &Job) -> Duration {
    Duration::from_nanos(job.timeout_ns / 20).clamp(Duration::from_millis(1), Duration::from_millis(50))
}

/// A thread at work.
struct Run {
    context: Rc<Context>,
    lanes: Vec<Rc<Lane>>,
    seats: Vec<Rc<Seat>>,
    crew: Rc<Crew>,
    pacers: Vec<monoio::task::JoinHandle<Result<(), String>>>,
    next_tick_ns: u64,
}

impl Run {
    fn begin(context: Rc<Context>, placed: Vec<Placed>) -> Self {
        let crew = Rc::new(Crew::default());
        let seats = placed.iter().map(|one| Rc::clone(&one.connection.seat)).collect();
        let mut lanes: Vec<Rc<Lane>> = Vec::new();
        for one in &placed {
            if !lanes.iter().any(|lane| Rc::ptr_eq(lane, &one.connection.lane)) {
                lanes.push(Rc::clone(&one.connection.lane));
            }
        }
        for one in placed {
            let crew = Rc::clone(&crew);
            crew.join();
            monoio::spawn(async move {
                one.connection.work(one.socket).await;
                crew.leave();
            });
        }
        let pacers = if context.job.load.is_some() { start_pacers(&lanes, &context) } else { Vec::new() };
        let first_tick = context.job.warmup_ns % TICK_NS;
        let next_tick_ns = if first_tick == 0 { TICK_NS } else { first_tick };
        Self { context, lanes, seats, crew, pacers, next_tick_ns }
    }

    /// Looks after deadlines, tallies and the end until all connections have gone home.
    async fn watch(mut self, wires: &Wires) {
        while !self.crew.is_empty() {
            self.rest().await;
            let now_ns = self.context.now_ns();
            self.seats.iter().for_each(|seat| seat.sweep(now_ns));
            self.obey(wires.stop.load(Ordering::Relaxed));
            if now_ns >= self.next_tick_ns {
                self.next_tick_ns += TICK_NS;
                self.report(wires, now_ns, false);
            }
        }
        self.end(wires).await;
    }

    /// Sleeps until the next look, but no longer than there is somebody to look after.
    async fn rest(&self) {
        let now_ns = self.context.now_ns();
        let tick = Duration::from_nanos(self.next_tick_ns.saturating_sub(now_ns));
        let mut sleeping = std::pin::pin!(sleep(sweep_period(&self.context.job).min(tick)));
        poll_fn(|task| {
            if self.crew.is_empty_or_wakes(task.waker()) {
                return Poll::Ready(());
            }
            sleeping.as_mut().poll(task)
        })
        .await;
    }

    fn obey(&self, stop: u8) {
        if stop >= FINISH && !self.context.is_stopping() {
            self.context.stop();
            for lane in &self.lanes {
                lane.wake_pacer();
                lane.finish();
            }
        }
        if stop >= ABANDON {
            self.seats.iter().for_each(|seat| seat.abandon());
        }
    }

    async fn end(mut self, wires: &Wires) {
        let broken_off = self.context.is_stopping();
        self.context.stop();
        self.lanes.iter().for_each(|lane| lane.wake_pacer());
        for pacer in std::mem::take(&mut self.pacers) {
            if let Err(error) = pacer.await {
                let _ = wires.reports.send(Report::Broken(error));
            }
        }
        let now_ns = self.context.now_ns();
        let until_ns = if broken_off { now_ns.min(self.context.job.end_ns) } else { self.context.job.end_ns };
        self.lanes.iter().for_each(|lane| lane.count_dropped(until_ns));
        self.report(wires, until_ns, true);
    }

    /// A coordinator that is slow (its terminal may be) must not hold up the load: what does not go now goes
    /// with the next report.
    fn report(&self, wires: &Wires, until_ns: u64, last: bool) {
        if wires.reports.is_full() && !last {
            return;
        }
        self.lanes.iter().for_each(|lane| lane.count_scheduled(until_ns));
        let empty = wires.empty.try_recv().unwrap_or_default();
        let mut tally = self.context.take_tally(empty);
        tally.thread = ThreadState { last, ..super::clock::measure(tally.thread) };
        // The coordinator waits for the last tally, so it listens.
        let _ = wires.reports.send(Report::Tally(tally));
    }
}

fn start_pacers(
    lanes: &[Rc<Lane>],
    context: &Rc<Context>,
) -> Vec<monoio::task::JoinHandle<Result<(), String>>> {
    let start = |lane: &Rc<Lane>| {
        let (lane, context) = (Rc::clone(lane), Rc::clone(context));
        monoio::spawn(async move {
            let result = pace(Rc::clone(&lane), context).await;
            // Without its pacer a lane stands still: send the connections home, so that the run ends.
            lane.finish();
            result.map_err(|error| format!("the send timer failed: {error}"))
        })
    };
    lanes.iter().map(start).collect()
}
