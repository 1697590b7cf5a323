//! The search for the highest rate that keeps a promise: which rate to try next. Pure.
//!
//! Doubling from the first rate until one fails (or halving until one passes), then halving the gap
//! between the highest that passed and the lowest that failed, until it is narrow.

/// The gap at which the search ends: the lowest failing rate is at most this many times the best one.
const NARROW: f64 = 1.05;
/// The most rates that are tried.
const TRIES_MAX: usize = 24;
/// Below this many requests a second nothing is tried.
pub const RATE_MIN: f64 = 1.0;

/// See the module.
#[derive(Clone, Debug)]
pub struct Search {
    first: f64,
    rate_max: f64,
    passed: Option<f64>,
    failed: Option<f64>,
    tries: usize,
}

impl Search {
    /// A search that begins at a rate and never goes above another.
    #[must_use]
    pub fn new(first: f64, rate_max: f64) -> Self {
        Self { first, rate_max, passed: None, failed: None, tries: 0 }
    }

    /// The rate to try; `None` when the search is over.
    #[must_use]
    pub fn next_rate(&self) -> Option<f64> {
        let next = match (self.passed, self.failed) {
            _ if self.tries >= TRIES_MAX => return None,
            (None, None) => self.first,
            (Some(passed), None) => (passed * 2.0).min(self.rate_max),
            (None, Some(failed)) => failed / 2.0,
            (Some(passed), Some(failed)) if failed / passed <= NARROW => return None,
            (Some(passed), Some(failed)) => round((passed * failed).sqrt()),
        };
        let known = self.passed == Some(next) || self.failed == Some(next);
        (next >= RATE_MIN && !known).then_some(next)
    }

    /// Takes note of what came of a rate.
    pub fn record(&mut self, rate: f64, passed: bool) {
        self.tries += 1;
        if passed {
            self.passed = Some(self.passed.map_or(rate, |best| best.max(rate)));
        } else {
            self.failed = Some(self.failed.map_or(rate, |worst| worst.min(rate)));
        }
    }

    /// The highest rate that passed.
    #[must_use]
    pub fn best(&self) -> Option<f64> {
        self.passed
    }

    /// How many were tried.
    #[must_use]
    pub fn tries(&self) -> usize {
        self.tries
    }
}

/// Three significant digits: rates that one can read.
fn round(rate: f64) -> f64 {
    let unit = 10f64.powf((rate.log10().floor() - 2.0).max(0.0));
    (rate / unit).round() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a server whose limit is known.
    fn search(first: f64, limit: f64) -> (Option<f64>, usize) {
        let mut search = Search::new(first, 1e7);
        while let Some(rate) = search.next_rate() {
            search.record(rate, rate <= limit);
        }
        (search.best(), search.tries())
    }

    #[test]
    fn the_limit_is_found_within_five_percent() {
        for limit in [3.0, 900.0, 1000.0, 12_345.0, 400_000.0] {
            let (best, tries) = search(1000.0, limit);
            let best = best.unwrap();
            assert!(best <= limit && best >= limit / 1.06 - 1.0, "{limit}: {best}");
            assert!(tries <= 20, "{limit}: {tries}");
        }
    }

    #[test]
    fn a_server_that_always_fails_or_never_ends_the_search() {
        assert_eq!(search(1000.0, 0.0).0, None);
        assert_eq!(search(1000.0, f64::INFINITY).0, Some(1e7));
    }
}
