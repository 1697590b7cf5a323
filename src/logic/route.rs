//! Which route a request takes: host, then longest path, then more conditions, then file order.
//!
//! [`RouteTable`] is built once from finished settings and never changes; [`RouteTable::find`] allocates nothing.

mod index;
mod redirect;
mod rewrite;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;

use self::index::{HostIndex, Seen};
use super::limits::{HEAD_BYTES_CEILING, MessageLimits, Timeouts};
use super::message::{self, RequestHead};
use super::path::{self, Ambiguous};
use super::rate_limit::RateLimit;

pub use redirect::redirect_location;
pub use rewrite::rewrite_target;

/// Place of a backend in the snapshot that the table came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BackendIndex(pub u16);

/// Place of a listener in the snapshot that the table came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerIndex(pub u16);

/// Place of a route in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RouteIndex(pub u16);

/// A route, finished: what it matches, what it does, and under which limits.
#[derive(Debug, Clone)]
pub struct Route {
    /// What logs and metrics call it, e.g. `*.example.com/api/*`. Unique in its table.
    pub name: Arc<str>,
    /// Which requests it takes.
    pub matcher: Matcher,
    /// What happens to them.
    pub action: Action,
    /// Edits of the request's fields on the way to the node.
    pub request_edits: Arc<Edits>,
    /// Edits of the response's fields on the way to the client.
    pub response_edits: Arc<Edits>,
    /// The global timeouts with the route's own put over them.
    pub timeouts: Timeouts,
    /// How many requests are let through in time; `None` is no limit.
    pub rate_limit: Option<RateLimit>,
    /// Requests of this route that may be in flight at once; `None` is no limit.
    pub in_flight_max: Option<NonZeroU32>,
    /// The global limits (a place for a route's own).
    pub limits: MessageLimits,
}

/// The conditions of a route. All must hold.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    /// Which hosts.
    pub host: HostPattern,
    /// Which paths.
    pub path: PathPattern,
    /// Which methods; empty is any.
    pub methods: Vec<Box<str>>,
    /// Fields that must be present with exactly this value; names in lower case.
    pub fields: Vec<(Box<str>, Box<str>)>,
    /// Which listeners; `None` is every http listener.
    pub listeners: Option<Vec<ListenerIndex>>,
}

/// A pattern of hosts, in lower case and without a port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Every host, and requests without one.
    #[default]
    Any,
    /// This host alone.
    Exact(Box<str>),
    /// `*.example.com`: one more label before this suffix (kept with its leading dot).
    Suffix(Box<str>),
}

/// A pattern of normalised paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// This path alone.
    Exact(Box<str>),
    /// `/api/*` is kept as `/api/`, and matches `/api` too; `/*` as `/`.
    Prefix(Box<str>),
}

impl Default for PathPattern {
    fn default() -> Self {
        Self::Prefix("/".into())
    }
}

/// What a route does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Sends the request to a node of this backend.
    Forward {
        /// Which backend.
        backend: BackendIndex,
        /// How the target and the authority change on the way.
        rewrite: Rewrite,
    },
    /// Answers with a redirect.
    Redirect {
        /// Where to: `{path}`, `{query}` (with its `?`), `{host}` are replaced.
        to: Box<str>,
        /// 301, 302, 303, 307 or 308.
        status: u16,
    },
    /// Answers by itself.
    Respond {
        /// `200..=599`.
        status: u16,
        /// `text/plain` unless the response edits set a content-type.
        body: Bytes,
    },
}

/// Changes of the target and the authority.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// Removed from the front of the path where the path starts with it.
    pub strip_prefix: Option<Box<str>>,
    /// Put before the path, after stripping.
    pub add_prefix: Option<Box<str>>,
    /// Sent as `Host` in place of the client's.
    pub host: Option<Box<str>>,
}

