//! The autoscaler with an engine in memory: what it starts, drains and stops, and in which order.

mod health;
mod rolls;

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};

use super::*;
use crate::config::Settings;
use crate::control::fleet::{self, EngineError, EngineFault, StartOrder, Stats, Steps, Unfit, UnitId};
use crate::logic::scale::lifecycle::Happening;
use crate::shared::event::events;
use crate::shared::node::{Node, NodeState};
use crate::shared::snapshot::{Backend, Entry, Snapshot};

/// Units that listen for as long as they run.
#[derive(Default)]
struct Memory(Mutex<State>);

#[derive(Default)]
struct State {
    units: Vec<(Unit, Option<TcpListener>)>,
    log: Vec<String>,
    out_of_order: bool,
    /// A stop takes this long.
    stop_takes: Duration,
    /// The next list is given this much later than it was read.
    late_list: Option<Duration>,
    count: u32,
    /// What the image's name means; no engine knows another one than that and those of its units.
    image: Option<Arc<str>>,
    unfit: Option<(UnitId, Unfit)>,
    watchers: Vec<mpsc::Sender<Change>>,
}

impl Memory {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn log(&self) -> Vec<String> {
        self.with(|state| state.log.clone())
    }

    fn running(&self) -> usize {
        self.with(|state| state.units.iter().filter(|(unit, _)| unit.running).count())
    }
}

impl Fleet for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn origin(&self) -> Origin {
        Origin::Process
    }

    fn list(&self) -> fleet::Call<'_, Vec<Unit>> {
        let units = self.with(|state| state.units.iter().map(|(unit, _)| unit.clone()).collect());
        let late = self.with(|state| state.late_list.take());
        Box::pin(async move {
            tokio::time::sleep(late.unwrap_or_default()).await;
            Ok(units)
        })
    }

    fn start<'a>(&'a self, order: &'a StartOrder, _: Steps) -> fleet::Call<'a, Unit> {
        let started = self.with(|state| {
            if state.out_of_order {
                return Err(EngineError::new(EngineFault::NoSpace, "the disk is full", "make room"));
            }
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            state.count += 1;
            let unit = Unit {
                id: UnitId(format!("u{}", state.count).into()),
                backend: Arc::clone(&order.backend),
                fingerprint: Arc::clone(&order.fingerprint),
                address: listener.local_addr().ok(),
                door: None,
                running: true,
                ours: true,
                weight: 1,
                image: order.image.clone().or_else(|| state.image.clone()),
            };
            state.log.push(format!("start {}", unit.id));
            state.units.push((unit.clone(), Some(listener)));
            Ok(unit)
        });
        Box::pin(async { started })
    }

    fn stop<'a>(&'a self, id: &'a UnitId, _: Duration) -> fleet::Call<'a, ()> {
        let takes = self.with(|state| {
            state.log.push(format!("stop {id}"));
            for (unit, listener) in &mut state.units {
                if unit.id == *id {
                    (unit.running, *listener) = (false, None);
                }
            }
            state.stop_takes
        });
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            Ok(())
        })
    }

    fn remove<'a>(&'a self, id: &'a UnitId) -> fleet::Call<'a, ()> {
        self.with(|state| {
            state.log.push(format!("remove {id}"));
            state.units.retain(|(unit, _)| unit.id != *id);
        });
        Box::pin(async { Ok(()) })
    }

    fn log<'a>(&'a self, _: &'a UnitId) -> fleet::Call<'a, Vec<String>> {
        Box::pin(async { Ok(vec!["it was the disk".to_owned()]) })
    }

    fn stats<'a>(&'a self, _: &'a UnitId) -> fleet::Call<'a, Stats> {
        Box::pin(async { Ok(Stats::default()) })
    }

    fn unfit(&self, unit: &UnitId) -> Option<Unfit> {
        self.with(|state| state.unfit.as_ref().filter(|(id, _)| id == unit).map(|(_, why)| *why))
    }

    fn watch(&self) -> mpsc::Receiver<Change> {
        let (sender, receiver) = mpsc::channel(16);
        self.with(|state| state.watchers.push(sender));
        receiver
    }
}

struct Nothing;

impl Signals for Nothing {
    fn p99(&self, _: &str) -> Option<Duration> {
        None
    }
}

struct Rig {
    engine: Arc<Memory>,
    table: watch::Receiver<FleetTable>,
    orders: mpsc::Sender<Order>,
    told: crossbeam_channel::Receiver<Event>,
    published: Published,
    reload: watch::Sender<InForce>,
    nodes: HashMap<SocketAddr, Arc<Node>>,
    roster: Roster,
    /// Nodes that an operator drains.
    withheld: HashSet<SocketAddr>,
    /// The registry has forgotten the backend.
    forgotten: bool,
}

