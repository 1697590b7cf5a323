//! What a backend's engine is asked to do, each in a task of its own: its answer comes back as news.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::group::{Group, News};
use super::knock;
use super::mate::{Errand, Mate, ticket};
use crate::control::fleet::{EngineError, Fleet, StartOrder, Steps, UnitId};
use crate::logic::limits::WARM_TIMEOUT;
use crate::logic::scale::lifecycle::Lifecycle;
use crate::logic::scale::processor::Processor;

/// Whom to call about a node, and where the answer goes.
struct Callee {
    ticket: u64,
    unit: UnitId,
    engine: Arc<dyn Fleet>,
    hand_in: mpsc::Sender<News>,
}

impl Group {
    /// One more node, of the spec in force.
    pub(super) fn start(&mut self, now: Duration) {
        let ticket = ticket();
        let order = StartOrder {
            backend: Arc::clone(&self.name),
            settings: Arc::clone(&self.spec.settings),
            fingerprint: Arc::clone(&self.spec.fingerprint),
            ticket,
            image: self.spec.image.clone(),
        };
        let (engine, hand_in) = (Arc::clone(&self.engine), self.hand_in.clone());
        let steps = self.steps(ticket);
        let call = tokio::spawn(async move {
            let started = engine.start(&order, steps).await;
            let _ = hand_in.send(News::Started(ticket, started)).await;
        });
        self.nodes.push(Mate {
            ticket,
            unit: None,
            node: None,
            unfit: None,
            named: now,
            life: Lifecycle::ordered(now),
            is_old: false,
            of_roll: self.roll.is_some(),
            requests_seen: 0,
            call: Some((Errand::Start, call.abort_handle())),
            log_is_due: false,
            processor: Processor::default(),
        });
    }

    /// Where an engine tells how far a start is.
    fn steps(&self, ticket: u64) -> Steps {
        let (changes, mut steps) = mpsc::channel(16);
        let (index, forward) = (self.engine_index, self.hand_in.clone());
        tokio::spawn(async move {
            while let Some(step) = steps.recv().await {
                let _ = forward.send(News::Changed(index, step)).await;
            }
        });
        Steps::new(ticket, changes)
    }

    /// Tries until the node listens.
    pub(super) fn knock(&self, index: usize) {
        let mate = &self.nodes[index];
        let (ticket, hand_in) = (mate.ticket, self.hand_in.clone());
        let Some(unit) = &mate.unit else { return };
        let (Some(address), door) = (unit.address, unit.door) else { return };
        tokio::spawn(async move {
            if tokio::time::timeout(WARM_TIMEOUT, knock::until_it_listens(address, door)).await.is_ok() {
                let _ = hand_in.send(News::Listens(ticket)).await;
            }
        });
    }

    /// Once at a time: an engine that takes its time must not send a second SIGTERM, which ends many programs at once.
    pub(super) fn call_stop(&mut self, index: usize) {
        let Some(Callee { ticket, unit, engine, hand_in }) = self.callee(index) else {
            return self.nothing_to_call(index, News::Stopped);
        };
        if self.nodes[index].is_calling(Errand::Stop) {
            return;
        }
        let grace = self.spec.settings.stop_grace();
        let call = tokio::spawn(async move {
            let stopped = engine.stop(&unit, grace).await;
            let _ = hand_in.send(News::Stopped(ticket, stopped)).await;
        });
        self.nodes[index].call = Some((Errand::Stop, call.abort_handle()));
    }

    /// The last lines are read before: they go with the unit.
    pub(super) fn call_remove(&mut self, index: usize) {
        let Some(Callee { ticket, unit, engine, hand_in }) = self.callee(index) else {
            return self.nothing_to_call(index, News::Removed);
        };
        if self.nodes[index].is_calling(Errand::Remove) {
            return;
        }
        // A stop that is under way still has ended: the unit does not run.
        self.nodes[index].give_up_call();
        let log_is_due = std::mem::take(&mut self.nodes[index].log_is_due);
        let call = tokio::spawn(async move {
            if log_is_due {
                let lines = engine.log(&unit).await.unwrap_or_default();
                let _ = hand_in.send(News::Log(ticket, lines)).await;
            }
            let removed = engine.remove(&unit).await;
            let _ = hand_in.send(News::Removed(ticket, removed)).await;
        });
        self.nodes[index].call = Some((Errand::Remove, call.abort_handle()));
    }

    fn callee(&self, index: usize) -> Option<Callee> {
        let mate = &self.nodes[index];
        let unit = mate.unit.as_ref()?.id.clone();
        let (engine, hand_in) = (Arc::clone(&self.engine), self.hand_in.clone());
        Some(Callee { ticket: mate.ticket, unit, engine, hand_in })
    }

    /// The engine never named a unit. Should it have made one, the next look at its list finds it.
    fn nothing_to_call(&self, index: usize, news: fn(u64, Result<(), EngineError>) -> News) {
        let (ticket, hand_in) = (self.nodes[index].ticket, self.hand_in.clone());
        tokio::spawn(async move {
            let _ = hand_in.send(news(ticket, Ok(()))).await;
        });
    }
}
