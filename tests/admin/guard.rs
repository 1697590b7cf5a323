//! Who may call, how, and what every answer carries.

use crate::rig::Rig;

#[test]
fn a_foreign_host_is_refused_on_every_call() {
    let rig = Rig::new();
    for path in [
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/v1/status",
        "/api/v1/nodes",
        "/page/page.js",
        "/nothing",
    ] {
        for host in ["127.evil.test", "evil.test:9900", "localhost.evil.test", "127.0.0.2.evil.test"] {
            let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
            let answer = rig.send(&request);
            assert_eq!(
                (answer.status, &answer.json()["error"]["code"]),
                (403, &"foreign_host".into()),
                "{path} {host}"
            );
        }
    }
}

#[test]
fn localhost_and_loopback_addresses_are_ours() {
    let rig = Rig::new();
    for host in ["localhost", "LOCALHOST:1234", "127.0.0.1", "127.9.9.9:80", "[::1]:9900"] {
        let answer = rig.send(&format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"));
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[test]
fn a_missing_a_repeated_and_a_contradicted_host_are_refused() {
    let rig = Rig::new();
    for request in [
        "GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n",
        "GET /healthz HTTP/1.0\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        "GET http://evil.test/healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        "GET http://localhost/healthz HTTP/1.1\r\nhost: evil.test\r\nconnection: close\r\n\r\n",
    ] {
        assert_eq!(rig.send(request).status, 403, "{request}");
    }
}

#[test]
fn a_page_of_another_site_is_refused_and_our_own_is_not() {
    let rig = Rig::new();
    let with_origin = |origin: &str| {
        let fields = format!("host: localhost:9900\r\norigin: {origin}\r\nconnection: close");
        rig.send(&format!("GET /api/v1/status HTTP/1.1\r\n{fields}\r\n\r\n"))
    };
    assert_eq!(with_origin("http://localhost:9900").status, 200);
    for origin in ["http://evil.test", "null", "http://localhost:8080", "https://localhost:9900"] {
        let answer = with_origin(origin);
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (403, &"foreign_origin".into()),
            "{origin}"
        );
        assert_eq!(answer.field("access-control-allow-origin"), None);
    }
}

#[test]
fn only_reading_is_allowed() {
    let rig = Rig::new();
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECTX"] {
        let fields = "host: localhost\r\ncontent-length: 0\r\nconnection: close";
        let answer = rig.send(&format!("{method} /api/v1/nodes HTTP/1.1\r\n{fields}\r\n\r\n"));
        assert_eq!((answer.status, answer.field("allow")), (405, Some("get,head")), "{method}");
        assert_eq!(answer.json()["error"]["code"], "method_not_allowed");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let rig = Rig::new();
    let answer = rig.send("HEAD /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert_eq!((answer.status, &*answer.body), (200, ""));
    assert_eq!(answer.field("content-length"), Some("15"));
}

#[test]
fn what_is_not_there_is_a_json_error() {
    let rig = Rig::new();
    for path in [
        "/api/v2/status",
        "/api/v1/nodes/",
        "/page/../page/page.js",
        "/%2e%2e/etc/passwd",
        "//",
        "/page.html",
    ] {
        let answer = rig.get(path);
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["code"]), (404, &"not_found".into()), "{path}");
        assert!(error["message"].is_string() && error["hint"].is_string());
    }
}

#[test]
fn every_answer_forbids_embedding_sniffing_and_caching() {
    let rig = Rig::new();
    let refused = rig.send("GET / HTTP/1.1\r\nhost: evil.test\r\nconnection: close\r\n\r\n");
    for answer in [rig.get("/"), rig.get("/api/v1/status"), rig.get("/nothing"), refused] {
        assert!(answer.field("content-security-policy").unwrap().starts_with("default-src 'none'"));
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.field("x-frame-options"), Some("deny"));
        assert_eq!(answer.field("cache-control"), Some("no-store"));
    }
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let rig = Rig::new();
    let long = "x".repeat(40_000);
    let answer = rig.send(&format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-long: {long}"));
    assert_eq!(answer.status, 431);
    let many: String = (0..200).map(|at| format!("x-{at}: 1\r\n")).collect();
    let answer = rig.send(&format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"));
    assert_eq!(answer.status, 431);
}
