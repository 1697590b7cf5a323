//! Clients that do not read: memory stays bounded, however large the response.

use std::sync::Arc;

use crate::harness::origin::{Origin, ok};
use crate::harness::site::site_cases;
use crate::kernel::resident_bytes;
use crate::rig::{Rig, get, on, wait_for};

const MIB: u64 = 1024 * 1024;
/// A response that is larger than all of the kernel's buffers on its way.
const LARGE: u64 = 64 * MIB;
const CLIENTS: usize = 32;

/// Sends a large response to `/large` as fast as it is taken.
fn generous() -> Origin {
    Origin::start(Arc::new(|c| {
        while let Some(request) = c.request() {
            if request.target() != "/large" {
                c.send(ok("hi"));
                continue;
            }
            c.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
            let block = vec![b'x'; MIB as usize];
            (0..LARGE / MIB).take_while(|_| c.send(&block)).count();
        }
    }))
}

/// Reads a body of this length and throws it away.
fn read_body(client: crate::harness::client::Client, had: u64, length: u64) {
    use std::io::Read;
    let mut socket = client.into_socket();
    let mut left = length - had;
    let mut block = vec![0; MIB as usize];
    while left > 0 {
        let count = socket.read(&mut block).expect("the response goes on") as u64;
        assert!(count > 0, "the response ended {left} bytes early");
        left -= count;
    }
}

site_cases! { on;
    fn large_responses_that_nobody_reads_take_no_memory(driver) {
        let origin = generous();
        let rig = Rig::start(driver, &[&origin], "timeouts: { body: 60s }\n");
        assert_eq!(rig.get("/").status(), 200);
        let before = resident_bytes(rig.balancer.pid);
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| rig.client()).collect();
        for client in &mut clients {
            assert_eq!(client.send(get("/large")).head().status(), 200);
        }
        // All stand still once the buffers between are full: what was written does not grow any more.
        let mut last = u64::MAX;
        wait_for("a standstill", || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            let now = crate::kernel::cpu_time(rig.balancer.pid).as_micros() as u64;
            let still = now.saturating_sub(last) < 20_000 && last != u64::MAX;
            last = now;
            still.then_some(())
        });
        let grown = resident_bytes(rig.balancer.pid).saturating_sub(before);
        // Each connection may hold a buffer a direction, and the pool's spare ones; never the response.
        assert!(grown < 16 * MIB, "{} KiB more for {CLIENTS} readers that stand still", grown / 1024);
        assert_eq!(rig.get("/").text(), "hi", "others are served meanwhile");
        drop(clients);
        rig.wait_until_quiet();
    }
    fn a_slow_reader_is_neither_late_nor_gone(driver) {
        use std::io::Read;
        // Slower than the kernel tells of room, and with an end of its own that looks like leaving.
        let origin = Origin::start(Arc::new(|c| {
            while c.request().is_some() {
                c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
                (0..200).take_while(|_| c.send(&chunk)).count();
                c.send("0\r\n\r\n");
            }
        }));
        let rig = Rig::start(driver, &[&origin], "timeouts: { body: 1s }\n");
        for half_closes in [false, true] {
            let mut client = rig.client();
            client.send(get("/"));
            if half_closes {
                client.finish();
            }
            let mut socket = client.into_socket();
            let (begin, mut total, mut block) = (std::time::Instant::now(), 0, vec![0; 20_000]);
            while begin.elapsed() < std::time::Duration::from_secs(4) {
                let count = socket.read(&mut block).unwrap_or_else(|error| panic!("{error} after {total} bytes, {half_closes}"));
                assert!(count > 0, "the end after {total} bytes");
                total += count;
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
        rig.wait_until_quiet();
    }
    fn a_large_download_and_a_large_upload_take_no_memory(driver) {
        let origin = Origin::start(Arc::new(|c| {
            while let Some(head) = c.head() {
                if head.method() == "POST" {
                    c.swallow(LARGE as usize);
                    c.send(ok("swallowed"));
                } else if head.target() == "/large" {
                    c.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
                    let block = vec![b'x'; MIB as usize];
                    (0..LARGE / MIB).take_while(|_| c.send(&block)).count();
                } else {
                    c.send(ok("hi"));
                }
            }
        }));
        let rig = Rig::start(driver, &[&origin], "");
        assert_eq!(rig.get("/").status(), 200);
        let before = resident_bytes(rig.balancer.pid);
        let mut client = rig.client();
        client.send(get("/large"));
        assert_eq!(client.head().status(), 200);
        let had = client.buffered() as u64;
        read_body(client, had, LARGE);
        let mut client = rig.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {LARGE}\r\n\r\n"));
        let block = vec![b'y'; MIB as usize];
        (0..LARGE / MIB).for_each(|_| { client.send(&block); });
        assert_eq!(client.response().text(), "swallowed");
        let grown = resident_bytes(rig.balancer.pid).saturating_sub(before);
        assert!(grown < 16 * MIB, "{} KiB more after {} MiB each way", grown / 1024, LARGE / MIB);
    }
}
