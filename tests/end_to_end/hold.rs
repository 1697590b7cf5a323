//! Backends that sleep: requests and connections wait while a node starts, are let go bit by bit, and it sleeps again.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::PATIENCE;
use crate::harness::balancer::Driver;
use crate::harness::client::Client;
use crate::harness::message::{Message, Side, parse};
use crate::harness::origin::ok;
use crate::harness::site::site_cases;
use crate::rig::{Rig, get, on, wait_for};
use crate::traffic::{Traffic, assert_all_ok};

/// Where a process that a balancer starts is told its port: this program again, with one test that serves in it.
const PORT: &str = "PLIMSOLL_TEST_SLEEPER_PORT";
/// A file: the node listens once it is there.
const GATE: &str = "PLIMSOLL_TEST_SLEEPER_GATE";
/// What the node does for each request.
const WORK: &str = "PLIMSOLL_TEST_SLEEPER_WORK";
/// So many requests at once wake a node.
const STORM: usize = 1000;
/// Between a node that listens and the first byte of the 990th of them. It is 25 ms for a release build on a machine of its
/// own; tests share theirs, and a debug build.
const SPREAD_MAX: Duration = Duration::from_millis(1500);

/// Serves, where a balancer started it, and says who it is and since when it listens. In an ordinary run of the tests nobody
/// told it a port, and it proves that a program without one ends at once.
#[test]
fn the_node_itself() {
    let Ok(port) = std::env::var(PORT) else { return };
    let parent = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    parent.expect("it ends with the balancer");
    let gate = PathBuf::from(std::env::var(GATE).unwrap());
    while !gate.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    let words = format!("{} {}", std::process::id(), micros());
    for socket in listener.incoming().flatten() {
        let words = words.clone();
        std::thread::spawn(move || serve(socket, &words));
    }
}

fn serve(mut socket: TcpStream, words: &str) {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = socket.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..count]);
        while let Ok(Some(request)) = parse(&bytes, Side::Request) {
            bytes.drain(..request.len);
            if request.field("upgrade").is_some() {
                let _ = socket.write_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
                );
                let _ = socket.read(&mut chunk);
                return;
            }
            work();
            if socket.write_all(ok(words).as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// A tenth of a second of sleep or of work, or nothing.
fn work() {
    let until = Instant::now() + Duration::from_millis(100);
    match std::env::var(WORK).as_deref() {
        Ok("sleep") => std::thread::sleep(until - Instant::now()),
        Ok("spin") => while Instant::now() < until {},
        _ => {}
    }
}

fn micros() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()
}

/// A balancer before one backend that sleeps, and the gate that its nodes wait at.
struct Bed {
    rig: Rig,
    gate: PathBuf,
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.gate);
    }
}

impl Bed {
    /// `scale`: keys beside `min`, `max` and `hold`.
    fn make(driver: Driver, hold: &str, scale: &str) -> Self {
        Self::working(driver, hold, scale, "")
    }

    /// `work`: what a node does for each request: `sleep`, `spin` or nothing.
    fn working(driver: Driver, hold: &str, scale: &str, work: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("gate-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let gate = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let exe = std::env::current_exe().unwrap();
        let config = format!(
            "{}workers: 2\nlisteners:\n  web: {{ bind: \"127.0.0.1:0\" }}\n  raw: {{ bind: \"127.0.0.1:0\", protocol: tcp, \
             backend: node }}\nroutes: [{{ path: /*, backend: node }}]\nbackends:\n  node:\n    process:\n      command: \
             [\"{}\", \"--exact\", \"hold::the_node_itself\", \"--nocapture\"]\n      env: {{ {PORT}: \"{{port}}\", {GATE}: \
             \"{}\", {WORK}: \"{work}\" }}\n    scale: {{ min: 0, max: 4, hold: {hold}, {scale} }}\n",
            crate::harness::stage::common(driver),
            exe.display(),
            gate.display(),
        );
        Self { rig: Rig::with(&config), gate }
    }

    fn open_gate(&self) {
        std::fs::write(&self.gate, "").unwrap();
    }

    /// Changes the file, everywhere that a backend may be named too, and reads it again.
    fn reload(&self, from: &str, to: &str) {
        let file = &self.rig.balancer.file;
        let mut text = std::fs::read_to_string(file).unwrap().replace(from, to);
        if to.starts_with("backend: ") {
            text = text.replace("\n  node:\n", "\n  other:\n");
        }
        std::fs::write(file, text).unwrap();
        self.rig.order("POST", "/api/v1/reload", "{}");
    }

    fn wait_for_held(&self, count: usize) {
        let held = || self.rig.metric("plimsoll_queued", &["backend=\"node\""]);
        wait_for("so many that wait", || (held() == count as f64).then_some(()));
    }

    /// One more request that waits.
    fn wait(&self, before: usize) -> Client {
        let mut client = self.rig.client();
        client.send(get("/"));
        self.wait_for_held(before + 1);
        client
    }

    fn states(&self) -> Vec<String> {
        let nodes = self.rig.json("/api/v1/nodes");
        nodes.as_array().unwrap().iter().map(|node| node["state"].as_str().unwrap().to_owned()).collect()
    }

    fn wait_until_asleep(&self) {
        wait_for("sleep", || self.states().is_empty().then_some(()));
    }
}

fn reason(answer: &Message) -> (u16, &str) {
    (answer.status(), answer.field("x-plimsoll-reason").unwrap_or(""))
}

/// The process that answered.
fn pid(text: &str) -> u32 {
    text.split(' ').next().unwrap().parse().unwrap()
}

/// When its first byte came, and what it said.
type Answer = (u128, Message);

/// So many clients ask at once, each on a connection of its own.
fn storm(address: SocketAddr) -> std::thread::JoinHandle<Vec<Answer>> {
    let most = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let asking: Vec<_> = (0..STORM).map(|_| tokio::spawn(ask(address))).collect();
            let mut answers = Vec::new();
            for one in asking {
                answers.push(tokio::time::timeout(PATIENCE, one).await.expect("an answer in time").unwrap());
            }
            answers
        })
    })
}

