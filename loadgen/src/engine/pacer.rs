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
    /// nothing of the descriptor but readiness. Nobody reads it, so one that has expired stays ready.
    ready: UnixStream,
    /// Learnt: how late the system wakes this thread.
    delay_ns: u64,
}

impl Timer {
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let spec = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let ready = UnixStream::from_std(StdUnixStream::from(spec.try_clone()?))?;
        let timer = Self { spec, ready, delay_ns: AWAKE_MAX_NS / 2 };
        timer.arm(1)?;
        Ok(timer)
    }

    /// Always goes through the ring once, however near the moment: the connections need their turn.
    async fn wait_until(&mut self, due_ns: u64, lane: &Lane, context: &Context) -> io::Result<()> {
        let margin_ns = (self.delay_ns + self.delay_ns / 4).min(AWAKE_MAX_NS);
        let wake_ns = due_ns.saturating_sub(margin_ns);
        let now_ns = context.now_ns();
        if now_ns < wake_ns {
            self.arm(wake_ns - now_ns)?;
            self.expired(lane, context).await?;
            self.learn(context.now_ns().saturating_sub(wake_ns));
        }
        self.stay_awake_until(due_ns, lane, context).await
    }

    fn arm(&self, sleep_ns: u64) -> io::Result<()> {
        let sleep = Duration::from_nanos(sleep_ns);
        let it_value = Timespec::try_from(sleep).map_err(io::Error::other)?;
        let once = Itimerspec { it_interval: Timespec::default(), it_value };
        timerfd_settime(&self.spec, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    /// Waits for the timer, or for the end of the run. False where there was nothing to wait for.
    async fn expired(&self, lane: &Lane, context: &Context) -> io::Result<bool> {
        let mut readable = pin!(self.ready.readable(false));
        let mut waited = false;
        poll_fn(|task| {
            if context.is_stopping() {
                return Poll::Ready(Ok(true));
            }
            lane.set_pacer(task.waker());
            match readable.as_mut().poll(task) {
                Poll::Ready(ready) => Poll::Ready(ready.map(|()| waited)),
                Poll::Pending => {
                    waited = true;
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Turns the ring over until a moment. A turn that brought nothing was spun.
    async fn stay_awake_until(&self, due_ns: u64, lane: &Lane, context: &Context) -> io::Result<()> {
        let mut from = (context.now_ns(), context.moves());
        loop {
            // The timer has expired: the ring says so at once, and brings what else there is. Without a ring there is
            // nothing to wait for, and it is the other tasks' turn.
            if !self.expired(lane, context).await? {
                others().await;
            }
            let to = (context.now_ns(), context.moves());
            let idle = to.1 == from.1;
            if idle {
                context.spun(to.0 - from.0);
            }
            if to.0 >= due_ns || context.is_stopping() {
                return Ok(());
            }
            from = to;
            if idle {
                // The server may share this core.
                yield_now();
                from.0 = context.now_ns();
            }
        }
    }

    fn learn(&mut self, late_ns: u64) {
        let late_ns = late_ns.min(2 * AWAKE_MAX_NS);
        self.delay_ns = (self.delay_ns * (MEMORY - 1) + late_ns) / MEMORY;
    }
}

/// Lets all other tasks run.
async fn others() {
    let mut done = false;
    poll_fn(|task| {
        if done {
            return Poll::Ready(());
        }
        done = true;
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
