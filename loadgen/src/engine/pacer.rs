//! The pacer of a lane: it wakes up when an order is due and hands it to a free connection.
//!
//! The runtime's timers are a millisecond coarse, so the pacer sleeps on a timerfd, a little less than the
//! wait, and spins the rest. How much less it learns from how late it woke; it never spins more than a
//! quarter of the distance between two sends, so that waiting does not become the work.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use monoio::net::UnixStream;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::context::Context;
use super::lane::Lane;

/// The most that is spun before a send.
const SPIN_MAX_NS: u64 = 60_000;
/// Share of a new observation in the learnt wake-up delay: one in this many.
const MEMORY: u64 = 8;

/// Gives out the orders of a lane in time, until there are none left.
///
/// # Errors
/// When the system gives no timer.
pub async fn pace(lane: Rc<Lane>, context: Rc<Context>) -> io::Result<()> {
    let mut timer = Timer::new()?;
    while let Some(due_ns) = lane.next_due_ns() {
        timer.sleep_until(due_ns, &lane, &context).await?;
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
    last_due_ns: u64,
}

impl Timer {
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let spec = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let ready = UnixStream::from_std(StdUnixStream::from(spec.try_clone()?))?;
        Ok(Self { spec, ready, delay_ns: SPIN_MAX_NS / 2, last_due_ns: 0 })
    }

    /// Always goes through the ring once, however near the moment: the connections need their turn.
    async fn sleep_until(&mut self, due_ns: u64, lane: &Lane, context: &Context) -> io::Result<()> {
        let gap_ns = due_ns.saturating_sub(self.last_due_ns);
        self.last_due_ns = due_ns;
        let margin_ns = (self.delay_ns + self.delay_ns / 4).min(SPIN_MAX_NS).min(gap_ns / 4);
        let wake_ns = due_ns - margin_ns.min(due_ns);
        let now_ns = context.now_ns();
        let sleep_ns = wake_ns.saturating_sub(now_ns);
        self.arm(sleep_ns.max(1))?;
        self.expired(lane, context).await?;
        if sleep_ns > 0 {
            self.learn(context.now_ns().saturating_sub(wake_ns));
        }
        if !context.is_stopping() && context.now_ns() + SPIN_MAX_NS >= due_ns {
            context.spin_until(due_ns);
        }
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
        let late_ns = late_ns.min(2 * SPIN_MAX_NS);
        self.delay_ns = (self.delay_ns * (MEMORY - 1) + late_ns) / MEMORY;
    }
}
