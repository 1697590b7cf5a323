//! Where a name leads: exact names before `*.` and `*`, and of the same pattern those that ask for a protocol first.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::hello::{Hello, Opening};
use crate::logic::fault::Fault;
use crate::logic::route::HostPattern;

/// One entry of `tls_routes`. `T` is what a backend is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRoute<T> {
    /// Which names.
    pub name: HostPattern,
    /// Of these protocols the client must offer one; empty is any.
    pub protocols: Vec<Box<str>>,
    /// Where it leads.
    pub backend: T,
}

/// The names of one listener, and what has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTable<T> {
    exact: BTreeMap<Box<[u8]>, Vec<Way<T>>>,
    /// By what follows the first label, with its leading dot.
    suffix: BTreeMap<Box<[u8]>, Vec<Way<T>>>,
    any: Vec<Way<T>>,
    /// For a connection that no route takes, TLS or not; `None` refuses it.
    default: Option<T>,
}

/// What a name leads to, on its conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way<T> {
    /// What logs and metrics call it: the pattern of the name.
    route: Arc<str>,
    protocols: Vec<Box<str>>,
    backend: T,
}

/// Where a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Led<'a, T> {
    /// The name's pattern; `None` where the default took it.
    pub route: Option<&'a Arc<str>>,
    /// Where to.
    pub backend: &'a T,
}

impl<T> NameTable<T> {
    /// Of routes in the order of the file, and the backend of the rest.
    pub fn new(routes: Vec<NameRoute<T>>, default: Option<T>) -> Self {
        let mut table = Self { exact: BTreeMap::new(), suffix: BTreeMap::new(), any: Vec::new(), default };
        for NameRoute { name, protocols, backend } in routes {
            let route = if name == HostPattern::Any { "*".into() } else { name.to_string().into() };
            let way = Way { route, protocols, backend };
            match name {
                HostPattern::Any => table.any.push(way),
                HostPattern::Exact(name) => table.exact.entry(key(&name)).or_default().push(way),
                HostPattern::Suffix(name) => table.suffix.entry(key(&name)).or_default().push(way),
            }
        }
        let all = table.exact.values_mut().chain(table.suffix.values_mut()).chain([&mut table.any]);
        // A stable sort: the order of the file stands within each half.
        all.for_each(|ways| ways.sort_by_key(|way| way.protocols.is_empty()));
        table
    }

    /// Where a connection that begins so is led.
    ///
    /// # Errors
    /// [`Fault::NoRoute`] for a hello that nothing takes, [`Fault::BadHello`] for what is no hello and has no default.
    pub fn find(&self, opening: &Opening) -> Result<Led<'_, T>, Fault> {
        let (found, fault) = match opening {
            Opening::Tls(hello) => (self.way(hello), Fault::NoRoute),
            Opening::Other => (None, Fault::BadHello),
        };
        let led = found.map(|way| Led { route: Some(&way.route), backend: &way.backend });
        let default = || self.default.as_ref().map(|backend| Led { route: None, backend });
        led.or_else(default).ok_or(fault)
    }

    fn way(&self, hello: &Hello) -> Option<&Way<T>> {
        let name = hello.name.as_deref();
        let dot = name.and_then(|name| memchr::memchr(b'.', name)).filter(|&at| at > 0);
        let exact = name.and_then(|name| self.exact.get(name));
        let suffix = name.zip(dot).and_then(|(name, dot)| self.suffix.get(&name[dot..]));
        let groups = [exact, suffix, Some(&self.any)];
        groups.into_iter().flatten().flatten().find(|way| way.takes(hello))
    }

    /// The same table, with backends known by something else.
    pub fn map<U>(&self, to: impl Fn(&T) -> U) -> NameTable<U> {
        let ways = |ways: &Vec<Way<T>>| ways.iter().map(|way| way.map(&to)).collect::<Vec<_>>();
        let group = |group: &BTreeMap<Box<[u8]>, Vec<Way<T>>>| {
            group.iter().map(|(name, all)| (name.clone(), ways(all))).collect()
        };
        NameTable {
            exact: group(&self.exact),
            suffix: group(&self.suffix),
            any: ways(&self.any),
            default: self.default.as_ref().map(&to),
        }
    }

    /// What connections lead to that no route takes.
    pub fn default(&self) -> Option<&T> {
        self.default.as_ref()
    }

    /// Pattern of the name, protocols and backend of each route: exact names, then suffixes, then the rest.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &[Box<str>], &T)> {
        let named = self.exact.values().chain(self.suffix.values()).chain([&self.any]).flatten();
        named.map(|way| (&*way.route, &way.protocols[..], &way.backend))
    }
}

