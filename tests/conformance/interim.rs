//! RFC 9110, 15.2: interim responses.

use crate::harness::stage::cases;

const GET: &str = "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n";

cases! { One;
    fn rfc9110_15_2_early_hints_are_forwarded(at) {
        at.answers(
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        );
        let mut client = at.client();
        let hint = client.send(GET).next("GET");
        assert_eq!((hint.status(), hint.field("link")), (103, Some("</a.css>; rel=preload")));
        assert_eq!(client.next("GET").text(), "hi");
    }
    fn rfc9110_15_2_early_hints_come_before_the_final_response_is_made(at) {
        let gate = crate::harness::gate::Gate::default();
        let wait = gate.clone();
        at.origin(move |c| while c.request().is_some() {
            c.send("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n");
            wait.pass();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        let mut client = at.client();
        assert_eq!(client.send(GET).next("GET").status(), 103);
        gate.open();
        assert_eq!(client.next("GET").status(), 200);
    }
    fn rfc9110_15_2_several_interim_responses(at) {
        at.answers(
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 A\r\nX-N: 1\r\n\r\nHTTP/1.1 103 B\r\nX-N: 2\r\n\r\n\
             HTTP/1.1 204 Done\r\n\r\n",
        );
        let mut client = at.client();
        client.send(GET);
        let statuses: Vec<_> = (0..4).map(|_| client.next("GET").status()).collect();
        assert_eq!(statuses, [102, 103, 103, 204]);
    }
    fn rfc9110_15_2_1_a_100_that_was_not_asked_for_does_not_disturb(at) {
        at.answers("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(at.get("/").text(), "hi");
    }
    fn rfc9110_15_2_interim_responses_do_not_reach_http_1_0(at) {
        at.answers("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        let answer = at.client().send("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n").next("GET");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "hi"));
    }
    fn rfc9110_15_2_interim_responses_without_end_are_given_up(at) {
        at.origin(|c| {
            c.request();
            while c.send("HTTP/1.1 103 Early Hints\r\n\r\n") {}
        });
        let mut client = at.client();
        client.send(GET);
        let answer = client.response();
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (502, Some("bad_response")));
    }
    fn rfc9110_15_2_an_interim_response_then_nothing(at) {
        at.origin(|c| {
            c.request();
            c.send("HTTP/1.1 103 Early Hints\r\n\r\n");
        });
        let answer = at.client().send(GET).response();
        assert_eq!((answer.status(), answer.field("x-plimsoll-reason")), (502, Some("node_closed")));
    }
    fn rfc9110_15_2_hop_by_hop_fields_of_an_interim_response_stay_behind(at) {
        at.answers("HTTP/1.1 103 E\r\nConnection: x-a\r\nX-A: b\r\nLink: <x>\r\n\r\nHTTP/1.1 204 N\r\n\r\n");
        let mut client = at.client();
        let hint = client.send(GET).next("GET");
        assert_eq!((hint.status(), hint.all("x-a").len(), hint.field("link")), (103, 0, Some("<x>")));
    }
    fn rfc9110_15_2_an_interim_response_with_a_length_has_no_body(at) {
        at.answers("HTTP/1.1 103 E\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        let answer = at.get("/");
        assert!(answer.status() == 502 || answer.text() == "hi", "{answer:?}");
    }
}
