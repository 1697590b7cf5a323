//! What the kernel says of a process.

use std::fs;
use std::time::Duration;

/// File descriptors that it has open.
pub(crate) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the balancer lives").count()
}

/// Bytes of memory that it has resident.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the balancer lives");
    let line = rollup.lines().find(|line| line.starts_with("Rss:")).expect("a line Rss");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number of KiB");
    kib * 1024
}

/// CPU time that all its threads have used, kernel's included.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    threads(pid).into_iter().map(|(_, time)| time).sum()
}

/// The name of each of its threads, and the CPU time that it has used.
pub(crate) fn threads(pid: u32) -> Vec<(String, Duration)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the balancer lives");
    tasks
        .flatten()
        .filter_map(|task| {
            let name = fs::read_to_string(task.path().join("comm")).ok()?;
            // Nanoseconds on a CPU, nanoseconds waiting for one, time slices.
            let schedule = fs::read_to_string(task.path().join("schedstat")).ok()?;
            let used: u64 = schedule.split(' ').next()?.parse().ok()?;
            Some((name.trim().to_owned(), Duration::from_nanos(used)))
        })
        .collect()
}

/// Its children that live.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Does it live, or has it ended and is waited for?
pub(crate) fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state stands behind the name, which may hold anything.
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
