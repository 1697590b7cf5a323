//! What differs between two runs, and whether a build should fail for it.

use std::{fmt, str::FromStr, time::Duration};

use crate::result::RunResult;

use super::{
    amount,
    bootstrap::{self, Figures, QUANTILES},
};

/// A number that two runs are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Whole answers a second: more is better.
    Throughput,
    /// Share of failures: less is better.
    Errors,
    /// Mean response time.
    Mean,
    /// Response time at this index of [`QUANTILES`].
    Quantile(usize),
    /// Highest response time. It has no interval: what was drawn again cannot be higher than what was seen.
    Max,
}

/// Every measure, in the order of the table.
pub const MEASURES: [Measure; 8] = [
    Measure::Throughput,
    Measure::Errors,
    Measure::Mean,
    Measure::Quantile(0),
    Measure::Quantile(1),
    Measure::Quantile(2),
    Measure::Quantile(3),
    Measure::Max,
];

impl Measure {
    /// Its name in the table and in `--fail-if`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Errors => "errors",
            Self::Mean => "mean",
            Self::Quantile(at) => ["p50", "p90", "p99", "p99.9"][at],
            Self::Max => "max",
        }
    }

    /// The value in a run: nanoseconds, answers a second, or a share.
    #[must_use]
    pub fn of(self, result: &RunResult) -> f64 {
        match self {
            Self::Throughput => result.throughput(),
            Self::Errors => result.totals.error_ratio(),
            Self::Mean => result.response.mean_ns(),
            Self::Quantile(at) => result.response.quantile_ns(QUANTILES[at]) as f64,
            Self::Max => result.response.max_ns() as f64,
        }
    }

    /// Whether a rise is good.
    fn more_is_better(self) -> bool {
        self == Self::Throughput
    }

    /// The value as text.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Throughput => amount::rate(value),
            Self::Errors => amount::percent(value),
            _ => amount::time_of(value),
        }
    }

    fn drawn(self, figures: &Figures) -> Option<f64> {
        match self {
            Self::Throughput => Some(figures.throughput),
            Self::Errors => Some(figures.errors),
            Self::Mean => Some(figures.mean),
            Self::Quantile(at) => Some(figures.quantiles[at]),
            Self::Max => None,
        }
    }
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = MEASURES.into_iter().find(|measure| measure.name() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = MEASURES.iter().map(|measure| measure.name()).collect();
            format!("'{text}' cannot be compared: {} can", names.join(", "))
        })
    }
}

/// The change of one measure from a first run to a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// What is compared.
    pub measure: Measure,
    /// In the first run.
    pub before: f64,
    /// In the second.
    pub after: f64,
    /// Where the difference lies in 95 of 100 draws; `None` when the runs are too short to say.
    pub interval: Option<(f64, f64)>,
}

/// What a change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The interval lies on the good side.
    Better,
    /// The interval lies on the bad side.
    Worse,
    /// The interval holds zero: it may be chance.
    Unsure,
    /// There is no interval.
    Unknown,
}

impl Change {
    /// The difference.
    #[must_use]
    pub fn by(&self) -> f64 {
        self.after - self.before
    }

    /// The difference as a share of the first value; `None` where that is zero.
    #[must_use]
    pub fn relative(&self) -> Option<f64> {
        (self.before > 0.0).then(|| self.by() / self.before)
    }

    /// What it means.
    #[must_use]
    pub fn finding(&self) -> Finding {
        match self.interval {
            None => Finding::Unknown,
            Some((low, high)) if low <= 0.0 && high >= 0.0 => Finding::Unsure,
            Some((low, _)) if (low > 0.0) == self.measure.more_is_better() => Finding::Better,
            Some(_) => Finding::Worse,
        }
    }
}

/// Every change from `before` to `after`. The same seed gives the same intervals.
#[must_use]
pub fn changes(before: &RunResult, after: &RunResult, seed: u64) -> Vec<Change> {
    // Two seeds: draws of the two runs must not go together.
    let drawn = bootstrap::draw(before, seed).zip(bootstrap::draw(after, seed.wrapping_add(1)));
    let change = |measure: Measure| Change {
        measure,
        before: measure.of(before),
        after: measure.of(after),
        interval: drawn.as_ref().and_then(|(a, b)| {
            let differences: Option<Vec<f64>> =
                a.iter().zip(b).map(|(a, b)| Some(measure.drawn(b)? - measure.drawn(a)?)).collect();
            differences.map(bootstrap::interval)
        }),
    };
    MEASURES.into_iter().map(change).collect()
}

/// A condition of `--fail-if`: `p99>+5%`, `mean>+2ms`, `throughput<-3%`, `errors>+0.1%`.
#[derive(Clone, Debug, PartialEq)]
pub struct FailIf {
    text: String,
    measure: Measure,
    rises: bool,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// A share of the first run's value.
    Relative(f64),
    /// In the measure's own unit.
    Absolute(f64),
}

