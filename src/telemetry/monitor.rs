//! The websocket monitor: what every viewer sees, encoded once, and what each asks for.
//!
//! ```text
//!   workers --reports--> collector --each second--> tick ----+
//!   workers --log tap-->  lines ----each 100 ms---> log -----+--> broadcast --> viewers, one task each
//!   all     --events-->   events -----------------> event ---+
//! ```
//!
//! Frames are encoded once and shared. A viewer that does not keep up loses frames: the broadcast channel holds
//! [`VIEWER_FRAMES_MAX`] for all of them together, and what a task holds beside that is the one frame that it writes.

mod conversation;
mod events;
mod lines;
mod next_step;
mod past;
mod snapshot;
mod tick;
mod topics;
mod viewer;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::admin::Admin;
use super::history::History;
use super::prometheus::MonitorNumbers;
use crate::logic::limits::{VIEWER_FRAMES_MAX, VIEWERS_MAX};
use events::EventRing;
use lines::LineRing;
use tick::Before;
use topics::Topics;

pub(super) use viewer::{configuration, view};

/// How often events and log lines are taken from their channels.
const PULSE: Duration = Duration::from_millis(100);
/// Pulses in a second.
const PULSES_PER_SECOND: u32 = 10;

/// What all viewers share; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Monitor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    admin: Arc<Admin>,
    frames: broadcast::Sender<Frame>,
    places: Arc<Semaphore>,
    viewers: AtomicUsize,
    frames_lost: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    history: History,
    events: EventRing,
    lines: LineRing,
    topics: Topics,
    before: Before,
    /// The fields of the newest tick as JSON, braces and all.
    tick: String,
    /// Made when somebody needs it, good until the next tick.
    snapshot: Option<Utf8Bytes>,
}

/// One message for every viewer.
#[derive(Debug, Clone)]
struct Frame {
    kind: FrameKind,
    text: Utf8Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FrameKind {
    Snapshot,
    Tick,
    Event,
}

/// A place among the viewers; counted while it exists.
#[derive(Debug)]
pub(super) struct Place {
    monitor: Monitor,
    _permit: OwnedSemaphorePermit,
}

impl Monitor {
    pub(super) fn new(admin: Arc<Admin>) -> Self {
        let (frames, _) = broadcast::channel(VIEWER_FRAMES_MAX);
        Self(Arc::new(Shared {
            admin,
            frames,
            places: Arc::new(Semaphore::new(VIEWERS_MAX)),
            viewers: AtomicUsize::new(0),
            frames_lost: AtomicU64::new(0),
            state: Mutex::default(),
        }))
    }

    /// Keeps everything up to date until it is dropped.
    pub(super) async fn run(&self) {
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for beat in 0_u32.. {
            pulse.tick().await;
            self.take_events();
            self.take_lines();
            if beat.is_multiple_of(PULSES_PER_SECOND) {
                self.second().await;
            }
        }
    }

    /// A place for one more viewer; `None` where there is none.
    pub(super) fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.0.places).try_acquire_owned().ok()?;
        self.0.viewers.fetch_add(1, Relaxed);
        self.0.admin.tap.set_watched(true);
        Some(Place { monitor: self.clone(), _permit: permit })
    }

    /// The newest events as JSON objects, oldest first: those behind `after`, of `kind` where one is given.
    pub(super) fn events(&self, after: u64, kind: Option<&str>, most: usize) -> Vec<String> {
        self.state().events.newest(after, kind, most)
    }

    /// What the metrics tell of it.
    pub(super) fn numbers(&self) -> MonitorNumbers {
        let (scale_events, cut) = {
            let state = self.state();
            (state.events.scale_events(), state.events.cut())
        };
        let admin = &self.0.admin;
        MonitorNumbers {
            viewers: self.viewers(),
            frames_lost: self.frames_lost(),
            events_dropped: admin.events.dropped(),
            lines_dropped: admin.tap.dropped(),
            scale_events,
            cut,
        }
    }

    /// Frames that viewers were too slow for.
    fn frames_lost(&self) -> u64 {
        self.0.frames_lost.load(Relaxed)
    }

    /// Viewers that are there now.
    fn viewers(&self) -> usize {
        self.0.viewers.load(Relaxed)
    }

    /// A tick, of which the history keeps a row whether anybody looks or not.
    async fn second(&self) {
        let admin = &self.0.admin;
        // All that happened until now is in this second, so that no second has too much and the next too little.
        admin.collector.flush().await;
        // And so are its lines: a cell of the heat map can be opened as soon as it is there.
        self.take_lines();
        let mut state = self.state();
        let changed = tick::close(self, &mut state);
        state.snapshot = None;
        if self.0.frames.receiver_count() == 0 {
            return;
        }
        let frame = if changed {
            Frame { kind: FrameKind::Snapshot, text: snapshot::frame(self, &mut state) }
        } else {
            let text = format!("{{\"v\":1,\"type\":\"tick\",{}", &state.tick[1..]);
            Frame { kind: FrameKind::Tick, text: text.into() }
        };
        let _ = self.0.frames.send(frame);
    }

    /// Takes in what has happened until now.
    pub(super) fn take_events(&self) {
        while let Ok(event) = self.0.admin.happened.try_recv() {
            let mut state = self.state();
            let fields = state.events.push(&event);
            state.snapshot = None;
            let text = format!("{{\"v\":1,\"type\":\"event\",{}", &fields[1..]);
            let _ = self.0.frames.send(Frame { kind: FrameKind::Event, text: text.into() });
        }
    }

    fn take_lines(&self) {
        let tap = &self.0.admin.tap;
        let mut fresh = lines::Fresh::default();
        while let Some(batch) = tap.take() {
            fresh.add(&batch);
        }
        let mut state = self.state();
        if state.topics.sweep() {
            tap.set_filters(state.topics.filters());
        }
        state.topics.publish(&fresh);
        state.lines.keep(fresh);
    }

    fn snapshot(&self) -> Utf8Bytes {
        snapshot::frame(self, &mut self.state())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let shared = &self.monitor.0;
        if shared.viewers.fetch_sub(1, Relaxed) == 1 {
            shared.admin.tap.set_watched(false);
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
