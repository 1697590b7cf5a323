//! The pacer of a lane: it wakes up when an order is due and hands it to a free connection.
//!
//! The runtime's timers are a millisecond coarse, so the pacer sleeps on a timerfd, a little less than the
//! wait. How much less it learns from how late it woke. The rest it stays awake, and turns the ring over
//! and over: answers are taken in meanwhile, and who else wants the core may have it. Where the next send
//! is nearer than a wake-up takes it does not sleep at all: at a high rate, going to sleep and waking would
//! cost more than all requests do.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::thread::yield_now;
use std::time::Duration;

use monoio::net::UnixStream;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::context::Context;
use super::lane::Lane;

/// The longest that it stays awake for a send.
const AWAKE_MAX_NS: u64 = 60_000;
/// The runtime looks at its timers when it sleeps only: so often, though there be no time for sleep.
const SLEEPLESS_MAX_NS: u64 = 1_000_000;
/// Share of a new observation in the learnt wake-up delay: one in this many.
const MEMORY: u64 = 8;

/// Gives out the orders of a lane in time, until there are none left.
///
/// # Errors
/// When the system gives no timer.
pub async fn pace(lane: Rc<Lane>, context: Rc<Context>) -> io::Result<()> {
    let mut timer = Timer::new()?;
    while let Some(due_ns) = lane.next_due_ns() {
        timer.wait_until(due_ns, &lane, &context).await?;
        if lane.dispatch(context.now_ns()) {
            lane.free_again().await;
        }
        if context.now_ns() >= context.job.end_ns.saturating_add(context.job.grace_ns) {
            break;
        }
    }
    lane.finish();
    Ok(())
}

struct Timer {
    spec: OwnedFd,
    /// The same timer in the runtime. It knows no timerfd; of the types that it does know, this one asks
    /// nothing of the descriptor but readiness.
    ready: UnixStream,
    /// Learnt: how late the system wakes this thread.
    delay_ns: u64,
    /// When it last woke.
    woke_ns: u64,
}

impl Timer {
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let spec = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let ready = UnixStream::from_std(StdUnixStream::from(spec.try_clone()?))?;
        Ok(Self { spec, ready, delay_ns: AWAKE_MAX_NS / 2, woke_ns: 0 })
    }

    /// Always goes through the ring once, however near the moment: the connections need their turn.
    async fn wait_until(&mut self, due_ns: u64, lane: &Lane, context: &Context) -> io::Result<()> {
        let margin_ns = (self.delay_ns + self.delay_ns / 4).min(AWAKE_MAX_NS);
        let wake_ns = due_ns.saturating_sub(margin_ns);
        let now_ns = context.now_ns();
        if now_ns < wake_ns {
            self.sleep(wake_ns - now_ns, lane, context).await?;
            self.learn(self.woke_ns.saturating_sub(wake_ns));
        } else if now_ns - self.woke_ns.min(now_ns) > SLEEPLESS_MAX_NS {
            self.sleep(1, lane, context).await?;
        } else {
            next_turn().await;
        }
        stay_awake_until(due_ns, context).await;
        Ok(())
    }

    async fn sleep(&mut self, sleep_ns: u64, lane: &Lane, context: &Context) -> io::Result<()> {
        self.arm(sleep_ns)?;
        self.expired(lane, context).await?;
        self.woke_ns = context.now_ns();
        Ok(())
    }

    fn arm(&self, sleep_ns: u64) -> io::Result<()> {
        let sleep = Duration::from_nanos(sleep_ns);
        let it_value = Timespec::try_from(sleep).map_err(io::Error::other)?;
        let once = Itimerspec { it_interval: Timespec::default(), it_value };
        timerfd_settime(&self.spec, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    async fn expired(&self, lane: &Lane, context: &Context) -> io::Result<()> {
        let mut readable = pin!(self.ready.readable(false));
        poll_fn(|task| {
            if context.is_stopping() {
                return Poll::Ready(Ok(()));
            }
            lane.set_pacer(task.waker());
            readable.as_mut().poll(task)
        })
        .await
    }

    fn learn(&mut self, late_ns: u64) {
        let late_ns = late_ns.min(2 * AWAKE_MAX_NS);
        self.delay_ns = (self.delay_ns * (MEMORY - 1) + late_ns) / MEMORY;
    }
}

/// Turns the ring over until a moment. A turn that brought nothing was spun.
async fn stay_awake_until(due_ns: u64, context: &Context) {
    let mut from = (context.now_ns(), context.moves());
    while from.0 < due_ns && !context.is_stopping() {
        next_turn().await;
        let to = (context.now_ns(), context.moves());
        if to.1 == from.1 {
            context.spun(to.0 - from.0);
            // The server may share this core.
            yield_now();
            from = (context.now_ns(), to.1);
        } else {
            from = to;
        }
    }
}

/// Lets all other tasks run, and the ring be looked at.
async fn next_turn() {
    let mut turned = false;
    poll_fn(|task| {
        if turned {
            return Poll::Ready(());
        }
        turned = true;
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