impl Rig {
    fn start(engine: Arc<Memory>, min: u32, max: u32, dry_run: bool) -> Self {
        let settings = settings("x", min, max);
        let published = Published::new(snapshot(&settings, Vec::new()));
        let first = InForce { settings: Arc::new(settings), reloaded_ms: None, last: None };
        let (reload, in_force) = watch::channel(first);
        let (table, nodes) = watch::channel(FleetTable::new());
        let (orders, received) = mpsc::channel(4);
        let (events, told) = events();
        let roster = Roster::default();
        let wiring = Wiring {
            published: published.clone(),
            table,
            orders: received,
            events,
            signals: Arc::new(Nothing),
            in_force,
            alarm: Arc::default(),
            roster: roster.clone(),
            dry_run,
        };
        let shared: Arc<dyn Fleet> = engine.clone();
        let autoscaler = Autoscaler::new(Box::new(move |_| Arc::clone(&shared)), wiring);
        tokio::spawn(autoscaler.run());
        Self {
            engine,
            table: nodes,
            orders,
            told,
            published,
            reload,
            nodes: HashMap::new(),
            roster,
            withheld: HashSet::new(),
            forgotten: false,
        }
    }

    /// What the registry does: the table becomes nodes.
    fn publish(&mut self) {
        let table = self.table.borrow().clone();
        let nodes = table.get("api").into_iter().flat_map(|fleet| &fleet.nodes).filter_map(|node| {
            let NodeAddress::Tcp(address) = node.address else { return None };
            let known = self
                .nodes
                .entry(address)
                .or_insert_with(|| Arc::new(Node::new("api".into(), node.address.clone(), node.origin)));
            self.roster.add(known);
            let state = match node.call {
                Call::Starting => NodeState::Starting,
                Call::Warming => NodeState::Warming,
                Call::Unfit => NodeState::Unhealthy,
                Call::Serving if self.withheld.contains(&address) => NodeState::Draining,
                Call::Serving => NodeState::Serving,
                Call::Draining => NodeState::Draining,
            };
            let reason = Arc::clone(&node.reason);
            Some(Entry { state, reason, ..Entry::of(Arc::clone(known), 1) })
        });
        let backend = Arc::new(Backend::of(nodes.collect()));
        let before = self.published.current();
        self.published.publish(Snapshot {
            backends: if self.forgotten { Vec::new() } else { vec![backend] },
            routes: Arc::clone(&before.routes),
            listeners: Vec::new(),
            protocols: Vec::new(),
            expect_proxy_header: Vec::new(),
            gates: Vec::new(),
            trusted_proxies: Vec::new(),
            ..*before
        });
    }

    async fn wait(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            self.publish();
            if is_so(self) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {:?} {:?}", self.engine.log(), self.calls());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn calls(&self) -> Vec<Call> {
        self.table
            .borrow()
            .get("api")
            .into_iter()
            .flat_map(|fleet| &fleet.nodes)
            .map(|node| node.call)
            .collect()
    }

    async fn order(&self, wish: Wish) -> Outcome {
        let (sender, answer) = tokio::sync::oneshot::channel();
        let answer_to = Box::new(move |outcome| {
            let _ = sender.send(outcome);
        });
        self.orders.send(Order { wish, answer: answer_to }).await.unwrap();
        answer.await.unwrap()
    }

    async fn scale(&self, replicas: Option<u32>, paused: Option<bool>) -> Outcome {
        self.order(Wish::Scale { backend: "api".into(), replicas, paused }).await
    }

    fn told(&self) -> String {
        self.told.try_iter().map(|event| format!("{}: {}\n", event.kind.name(), event.text)).collect()
    }
}

fn unit(id: &str, backend: &str, address: Option<SocketAddr>, running: bool) -> Unit {
    Unit {
        id: UnitId(id.into()),
        backend: backend.into(),
        fingerprint: "other".into(),
        address,
        door: None,
        running,
        ours: true,
        weight: 1,
        image: None,
    }
}

fn without_backend() -> InForce {
    let text = "routes: [{ path: /*, servers: [{ url: 'http://1.1.1.1' }] }]\n";
    let other = crate::config::parse(text, "plimsoll.yaml", &|_| None).unwrap();
    InForce { settings: Arc::new(other), reloaded_ms: None, last: None }
}

