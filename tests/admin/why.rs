//! Where a request would go: answered by what routes real ones.

use serde_json::{Value, json};

use crate::rig::{HOSTILE, Rig};

fn why(rig: &Rig, query: &str) -> Value {
    let answer = rig.get(&format!("/api/v1/why?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[test]
fn a_request_that_a_route_takes_names_its_node() {
    let rig = Rig::healthy();
    let why = why(&rig, "method=GET&url=http%3A%2F%2Fa.example.com%2Fapi%2Fx%3Fpage%3D2");
    assert_eq!((&why["outcome"], &why["route"]["name"]), (&json!("forward"), &json!("/api/*")));
    assert_eq!((&why["backend"]["name"], &why["node"]), (&json!("api"), &json!("api/127.0.0.1:9001")));
    assert_eq!(why["nodes"][0]["usable"], true);
    assert!(why["text"].as_str().unwrap().contains("only node of api"), "{why}");
}

#[test]
fn a_request_that_none_takes_hears_why_not_from_each() {
    let rig = Rig::healthy();
    let why = why(&rig, "url=http%3A%2F%2Fother.test%2Fapi%2Fx");
    assert_eq!(
        (&why["outcome"], &why["status"], &why["reason"]),
        (&json!("refused"), &json!(404), &json!("no_route"))
    );
    let reasons: Vec<_> = why["passed_over"].as_array().unwrap().iter().map(|one| &one["why"]).collect();
    assert_eq!(reasons, [&json!("the host is another"), &json!("the host is another")]);
    assert!(why["passed_over"].as_array().unwrap().iter().any(|one| one["route"] == HOSTILE));
}

#[test]
fn what_the_parser_refuses_is_refused_here_too() {
    let rig = Rig::healthy();
    for (query, status) in
        [("url=%2Fa%2F..%252f..%2Fb", 400), ("method=GE%28T&url=%2F", 400), ("method=CONNECT&url=%2Fx", 400)]
    {
        assert_eq!(why(&rig, query)["status"], status, "{query}");
    }
}

#[test]
fn a_question_that_is_none_is_the_callers_mistake() {
    let rig = Rig::healthy();
    for (query, status) in [
        ("", 400),
        ("url=", 400),
        ("url=ftp%3A%2F%2Fx%2F", 400),
        ("url=%2F&colour=red", 400),
        ("url=%2F&header=a%3A%20b%0D%0Ahost%3A%20evil.test", 400),
        ("url=%2F&listener=nobody", 404),
    ] {
        assert_eq!(rig.get(&format!("/api/v1/why?{query}")).status, status, "{query}");
    }
}
