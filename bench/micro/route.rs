//! Finding the route of a request in tables of several sizes.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion};
use plimsoll::logic::limits::{MessageLimits, Timeouts};
use plimsoll::logic::message::{Field, RequestHead};
use plimsoll::logic::route::{
    Action, Edits, HostPattern, ListenerIndex, Matcher, PathPattern, Route, RouteTable,
};

/// The first and the last of the routes by name, and a path that none takes, in tables of 3, 100 and 4,096.
pub(crate) fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route/find");
    for size in [3, 100, 4096] {
        let table = RouteTable::new((0..size).map(numbered).collect());
        let first = "/service-0/users/42?page=7".to_owned();
        let last = format!("/service-{}/users/42?page=7", size - 1);
        for (name, target) in [("first", first), ("last", last), ("none", "/elsewhere".to_owned())] {
            let fields = [Field { name: b"host", value: b"www.example.com" }];
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| table.find(&black_box(get(&target, &fields)), ListenerIndex(0)));
            });
        }
    }
    group.finish();
}

fn get<'a>(target: &'a str, fields: &'a [Field<'a>]) -> RequestHead<'a> {
    RequestHead { method: b"GET", authority: b"www.example.com", target: target.as_bytes(), fields }
}

/// The route `/service-N/*` of every host.
fn numbered(number: usize) -> Route {
    let path = PathPattern::Prefix(format!("/service-{number}/").into());
    Route {
        name: format!("/service-{number}/*").into(),
        matcher: Matcher { host: HostPattern::Any, path, ..Matcher::default() },
        action: Action::Respond { status: 200, body: Bytes::new() },
        request_edits: Edits::default().into(),
        response_edits: Edits::default().into(),
        timeouts: Timeouts::default(),
        rate_limit: None,
        in_flight_max: None,
        limits: MessageLimits::default(),
    }
}