impl<T> Way<T> {
    fn takes(&self, hello: &Hello) -> bool {
        let offered = |one: &str| hello.protocols.iter().any(|offered| **offered == *one.as_bytes());
        self.protocols.is_empty() || self.protocols.iter().any(|one| offered(one))
    }

    fn map<U>(&self, to: impl Fn(&T) -> U) -> Way<U> {
        let Self { route, protocols, backend } = self;
        Way { route: Arc::clone(route), protocols: protocols.clone(), backend: to(backend) }
    }
}

fn key(name: &str) -> Box<[u8]> {
    name.as_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, protocols: &[&str], backend: u32) -> NameRoute<u32> {
        let name = match name.strip_prefix('*') {
            Some("") => HostPattern::Any,
            Some(suffix) => HostPattern::Suffix(suffix.into()),
            None => HostPattern::Exact(name.into()),
        };
        NameRoute { name, protocols: protocols.iter().map(|&one| one.into()).collect(), backend }
    }

    fn hello(name: Option<&str>, protocols: &[&str]) -> Opening {
        Opening::Tls(Hello {
            name: name.map(|name| name.as_bytes().into()),
            protocols: protocols.iter().map(|one| one.as_bytes().into()).collect(),
        })
    }

    fn table(default: Option<u32>) -> NameTable<u32> {
        let routes = vec![
            route("*", &["acme-tls/1"], 1),
            route("*.example.com", &[], 2),
            route("db.example.com", &[], 3),
            route("db.example.com", &["postgresql", "h2"], 4),
        ];
        NameTable::new(routes, default)
    }

    #[test]
    fn the_most_specific_takes_it() {
        let table = table(Some(9));
        let led =
            |name: Option<&str>, protocols: &[&str]| *table.find(&hello(name, protocols)).unwrap().backend;
        assert_eq!(led(Some("db.example.com"), &[]), 3);
        assert_eq!(led(Some("db.example.com"), &["http/1.1", "postgresql"]), 4);
        assert_eq!(led(Some("www.example.com"), &[]), 2);
        assert_eq!(led(Some("www.example.com"), &["acme-tls/1"]), 2, "a name goes before a protocol");
        assert_eq!(led(Some("a.b.example.com"), &["acme-tls/1"]), 1, "a `*` is one label");
        assert_eq!(led(Some("a.b.example.com"), &[]), 9);
        assert_eq!(led(Some("example.com"), &[]), 9);
        assert_eq!(led(Some(".example.com"), &[]), 9);
        assert_eq!(led(None, &["acme-tls/1"]), 1);
        assert_eq!(led(None, &[]), 9);
    }

    #[test]
    fn without_a_default_the_rest_is_refused() {
        let table = table(None);
        assert_eq!(table.find(&hello(Some("other.org"), &[])), Err(Fault::NoRoute));
        assert_eq!(table.find(&hello(None, &[])), Err(Fault::NoRoute));
        assert_eq!(table.find(&Opening::Other), Err(Fault::BadHello));
        assert_eq!(*self::table(Some(9)).find(&Opening::Other).unwrap().backend, 9);
    }

    #[test]
    fn routes_are_called_by_their_names() {
        let table = table(Some(9)).map(|backend| backend * 10);
        let led = |name: &str| table.find(&hello(Some(name), &[])).unwrap();
        assert_eq!(led("x.example.com").route.map(|route| &**route), Some("*.example.com"));
        assert_eq!((led("other.org").route, *led("other.org").backend), (None, 90));
        assert_eq!(
            table.routes().next(),
            Some(("db.example.com", &["postgresql".into(), "h2".into()][..], &40))
        );
    }
}
