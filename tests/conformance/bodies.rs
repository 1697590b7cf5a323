//! RFC 9112, 6: large bodies, slow readers, and back-pressure.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::PATIENCE;
use crate::harness::message::Framing;
use crate::harness::origin::ok;
use crate::harness::stage::{Stage, cases};

const MEBIBYTE: usize = 1 << 20;

/// Bytes that tell where they are, so that a lost or doubled block is seen.
fn pattern(len: usize) -> Vec<u8> {
    (0..len.div_ceil(8) as u64)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .take(len)
        .collect()
}

/// Resident memory of the balancer in bytes.
fn resident(at: &Stage) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", at.balancer().pid)).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Waits until a counter has stood still for half a second, and returns it.
#[track_caller]
fn stands_still(counter: &AtomicUsize) -> usize {
    let deadline = Instant::now() + PATIENCE;
    let (mut last, mut since) = (counter.load(Ordering::SeqCst), Instant::now());
    while since.elapsed() < Duration::from_millis(500) {
        assert!(Instant::now() < deadline, "it never stands still");
        std::thread::sleep(Duration::from_millis(20));
        let now = counter.load(Ordering::SeqCst);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

cases! { One;
    fn rfc9112_6_an_upload_of_eight_mebibytes(at) {
        let body = pattern(8 * MEBIBYTE);
        let mut client = at.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {}\r\n\r\n", body.len()));
        client.send(&body);
        assert_eq!(client.response().status(), 200);
        assert!(at.arrived().body == body);
    }
    fn rfc9112_6_a_chunked_upload_of_eight_mebibytes(at) {
        let body = pattern(8 * MEBIBYTE);
        let mut client = at.client();
        client.send("POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in body.chunks(77_777) {
            client.send(format!("{:x}\r\n", chunk.len())).send(chunk).send("\r\n");
        }
        assert_eq!(client.send("0\r\n\r\n").response().status(), 200);
        assert!(at.arrived().body == body);
    }
    fn rfc9112_6_a_download_of_eight_mebibytes(at) {
        let body = pattern(8 * MEBIBYTE);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        at.answers([head, body.clone()].concat());
        assert!(at.get("/").body == body);
    }
    fn rfc9112_6_a_chunked_download_of_eight_mebibytes(at) {
        let body = pattern(8 * MEBIBYTE);
        let sent = body.clone();
        at.origin(move |c| while c.request().is_some() {
            c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for chunk in sent.chunks(77_777) {
                c.send(format!("{:x}\r\n", chunk.len()));
                c.send(chunk);
                c.send("\r\n");
            }
            c.send("0\r\n\r\n");
        });
        assert!(at.get("/").body == body);
    }
    fn rfc9112_9_3_a_node_that_answers_while_it_reads(at) {
        at.origin(|c| while c.head().is_some() {
            c.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 4 * MEBIBYTE));
            for _ in 0..64 {
                let block = c.raw(65536);
                c.send(block);
            }
        });
        let body = pattern(4 * MEBIBYTE);
        let mut client = at.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {}\r\n\r\n", body.len()));
        let head = client.send(&body[..65536]).head();
        assert_eq!((head.status(), head.framing), (200, Framing::Length(4 * MEBIBYTE)));
        let mut echoed = client.raw(65536);
        for block in body[65536..].chunks(65536) {
            echoed.extend(client.send(block).raw(65536));
        }
        assert!(echoed == body);
    }
    fn rfc9112_6_a_client_that_does_not_read_stops_the_node(at) {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        at.origin(move |c| {
            c.request();
            c.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 128 * MEBIBYTE));
            let block = pattern(65536);
            for _ in 0..2048 {
                if !c.send(&block) {
                    break;
                }
                count.fetch_add(block.len(), Ordering::SeqCst);
            }
            c.request();
        });
        let before = resident(at);
        let mut client = at.client();
        client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let held = stands_still(&sent);
        assert!(held < 64 * MEBIBYTE, "{held} bytes were taken for a client that reads nothing");
        let grown = resident(at).saturating_sub(before);
        assert!(grown < 16 * MEBIBYTE, "the balancer grew by {grown} bytes");
        assert_eq!(client.head().status(), 200);
        let block = pattern(65536);
        for _ in 0..2048 {
            assert!(client.raw(65536) == block);
        }
    }
    fn rfc9112_6_a_node_that_does_not_read_stops_the_client(at) {
        let gate = crate::harness::gate::Gate::default();
        let wait = gate.clone();
        at.origin(move |c| {
            c.head();
            wait.pass();
            for _ in 0..512 {
                c.raw(65536);
            }
            c.send(ok("taken"));
            c.request();
        });
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        let before = resident(at);
        let mut client = at.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {}\r\n\r\n", 32 * MEBIBYTE));
        let upload = std::thread::spawn(move || {
            let block = pattern(65536);
            for _ in 0..512 {
                client.send(&block);
                count.fetch_add(block.len(), Ordering::SeqCst);
            }
            client.response().text()
        });
        let held = stands_still(&sent);
        assert!(held < 24 * MEBIBYTE, "{held} bytes were taken for a node that reads nothing");
        let grown = resident(at).saturating_sub(before);
        assert!(grown < 16 * MEBIBYTE, "the balancer grew by {grown} bytes");
        gate.open();
        assert_eq!(upload.join().unwrap(), "taken");
    }
    fn rfc9112_6_a_client_that_reads_in_sips(at) {
        let body = pattern(MEBIBYTE);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        at.answers([head, body.clone()].concat());
        let mut client = at.client();
        client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").head();
        let mut read = Vec::new();
        for sip in 0..64 {
            read.extend(client.raw(MEBIBYTE / 64));
            if sip % 8 == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        assert!(read == body);
    }
    fn rfc9112_6_bodies_of_every_small_size(at) {
        at.origin(|c| while let Some(request) = c.request() {
            c.send(ok(&request.text()));
        });
        let mut client = at.client();
        for size in (0..300).chain([4090, 4095, 4096, 4097, 8191, 8192, 8193, 16384, 32767, 32768, 65535, 65536]) {
            let body = "x".repeat(size);
            client.send(format!("POST / HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {size}\r\n\r\n{body}"));
            assert!(client.response().text() == body, "a body of {size} bytes");
        }
    }
    fn rfc9112_6_chunked_bodies_of_every_small_size(at) {
        at.origin(|c| while let Some(request) = c.request() {
            let size = request.body.len();
            let chunk = if size == 0 { String::new() } else { format!("{size:x}\r\n{}\r\n", request.text()) };
            c.send(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"));
        });
        let mut client = at.client();
        for size in (1..300).chain([4090, 4095, 4096, 4097, 8191, 8192, 8193, 16384, 32767, 32768, 65535, 65536]) {
            let body = "x".repeat(size);
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: {{host}}\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n{body}\r\n0\r\n\r\n"
            ));
            assert!(client.response().text() == body, "a chunk of {size} bytes");
        }
    }
}
