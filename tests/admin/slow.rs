//! Clients that are slow, silent or many.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use plimsoll::logic::limits::ADMIN_CONNECTIONS_MAX;
use plimsoll::telemetry::admin::Patience;

use crate::rig::{PATIENCE, Rig};

const SHORT: Patience = Patience { head: Duration::from_millis(200), stall: Duration::from_millis(400) };

/// How long until the server closes; all that it says before that is let go.
fn closed_after(stream: &mut TcpStream) -> Duration {
    let before = Instant::now();
    // A reset is a close too.
    let _ = stream.read_to_end(&mut Vec::new());
    before.elapsed()
}

#[test]
fn a_connection_that_says_nothing_is_cut() {
    let rig = Rig::impatient(SHORT);
    let waited = closed_after(&mut rig.connect());
    assert!(waited < PATIENCE / 2, "{waited:?}");
}

#[test]
fn a_head_that_drips_is_cut_by_the_time_of_the_whole() {
    let rig = Rig::impatient(SHORT);
    let mut stream = rig.connect();
    let before = Instant::now();
    // A byte each 20 ms would keep any timeout between two bytes from firing.
    for byte in "GET /healthz HTTP/1.1\r\nx-slow: ".bytes().chain(std::iter::repeat(b'x')) {
        if stream.write_all(&[byte]).is_err() {
            break;
        }
        assert!(before.elapsed() < PATIENCE, "still open");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_connection_that_stays_silent_after_an_answer_is_cut() {
    let rig = Rig::impatient(SHORT);
    let mut stream = rig.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 16];
    stream.read_exact(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    let waited = closed_after(&mut stream);
    assert!(waited < PATIENCE / 2, "{waited:?}");
}

#[test]
fn a_client_that_reads_nothing_is_cut() {
    let rig = Rig::impatient(SHORT);
    let mut stream = rig.connect();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let before = Instant::now();
    // Requests without end, answers unread: when both sides' buffers are full, only a write timeout helps.
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100);
    while stream.write_all(&request).is_ok() {}
    assert!(before.elapsed() < PATIENCE, "it was our own patience that ended");
}

#[test]
fn connections_that_say_nothing_keep_nobody_out() {
    let rig = Rig::impatient(Patience { head: PATIENCE * 6, stall: PATIENCE * 6 });
    let mut silent: Vec<_> = (0..ADMIN_CONNECTIONS_MAX + 20).map(|_| rig.connect()).collect();
    for stream in &mut silent {
        // Half a head, of those whose place is still theirs.
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n");
    }
    let before = Instant::now();
    assert_eq!(rig.get("/healthz").status, 200);
    assert!(before.elapsed() < PATIENCE / 2, "{:?}", before.elapsed());
    // The oldest had to go, and the newest is still welcome.
    assert!(closed_after(&mut silent[0]) < PATIENCE / 2);
    let newest = silent.last_mut().unwrap();
    newest.write_all(b"connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    newest.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
