//! The queue of a backend whose nodes are started and stopped, while none of them takes requests.
//!
//! Requests wait then with the limits of `scale.hold`, in their order, and go on doing so until the last of them is served:
//! a queue that stood still because nobody served is no overload.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Relaxed, SeqCst},
};

use arc_swap::ArcSwap;

use crate::logic::scale::{HoldSettings, hold};
use crate::shared::node::Node;

/// See the module.
#[derive(Debug)]
pub struct Holding {
    settings: ArcSwap<HoldSettings>,
    alarm: Alarm,
    /// No node takes requests.
    asleep: AtomicBool,
    /// It slept, and those who waited then are not served yet.
    lasts: AtomicBool,
    /// How many of those a node takes at once, in the end.
    places: AtomicU32,
}

/// Tells whoever starts nodes that a request has come to a backend that sleeps. Called by workers: must not wait.
#[derive(Clone)]
pub struct Alarm(Arc<dyn Fn() + Send + Sync>);

impl Alarm {
    /// Calls this.
    pub fn new(ring: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(ring))
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarm")
    }
}

impl Holding {
    /// Of a backend that is awake.
    pub fn new(settings: HoldSettings, alarm: Alarm) -> Self {
        let settings = ArcSwap::from_pointee(settings);
        Self {
            settings,
            alarm,
            asleep: AtomicBool::new(false),
            lasts: AtomicBool::new(false),
            places: AtomicU32::new(hold::RELEASE_DEFAULT),
        }
    }

    /// What applies while no node takes requests.
    pub fn settings(&self) -> HoldSettings {
        **self.settings.load()
    }

    /// Other settings from now on.
    pub fn set_settings(&self, settings: HoldSettings) {
        if settings != self.settings() {
            self.settings.store(Arc::new(settings));
        }
    }

    /// Sets how many of those that waited for it a node takes at once, in the end.
    pub(super) fn set_places(&self, places: u32) {
        self.places.store(places, Relaxed);
    }

    /// How many a node may have in flight now, where its limits apply.
    pub(super) fn room_on(&self, node: &Node) -> u32 {
        hold::room(self.places.load(Relaxed), node.ended_total())
    }

    /// Do its limits apply?
    pub(super) fn applies(&self) -> bool {
        self.lasts.load(SeqCst)
    }

    /// Its backend falls asleep or wakes, with so many requests waiting.
    pub(super) fn set_asleep(&self, asleep: bool, waiting: u32) {
        let slept = self.asleep.swap(asleep, SeqCst);
        if asleep {
            self.lasts.store(true, SeqCst);
            if waiting > 0 && !slept {
                (self.alarm.0)();
            }
        } else if waiting == 0 {
            self.lasts.store(false, SeqCst);
        }
    }

    /// A request has come to an empty queue.
    pub(super) fn first_came(&self) {
        if self.asleep.load(SeqCst) {
            (self.alarm.0)();
        }
    }

    /// Nobody waits any more. Where another request comes at this very moment, it waits with the limits of one side or
    /// the other: both are ours.
    pub(super) fn ran_empty(&self) {
        if !self.asleep.load(SeqCst) {
            self.lasts.store(false, SeqCst);
        }
    }
}
