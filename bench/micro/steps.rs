//! The steps that every request takes, each with what an ordinary one brings: for `main.rs`, which times them, and
//! `instructions/main.rs`, which counts what they execute.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use plimsoll::logic::balance::{Ask, Balancer, Strategy};
use plimsoll::logic::http1::exchange::reply;
use plimsoll::logic::http1::head::{HeadScanner, Scan};
use plimsoll::logic::http1::request::{self, FieldRoom, Request};
use plimsoll::logic::http1::response::{self, Response};
use plimsoll::logic::http1::rewrite::{Onward, write_request, write_response};
use plimsoll::logic::limits::{MessageLimits, Timeouts};
use plimsoll::logic::message::{Field, RequestHead};
use plimsoll::logic::route::{
    Action, Edits, HostPattern, ListenerIndex, Matcher, PathPattern, Route, RouteTable,
};
use plimsoll::shared::clock;

use crate::even::Even;

/// What load generators send: three fields.
const SMALL: &[u8] =
    b"GET /api/small HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n";
/// What a browser sends: a dozen fields, a cookie among them.
const BROWSER: &[u8] = b"GET /shop/items/42?colour=red&page=7 HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n\
    sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\nUpgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nReferer: https://www.example.com/shop/items?page=6\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; seen=1763977200\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: node/1.0\r\nContent-Type: application/json\r\nContent-Length: 128\r\n\
    Cache-Control: no-store\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
const DATE: &[u8] = b"Thu, 01 Jan 1970 00:00:00 GMT";

/// One step, ready to be taken any number of times.
pub(crate) type Step = Box<dyn FnMut()>;

/// All of them, by name.
pub(crate) fn all() -> Vec<(String, Step)> {
    let mut steps: Vec<(String, Step)> = vec![
        ("parse/request_small".into(), Box::new(|| parse_request(black_box(SMALL)))),
        ("parse/request_browser".into(), Box::new(|| parse_request(black_box(BROWSER)))),
        ("parse/response".into(), parse_response()),
        ("route/five_routes".into(), route()),
        ("rewrite/request_small".into(), rewrite_request(SMALL)),
        ("rewrite/request_browser".into(), rewrite_request(BROWSER)),
        ("rewrite/response".into(), rewrite_response()),
    ];
    steps.extend(Strategy::ALL.map(|strategy| (format!("pick/{}_of_3", strategy.name()), pick(strategy))));
    steps
}

fn parse_request(bytes: &'static [u8]) {
    let limits = MessageLimits::default();
    let scan = HeadScanner::default().advance(bytes, &limits);
    assert!(matches!(scan, Ok(Scan::Complete { .. })));
    let mut room = FieldRoom::new();
    let parsed = request::parse(bytes, &limits, &mut room);
    assert!(black_box(&parsed).is_ok());
}

fn parse_response() -> Step {
    let facts = parsed(SMALL).facts;
    Box::new(move || {
        let limits = MessageLimits::default();
        let scan = HeadScanner::default().advance(black_box(RESPONSE), &limits);
        assert!(matches!(scan, Ok(Scan::Complete { .. })));
        let mut room = FieldRoom::new();
        let parsed = response::parse(RESPONSE, &facts, &limits, &mut room);
        assert!(black_box(&parsed).is_ok());
    })
}

/// Five prefixes, as in the benchmark beside nginx and HAProxy.
fn route() -> Step {
    let paths = ["/", "/api/", "/static/", "/shop/", "/shop/items/"];
    let table = RouteTable::new(paths.map(to_prefix).into());
    let fields = [Field { name: b"host", value: b"www.example.com" }];
    Box::new(move || {
        let target = b"/shop/items/42?colour=red&page=7";
        let head = RequestHead { method: b"GET", authority: b"www.example.com", target, fields: &fields };
        black_box(table.find(black_box(&head), ListenerIndex(0)));
    })
}

fn to_prefix(path: &str) -> Route {
    Route {
        rate_limit: None,
        in_flight_max: None,
        name: path.into(),
        matcher: Matcher {
            host: HostPattern::Any,
            path: PathPattern::Prefix(path.into()),
            ..Matcher::default()
        },
        action: Action::Respond { status: 200, body: Bytes::new() },
        request_edits: Edits::default().into(),
        response_edits: Edits::default().into(),
        timeouts: Timeouts::default(),
        limits: MessageLimits::default(),
    }
}

fn pick(strategy: Strategy) -> Step {
    let nodes = Even::new(3);
    let mut balancer = Balancer::new(strategy, 0);
    let mut draw = 0_u64;
    let now_us = clock::micros(Instant::now() + Duration::from_secs(1));
    Box::new(move || {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let picked = balancer.pick(black_box(&nodes), &Ask { draw, key: Some(draw), now_us });
        assert!(black_box(picked).is_some());
    })
}

fn rewrite_request(bytes: &'static [u8]) -> Step {
    let request = parsed(bytes);
    let edits = Edits { set: vec![("x-route".into(), "bench".into())], ..Edits::default() };
    let mut out = Vec::with_capacity(4096);
    Box::new(move || {
        let onward = Onward {
            target: request.head.target,
            authority: request.head.authority,
            peer: b"192.0.2.1",
            trusted: false,
            request_id: b"0123456789abcdef0123456789abcdef",
            edits: &edits,
        };
        out.clear();
        write_request(&mut out, black_box(&request), &onward);
        black_box(&out);
    })
}

fn rewrite_response() -> Step {
    let facts = parsed(SMALL).facts;
    let room = Box::leak(Box::new(FieldRoom::new()));
    let response: Response<'static> =
        response::parse(RESPONSE, &facts, &MessageLimits::default(), room).expect("a response");
    let edits = Edits { set: vec![("x-served-by".into(), "bench".into())], ..Edits::default() };
    let mut out = Vec::with_capacity(4096);
    Box::new(move || {
        let reply = reply(&facts, black_box(&response), true, false);
        out.clear();
        write_response(&mut out, &response, &reply, &edits, DATE);
        black_box(&out);
    })
}

/// Parsed once, for the life of the program: the parsed form borrows its room.
fn parsed(bytes: &'static [u8]) -> Request<'static> {
    let room = Box::leak(Box::new(FieldRoom::new()));
    request::parse(bytes, &MessageLimits::default(), room).expect("a request")
}
