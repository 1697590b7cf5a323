//! Every path that a request can take, all at once: when it is over, nothing is in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::harness::balancer::Driver;
use crate::harness::client::Client;
use crate::harness::origin::{Origin, ok};
use crate::harness::site::site_cases;
use crate::harness::stage::{LISTENER, common};
use crate::mortal::MortalNode;
use crate::rig::{Rig, on, wait_for};

/// Asks that the clients go through, each in its own order.
const ASKS: usize = 9;

/// A node that answers as the path says: well, badly, half, not at all, with a switch.
fn many_faced() -> Origin {
    Origin::start(Arc::new(|c| {
        c.set_patience(Duration::from_secs(5));
        while let Some(request) = c.request() {
            let goes_on = match request.target() {
                "/500" => c.send("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
                "/half" => {
                    c.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
                    false
                }
                "/nonsense" => {
                    c.send("NONSENSE\r\n\r\n");
                    false
                }
                "/close" => false,
                "/slow" => {
                    std::thread::sleep(Duration::from_millis(400));
                    c.send(ok("slow"))
                }
                "/switch" => {
                    c.tunnel();
                    c.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello");
                    let _ = c.rest();
                    false
                }
                _ => c.send(ok("fine")),
            };
            if !goes_on {
                break;
            }
        }
    }))
}

/// One request of one kind; the connection ends with it.
fn ask(rig: &Rig, kind: usize) {
    let mut client = Client::connect(rig.balancer.address(), "storm.test");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {{host}}\r\n\r\n");
    match kind {
        0 => drop(client.send(get("/")).response()),
        1 => drop(client.send(get("/500")).response()),
        2 => drop(client.try_send(get("/half"))),
        3 => drop(client.send(get("/nonsense")).response()),
        4 => drop(client.send(get("/close")).response()),
        5 => drop(client.send(get("/slow")).response()),
        6 => {
            client.send(get("/slow"));
            client.reset();
        }
        7 => {
            client
                .send("GET /switch HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
            drop(client.head());
        }
        _ => {
            client.send("POST /half-sent HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\nsome");
            client.reset();
        }
    }
}

fn config(driver: Driver, nodes: &[std::net::SocketAddr]) -> String {
    let servers: Vec<_> = nodes.iter().map(|node| format!("{{ url: \"http://{node}\" }}")).collect();
    format!(
        "{}{LISTENER}workers: 2\ntimeouts: {{ response_head: 200ms }}\nroutes: [{{ path: /*, backend: node }}]\n\
         backends: {{ node: {{ outlier: {{ consecutive_failures: 3, ejection: 100ms, max_ejected: 100% }}, slow_start: 1s, \
         health: {{ interval: 50ms, rise: 1, fall: 1 }}, servers: [{}] }} }}\n",
        common(driver),
        servers.join(", ")
    )
}

site_cases! { on;
    fn it_ends_with_nothing_in_flight(driver) {
        let (one, other, victim) = (many_faced(), many_faced(), MortalNode::start("victim"));
        let address = victim.address();
        let all = config(driver, &[one.address(), other.address(), address]);
        let fewer = config(driver, &[other.address(), address]);
        let rig = Rig::with(&all);
        let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for client in 0..6_usize {
                let (rig, over, asked) = (&rig, &over, &asked);
                scope.spawn(move || {
                    for round in 0.. {
                        if over.load(SeqCst) {
                            break;
                        }
                        ask(rig, (round * (client + 1) + client) % ASKS);
                        asked.fetch_add(1, SeqCst);
                    }
                });
            }
            let more = |count: usize| {
                let target = asked.load(SeqCst) + count;
                wait_for("more requests", || (asked.load(SeqCst) >= target).then_some(()));
            };
            more(100);
            victim.kill();
            for round in 0..6 {
                std::fs::write(&rig.balancer.file, if round % 2 == 0 { &fewer } else { &all }).unwrap();
                rig.balancer.signal("HUP");
                more(40);
            }
            let _back = MortalNode::start_at(address, "back");
            more(100);
            over.store(true, SeqCst);
        });
        rig.wait_until_quiet();
        for node in rig.json("/api/v1/nodes").as_array().unwrap() {
            assert_eq!(node["in_flight"], 0, "{node}");
        }
        assert_eq!(rig.total("panics_total"), 0);
        let said = rig.balancer.stderr();
        for happened in ["is ejected", "is unhealthy", "is draining", "reloaded: "] {
            assert!(said.contains(happened), "nothing {happened}: it was no storm\n{said}");
        }
        // And whatever was ejected comes back.
        wait_for("a good answer", || (rig.get("/").status() == 200).then_some(()));
    }
}