impl FailIf {
    /// Whether `changes` break it. With `surely`, only when the whole interval does.
    #[must_use]
    pub fn is_broken(&self, changes: &[Change], surely: bool) -> bool {
        let Some(change) = changes.iter().find(|change| change.measure == self.measure) else { return false };
        let limit = match self.limit {
            Limit::Relative(share) => share * change.before,
            Limit::Absolute(value) => value,
        };
        let by = match (surely, change.interval) {
            (true, Some((low, high))) => {
                if self.rises {
                    low
                } else {
                    high
                }
            }
            (true, None) => return false,
            (false, _) => change.by(),
        };
        if self.rises { by > limit } else { by < limit }
    }
}

impl fmt::Display for FailIf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl FromStr for FailIf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text
            .find(['<', '>'])
            .ok_or_else(|| format!("'{text}' is no condition: write for example p99>+5%"))?;
        let (name, rest) = text.split_at(at);
        let measure: Measure = name.trim().parse()?;
        let rises = rest.starts_with('>');
        let limit = rest[1..].trim();
        let sign = if rises { '+' } else { '-' };
        let Some(number) = limit.strip_prefix(sign) else {
            return Err(format!(
                "'{text}' needs a change, such as {name}{}{sign}5%",
                if rises { '>' } else { '<' }
            ));
        };
        let factor = if rises { 1.0 } else { -1.0 };
        let limit = match limit_of(measure, number)? {
            Limit::Relative(share) => Limit::Relative(share * factor),
            Limit::Absolute(value) => Limit::Absolute(value * factor),
        };
        Ok(Self { text: text.to_owned(), measure, rises, limit })
    }
}

fn limit_of(measure: Measure, text: &str) -> Result<Limit, String> {
    let wrong =
        || format!("'{text}' is no change of {}: write a share as 5% or an amount as 2ms", measure.name());
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().map_err(|_| wrong())?;
    let unit = |nanos: u64| Limit::Absolute(number * Duration::from_nanos(nanos).as_nanos() as f64);
    match (measure, &text[end..]) {
        // Errors are a share already: 0.1% means a tenth of a percent more of all requests.
        (Measure::Errors, "%") => Ok(Limit::Absolute(number / 100.0)),
        (_, "%") => Ok(Limit::Relative(number / 100.0)),
        (Measure::Throughput, "" | "/s") => Ok(Limit::Absolute(number)),
        (Measure::Throughput | Measure::Errors, _) => Err(wrong()),
        (_, "ns") => Ok(unit(1)),
        (_, "us") => Ok(unit(1_000)),
        (_, "ms") => Ok(unit(1_000_000)),
        (_, "s") => Ok(unit(1_000_000_000)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: f64, after: f64, interval: Option<(f64, f64)>) -> Vec<Change> {
        vec![Change { measure: Measure::Quantile(2), before, after, interval }]
    }

    fn breaks(text: &str, before: f64, after: f64) -> bool {
        text.parse::<FailIf>().unwrap().is_broken(&change(before, after, None), false)
    }

    #[test]
    fn limits_are_shares_or_amounts() {
        assert!(breaks("p99>+5%", 100.0, 106.0) && !breaks("p99>+5%", 100.0, 104.0));
        assert!(breaks("p99>+2ms", 0.0, 2_000_001.0) && !breaks("p99>+2ms", 0.0, 1_999_999.0));
        assert!(breaks("p99<-5%", 100.0, 94.0) && !breaks("p99 < -5%", 100.0, 96.0));
        assert!(!breaks("p99.9>+5%", 100.0, 200.0), "another measure");
    }

    #[test]
    fn with_surely_the_whole_interval_has_to_be_beyond() {
        let condition: FailIf = "p99>+5%".parse().unwrap();
        assert!(!condition.is_broken(&change(100.0, 120.0, Some((1.0, 40.0))), true));
        assert!(condition.is_broken(&change(100.0, 120.0, Some((6.0, 40.0))), true));
        assert!(!condition.is_broken(&change(100.0, 120.0, None), true));
    }

    #[test]
    fn wrong_conditions_say_what_would_be_right() {
        for text in
            ["p99", "p99>5%", "p98>+5%", "p99>+x", "p99>-5%", "errors>+2ms", "p99>+5", "throughput<+3%"]
        {
            assert!(text.parse::<FailIf>().is_err(), "{text}");
        }
        assert!("p98>+5%".parse::<FailIf>().unwrap_err().contains("p99.9"));
    }

    #[test]
    fn a_finding_needs_an_interval_on_one_side_of_zero() {
        let finding = |measure, interval| Change { measure, before: 1.0, after: 1.0, interval }.finding();
        assert_eq!(finding(Measure::Mean, Some((1.0, 2.0))), Finding::Worse);
        assert_eq!(finding(Measure::Mean, Some((-2.0, -1.0))), Finding::Better);
        assert_eq!(finding(Measure::Throughput, Some((1.0, 2.0))), Finding::Better);
        assert_eq!(finding(Measure::Throughput, Some((-1.0, 2.0))), Finding::Unsure);
        assert_eq!(finding(Measure::Max, None), Finding::Unknown);
    }
}
