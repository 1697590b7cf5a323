//! The share of a node that has just come (back): it grows, so that cold caches and compilers warm up before the whole
//! of the traffic comes.

use std::time::Duration;

/// A whole share: effective weights are weights times this while a node of the backend is starting.
pub const WHOLE: u32 = 1000;
/// The least: with less, a node of a quiet backend would see nothing to warm up with.
const LEAST: u32 = 100;

/// The share of a node that has served for `elapsed` of a slow start of `whole`, `LEAST..=WHOLE`; it grows linearly.
pub fn share(elapsed: Duration, whole: Duration) -> u32 {
    if elapsed >= whole {
        return WHOLE;
    }
    let share = elapsed.as_millis() * u128::from(WHOLE) / whole.as_millis().max(1);
    u32::try_from(share).unwrap_or(WHOLE).clamp(LEAST, WHOLE)
}

/// The weight that a strategy sees.
pub fn effective(weight: u32, share: u32) -> u32 {
    weight.saturating_mul(share)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_begins_at_a_tenth_and_ends_whole() {
        let at = |ms| share(Duration::from_millis(ms), Duration::from_secs(10));
        assert_eq!([0, 1000, 5000, 9990, 10_000, 99_999].map(at), [100, 100, 500, 999, 1000, 1000]);
        assert_eq!(share(Duration::ZERO, Duration::ZERO), WHOLE);
    }

    proptest! {
        #[test]
        fn it_only_grows(elapsed_ms in 0_u64..200_000, more_ms in 0_u64..200_000, whole_ms in 0_u64..100_000) {
            let at = |ms| share(Duration::from_millis(ms), Duration::from_millis(whole_ms));
            prop_assert!(at(elapsed_ms) <= at(elapsed_ms + more_ms));
            prop_assert!((LEAST..=WHOLE).contains(&at(elapsed_ms)));
        }
    }
}
