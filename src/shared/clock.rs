//! One clock for all threads: microseconds since the process first looked at it.

use std::sync::LazyLock;
use std::time::Instant;

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// An instant as a number that atomics can hold. 0 for what was before the first look.
pub fn micros(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(*BEGAN).as_micros()).unwrap_or(u64::MAX)
}
