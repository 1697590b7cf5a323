//! RFC 9110, 6, 12 and 15: the answers that the balancer makes itself.

use crate::harness::message::Message;
use crate::harness::stage::cases;

const NO_ROUTE: &str = "GET /x HTTP/1.1\r\nHost: nobody.test\r\n";

#[track_caller]
fn is_ours(answer: &Message, status: u16, reason: &str) {
    assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (status, Some(reason)), "{answer:?}");
    assert_eq!(answer.field("server"), Some("plimsoll"), "{answer:?}");
}

cases! { One;
    fn rfc9110_15_5_5_no_route(at) {
        let answer = at.ask(format!("{NO_ROUTE}\r\n"));
        is_ours(&answer, 404, "no_route");
        assert!(answer.field("content-type").unwrap().starts_with("text/plain"));
        assert!(!answer.body.is_empty(), "a person should be told");
    }
    fn rfc9110_12_5_1_errors_as_json(at) {
        let answer = at.ask(format!("{NO_ROUTE}Accept: application/json\r\n\r\n"));
        is_ours(&answer, 404, "no_route");
        assert!(answer.field("content-type").unwrap().starts_with("application/json"));
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(json["error"]["code"], "no_route", "{json}");
        assert!(json["error"]["message"].is_string());
    }
    fn rfc9110_12_5_1_errors_as_json_among_other_types(at) {
        let answer = at.ask(format!("{NO_ROUTE}Accept: text/x;q=0.1, Application/JSON;q=0.9\r\n\r\n"));
        assert!(answer.field("content-type").unwrap().starts_with("application/json"), "{answer:?}");
    }
    fn rfc9110_12_5_1_errors_as_text_for_any_type(at) {
        let answer = at.ask(format!("{NO_ROUTE}Accept: */*\r\n\r\n"));
        assert!(answer.field("content-type").unwrap().starts_with("text/plain"), "{answer:?}");
    }
    fn rfc9110_12_5_1_errors_as_text_for_a_browser(at) {
        let answer = at.ask(format!("{NO_ROUTE}Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n\r\n"));
        assert!(answer.field("content-type").unwrap().starts_with("text/plain"), "{answer:?}");
    }
    fn rfc9110_6_6_1_errors_carry_a_date(at) {
        let answer = at.ask(format!("{NO_ROUTE}\r\n"));
        let date = answer.field("date").expect("a Date");
        assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    }
    fn rfc9110_9_3_2_errors_to_head_have_no_body(at) {
        let mut client = at.client();
        client.send("HEAD /x HTTP/1.1\r\nHost: nobody.test\r\n\r\n");
        is_ours(&client.response_to("HEAD"), 404, "no_route");
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").response().text(), "hello");
    }
    fn rfc9112_9_3_no_route_keeps_the_connection(at) {
        let mut client = at.client();
        for _ in 0..5 {
            let answer = client.send(format!("{NO_ROUTE}\r\n")).response();
            is_ours(&answer, 404, "no_route");
            assert!(!answer.lists("connection", "close"));
        }
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").response().text(), "hello");
    }
    fn rfc9112_9_3_no_route_closes_when_asked(at) {
        let mut client = at.client();
        let answer = client.send(format!("{NO_ROUTE}Connection: close\r\n\r\n")).response();
        assert!(answer.lists("connection", "close"));
        client.closed();
    }
    fn rfc9112_9_3_no_route_to_http_1_0(at) {
        let mut client = at.client();
        is_ours(&client.send("GET /x HTTP/1.0\r\nHost: nobody.test\r\n\r\n").response(), 404, "no_route");
        client.closed();
    }
    fn rfc9112_9_3_the_body_of_a_request_without_route_is_no_request(at) {
        let body = at.fill("GET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let mut client = at.client();
        client.send(format!(
            "POST /x HTTP/1.1\r\nHost: nobody.test\r\nContent-Length: {}\r\n\r\n{body}", body.len()
        ));
        is_ours(&client.response(), 404, "no_route");
        client.try_send("GET /next HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        client.rest();
        assert!(at.act().requests().iter().all(|r| r.target() == "/next"), "a body became a request");
    }
    fn rfc9112_9_3_the_chunked_body_of_a_request_without_route_is_no_request(at) {
        let body = at.fill("GET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let mut client = at.client();
        client.send(format!(
            "POST /x HTTP/1.1\r\nHost: nobody.test\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        ));
        is_ours(&client.response(), 404, "no_route");
        client.try_send("GET /next HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        client.rest();
        assert!(at.act().requests().iter().all(|r| r.target() == "/next"), "a body became a request");
    }
    fn rfc9112_9_3_a_large_body_of_a_request_without_route_does_not_hide_the_answer(at) {
        let mut client = at.client();
        client.send("POST /x HTTP/1.1\r\nHost: nobody.test\r\nContent-Length: 5000000\r\n\r\n");
        client.try_send("x".repeat(5_000_000));
        is_ours(&client.response(), 404, "no_route");
    }
    fn rfc9110_10_1_1_no_route_to_a_client_that_expects_100(at) {
        let mut client = at.client();
        client.send(
            "POST /x HTTP/1.1\r\nHost: nobody.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        );
        is_ours(&client.next("POST"), 404, "no_route");
    }
    fn rfc9110_15_errors_do_not_repeat_what_the_client_sent(at) {
        let mut client = at.client();
        client.send("GET /<script>alert(1)</script> HTTP/1.1\r\nHost: nobody.test\r\nX: <script>\r\n\r\n");
        let answer = client.response();
        assert!(!answer.text().contains("<script>"), "{answer:?}");
    }
    fn rfc9110_15_6_3_errors_of_the_node_name_their_reason(at) {
        at.origin(|c| {
            c.request();
        });
        let answer = at.ask("GET / HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\r\n");
        is_ours(&answer, 502, "node_closed");
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(json["error"]["code"], "node_closed", "{json}");
    }
    fn rfc9112_9_3_a_client_keeps_its_connection_when_the_node_fails(at) {
        at.origin(|c| {
            c.request();
        });
        let mut client = at.client();
        is_ours(&client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").response(), 502, "node_closed");
        at.answers(crate::harness::origin::ok("well"));
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").response().text(), "well");
    }
}
