//! Who is connected to the admin API, and who has to go where all places are taken.
//!
//! There are few places, and a place is taken before anybody has shown a token: a hundred connections that say nothing
//! must not keep a scraper or a probe of `/healthz` out until they time out. So the newest comes in, and the one that has
//! waited longest between two requests, or for its first, is cut. One whose request is being answered never is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::task::AbortHandle;

/// The connections that are open.
#[derive(Debug)]
pub(super) struct Guests {
    began: Instant,
    all: VecDeque<(Guest, AbortHandle)>,
}

/// One connection.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    began: Instant,
    /// Milliseconds from `began` until it last had nothing to do; [`BUSY`] while its request is answered.
    idle_since_ms: Arc<AtomicU64>,
}

const BUSY: u64 = u64::MAX;

impl Guests {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), all: VecDeque::new() }
    }

    /// One more, who has said nothing yet.
    pub(super) fn guest(&self) -> Guest {
        let guest = Guest { began: self.began, idle_since_ms: Arc::default() };
        guest.rests();
        guest
    }

    /// It is served by this task.
    pub(super) fn seat(&mut self, guest: Guest, task: AbortHandle) {
        self.all.retain(|(_, task)| !task.is_finished());
        self.all.push_back((guest, task));
    }

    /// Makes room: cuts whoever has had nothing to do for longest. Nobody where all are being answered.
    pub(super) fn show_out(&mut self) {
        self.all.retain(|(_, task)| !task.is_finished());
        let idle = self.all.iter().filter(|(guest, _)| guest.idle_since_ms.load(Relaxed) != BUSY);
        if let Some((_, task)) = idle.min_by_key(|(guest, _)| guest.idle_since_ms.load(Relaxed)) {
            task.abort();
        }
    }
}

impl Guest {
    fn rests(&self) {
        let since_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(BUSY - 1);
        self.idle_since_ms.store(since_ms, Relaxed);
    }
}

/// Notes that a connection's request is being answered.
pub(super) async fn attend(State(guest): State<Guest>, request: Request, next: Next) -> Response {
    guest.idle_since_ms.store(BUSY, Relaxed);
    let response = next.run(request).await;
    guest.rests();
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_rested_longest_goes_and_nobody_who_is_being_answered() {
        let mut guests = Guests::new();
        let tasks: Vec<_> = (0..3).map(|_| tokio::spawn(std::future::pending::<()>())).collect();
        for (task, since_ms) in tasks.iter().zip([BUSY, 7, 5]) {
            let guest = guests.guest();
            guest.idle_since_ms.store(since_ms, Relaxed);
            guests.seat(guest, task.abort_handle());
        }
        let mut left = Vec::new();
        for _ in 0..3 {
            guests.show_out();
            tokio::task::yield_now().await;
            left.push(tasks.iter().map(|task| !task.is_finished()).collect::<Vec<_>>());
        }
        assert_eq!(left, [[true, true, false], [true, false, false], [true, false, false]]);
    }
}
