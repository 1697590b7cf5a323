//! A histogram that keeps only the cells that hold something: an idle second costs nothing, a busy one a few KB instead
//! of ten.

use super::window::Quantiles;
use crate::logic::latency_scale::bucket;
use crate::shared::report::Durations;

/// A value of each cell in microseconds (the highest that the cell holds), and how many durations it has; sorted by value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cells(Vec<(u64, u32)>);

impl Cells {
    /// The cells of what a worker recorded.
    pub fn of(durations: &Durations) -> Self {
        Self(
            durations.iter_recorded().map(|cell| (cell.value_iterated_to(), cell.count_at_value())).collect(),
        )
    }

    /// Is there no duration?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many durations there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|&(_, count)| u64::from(count)).sum()
    }

    /// Cell by cell.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        self.0.iter().copied()
    }

    /// Adds others, counts of the same cell added up.
    pub fn join(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
        } else if !other.0.is_empty() {
            self.0 = joined(&self.0, &other.0);
        }
    }

    /// `None` without a duration. The same values as the histogram itself gives.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let count = self.count();
        (count > 0).then(|| Quantiles {
            count,
            p50_us: self.at_rank(rank(count, 500)),
            p99_us: self.at_rank(rank(count, 990)),
            p999_us: self.at_rank(rank(count, 999)),
        })
    }

    fn at_rank(&self, rank: u64) -> u64 {
        let mut seen = 0;
        let found = self.0.iter().find(|&&(_, count)| {
            seen += u64::from(count);
            seen >= rank
        });
        found.or(self.0.last()).map_or(0, |&(value_us, _)| value_us)
    }

    /// Counts by the buckets of the heat map, empty ones left out.
    pub fn heat(&self) -> Vec<(u8, u32)> {
        let mut heat: Vec<(u8, u32)> = Vec::new();
        for &(value_us, count) in &self.0 {
            let bucket = bucket(value_us);
            match heat.last_mut() {
                Some((last, sum)) if *last == bucket => *sum = sum.saturating_add(count),
                _ => heat.push((bucket, count)),
            }
        }
        heat
    }
}

/// How many durations are at or below the quantile, given in thousandths; at least one.
fn rank(count: u64, thousandths: u64) -> u64 {
    (count.saturating_mul(thousandths)).div_ceil(1000).max(1)
}

/// Two sorted lists as one, counts of the same cell added up.
fn joined(one: &[(u64, u32)], other: &[(u64, u32)]) -> Vec<(u64, u32)> {
    let mut all = Vec::with_capacity(one.len().max(other.len()));
    let (mut one, mut other) = (one.iter().copied().peekable(), other.iter().copied().peekable());
    loop {
        let next = match (one.peek(), other.peek()) {
            (Some(left), Some(right)) if left.0 == right.0 => {
                let sum = (left.0, left.1.saturating_add(right.1));
                one.next();
                other.next();
                Some(sum)
            }
            (Some(left), Some(right)) if left.0 < right.0 => one.next(),
            (_, Some(_)) => other.next(),
            (_, None) => one.next(),
        };
        match next {
            Some(cell) => all.push(cell),
            None => return all,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shared::report::new_durations;

    fn of(values_us: &[u64]) -> Durations {
        let mut durations = new_durations();
        values_us.iter().for_each(|&value| durations.record(value).unwrap());
        durations
    }

    #[test]
    fn nothing_has_no_quantiles_and_no_heat() {
        assert_eq!(Cells::default().quantiles(), None);
        assert!(Cells::default().heat().is_empty());
    }

    #[test]
    fn heat_adds_up_to_the_count() {
        let cells = Cells::of(&of(&[40, 45, 100, 101, 70_000_000]));
        assert_eq!(cells.heat(), [(0, 2), (2, 1), (3, 1), (41, 1)]);
    }

    #[test]
    fn no_cell_lies_on_both_sides_of_a_bound_of_the_heat_map() {
        let durations = new_durations();
        for bound_us in crate::logic::latency_scale::BOUNDS_US {
            assert_eq!(durations.highest_equivalent(bound_us), bound_us);
        }
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_histogram(values in proptest::collection::vec(1..100_000_000_u64, 1..300)) {
            let durations = of(&values);
            let quantiles = Cells::of(&durations).quantiles().unwrap();
            prop_assert_eq!(quantiles.count, durations.len());
            prop_assert_eq!(quantiles.p50_us, durations.value_at_quantile(0.5));
            prop_assert_eq!(quantiles.p99_us, durations.value_at_quantile(0.99));
            prop_assert_eq!(quantiles.p999_us, durations.value_at_quantile(0.999));
        }

        #[test]
        fn joining_is_as_recording_together(
            one in proptest::collection::vec(1..1_000_000_u64, 0..80),
            other in proptest::collection::vec(1..1_000_000_u64, 0..80),
        ) {
            let mut joined = Cells::of(&of(&one));
            joined.join(&Cells::of(&of(&other)));
            let together: Vec<_> = one.iter().chain(&other).copied().collect();
            prop_assert_eq!(&joined, &Cells::of(&of(&together)));
            prop_assert_eq!(joined.heat().iter().map(|&(_, count)| u64::from(count)).sum::<u64>(), joined.count());
        }
    }
}
