//! One monotonic clock that all threads share: time since the process first looked at it.

use std::sync::LazyLock;
use std::time::Instant;

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the clock was first looked at, plus one: never 0, so that 0 can stand for "never".
pub fn now_ms() -> u64 {
    u64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
}

/// An instant on the scale of [`now_ms`].
pub fn millis(at: Instant) -> u64 {
    micros(at) / 1000 + 1
}

/// An instant as microseconds, a number that atomics can hold. 0 for what was before the first look.
pub fn micros(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(*BEGAN).as_micros()).unwrap_or(u64::MAX)
}
