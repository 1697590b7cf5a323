//! Many connections, and the end of the balancer itself.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::PATIENCE;
use crate::harness::site::site_cases;
use crate::rig::{Node, Rig, on, read_exactly, wait_for};

const SHORT: usize = 10_000;

/// `scripts/bench.sh l4` measures with 8,000.
const IDLE: usize = 2000;
/// One driver after the other: a process has descriptors for one of them.
static ALONE: Mutex<()> = Mutex::new(());
const IDLE_BYTES_MAX: u64 = 3 * 1024;

/// False where the condition does not come to hold in time.
fn wait_unless_late(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(50));
    }
    false
}

/// For both ends of so many connections in this process; the balancer raises its own.
fn raise_descriptors(wanted: u64) {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let enough = limit.maximum.is_none_or(|most| most >= wanted);
    assert!(enough, "{wanted} descriptors are needed: ulimit -Hn says {limit:?}");
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
}

/// Names of the threads of the balancer.
fn threads(rig: &Rig) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", rig.balancer.pid)).unwrap();
    tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok()).collect()
}

fn resident_bytes(rig: &Rig) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", rig.balancer.pid)).unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Rss:")).expect("a line Rss");
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

site_cases! { on;
    fn short_connections_leak_nothing(driver) {
        let echo = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = echo.local_addr().unwrap();
        thread::spawn(move || {
            for stream in echo.incoming() {
                let mut stream = stream.unwrap();
                let mut bytes = [0; 64];
                // One that was reset has nothing to say.
                let count = stream.read(&mut bytes).unwrap_or(0);
                let _ = stream.write_all(&bytes[..count]);
            }
        });
        let rig = Rig::start(driver, &[address], "", "");
        let once = || {
            let mut client = rig.client();
            client.write_all(b"ping").unwrap();
            assert_eq!(read_exactly(&mut client, 4), b"ping");
        };
        once();
        rig.wait_until_quiet();
        let before = rig.descriptors();
        (0..SHORT).for_each(|_| once());
        rig.wait_until_quiet();
        wait_for("as many descriptors as before", || (rig.descriptors() <= before + 2).then_some(()));
    }

    fn a_drain_waits_for_open_connections(driver) {
        let node = Node::start();
        let rig = Rig::start(driver, &[node.address()], "", "grace: 20s");
        let (mut client, mut at_node) = rig.pair(&node);
        rig.balancer.signal("TERM");
        wait_for("it drains", || rig.balancer.stderr().contains("draining").then_some(()));
        client.write_all(b"still here").unwrap();
        assert_eq!(read_exactly(&mut at_node, 10), b"still here");
        drop((client, at_node));
        assert_eq!(rig.balancer.exit_code(PATIENCE), 0);
    }

    fn an_idle_connection_costs_three_kib(driver) {
        let node = Node::start();
        let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        raise_descriptors(IDLE as u64 * 2 + 1000);
        let rig = Rig::start(driver, &[node.address()], "", "");
        // What the first connections of a process cost is not what a connection costs.
        drop((0..8).map(|_| rig.pair(&node)).collect::<Vec<_>>());
        rig.wait_until_quiet();
        let before = resident_bytes(&rig);
        let pairs: Vec<_> = (0..IDLE).map(|_| rig.pair(&node)).collect();
        let mut last = 0;
        let settled = wait_unless_late(|| {
            last = resident_bytes(&rig).saturating_sub(before) / IDLE as u64;
            last <= IDLE_BYTES_MAX
        });
        assert!(settled, "{last} bytes for each idle connection; {IDLE_BYTES_MAX} allowed");
        // A ring that cannot wait for a socket by itself does so with threads of the kernel's.
        let helpers = threads(&rig).into_iter().filter(|name| name.starts_with("iou-wrk")).count();
        assert_eq!(helpers, 0, "threads of the kernel wait for sockets");
        drop(pairs);
    }
}
