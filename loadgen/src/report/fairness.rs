//! How evenly the answers were spread over the nodes.

use std::collections::BTreeMap;

/// Jain's index of fairness: (sum x)² / (n · sum x²). 1 when all nodes answered equally often, 1/n when one did it
/// all. `None` without answers.
///
/// Jain, Chiu, Hawe: "A Quantitative Measure of Fairness and Discrimination", DEC-TR-301, 1984.
#[must_use]
pub fn jain(nodes: &BTreeMap<String, u64>) -> Option<f64> {
    let sum: f64 = nodes.values().map(|&n| n as f64).sum();
    let squares: f64 = nodes.values().map(|&n| (n as f64).powi(2)).sum();
    (squares > 0.0).then(|| sum * sum / (nodes.len() as f64 * squares))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: &[u64]) -> Option<f64> {
        jain(&counts.iter().enumerate().map(|(at, &n)| (at.to_string(), n)).collect())
    }

    #[test]
    fn the_ends_of_the_scale_are_one_and_one_over_n() {
        assert_eq!(of(&[5, 5, 5, 5]), Some(1.0));
        assert_eq!(of(&[9, 0, 0, 0]), Some(0.25));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[0]), None);
    }
}
