//! The one sentence that says what the two latencies of a run mean.

use crate::result::{Mode, RunResult};

use super::amount;

/// Below this the difference of two times is no finding: it is within what the generator itself adds.
const GAP_MIN_NS: u64 = 200_000;

/// A shorter run than this says nothing about its client: a tenth of a second without a core, and it is over.
const TOO_SHORT_S: f64 = 0.1;
/// What is said of a client that was one.
const BOTTLENECK: &str = "the client is the bottleneck: these numbers are a lower bound";

/// Whether the run was too short to tell if its client had room.
#[must_use]
pub fn is_too_short(result: &RunResult) -> bool {
    result.elapsed_s() < TOO_SHORT_S
}

/// Whether the numbers are the client's or the server's, as far as can be said.
#[must_use]
pub fn client(result: &RunResult) -> &'static str {
    match result.client.bottleneck {
        true => BOTTLENECK,
        false if is_too_short(result) => "the run was too short to say whether the client had room",
        false => "the client had room: these numbers are the server's",
    }
}

/// What the gap between response time and service time says about this run.
#[must_use]
pub fn gap(result: &RunResult) -> String {
    match result.mode {
        Mode::Closed => {
            "Closed loop: the next request waits for the last answer, so a slow server is asked less \
             and the waiting that real users would feel is not in these numbers. Use --rate to measure it."
                .to_owned()
        }
        Mode::Open if result.response.is_empty() => "No request was answered.".to_owned(),
        Mode::Open => open_gap(result),
    }
}

fn open_gap(result: &RunResult) -> String {
    let response = result.response.quantile_ns(0.99);
    let service = result.service.quantile_ns(0.99);
    let waited = response.saturating_sub(service);
    if waited < GAP_MIN_NS || waited * 10 < response {
        return format!(
            "Response and service time agree at p99 ({} and {}): requests left when they were due.",
            amount::time(response),
            amount::time(service),
        );
    }
    let factor = response as f64 / service.max(1) as f64;
    let whose = if result.client.bottleneck {
        "a part of that is the generator's own lag, so do not blame the server for all of it."
    } else {
        "requests queued for a free connection while earlier ones were slow. Service time alone hides this."
    };
    format!(
        "At p99 a user waited {}, {factor:.1} times the service time of {}: {whose}",
        amount::time(response),
        amount::time(service),
    )
}

/// The lines that say whether the numbers can be believed; empty when nothing speaks against them.
#[must_use]
pub fn doubts(result: &RunResult) -> Vec<String> {
    let mut lines = Vec::new();
    if result.client.bottleneck {
        lines.push(BOTTLENECK.to_owned());
        lines.extend(result.client.reasons.iter().cloned());
    }
    if result.interrupted && result.find_max.is_some() {
        lines.push("the search was interrupted: the highest rate is one that was found so far".to_owned());
    } else if result.interrupted {
        lines.push("the run was interrupted: these numbers are of the part that was done".to_owned());
    }
    if result.response.count() > 0 && result.response.count() < 1000 {
        let answers = result.response.count();
        lines.push(format!(
            "{answers} answers are too few for the high percentiles: p99 of them is one or two requests"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Distribution;

    fn open(response: u64, service: u64) -> RunResult {
        let all = |value| Distribution(vec![(value, 5000)]);
        RunResult { mode: Mode::Open, response: all(response), service: all(service), ..RunResult::default() }
    }

    #[test]
    fn a_queue_in_front_of_the_server_is_named() {
        assert!(gap(&open(10_000_000, 9_900_000)).contains("agree"));
        assert!(gap(&open(90_000, 10_000)).contains("agree"), "80 us are the generator's own");
        assert!(gap(&open(500_000_000, 10_000_000)).contains("50.0 times"));
        assert!(gap(&RunResult::default()).contains("Closed loop"));
        let mut lagging = open(500_000_000, 10_000_000);
        lagging.client.bottleneck = true;
        assert!(gap(&lagging).contains("the generator's own lag"), "the server is not blamed for it");
    }

    #[test]
    fn a_short_run_does_not_vouch_for_its_client() {
        let mut result = RunResult { elapsed_ns: 99_000_000, elapsed_ms: 99, ..open(1, 1) };
        assert!(client(&result).contains("too short to say"));
        result.elapsed_ns = 100_000_000;
        assert!(client(&result).contains("had room"));
        result.client.bottleneck = true;
        assert_eq!(client(&result), BOTTLENECK);
    }

    #[test]
    fn doubts_are_said_only_where_there_are_some() {
        assert_eq!(doubts(&open(1, 1)), Vec::<String>::new());
        let mut result = open(1, 1);
        result.client.bottleneck = true;
        assert_eq!(doubts(&result), ["the client is the bottleneck: these numbers are a lower bound"]);
    }
}
