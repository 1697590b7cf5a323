//! Connections that are idle for longer than a moment give up their task and their buffer, and still answer.

use std::time::Duration;

use crate::harness::client::Client;
use crate::harness::origin::{Origin, answering, echoing, ok};
use crate::harness::site::site_cases;
use crate::rig::{Rig, get, on};

/// Longer than a connection keeps its task: that it is parked by then cannot be seen from outside, but in its memory.
const UNTIL_PARKED: Duration = Duration::from_millis(1400);

site_cases! { on;
    fn parked_connections_answer(driver) {
        let origin = Origin::start(echoing());
        let rig = Rig::start(driver, &[&origin], "workers: 2\n");
        let mut clients: Vec<_> = (0..300).map(|_| rig.client()).collect();
        for round in 0..2 {
            for (n, client) in clients.iter_mut().enumerate() {
                let answer = client.send(get(&format!("/{round}/{n}"))).response();
                assert!(answer.text().starts_with(&format!("GET /{round}/{n} ")), "{answer:?}");
            }
            std::thread::sleep(UNTIL_PARKED);
        }
        for (n, client) in clients.iter_mut().enumerate() {
            client.send(get(&format!("/last/{n}")));
        }
        for (n, client) in clients.iter_mut().enumerate() {
            assert!(client.response().text().starts_with(&format!("GET /last/{n} ")));
        }
        assert_eq!(rig.total("connections"), 300);
        drop(clients);
        rig.wait_until_quiet();
    }
    fn a_parked_half_of_a_head_is_finished(driver) {
        let origin = Origin::start(echoing());
        let rig = Rig::start(driver, &[&origin], "");
        let mut client = rig.client();
        // Parked before its first request, in the middle of one, and in the middle of the next.
        std::thread::sleep(UNTIL_PARKED);
        for path in ["/one", "/two"] {
            client.send(format!("GET {path} HTTP/1.1\r\nHo"));
            std::thread::sleep(UNTIL_PARKED);
            client.send("st: {host}\r\nX-Half: an");
            std::thread::sleep(UNTIL_PARKED);
            client.send("other\r\n\r\n");
            let text = client.response().text();
            assert!(text.starts_with(&format!("GET {path} ")) && text.contains("X-Half: another\n"), "{text}");
        }
    }
    fn a_parked_half_of_a_head_is_given_up_in_time(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let rig = Rig::start(driver, &[&origin], "timeouts: { client_head: 3s }\n");
        let mut clients: Vec<_> = (0..50).map(|_| rig.client()).collect();
        let begin = std::time::Instant::now();
        clients.iter_mut().for_each(|client| { client.send("GET / HTTP/1.1\r\nHo"); });
        for client in &mut clients {
            let answer = client.response();
            assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (408, Some("head_timeout")));
        }
        let took = begin.elapsed();
        assert!(took >= Duration::from_millis(2900) && took < Duration::from_millis(4500), "{took:?}");
        clients.iter_mut().for_each(Client::closed);
        rig.wait_until_quiet();
    }
    fn a_parked_connection_is_closed_when_its_time_is_over(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let rig = Rig::start(driver, &[&origin], "timeouts: { client_idle: 2s }\n");
        let mut client = rig.client();
        assert_eq!(client.send(get("/")).response().status(), 200);
        let begin = std::time::Instant::now();
        client.closed();
        assert!(begin.elapsed() >= Duration::from_millis(1900), "{:?}", begin.elapsed());
        assert!(begin.elapsed() < Duration::from_millis(4500), "{:?}", begin.elapsed());
    }
    fn a_parked_connection_that_its_client_closes_is_let_go(driver) {
        let origin = Origin::start(answering(ok("hi")));
        let rig = Rig::start(driver, &[&origin], "");
        let clients: Vec<_> = (0..100).map(|_| rig.client()).collect();
        std::thread::sleep(UNTIL_PARKED);
        assert_eq!(rig.total("connections"), 100);
        for (n, client) in clients.into_iter().enumerate() {
            if n % 2 == 0 { client.reset() } else { drop(client) }
        }
        rig.wait_until_quiet();
    }
}
