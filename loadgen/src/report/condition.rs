//! Conditions on a change (`--fail-if`): whether a build should fail for it.

use std::{fmt, str::FromStr, time::Duration};

use super::change::{Change, Measure};

/// What comes of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The change is not beyond the limit.
    Kept,
    /// It is.
    Broken,
    /// The second run has no answers, and nothing measured breaks every promise.
    NothingMeasured,
    /// It cannot be said, for this reason.
    Unknown(&'static str),
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
    /// What comes of it. `answered`: whether the runs have answers at all. With `surely` the whole interval has to
    /// be beyond the limit.
    #[must_use]
    pub fn judge(&self, changes: &[Change], answered: (bool, bool), surely: bool) -> Judgement {
        let change = changes.iter().find(|change| change.measure == self.measure);
        let Some((change, after)) = change.and_then(|change| Some((change, change.after?))) else {
            return Judgement::NothingMeasured;
        };
        let before = change.before.filter(|_| answered.0);
        match (before, surely, change.interval) {
            _ if !answered.1 => Judgement::NothingMeasured,
            (None, _, _) => Judgement::Unknown("A has nothing to compare with"),
            (Some(before), false, _) => self.compare(before, after - before),
            (Some(_), true, None) if self.measure == Measure::Max => {
                Judgement::Unknown("max has no interval: leave --surely out, or take p99.9")
            }
            (Some(_), true, None) => {
                Judgement::Unknown("there is no interval: each run has to last at least five seconds")
            }
            (Some(before), true, Some((low, high))) => {
                self.compare(before, if self.rises { low } else { high })
            }
        }
    }

    fn compare(&self, before: f64, by: f64) -> Judgement {
        let limit = match self.limit {
            Limit::Relative(share) => share * before,
            Limit::Absolute(value) => value,
        };
        let broken = if self.rises { by > limit } else { by < limit };
        if broken { Judgement::Broken } else { Judgement::Kept }
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
        if text.trim().is_empty() {
            return Err("an empty condition: is there a comma too many?".to_owned());
        }
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

    const BOTH: (bool, bool) = (true, true);

    fn change(before: f64, after: f64, interval: Option<(f64, f64)>) -> Vec<Change> {
        vec![Change { measure: Measure::Quantile(2), before: Some(before), after: Some(after), interval }]
    }

    fn judge(text: &str, changes: &[Change], surely: bool) -> Judgement {
        text.parse::<FailIf>().unwrap().judge(changes, BOTH, surely)
    }

    fn breaks(text: &str, before: f64, after: f64) -> bool {
        judge(text, &change(before, after, None), false) == Judgement::Broken
    }

    #[test]
    fn limits_are_shares_or_amounts() {
        assert!(breaks("p99>+5%", 100.0, 106.0) && !breaks("p99>+5%", 100.0, 104.0));
        assert!(breaks("p99>+2ms", 0.0, 2_000_001.0) && !breaks("p99>+2ms", 0.0, 1_999_999.0));
        assert!(breaks("p99<-5%", 100.0, 94.0) && !breaks("p99 < -5%", 100.0, 96.0));
    }

    #[test]
    fn with_surely_the_whole_interval_has_to_be_beyond() {
        let surely = |interval| judge("p99>+5%", &change(100.0, 120.0, interval), true);
        assert_eq!(surely(Some((1.0, 40.0))), Judgement::Kept);
        assert_eq!(surely(Some((6.0, 40.0))), Judgement::Broken);
    }

    /// To pass would be to promise something.
    #[test]
    fn without_an_interval_nothing_is_sure() {
        let short = judge("p99>+5%", &change(100.0, 120.0, None), true);
        assert!(matches!(short, Judgement::Unknown(why) if why.contains("five seconds")), "{short:?}");
        let max = Change { measure: Measure::Max, ..change(100.0, 120.0, None)[0] };
        let max = judge("max>+5%", &[max], true);
        assert!(matches!(max, Judgement::Unknown(why) if why.contains("max")), "{max:?}");
    }

    #[test]
    fn nothing_measured_breaks_every_promise_and_is_no_measure_for_others() {
        for text in ["p99>+5%", "p99<-5%", "p99>+1h"].map(|text| text.replace("1h", "9999s")) {
            let condition: FailIf = text.parse().unwrap();
            for surely in [false, true] {
                let gone = [Change { after: None, ..change(1.0, 1.0, None)[0] }];
                assert_eq!(condition.judge(&gone, (true, false), surely), Judgement::NothingMeasured);
                let some = change(100.0, 100.0, Some((0.0, 0.0)));
                assert_eq!(condition.judge(&some, (true, false), surely), Judgement::NothingMeasured);
                let fresh = condition.judge(&some, (false, true), surely);
                assert!(matches!(fresh, Judgement::Unknown(_)), "{text}: {fresh:?}");
            }
        }
    }

    #[test]
    fn wrong_conditions_say_what_would_be_right() {
        for text in
            ["p99", "p99>5%", "p98>+5%", "p99>+x", "p99>-5%", "errors>+2ms", "p99>+5", "throughput<+3%"]
        {
            assert!(text.parse::<FailIf>().is_err(), "{text}");
        }
        assert!("p98>+5%".parse::<FailIf>().unwrap_err().contains("p99.9"));
        assert!("".parse::<FailIf>().unwrap_err().contains("empty condition"));
    }
}
