//! RFC 9112, 9.3.2: pipelining.

use crate::harness::origin::ok;
use crate::harness::stage::{Stage, cases};

fn echoes_targets(at: &Stage) {
    at.origin(|c| {
        while let Some(request) = c.request() {
            c.send(ok(&format!("{} {}", request.target(), request.text())));
        }
    });
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {{host}}\r\n\r\n")
}

cases! { Two;
    fn rfc9112_9_3_2_pipelined_requests_are_answered_in_order(at) {
        echoes_targets(at);
        let mut client = at.client();
        client.send((0..20).map(|n| get(&format!("/{n}"))).collect::<String>());
        for n in 0..20 {
            assert_eq!(client.response().text(), format!("/{n} "));
        }
    }
    fn rfc9112_9_3_2_pipelined_requests_with_bodies(at) {
        echoes_targets(at);
        let mut client = at.client();
        client.send(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\none\
             POST /b HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n\
             GET /c HTTP/1.1\r\nHost: {host}\r\n\r\n\
             POST /d HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n\r\nfour",
        );
        for expected in ["/a one", "/b two", "/c ", "/d four"] {
            assert_eq!(client.response().text(), expected);
        }
    }
    fn rfc9112_9_3_2_pipelined_requests_cut_at_every_byte(at) {
        echoes_targets(at);
        let both = at.fill(&(get("/a") + &get("/b")));
        for cut in 1..both.len() {
            let mut client = at.client();
            client.send(&both[..cut]).send(&both[cut..]);
            assert_eq!((client.response().text(), client.response().text()), ("/a ".into(), "/b ".into()));
        }
    }
    fn rfc9112_9_3_2_head_among_pipelined_requests(at) {
        at.origin(|c| {
            while let Some(request) = c.request() {
                let whole = ok(request.target());
                let end = if request.method() == "HEAD" { whole.find("\r\n\r\n").unwrap() + 4 } else { whole.len() };
                c.send(&whole[..end]);
            }
        });
        let mut client = at.client();
        client.send(get("/a") + "HEAD /bcd HTTP/1.1\r\nHost: {host}\r\n\r\n" + &get("/c"));
        assert_eq!(client.response().text(), "/a");
        assert_eq!(client.response_to("HEAD").field("content-length"), Some("4"));
        assert_eq!(client.response().text(), "/c");
    }
    fn rfc9112_9_3_2_a_malformed_request_behind_a_good_one(at) {
        echoes_targets(at);
        let mut client = at.client();
        client.try_send(get("/good") + "GET /bad HTTP/1.1\r\nHost : {host}\r\n\r\n" + &get("/never"));
        assert_eq!(client.response().text(), "/good ");
        assert_eq!(client.response().status(), 400);
        client.closed();
        assert_eq!(at.arrived().target(), "/good");
    }
    fn rfc9112_9_3_2_refusals_of_routing_keep_the_order(at) {
        echoes_targets(at);
        let mut client = at.client();
        client.send(get("/a") + "GET /x HTTP/1.1\r\nHost: nobody.test\r\n\r\n" + &get("/b"));
        assert_eq!(client.response().text(), "/a ");
        assert_eq!(client.response().status(), 404);
        assert_eq!(client.response().text(), "/b ");
    }
    fn rfc9112_9_3_2_the_second_of_two_waits_for_a_slow_first(at) {
        let gate = crate::harness::gate::Gate::default();
        let wait = gate.clone();
        at.origin(move |c| {
            while let Some(request) = c.request() {
                if request.target() == "/slow" {
                    wait.pass();
                }
                c.send(ok(request.target()));
            }
        });
        let mut client = at.client();
        client.send(get("/slow") + &get("/fast"));
        at.act().wait("the slow request", |seen| (!seen.is_empty() && !seen[0].requests.is_empty()).then_some(()));
        gate.open();
        assert_eq!((client.response().text(), client.response().text()), ("/slow".into(), "/fast".into()));
    }
    fn rfc9112_9_3_2_many_pipelined_requests_and_a_client_that_reads_late(at) {
        echoes_targets(at);
        let mut client = at.client();
        for n in 0..500 {
            client.send(get(&format!("/{n}")));
        }
        for n in 0..500 {
            assert_eq!(client.response().text(), format!("/{n} "));
        }
    }
    fn rfc9112_9_3_2_a_pipelining_client_that_leaves(at) {
        echoes_targets(at);
        let mut client = at.client();
        client.send((0..50).map(|n| get(&format!("/{n}"))).collect::<String>());
        client.reset();
        assert_eq!(at.get("/next").text(), "/next ");
    }
}
