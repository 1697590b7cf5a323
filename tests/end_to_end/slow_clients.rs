//! Clients that send a byte now and then, and heads that are too long.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::client::Client;
use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::kernel::resident_bytes;
use crate::rig::{Rig, get, on};
use crate::traffic::{Traffic, assert_all_ok, p99};

/// How long a head may take in these tests.
const HEAD: Duration = Duration::from_secs(2);
/// What a busy machine may be late by: the test's own threads are, too.
const LATE: Duration = Duration::from_millis(500);
const SLOW: usize = 1000;
/// How many of them send at the same moment. Slow clients of the world do not keep step: all at once would measure what a
/// burst of a thousand messages does to a neighbour, which is no question of slowness.
const STEP: usize = 50;
/// Between two bytes of one client.
const PACE: Duration = Duration::from_millis(200);

/// What became of a slow client: when it was shut, and what it was told.
struct End {
    after: Duration,
    told: Vec<u8>,
}

/// Connects so many clients, each of which sends a byte of a head every `PACE` until it is shut.
fn slow_clients(address: SocketAddr, over: &Arc<AtomicBool>) -> JoinHandle<Vec<End>> {
    let over = over.clone();
    std::thread::spawn(move || {
        let connect = |_| (0..STEP).map(|_| Slow::connect(address)).collect::<Vec<_>>();
        let mut groups: Vec<_> = (0..SLOW / STEP).map(connect).collect();
        let mut ends = Vec::new();
        while groups.iter().any(|group| !group.is_empty()) && !over.load(SeqCst) {
            for group in &mut groups {
                let step = Instant::now();
                group.retain_mut(|client| client.drip(&mut ends));
                // A pace, not a wait for something: this is what makes the client slow.
                std::thread::sleep((PACE * STEP as u32 / SLOW as u32).saturating_sub(step.elapsed()));
            }
        }
        ends
    })
}

struct Slow {
    socket: std::net::TcpStream,
    /// When its first byte was sent.
    since: Instant,
    told: Vec<u8>,
}

impl Slow {
    fn connect(address: SocketAddr) -> Self {
        use std::io::Write;
        let mut socket = std::net::TcpStream::connect(address).expect("the balancer accepts");
        socket.set_nonblocking(true).unwrap();
        let since = Instant::now();
        socket.write_all(b"G").unwrap();
        Self { socket, since, told: Vec::new() }
    }

    /// Sends a byte, and looks whether it was shut. False once it was.
    fn drip(&mut self, ends: &mut Vec<End>) -> bool {
        use std::io::{Read, Write};
        let mut chunk = [0; 1024];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => self.told.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && self.told.is_empty() => {
                    let _ = self.socket.write(b"E");
                    return true;
                }
                // An answer came, and nobody says more for now: what counts is that the answer did.
                Err(_) => break,
            }
        }
        ends.push(End { after: self.since.elapsed(), told: std::mem::take(&mut self.told) });
        false
    }
}

/// The p99 of normal clients, over some two seconds.
fn normal_p99(address: SocketAddr) -> Duration {
    let traffic = Traffic::start(address, 4);
    std::thread::sleep(Duration::from_millis(1500));
    let outcomes = traffic.stop();
    assert_all_ok(&outcomes);
    p99(&outcomes)
}

