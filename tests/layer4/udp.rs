//! Sessions of a udp listener: who gets which datagram, how they end, and what cannot hurt them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::datagrams::{
    client, client_from, config, exchange, is_silent, receive, socket, start, wait_for_sessions,
};
use crate::harness::PATIENCE;
use crate::harness::balancer::Balancer;
use crate::harness::site::site_cases;
use crate::rig::{Rig, on, wait_for};

fn arrived(node: &UdpSocket, what: u8) -> bool {
    node.set_nonblocking(true).unwrap();
    let mut byte = [0];
    node.recv(&mut byte).is_ok_and(|_| byte[0] == what)
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn addresses(nodes: &[UdpSocket]) -> Vec<SocketAddr> {
    nodes.iter().map(|node| node.local_addr().unwrap()).collect()
}

fn total(rig: &Rig, name: &str) -> u64 {
    let totals = rig.json("/api/v1/status")["totals"].clone();
    totals[name].as_u64().unwrap_or_else(|| panic!("no {name} in {totals}"))
}

site_cases! { on;
    fn a_client_stays_with_its_node(driver) {
        let nodes = [socket("127.0.0.1:0"), socket("127.0.0.1:0")];
        let rig = start(driver, &addresses(&nodes), "", "");
        let clients = [client(&rig), client(&rig)];
        let from = [exchange(&clients[0], &nodes[0], b"1"), exchange(&clients[1], &nodes[1], b"1")];
        for _ in 0..3 {
            assert_eq!(exchange(&clients[0], &nodes[0], b"again"), from[0]);
            assert_eq!(exchange(&clients[1], &nodes[1], b"again"), from[1]);
        }
        // A node may speak without being asked, and more than once.
        for text in ["and", "another", "thing"] {
            nodes[0].send_to(text.as_bytes(), from[0]).unwrap();
            assert_eq!(receive(&clients[0]).0, text.as_bytes());
        }
        wait_for_sessions(&rig, 2);
    }

    fn datagrams_of_every_size_pass_whole_both_ways(driver) {
        let node = socket("127.0.0.1:0");
        let rig = start(driver, &addresses(std::slice::from_ref(&node)), "", "");
        let client = client(&rig);
        for size in [0, 1, 0, 512, 1472, 1473, 9000, 65_507] {
            let bytes: Vec<u8> = (0..size).map(|at| (at * 7) as u8).collect();
            exchange(&client, &node, &bytes);
        }
    }

    fn a_burst_arrives_whole_and_in_order(driver) {
        let node = socket("127.0.0.1:0");
        let rig = start(driver, &addresses(std::slice::from_ref(&node)), "", "");
        let client = client(&rig);
        let back = exchange(&client, &node, b"hello");
        // Sizes that make trains, end them, and stand alone.
        let sizes = [700, 700, 700, 300, 0, 700, 700, 1200, 1200, 64, 64, 64];
        for round in 0..8_u8 {
            for (from, to) in [(&client, &node), (&node, &client)] {
                for (at, &size) in sizes.iter().enumerate() {
                    let bytes = vec![round ^ at as u8; size];
                    match std::ptr::eq(from, &node) {
                        true => from.send_to(&bytes, back).unwrap(),
                        false => from.send(&bytes).unwrap(),
                    };
                }
                for (at, &size) in sizes.iter().enumerate() {
                    assert_eq!(receive(to).0, vec![round ^ at as u8; size], "round {round}, datagram {at}");
                }
            }
        }
    }

    fn an_answer_comes_from_the_address_that_was_asked(driver) {
        let node = socket("127.0.0.1:0");
        let config = config(driver, &addresses(std::slice::from_ref(&node)), "", "", "0.0.0.0:0", "");
        let rig = Rig { balancer: Balancer::start(&config) };
        let port = rig.balancer.listener("dns").port();
        let client = socket("127.0.0.1:0");
        // One client at two of our addresses is two clients.
        for _ in 0..2 {
            for asked in ["127.0.0.5", "127.0.0.6"] {
                let asked = SocketAddr::new(asked.parse().unwrap(), port);
                client.send_to(b"?", asked).unwrap();
                let (_, from) = receive(&node);
                node.send_to(b"!", from).unwrap();
                assert_eq!(receive(&client), (b"!".to_vec(), asked));
            }
        }
        wait_for_sessions(&rig, 2);
    }

    fn consistent_hash_goes_by_the_client(driver) {
        let nodes: Vec<_> = (0..4).map(|_| socket("127.0.0.1:0")).collect();
        let rig = start(driver, &addresses(&nodes), "strategy: ip_hash,", "");
        let mut used = [0; 4];
        for host in 1..=32 {
            let at: Vec<_> = (0..3)
                .map(|_| {
                    let client = client_from(&rig, &format!("127.0.0.{host}:0"));
                    client.send(&[host]).unwrap();
                    wait_for("it arrives somewhere", || nodes.iter().position(|node| arrived(node, host)))
                })
                .collect();
            assert!(at.iter().all(|node| *node == at[0]), "client {host}: {at:?}");
            used[at[0]] += 1;
        }
        assert!(used.iter().all(|count| *count > 0), "{used:?}");
    }

    fn a_node_that_refuses_costs_the_client_nothing(driver) {
        let node = socket("127.0.0.1:0");
        let idle = "timeouts: { udp_idle: 300ms }";
        let rig = start(driver, &[nobody(), node.local_addr().unwrap()], "", idle);
        // Every second one is sent to nobody first; what is answered elsewhere costs the budget nothing.
        for _ in 0..16 {
            exchange(&client(&rig), &node, b"?");
        }
        wait_for("the sessions are counted", || (total(&rig, "retries_total") == 8).then_some(()));
        // One whose node goes away in the middle of a conversation finds another.
        let dying = socket("127.0.0.1:0");
        let rig = start(driver, &[dying.local_addr().unwrap(), node.local_addr().unwrap()], "", "");
        let client = client(&rig);
        exchange(&client, &dying, b"?");
        drop(dying);
        node.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        wait_for("the other node", || {
            client.send(b"anybody there?").unwrap();
            node.recv(&mut [0; 32]).ok()
        });
    }

    fn a_node_that_refuses_again_and_again_is_ejected(driver) {
        let node = socket("127.0.0.1:0");
        let keys = "outlier: { consecutive_failures: 3, ejection: 60s },";
        let rig = start(driver, &[nobody(), node.local_addr().unwrap()], keys, "");
        wait_for("the ejection", || {
            exchange(&client(&rig), &node, b"?");
            let nodes = rig.json("/api/v1/nodes");
            nodes.as_array().unwrap().iter().any(|node| node["state"] == "ejected").then_some(())
        });
    }

    fn without_a_node_datagrams_are_dropped_and_counted(driver) {
        let rig = start(driver, &[nobody()], "", "");
        let client = client(&rig);
        client.send(b"?").unwrap();
        wait_for("the end of the session", || (total(&rig, "requests_total") >= 1).then_some(()));
        wait_for_sessions(&rig, 0);
        assert!(is_silent(&client));
        let node = &rig.json("/api/v1/nodes")[0];
        assert!(node["errors_total"].as_u64().unwrap() > 0, "{node}");
    }

    fn silence_ends_a_session_and_a_late_answer_goes_nowhere(driver) {
        let node = socket("127.0.0.1:0");
        let rig = start(driver, &addresses(std::slice::from_ref(&node)), "", "timeouts: { udp_idle: 300ms }");
        let client = client(&rig);
        client.send(b"?").unwrap();
        let (_, from) = receive(&node);
        rig.wait_until_quiet();
        node.send_to(b"too late", from).unwrap();
        assert!(is_silent(&client));
        // Its next datagram begins anew, and what keeps talking stays.
        let from = exchange(&client, &node, b"again");
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(60));
            assert_eq!(exchange(&client, &node, b"still here"), from);
        }
    }

    fn a_flood_of_addresses_ends_no_conversation(driver) {
        let node = socket("127.0.0.1:0");
        let nodes = addresses(std::slice::from_ref(&node));
        let config = config(driver, &nodes, "", "", "127.0.0.1:0", ", max_connections: 8");
        let rig = Rig { balancer: Balancer::start(&config) };
        let talking = client(&rig);
        let from = exchange(&talking, &node, b"1");
        assert_eq!(exchange(&talking, &node, b"2"), from);
        let before = rig.descriptors();
        for round in 0..40 {
            for _ in 0..8 {
                let flood = client(&rig);
                flood.send(b"flood").unwrap();
                assert_eq!(receive(&node).0, b"flood");
            }
            assert_eq!(exchange(&talking, &node, b"still here"), from, "round {round}");
            assert!(rig.busy().1 <= 8);
        }
        assert!(rig.descriptors() <= before + 8);
        // Where all of them are conversations, whoever comes next has to wait for an end.
        let others: Vec<_> = (0..7).map(|_| client(&rig)).collect();
        for _ in 0..2 {
            for other in &others {
                exchange(other, &node, b"mine");
            }
        }
        client(&rig).send(b"no room").unwrap();
        wait_for("the drop", || (total(&rig, "datagrams_dropped_total") == 1).then_some(()));
        assert!(is_silent(&node));
    }

    fn a_node_is_well_that_answers_a_datagram(driver) {
        let (well, ill) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let nodes = [well.local_addr().unwrap(), ill.local_addr().unwrap()];
        let keys = "health: { send: \"hex:70696e67\", expect_body: pong, interval: 50ms, timeout: 200ms, rise: 1, fall: 1 },";
        std::thread::spawn(move || {
            let mut bytes = [0; 64];
            while let Ok((count, from)) = well.recv_from(&mut bytes) {
                let answer = if &bytes[..count] == b"ping" { &b"pong"[..] } else { b"served" };
                let _ = well.send_to(answer, from);
            }
        });
        let rig = start(driver, &nodes, keys, "");
        wait_for("one well and one not", || {
            let list = rig.json("/api/v1/nodes");
            let state = |at: usize| list[at]["state"].as_str().unwrap().to_owned();
            (state(0) == "serving" && state(1) == "unhealthy").then_some(())
        });
        for _ in 0..4 {
            let client = client(&rig);
            client.send(b"?").unwrap();
            assert_eq!(receive(&client).0, b"served");
        }
    }

    fn a_reload_leaves_sessions_where_they_are(driver) {
        let nodes = [socket("127.0.0.1:0"), socket("127.0.0.1:0")];
        let idle = "timeouts: { udp_idle: 30s }";
        let rig = start(driver, &[nodes[0].local_addr().unwrap()], "", idle);
        let old = client(&rig);
        let from = exchange(&old, &nodes[0], b"?");
        let file = config(driver, &[nodes[1].local_addr().unwrap()], "", idle, "127.0.0.1:0", "");
        std::fs::write(&rig.balancer.file, file).unwrap();
        rig.balancer.signal("HUP");
        wait_for("the reload", || {
            let list = rig.json("/api/v1/nodes");
            let at = nodes[1].local_addr().unwrap().to_string();
            list.as_array().unwrap().iter().any(|node| node["id"] == format!("nodes/{at}")).then_some(())
        });
        exchange(&client(&rig), &nodes[1], b"new");
        assert_eq!(exchange(&old, &nodes[0], b"old"), from);
    }

    fn a_drain_waits_for_sessions_until_they_are_silent(driver) {
        let node = socket("127.0.0.1:0");
        let rig = start(driver, &addresses(std::slice::from_ref(&node)), "", "grace: 60s");
        let old = client(&rig);
        let from = exchange(&old, &node, b"?");
        rig.balancer.signal("TERM");
        wait_for("it drains", || rig.balancer.stderr().contains("draining").then_some(()));
        assert_eq!(exchange(&old, &node, b"still here"), from);
        // The word was said before the worker had heard of it: who comes until then is served.
        wait_for("newcomers get no session", || {
            client(&rig).send(b"too late").unwrap();
            old.send(b"me again").unwrap();
            let first = receive(&node);
            let refused = first.0 == b"me again";
            assert_eq!(if refused { first } else { receive(&node) }, (b"me again".to_vec(), from));
            refused.then_some(())
        });
        assert_eq!(rig.balancer.exit_code(PATIENCE), 0);
    }

    fn the_books_are_kept(driver) {
        let node = socket("127.0.0.1:0");
        let log = std::env::temp_dir().join(format!("plimsoll-udp-{}-{}.log", driver.name(), std::process::id()));
        let settings = format!("timeouts: {{ udp_idle: 300ms }}\naccess_log: {{ path: \"{}\" }}", log.display());
        let rig = start(driver, &addresses(std::slice::from_ref(&node)), "", &settings);
        let client = client(&rig);
        client.send(b"question").unwrap();
        let (_, from) = receive(&node);
        wait_for("one in flight", || (rig.busy() == (1, 1)).then_some(()));
        node.send_to(b"answer", from).unwrap();
        assert_eq!(receive(&client).0, b"answer");
        rig.wait_until_quiet();
        let listener = &rig.json("/api/v1/listeners")[0];
        assert_eq!(listener["protocol"], "udp", "{listener}");
        assert_eq!(listener["connections_total"], 1, "{listener}");
        assert_eq!(listener["requests_total"], 1, "{listener}");
        assert_eq!((total(&rig, "bytes_in_total"), total(&rig, "bytes_out_total")), (8, 6));
        let line =
            wait_for("its line", || std::fs::read_to_string(&log).ok().filter(|text| text.ends_with('\n')));
        let line: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
        for (key, value) in [("protocol", "UDP"), ("end", "closed"), ("listener", "dns"), ("client", "127.0.0.1")]
        {
            assert_eq!(line[key], value, "{line}");
        }
        assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&8.into(), &6.into()), "{line}");
        assert!(line["first_byte_us"].as_u64().unwrap() > 0, "{line}");
        std::fs::remove_file(log).unwrap();
    }

    fn a_flood_of_datagrams_starves_no_http(driver) {
        let node = socket("127.0.0.1:0");
        let config = config(driver, &addresses(std::slice::from_ref(&node)), "", "", "127.0.0.1:0", "").replace(
            "listeners: { ",
            "routes: [{ path: /*, respond: { body: here } }]\nlisteners: { web: { bind: \"127.0.0.1:0\" }, ",
        );
        let rig = Rig { balancer: Balancer::start(&config) };
        let (done, web) = (AtomicBool::new(false), rig.balancer.listener("web"));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let client = client(&rig);
                    while !done.load(Relaxed) {
                        let _ = client.send(&[7; 1200]);
                    }
                });
            }
            wait_for("the flood", || (total(&rig, "bytes_in_total") > 10_000_000).then_some(()));
            let mut slowest = Duration::ZERO;
            for _ in 0..50 {
                let began = Instant::now();
                let mut http = TcpStream::connect(web).unwrap();
                http.set_read_timeout(Some(PATIENCE)).unwrap();
                http.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
                let mut answer = String::new();
                http.read_to_string(&mut answer).unwrap();
                assert!(answer.ends_with("here"), "{answer}");
                slowest = slowest.max(began.elapsed());
            }
            done.store(true, Relaxed);
            assert!(slowest < Duration::from_secs(2), "a request took {slowest:?}");
        });
    }

    fn two_workers_share_an_address(driver) {
        let node = socket("127.0.0.1:0");
        let config = config(driver, &addresses(std::slice::from_ref(&node)), "", "", "127.0.0.1:0", "");
        let rig = Rig { balancer: Balancer::start(&config.replace("workers: 1", "workers: 2")) };
        let clients: Vec<_> = (0..32).map(|_| client(&rig)).collect();
        let from: Vec<_> = clients.iter().map(|client| exchange(client, &node, b"?")).collect();
        for _ in 0..3 {
            for (client, from) in clients.iter().zip(&from) {
                assert_eq!(exchange(client, &node, b"again"), *from);
            }
        }
        wait_for_sessions(&rig, 32);
        // Nobody else gets a part of its datagrams.
        assert!(UdpSocket::bind(rig.balancer.listener("dns")).is_err());
    }
}
