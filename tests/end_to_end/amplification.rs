//! No message makes the process use more than ten times its bytes and 64 KiB: what a stranger sends costs the balancer
//! little more than it costs the stranger.

use std::time::{Duration, Instant};

use crate::harness::client::Client;
use crate::harness::origin::{Origin, OriginConnection};
use crate::harness::site::site_cases;
use crate::kernel::resident_bytes;
use crate::rig::{Rig, on};

/// Connections that hold the same message at once: one alone would vanish in what the allocator keeps anyway.
const COPIES: usize = 100;

const ALLOWED_EACH: usize = 64 * 1024;

/// Messages that cost more than the rule has it, what they may cost, and why.
const EXCESS: &[(&str, usize, &str)] = &[(
    "a huge length, and nothing of it",
    112 * 1024,
    "an upload that announces its size takes the largest buffer before its bytes come, beside the one for the node's answer",
)];

/// Messages that could be worth more memory than bytes, none of them ended: what they cost is held, not passing.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let begun = "POST /x HTTP/1.1\r\nHost: a.test\r\n";
    let chunked = format!("{begun}Transfer-Encoding: chunked\r\n\r\n");
    let fields: String = (0..90).map(|n| format!("x{n}:\r\n")).collect();
    vec![
        ("one byte", b"G".to_vec()),
        ("half a head", begun.as_bytes().to_vec()),
        ("a head of 30 KiB", format!("{begun}X: {}", "v".repeat(30 * 1024)).into_bytes()),
        ("ninety empty fields", format!("{begun}{fields}").into_bytes()),
        (
            "a huge length, and nothing of it",
            format!("{begun}Content-Length: 1000000000000\r\n\r\n").into_bytes(),
        ),
        ("a huge chunk, and nothing of it", format!("{chunked}fffffffffffff\r\n").into_bytes()),
        ("chunks of one byte", format!("{chunked}{}", "1\r\na\r\n".repeat(2000)).into_bytes()),
        ("a long chunk extension", format!("{chunked}1;{}", "e".repeat(3000)).into_bytes()),
        ("a long trailer section", format!("{chunked}0\r\n{}", "t: v\r\n".repeat(900)).into_bytes()),
        ("requests in a row", "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n".repeat(400).into_bytes()),
        ("a whole request that nobody answers", b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n".to_vec()),
    ]
}

site_cases! { on;
    fn a_message_costs_ten_times_its_bytes_and_64_kib_at_most(driver) {
        let mut broken = Vec::new();
        for (name, message) in messages() {
            // A node that reads what comes, and never says a word.
            let origin = Origin::start(std::sync::Arc::new(|c: &mut OriginConnection| {
                c.rest();
            }));
            let rig = Rig::start(driver, &[&origin], "workers: 1\n");
            // What the first connections of a process cost is not what a message costs.
            let warm: Vec<Client> = (0..COPIES).map(|_| half_sent(&rig, b"GET /x HTTP/1.1\r\nX: ")).collect();
            peak_within(&rig, Duration::from_millis(200));
            drop(warm);
            rig.wait_until_quiet();
            let before = resident_bytes(rig.balancer.pid);
            let clients: Vec<Client> = (0..COPIES).map(|_| half_sent(&rig, &message)).collect();
            let peak = peak_within(&rig, Duration::from_millis(700));
            drop(clients);
            let each = peak.saturating_sub(before) as usize / COPIES;
            let rule = 10 * message.len() + ALLOWED_EACH;
            let allowed = EXCESS.iter().find(|(excused, ..)| *excused == name).map_or(rule, |(_, most, _)| *most);
            if each > allowed {
                broken.push(format!("{name}: {each} bytes for each copy of {} bytes; {allowed} allowed", message.len()));
            }
        }
        assert!(broken.is_empty(), "{broken:#?}");
    }
}

fn half_sent(rig: &Rig, message: &[u8]) -> Client {
    let mut client = Client::connect(rig.balancer.address(), "a.test");
    client.send(message);
    client
}

/// The largest resident size that is seen within this time.
fn peak_within(rig: &Rig, time: Duration) -> u64 {
    let deadline = Instant::now() + time;
    let mut peak = 0;
    while Instant::now() < deadline {
        peak = peak.max(resident_bytes(rig.balancer.pid));
        std::thread::sleep(Duration::from_millis(10));
    }
    peak
}
