//! How connections end: who closes first, in which direction, with what still on its way; and what a reset does.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use socket2::SockRef;

use crate::harness::site::site_cases;
use crate::rig::{Node, Rig, on, read_all, read_exactly, wait_for};

/// More than one read, and less than what sockets hold.
const PENDING: usize = 40_000;

/// The error that reading ends with, if it is one.
fn ending(stream: &mut TcpStream) -> Option<ErrorKind> {
    stream.read(&mut [0; 16]).err().map(|error| error.kind())
}

site_cases! { on;
    fn half_closes(driver) {
        let node = Node::start();
        let rig = Rig::start(driver, &[node.address()], "", "");
        for client_first in [true, false] {
            for pending in [0, 1, PENDING] {
                for answer in [0, 1, PENDING] {
                    let (client, at_node) = rig.pair(&node);
                    let (mut first, mut second) =
                        if client_first { (client, at_node) } else { (at_node, client) };
                    first.write_all(&vec![b'a'; pending]).unwrap();
                    first.shutdown(Shutdown::Write).unwrap();
                    assert_eq!(read_all(&mut second).len(), pending);
                    // The other direction is as open as it was.
                    second.write_all(&vec![b'b'; answer]).unwrap();
                    assert_eq!(read_exactly(&mut first, answer).len(), answer);
                    second.write_all(b"end").unwrap();
                    second.shutdown(Shutdown::Write).unwrap();
                    assert_eq!(read_all(&mut first), b"end", "{client_first} {pending} {answer}");
                }
            }
        }
        rig.wait_until_quiet();
    }

    fn a_client_that_sends_and_closes_at_once_is_served(driver) {
        let node = Node::start();
        let rig = Rig::start(driver, &[node.address()], "", "");
        let mut client = rig.client();
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut at_node = node.accept();
        assert_eq!(read_all(&mut at_node), b"question");
        at_node.write_all(b"answer").unwrap();
        drop(at_node);
        assert_eq!(read_all(&mut client), b"answer");
        rig.wait_until_quiet();
    }

    fn resets_go_through(driver) {
        let node = Node::start();
        let rig = Rig::start(driver, &[node.address()], "", "");
        for client_resets in [true, false] {
            let (client, at_node) = rig.pair(&node);
            let (gone, mut left) = if client_resets { (client, at_node) } else { (at_node, client) };
            SockRef::from(&gone).set_linger(Some(std::time::Duration::ZERO)).unwrap();
            drop(gone);
            assert_eq!(ending(&mut left), Some(ErrorKind::ConnectionReset), "{client_resets}");
        }
        rig.wait_until_quiet();
    }

    fn a_silent_connection_wakes_up_from_both_sides(driver) {
        let node = Node::start();
        let rig = Rig::start(driver, &[node.address()], "", "");
        let (mut client, mut at_node) = rig.pair(&node);
        // Longer than the time in which a read is kept ready.
        for round in 0..2 {
            std::thread::sleep(std::time::Duration::from_millis(1300));
            if round == 0 {
                client.write_all(b"up").unwrap();
                assert_eq!(read_exactly(&mut at_node, 2), b"up");
            } else {
                at_node.write_all(b"down").unwrap();
                assert_eq!(read_exactly(&mut client, 4), b"down");
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(1300));
        drop(client);
        assert_eq!(read_all(&mut at_node), b"");
        drop(at_node);
        rig.wait_until_quiet();
    }

    fn an_idle_connection_is_reset(driver) {
        let node = Node::start();
        let rig = Rig::start(driver, &[node.address()], "", "timeouts: { tunnel_idle: 300ms }");
        let (mut client, mut at_node) = rig.pair(&node);
        assert_eq!(ending(&mut client), Some(ErrorKind::ConnectionReset));
        assert_eq!(ending(&mut at_node), Some(ErrorKind::ConnectionReset));
        wait_for("the connection is gone", || (rig.busy() == (0, 0)).then_some(()));
    }
}
