//! Many connections, and the end of the balancer itself.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::harness::PATIENCE;
use crate::harness::balancer::Driver;
use crate::on_both_drivers;
use crate::rig::{Node, Rig, read_exactly, wait_for};

on_both_drivers!(short_connections_leak_nothing, a_drain_waits_for_open_connections);

const SHORT: usize = 2000;

fn short_connections_leak_nothing(driver: Driver) {
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

fn a_drain_waits_for_open_connections(driver: Driver) {
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
