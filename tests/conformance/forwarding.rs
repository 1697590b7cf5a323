//! RFC 9110, 7.6.3 and the contract: Via, X-Forwarded-*, x-request-id.

use std::collections::HashSet;

use crate::harness::message::Message;
use crate::harness::stage::{Stage, cases};

#[track_caller]
fn arrives(at: &Stage, lines: &str) -> Message {
    let answer = at.ask(format!("GET / HTTP/1.1\r\nHost: {{host}}\r\n{lines}X-End: 1\r\n\r\n"));
    assert_eq!(answer.status(), 200, "{answer:?}");
    at.arrived()
}

cases! { One;
    fn rfc9110_7_6_3_via_is_added(at) {
        assert_eq!(arrives(at, "").field("via"), Some("1.1 plimsoll"));
    }
    fn rfc9110_7_6_3_via_is_added_to_what_others_said(at) {
        let all = arrives(at, "Via: 1.0 fred, 1.1 p.example.com\r\n").all("via").join(", ");
        assert_eq!(all, "1.0 fred, 1.1 p.example.com, 1.1 plimsoll");
    }
    fn x_forwarded_for_is_the_peer(at) {
        assert_eq!(arrives(at, "").field("x-forwarded-for"), Some("127.0.0.1"));
    }
    fn x_forwarded_for_of_a_stranger_is_not_believed(at) {
        assert_eq!(arrives(at, "X-Forwarded-For: 10.0.0.1\r\n").field("x-forwarded-for"), Some("127.0.0.1"));
    }
    fn x_forwarded_for_of_a_stranger_in_several_lines_is_not_believed(at) {
        let request = arrives(at, "X-Forwarded-For: 10.0.0.1\r\nx-forwarded-for: 10.0.0.2\r\n");
        assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
    }
    fn x_forwarded_proto_is_ours(at) {
        assert_eq!(arrives(at, "X-Forwarded-Proto: https\r\n").field("x-forwarded-proto"), Some("http"));
    }
    fn x_forwarded_host_is_what_the_client_asked_for(at) {
        let request = arrives(at, "X-Forwarded-Host: evil.test\r\n");
        assert_eq!(request.field("x-forwarded-host"), Some(at.host.as_str()));
    }
    fn x_request_id_is_made(at) {
        assert!(arrives(at, "").field("x-request-id").unwrap().len() >= 8);
    }
    fn x_request_id_of_a_stranger_is_not_believed(at) {
        let request = arrives(at, "X-Request-Id: mine\r\nx-request-id: too\r\n");
        let id = request.field("x-request-id").unwrap();
        assert!(id != "mine" && id != "too" && id.len() >= 8, "{id}");
    }
    fn x_request_id_is_never_the_same(at) {
        let mut client = at.client();
        for _ in 0..200 {
            client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").response();
        }
        let requests = at.act().requests();
        let ids: HashSet<_> = requests.iter().map(|r| r.field("x-request-id").unwrap()).collect();
        assert_eq!(ids.len(), 200);
    }
    fn rfc9110_7_6_1_our_own_fields_are_there_once(at) {
        let request = arrives(at, "X-Forwarded-For: a\r\nX-Forwarded-Proto: b\r\nX-Forwarded-Host: c\r\n");
        for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "via", "host"] {
            assert_eq!(request.all(name).len(), 1, "{name}: {request:?}");
        }
    }
}

mod trusted {
    use super::arrives;
    use crate::harness::stage::cases;

    cases! { Trusting;
        fn x_forwarded_for_of_a_trusted_proxy_is_extended(at) {
            let request = arrives(at, "X-Forwarded-For: 203.0.113.9\r\n");
            assert_eq!(request.all("x-forwarded-for").join(", "), "203.0.113.9, 127.0.0.1");
        }
        fn x_forwarded_for_of_a_trusted_proxy_in_several_lines_is_extended(at) {
            let request = arrives(at, "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 10.0.0.1\r\n");
            assert_eq!(request.all("x-forwarded-for").join(", "), "203.0.113.9, 10.0.0.1, 127.0.0.1");
        }
        fn x_forwarded_for_of_a_trusted_proxy_that_says_nothing(at) {
            assert_eq!(arrives(at, "").field("x-forwarded-for"), Some("127.0.0.1"));
        }
        fn x_forwarded_proto_of_a_trusted_proxy_is_kept(at) {
            assert_eq!(arrives(at, "X-Forwarded-Proto: https\r\n").field("x-forwarded-proto"), Some("https"));
        }
        fn x_forwarded_proto_of_a_trusted_proxy_that_says_nothing(at) {
            assert_eq!(arrives(at, "").field("x-forwarded-proto"), Some("http"));
        }
        fn x_forwarded_host_of_a_trusted_proxy_is_kept(at) {
            let request = arrives(at, "X-Forwarded-Host: www.example.com\r\n");
            assert_eq!(request.field("x-forwarded-host"), Some("www.example.com"));
        }
        fn x_forwarded_host_of_a_trusted_proxy_that_says_nothing(at) {
            assert_eq!(arrives(at, "").field("x-forwarded-host"), Some(at.host.as_str()));
        }
        fn x_request_id_of_a_trusted_proxy_is_kept(at) {
            assert_eq!(arrives(at, "X-Request-Id: abc-123\r\n").field("x-request-id"), Some("abc-123"));
        }
        fn x_request_id_of_a_trusted_proxy_that_says_nothing_is_made(at) {
            assert!(arrives(at, "").field("x-request-id").unwrap().len() >= 8);
        }
        fn x_forwarded_fields_of_a_trusted_proxy_cannot_be_named_away(at) {
            let request = arrives(at, "X-Forwarded-For: 203.0.113.9\r\nConnection: x-forwarded-for\r\n");
            assert!(request.all("x-forwarded-for").join(", ").ends_with("127.0.0.1"), "{request:?}");
        }
    }
}
