//! Which node a connection gets: by strategy, elsewhere where one refuses, in the queue where all are full.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::harness::site::site_cases;
use crate::rig::{Node, Rig, on, read_exactly, wait_for};

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

site_cases! { on;
    fn connections_are_dealt_out(driver) {
        let nodes = [Node::start(), Node::start()];
        let rig = Rig::start(driver, &[nodes[0].address(), nodes[1].address()], "", "");
        for _ in 0..3 {
            let clients = [rig.client(), rig.client()];
            let ends = [nodes[0].accept(), nodes[1].accept()];
            drop((clients, ends));
        }
    }

    fn a_node_that_refuses_costs_no_client_anything(driver) {
        let node = Node::start();
        let rig = Rig::start(driver, &[nobody(), node.address(), nobody()], "", "");
        for _ in 0..6 {
            drop(rig.pair(&node));
        }
        assert!(rig.json("/api/v1/status")["totals"]["retries_total"].as_u64().unwrap() > 0);
    }

    fn without_a_node_the_client_is_reset(driver) {
        let rig = Rig::start(driver, &[nobody()], "", "");
        let ended = rig.client().read(&mut [0; 8]);
        assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        rig.wait_until_quiet();
    }

    fn in_flight_counts_connections_and_the_queue_holds_the_next(driver) {
        let node = Node::start();
        let server = format!("{{ url: \"tcp://{}\", max_connections: 1 }}", node.address());
        let rig = Rig::before(driver, &[server], "queue: { max: 1, timeout: 20s },", "");
        let (first, at_node) = rig.pair(&node);
        assert_eq!(rig.busy(), (1, 1));
        let mut second = rig.client();
        second.write_all(b"!").unwrap();
        wait_for("the second waits", || (rig.busy().1 == 2).then_some(()));
        // There is no third place.
        let refused = wait_for("the queue is full", || {
            let mut third = rig.client();
            third.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            third.read(&mut [0]).err().filter(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
        });
        drop((refused, first, at_node));
        assert_eq!(read_exactly(&mut node.accept(), 1), b"!");
    }

    fn the_books_are_kept(driver) {
        let node = Node::start();
        let rig = Rig::start(driver, &[node.address()], "", "");
        let (mut client, mut at_node) = rig.pair(&node);
        at_node.write_all(b"answer").unwrap();
        assert_eq!(read_exactly(&mut client, 6), b"answer");
        drop((client, at_node));
        rig.wait_until_quiet();
        let listener = &rig.json("/api/v1/listeners")[0];
        assert_eq!(listener["protocol"], "tcp", "{listener}");
        assert_eq!(listener["connections_total"], 1, "{listener}");
        assert_eq!(listener["requests_total"], 1, "{listener}");
        let totals = &rig.json("/api/v1/status")["totals"];
        assert_eq!(totals["bytes_in_total"], 1, "{totals}");
        assert_eq!(totals["bytes_out_total"], 6, "{totals}");
    }
}
