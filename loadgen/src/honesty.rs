//! Can these numbers be believed? What the generator knows about itself, put into sentences. Pure.

use crate::engine::collector::{Collector, ThreadTimes};
use crate::engine::tally::ThreadState;
use crate::fault::Cause;
use crate::gate::show_ns;
use crate::result::{ClientHealth, Mode, RunResult};

/// A thread that works more of the time than this has no reserve: what it measures is itself.
const BUSY_PERCENT: f64 = 90.0;
/// A thread that waits more of the time than this for a core measures the scheduler.
const STARVED_PERCENT: f64 = 10.0;
/// A lag above this at p99 distorts the numbers that it is part of.
const LAG_NS: u64 = 1_000_000;
/// From this share on, late sends are worth a sentence.
const LATE_SHARE: f64 = 0.01;

/// The client's health over a run whose measured part was so long.
#[must_use]
pub fn examine(collector: &Collector, elapsed_ns: u64) -> ClientHealth {
    let end_ns = collector.end_ns(elapsed_ns);
    let lag = collector.lag();
    let quantile = |q| if lag.is_empty() { 0 } else { lag.value_at_quantile(q) };
    let threads = collector.threads();
    let mut health = ClientHealth {
        cpu_percent: threads.iter().map(|times| share(times, end_ns, cpu_ns)).sum(),
        busiest_thread_percent: highest(threads, end_ns, busy_ns),
        starved_percent: highest(threads, end_ns, |state| state.starved_ns),
        lag_p50_ns: quantile(0.5),
        lag_p99_ns: quantile(0.99),
        lag_max_ns: lag.max(),
        ..ClientHealth::default()
    };
    health.reasons = reasons(&health, collector.count_of(Cause::LocalLimit));
    health.bottleneck = !health.reasons.is_empty();
    health
}

fn highest(threads: &[ThreadTimes], end_ns: u64, used_ns: fn(&ThreadState) -> u64) -> f64 {
    threads.iter().map(|times| share(times, end_ns, used_ns)).fold(0.0, f64::max)
}

/// What a thread used of the measured part, in percent. One that had nothing more to do has ended before, but the
/// rest was its time too.
fn share(times: &ThreadTimes, end_ns: u64, used_ns: fn(&ThreadState) -> u64) -> f64 {
    let used_ns = used_ns(&times.last).saturating_sub(used_ns(&times.first));
    let span_ns = times.last.at_ns.max(end_ns).saturating_sub(times.first.at_ns).max(1);
    (used_ns as f64 * 100.0 / span_ns as f64).min(100.0)
}

fn cpu_ns(state: &ThreadState) -> u64 {
    state.cpu_ns
}

/// Without the time that was only spent waiting actively for the moment of a send.
fn busy_ns(state: &ThreadState) -> u64 {
    state.cpu_ns.saturating_sub(state.spun_ns)
}

/// `refused_here`: connections for which this machine had no room.
fn reasons(health: &ClientHealth, refused_here: u64) -> Vec<String> {
    let mut reasons = Vec::new();
    if refused_here > 0 {
        reasons.push(format!(
            "{refused_here} requests failed on this machine, which had no free file, port or memory for a connection \
             (`ulimit -n`): the server is not to blame for them."
        ));
    }
    if health.busiest_thread_percent >= BUSY_PERCENT {
        reasons.push(format!(
            "A sending thread used {:.0}% of a core: more threads (-t) or another machine would send more.",
            health.busiest_thread_percent
        ));
    }
    if health.starved_percent >= STARVED_PERCENT {
        reasons.push(format!(
            "A sending thread was ready to run but had no core {:.0}% of the time: other programs compete with it.",
            health.starved_percent
        ));
    }
    if health.lag_p99_ns >= LAG_NS {
        reasons.push(format!(
            "One request in a hundred was sent {} or more after it could have been, through the generator's own fault.",
            show_ns(health.lag_p99_ns as f64)
        ));
    }
    reasons
}

/// What else the reader should know.
#[must_use]
pub fn notes(result: &RunResult, collector: &Collector) -> Vec<String> {
    let totals = &result.totals;
    let mut notes: Vec<String> = collector.opening_note().map(str::to_owned).into_iter().collect();
    let share = |part: u64| part as f64 / totals.scheduled.max(1) as f64;
    if result.mode == Mode::Open && share(totals.late) >= LATE_SHARE {
        notes.push(format!(
            "{:.1}% of the requests left more than 1 ms late: {}.",
            share(totals.late) * 100.0,
            late_cause(result)
        ));
    }
    if totals.dropped > 0 {
        notes.push(format!(
            "{} requests were due but never sent; they stand in the response times with the time that they had \
             waited at the end, which is a lower bound.",
            totals.dropped
        ));
    }
    if result.mode == Mode::Closed {
        notes.push(
            "Closed loop: a slow server was asked less, so these latencies are not those of users who come \
             whether it is slow or not (use --rate for that)."
                .to_owned(),
        );
    }
    notes
}

/// A request is late because no connection was free, unless the generator itself was.
fn late_cause(result: &RunResult) -> String {
    if result.client.lag_p99_ns >= LAG_NS {
        return "the generator itself lagged behind its schedule".to_owned();
    }
    format!(
        "no connection was free, so the server was slower than the schedule, or {} connections (-c) are too few",
        result.settings.connections
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(busy: f64, starved: f64, lag_p99_ns: u64) -> Vec<String> {
        let health = ClientHealth {
            busiest_thread_percent: busy,
            starved_percent: starved,
            lag_p99_ns,
            ..ClientHealth::default()
        };
        reasons(&health, 0)
    }

    #[test]
    fn each_cause_has_its_own_sentence() {
        assert!(health(89.0, 9.0, 999_999).is_empty());
        assert!(health(97.0, 0.0, 0)[0].contains("97% of a core"));
        assert!(health(0.0, 25.0, 0)[0].contains("had no core 25%"));
        assert!(health(0.0, 0.0, 2_500_000)[0].contains("2.50ms"));
        assert_eq!(health(99.0, 50.0, 5_000_000).len(), 3);
        assert!(reasons(&ClientHealth::default(), 7)[0].contains("7 requests failed on this machine"));
    }
}
