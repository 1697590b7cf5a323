//! What probes say about a node: when it is taken out, when it comes back, when nobody believes them any more.
//!
//! ```text
//!   trusted --bad--> unhealthy --`rise` good in a row--> healthy
//!   trusted --good-> healthy   --`fall` bad in a row---> unhealthy
//!   warming --good-> healthy     (a bad one changes nothing: it does not serve yet)
//! ```

use std::time::Duration;

/// The shortest pause between two probes.
const EAGER_PAUSE_MIN: Duration = Duration::from_millis(20);

/// How often a verdict must be heard before it is believed; `health.rise` and `health.fall`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Good probes in a row that bring a node back, at least 1.
    pub rise: u32,
    /// Bad probes in a row that take a node out, at least 1.
    pub fall: u32,
}

/// What is believed of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Serves until its first probe, which decides alone: somebody has to serve while nothing is known of anybody.
    Trusted,
    /// Joined others that serve, or was started by a fleet: it waits for its first good probe.
    Warming,
    /// Passes.
    Healthy,
    /// Fails.
    Unhealthy,
}

/// One node's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    verdict: Verdict,
    /// Probes in a row that spoke against the verdict.
    against: u32,
}

impl Health {
    /// Of a node that was never probed. `can_wait`: the traffic can wait, or somebody else carries it, while this one
    /// proves itself.
    pub fn unknown(can_wait: bool) -> Self {
        Self { verdict: if can_wait { Verdict::Warming } else { Verdict::Trusted }, against: 0 }
    }

    /// What is believed now.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Takes the result of a probe; true where the verdict is another one now.
    pub fn probed(&mut self, good: bool, patience: Patience) -> bool {
        let (contrary, needed, next) = match self.verdict {
            Verdict::Trusted if good => (true, 1, Verdict::Healthy),
            Verdict::Trusted => (true, 1, Verdict::Unhealthy),
            Verdict::Warming => (good, 1, Verdict::Healthy),
            Verdict::Healthy => (!good, patience.fall, Verdict::Unhealthy),
            Verdict::Unhealthy => (good, patience.rise, Verdict::Healthy),
        };
        self.against = if contrary { self.against + 1 } else { 0 };
        let changes = contrary && self.against >= needed;
        if changes {
            *self = Self { verdict: next, against: 0 };
        }
        changes
    }
}

/// The pause before the next probe: the interval, a tenth more or less, so that the probes of many balancers and
/// many nodes do not march in step. `draw` is a uniform random number.
pub fn pause(interval: Duration, draw: u64) -> Duration {
    let tenth = interval / 10;
    interval - tenth + tenth.mul_f64(2.0 * unit(draw))
}

/// The pause before a node's first probe: soon, and not all nodes at once.
pub fn first_pause(interval: Duration, draw: u64) -> Duration {
    (interval / 10).min(Duration::from_millis(100)).mul_f64(unit(draw))
}

/// The pauses before the first good probe of a node that boots while requests wait for it: short ones, that double up to
/// the interval.
pub fn eager_pauses(interval: Duration) -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(EAGER_PAUSE_MIN.min(interval)), move |pause| Some((*pause * 2).min(interval)))
}

/// Uniform in `0.0..1.0`.
fn unit(draw: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    let unit = (draw >> 11) as f64 / (1_u64 << 53) as f64;
    unit
}

/// Do too few nodes pass for the rest to carry the traffic? Then all are used: probes that fail everywhere tell more
/// of the probes (or of an overload that fewer nodes would make worse) than of the nodes. `threshold` in hundredths
/// of a percent; 0 never panics. `able` are the nodes that no operator has taken out.
pub fn panics(healthy: usize, able: usize, threshold: u32) -> bool {
    (healthy as u64) * 10_000 < (able as u64) * u64::from(threshold)
}

