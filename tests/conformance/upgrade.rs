//! RFC 9110, 7.8 and RFC 6455: Upgrade, and the tunnel behind it.

use tungstenite::protocol::{Role, WebSocket};

use crate::harness::gate::Gate;
use crate::harness::origin::{OriginConnection, ok};
use crate::harness::stage::{Stage, cases};

const ASK: &str = "GET /t HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
const YES: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-A: b\r\n\r\n";

/// The origin switches protocols, then does as told.
fn switches(at: &Stage, tunnel: impl Fn(&mut OriginConnection) + Send + Sync + 'static) {
    at.origin(move |c| {
        if let Some(head) = c.head() {
            assert!(head.lists("upgrade", "echo") && head.lists("connection", "upgrade"));
            c.tunnel();
            c.send(YES);
            tunnel(c);
        }
    });
}

/// Accepts a WebSocket and sends every message back.
fn echoes_messages(c: &mut OriginConnection) {
    let Some(head) = c.head() else { return };
    c.tunnel();
    let key = tungstenite::handshake::derive_accept_key(head.field("sec-websocket-key").unwrap().as_bytes());
    c.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {key}\r\n\r\n"
    ));
    let mut socket = WebSocket::from_raw_socket(c, Role::Server, None);
    while let Ok(message) = socket.read() {
        if !message.is_close() && socket.send(message).is_err() {
            break;
        }
    }
}

