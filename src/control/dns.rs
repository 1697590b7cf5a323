//! Names to addresses, by the system's resolver.
//!
//! The system's resolver (`getaddrinfo`) obeys /etc/hosts, nsswitch and search domains, as an operator expects,
//! but blocks a thread for as long as it likes. So the wait is bounded here, and the number of threads that may
//! hang in it too: a lookup that was given up keeps its place until the resolver lets go of it.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::logic::limits::{ADDRESSES_PER_NAME_MAX, LOOKUP_TIMEOUT, LOOKUPS_AT_ONCE};

/// A name and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The host name.
    pub host: Box<str>,
    /// The port of the node.
    pub port: u16,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What came of a lookup: addresses, sorted, each once, at least one; or why there is none, in words for a person.
pub type Answer = Result<Vec<SocketAddr>, Arc<str>>;

type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Looks names up. Cheap to clone; clones share the limit.
#[derive(Clone)]
pub struct Resolver {
    look: Arc<dyn Fn(Name) -> Looking + Send + Sync>,
    places: Arc<Semaphore>,
    timeout: Duration,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new(
            |name| async move { Ok(tokio::net::lookup_host((&*name.host, name.port)).await?.collect()) },
            LOOKUP_TIMEOUT,
        )
    }
}

impl Resolver {
    /// One that asks `look`, and waits for it no longer than `timeout`.
    pub fn new<F>(look: impl Fn(Name) -> F + Send + Sync + 'static, timeout: Duration) -> Self
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        let look = Arc::new(move |name| Box::pin(look(name)) as Looking);
        Self { look, places: Arc::new(Semaphore::new(LOOKUPS_AT_ONCE)), timeout }
    }

    /// The addresses of one name.
    pub async fn resolve(&self, name: Name) -> Answer {
        let text = name.to_string();
        let places = Arc::clone(&self.places);
        let look = Arc::clone(&self.look);
        // A task of its own: when we stop waiting, it goes on, and its place is taken until it is over.
        let lookup = tokio::spawn(async move {
            let _place = places.acquire_owned().await;
            look(name).await
        });
        match tokio::time::timeout(self.timeout, lookup).await {
            Ok(Ok(Ok(addresses))) => tidy(addresses, &text),
            Ok(Ok(Err(error))) => Err(failure(&text, &error.to_string())),
            Ok(Err(panic)) => Err(failure(&text, &panic.to_string())),
            Err(_) => Err(failure(&text, &format!("no answer within {} ms", self.timeout.as_millis()))),
        }
    }
}

/// Sorted, so that an answer in another order is the same answer.
fn tidy(mut addresses: Vec<SocketAddr>, name: &str) -> Answer {
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(ADDRESSES_PER_NAME_MAX);
    if addresses.is_empty() { Err(failure(name, "it has no address")) } else { Ok(addresses) }
}

fn failure(name: &str, why: &str) -> Arc<str> {
    format!("{name} does not resolve ({why}); it is tried again").into()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    fn name(host: &str) -> Name {
        Name { host: host.into(), port: 80 }
    }

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 80))
    }

    #[tokio::test]
    async fn localhost_resolves_by_the_system() {
        let answer =
            Resolver::default().resolve(Name { host: "localhost".into(), port: 8080 }).await.unwrap();
        assert!(answer.iter().all(|address| address.ip().is_loopback() && address.port() == 8080));
        assert!(!answer.is_empty());
    }

    #[tokio::test]
    async fn addresses_are_sorted_and_each_is_there_once() {
        let look = |_| async { Ok(vec![address(3), address(1), address(3), address(2)]) };
        let answer = Resolver::new(look, LOOKUP_TIMEOUT).resolve(name("a")).await;
        assert_eq!(answer.unwrap(), [address(1), address(2), address(3)]);
    }

    #[tokio::test]
    async fn an_empty_answer_and_an_error_say_which_name_and_why() {
        let empty = Resolver::new(|_| async { Ok(Vec::new()) }, LOOKUP_TIMEOUT).resolve(name("a")).await;
        assert_eq!(&*empty.unwrap_err(), "a:80 does not resolve (it has no address); it is tried again");
        let look = |_| async { Err(io::Error::other("server failure")) };
        let failed = Resolver::new(look, LOOKUP_TIMEOUT).resolve(name("b")).await;
        assert_eq!(&*failed.unwrap_err(), "b:80 does not resolve (server failure); it is tried again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_hangs_is_given_up_and_keeps_its_place() {
        let running = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&running);
        let look = move |_| {
            count.fetch_add(1, SeqCst);
            std::future::pending()
        };
        let resolver = Resolver::new(look, Duration::from_secs(2));
        for _ in 0..LOOKUPS_AT_ONCE + 3 {
            let reason = resolver.resolve(name("a")).await.unwrap_err();
            assert!(reason.contains("no answer within 2000 ms"), "{reason}");
        }
        assert_eq!(running.load(SeqCst), LOOKUPS_AT_ONCE);
    }
}