/// What an agent says of its node's CPU: the first word of the body is a percentage, `37`, `37.5` or `37%`, of all the
/// cores that the node may use. In hundredths of a percent; `None` where it is nothing of the kind.
pub fn cpu_reading(body: &[u8]) -> Option<u32> {
    let word = std::str::from_utf8(body).ok()?.split_whitespace().next()?;
    let percent = word.strip_suffix('%').unwrap_or(word).parse::<f64>().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be 0 to 100")]
    (0.0..=100.0).contains(&percent).then(|| (percent * 100.0).round() as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Patience = Patience { rise: 2, fall: 3 };

    fn after(start: Health, probes: &str) -> Verdict {
        let mut health = start;
        for probe in probes.chars() {
            health.probed(probe == '+', PATIENCE);
        }
        health.verdict()
    }

    #[test]
    fn the_first_probe_of_a_trusted_node_decides_alone() {
        assert_eq!(after(Health::unknown(false), ""), Verdict::Trusted);
        assert_eq!(after(Health::unknown(false), "-"), Verdict::Unhealthy);
        assert_eq!(after(Health::unknown(false), "+"), Verdict::Healthy);
    }

    #[test]
    fn a_node_that_joins_waits_for_one_good_probe_however_long() {
        assert_eq!(after(Health::unknown(true), "-------"), Verdict::Warming);
        assert_eq!(after(Health::unknown(true), "---+"), Verdict::Healthy);
    }

    #[test]
    fn a_node_that_boots_is_probed_soon_and_then_at_the_interval() {
        let pauses: Vec<_> = eager_pauses(Duration::from_millis(100)).take(5).collect();
        assert_eq!(pauses, [20, 40, 80, 100, 100].map(Duration::from_millis));
        assert_eq!(eager_pauses(Duration::from_millis(5)).next(), Some(Duration::from_millis(5)));
    }

    #[test]
    fn only_an_unbroken_row_changes_a_verdict() {
        let healthy = Health::unknown(false);
        assert_eq!(after(healthy, "+--+--+--"), Verdict::Healthy);
        assert_eq!(after(healthy, "+---"), Verdict::Unhealthy);
        assert_eq!(after(healthy, "+---+-+-+"), Verdict::Unhealthy);
        assert_eq!(after(healthy, "+---++"), Verdict::Healthy);
    }

    #[test]
    fn panic_begins_below_the_threshold_and_not_at_it() {
        assert!(!panics(2, 4, 5000));
        assert!(panics(1, 4, 5000));
        assert!(panics(0, 1, 5000));
        assert!(!panics(0, 4, 0));
        assert!(!panics(0, 0, 5000));
    }

    #[test]
    fn an_agent_speaks_in_percent() {
        assert_eq!(cpu_reading(b"37"), Some(3700));
        assert_eq!(cpu_reading(b" 37.25% busy\n"), Some(3725));
        assert_eq!(cpu_reading(b"100"), Some(10_000));
        for bad in ["", "101", "-1", "NaN", "inf", "busy 3", "37%%"] {
            assert_eq!(cpu_reading(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_verdict_needs_its_whole_row(probes in prop::collection::vec(any::<bool>(), 0..200), rise in 1_u32..5, fall in 1_u32..5) {
            let patience = Patience { rise, fall };
            let mut health = Health::unknown(false);
            for (at, &good) in probes.iter().enumerate() {
                let before = health.verdict();
                if health.probed(good, patience) && before != Verdict::Trusted {
                    let needed = if good { rise } else { fall } as usize;
                    prop_assert!(probes[at + 1 - needed..=at].iter().all(|&one| one == good));
                }
            }
        }

        #[test]
        fn pauses_stay_within_a_tenth(ms in 50_u64..100_000, draw: u64) {
            let interval = Duration::from_millis(ms);
            let pause = pause(interval, draw);
            prop_assert!(pause >= interval * 9 / 10 && pause <= interval * 11 / 10);
            prop_assert!(first_pause(interval, draw) <= Duration::from_millis(100));
        }

        #[test]
        fn no_body_breaks_an_agent(body: Vec<u8>) {
            prop_assert!(cpu_reading(&body).is_none_or(|reading| reading <= 10_000));
        }
    }
}