/// Edits of header fields: remove, then set, then add. Names and values were checked when the file was read:
/// no hop-by-hop field, no framing field, no control byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// Names (lower case) of fields that go.
    pub remove: Vec<Box<str>>,
    /// Fields that replace all of their name.
    pub set: Vec<(Box<str>, Box<str>)>,
    /// Fields that join those of their name.
    pub add: Vec<(Box<str>, Box<str>)>,
}

impl Edits {
    /// Does it remove or replace any field?
    pub fn replaces_any(&self) -> bool {
        !self.remove.is_empty() || !self.set.is_empty()
    }

    /// Is a field of this name removed, or replaced? Then neither what was received goes on, nor what the balancer would
    /// write by itself.
    pub fn replaces(&self, name: &[u8]) -> bool {
        let is = |other: &str| other.as_bytes().eq_ignore_ascii_case(name);
        self.remove.iter().any(|other| is(other)) || self.set.iter().any(|(other, _)| is(other))
    }
}

/// All routes, ordered so that the first match is the most specific one.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    /// By route: the methods that routes of the same host and path take.
    allow: Vec<Box<str>>,
    index: HostIndex,
}

/// What a request's head leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// This route.
    Route(RouteIndex),
    /// Routes match but for their methods: the answer is 405, with [`RouteTable::allow`] of this one.
    WrongMethod(RouteIndex),
    /// Nothing matches.
    Nothing,
    /// The path is ambiguous: see [`super::fault::Fault::AmbiguousPath`].
    AmbiguousPath,
}

/// Paths up to this length are normalised in a small buffer: clearing the large one costs more than the work.
const SHORT_PATH_BYTES: usize = 512;

impl RouteTable {
    /// Orders the routes of a file by how specific they are; equal ones keep the order of the file.
    ///
    /// At most [`super::limits::ROUTES_MAX`] routes, which whoever reads the file has checked.
    pub fn new(mut routes: Vec<Route>) -> Self {
        routes.sort_by_cached_key(|route| std::cmp::Reverse(route.matcher.specificity()));
        let index = HostIndex::new(&routes);
        let allow = routes.iter().map(|route| allow(&routes, &index, route)).collect();
        Self { routes, allow, index }
    }

    /// A route by its place.
    pub fn get(&self, index: RouteIndex) -> &Route {
        &self.routes[usize::from(index.0)]
    }

    /// All of them, most specific first.
    pub fn iter(&self) -> impl Iterator<Item = (RouteIndex, &Route)> {
        (0..).map(RouteIndex).zip(&self.routes)
    }

    /// The value of `allow` in a 405 (RFC 9110, 10.2.1): the methods of all routes with this one's host and path.
    pub fn allow(&self, index: RouteIndex) -> &str {
        &self.allow[usize::from(index.0)]
    }

    /// The route of a request. Allocates nothing, and copies nothing where the path is plain.
    ///
    /// The asterisk-form (`OPTIONS *`) concerns the server as a whole: only routes with the path `/*` take it.
    pub fn find(&self, head: &RequestHead<'_>, listener: ListenerIndex) -> Found {
        match head.path() {
            b"*" => self.lookup(b"", head, listener),
            b"" => self.lookup(b"/", head, listener),
            path if path::is_normal(path) => self.lookup(path, head, listener),
            path if path.len() <= SHORT_PATH_BYTES => {
                self.find_normalised(path, &mut [0; SHORT_PATH_BYTES], head, listener)
            }
            path => self.find_long(path, head, listener),
        }
    }

    /// Apart, so that only its rare callers pay for the large buffer on the stack.
    #[inline(never)]
    fn find_long(&self, path: &[u8], head: &RequestHead<'_>, listener: ListenerIndex) -> Found {
        self.find_normalised(path, &mut [0; HEAD_BYTES_CEILING], head, listener)
    }

