//! RFC 9112, 9: persistence of the client's connection.

use crate::harness::stage::cases;

const GET: &str = "GET /k HTTP/1.1\r\nHost: {host}\r\n\r\n";
const LAST: &str = "GET /k HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n";

cases! { One;
    fn rfc9112_9_3_a_connection_persists(at) {
        let mut client = at.client();
        for _ in 0..50 {
            let answer = client.send(GET).response();
            assert_eq!(answer.text(), "hello");
            assert!(!answer.lists("connection", "close"));
        }
        assert_eq!(at.act().requests().len(), 50);
    }
    fn rfc9112_9_6_close_closes_after_the_response(at) {
        let mut client = at.client();
        let answer = client.send(LAST).response();
        assert_eq!(answer.text(), "hello");
        assert!(answer.lists("connection", "close"), "a response before the end says so: {answer:?}");
        client.closed();
    }
    fn rfc9112_9_6_close_in_any_case_and_company(at) {
        let mut client = at.client();
        client.send("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: X-A, cLoSe\r\n\r\n").response();
        client.closed();
    }
    fn rfc9112_9_6_close_in_a_second_line(at) {
        let mut client = at.client();
        client.send("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: x-a\r\nConnection: close\r\n\r\n").response();
        client.closed();
    }
    fn rfc9112_9_6_a_word_that_contains_close_does_not_close(at) {
        let mut client = at.client();
        client.send("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: x-close, closed\r\n\r\n").response();
        assert_eq!(client.send(GET).response().status(), 200);
    }
    fn rfc9112_9_6_close_wins_over_keep_alive(at) {
        let mut client = at.client();
        client.send("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, close\r\n\r\n").response();
        client.closed();
    }
    fn rfc9112_9_6_a_request_after_close_is_not_served(at) {
        let mut client = at.client();
        client.send(format!("{LAST}GET /after HTTP/1.1\r\nHost: {{host}}\r\n\r\n"));
        assert_eq!(client.response().status(), 200);
        client.closed();
        assert!(at.act().requests().iter().all(|r| r.target() != "/after"));
    }
    fn rfc9112_9_6_what_comes_behind_the_last_request_takes_nothing_back(at) {
        // The bytes are there before the answer is: closing on them would reset the connection, and take the answer along.
        for size in [2, 16_000, 1_000_000] {
            for extra in ["\r\n", "GET /after HTTP/1.1\r\nHost: {host}\r\n\r\n"] {
                let gate = crate::harness::gate::Gate::default();
                let wait = gate.clone();
                at.origin(move |c| if c.request().is_some() {
                    wait.pass();
                    c.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{}", "x".repeat(size)));
                });
                let mut client = at.client();
                client.send("POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab");
                client.send(extra);
                gate.open();
                assert_eq!(client.response().body.len(), size, "{extra:?}");
                client.closed();
            }
        }
    }
    fn rfc9112_9_6_close_after_an_upload(at) {
        let mut client = at.client();
        client.send("POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.response().text(), "hello");
        client.closed();
    }
    fn rfc9112_9_5_a_client_that_finishes_sending_is_answered_or_let_go(at) {
        // FIN is what an abort looks like too: both readings are legitimate, hanging is not.
        let mut client = at.client();
        client.send(LAST).finish();
        let rest = client.rest();
        assert!(rest.is_empty() || rest.ends_with(b"hello"), "{rest:?}");
    }
    fn rfc9112_9_5_an_idle_client_that_leaves_is_let_go(at) {
        let mut client = at.client();
        client.send(GET).response();
        client.finish();
        client.closed();
    }
    fn rfc9112_9_5_a_connection_that_says_nothing_disturbs_nobody(at) {
        let silent: Vec<_> = (0..20).map(|_| at.client()).collect();
        assert_eq!(at.get("/").status(), 200);
        drop(silent);
        assert_eq!(at.get("/").status(), 200);
    }
    fn rfc9112_9_5_a_client_that_resets_disturbs_nobody(at) {
        for _ in 0..20 {
            let mut client = at.client();
            client.send("GET / HTTP/1.1\r\nHost: {host}\r\nX-");
            client.reset();
        }
        assert_eq!(at.get("/").status(), 200);
    }
    fn rfc9112_9_3_get_then_post_then_head_on_one_connection(at) {
        let mut client = at.client();
        assert_eq!(client.send(GET).response().text(), "hello");
        client.send("POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
        assert_eq!(client.response().text(), "hello");
        let head = client.send("HEAD / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(head.response_to("HEAD").field("content-length"), Some("5"));
        assert_eq!(client.send(LAST).response().text(), "hello");
        client.closed();
    }
}
