//! Calls that change something: what each asks of the control plane, what it refuses, and what is told of it.

use plimsoll::shared::order::{Fault, NodeWish, Refused, WeightWish, Wish};
use serde_json::{Value, json};

use crate::rig::{Rig, wait_for};

const NODE: &str = "/api/v1/nodes/api%2F127.0.0.1%3A9001";

fn node() -> String {
    "api/127.0.0.1:9001".to_owned()
}

#[test]
fn every_write_is_an_order() {
    let rig = Rig::new();
    let backend = || "api".to_owned();
    let set = |state, weight: Option<u32>| {
        let weight = weight.map(WeightWish::Of);
        Wish::SetNode { node: node(), state, weight }
    };
    let own_weight = Wish::SetNode { node: node(), state: None, weight: Some(WeightWish::OfTheFile) };
    let scale = |replicas, paused| Wish::Scale { backend: backend(), replicas, paused };
    let calls = [
        ("PATCH", NODE, r#"{"state":"drain"}"#, 200, set(Some(NodeWish::Drain), None)),
        ("PATCH", NODE, r#"{"state":"down","weight":3}"#, 200, set(Some(NodeWish::Down), Some(3))),
        ("PATCH", NODE, r#"{"state":"ready"}"#, 200, set(Some(NodeWish::Ready), None)),
        ("PATCH", NODE, r#"{"weight":1000}"#, 200, set(None, Some(1000))),
        ("PATCH", NODE, r#"{"weight":null}"#, 200, own_weight),
        ("DELETE", NODE, "", 200, Wish::RemoveNode { node: node() }),
        ("POST", "/api/v1/backends/api/nodes", "{}", 202, Wish::AddNode { backend: backend() }),
        ("POST", "/api/v1/backends/api/scale", r#"{"replicas":3}"#, 200, scale(Some(3), None)),
        ("POST", "/api/v1/backends/api/scale", r#"{"paused":true}"#, 200, scale(None, Some(true))),
        ("POST", "/api/v1/backends/api/roll", "", 202, Wish::Roll { backend: backend() }),
        ("POST", "/api/v1/reload", "", 200, Wish::Reload),
    ];
    for (method, path, body, status, wish) in calls {
        let answer = rig.write(method, path, body);
        assert_eq!(
            (answer.status, answer.json()),
            (status, json!({ "ok": true, "text": "as you wish" })),
            "{path}"
        );
        assert_eq!(rig.orders().last(), Some(&wish));
    }
}

#[test]
fn what_makes_no_sense_never_reaches_the_control_plane() {
    let rig = Rig::new();
    let deep = format!("{{\"state\":{}", "[".repeat(200_000));
    let calls = [
        (NODE, "", 422, "senseless"),
        (NODE, "{}", 422, "senseless"),
        (NODE, r#"{"weight":0}"#, 422, "senseless"),
        (NODE, r#"{"weight":1001}"#, 422, "senseless"),
        (NODE, r#"{"weight":-1}"#, 400, "bad_json"),
        (NODE, r#"{"weight":"3"}"#, 400, "bad_json"),
        (NODE, r#"{"state":"asleep"}"#, 400, "bad_json"),
        (NODE, r#"{"state":"drain","colour":1}"#, 400, "bad_json"),
        (NODE, r#"{"state":"drain","state":"down"}"#, 400, "bad_json"),
        (NODE, r#"{"state":"drain""#, 400, "bad_json"),
        (NODE, "\u{0}", 400, "bad_json"),
        (NODE, "[]", 400, "bad_json"),
        (NODE, &deep, 400, "bad_json"),
    ];
    for (path, body, status, code) in calls {
        let answer = rig.write("PATCH", path, body);
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (status, &code.into()), "{:.40}", body);
    }
    for (body, status) in [("{}", 422), (r#"{"replicas":5000}"#, 422), (r#"{"replicas":1.5}"#, 400)] {
        assert_eq!(rig.write("POST", "/api/v1/backends/api/scale", body).status, status, "{body}");
    }
    assert_eq!(rig.write("POST", "/api/v1/reload", "[1]").status, 400);
    assert_eq!(rig.orders(), []);
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let rig = Rig::new();
    let body = format!("{{\"state\":\"{}\"}}", "x".repeat(1024 * 1024));
    let answer = rig.write("PATCH", NODE, &body);
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (413, &"too_large".into()));
    let chunk = "x".repeat(0x8000);
    let chunks = format!("8000\r\n{chunk}\r\n").repeat(40);
    let fields = "transfer-encoding: chunked\r\n";
    assert_eq!(rig.send(&rig.request("PATCH", NODE, fields, &chunks)).status, 413);
    assert_eq!(rig.orders(), []);
}

#[test]
fn a_write_must_say_that_it_is_json() {
    let rig = Rig::new();
    for kind in ["", "content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n"] {
        let request = format!(
            "POST /api/v1/reload HTTP/1.1\r\nhost: localhost\r\n{kind}content-length: 0\r\nconnection: close\r\n\r\n"
        );
        let answer = rig.send(&request);
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (415, &"not_json".into()), "{kind}");
    }
    let charset = "POST /api/v1/reload HTTP/1.1\r\nhost: localhost\r\ncontent-type: Application/JSON; charset=utf-8\r\nconnection: close\r\n\r\n";
    assert_eq!(rig.send(charset).status, 200);
    assert_eq!(rig.orders(), [Wish::Reload]);
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    let rig = Rig::new();
    let origin = "origin: http://evil.test\r\n";
    assert_eq!(rig.send(&rig.request("POST", "/api/v1/reload", origin, "")).status, 403);
    let rebound = "POST /api/v1/reload HTTP/1.1\r\nhost: 127.evil.test\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
    assert_eq!(rig.send(rebound).status, 403);
    let simple = "POST /api/v1/reload HTTP/1.1\r\nhost: localhost\r\norigin: null\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n";
    assert_eq!(rig.send(simple).status, 403);
    assert_eq!(rig.orders(), []);
}

#[test]
fn where_writes_are_off_none_is_taken() {
    let rig = Rig::read_only();
    for (method, path) in [("PATCH", NODE), ("DELETE", NODE), ("POST", "/api/v1/reload")] {
        let answer = rig.write(method, path, r#"{"state":"drain"}"#);
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (403, &"read_only".into()), "{method}");
    }
    assert_eq!(rig.get("/api/v1/nodes").status, 200);
    assert_eq!(rig.orders(), []);
}

#[test]
fn a_refusal_of_the_control_plane_has_its_status_and_its_words() {
    let rig = Rig::new();
    for (fault, status) in
        [(Fault::Unknown, 404), (Fault::Invalid, 422), (Fault::Conflict, 409), (Fault::Unavailable, 503)]
    {
        rig.refuse(Refused { fault, code: "no_fleet", message: "m".into(), hint: "h".into() });
        let answer = rig.write("POST", "/api/v1/backends/api/nodes", "");
        let error = json!({ "error": { "code": "no_fleet", "message": "m", "hint": "h" } });
        assert_eq!((answer.status, answer.json()), (status, error));
    }
}

#[test]
fn every_write_is_told_of_with_its_outcome() {
    let rig = Rig::new();
    rig.write("PATCH", NODE, r#"{"state":"drain"}"#);
    rig.refuse(Refused {
        fault: Fault::Unknown,
        code: "unknown",
        message: "no such node".into(),
        hint: "h".into(),
    });
    rig.write("DELETE", "/api/v1/nodes/%3Cimg%20onerror%3Dx%3E%0A%1b", "");
    let mut events = Vec::new();
    wait_for("both events", || {
        events = rig.get("/api/v1/events?kind=audit").json().as_array().unwrap().clone();
        events.len() == 2
    });
    let (done, refused) = (&events[0], &events[1]);
    assert_eq!(
        (&done["level"], &done["node"], &done["backend"]),
        (&"info".into(), &node().into(), &"api".into())
    );
    let text = done["text"].as_str().unwrap();
    assert!(text.starts_with("set node api/127.0.0.1:9001: drain, by 127.0.0.1:"), "{text}");
    assert!(text.ends_with("done: as you wish"), "{text}");
    assert_eq!((&refused["level"], &refused["node"]), (&"warning".into(), &Value::Null));
    let text = refused["text"].as_str().unwrap();
    assert!(text.starts_with("remove node <img onerror=x>\\n\\u{1b}, by"), "{text}");
    assert!(text.ends_with("refused: no such node"), "{text}");
}

#[test]
fn a_write_that_never_became_an_order_is_told_of_too() {
    let guarded = Rig::guarded();
    assert_eq!(guarded.write("POST", "/api/v1/reload", "").status, 401);
    let rig = Rig::new();
    let calls = [
        (NODE, "[", 400, "bad_json"),
        (NODE, r#"{"weight":0}"#, 422, "senseless"),
        ("/api/v1/nodes/%ff", "{}", 400, "bad_path"),
    ];
    for (path, body, status, reason) in calls {
        let answer = rig.write("PATCH", path, body);
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (status, &reason.into()),
            "{path} {body}"
        );
        let events = rig.get("/api/v1/events?kind=audit").json();
        let text = events.as_array().unwrap().last().unwrap()["text"].as_str().unwrap().to_owned();
        assert!(text.starts_with("PATCH /api/v1/nodes/"), "{text}");
        assert!(text.ends_with(&format!(": refused: {reason}")), "{text}");
    }
}

#[test]
fn events_are_found_by_kind_and_id() {
    let rig = Rig::new();
    rig.write("POST", "/api/v1/reload", "");
    rig.write("POST", "/api/v1/reload", "");
    wait_for("both events", || rig.get("/api/v1/events").json().as_array().unwrap().len() == 2);
    assert_eq!(rig.get("/api/v1/events?after=1").json()[0]["id"], 2);
    assert_eq!(rig.get("/api/v1/events?kind=scale").json(), json!([]));
    assert_eq!(rig.get("/api/v1/events?limit=1").json()[0]["id"], 2);
    for query in ["kind=colour", "after=x", "limit=-1"] {
        assert_eq!(rig.get(&format!("/api/v1/events?{query}")).status, 400, "{query}");
    }
}

#[test]
fn the_document_describes_every_call_and_no_other() {
    let rig = Rig::new();
    let document = rig.get("/api/v1/openapi.json").json();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "api%2F127.0.0.1%3A9001").replace("{name}", "api");
        for method in ["get", "post", "patch", "delete", "put"] {
            let described = item.get(method).is_some();
            let answer = rig.write(&method.to_uppercase(), &path, "");
            assert_eq!(answer.status != 405, described, "{method} {path}: {}", answer.status);
            assert_ne!(answer.status, 404, "{method} {path}");
        }
    }
}

#[test]
fn a_foreign_websocket_is_refused_before_it_is_one() {
    let rig = Rig::new();
    let open = |fields: &str| {
        let request = format!(
            "GET /ws HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
        );
        rig.send(&request).status
    };
    assert_eq!(open("host: localhost\r\norigin: http://evil.test\r\n"), 403);
    assert_eq!(open("host: 127.evil.test\r\n"), 403);
    let answer = rig.get("/ws");
    assert_eq!((answer.status, answer.field("upgrade")), (426, Some("websocket")));
}
