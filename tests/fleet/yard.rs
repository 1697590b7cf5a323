//! A balancer whose nodes are containers, and what the engine knows of them. All containers go with it.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::balancer::{Balancer, Driver, Launch};
use crate::harness::client::Client;
use crate::harness::message::Message;
use crate::harness::stage::{LISTENER, common};
use crate::rig::Rig;
use crate::traffic::Traffic;

/// `scripts/docker.sh` makes it.
pub(crate) const IMAGE: &str = "plimsoll-node:test";
/// Containers take their time on a machine that runs other tests too.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Yard {
    /// The backend's: no other test has it.
    pub(crate) name: String,
    pub(crate) rig: Rig,
}

/// Is there an engine with the image? Else says so, past the capture of the test harness.
pub(crate) fn is_skipped(test: &str) -> bool {
    let there = Command::new("docker").args(["image", "inspect", IMAGE]).output();
    let is_there = there.is_ok_and(|output| output.status.success());
    if !is_there {
        let why = "no Docker engine with the image: `scripts/test.sh --only docker` has both";
        let _ = writeln!(std::io::stderr(), "skipped: test {test}: {why}");
    }
    !is_there
}

/// What `docker` says to these arguments.
#[track_caller]
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A name that no other test of any run has.
pub(crate) fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("f{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

/// A backend of containers behind every path. `docker` and `scale` are further keys of those.
pub(crate) fn config(name: &str, docker: &str, scale: &str) -> String {
    let driver = Driver::IoUring.unavailable().map_or(Driver::IoUring, |_| Driver::Epoll);
    let image = if docker.contains("image:") { String::new() } else { format!("image: {IMAGE}, ") };
    format!(
        "{}{LISTENER}workers: 2\nroutes: [{{ path: /*, backend: {name} }}]\nbackends:\n  {name}:\n    \
         retry: {{ attempts: 3, on: [connect, reset, 502, 503, 504], budget: 100% }}\n    \
         docker: {{ {image}stop_grace: 5s, {docker} }}\n    scale: {{ {scale} }}\n",
        common(driver)
    )
}

/// Waits until `condition` gives something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Yard {
    #[track_caller]
    pub(crate) fn start(docker: &str, scale: &str) -> Self {
        let name = name();
        let config = config(&name, docker, scale);
        Self::launch(name, &config, &Launch::default())
    }

    #[track_caller]
    pub(crate) fn launch(name: String, config: &str, launch: &Launch<'_>) -> Self {
        Self { name, rig: Rig { balancer: Balancer::launch(config, launch) } }
    }

    /// Ends the balancer at once, and starts one with the same file.
    #[track_caller]
    pub(crate) fn restart(&mut self, config: &str) {
        self.rig.balancer.signal("KILL");
        let file = self.rig.balancer.file.clone();
        self.rig.balancer = Balancer::launch(config, &Launch { file: Some(&file), ..Launch::default() });
    }

    /// Another configuration, by a signal.
    pub(crate) fn reload(&self, config: &str) {
        std::fs::write(&self.rig.balancer.file, config).unwrap();
        self.rig.balancer.signal("HUP");
    }

    /// The nodes that serve, as the admin API names them.
    pub(crate) fn serving(&self) -> Vec<String> {
        let nodes = self.rig.json("/api/v1/nodes");
        let nodes = nodes.as_array().expect("a list").iter();
        let serve = nodes.filter(|node| node["state"] == "serving");
        serve.map(|node| node["id"].as_str().expect("an id").to_owned()).collect()
    }

    /// Waits until so many serve, and gives them.
    #[track_caller]
    pub(crate) fn wait_for_serving(&self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.serving();
            if now.len() == count {
                return now;
            }
            assert!(Instant::now() < deadline, "{count} never served: {now:?}\n{}", self.events());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Full ids of the containers of this backend, whoever started them; stopped ones too.
    pub(crate) fn containers(&self) -> Vec<String> {
        containers(&self.name)
    }

    /// Waits until the engine has so many containers of this backend.
    #[track_caller]
    pub(crate) fn wait_for_containers(&self, count: usize) {
        wait_for("that number of containers", || (self.containers().len() == count).then_some(()));
    }

    /// Everything that was told, a line each.
    pub(crate) fn events(&self) -> String {
        let events = self.rig.json("/api/v1/events");
        let lines = events.as_array().expect("a list").iter();
        lines.map(|event| format!("{} {}\n", event["kind"], event["text"])).collect()
    }

    /// Waits until all of these were told.
    #[track_caller]
    pub(crate) fn wait_for_words(&self, words: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        while let Some(missing) = words.iter().find(|word| !self.events().contains(**word)) {
            assert!(Instant::now() < deadline, "never said {missing:?}:\n{}", self.events());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A write of the admin API.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Message {
        let address = self.rig.balancer.admin.expect("the admin API is on");
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        Client::connect(address, "").send(request).response_to("POST")
    }

    #[track_caller]
    pub(crate) fn scale(&self, replicas: u32) {
        let path = format!("/api/v1/backends/{}/scale", self.name);
        let answer = self.post(&path, &json!({ "replicas": replicas }));
        assert_eq!(answer.status(), 200, "{answer:?}");
    }

    #[track_caller]
    pub(crate) fn roll(&self) {
        let answer = self.post(&format!("/api/v1/backends/{}/roll", self.name), &json!({}));
        assert_eq!(answer.status(), 202, "{answer:?}");
    }

    /// The container that answers next, by its short id.
    #[track_caller]
    pub(crate) fn who(&self) -> String {
        let answer = self.rig.get("/");
        assert_eq!(answer.status(), 200, "{answer:?}");
        answer.field("x-node").expect("a node says who it is").to_owned()
    }

    /// Clients that ask as fast as they are answered; they have been answered when this returns.
    #[track_caller]
    pub(crate) fn traffic(&self, clients: usize) -> Traffic {
        let traffic = Traffic::start(self.rig.balancer.address(), clients);
        traffic.wait_for_more(50);
        traffic
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        // First the balancer: it would start others.
        self.rig.balancer.signal("KILL");
        wait_for("the end of the balancer", || (!self.rig.balancer.is_alive()).then_some(()));
        let left = self.containers();
        let left: Vec<_> = left.iter().map(String::as_str).collect();
        if !left.is_empty() {
            let _ = Command::new("docker").args(["rm", "--force", "--volumes"]).args(left).output();
        }
    }
}

/// See [`Yard::containers`].
pub(crate) fn containers(name: &str) -> Vec<String> {
    let filter = format!("label=plimsoll.backend={name}");
    let list = docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
    list.lines().map(str::to_owned).collect()
}

/// Runs the command of the balancer that operators use.
#[track_caller]
pub(crate) fn plimsoll(arguments: &[&str]) -> String {
    let output = Command::new(Path::new(env!("CARGO_BIN_EXE_plimsoll"))).args(arguments).output().unwrap();
    assert!(output.status.success(), "plimsoll {arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
