//! The registry of nodes: the one writer of the published snapshot.
//!
//! A snapshot is always built whole, from settings, from what names resolve to, and from the snapshot before it,
//! whose nodes live on where they are still wanted, with their counters and connections. What changes the world
//! next (a reload, an answer that differs, a probe) changes one of these three and builds again.

mod build;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::dns::{Answer, Name, Resolver};
use crate::config::Settings;
use crate::config::settings::ServerHost;
use crate::logic::limits::{LOOKUP_RETRY_MAX, LOOKUP_RETRY_MIN};
use crate::shared::snapshot::{Published, Snapshot};

/// What every name of the settings resolved to.
type Answers = HashMap<Name, Answer>;

/// Knows the nodes.
#[derive(Debug)]
pub struct Registry {
    settings: Arc<Settings>,
    resolver: Resolver,
    answers: Answers,
    /// The names without an address, and when each is tried next.
    retries: HashMap<Name, Retry>,
}

#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Instant,
    pause: Duration,
}

/// Makes nodes of all backends. Names are looked up all at once, and waited for no longer than
/// [`LOOKUP_TIMEOUT`](crate::logic::limits::LOOKUP_TIMEOUT); one that does not resolve is a node that is down.
/// Hand both to [`Registry::follow`] and the workers.
pub async fn first_snapshot(settings: Arc<Settings>) -> (Registry, Snapshot) {
    Registry::begin(settings, Resolver::default()).await
}

impl Registry {
    /// As [`first_snapshot`], with a resolver of the caller's choice.
    pub async fn begin(settings: Arc<Settings>, resolver: Resolver) -> (Self, Snapshot) {
        let mut registry = Self { settings, resolver, answers: Answers::new(), retries: HashMap::new() };
        let names = registry.names();
        registry.look_up(names).await;
        let snapshot = build::snapshot(&registry.settings, &registry.answers, None, now_ms());
        (registry, snapshot)
    }

    /// Keeps trying the names that did not resolve, and publishes a new snapshot when one does (or fails for
    /// another reason than before). Returns when there is nothing left to try; until then it runs for as long
    /// as it is polled.
    pub async fn follow(mut self, published: Published) {
        while let Some(at) = self.retries.values().map(|retry| retry.at).min() {
            tokio::time::sleep_until(at).await;
            let due = self.due(Instant::now());
            if self.look_up(due).await {
                let before = published.current();
                published.publish(build::snapshot(&self.settings, &self.answers, Some(&before), now_ms()));
            }
        }
    }

