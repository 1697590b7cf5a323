use std::collections::HashMap;
mod fleets;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::*;
use crate::config::settings::{BackendSettings, FleetSettings, HealthSettings, ProcessSettings, Server};
use crate::control::autoscaler::{Call, FleetNode, FleetState};
use crate::logic::health::Patience;
use crate::logic::limits::{LOOKUP_INTERVAL, LOOKUP_TIMEOUT};
use crate::logic::outlier::Policy;
use crate::shared::event::events;
use crate::shared::node::{Node, NodeAddress, NodeState, Origin};
use crate::shared::order::{Fault, NodeWish, Outcome, WeightWish, Wish};
use crate::shared::snapshot::Entry;

fn settings(servers: &[ServerHost]) -> Settings {
    with(servers, |_| {})
}

/// Settings of one backend, `api`, changed at will.
fn with(servers: &[ServerHost], change: impl FnOnce(&mut BackendSettings)) -> Settings {
    let server = |host: &ServerHost| Server { host: host.clone(), weight: 3, in_flight_max: None };
    let servers = servers.iter().map(server).collect();
    let mut backend = BackendSettings::new("api".into(), servers);
    change(&mut backend);
    let whole = "routes: [{ path: /*, servers: [{ url: 'http://127.0.0.1' }] }]";
    Settings { backends: vec![backend], ..crate::config::parse(whole, "test", &|_| None).unwrap() }
}

fn named(host: &str) -> ServerHost {
    ServerHost::Name(host.into(), 80)
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 80))
}

fn fixed(last: u8) -> ServerHost {
    ServerHost::Address(address(last))
}

fn entries(snapshot: &Snapshot) -> &[Entry] {
    &snapshot.backends[0].nodes
}

