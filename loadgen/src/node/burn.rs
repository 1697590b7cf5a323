//! CPU time spent to order: work that a scheduler or a container's quota can slow down, unlike a wait.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Spins until this thread has used `micros` more of CPU time.
pub(crate) fn cpu(micros: u64) {
    if micros == 0 {
        return;
    }
    let end = now_ns() + i128::from(micros) * 1000;
    while now_ns() < end {
        std::hint::spin_loop();
    }
}

fn now_ns() -> i128 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
    i128::from(tv_sec) * 1_000_000_000 + i128::from(tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_cpu_time_that_is_spent() {
        let before = now_ns();
        cpu(3_000);
        let used = now_ns() - before;
        assert!((3_000_000..30_000_000).contains(&used), "{used} ns");
    }
}