    fn names(&self) -> Vec<Name> {
        let servers = self.settings.backends.iter().flat_map(|backend| &backend.servers);
        let mut names: Vec<_> = servers.filter_map(|server| name_of(&server.host)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn due(&self, now: Instant) -> Vec<Name> {
        self.retries.iter().filter(|(_, retry)| retry.at <= now).map(|(name, _)| name.clone()).collect()
    }

    /// Looks names up, all at once. True where an answer is not what it was.
    async fn look_up(&mut self, names: Vec<Name>) -> bool {
        let mut lookups = JoinSet::new();
        for name in names {
            let resolver = self.resolver.clone();
            lookups.spawn(async move { (name.clone(), resolver.resolve(name).await) });
        }
        let mut changed = false;
        while let Some(Ok((name, answer))) = lookups.join_next().await {
            self.plan(&name, &answer);
            changed |= self.answers.insert(name, answer.clone()).is_none_or(|before| before != answer);
        }
        changed
    }

    /// A name without an address is tried again, each time after twice the pause.
    fn plan(&mut self, name: &Name, answer: &Answer) {
        if answer.is_ok() {
            self.retries.remove(name);
            return;
        }
        let pause = match self.retries.get(name) {
            Some(retry) => (retry.pause * 2).min(LOOKUP_RETRY_MAX),
            None => LOOKUP_RETRY_MIN,
        };
        self.retries.insert(name.clone(), Retry { at: Instant::now() + pause, pause });
    }
}

/// The name of a server that has one.
fn name_of(host: &ServerHost) -> Option<Name> {
    match host {
        ServerHost::Name(host, port) => Some(Name { host: host.clone(), port: *port }),
        ServerHost::Address(_) | ServerHost::Unix(_) => None,
    }
}

/// Milliseconds since the epoch; 0 where the clock stands before it.
fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::sync::Mutex;

    use super::*;
    use crate::config::settings::{BackendSettings, Server};
    use crate::logic::balance::Strategy;
    use crate::logic::limits::LOOKUP_TIMEOUT;
    use crate::shared::node::{NodeAddress, NodeState, Origin};
    use crate::shared::snapshot::Entry;

    pub(super) fn settings(servers: &[ServerHost]) -> Settings {
        let servers = servers.iter().map(|host| Server { host: host.clone(), weight: 3 }).collect();
        let backends = vec![BackendSettings {
            name: "api".into(),
            strategy: Strategy::default(),
            servers,
            fleet: None,
            scale: Default::default(),
        }];
        let whole = "routes: [{ path: /*, servers: [{ url: 'http://127.0.0.1' }] }]";
        Settings { backends, ..crate::config::parse(whole, "test", &|_| None).unwrap() }
    }

    pub(super) fn named(host: &str) -> ServerHost {
        ServerHost::Name(host.into(), 80)
    }

    pub(super) fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    fn entries(snapshot: &Snapshot) -> &[Entry] {
        &snapshot.backends[0].nodes
    }

    /// A resolver that knows what the test says it knows, and writes down when it was asked.
    #[derive(Clone, Default)]
    struct World(Arc<Mutex<Facts>>);

    #[derive(Default)]
    struct Facts {
        known: HashMap<String, Vec<SocketAddr>>,
        asked: Vec<Instant>,
    }

    impl World {
        fn set(&self, host: &str, addresses: &[SocketAddr]) {
            self.0.lock().unwrap().known.insert(host.to_owned(), addresses.to_vec());
        }

        fn asked(&self) -> Vec<Instant> {
            self.0.lock().unwrap().asked.clone()
        }

        fn resolver(&self) -> Resolver {
            let world = self.clone();
            Resolver::new(move |name| std::future::ready(world.answer(&name)), LOOKUP_TIMEOUT)
        }

        fn answer(&self, name: &Name) -> io::Result<Vec<SocketAddr>> {
            let Facts { known, asked } = &mut *self.0.lock().unwrap();
            asked.push(Instant::now());
            known.get(&*name.host).cloned().ok_or_else(|| io::Error::other("unknown"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_resolves_later_becomes_nodes_and_the_others_stay_the_same_nodes() {
        let world = World::default();
        let settings = Arc::new(settings(&[ServerHost::Address(address(1)), named("late")]));
        let (registry, first) = Registry::begin(settings, world.resolver()).await;
        assert_eq!(entries(&first)[1].state, NodeState::Down);
        assert!(
            matches!(&entries(&first)[1].node.address, NodeAddress::Unresolved(name) if **name == *"late:80")
        );
        let kept = Arc::clone(&entries(&first)[0].node);

        let published = Published::new(first);
        let follow = tokio::spawn(registry.follow(published.clone()));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(published.current().version, 1);
        world.set("late", &[address(7), address(8)]);
        // It ends by itself, when nothing is left to try.
        follow.await.unwrap();

        let second = published.current();
        assert_eq!((second.version, second.generation), (2, 1));
        let nodes: Vec<_> =
            entries(&second).iter().map(|entry| (&*entry.node.id, entry.node.origin)).collect();
        let expected = [
            ("api/10.0.0.1:80", Origin::Static),
            ("api/10.0.0.7:80", Origin::Dns),
            ("api/10.0.0.8:80", Origin::Dns),
        ];
        assert_eq!(nodes, expected);
        assert!(Arc::ptr_eq(&entries(&second)[0].node, &kept));
        assert!(entries(&second).iter().all(|entry| entry.state == NodeState::Serving && entry.weight == 3));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_from_one_second_to_thirty() {
        let world = World::default();
        let (registry, first) =
            Registry::begin(Arc::new(settings(&[named("never")])), world.resolver()).await;
        let follow = tokio::spawn(registry.follow(Published::new(first)));
        tokio::time::sleep(Duration::from_secs(125)).await;
        follow.abort();
        let asked = world.asked();
        let pauses: Vec<_> =
            asked.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64().round() as u64).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_hangs_delays_the_start_by_its_timeout_and_no_more() {
        let resolver = Resolver::new(|_| std::future::pending(), LOOKUP_TIMEOUT);
        let before = Instant::now();
        let settings = Arc::new(settings(&[named("a"), named("b"), ServerHost::Address(address(1))]));
        let (_, snapshot) = Registry::begin(settings, resolver).await;
        assert!(before.elapsed() <= LOOKUP_TIMEOUT + Duration::from_millis(10));
        let states: Vec<_> = entries(&snapshot).iter().map(|entry| entry.state).collect();
        assert_eq!(states, [NodeState::Down, NodeState::Down, NodeState::Serving]);
        assert!(
            entries(&snapshot)[0].reason.contains("no answer within"),
            "{}",
            entries(&snapshot)[0].reason
        );
    }

    #[tokio::test]
    async fn settings_without_names_have_nothing_to_follow() {
        let (registry, first) = first_snapshot(Arc::new(settings(&[ServerHost::Address(address(1))]))).await;
        registry.follow(Published::new(first)).await;
    }
}
