//! The autoscaler that Knative Serving documents (`autoscaling-concepts`, `kpa`): 60 s stable window, panic window of a
//! tenth of it, 70 % of the container's concurrency as target, panic at twice the capacity, decisions every two seconds.

use std::collections::VecDeque;

use plimsoll::logic::scale::decide::Action;

use crate::world::{Look, MAX, PLACES, Scaler};

const STABLE: usize = 60;
const PANIC: usize = 6;
const TARGET: f64 = 0.7 * PLACES as f64;
const PANIC_THRESHOLD: f64 = 2.0;
const DOWN_RATE_MAX: f64 = 2.0;
const UP_RATE_MAX: f64 = 1000.0;

#[derive(Default)]
pub(crate) struct Knative {
    seconds: VecDeque<f64>,
    quarters: f64,
    panic_until: u64,
    most_in_panic: u32,
}

impl Scaler for Knative {
    fn decide(&mut self, look: &Look) -> Action {
        // What the activator holds counts as concurrency, as in Knative.
        self.quarters += (look.sample.in_flight + look.sample.queued) / 4.0;
        let now_ms = look.now.as_millis();
        if !now_ms.is_multiple_of(1000) {
            return Action::Hold;
        }
        self.seconds.push_back(std::mem::take(&mut self.quarters));
        if self.seconds.len() > STABLE {
            self.seconds.pop_front();
        }
        if !now_ms.is_multiple_of(2000) {
            return Action::Hold;
        }
        let now = look.now.as_secs();
        let there = look.serving + look.starting;
        let ready = f64::from(look.serving.max(1));
        let bounded = |load: f64| {
            (load / TARGET).ceil().clamp((ready / DOWN_RATE_MAX).floor(), (ready * UP_RATE_MAX).ceil())
        };
        let (stable, panic) = (bounded(self.mean(STABLE)), bounded(self.mean(PANIC)));
        if self.mean(PANIC) / TARGET / ready >= PANIC_THRESHOLD {
            self.panic_until = now + STABLE as u64;
        }
        let mut wanted = stable as u32;
        if now < self.panic_until {
            self.most_in_panic = self.most_in_panic.max(panic.max(stable) as u32);
            wanted = self.most_in_panic;
        } else {
            self.most_in_panic = 0;
        }
        let wanted = wanted.clamp(1, MAX);
        match wanted {
            _ if wanted > there => Action::Up(wanted - there),
            _ if wanted < there => Action::Down(there - wanted),
            _ => Action::Hold,
        }
    }
}

impl Knative {
    fn mean(&self, seconds: usize) -> f64 {
        let last = self.seconds.iter().rev().take(seconds);
        last.clone().sum::<f64>() / last.count().max(1) as f64
    }
}