async fn ask(address: SocketAddr) -> Answer {
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    let (mut bytes, mut first) = (Vec::new(), None);
    loop {
        assert_ne!(socket.read_buf(&mut bytes).await.unwrap(), 0, "an answer");
        let at = *first.get_or_insert_with(micros);
        if let Some(message) = parse(&bytes, Side::Response { method: "GET", ended: false }).unwrap() {
            return (at, message);
        }
    }
}

site_cases! { on;
    fn a_storm_wakes_one_node_and_everybody_is_served(driver) {
        let bed = Bed::make(driver, "{ max: 1000, timeout: 30s }", "idle: 1s");
        assert_eq!(bed.rig.admin("/readyz").status(), 200, "asleep is as it should be");
        let storm = storm(bed.rig.balancer.address());
        bed.wait_for_held(STORM);
        bed.open_gate();
        let answers = storm.join().unwrap();
        assert!(answers.iter().all(|(_, answer)| answer.status() == 200));
        let pids: HashSet<u32> = answers.iter().map(|(_, answer)| pid(&answer.text())).collect();
        assert_eq!(pids.len(), 1, "one node was woken");
        let mut spread: Vec<u128> = answers.iter().map(|(at, answer)| {
            let ready: u128 = answer.text().split(' ').nth(1).unwrap().parse().unwrap();
            at - ready
        }).collect();
        spread.sort_unstable();
        let p99 = Duration::from_micros(u64::try_from(spread[STORM * 99 / 100]).unwrap());
        let (first, median) = (spread[0], spread[STORM / 2]);
        println!("{}: first byte after the node listens: first {first} us, p50 {median} us, p99 {p99:?}", driver.name());
        assert!(p99 <= SPREAD_MAX, "{p99:?}");
        // More than one was never there, and it sleeps again.
        assert_eq!(bed.states().len(), 1);
        bed.wait_until_asleep();
        let first = *pids.iter().next().unwrap();
        wait_for("the end of the process", || (!Path::new("/proc").join(first.to_string()).exists()).then_some(()));
        let again = bed.rig.get("/");
        assert_eq!(again.status(), 200);
        assert_ne!(pid(&again.text()), first);
        assert_eq!(bed.rig.total("panics_total"), 0);
    }
    fn as_many_wait_as_may_and_who_leaves_gives_its_place_back(driver) {
        let bed = Bed::make(driver, "{ max: 2 }", "idle: 5m");
        let leaves = bed.wait(0);
        let mut stays = bed.wait(1);
        let began = Instant::now();
        let refused = bed.rig.get("/");
        assert_eq!(reason(&refused), (503, "hold_full"));
        assert!(refused.field("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{refused:?}");
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        leaves.reset();
        bed.wait_for_held(1);
        let mut late = bed.wait(1);
        bed.open_gate();
        assert_eq!((stays.response().status(), late.response().status()), (200, 200));
    }
    fn a_wait_for_a_node_that_is_too_long_is_an_answer(driver) {
        let bed = Bed::make(driver, "{ timeout: 300ms }", "idle: 5m");
        let began = Instant::now();
        let mut client = bed.rig.client();
        let answer = client.send(get("/")).response();
        assert_eq!(reason(&answer), (503, "hold_timeout"));
        assert!(answer.field("retry-after").is_some());
        assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
        // The node starts all the same, and the connection goes on.
        bed.open_gate();
        wait_for("a node", || (bed.states() == ["serving"]).then_some(()));
        assert_eq!(client.send(get("/")).response().status(), 200);
    }
    fn nobody_waits_for_what_an_operator_does_not_want(driver) {
        let bed = Bed::make(driver, "{ timeout: 1s }", "idle: 5m");
        bed.open_gate();
        bed.rig.order("POST", "/api/v1/backends/node/scale", "{\"replicas\":0}");
        wait_for("a refusal at once", || (reason(&bed.rig.get("/")) == (503, "no_healthy_node")).then_some(()));
        bed.rig.order("POST", "/api/v1/backends/node/scale", "{\"paused\":false}");
        wait_for("an answer", || (bed.rig.get("/").status() == 200).then_some(()));
    }
    fn who_waits_when_the_nodes_are_ordered_away_is_told_at_once(driver) {
        let bed = Bed::make(driver, "{ timeout: 5m }", "idle: 5m");
        let mut waits = bed.wait(0);
        bed.rig.order("POST", "/api/v1/backends/node/scale", "{\"replicas\":0}");
        assert_eq!(reason(&waits.response()), (503, "no_healthy_node"));
        bed.wait_for_held(0);
        // Its connection goes on, and so does the backend.
        bed.open_gate();
        bed.rig.order("POST", "/api/v1/backends/node/scale", "{\"paused\":false}");
        wait_for("an answer", || (waits.send(get("/")).response().status() == 200).then_some(()));
    }
    fn a_reload_leaves_nobody_behind_who_waits(driver) {
        let bed = Bed::make(driver, "{ timeout: 5m }", "idle: 5m");
        let mut waits = bed.wait(0);
        bed.reload("timeout: 5m", "max: 1, timeout: 4m");
        // It is the same queue, with its new limits.
        assert_eq!(reason(&bed.rig.get("/")), (503, "hold_full"));
        bed.open_gate();
        assert_eq!(waits.response().status(), 200);
    }
    fn what_a_backend_carries_ends_before_its_nodes_do_where_a_reload_takes_it_away(driver) {
        let bed = Bed::make(driver, "{}", "idle: 5m");
        bed.open_gate();
        let old = pid(&bed.rig.get("/").text());
        let runs = || Path::new("/proc").join(old.to_string()).exists();
        let mut tunnel = bed.rig.client();
        tunnel.send("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        assert_eq!(tunnel.response().status(), 101);
        bed.reload("backend: node", "backend: other");
        wait_for("a node of the new name", || (bed.rig.get("/").status() == 200).then_some(()));
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            assert!(runs(), "its node was stopped with a tunnel open: {}", bed.rig.balancer.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(tunnel);
        wait_for("the end of the old node", || (!runs()).then_some(()));
    }
    fn response_times_and_processors_are_targets(driver) {
        for (target, rule, work) in [("p99: 20ms", "p99", "sleep"), ("cpu: 2%", "cpu", "spin")] {
            let scale = format!("target: {{ {target} }}, up: {{ window: 1s }}, idle: 5m");
            let bed = Bed::working(driver, "{}", &scale, work);
            bed.open_gate();
            let traffic = Traffic::start(bed.rig.balancer.address(), 2);
            wait_for("a second node", || (bed.states().len() >= 2).then_some(()));
            let fired = |events: serde_json::Value| events.as_array().unwrap().iter().any(|event| event["rule"] == rule);
            wait_for(rule, || fired(bed.rig.json("/api/v1/events?kind=scale")).then_some(()));
            assert_all_ok(&traffic.stop());
        }
    }
    fn a_tunnel_keeps_a_backend_awake(driver) {
        let bed = Bed::make(driver, "{}", "idle: 1s");
        bed.open_gate();
        let mut tunnel = bed.rig.client();
        tunnel.send("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        assert_eq!(tunnel.response().status(), 101);
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            assert_eq!(bed.states(), ["serving"]);
            std::thread::sleep(Duration::from_millis(50));
        }
        tunnel.finish();
        bed.wait_until_asleep();
    }
    fn a_connection_that_is_bytes_waits_likewise(driver) {
        let bed = Bed::make(driver, "{ max: 1 }", "idle: 1s");
        let raw = bed.rig.balancer.listener("raw");
        let mut client = Client::connect(raw, "a.test");
        client.send(get("/"));
        bed.wait_for_held(1);
        Client::connect(raw, "a.test").closed();
        bed.open_gate();
        assert_eq!(client.response().status(), 200);
        // It is in use for as long as it is open.
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            assert_eq!(bed.states(), ["serving"]);
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(client);
        bed.wait_until_asleep();
    }
}
