//! Conditions on a run (`--slo`, `--find-max`): `p99<10ms,errors<0.1%,rate>=5k`.
//!
//! Latencies are response times: what a user waits, from the intended send on.

pub mod search;

use std::fmt;

use crate::cli::amount;
use crate::result::{RunResult, SloOutcome};

/// Conditions that must all hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    conditions: Vec<Condition>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq)]
struct Condition {
    text: String,
    measure: Measure,
    comparison: Comparison,
    limit: f64,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Measure {
    /// Response time that this share (0 to 1) does not exceed, in nanoseconds.
    Quantile(f64),
    /// Mean response time, in nanoseconds.
    Mean,
    /// Share of failures, 0 to 1.
    Errors,
    /// Whole answers a second.
    Rate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The most conditions of a gate.
const CONDITIONS_MAX: usize = 50;

impl Gate {
    /// Reads conditions, separated by commas.
    ///
    /// # Errors
    /// What is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').collect();
        if let Some(empty) = parts.iter().position(|part| part.trim().is_empty()).filter(|_| parts.len() > 1)
        {
            let place = if empty + 1 == parts.len() { "after the last comma" } else { "before a comma" };
            return Err(format!("an empty condition {place}"));
        }
        let conditions = parts.into_iter().map(Condition::parse).collect::<Result<Vec<_>, _>>()?;
        if conditions.len() > CONDITIONS_MAX {
            return Err(format!("more than {CONDITIONS_MAX} conditions"));
        }
        Ok(Self { conditions })
    }

    /// What came of each condition.
    #[must_use]
    pub fn judge(&self, result: &RunResult) -> Vec<SloOutcome> {
        self.conditions.iter().map(|condition| condition.judge(result)).collect()
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.conditions.iter().map(|condition| &*condition.text).collect();
        formatter.write_str(&texts.join(","))
    }
}

impl Condition {
    fn parse(text: &str) -> Result<Self, String> {
        let text: String = text.split_whitespace().collect();
        let at = text.find(['<', '>']).ok_or_else(|| {
            format!("`{text}` is not a condition such as p99<10ms, errors<0.1% or rate>=5k")
        })?;
        let (name, rest) = text.split_at(at);
        let (comparison, limit) = split_comparison(rest);
        let measure = Measure::parse(name)?;
        let limit = measure.limit(limit)?;
        Ok(Self { measure, comparison, limit, text })
    }

    /// Nothing measured keeps no promise about latency.
    fn judge(&self, result: &RunResult) -> SloOutcome {
        let value = self.measure.of(result);
        let passed = value.is_some_and(|value| self.comparison.holds(value, self.limit));
        let measured = value.map_or_else(|| "nothing".to_owned(), |value| self.measure.show(value));
        SloOutcome { condition: self.text.clone(), measured, passed }
    }
}

fn split_comparison(text: &str) -> (Comparison, &str) {
    let both = [
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    both.into_iter()
        .find_map(|(sign, comparison)| text.strip_prefix(sign).map(|rest| (comparison, rest)))
        .unwrap_or((Comparison::Less, text))
}

impl Comparison {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Less => value < limit,
            Self::LessOrEqual => value <= limit,
            Self::Greater => value > limit,
            Self::GreaterOrEqual => value >= limit,
        }
    }
}

impl Measure {
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "max" => return Ok(Self::Quantile(1.0)),
            "mean" | "avg" => return Ok(Self::Mean),
            "errors" | "error" => return Ok(Self::Errors),
            "rate" | "rps" | "throughput" => return Ok(Self::Rate),
            _ => {}
        }
        let digits = name.strip_prefix('p').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        match digits.and_then(|digits| digits.parse::<f64>().ok()) {
            Some(percent) if percent > 0.0 && percent <= 100.0 => Ok(Self::Quantile(percent / 100.0)),
            _ => Err(format!("`{name}` is none of p50 to p99.999, max, mean, errors, rate")),
        }
    }

    fn limit(self, text: &str) -> Result<f64, String> {
        match self {
            Self::Quantile(_) | Self::Mean => limit_ns(text),
            Self::Errors => limit_share(text),
            Self::Rate => amount::rate(text),
        }
    }

    fn of(self, result: &RunResult) -> Option<f64> {
        let times = Some(&result.response).filter(|times| !times.is_empty());
        match self {
            Self::Quantile(quantile) => times.map(|times| times.quantile_ns(quantile) as f64),
            Self::Mean => times.map(crate::result::Distribution::mean_ns),
            Self::Errors => (result.totals.scheduled > 0).then(|| result.totals.error_ratio()),
            Self::Rate => Some(result.throughput()),
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Quantile(_) | Self::Mean => show_ns(value),
            Self::Errors => format!("{:.3}%", value * 100.0),
            Self::Rate => format!("{value:.1}/s"),
        }
    }
}

fn limit_ns(text: &str) -> Result<f64, String> {
    // `p99<10` would be ten seconds, which nobody means.
    if text.ends_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("`{text}` has no unit: write {text}ms or {text}s"));
    }
    amount::time(text).map(|time| time.as_nanos() as f64)
}

fn limit_share(text: &str) -> Result<f64, String> {
    let (digits, factor) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 0.01));
    match digits.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&(value * factor)) => Ok(value * factor),
        _ => Err(format!("`{text}` is not a share such as 0.1% or 0.001")),
    }
}

/// A time with the unit that suits it: `812us`, `8.31ms`, `1.20s`.
#[must_use]
pub fn show_ns(value: f64) -> String {
    match value {
        value if value < 1e3 => format!("{value:.0}ns"),
        value if value < 1e6 => format!("{:.1}us", value / 1e3),
        value if value < 1e9 => format!("{:.2}ms", value / 1e6),
        value => format!("{:.2}s", value / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{Distribution, Totals};

    fn result() -> RunResult {
        let totals = Totals { scheduled: 1000, sent: 1000, completed: 999, failed: 1, ..Totals::default() };
        let response = Distribution(vec![(1_000_000, 989), (8_000_000, 10), (90_000_000, 1)]);
        RunResult { totals, response, elapsed_ms: 1000, ..RunResult::default() }
    }

    fn judge(text: &str, result: &RunResult) -> Vec<bool> {
        Gate::parse(text).unwrap().judge(result).iter().map(|outcome| outcome.passed).collect()
    }

    #[test]
    fn conditions_are_compared_with_what_was_measured() {
        let all = "p50<2ms, p99 <= 8ms, p99<8ms, p99.9>1ms, max<90ms, mean<1.2ms, errors<0.1%, errors<=0.001, rate>=999, rps>1k";
        assert_eq!(judge(all, &result()), [true, true, false, true, false, true, false, true, true, false]);
    }

    #[test]
    fn nothing_measured_breaks_every_promise() {
        assert_eq!(judge("p99<1h,errors<=100%,mean<1h", &RunResult::default()), [false, false, false]);
        let outcome = &Gate::parse("p99<1s").unwrap().judge(&RunResult::default())[0];
        assert_eq!(outcome.measured, "nothing");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("", "not a condition"),
            ("p99<10ms,", "an empty condition after the last comma"),
            (",p99<10ms", "an empty condition before a comma"),
            ("p99=5ms", "not a condition"),
            ("p101<5ms", "none of"),
            ("p<5ms", "none of"),
            ("latency<5ms", "none of"),
            ("p99<10", "unit"),
            ("p99<fast", "not a time"),
            ("errors<200%", "share"),
            ("rate>0", "sends nothing"),
        ] {
            let error = Gate::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