    fn find_normalised(
        &self,
        path: &[u8],
        buffer: &mut [u8],
        head: &RequestHead<'_>,
        listener: ListenerIndex,
    ) -> Found {
        let Ok(mut normal) = path::normalise(path, buffer) else { return Found::AmbiguousPath };
        let found = self.lookup(normal.path(), head, listener);
        if normal.escaped_slash {
            normal.open_slashes();
            if self.lookup(normal.path(), head, listener) != found {
                return Found::AmbiguousPath;
            }
        }
        found
    }

    fn lookup(&self, path: &[u8], head: &RequestHead<'_>, listener: ListenerIndex) -> Found {
        let mut wrong_method = None;
        let found = self.index.search(head.host(), path, |route| {
            let seen = self.get(route).matcher.conditions(head, listener);
            if seen == Seen::WrongMethod {
                wrong_method.get_or_insert(route);
            }
            seen == Seen::Match
        });
        match (found, wrong_method) {
            (Some(route), _) => Found::Route(route),
            (None, Some(route)) => Found::WrongMethod(route),
            (None, None) => Found::Nothing,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::Exact(host) => f.write_str(host),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Prefix(path) => write!(f, "{path}*"),
        }
    }
}

/// The methods of every route beside `route`, joined in the order of the table.
fn allow(routes: &[Route], index: &HostIndex, route: &Route) -> Box<str> {
    let mut methods: Vec<&str> = Vec::new();
    for beside in index.beside(&route.matcher) {
        for method in &routes[usize::from(beside.0)].matcher.methods {
            if !methods.contains(&&**method) {
                methods.push(method);
            }
        }
    }
    methods.join(", ").into()
}

impl Matcher {
    /// Larger is more specific: host, then length of the path, exact before a prefix of that length, then how many
    /// conditions there are.
    fn specificity(&self) -> impl Ord + use<> {
        let host = match self.host {
            HostPattern::Exact(_) => 2,
            HostPattern::Suffix(_) => 1,
            HostPattern::Any => 0,
        };
        let (length, exact) = match &self.path {
            PathPattern::Exact(path) => (path.len(), true),
            PathPattern::Prefix(path) => (path.trim_end_matches('/').len(), false),
        };
        let conditions =
            self.fields.len() + usize::from(!self.methods.is_empty()) + usize::from(self.listeners.is_some());
        (host, length, exact, conditions)
    }

    /// Do the conditions beside host and path hold?
    fn conditions(&self, head: &RequestHead<'_>, listener: ListenerIndex) -> Seen {
        let here = self.listeners.as_ref().is_none_or(|listeners| listeners.contains(&listener));
        let has_fields = self.fields.iter().all(|(name, value)| has_field(head, name, value));
        let method = self.methods.is_empty() || self.methods.iter().any(|one| one.as_bytes() == head.method);
        match (here && has_fields, method) {
            (true, true) => Seen::Match,
            (true, false) => Seen::WrongMethod,
            (false, _) => Seen::Mismatch,
        }
    }
}

/// One of the field lines with this name has exactly this value.
fn has_field(head: &RequestHead<'_>, name: &str, value: &str) -> bool {
    let same_name = |field: &&message::Field<'_>| field.name.eq_ignore_ascii_case(name.as_bytes());
    head.fields.iter().filter(same_name).any(|field| field.value == value.as_bytes())
}

impl PathPattern {
    /// Reads `/api`, `/api/*` or `/*`, in any spelling that has a normal form.
    pub fn parse(text: &str) -> Result<Self, Ambiguous> {
        let (path, prefix) = text.strip_suffix('*').map_or((text, false), |path| (path, true));
        if (prefix && !path.ends_with('/')) || path.contains(['*', '?']) {
            return Err(Ambiguous);
        }
        let mut buffer = vec![0; path.len()];
        let normal = path::normalise(path.as_bytes(), &mut buffer)?;
        let path: Box<str> = std::str::from_utf8(normal.path()).map_err(|_| Ambiguous)?.into();
        Ok(if prefix { Self::Prefix(path) } else { Self::Exact(path) })
    }
}

#[cfg(test)]
mod tests;
