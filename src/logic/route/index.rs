//! How a route is found among thousands: by host, then by the length of its path.

use std::collections::BTreeMap;

use super::{HostPattern, Matcher, PathPattern, Route, RouteIndex};

/// Bytes of the longest host name that DNS can hold (RFC 1035, 2.3.4). A longer one matches no pattern of hosts.
const HOST_BYTES_MAX: usize = 255;

/// What a route's remaining conditions say of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Match,
    WrongMethod,
    Mismatch,
}

/// Routes by host.
#[derive(Debug, Clone, Default)]
pub(super) struct HostIndex {
    exact: Sorted<PathIndex>,
    /// By what follows the first label, with its leading dot.
    suffix: Sorted<PathIndex>,
    any: PathIndex,
}

impl HostIndex {
    /// Indexes a table's routes, which are already ordered by how specific they are.
    pub(super) fn new(routes: &[Route]) -> Self {
        let (mut exact, mut suffix, mut any) = (BTreeMap::new(), BTreeMap::new(), PathMap::default());
        for (route, place) in routes.iter().zip((0..).map(RouteIndex)) {
            let paths = match &route.matcher.host {
                HostPattern::Exact(host) => exact.entry(key(host)).or_default(),
                HostPattern::Suffix(host) => suffix.entry(key(host)).or_default(),
                HostPattern::Any => &mut any,
            };
            paths.insert(&route.matcher.path, place);
        }
        Self { exact: finish_all(exact), suffix: finish_all(suffix), any: any.finish() }
    }

    /// The first route, from the most to the least specific host and path, that `accept` takes.
    pub(super) fn search(
        &self,
        host: &[u8],
        path: &[u8],
        mut accept: impl FnMut(RouteIndex) -> bool,
    ) -> Option<RouteIndex> {
        let mut buffer = [0; HOST_BYTES_MAX];
        let host = if self.names_hosts() { lower(host, &mut buffer) } else { b"" };
        let label_end = memchr::memchr(b'.', host).filter(|at| *at > 0);
        let exact = self.exact.get(host);
        let suffix = label_end.and_then(|at| self.suffix.get(&host[at..]));
        [exact, suffix, Some(&self.any)]
            .into_iter()
            .flatten()
            .find_map(|paths| paths.search(path, &mut accept))
    }

    /// The routes with this host and path.
    pub(super) fn beside(&self, matcher: &Matcher) -> &[RouteIndex] {
        let paths = match &matcher.host {
            HostPattern::Exact(host) => self.exact.get(host.as_bytes()),
            HostPattern::Suffix(host) => self.suffix.get(host.as_bytes()),
            HostPattern::Any => Some(&self.any),
        };
        paths.map_or(&[], |paths| paths.beside(&matcher.path))
    }

    fn names_hosts(&self) -> bool {
        !self.exact.0.is_empty() || !self.suffix.0.is_empty()
    }
}

/// The host in lower case and without one trailing dot; empty where it is too long to be one.
fn lower<'a>(host: &[u8], buffer: &'a mut [u8; HOST_BYTES_MAX]) -> &'a [u8] {
    let host = host.strip_suffix(b".").unwrap_or(host);
    let Some(copy) = buffer.get_mut(..host.len()) else { return b"" };
    copy.copy_from_slice(host);
    copy.make_ascii_lowercase();
    copy
}

/// Routes of one host, by path.
#[derive(Debug, Clone, Default)]
struct PathIndex {
    exact: Sorted<Vec<RouteIndex>>,
    /// Longest first. Only lengths that some route has are ever looked at, so a path with thousands of slashes
    /// costs no more than another.
    prefixes: Vec<PrefixesOfLength>,
}

/// Prefixes of one length, without their trailing slash.
#[derive(Debug, Clone)]
struct PrefixesOfLength {
    length: usize,
    routes: Sorted<Vec<RouteIndex>>,
}

impl PathIndex {
    fn search(&self, path: &[u8], accept: &mut impl FnMut(RouteIndex) -> bool) -> Option<RouteIndex> {
        let mut first =
            |routes: Option<&Vec<RouteIndex>>| routes?.iter().copied().find(|route| accept(*route));
        if let Some(found) = first(self.exact.get(path)) {
            return Some(found);
        }
        self.prefixes.iter().find_map(|prefixes| first(prefixes.get(path)))
    }

    fn beside(&self, path: &PathPattern) -> &[RouteIndex] {
        let routes = match path {
            PathPattern::Exact(path) => self.exact.get(path.as_bytes()),
            PathPattern::Prefix(path) => {
                let prefix = path.trim_end_matches('/').as_bytes();
                let same = self.prefixes.iter().find(|prefixes| prefixes.length == prefix.len());
                same.and_then(|prefixes| prefixes.routes.get(prefix))
            }
        };
        routes.map_or(&[], Vec::as_slice)
    }
}

impl PrefixesOfLength {
    /// The routes whose prefix this path has, ending where a segment ends.
    fn get(&self, path: &[u8]) -> Option<&Vec<RouteIndex>> {
        let (prefix, rest) = path.split_at_checked(self.length)?;
        if rest.first().is_some_and(|byte| *byte != b'/') {
            return None;
        }
        self.routes.get(prefix)
    }
}

/// A map that never changes: sorted keys, binary search. For the few keys that most tables have it is one or two
/// comparisons, and it hashes nothing.
#[derive(Debug, Clone)]
struct Sorted<V>(Vec<(Box<[u8]>, V)>);

impl<V> Default for Sorted<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> Sorted<V> {
    fn get(&self, key: &[u8]) -> Option<&V> {
        let at = self.0.binary_search_by(|(one, _)| (**one).cmp(key)).ok()?;
        Some(&self.0[at].1)
    }
}

impl<V> FromIterator<(Box<[u8]>, V)> for Sorted<V> {
    /// Takes entries in ascending order.
    fn from_iter<I: IntoIterator<Item = (Box<[u8]>, V)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

/// A [`PathIndex`] in the making.
#[derive(Default)]
struct PathMap {
    exact: BTreeMap<Box<[u8]>, Vec<RouteIndex>>,
    prefixes: BTreeMap<usize, BTreeMap<Box<[u8]>, Vec<RouteIndex>>>,
}

impl PathMap {
    fn insert(&mut self, path: &PathPattern, route: RouteIndex) {
        let routes = match path {
            PathPattern::Exact(path) => self.exact.entry(key(path)).or_default(),
            PathPattern::Prefix(path) => {
                let prefix = key(path.trim_end_matches('/'));
                self.prefixes.entry(prefix.len()).or_default().entry(prefix).or_default()
            }
        };
        routes.push(route);
    }

    fn finish(self) -> PathIndex {
        let of_length = |(length, routes): (usize, BTreeMap<_, _>)| PrefixesOfLength {
            length,
            routes: routes.into_iter().collect(),
        };
        PathIndex {
            exact: self.exact.into_iter().collect(),
            prefixes: self.prefixes.into_iter().rev().map(of_length).collect(),
        }
    }
}

fn finish_all(hosts: BTreeMap<Box<[u8]>, PathMap>) -> Sorted<PathIndex> {
    hosts.into_iter().map(|(host, paths)| (host, paths.finish())).collect()
}

fn key(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}
