//! Writes that were refused before they became an order: who asked for what, and why not.
//!
//! What becomes of an order stands in its own event (`writes`). Here are those that came without the token, from a foreign
//! page, to an API that takes no writes, or that make no sense. Whoever sends thousands of them must not push out what
//! else happened: so many a second are told one by one, and of the rest how many there were.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use super::writes::{Peer, shown};
use crate::logic::limits::AUDITED_REFUSALS_MAX;
use crate::shared::event::{Event, EventSender, Kind, Level};

const WINDOW: Duration = Duration::from_secs(1);

/// Of a response: its order has been told of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told;

/// Of a response: why it is a refusal, in the contract's word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reason(pub(super) &'static str);

/// Counts refusals in time.
#[derive(Debug)]
pub(super) struct Auditor {
    events: EventSender,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    count: u32,
    untold: u64,
}

impl Auditor {
    pub(super) fn new(events: EventSender) -> Arc<Self> {
        Arc::new(Self { events, window: Mutex::new(Window { began: Instant::now(), count: 0, untold: 0 }) })
    }

    fn tell(&self, what: &str, peer: SocketAddr, reason: &str) {
        let Some(untold) = self.window.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now())
        else {
            return;
        };
        let more =
            if untold > 0 { format!(" ({untold} refusals before it were not told)") } else { String::new() };
        let text = format!("{what}, by {peer}: refused: {reason}{more}");
        self.events.send(Event::now(Kind::Audit, Level::Warning, text));
    }
}

impl Window {
    /// May one more be told? Then how many were not since the last that was.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.began) >= WINDOW {
            (self.began, self.count) = (now, 0);
        }
        if self.count >= AUDITED_REFUSALS_MAX {
            self.untold += 1;
            return None;
        }
        self.count += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

/// Tells of a write that was refused, unless its order was told of.
pub(super) async fn audit(
    State(auditor): State<Arc<Auditor>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if !matches!(*request.method(), Method::POST | Method::PATCH | Method::PUT | Method::DELETE) {
        return next.run(request).await;
    }
    let what = format!("{} {}", request.method(), shown(request.uri().path()));
    let response = next.run(request).await;
    if response.status().as_u16() >= 400 && response.extensions().get::<Told>().is_none() {
        let reason =
            response.extensions().get::<Reason>().map_or("an answer without a reason", |reason| reason.0);
        auditor.tell(&what, peer, reason);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_in_part_and_counted_whole() {
        let began = Instant::now();
        let mut window = Window { began, count: 0, untold: 0 };
        let told = (0..1000).filter(|_| window.admit(began).is_some()).count();
        assert_eq!(told, AUDITED_REFUSALS_MAX as usize);
        let later = began + WINDOW;
        assert_eq!(window.admit(later), Some(1000 - u64::from(AUDITED_REFUSALS_MAX)));
        assert_eq!(window.admit(later), Some(0));
    }
}
