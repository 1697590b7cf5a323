//! Real DNS servers (dnsmasq) behind one address, asked by `dig`: over UDP, and over TCP where an answer is too long.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::datagrams::config;
use crate::harness::balancer::Balancer;
use crate::harness::site::site_cases;
use crate::rig::{Rig, on, wait_for};

/// A server that dies with the test.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    /// One that knows the name `who.test` as this address, and `many.test` as more of them than fit a datagram.
    /// One that answers. Its port must be free for UDP and TCP alike, and other tests take ports meanwhile.
    fn start(who: &str) -> Self {
        wait_for("a DNS server", || {
            let mut server = Self::launch(who);
            wait_for("an answer or an end", || {
                let answers = dig(server.address, &["who.test"]) == [who];
                (answers || server.process.try_wait().unwrap().is_some()).then_some(answers)
            })
            .then_some(server)
        })
    }

    fn launch(who: &str) -> Self {
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let many = (1..=120).map(|host| format!("--host-record=many.test,10.9.8.{host}"));
        let process = Command::new("dnsmasq")
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
                "--pid-file=",
            ])
            .args([
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
                "--user=root",
                "--edns-packet-max=1232",
            ])
            .arg(format!("--port={}", address.port()))
            .arg(format!("--host-record=who.test,{who}"))
            .args(many)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq starts");
        Self { process, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The answers of `dig`, one a line.
fn dig(at: SocketAddr, arguments: &[&str]) -> Vec<String> {
    let output = Command::new("dig")
        .arg(format!("@{}", at.ip()))
        .args(["-p", &at.port().to_string(), "+short", "+tries=1", "+time=2"])
        .args(arguments)
        .output()
        .expect("dig runs");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

site_cases! { on;
    fn dig_is_answered_over_udp_and_over_tcp(driver) {
        for program in ["dnsmasq", "dig"] {
            let found = Command::new(program)
                .arg("--version")
                .output()
                .or_else(|_| Command::new(program).arg("-v").output());
            if found.is_err() {
                eprintln!("skipped: there is no {program} here (Debian: dnsmasq-base, bind9-dnsutils)");
                return;
            }
        }
        let servers = [Server::start("192.0.2.1"), Server::start("192.0.2.2")];
        let nodes = servers.each_ref().map(|server| server.address);
        // The query of `who.test` in octets: a node is well that answers it.
        let query = "hex:002a010000010000000000000377686f04746573740000010001";
        let keys = format!("health: {{ send: \"{query}\", interval: 100ms, timeout: 1s, rise: 1, fall: 1 }},");
        let udp = config(driver, &nodes, &keys, "", "127.0.0.1:0", "");
        let tcp = nodes.map(|node| format!("{{ url: \"tcp://{node}\" }}")).join(", ");
        let both = udp
            .replace(
                "listeners: { ",
                "listeners: { stream: { bind: \"127.0.0.1:0\", protocol: tcp, backend: streams }, ",
            )
            .replace("backends: { ", &format!("backends: {{ streams: {{ servers: [{tcp}] }}, "));
        let rig = Rig { balancer: Balancer::start(&both) };
        wait_for("both serve", || {
            let list = rig.json("/api/v1/nodes");
            let udp = list.as_array().unwrap().iter().filter(|node| node["backend"] == "nodes");
            udp.into_iter().all(|node| node["state"] == "serving").then_some(())
        });
        let at = rig.balancer.listener("dns");
        // A machine that is busy with other tests may take longer than dig waits. What it has to show is who answers.
        wait_for("an answer through the balancer", || {
            let answer = dig(at, &["who.test"]);
            assert!(!rig.balancer.stderr().contains("panicked"), "{}", rig.balancer.stderr());
            ["192.0.2.1", "192.0.2.2"].iter().any(|who| answer == [*who]).then_some(())
        });
        let answers: Vec<_> = (0..10).flat_map(|_| dig(at, &["who.test"])).collect();
        for who in ["192.0.2.1", "192.0.2.2"] {
            let count = answers.iter().filter(|answer| *answer == who).count();
            assert_eq!(count, 5, "{answers:?}\n{}\n{}", rig.json("/api/v1/nodes"), rig.balancer.stderr());
        }
        // Too long for a datagram: `dig` is told so, and asks again over TCP, which is another listener here.
        assert!(dig(at, &["+ignore", "many.test"]).len() < 120);
        assert_eq!(dig(rig.balancer.listener("stream"), &["+tcp", "many.test"]).len(), 120);
        // A server that dies is left out.
        let [first, second] = servers;
        drop(first);
        std::thread::sleep(Duration::from_millis(10));
        for _ in 0..4 {
            assert_eq!(dig(at, &["who.test"]), ["192.0.2.2"]);
        }
        drop(second);
    }
}