fn settings(command: &str, min: u32, max: u32) -> Settings {
    let text = format!(
        "routes: [{{ path: /*, backend: api }}]\nbackends: {{ api: {{ process: {{ command: [{command}, '{{port}}'] }}, \
         scale: {{ min: {min}, max: {max} }} }} }}\n"
    );
    crate::config::parse(&text, "plimsoll.yaml", &|_| None).unwrap()
}

fn snapshot(settings: &Settings, backends: Vec<Arc<Backend>>) -> Snapshot {
    Snapshot {
        limits: settings.limits,
        timeouts: settings.timeouts,
        routes: Arc::clone(&settings.routes),
        ..Snapshot::of(backends)
    }
}

#[tokio::test]
async fn the_fewest_nodes_come_up_and_say_why() {
    let mut rig = Rig::start(Arc::default(), 2, 4, false);
    rig.wait("two serve", |rig| rig.calls() == [Call::Serving; 2]).await;
    let told = rig.told();
    assert!(told.contains("scale: api: 0 nodes there, and `min` is 2"), "{told}");
    assert_eq!(rig.engine.log(), ["start u1", "start u2"]);
}

#[tokio::test]
async fn a_node_is_out_of_the_table_and_empty_before_it_is_stopped() {
    let mut rig = Rig::start(Arc::default(), 1, 4, false);
    rig.wait("one serves", |rig| rig.calls() == [Call::Serving]).await;
    rig.scale(Some(2), None).await.unwrap();
    rig.wait("two serve", |rig| rig.calls() == [Call::Serving; 2]).await;
    rig.nodes.values().for_each(|node| node.begin());
    rig.scale(Some(1), None).await.unwrap();
    rig.wait("one drains", |rig| rig.calls().contains(&Call::Draining)).await;
    for _ in 0..50 {
        rig.publish();
        assert_eq!(rig.engine.running(), 2, "stopped with a request in flight");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.nodes.values().for_each(|node| node.end());
    rig.wait("one is gone", |rig| rig.engine.running() == 1 && rig.calls() == [Call::Serving]).await;
    let log = rig.engine.log();
    assert_eq!(log[2].split(' ').next(), Some("stop"));
    assert_eq!(log[3].split(' ').next(), Some("remove"));
}

#[tokio::test]
async fn an_engine_that_is_out_of_order_is_told_and_it_converges_when_it_is_back() {
    let engine = Arc::new(Memory::default());
    engine.with(|state| state.out_of_order = true);
    let mut rig = Rig::start(Arc::clone(&engine), 1, 4, false);
    let mut told = String::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !(told.contains("the disk is full: make room") && told.contains("starts in a row failed")) {
        assert!(Instant::now() < deadline, "{told}");
        tokio::time::sleep(Duration::from_millis(10)).await;
        told += &rig.told();
    }
    engine.with(|state| state.out_of_order = false);
    rig.wait("one serves", |rig| rig.calls() == [Call::Serving]).await;
}

#[tokio::test]
async fn units_of_an_earlier_life_are_adopted_and_those_without_a_backend_end() {
    let engine = Arc::new(Memory::default());
    let mut listeners = Vec::new();
    for (id, backend, ours) in [("old", "api", true), ("orphan", "gone", true), ("guest", "gone", false)] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let unit = Unit { ours, ..unit(id, backend, listener.local_addr().ok(), true) };
        engine.with(|state| state.units.push((unit, None)));
        listeners.push(listener);
    }
    let mut rig = Rig::start(engine, 1, 4, false);
    // Its spec is another: a new node serves before the old one goes.
    rig.wait("the old one is replaced", |rig| rig.engine.log().contains(&"remove old".to_owned())).await;
    rig.wait("one serves", |rig| rig.calls() == [Call::Serving]).await;
    let log = rig.engine.log();
    let place = |what: &str| log.iter().position(|line| line == what);
    assert!(place("start u1") < place("stop old"), "{log:?}");
    assert!(place("stop orphan").is_some() && place("stop guest").is_none(), "{log:?}");
}