fn states(snapshot: &Snapshot) -> Vec<NodeState> {
    entries(snapshot).iter().map(|entry| entry.state).collect()
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

    fn forget(&self, host: &str) {
        self.0.lock().unwrap().known.remove(host);
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

/// A registry that runs, and all that it is wired to.
struct Rig {
    published: Published,
    orders: mpsc::Sender<Order>,
    events: crossbeam_channel::Receiver<Event>,
    in_force: watch::Receiver<InForce>,
    running: JoinHandle<()>,
    table: watch::Sender<FleetTable>,
    fleet_ordered: mpsc::Receiver<Order>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Rig {
    async fn start(settings: Settings, resolver: Resolver) -> Self {
        Self::reloading(settings, resolver, None).await
    }

    async fn reloading(settings: Settings, resolver: Resolver, load: Option<Load>) -> Self {
        let settings = Arc::new(settings);
        let (registry, first) = Registry::begin(Arc::clone(&settings), resolver).await;
        let published = Published::new(first);
        let (orders, received) = mpsc::channel(4);
        let (sender, events) = events();
        let (tell, in_force) = watch::channel(InForce { settings, reloaded_ms: None, last: None });
        let (table, fleets) = watch::channel(FleetTable::new());
        let (fleet_orders, fleet_ordered) = mpsc::channel(4);
        let wiring = Wiring {
            published: published.clone(),
            orders: received,
            events: sender,
            load,
            in_force: tell,
            fleets,
            fleet_orders,
            workers: Vec::new(),
        };
        let running = tokio::spawn(registry.run(wiring));
        Self { published, orders, events, in_force, running, table, fleet_ordered }
    }

    async fn order(&self, wish: Wish) -> Outcome {
        let (tell, told) = tokio::sync::oneshot::channel();
        let answer = Box::new(move |outcome| tell.send(outcome).unwrap());
        self.orders.send(Order { wish, answer }).await.unwrap();
        told.await.unwrap()
    }

    async fn set(&self, node: &str, state: Option<NodeWish>, weight: Option<u32>) -> Outcome {
        let weight = weight.map(WeightWish::Of);
        self.order(Wish::SetNode { node: node.into(), state, weight }).await
    }

    fn states(&self) -> Vec<NodeState> {
        states(&self.published.current())
    }

    fn node(&self, at: usize) -> Arc<Node> {
        Arc::clone(&entries(&self.published.current())[at].node)
    }

    fn reason(&self, at: usize) -> Arc<str> {
        Arc::clone(&entries(&self.published.current())[at].reason)
    }

    async fn wait(&self, what: &str, condition: impl Fn(&Snapshot) -> bool) {
        for _ in 0..8000 {
            if condition(&self.published.current()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never happened: {what}: {:?}", self.published.current().backends);
    }

    fn told(&self) -> String {
        self.events.try_iter().map(|event| event.text + "\n").collect()
    }
}

fn known() -> Resolver {
    World::default().resolver()
}

// ---- names

#[tokio::test(start_paused = true)]
async fn addresses_sockets_and_names_become_nodes_in_the_order_of_the_file() {
    let world = World::default();
    world.set("db", &[address(1), address(2)]);
    let unix = ServerHost::Unix(PathBuf::from("/run/x.sock"));
    let settings = settings(&[named("db"), fixed(9), unix]);
    let (_, snapshot) = Registry::begin(Arc::new(settings), world.resolver()).await;
    let ids: Vec<_> = entries(&snapshot).iter().map(|entry| &*entry.node.id).collect();
    assert_eq!(ids, ["api/10.0.0.1:80", "api/10.0.0.2:80", "api/10.0.0.9:80", "api/unix:/run/x.sock"]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_there_twice_is_one_node() {
    let world = World::default();
    world.set("a", &[address(1), address(2)]);
    world.set("b", &[address(2)]);
    let settings = settings(&[fixed(1), named("a"), named("b")]);
    let (_, snapshot) = Registry::begin(Arc::new(settings), world.resolver()).await;
    assert_eq!(entries(&snapshot).len(), 2);
    assert_eq!(entries(&snapshot)[0].node.origin, Origin::Static);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_resolves_later_becomes_nodes_and_the_others_stay_the_same_nodes() {
    let world = World::default();
    let rig = Rig::start(settings(&[fixed(1), named("late")]), world.resolver()).await;
    assert_eq!(rig.states(), [NodeState::Serving, NodeState::Down]);
    assert!(matches!(&rig.node(1).address, NodeAddress::Unresolved(name) if **name == *"late:80"));
    let kept = rig.node(0);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.published.current().version, 1, "nothing changed");
    world.set("late", &[address(7), address(8)]);
    rig.wait("three nodes", |snapshot| entries(snapshot).len() == 3).await;
    let second = rig.published.current();
    assert_eq!((second.version, second.generation), (2, 1));
    let nodes: Vec<_> = entries(&second).iter().map(|entry| (&*entry.node.id, entry.node.origin)).collect();
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
    let _rig = Rig::start(settings(&[named("never")]), world.resolver()).await;
    tokio::time::sleep(Duration::from_secs(125)).await;
    let asked = world.asked();
    let pauses: Vec<_> =
        asked.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64().round() as u64).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_hangs_delays_the_start_by_its_timeout_and_no_more() {
    let resolver = Resolver::new(|_| std::future::pending(), LOOKUP_TIMEOUT);
    let before = Instant::now();
    let settings = Arc::new(settings(&[named("a"), named("b"), fixed(1)]));
    let (_, snapshot) = Registry::begin(settings, resolver).await;
    assert!(before.elapsed() <= LOOKUP_TIMEOUT + Duration::from_millis(10));
    assert_eq!(states(&snapshot), [NodeState::Down, NodeState::Down, NodeState::Serving]);
    assert!(entries(&snapshot)[0].reason.contains("no answer within"), "{}", entries(&snapshot)[0].reason);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_a_name_leads_to_no_more_drains_and_then_goes() {
    let world = World::default();
    world.set("db", &[address(1), address(2)]);
    let rig = Rig::start(settings(&[named("db")]), world.resolver()).await;
    let (leaving, kept) = (rig.node(0), rig.node(1));
    leaving.begin();
    world.set("db", &[address(2), address(3)]);
    rig.wait("the new address", |snapshot| entries(snapshot).len() == 3).await;
    assert_eq!(rig.states(), [NodeState::Serving, NodeState::Serving, NodeState::Draining]);
    assert!(Arc::ptr_eq(&rig.node(0), &kept) && Arc::ptr_eq(&rig.node(2), &leaving));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.states().len(), 3, "it has a request in flight");
    leaving.end();
    rig.wait("the old one gone", |snapshot| entries(snapshot).len() == 2).await;
    assert!(rig.told().contains("api/10.0.0.1:80 is gone: its name does not lead there any more"));
}

#[tokio::test(start_paused = true)]
async fn the_last_good_answer_stays_where_the_resolver_fails_and_that_is_told() {
    let world = World::default();
    world.set("db", &[address(1)]);
    let rig = Rig::start(settings(&[named("db")]), world.resolver()).await;
    world.forget("db");
    tokio::time::sleep(LOOKUP_INTERVAL * 4).await;
    assert!(world.asked().len() > 3);
    assert_eq!(rig.states(), [NodeState::Serving]);
    let told = rig.told();
    assert_eq!(told.matches("its last addresses stay").count(), 1, "{told}");
    world.set("db", &[address(2)]);
    rig.wait("the new address", |snapshot| *entries(snapshot)[0].node.id == *"api/10.0.0.2:80").await;
}

// ---- operators

#[tokio::test(start_paused = true)]
async fn states_and_weights_are_set_by_hand_and_taken_back() {
    let rig = Rig::start(settings(&[fixed(1), fixed(2)]), known()).await;
    let said = rig.set("api/10.0.0.1:80", Some(NodeWish::Drain), Some(7)).await.unwrap();
    assert!(said.contains("takes no new requests; 0 in flight finish, and has the weight 7"), "{said}");
    // Whoever has the answer sees what it says.
    assert_eq!(rig.states(), [NodeState::Draining, NodeState::Serving]);
    assert_eq!(entries(&rig.published.current())[0].weight, 7);
    rig.set("api/10.0.0.2:80", Some(NodeWish::Down), None).await.unwrap();
    assert_eq!(rig.states(), [NodeState::Draining, NodeState::Down]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.states().len(), 2, "a drained node stays in the table");
    rig.set("api/10.0.0.1:80", Some(NodeWish::Ready), None).await.unwrap();
    assert_eq!(rig.states(), [NodeState::Serving, NodeState::Down]);
    assert_eq!(entries(&rig.published.current())[0].weight, 7);
    let own =
        Wish::SetNode { node: "api/10.0.0.1:80".into(), state: None, weight: Some(WeightWish::OfTheFile) };
    assert_eq!(rig.order(own).await.unwrap(), "node api/10.0.0.1:80 has its own weight again, 3");
    assert_eq!(entries(&rig.published.current())[0].weight, 3);
    assert!(rig.told().contains("node api/10.0.0.2:80 is down (was serving): taken down by an operator"));
}

#[tokio::test(start_paused = true)]
async fn orders_that_make_no_sense_are_refused_with_whose_fault_it_is() {
    let rig = Rig::start(settings(&[fixed(1)]), known()).await;
    let fault = |outcome: Outcome| outcome.map_err(|refused| (refused.fault, refused.code)).unwrap_err();
    let id = "api/10.0.0.1:80";
    assert_eq!(fault(rig.set("api/nobody", None, Some(1)).await), (Fault::Unknown, "no_such_node"));
    assert_eq!(fault(rig.set(id, None, None).await), (Fault::Invalid, "invalid"));
    assert_eq!(fault(rig.set(id, None, Some(0)).await), (Fault::Invalid, "invalid"));
    assert_eq!(fault(rig.set(id, None, Some(1001)).await), (Fault::Invalid, "invalid"));
    let add = |backend: &str| rig.order(Wish::AddNode { backend: backend.into() });
    assert_eq!(fault(add("api").await), (Fault::Conflict, "no_fleet"));
    assert_eq!(fault(add("nobody").await), (Fault::Unknown, "no_such_backend"));
    assert_eq!(fault(rig.order(Wish::Roll { backend: "api".into() }).await), (Fault::Conflict, "no_fleet"));
    assert_eq!(fault(rig.order(Wish::Reload).await), (Fault::Conflict, "no_file"));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_removed_drains_and_a_reload_brings_it_back() {
    let again = settings(&[fixed(1), fixed(2)]);
    let load: Load = Arc::new(move || Ok(again.clone()));
    let rig = Rig::reloading(settings(&[fixed(1), fixed(2)]), known(), Some(load)).await;
    let node = rig.node(0);
    node.begin();
    rig.order(Wish::RemoveNode { node: node.id.to_string() }).await.unwrap();
    assert_eq!(rig.states(), [NodeState::Serving, NodeState::Draining]);
    let refused = rig.set(&node.id, Some(NodeWish::Ready), None).await.unwrap_err();
    assert_eq!((refused.fault, refused.code), (Fault::Conflict, "node_leaves"));
    node.end();
    rig.wait("one node", |snapshot| entries(snapshot).len() == 1).await;
    let said = rig.order(Wish::Reload).await.unwrap();
    assert!(said.contains("node api/10.0.0.1:80 is back"), "{said}");
    assert_eq!(rig.states(), [NodeState::Serving; 2]);
}

// ---- reloads

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_nodes_and_what_operators_said_of_them() {
    let next = Arc::new(Mutex::new(settings(&[fixed(1), fixed(2)])));
    let file = Arc::clone(&next);
    let load: Load = Arc::new(move || Ok(file.lock().unwrap().clone()));
    let rig = Rig::reloading(settings(&[fixed(1), fixed(2)]), known(), Some(load)).await;
    let (first, second) = (rig.node(0), rig.node(1));
    rig.set(&second.id, Some(NodeWish::Drain), Some(9)).await.unwrap();
    assert_eq!(rig.order(Wish::Reload).await.unwrap(), "reloaded: nothing has changed");

    first.begin();
    *next.lock().unwrap() = settings(&[fixed(3), fixed(2)]);
    let said = rig.order(Wish::Reload).await.unwrap();
    assert_eq!(
        said,
        "reloaded: backend `api`: server `10.0.0.3:80` is new; backend `api`: server `10.0.0.1:80` is gone"
    );
    let snapshot = rig.published.current();
    assert_eq!(snapshot.generation, 3);
    assert!(Arc::ptr_eq(&rig.node(1), &second));
    assert_eq!((entries(&snapshot)[1].state, entries(&snapshot)[1].weight), (NodeState::Draining, 9));
    assert_eq!(&*entries(&snapshot)[2].node.id, &*first.id);
    assert_eq!(entries(&snapshot)[2].state, NodeState::Draining);
    first.end();
    let in_force = rig.in_force.borrow().clone();
    assert!(in_force.reloaded_ms.is_some());
    assert_eq!(in_force.last.unwrap().lines.len(), 2);
    // What was said of a node that the file lists no more is forgotten with it.
    *next.lock().unwrap() = settings(&[fixed(3)]);
    rig.order(Wish::Reload).await.unwrap();
    rig.wait("one node", |snapshot| entries(snapshot).len() == 1).await;
    *next.lock().unwrap() = settings(&[fixed(3), fixed(2)]);
    rig.order(Wish::Reload).await.unwrap();
    assert_eq!(rig.states(), [NodeState::Serving; 2]);
}

#[tokio::test(start_paused = true)]
async fn bad_files_and_other_listeners_leave_everything_as_it_was() {
    let text = Arc::new(Mutex::new(String::new()));
    let file = Arc::clone(&text);
    let load: Load =
        Arc::new(move || crate::config::parse(&file.lock().unwrap(), "plimsoll.yaml", &|_| None));
    let rig = Rig::reloading(settings(&[fixed(1)]), known(), Some(load)).await;
    *text.lock().unwrap() = "routes: [{ path: /*, backend: nobody }]\n".into();
    let refused = rig.order(Wish::Reload).await.unwrap_err();
    assert_eq!((refused.fault, refused.code), (Fault::Invalid, "bad_configuration"));
    assert!(refused.message.starts_with("line 1: there is no backend `nobody`"), "{refused:?}");
    *text.lock().unwrap() =
        "listeners: { more: { bind: ':1' } }\nroutes: [{ path: /*, servers: [{ url: 'http://1.1.1.1' }] }]\n"
            .into();
    let refused = rig.order(Wish::Reload).await.unwrap_err();
    assert_eq!((refused.fault, refused.code), (Fault::Conflict, "needs_restart"));
    assert!(refused.message.contains("the listener `more` is new"), "{refused:?}");
    let snapshot = rig.published.current();
    assert_eq!((snapshot.version, snapshot.generation), (1, 1));
    let last = rig.in_force.borrow().last.clone().unwrap();
    assert!(!last.accepted && last.lines.iter().any(|line| line.contains("`more`")), "{last:?}");
    assert_eq!(rig.told().matches("the old settings stay").count(), 2);
}

// ---- conduct

const POLICY: Policy = Policy {
    consecutive_failures: 5,
    failure_rate: 5000,
    ejection: Duration::from_secs(1),
    max_ejected: 5000,
};

#[tokio::test]
async fn an_ejection_by_a_worker_is_published_with_its_reason_and_so_is_its_end() {
    let rig = Rig::start(with(&[fixed(1), fixed(2)], |api| api.outlier = Some(POLICY)), known()).await;
    let node = rig.node(0);
    (0..5).for_each(|_| node.conduct.bad(false));
    rig.wait("ejected", |snapshot| states(snapshot)[0] == NodeState::Ejected).await;
    assert_eq!(&*rig.reason(0), "5 failures in a row: out for 1s, then one request tries it");
    let began = Instant::now();
    while !node.conduct.try_out() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(began.elapsed() < Duration::from_secs(10), "no trial");
    }
    node.conduct.good(true);
    rig.wait("serving again", |snapshot| states(snapshot)[0] == NodeState::Serving).await;
    let told = rig.told();
    assert!(told.contains("node api/10.0.0.1:80 is ejected (was serving): 5 failures in a row"), "{told}");
}

#[tokio::test]
async fn a_node_that_fails_every_second_request_is_ejected_for_its_share() {
    let policy = Policy { consecutive_failures: 1000, ejection: Duration::from_secs(60), ..POLICY };
    let rig = Rig::start(with(&[fixed(1), fixed(2)], |api| api.outlier = Some(policy)), known()).await;
    let node = rig.node(1);
    for _ in 0..200 {
        for bad in [false, true] {
            node.begin();
            if bad {
                node.conduct.bad(false)
            } else {
                node.conduct.good(false)
            }
            node.end();
        }
    }
    rig.wait("ejected", |snapshot| states(snapshot)[1] == NodeState::Ejected).await;
    assert!(rig.reason(1).starts_with("failed 50 % of 400 requests in a second"), "{}", rig.reason(1));
    rig.set(&node.id, Some(NodeWish::Ready), None).await.unwrap();
    rig.wait("an operator lets it in", |snapshot| states(snapshot)[1] == NodeState::Serving).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_joins_others_grows_and_the_first_ones_do_not() {
    let world = World::default();
    world.set("db", &[address(1)]);
    let slow = |api: &mut BackendSettings| api.slow_start = Duration::from_secs(10);
    let rig = Rig::start(with(&[named("db")], slow), world.resolver()).await;
    let shares = |snapshot: &Snapshot| -> Vec<u32> {
        let whole = entries(snapshot)[0].effective;
        entries(snapshot).iter().map(|entry| entry.effective * 100 / whole).collect()
    };
    assert_eq!(shares(&rig.published.current()), [100]);
    world.set("db", &[address(1), address(2)]);
    rig.wait("the new node", |snapshot| entries(snapshot).len() == 2).await;
    assert_eq!(shares(&rig.published.current()), [100, 10]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let half = shares(&rig.published.current())[1];
    assert!((40..=60).contains(&half), "{half}");
    tokio::time::sleep(Duration::from_secs(6)).await;
    let grown = rig.published.current();
    assert_eq!(shares(&grown), [100, 100]);
    assert!(entries(&grown).iter().all(|entry| entry.effective == entry.weight));
    assert!(grown.version < 40, "{} snapshots", grown.version);
}

// ---- probes
fn probed_as(path: Option<&str>) -> HealthSettings {
    HealthSettings {
        path: path.map(Into::into),
        interval: Duration::from_millis(50),
        patience: Patience { rise: 2, fall: 2 },
        ..HealthSettings::default()
    }
}

/// An address that accepts for as long as the listener lives.
fn accepting() -> (std::net::TcpListener, ServerHost) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = ServerHost::Address(listener.local_addr().unwrap());
    (listener, host)
}

#[tokio::test]
async fn trusted_nodes_serve_until_their_first_probe_and_come_back_by_a_good_row() {
    let (alive, good) = accepting();
    let (dead, bad) = accepting();
    let bad_address = dead.local_addr().unwrap();
    drop(dead);
    let (_other, third) = accepting();
    let settings = with(&[good, bad, third], |api| api.health = Some(probed_as(None)));
    let rig = Rig::start(settings, known()).await;
    assert_eq!(rig.states(), [NodeState::Serving; 3]);
    rig.wait("one is out", |snapshot| states(snapshot)[1] == NodeState::Unhealthy).await;
    assert_eq!(&*rig.reason(1), "connection refused");
    let _back = std::net::TcpListener::bind(bad_address).unwrap();
    rig.wait("it is back", |snapshot| states(snapshot) == [NodeState::Serving; 3]).await;
    rig.wait("its reason", |snapshot| *entries(snapshot)[1].reason == *"passes its probes").await;
    drop(alive);
    rig.wait("another is out", |snapshot| states(snapshot)[0] == NodeState::Unhealthy).await;
    let told = rig.told();
    assert!(told.contains("is unhealthy (was serving): connection refused"), "{told}");
}

#[tokio::test]
async fn a_node_that_joins_warms_and_too_few_that_pass_are_a_panic() {
    let (first, good) = accepting();
    let (late, joins) = accepting();
    let late_address = late.local_addr().unwrap();
    drop(late);
    let probed = |api: &mut BackendSettings| api.health = Some(probed_as(None));
    let next = with(&[good.clone(), joins], probed);
    let load: Load = Arc::new(move || Ok(next.clone()));
    let rig = Rig::reloading(with(&[good], probed), known(), Some(load)).await;
    rig.wait("the first probe", |snapshot| *entries(snapshot)[0].reason == *"passes its probes").await;
    rig.order(Wish::Reload).await.unwrap();
    assert_eq!(rig.states(), [NodeState::Serving, NodeState::Warming]);
    rig.wait("why it does not serve", |snapshot| entries(snapshot)[1].reason.contains("refused")).await;
    let late = std::net::TcpListener::bind(late_address).unwrap();
    rig.wait("both serve", |snapshot| states(snapshot) == [NodeState::Serving; 2]).await;
    assert!(!rig.published.current().backends[0].panics);
    drop((first, late));
    rig.wait("panic", |snapshot| snapshot.backends[0].panics).await;
    rig.wait("all are out", |snapshot| states(snapshot) == [NodeState::Unhealthy; 2]).await;
    assert!(rig.reason(0).contains("used all the same"), "{}", rig.reason(0));
    assert!(rig.told().contains("all of them are used"));
}

#[tokio::test(start_paused = true)]
async fn a_name_whose_every_address_changes_at_once_leaves_no_gap() {
    let world = World::default();
    world.set("db", &[address(1)]);
    let probed = with(&[named("db")], |api| {
        // Never probed within the test.
        api.health = Some(HealthSettings { interval: Duration::from_secs(3600), ..probed_as(None) });
    });
    let rig = Rig::start(probed, world.resolver()).await;
    rig.node(0).begin();
    world.set("db", &[address(2)]);
    rig.wait("the new address", |snapshot| entries(snapshot).len() == 2).await;
    assert_eq!(rig.states()[0], NodeState::Serving, "trusted: nobody else is there");
}