cases! { Two;
    fn rfc6455_4_a_client_library_talks_through_the_tunnel(at) {
        at.origin(echoes_messages);
        let url = format!("ws://{}/chat", at.host);
        let (mut socket, response) = tungstenite::client(url, at.client().into_socket()).unwrap();
        assert_eq!(response.status(), 101);
        for n in 0..50 {
            socket.send(format!("message {n}").into()).unwrap();
            assert_eq!(socket.read().unwrap().into_text().unwrap().as_str(), format!("message {n}"));
        }
        let big = vec![7u8; 1 << 20];
        socket.send(big.clone().into()).unwrap();
        assert_eq!(socket.read().unwrap().into_data(), big);
        socket.close(None).unwrap();
        while socket.read().is_ok() {}
    }
    fn rfc9110_7_8_bytes_flow_both_ways(at) {
        switches(at, |c| {
            let ping = c.raw(4);
            assert_eq!(ping, b"ping");
            c.send("pong");
        });
        let mut client = at.client();
        let answer = client.send(ASK).response();
        assert_eq!((answer.status(), answer.field("x-a")), (101, Some("b")));
        assert!(answer.lists("connection", "upgrade") && answer.lists("upgrade", "echo"), "{answer:?}");
        assert_eq!(client.send("ping").raw(4), b"pong");
        client.closed();
    }
    fn rfc9110_7_8_bytes_right_behind_101(at) {
        at.origin(|c| {
            c.head();
            c.tunnel();
            c.send(format!("{YES}early"));
            c.rest();
        });
        let mut client = at.client();
        assert_eq!(client.send(ASK).response().status(), 101);
        assert_eq!(client.raw(5), b"early");
    }
    fn rfc9110_7_8_bytes_right_behind_the_request(at) {
        switches(at, |c| {
            let early = c.raw(5);
            c.send(early);
        });
        let mut client = at.client();
        assert_eq!(client.send(format!("{ASK}early")).response().status(), 101);
        assert_eq!(client.raw(5), b"early");
    }
    fn rfc9110_7_8_a_request_in_a_tunnel_is_only_bytes(at) {
        switches(at, |c| {
            let raw = c.raw(37);
            c.send(raw);
        });
        let mut client = at.client();
        client.send(ASK).response();
        let request = b"GET /x HTTP/1.1\r\nHost: some.test\r\n\r\n_";
        assert_eq!(client.send(request).raw(37), request);
    }
    fn rfc9110_7_8_the_client_finishes_first(at) {
        switches(at, |c| {
            let all = c.rest();
            c.send(format!("{} bytes", all.len()));
        });
        let mut client = at.client();
        client.send(ASK).response();
        client.send("hello").finish();
        assert_eq!(client.rest(), b"5 bytes");
    }
    fn rfc9110_7_8_the_node_finishes_first(at) {
        let heard = Gate::default();
        let open = heard.clone();
        switches(at, move |c| {
            c.send("bye");
            c.finish();
            if c.rest() == b"still here" {
                open.open();
            }
        });
        let mut client = at.client();
        client.send(ASK).response();
        assert_eq!(client.rest(), b"bye");
        client.send("still here").finish();
        heard.pass();
    }
    fn rfc9110_7_8_a_client_that_leaves_the_tunnel_is_missed(at) {
        switches(at, |c| {
            c.rest();
        });
        let mut client = at.client();
        client.send(ASK).response();
        client.reset();
        at.act().wait("the end of the tunnel", |seen| seen[0].closed.then_some(()));
    }
    fn rfc9110_7_8_a_node_that_resets_the_tunnel_is_missed(at) {
        switches(at, |c| c.reset_at_end());
        let mut client = at.client();
        client.send(ASK).response();
        client.rest();
    }
    fn rfc9110_7_8_mebibytes_through_a_tunnel(at) {
        switches(at, |c| {
            let all = c.raw(8 << 20);
            c.send(all);
        });
        let mut client = at.client();
        client.send(ASK).response();
        let bytes: Vec<u8> = (0..8 << 20).map(|n: u32| n.to_le_bytes()[(n % 3) as usize]).collect();
        client.send(&bytes);
        assert!(client.raw(8 << 20) == bytes);
    }
    fn rfc9110_7_8_a_node_that_declines(at) {
        at.answers(ok("plain"));
        let mut client = at.client();
        assert_eq!(client.send(ASK).response().text(), "plain");
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").response().text(), "plain");
    }
    fn rfc9110_7_8_a_node_that_declines_and_a_client_that_went_on(at) {
        // What was sent for the tunnel must not become a request of somebody's: it is read as the next request.
        at.origin(|c| while let Some(request) = c.request() {
            c.send(ok(request.target()));
        });
        let mut client = at.client();
        client.send(format!("{ASK}GET /next HTTP/1.1\r\nHost: {{host}}\r\n\r\n"));
        assert_eq!(client.response().text(), "/t");
        assert_eq!(client.response().text(), "/next");
    }
    fn rfc9110_7_8_upgrade_that_connection_does_not_name_is_dropped(at) {
        assert_eq!(at.ask("GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: echo\r\n\r\n").status(), 200);
        assert!(at.arrived().all("upgrade").is_empty());
    }
    fn rfc9110_7_8_connection_upgrade_without_upgrade(at) {
        assert_eq!(at.ask("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\n\r\n").status(), 200);
        assert!(!at.arrived().lists("connection", "upgrade"));
    }
    fn rfc9110_7_8_upgrade_of_http_1_0_is_ignored(at) {
        let mut client = at.client();
        client.send("GET / HTTP/1.0\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
        assert_eq!(client.response().status(), 200);
        assert!(at.arrived().all("upgrade").is_empty());
    }
    fn rfc9110_7_8_h2c_is_not_offered_to_the_node(at) {
        // A tunnel of HTTP/2 would carry requests past every route.
        let answer = at.ask(
            "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
             HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        );
        assert_eq!(answer.status(), 200);
        let request = at.arrived();
        assert!(request.all("upgrade").is_empty() && request.all("http2-settings").is_empty(), "{request:?}");
    }
    fn rfc9110_7_8_a_tunnel_is_never_pooled(at) {
        at.origin(|c| {
            if c.number() == 0 {
                c.head();
                c.tunnel();
                c.send(YES);
                c.raw(1);
                c.send("x");
                c.rest();
            } else {
                c.answer_all(ok("fresh").as_bytes());
            }
        });
        let mut client = at.client();
        client.send(ASK).response();
        client.send("x").raw(1);
        assert_eq!(at.get("/").text(), "fresh");
        drop(client);
        assert_eq!(at.get("/").text(), "fresh");
    }
}
