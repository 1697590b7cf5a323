//! Gusts: a load that jumps by half within a second, and did so before. Nobody can start a node in time for the next one,
//! and so room for it is kept.

use std::time::Duration;

use crate::logic::limits::SCALE_TICK;
use crate::logic::scale::window::{History, Sample};

/// A jump is one within a second, over the mean of the five seconds before.
const JUMP: usize = 4;
const BEFORE: usize = 20;
/// In standard deviations of the load before: less is chance.
const NOTABLE: f64 = 4.0;
/// Jumps that are nearer to each other are one gust.
const APART: Duration = Duration::from_secs(15);
/// The most room that is kept, as a share of the load: larger jumps are rarer than the nodes that wait for them are dear.
const KEPT_MAX: f64 = 1.6;

/// By how much the load jumped at least twice in what is remembered, from 1 (it never did) to [`KEPT_MAX`].
pub(super) fn size(history: &History, now: Duration, load: impl Fn(&Sample) -> f64) -> f64 {
    let loads: Vec<(Duration, f64)> =
        history.last(now, Duration::MAX).map(|sample| (sample.at, load(sample))).collect();
    let mut sums = vec![0.0];
    sums.extend(loads.iter().scan(0.0, |sum, (_, load)| {
        *sum += load;
        Some(*sum)
    }));
    let mut gusts: Vec<(Duration, f64)> = Vec::new();
    for end in JUMP + BEFORE..=loads.len() {
        let start = end - JUMP;
        let after = (sums[end] - sums[start]) / JUMP as f64;
        let before = ((sums[start] - sums[start - BEFORE]) / BEFORE as f64).max(1.0);
        if after - before < NOTABLE * before.sqrt() {
            continue;
        }
        let (at, ratio) = (loads[end - 1].0, after / before);
        match gusts.last_mut().filter(|(last, _)| at.saturating_sub(*last) < APART) {
            Some(gust) => *gust = (at, gust.1.max(ratio)),
            None => gusts.push((at, ratio)),
        }
    }
    gusts.sort_unstable_by(|one, other| other.1.total_cmp(&one.1));
    gusts.get(1).map_or(1.0, |(_, ratio)| ratio.min(KEPT_MAX))
}

const _: () = assert!(SCALE_TICK.as_millis() * JUMP as u128 == 1000);

#[cfg(test)]
mod tests {
    use super::*;

    fn with(load: impl Fn(u32) -> f64) -> f64 {
        let mut history = History::new(Duration::ZERO, Duration::from_secs(600));
        (1..=2400).for_each(|tick| {
            history.push(Sample { in_flight: load(tick), ..Sample::quiet(SCALE_TICK * tick, 1) });
        });
        size(&history, SCALE_TICK * 2400, |sample| sample.in_flight)
    }

    #[test]
    fn what_jumps_twice_is_a_gust_and_what_grows_or_jumps_once_is_none() {
        let gust = |every: u32| move |tick: u32| if tick % every >= every - 80 { 150.0 } else { 100.0 };
        assert!((with(gust(800)) - 1.5).abs() < 0.01);
        assert_eq!(with(gust(2400)), 1.0, "once");
        assert_eq!(with(f64::from), 1.0, "a ramp");
        assert_eq!(with(|tick| 100.0 + f64::from(tick * 7919 % 41) - 20.0), 1.0, "chance");
        assert_eq!(with(|tick| if tick % 400 > 300 { 1000.0 } else { 10.0 }), KEPT_MAX);
    }
}
