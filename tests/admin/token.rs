//! An admin API with a token: who knows it is let in, and nobody else.

use crate::rig::{Rig, TOKEN};

fn with(rig: &Rig, path: &str, fields: &str) -> u16 {
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: lb.internal:9900\r\n{fields}connection: close\r\n\r\n");
    let answer = rig.send(&request);
    if answer.status == 401 {
        assert_eq!(answer.json()["error"]["code"], "no_token");
        assert_eq!(answer.field("www-authenticate"), Some("bearer"));
    }
    assert!(!answer.body.contains(TOKEN) && !answer.head.contains(TOKEN));
    answer.status
}

#[test]
fn reads_writes_and_metrics_need_it() {
    let rig = Rig::guarded();
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    for path in ["/api/v1/status", "/api/v1/nodes", "/api/v1/why?url=/", "/metrics", "/api/v1/nothing"] {
        assert_eq!(with(&rig, path, ""), 401, "{path}");
        assert_ne!(with(&rig, path, &bearer), 401, "{path}");
    }
    assert_eq!(rig.write("POST", "/api/v1/reload", "").status, 401);
    assert!(rig.orders().is_empty());
    assert_eq!(rig.send(&rig.request("POST", "/api/v1/reload", &bearer, "")).status, 200);
}

#[test]
fn the_page_and_whether_the_process_lives_need_none() {
    let rig = Rig::guarded();
    for path in ["/", "/page/page.css", "/healthz", "/readyz"] {
        assert_eq!(with(&rig, path, ""), 200, "{path}");
    }
}

#[test]
fn what_is_almost_the_token_is_none() {
    let rig = Rig::guarded();
    for fields in [
        "authorization: Bearer\r\n".to_owned(),
        "authorization: Bearer \r\n".to_owned(),
        format!("authorization: {TOKEN}\r\n"),
        format!("authorization: Basic {TOKEN}\r\n"),
        format!("authorization: Bearer {TOKEN}x\r\n"),
        format!("authorization: Bearer {}\r\n", &TOKEN[1..]),
        format!("authorization: Bearer {TOKEN}\r\nauthorization: Bearer {TOKEN}\r\n"),
        format!("cookie: token={TOKEN}\r\n"),
    ] {
        assert_eq!(with(&rig, "/api/v1/status", &fields), 401, "{fields}");
    }
    assert_eq!(with(&rig, &format!("/api/v1/status?token={TOKEN}"), ""), 401);
    // The subprotocol is for the websocket alone.
    let encoded = "sec-websocket-protocol: plimsoll.token.YS10b2tlbi1vZi10aGUtdGVzdHM\r\n";
    assert_eq!(with(&rig, "/api/v1/status", encoded), 401);
    assert_eq!(with(&rig, "/ws", encoded), 426);
    assert_eq!(with(&rig, "/ws", "sec-websocket-protocol: plimsoll.v1\r\n"), 401);
}

#[test]
fn a_name_that_is_not_configured_is_foreign() {
    let rig = Rig::guarded();
    let request = "GET /healthz HTTP/1.1\r\nhost: other.internal\r\nconnection: close\r\n\r\n";
    assert_eq!(rig.send(request).status, 403);
}
