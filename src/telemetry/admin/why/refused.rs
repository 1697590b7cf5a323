//! Why routes that are more specific did not take a request: found out by the table itself, which is asked again without
//! one condition after the other.

use serde_json::{Value, json};

use crate::logic::message::RequestHead;
use crate::logic::route::{Found, HostPattern, ListenerIndex, Matcher, PathPattern, Route, RouteTable};
use crate::shared::snapshot::Snapshot;

/// Routes that are told of; a configuration can have thousands.
const SHOWN_MAX: usize = 50;

/// The routes before `taken`, or all where none took it.
pub(super) fn passed_over(
    snapshot: &Snapshot,
    head: &RequestHead<'_>,
    listener: ListenerIndex,
    taken: Option<&Route>,
) -> Value {
    let before = snapshot
        .routes
        .iter()
        .map(|(_, route)| route)
        .take_while(|route| taken.is_none_or(|taken| taken.name != route.name));
    before
        .take(SHOWN_MAX)
        .map(|route| json!({ "route": &*route.name, "why": why_not(route, head, listener) }))
        .collect()
}

/// The first condition in its way, in the order in which they weigh.
fn why_not(route: &Route, head: &RequestHead<'_>, listener: ListenerIndex) -> &'static str {
    type Relax = fn(&mut Matcher);
    let steps: [(Relax, &str); 5] = [
        (|matcher| matcher.methods.clear(), "the method is another"),
        (|matcher| matcher.fields.clear(), "a header condition does not hold"),
        (|matcher| matcher.listeners = None, "it is for other listeners"),
        (|matcher| matcher.path = PathPattern::default(), "the path is another"),
        (|matcher| matcher.host = HostPattern::Any, "the host is another"),
    ];
    let mut relaxed = route.clone();
    for (relax, why) in steps {
        relax(&mut relaxed.matcher);
        if matches!(RouteTable::new(vec![relaxed.clone()]).find(head, listener), Found::Route(_)) {
            return why;
        }
    }
    "a route of the same kind comes first"
}