#[tokio::test]
async fn a_dry_run_tells_and_starts_nothing() {
    let engine = Arc::new(Memory::default());
    // What another balancer of the same configuration is about to start, or has lost.
    for (id, running) in [("created", false), ("lost", true)] {
        let unit = unit(id, "api", None, running);
        engine.with(|state| state.units.push((unit, None)));
    }
    let rig = Rig::start(engine, 1, 4, true);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !rig.told().contains("(dry run: nothing is done)") {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let fault = |outcome: Outcome| outcome.map_err(|refused| refused.code).unwrap_err();
    assert_eq!(fault(rig.order(Wish::AddNode { backend: "api".into() }).await), "dry_run");
    assert_eq!(fault(rig.order(Wish::Roll { backend: "api".into() }).await), "dry_run");
    rig.reload.send_replace(without_backend());
    while !rig.table.borrow().is_empty() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(rig.engine.log(), Vec::<String>::new());
}

#[tokio::test]
async fn orders_are_checked() {
    let rig = Rig::start(Arc::default(), 1, 4, false);
    let fault = |outcome: Outcome| outcome.map_err(|refused| refused.code).unwrap_err();
    assert_eq!(fault(rig.scale(Some(9), None).await), "out_of_range");
    assert_eq!(fault(rig.scale(Some(2), Some(false)).await), "contradiction");
    assert_eq!(fault(rig.order(Wish::Roll { backend: "nobody".into() }).await), "no_fleet");
    assert_eq!(fault(rig.order(Wish::RemoveNode { node: "api/x".into() }).await), "no_such_node");
    assert!(rig.scale(None, Some(true)).await.unwrap().contains("paused"));
    assert!(rig.order(Wish::AddNode { backend: "api".into() }).await.is_ok());
}

#[tokio::test]
async fn a_list_from_before_a_node_came_says_nothing_of_it() {
    let engine = Arc::new(Memory::default());
    let mut rig = Rig::start(Arc::clone(&engine), 1, 4, false);
    rig.wait("one serves", |rig| rig.calls() == [Call::Serving]).await;
    // The next list is read now and given later, when there is one node more.
    engine.with(|state| state.late_list = Some(Duration::from_millis(600)));
    let watchers = engine.with(|state| state.watchers.clone());
    watchers[0].send(Change::Resync).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    rig.scale(Some(2), None).await.unwrap();
    rig.wait("two serve", |rig| rig.calls() == [Call::Serving; 2]).await;
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        rig.publish();
        assert_eq!(rig.calls().len(), 2, "{}", rig.told());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_backend_that_is_gone_drains_all_its_nodes() {
    let mut rig = Rig::start(Arc::default(), 2, 4, false);
    rig.wait("two serve", |rig| rig.calls() == [Call::Serving; 2]).await;
    // The registry forgets it at once; what its nodes carry goes on.
    rig.nodes.values().for_each(|node| node.begin());
    rig.forgotten = true;
    rig.publish();
    rig.reload.send_replace(without_backend());
    rig.wait("both drain", |rig| rig.calls() == [Call::Draining; 2]).await;
    for _ in 0..50 {
        assert_eq!(rig.engine.running(), 2, "stopped with a request in flight");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.nodes.values().for_each(|node| node.end());
    rig.wait("none runs", |rig| rig.engine.running() == 0 && rig.calls().is_empty()).await;
}

#[tokio::test]
async fn a_node_that_an_operator_holds_back_is_replaced() {
    let mut rig = Rig::start(Arc::default(), 1, 4, false);
    rig.wait("one serves", |rig| rig.calls() == [Call::Serving]).await;
    rig.withheld.extend(rig.nodes.keys().copied());
    rig.wait("another one serves", |rig| rig.calls() == [Call::Serving; 2]).await;
}

#[tokio::test]
async fn a_lower_bound_holds_over_what_an_operator_said() {
    let mut rig = Rig::start(Arc::default(), 1, 4, false);
    rig.scale(Some(3), None).await.unwrap();
    rig.wait("three serve", |rig| rig.calls() == [Call::Serving; 3]).await;
    rig.reload.send_replace(InForce {
        settings: Arc::new(settings("x", 1, 2)),
        reloaded_ms: None,
        last: None,
    });
    rig.wait("two serve", |rig| rig.engine.running() == 2 && rig.calls() == [Call::Serving; 2]).await;
    assert!(
        rig.told().contains("an operator wanted 3 nodes; `min` is 1 and `max` is 2 now, so there will be 2")
    );
}

#[tokio::test]
async fn a_unit_that_is_not_fit_gets_nothing_and_is_replaced_for_that_time() {
    let engine = Arc::new(Memory::default());
    let mut rig = Rig::start(Arc::clone(&engine), 1, 4, false);
    rig.wait("one serves", |rig| rig.calls() == [Call::Serving]).await;
    let watcher = engine.with(|state| state.watchers[0].clone());
    let paused = (UnitId("u1".into()), Unfit::Paused);
    engine.with(|state| state.unfit = Some(paused.clone()));
    watcher.send(Change::Unfit(paused.0, paused.1)).await.unwrap();
    rig.wait("another one serves", |rig| rig.calls() == [Call::Unfit, Call::Serving]).await;
    engine.with(|state| state.unfit = None);
    watcher.send(Change::Appeared).await.unwrap();
    rig.wait("both serve", |rig| rig.calls() == [Call::Serving; 2]).await;
    // Its own check fails, and passes again.
    watcher.send(Change::Unfit(UnitId("u2".into()), Unfit::Unhealthy)).await.unwrap();
    rig.wait("it is held back", |rig| rig.calls() == [Call::Serving, Call::Unfit]).await;
    watcher.send(Change::Unit(UnitId("u2".into()), Happening::Passed)).await.unwrap();
    rig.wait("both serve again", |rig| rig.calls() == [Call::Serving; 2]).await;
    let told = rig.told();
    assert!(told.contains("gets no new requests: it is paused") && told.contains("is fit again"), "{told}");
}

#[tokio::test]
async fn what_is_wrong_stands_with_the_fleet_until_it_is_right() {
    let engine = Arc::new(Memory::default());
    engine.with(|state| state.out_of_order = true);
    let mut rig = Rig::start(Arc::clone(&engine), 1, 4, false);
    let trouble = |rig: &Rig| rig.table.borrow().get("api").and_then(|fleet| fleet.trouble.clone());
    rig.wait("the trouble", |rig| {
        trouble(rig).is_some_and(|text| {
            text.contains("start")
                && text.contains("the disk is full: make room")
                && text.contains(" s after it")
        })
    })
    .await;
    engine.with(|state| state.out_of_order = false);
    rig.wait("one serves", |rig| rig.calls() == [Call::Serving] && trouble(rig).is_none()).await;
}

#[tokio::test]
async fn a_unit_without_a_backend_is_stopped_once_however_often_it_is_listed() {
    let engine = Arc::new(Memory::default());
    engine.with(|state| {
        state.stop_takes = Duration::from_millis(500);
        state.units.push((unit("orphan", "gone", None, true), None));
    });
    let mut rig = Rig::start(Arc::clone(&engine), 0, 4, false);
    let watcher = engine.with(|state| state.watchers[0].clone());
    for _ in 0..5 {
        watcher.send(Change::Resync).await.unwrap();
    }
    rig.wait("it is gone", |rig| rig.engine.log().contains(&"remove orphan".to_owned())).await;
    assert_eq!(engine.log().iter().filter(|line| *line == "stop orphan").count(), 1, "{:?}", engine.log());
}

#[tokio::test]
async fn a_fleet_that_an_operator_keeps_down_says_so() {
    let mut rig = Rig::start(Arc::default(), 0, 4, false);
    let trouble = |rig: &Rig| rig.table.borrow().get("api").and_then(|fleet| fleet.trouble.clone());
    rig.wait("the fleet is there", |rig| rig.table.borrow().contains_key("api")).await;
    assert_eq!(trouble(&rig), None, "it sleeps, as it may");
    rig.scale(None, Some(true)).await.unwrap();
    rig.wait("the trouble", |rig| {
        trouble(rig)
            .is_some_and(|text| text.contains("paused") && text.contains("plimsoll scale api --resume"))
    })
    .await;
    rig.scale(None, Some(false)).await.unwrap();
    rig.wait("no trouble", |rig| trouble(rig).is_none()).await;
}

#[tokio::test]
async fn a_fleet_that_a_reload_adds_tells_what_is_wrong_with_its_engine() {
    let engine = Arc::new(Memory::default());
    let mut rig = Rig::start(Arc::clone(&engine), 0, 4, false);
    let trouble = |rig: &Rig| rig.table.borrow().get("api").and_then(|fleet| fleet.trouble.clone());
    rig.wait("the fleet is there", |rig| rig.table.borrow().contains_key("api")).await;
    let first = rig.reload.borrow().clone();
    rig.reload.send_replace(without_backend());
    rig.wait("it is gone", |rig| !rig.table.borrow().contains_key("api")).await;
    let watcher = engine.with(|state| state.watchers[0].clone());
    let down = EngineError::new(EngineFault::Down, "no engine answers", "start it");
    watcher.send(Change::Down(down)).await.unwrap();
    rig.reload.send_replace(first);
    rig.wait("the trouble", |rig| trouble(rig).is_some_and(|text| text.contains("start it"))).await;
    watcher.send(Change::Resync).await.unwrap();
    rig.wait("no trouble", |rig| rig.table.borrow().contains_key("api") && trouble(rig).is_none()).await;
}