site_cases! { on;
    fn a_thousand_slow_clients_are_shut_in_time(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let rig = Rig::start(driver, &[&origin], "workers: 2\ntimeouts: { client_head: 2s }\n");
        let address = rig.balancer.address();
        let ends = slow_clients(address, &Arc::default()).join().unwrap();
        assert_eq!(ends.len(), SLOW);
        let unlike: Vec<_> = ends.iter().filter(|end| !end.told.starts_with(b"HTTP/1.1 408 ")).collect();
        assert!(unlike.is_empty(), "{} were shut without 408, one with {:?}", unlike.len(), String::from_utf8_lossy(&unlike[0].told));
        let latest = ends.iter().map(|end| end.after).max().unwrap();
        let earliest = ends.iter().map(|end| end.after).min().unwrap();
        // The pace is how often this test looks.
        assert!(earliest + Duration::from_millis(50) >= HEAD, "shut after {earliest:?}, before the timeout");
        assert!(latest <= HEAD + Duration::from_secs(1) + LATE, "shut after {latest:?}");
        assert_eq!(rig.get("/").text(), "hi");
        rig.wait_until_quiet();
    }
    fn a_thousand_slow_clients_do_not_slow_down_others(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let rig = Rig::start(driver, &[&origin], "workers: 2\ntimeouts: { client_head: 60s }\n");
        let address = rig.balancer.address();
        // The machine's own noise is larger than what is measured: one calm round of six is proof enough, and a
        // balancer that the slow ones do slow down has none.
        let rounds: Vec<_> = (0..6).map(|_| {
            let without = normal_p99(address);
            let over = Arc::new(AtomicBool::new(false));
            let slow = slow_clients(address, &over);
            crate::rig::wait_for("all slow clients", || (rig.total("connections") >= SLOW as u64).then_some(()));
            let with = normal_p99(address);
            over.store(true, SeqCst);
            assert!(slow.join().unwrap().is_empty(), "some were shut before their time");
            rig.wait_until_quiet();
            (without, with)
        }).take_while_inclusive(|(without, with)| *with > *without * 2).collect();
        let (without, with) = *rounds.last().unwrap();
        assert!(with <= without * 2, "p99 without and with slow clients: {rounds:?}");
    }
    fn one_byte_at_a_time_is_a_request(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let rig = Rig::start(driver, &[&origin], "");
        let mut client = rig.client();
        for _ in 0..3 {
            client.drip("POST /drip HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
            assert_eq!(client.response().text(), "hi");
        }
        let requests = origin.act().requests();
        assert_eq!(requests.len(), 3);
        assert!(requests.iter().all(|r| r.text() == "hello"), "{requests:?}");
    }
    fn heads_that_are_too_long_are_refused_and_take_no_memory(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let rig = Rig::start(driver, &[&origin], "");
        assert_eq!(rig.get("/").status(), 200);
        let before = resident_bytes(rig.balancer.pid);
        let mut clients: Vec<_> = (0..64).map(|_| rig.client()).collect();
        // Far beyond the limit, which stops it: the rest may meet a closed door.
        let endless = format!("GET / HTTP/1.1\r\nHost: {{host}}\r\nX-Long: {}", "x".repeat(1_000_000));
        for client in &mut clients {
            client.try_send(&endless);
        }
        for client in &mut clients {
            let answer = client.response();
            assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (431, Some("head_too_large")), "{answer:?}");
        }
        let grown = resident_bytes(rig.balancer.pid).saturating_sub(before);
        assert!(grown < 16 * 1024 * 1024, "{} KiB more for 64 heads of 1 MB", grown / 1024);
        assert_eq!(rig.get("/").text(), "hi");
    }
    fn a_slow_client_is_told_why(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let rig = Rig::start(driver, &[&origin], "timeouts: { client_head: 1500ms }\n");
        let mut client = Client::connect(rig.balancer.address(), "slow.test");
        assert_eq!(client.send(get("/")).response().status(), 200);
        let begun = Instant::now();
        let answer = client.send("GET / HTTP/1.1\r\n").response();
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (408, Some("head_timeout")));
        assert!(begun.elapsed() >= Duration::from_millis(1400), "{:?}", begun.elapsed());
        client.closed();
    }
}

/// `take_while`, with the first that ends it.
trait TakeWhileInclusive: Iterator + Sized {
    fn take_while_inclusive(self, goes_on: impl Fn(&Self::Item) -> bool) -> impl Iterator<Item = Self::Item> {
        let mut over = false;
        self.take_while(move |item| !std::mem::replace(&mut over, !goes_on(item)))
    }
}

impl<I: Iterator> TakeWhileInclusive for I {}
