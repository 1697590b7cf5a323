//! RFC 9110, 9.3.6 and 9.3.7: CONNECT and OPTIONS.

use crate::harness::stage::cases;

cases! { One;
    fn rfc9110_9_3_6_connect_is_refused(at) {
        at.refuses_with_any("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n", &[501, 405]);
    }
    fn rfc9110_9_3_6_connect_to_an_unknown_host_is_refused(at) {
        at.refuses_with_any("CONNECT nobody.test:443 HTTP/1.1\r\nHost: nobody.test:443\r\n\r\n", &[501, 405]);
    }
    fn rfc9110_9_3_6_connect_with_origin_form_is_refused(at) {
        at.refuses_with_any("CONNECT / HTTP/1.1\r\nHost: {host}\r\n\r\n", &[400, 501, 405]);
    }
    fn rfc9110_9_3_6_what_follows_a_refused_connect_is_no_request(at) {
        let mut client = at.client();
        client.try_send(
            "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n",
        );
        assert!([400, 405, 501].contains(&client.response().status()));
        client.closed();
        assert!(at.act().requests().is_empty());
    }
    fn rfc9112_3_2_4_options_of_the_server_is_forwarded(at) {
        let answer = at.ask("OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert_eq!(at.arrived().start, "OPTIONS * HTTP/1.1");
    }
    fn rfc9112_3_2_4_options_of_an_empty_absolute_form(at) {
        assert_eq!(at.ask("OPTIONS http://{host} HTTP/1.1\r\nHost: {host}\r\n\r\n").status(), 200);
        assert!(["*", "/"].contains(&at.arrived().target()), "{:?}", at.arrived());
    }
    fn rfc9110_9_3_7_options_of_a_resource_is_forwarded(at) {
        assert_eq!(at.ask("OPTIONS /a HTTP/1.1\r\nHost: {host}\r\nOrigin: http://x.test\r\n\r\n").status(), 200);
        assert_eq!(at.arrived().start, "OPTIONS /a HTTP/1.1");
    }
    fn rfc9110_9_3_7_options_with_a_body(at) {
        let answer = at.ask("OPTIONS /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(answer.status(), 200);
        assert_eq!(at.arrived().text(), "hi");
    }
    fn rfc9110_7_6_2_max_forwards_counts_down(at) {
        assert_eq!(at.ask("OPTIONS /a HTTP/1.1\r\nHost: {host}\r\nMax-Forwards: 5\r\n\r\n").status(), 200);
        assert_eq!(at.arrived().field("max-forwards"), Some("4"));
    }
    fn rfc9110_7_6_2_max_forwards_of_zero_ends_here(at) {
        let answer = at.ask("OPTIONS /a HTTP/1.1\r\nHost: {host}\r\nMax-Forwards: 0\r\n\r\n");
        assert!(answer.status() < 500, "{answer:?}");
        assert!(at.act().requests().is_empty(), "it was forwarded");
    }
    fn rfc9110_7_6_2_max_forwards_of_other_methods_is_left_alone(at) {
        assert_eq!(at.ask("GET /a HTTP/1.1\r\nHost: {host}\r\nMax-Forwards: 0\r\n\r\n").status(), 200);
    }
}
