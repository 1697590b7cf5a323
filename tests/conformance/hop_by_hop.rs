//! RFC 9110, 7.6.1: what belongs to one connection does not cross to the other.

use crate::harness::message::{Framing, Message};
use crate::harness::stage::{Stage, cases};

/// Sends a GET with these lines and returns what arrived.
#[track_caller]
fn arrives(at: &Stage, lines: &str) -> Message {
    let answer = at.ask(format!("GET / HTTP/1.1\r\nHost: {{host}}\r\n{lines}\r\n\r\n"));
    assert_eq!(answer.status(), 200, "{answer:?}");
    at.arrived()
}

/// The origin answers with these lines; returns what the client reads.
#[track_caller]
fn reads(at: &Stage, lines: &str) -> Message {
    at.answers(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{lines}\r\n\r\nhi"));
    let answer = at.get("/");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "hi"), "{answer:?}");
    answer
}

#[track_caller]
fn lacks(message: &Message, names: &[&str]) {
    for name in names {
        assert!(message.all(name).is_empty(), "{name} crossed over: {message:?}");
    }
}

cases! { One;
    fn rfc9110_7_6_1_keep_alive_stays_behind(at) {
        lacks(&arrives(at, "Keep-Alive: timeout=5\r\nConnection: keep-alive"), &["keep-alive"]);
    }
    fn rfc9110_7_6_1_keep_alive_that_nobody_named_stays_behind(at) {
        lacks(&arrives(at, "Keep-Alive: timeout=5"), &["keep-alive"]);
    }
    fn rfc9110_7_6_1_proxy_connection_stays_behind(at) {
        lacks(&arrives(at, "Proxy-Connection: keep-alive"), &["proxy-connection"]);
    }
    fn rfc9110_7_6_1_te_stays_behind_or_says_trailers(at) {
        let request = arrives(at, "TE: gzip;q=0.5, trailers\r\nConnection: TE");
        assert!(request.all("te").is_empty() || request.field("te") == Some("trailers"), "{request:?}");
    }
    fn rfc9110_7_6_1_upgrade_without_connection_stays_behind(at) {
        lacks(&arrives(at, "Upgrade: websocket"), &["upgrade"]);
    }
    fn rfc9110_7_6_1_a_named_field_stays_behind(at) {
        let request = arrives(at, "Connection: X-Secret\r\nX-Secret: 1\r\nX-Open: 2");
        lacks(&request, &["x-secret"]);
        assert_eq!(request.field("x-open"), Some("2"));
    }
    fn rfc9110_7_6_1_a_named_field_stays_behind_whatever_the_case(at) {
        lacks(&arrives(at, "connection: x-sEcReT\r\nX-SECRET: 1"), &["x-secret"]);
    }
    fn rfc9110_7_6_1_a_field_named_after_it_came_stays_behind(at) {
        lacks(&arrives(at, "X-Secret: 1\r\nConnection: x-secret"), &["x-secret"]);
    }
    fn rfc9110_7_6_1_all_lines_of_a_named_field_stay_behind(at) {
        lacks(&arrives(at, "X-Secret: 1\r\nConnection: x-secret\r\nX-Secret: 2"), &["x-secret"]);
    }
    fn rfc9110_7_6_1_several_named_fields_stay_behind(at) {
        let request = arrives(at, "X-A: 1\r\nX-B: 2\r\nX-C: 3\r\nConnection: keep-alive, x-a ,,\tx-b");
        lacks(&request, &["x-a", "x-b"]);
        assert_eq!(request.field("x-c"), Some("3"));
    }
    fn rfc9110_7_6_1_fields_named_in_several_lines_stay_behind(at) {
        lacks(&arrives(at, "Connection: x-a\r\nX-A: 1\r\nConnection: x-b\r\nX-B: 2"), &["x-a", "x-b"]);
    }
    fn rfc9110_7_6_1_many_named_fields_stay_behind_or_are_refused(at) {
        let names: Vec<_> = (0..60).map(|n| format!("x-{n}")).collect();
        let lines: String = names.iter().take(40).map(|n| format!("{n}: v\r\n")).collect();
        let answer = at.ask(format!(
            "GET / HTTP/1.1\r\nHost: {{host}}\r\n{lines}Connection: {}\r\n\r\n", names.join(", ")
        ));
        if answer.status() == 200 {
            lacks(&at.arrived(), &names.iter().map(String::as_str).collect::<Vec<_>>());
        } else {
            assert!([400, 431].contains(&answer.status()), "{answer:?}");
        }
    }
    fn rfc9110_7_6_1_host_cannot_be_named_away(at) {
        let request = arrives(at, "Connection: Host");
        assert_eq!(request.field("host"), Some(at.host.as_str()));
    }
    fn rfc9110_7_6_1_the_balancers_own_fields_cannot_be_named_away(at) {
        let request =
            arrives(at, "Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Request-Id, Via");
        assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(request.field("x-forwarded-proto"), Some("http"));
        assert_eq!(request.field("x-forwarded-host"), Some(at.host.as_str()));
        assert!(request.field("x-request-id").is_some() && request.field("via").is_some());
    }
    fn rfc9110_7_6_1_a_length_cannot_be_named_away(at) {
        let body = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
        let answer = at.ask(format!(
            "POST / HTTP/1.1\r\nHost: {{host}}\r\nConnection: Content-Length\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        match answer.status() {
            400 => assert!(at.act().requests().is_empty()),
            _ => assert_eq!(at.arrived().text(), body),
        }
    }
    fn rfc9110_7_6_1_a_coding_cannot_be_named_away(at) {
        let answer = at.ask(
            "POST / HTTP/1.1\r\nHost: {host}\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n",
        );
        match answer.status() {
            400 => assert!(at.act().requests().is_empty()),
            _ => assert_eq!((at.arrived().framing, at.arrived().text().as_str()), (Framing::Chunked, "hello")),
        }
    }
    fn rfc9110_7_6_1_the_clients_close_does_not_close_the_nodes_connection(at) {
        let request = arrives(at, "Connection: close");
        assert!(!request.lists("connection", "close"), "{request:?}");
        assert_eq!(at.get("/second").status(), 200);
        assert_eq!(at.act().seen().len(), 1, "the node's connection was not kept");
    }
    fn rfc9110_7_6_1_connection_with_an_odd_value(at) {
        let answer = at.ask("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: \"x\", (y), ;\r\n\r\n");
        assert!([200, 400].contains(&answer.status()), "{answer:?}");
    }
    fn rfc9110_7_6_1_an_empty_connection(at) { arrives(at, "Connection:"); }
    fn rfc9110_11_7_1_proxy_authorization_does_not_break_anything(at) {
        arrives(at, "Proxy-Authorization: Basic eDp5");
    }

    fn rfc9110_7_6_1_response_keep_alive_stays_behind(at) {
        lacks(&reads(at, "Keep-Alive: timeout=5\r\nConnection: keep-alive"), &["keep-alive"]);
    }
    fn rfc9110_7_6_1_response_proxy_connection_stays_behind(at) {
        lacks(&reads(at, "Proxy-Connection: close"), &["proxy-connection"]);
    }
    fn rfc9110_7_6_1_response_field_that_is_named_stays_behind(at) {
        let answer = reads(at, "Connection: X-Secret\r\nX-Secret: 1\r\nX-Open: 2");
        lacks(&answer, &["x-secret"]);
        assert_eq!(answer.field("x-open"), Some("2"));
    }
    fn rfc9110_7_6_1_response_length_cannot_be_named_away(at) {
        at.answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: content-length\r\n\r\nhi");
        let answer = at.get("/");
        assert!(answer.status() == 502 || answer.text() == "hi", "{answer:?}");
    }
    fn rfc9110_7_6_1_response_upgrade_stays_behind(at) {
        // A server may advertise protocols; advertising them hop by hop is the balancer's own business.
        lacks(&reads(at, "Upgrade: h2c\r\nConnection: upgrade"), &["upgrade"]);
    }
    fn rfc9110_7_6_1_the_nodes_close_does_not_close_the_clients_connection(at) {
        at.origin(|c| {
            if c.request().is_some() {
                c.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
            }
        });
        let mut client = at.client();
        for _ in 0..3 {
            let answer = client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").response();
            assert_eq!(answer.text(), "hi");
            assert!(!answer.lists("connection", "close"), "{answer:?}");
        }
        assert_eq!(at.act().seen().len(), 3);
    }
}
