//! What the page shows: a balancer, two nodes of `api` and one of `shop`, and clients that never stop asking.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::harness::balancer::Balancer;
use crate::harness::client::Client;
use crate::harness::origin::{Origin, Script, ok};

/// What a stranger sends in the hope that somebody shows it as markup. The page sets `hit` where it succeeds.
pub(crate) const HOSTILE: &str = "<img src=x onerror=window.hit=1>";

pub(crate) struct Scene {
    pub(crate) balancer: Balancer,
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Scene {
    /// Two clients, some hundred requests a second; one in ten of them fails with 500, one in ten takes 30 ms. Lines are
    /// made from the first request on, and not from the first viewer on.
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// The same, with more keys of `admin`.
    pub(crate) fn with(admin: &str) -> Self {
        let origins: Vec<_> = (0..3).map(|_| Origin::start(node())).collect();
        let [one, two, three] = [0, 1, 2].map(|at| origins[at].address());
        let balancer = Balancer::start(&format!(
            "workers: 2
access_log: {{ path: /dev/null }}
listeners: {{ web: {{ bind: '127.0.0.1:0' }} }}
admin: {{ bind: '127.0.0.1:0'{admin} }}
routes:
  - {{ path: /api/*, backend: api }}
  - {{ path: /*, backend: shop }}
backends:
  api: {{ servers: [{{ url: 'http://{one}' }}, {{ url: 'http://{two}' }}] }}
  shop: {{ servers: [{{ url: 'http://{three}' }}] }}
"
        ));
        let over = Arc::new(AtomicBool::new(false));
        let address = balancer.address();
        let clients = (0..2).map(|seed| ask(address, over.clone(), seed)).collect();
        Self { balancer, over, clients }
    }

    /// A fleet of one to four nodes, and nobody who asks them.
    pub(crate) fn fleet() -> Self {
        let node = env!("CARGO_BIN_EXE_plimsoll");
        let balancer = Balancer::start(&format!(
            "workers: 2
access_log: off
listeners: {{ web: {{ bind: '127.0.0.1:0' }} }}
admin: {{ bind: '127.0.0.1:0' }}
routes: [{{ path: /*, backend: shop }}]
backends:
  shop:
    process: {{ command: ['{node}', demo-node, --name, 'node-{{port}}', --port, '{{port}}'] }}
    scale: {{ min: 1, max: 4 }}
"
        ));
        Self { balancer, over: Arc::default(), clients: Vec::new() }
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.balancer.admin.expect("the banner names the admin API")
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.admin())
    }

    /// The nodes, as the admin API has them.
    pub(crate) fn nodes(&self) -> Vec<Value> {
        let mut client = Client::connect(self.admin(), &self.admin().to_string());
        let answer = client.send("GET /api/v1/nodes HTTP/1.1\r\nhost: {host}\r\n\r\n").response();
        serde_json::from_str(&answer.text()).expect("a list of nodes")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        for client in self.clients.drain(..) {
            let _ = client.join();
        }
    }
}

fn node() -> Script {
    Arc::new(|connection| {
        while let Some(request) = connection.request() {
            if request.target().contains("slow") {
                thread::sleep(Duration::from_millis(30));
            }
            if request.target().contains("fail") {
                connection.send("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n");
            } else {
                connection.send(ok("hello"));
            }
        }
    })
}

/// A client that asks until the scene is over, with a pause that keeps a test machine free for the browser.
fn ask(address: SocketAddr, over: Arc<AtomicBool>, seed: usize) -> JoinHandle<()> {
    let targets = [
        "/api/users?page=2",
        "/",
        "/api/orders",
        "/api/fail",
        "/assets/app.css",
        "/api/x",
        "/slow",
        "/api/y",
        "/api/z",
        "/a",
    ];
    thread::spawn(move || {
        let mut client = Client::connect(address, "shop.test");
        for turn in seed.. {
            if over.load(SeqCst) {
                break;
            }
            let target = targets[turn % targets.len()];
            let request = format!("GET {target} HTTP/1.1\r\nhost: {{host}}\r\nuser-agent: {HOSTILE}\r\n\r\n");
            client.send(request).response();
            thread::sleep(Duration::from_millis(8));
        }
    })
}
