//! RFC 9112, 9.3 and 9.3.1: the connections to nodes, and what may be sent twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::gate::Gate;
use crate::harness::origin::ok;
use crate::harness::stage::{Stage, cases};

/// Connections on which the origin read at least one request.
fn used(at: &Stage) -> usize {
    at.act().seen().iter().filter(|s| !s.requests.is_empty()).count()
}

/// The first connection answers one request, takes a second, and ends; every other one answers all. A pooled
/// connection that is dead, without the balancer being able to know.
fn dies_on_reuse(at: &Stage, last_words: &'static str, reset: bool) -> Arc<AtomicUsize> {
    let victims = Arc::new(AtomicUsize::new(0));
    let count = victims.clone();
    at.origin(move |c| {
        if c.number() > 0 {
            return c.answer_all(ok("second").as_bytes());
        }
        c.request();
        c.send(ok("first"));
        if c.head().is_some() {
            count.fetch_add(1, Ordering::SeqCst);
            c.send(last_words);
            if reset {
                c.reset_at_end();
            }
        }
    });
    victims
}

cases! { One;
    fn rfc9112_9_3_a_nodes_connection_serves_many_clients(at) {
        for _ in 0..20 {
            assert_eq!(at.get("/").status(), 200);
        }
        assert_eq!((used(at), at.act().requests().len()), (1, 20));
    }
    fn rfc9112_9_3_a_nodes_connection_serves_bodies_of_every_framing(at) {
        at.ask("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi");
        at.ask("POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
        at.ask("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!((used(at), at.act().requests().len()), (1, 3));
    }
    fn rfc9112_9_3_a_chunked_response_leaves_a_clean_connection(at) {
        at.answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: v\r\n\r\n");
        for _ in 0..5 {
            assert_eq!(at.get("/").text(), "hi");
        }
        assert_eq!(used(at), 1);
    }
    fn rfc9112_9_3_requests_at_the_same_time_do_not_share(at) {
        let gate = Gate::default();
        let wait = gate.clone();
        at.origin(move |c| while let Some(request) = c.request() {
            wait.pass();
            c.send(ok(request.target()));
        });
        let mut clients: Vec<_> = (0..5).map(|_| at.client()).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            client.send(format!("GET /{n} HTTP/1.1\r\nHost: {{host}}\r\n\r\n"));
        }
        at.act().wait("five requests", |seen| (seen.iter().map(|s| s.requests.len()).sum::<usize>() == 5).then_some(()));
        gate.open();
        for (n, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.response().text(), format!("/{n}"));
        }
        assert_eq!(used(at), 5);
    }
    fn rfc9112_9_6_a_node_that_says_close_is_not_used_again(at) {
        at.origin(|c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
            c.rest();
        });
        for _ in 0..3 {
            assert_eq!(at.get("/").text(), "hi");
        }
        assert_eq!(used(at), 3);
    }
    fn rfc9112_9_5_a_node_that_closes_when_idle_costs_nothing(at) {
        at.origin(|c| {
            c.request();
            c.send(ok("hi"));
        });
        for _ in 0..20 {
            assert_eq!(at.get("/").text(), "hi");
        }
    }
    fn rfc9112_9_5_a_node_that_closes_when_idle_costs_a_post_nothing(at) {
        at.origin(|c| {
            c.request();
            c.send(ok("hi"));
        });
        for _ in 0..10 {
            at.act().wait("the end of earlier connections", |seen| seen.iter().all(|s| s.ended).then_some(()));
            let answer = at.ask("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi");
            // The FIN may still be on its way when the connection is picked: then, and only then, 502 is right.
            assert!([200, 502].contains(&answer.status()), "{answer:?}");
        }
    }
    fn rfc9112_9_3_1_a_get_on_a_dead_connection_is_sent_again(at) {
        let victims = dies_on_reuse(at, "", false);
        assert_eq!(at.get("/").text(), "first");
        assert_eq!(at.get("/").text(), "second");
        assert_eq!(victims.load(Ordering::SeqCst), 1, "the pooled connection was not used");
    }
    fn rfc9112_9_3_1_a_get_on_a_reset_connection_is_sent_again(at) {
        dies_on_reuse(at, "", true);
        assert_eq!(at.get("/").text(), "first");
        assert_eq!(at.get("/").text(), "second");
    }
    fn rfc9112_9_3_1_a_head_on_a_dead_connection_is_sent_again(at) {
        dies_on_reuse(at, "", false);
        assert_eq!(at.get("/").text(), "first");
        assert_eq!(at.ask("HEAD / HTTP/1.1\r\nHost: {host}\r\n\r\n").status(), 200);
    }
    fn rfc9110_9_2_2_a_post_on_a_dead_connection_is_not_sent_again(at) {
        dies_on_reuse(at, "", false);
        assert_eq!(at.get("/").text(), "first");
        let answer = at.ask("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (502, Some("node_closed")));
        assert_eq!(at.act().requests().iter().filter(|r| r.method() == "POST").count(), 1);
    }
    fn rfc9110_9_2_2_a_post_without_a_body_on_a_dead_connection_is_not_sent_again(at) {
        dies_on_reuse(at, "", false);
        assert_eq!(at.get("/").text(), "first");
        let answer = at.ask("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (502, Some("node_closed")));
    }
    fn rfc9110_9_2_2_an_unknown_method_on_a_dead_connection_is_not_sent_again(at) {
        dies_on_reuse(at, "", false);
        assert_eq!(at.get("/").text(), "first");
        assert_eq!(at.ask("CHARGE /card HTTP/1.1\r\nHost: {host}\r\n\r\n").status(), 502);
    }
    fn rfc9112_9_3_1_a_response_that_had_begun_is_not_asked_for_again(at) {
        dies_on_reuse(at, "HTTP/1.1 20", false);
        assert_eq!(at.get("/").text(), "first");
        let answer = at.get("/");
        assert_eq!(answer.status(), 502, "{answer:?}");
        assert_eq!(at.act().requests().len(), 2);
    }
    fn rfc9112_9_3_1_a_node_that_always_dies_is_not_asked_for_ever(at) {
        at.origin(|c| {
            c.request();
        });
        let answer = at.get("/");
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (502, Some("node_closed")));
        assert!(at.act().requests().len() <= 3, "{} attempts", at.act().requests().len());
    }
    fn rfc9112_9_5_a_client_that_leaves_cancels_its_request(at) {
        at.origin(|c| {
            c.request();
            c.rest();
        });
        let mut client = at.client();
        client.send("GET /slow HTTP/1.1\r\nHost: {host}\r\n\r\n");
        at.act().wait("the request", |seen| seen.iter().any(|s| !s.requests.is_empty()).then_some(()));
        drop(client);
        at.act().wait("the end of the node's connection", |seen| seen[0].closed.then_some(()));
    }
    fn rfc9112_9_5_a_client_that_resets_cancels_its_request(at) {
        at.origin(|c| {
            c.request();
            c.rest();
        });
        let mut client = at.client();
        client.send("GET /slow HTTP/1.1\r\nHost: {host}\r\n\r\n");
        at.act().wait("the request", |seen| seen.iter().any(|s| !s.requests.is_empty()).then_some(()));
        client.reset();
        at.act().wait("the end of the node's connection", |seen| seen[0].closed.then_some(()));
    }
    fn rfc9112_9_5_a_client_that_leaves_within_its_upload_cancels_it(at) {
        let mut client = at.client();
        client.send("POST /up HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\nabc");
        at.act().wait("the head", |seen| seen.iter().any(|s| !s.bytes.is_empty()).then_some(()));
        drop(client);
        at.act().wait("the end of the node's connection", |seen| seen[0].closed.then_some(()));
        assert!(at.act().requests().is_empty());
    }
    fn rfc9112_9_5_a_client_that_leaves_within_its_download_cancels_it(at) {
        at.origin(|c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while c.send("10\r\n0123456789abcdef\r\n") {}
        });
        let mut client = at.client();
        client.send("GET /down HTTP/1.1\r\nHost: {host}\r\n\r\n").head();
        drop(client);
        at.act().wait("the end of the node's connection", |seen| seen[0].ended.then_some(()));
    }
    fn rfc9112_9_3_a_client_that_leaves_within_its_download_leaves_nothing_to_the_next(at) {
        at.origin(|c| while let Some(request) = c.request() {
            let body = request.target().repeat(100_000);
            c.send(ok(&body));
        });
        for n in 0..5 {
            let mut client = at.client();
            client.send(format!("GET /{n} HTTP/1.1\r\nHost: {{host}}\r\n\r\n")).head();
            drop(client);
            assert_eq!(at.get("/next").text(), "/next".repeat(100_000));
        }
    }
}
