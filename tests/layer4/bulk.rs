//! Much at once: every byte arrives once and in order, a slow reader stops its source, and a pipe outlives no connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use sha2::{Digest, Sha256};

use crate::harness::site::site_cases;
use crate::rig::{Node, Rig, on, read_exactly};

/// How much goes each way: 256 MiB, and in a long run 4 GiB, past every counter of 32 bits.
fn bytes(test: &str) -> u64 {
    if std::env::var_os("PLIMSOLL_LONG").is_some() {
        return 4 << 30;
    }
    let _ = writeln!(
        std::io::stderr(),
        "left out: the 4 GiB of {test}: PLIMSOLL_LONG=1 cargo test --test layer4 bulk"
    );
    256 << 20
}

/// Sends bytes that are different everywhere, in pieces of many sizes, then the end. Their sum.
fn send(mut stream: &TcpStream, seed: u64, bytes: u64) -> Vec<u8> {
    let mut sum = Sha256::new();
    let mut state = seed;
    let mut block = vec![0; 256 * 1024];
    let mut left = bytes;
    while left > 0 {
        for chunk in block.chunks_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            chunk.copy_from_slice(&state.to_be_bytes());
        }
        let length =
            (1 + (state >> 40) as usize % block.len()).min(usize::try_from(left).unwrap_or(usize::MAX));
        sum.update(&block[..length]);
        stream.write_all(&block[..length]).unwrap();
        left -= length as u64;
    }
    stream.shutdown(Shutdown::Write).unwrap();
    sum.finalize().to_vec()
}

fn receive(mut stream: &TcpStream) -> Vec<u8> {
    let mut sum = Sha256::new();
    let mut block = vec![0; 256 * 1024];
    loop {
        match stream.read(&mut block).unwrap() {
            0 => return sum.finalize().to_vec(),
            count => sum.update(&block[..count]),
        }
    }
}

site_cases! { on;
    fn both_ways_at_once(driver) {
        let bytes = bytes("both_ways_at_once");
        let node = Node::start();
        let rig = Rig::start(driver, &[node.address()], "", "");
        let (client, at_node) = rig.pair(&node);
        let (up, down) = thread::scope(|scope| {
            let sent =
                [(&client, 1), (&at_node, 2)].map(|(stream, seed)| scope.spawn(move || send(stream, seed, bytes)));
            let got = [&at_node, &client].map(|stream| scope.spawn(move || receive(stream)));
            let [sent, got] = [sent, got].map(|all| all.map(|one| one.join().unwrap()));
            ((sent[0].clone(), got[0].clone()), (sent[1].clone(), got[1].clone()))
        });
        assert_eq!(up.0, up.1);
        assert_eq!(down.0, down.1);
        drop((client, at_node));
        rig.wait_until_quiet();
    }

    fn a_slow_reader_stops_its_source(driver) {
        let node = Node::start();
        let rig = Rig::start(driver, &[node.address()], "", "");
        let (mut client, mut at_node) = rig.pair(&node);
        at_node.set_write_timeout(Some(std::time::Duration::from_millis(700))).unwrap();
        let block = vec![7; 64 * 1024];
        let mut sent = 0;
        // Until nothing more goes through: what sockets and one pipe hold.
        loop {
            match at_node.write(&block) {
                Ok(count) => sent += count,
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                    break;
                }
            }
            assert!(sent < 256 * 1024 * 1024, "nothing stops the source");
        }
        // And all of it is still there.
        at_node.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_exactly(&mut client, sent), vec![7; sent]);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }

    fn bulk_and_messages_take_turns(driver) {
        let node = Node::start();
        let rig = Rig::start(driver, &[node.address()], "", "");
        let (mut client, mut at_node) = rig.pair(&node);
        for _ in 0..3 {
            for _ in 0..20 {
                client.write_all(b"ask").unwrap();
                assert_eq!(read_exactly(&mut at_node, 3), b"ask");
                at_node.write_all(b"told").unwrap();
                assert_eq!(read_exactly(&mut client, 4), b"told");
            }
            let bulk = vec![9; 8 * 1024 * 1024];
            thread::scope(|scope| {
                scope.spawn(|| (&at_node).write_all(&bulk).unwrap());
                assert!(read_exactly(&mut client, bulk.len()) == bulk);
            });
        }
    }
}
