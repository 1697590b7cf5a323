//! What the system knows of a thread: its CPU time, and the time that it waited for a core.

use rustix::time::{ClockId, clock_gettime};

use super::tally::ThreadState;

/// Fills in the calling thread's times.
#[must_use]
pub fn measure(state: ThreadState) -> ThreadState {
    ThreadState { cpu_ns: cpu_ns(), starved_ns: starved_ns().unwrap_or(0), ..state }
}

fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// The second field of schedstat: nanoseconds on a run queue. Not every kernel has it.
fn starved_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_in_the_cpu_time() {
        let before = measure(ThreadState::default()).cpu_ns;
        let mut sum = 0u64;
        while measure(ThreadState::default()).cpu_ns < before + 2_000_000 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(sum > 0);
    }
}
