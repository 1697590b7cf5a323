//! Every refusal that the OpenAPI document names, at every call that it names it for; and the document names all that come.

use std::collections::BTreeSet;

use plimsoll::shared::order::{Fault, Refused};
use serde_json::Value;

use crate::rig::{Answer, Rig};

/// The calls of the document: method, path with its parameters filled in, and the statuses.
fn calls(rig: &Rig) -> Vec<(String, String, BTreeSet<u16>)> {
    let document = rig.get("/api/v1/openapi.json").json();
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "api%2F127.0.0.1%3A9001").replace("{name}", "api");
        for method in ["get", "post", "patch", "delete"] {
            if let Some(responses) = item[method]["responses"].as_object() {
                let statuses = responses.keys().map(|status| status.parse().unwrap()).collect();
                calls.push((method.to_uppercase(), path.clone(), statuses));
            }
        }
    }
    calls
}

/// A refusal has the contract's shape, with words for a person in it.
fn assert_refusal(answer: &Answer, call: &str) {
    let error = &answer.json()["error"];
    for key in ["code", "message", "hint"] {
        assert!(error[key].as_str().is_some_and(|text| !text.is_empty()), "{call}: {}", answer.body);
    }
}

#[test]
fn every_write_gives_every_refusal_that_it_is_described_with() {
    let rig = Rig::new();
    let guarded = Rig::guarded();
    let huge = format!("{{\"state\":\"{}\"}}", "x".repeat(1 << 20));
    let writes: Vec<_> = calls(&rig).into_iter().filter(|(method, ..)| method != "GET").collect();
    assert_eq!(writes.len(), 6, "{writes:?}");
    for (method, path, described) in writes {
        let call = format!("{method} {path}");
        let plain = |fields: &str| {
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n{fields}connection: close\r\n\r\n", rig.address)
        };
        let answers = [
            (400, rig.write(&method, &path, "[")),
            (401, guarded.write(&method, &path, "{}")),
            (403, rig.send(&rig.request(&method, &path, "origin: http://evil.test\r\n", "{}"))),
            (403, rig.send(&plain("").replace(&rig.address.to_string(), "127.evil.test"))),
            (413, rig.write(&method, &path, &huge)),
            (415, rig.send(&plain("content-type: text/plain\r\n"))),
            (415, rig.send(&plain(""))),
        ];
        for (status, answer) in answers {
            assert_eq!(answer.status, status, "{call}");
            assert!(described.contains(&status), "{call}: {status} is not described");
            assert_refusal(&answer, &call);
        }
    }
    assert_eq!(rig.orders(), [], "what was refused was never asked for");
}

#[test]
fn every_write_passes_on_what_the_control_plane_says() {
    let rig = Rig::new();
    let body = |path: &str| match path {
        path if path.ends_with("/scale") => r#"{"replicas":2}"#,
        path if path.contains("/nodes/") => r#"{"state":"drain"}"#,
        _ => "",
    };
    for (method, path, described) in calls(&rig).into_iter().filter(|(method, ..)| method != "GET") {
        let body = if method == "DELETE" { "" } else { body(&path) };
        for (fault, status) in
            [(Fault::Unknown, 404), (Fault::Conflict, 409), (Fault::Invalid, 422), (Fault::Unavailable, 503)]
        {
            rig.refuse(Refused { fault, code: "no_fleet", message: "m".into(), hint: "h".into() });
            let answer = rig.write(&method, &path, body);
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
            assert!(described.contains(&status), "{method} {path}: {status} is not described");
            assert_refusal(&answer, &path);
        }
    }
}

#[test]
fn every_read_gives_every_refusal_that_it_is_described_with() {
    let (rig, guarded) = (Rig::new(), Rig::guarded());
    for (_, path, described) in calls(&rig).into_iter().filter(|(method, ..)| method == "GET") {
        let foreign = format!("GET {path} HTTP/1.1\r\nhost: 127.evil.test\r\nconnection: close\r\n\r\n");
        assert_eq!(rig.send(&foreign).status, 403, "{path}");
        let origin = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\norigin: http://evil.test\r\nconnection: close\r\n\r\n",
            rig.address
        );
        assert_eq!(rig.send(&origin).status, 403, "{path}");
        assert!(described.contains(&403), "{path}");
        let answer = guarded.get(&path);
        if !matches!(&*path, "/healthz" | "/readyz") {
            assert_eq!(answer.status, 401, "{path}");
            assert!(described.contains(&401), "{path}");
            assert_refusal(&answer, &path);
        }
    }
    for (path, status) in [
        ("/api/v1/why", 400),
        ("/api/v1/why?url=", 400),
        ("/api/v1/why?url=/&colour=red", 400),
        ("/api/v1/why?url=/&listener=nobody", 404),
        ("/api/v1/events?kind=colour", 400),
        ("/ws", 426),
        ("/api/v1/nothing", 404),
    ] {
        let answer = rig.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert_refusal(&answer, path);
    }
    let answer = rig.write("PUT", "/api/v1/reload", "");
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (405, &Value::from("method_not_allowed")));
}
