//! What was: 15 minutes by the second and 24 hours by the minute, of the whole and of routes, backends and nodes.
//!
//! Memory is bounded whatever the load: a row is 72 bytes and one word for each latency bucket that saw a request (at most
//! 42, mostly under 12), a series has at most 900 + 1440 rows: 0.17 MB idle, about 0.3 MB under ordinary load, 0.56 MB at
//! most. With the whole and [`HISTORY_SERIES_MAX`] others that is 72 MB at the very most, about 6 MB with ten routes
//! and ten nodes.

mod row;
mod series;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::logic::limits::HISTORY_SERIES_MAX;

pub use row::{Row, Sample};
pub use series::{Series, Step};

/// Whose numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A route, by its name.
    Route(Arc<str>),
    /// A backend, by its name.
    Backend(Arc<str>),
    /// A node, by its id.
    Node(Arc<str>),
}

/// All series.
#[derive(Debug, Default)]
pub struct History {
    total: Series,
    named: BTreeMap<Name, Series>,
}

impl History {
    /// A second has passed. Names that are not given any more are forgotten.
    pub fn close_second(&mut self, at_ms: u64, total: &Sample, named: Vec<(Name, Sample)>) {
        self.total.push(at_ms, total);
        self.named.retain(|known, _| named.iter().any(|(name, _)| name == known));
        for (name, sample) in named {
            if !self.named.contains_key(&name) {
                self.make_room(&sample);
            }
            let room = self.named.len() < HISTORY_SERIES_MAX;
            match self.named.get_mut(&name) {
                Some(series) => series.push(at_ms, &sample),
                None if room => self.named.entry(name).or_default().push(at_ms, &sample),
                None => {}
            }
        }
    }

    /// `total`, `route:NAME`, `backend:NAME`, `node:ID`; `None` where nothing is kept under the name.
    pub fn series(&self, text: &str) -> Option<&Series> {
        if text == "total" {
            return Some(&self.total);
        }
        let (kind, name) = text.split_once(':')?;
        let name = match kind {
            "route" => Name::Route(name.into()),
            "backend" => Name::Backend(name.into()),
            "node" => Name::Node(name.into()),
            _ => return None,
        };
        self.named.get(&name)
    }

    /// Is this the name of a series that could be?
    pub fn is_name(text: &str) -> bool {
        text == "total" || ["route:", "backend:", "node:"].iter().any(|kind| text.starts_with(kind))
    }

    /// Where all places are taken, a newcomer that is busy gets that of the series that was idle for longest.
    fn make_room(&mut self, newcomer: &Sample) {
        if self.named.len() < HISTORY_SERIES_MAX || newcomer.requests() == 0 {
            return;
        }
        let idle = self.named.iter().min_by_key(|(_, series)| series.busy_ms()).map(|(name, _)| name.clone());
        idle.map(|name| self.named.remove(&name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logic::limits::{HISTORY_MINUTES, HISTORY_SECONDS};
    use crate::telemetry::cells::Cells;
    use crate::telemetry::ledger::{Classes, Pending};

    fn sample(requests: u64) -> Sample {
        let mut durations = crate::shared::report::new_durations();
        durations.record_n(700, u32::try_from(requests).unwrap()).unwrap();
        let classes = Classes { success: requests, ..Classes::default() };
        Sample::new(&Pending { classes, whole: Cells::of(&durations) }, 3, 0, None)
    }

    fn node(at: usize) -> Name {
        Name::Node(format!("api/{at}").into())
    }

    #[test]
    fn a_day_is_kept_and_no_more() {
        let mut history = History::default();
        for second in 1..=100_000_u64 {
            history.close_second(second * 1000, &sample(2), Vec::new());
        }
        let total = history.series("total").unwrap();
        let (from_ms, rows) = total.rows(Step::Second, usize::MAX);
        assert_eq!((from_ms, rows.len()), ((100_000 - HISTORY_SECONDS as u64) * 1000, HISTORY_SECONDS));
        let (_, minutes) = total.rows(Step::Minute, usize::MAX);
        assert_eq!(minutes.len(), HISTORY_MINUTES);
        assert!(minutes.iter().all(|row| row.requests() == 120 && row.in_flight == 3));
        assert_eq!(total.rows(Step::Second, 10).1.len(), 10);
    }

    #[test]
    fn memory_is_what_the_page_says() {
        assert!(size_of::<Row>() <= 72, "{}", size_of::<Row>());
    }

    #[test]
    fn a_name_that_is_gone_is_forgotten() {
        let mut history = History::default();
        history.close_second(1000, &sample(1), vec![(node(1), sample(1))]);
        assert!(history.series("node:api/1").is_some());
        history.close_second(2000, &sample(1), Vec::new());
        assert!(history.series("node:api/1").is_none());
        assert!(history.series("colour:red").is_none());
    }

    #[test]
    fn there_are_never_too_many_and_the_busy_ones_stay() {
        let mut history = History::default();
        let all = |busy: usize| {
            let of = |at: usize| (node(at), sample(u64::from(at == busy)));
            (0..2 * HISTORY_SERIES_MAX).map(of).collect::<Vec<_>>()
        };
        for (second, busy) in [(1, 0), (2, HISTORY_SERIES_MAX + 7), (3, 1)] {
            history.close_second(second * 1000, &sample(1), all(busy));
            assert_eq!(history.named.len(), HISTORY_SERIES_MAX);
            assert!(history.named.contains_key(&node(busy)), "{busy}");
        }
    }
}
