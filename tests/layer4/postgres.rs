//! A real PostgreSQL behind the balancer, with its own client and its own load generator.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::balancer::Driver;
use crate::harness::site::site_cases;
use crate::rig::{Rig, on};

/// Who the server runs as: it refuses to be root.
const USER: &str = "postgres";

/// Where Debian has the programs of the server, the newest first.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort();
    versions.into_iter().rev().find(|bin| bin.join("initdb").exists() && bin.join("pgbench").exists())
}

/// A server with a folder of its own; both go with it.
struct Server {
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl Server {
    fn start(bin: PathBuf, driver: Driver) -> Self {
        let folder =
            std::env::temp_dir().join(format!("plimsoll-pg-{}-{}", std::process::id(), driver.name()));
        fs::create_dir_all(&folder).unwrap();
        if rustix::process::geteuid().is_root() {
            let id = |flag: &str| {
                let out = Command::new("id").args([flag, USER]).output().unwrap();
                String::from_utf8(out.stdout).unwrap().trim().parse().ok()
            };
            chown(&folder, id("-u"), id("-g")).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { bin, folder, port };
        server.run("initdb", &["-D", "data", "-A", "trust", "-U", USER, "--no-sync"]);
        let options =
            format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off");
        server.run("pg_ctl", &["-D", "data", "-w", "-l", "log", "-o", &options, "start"]);
        server
    }

    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let program = self.bin.join(program);
        let mut command = match rustix::process::geteuid().is_root() {
            false => Command::new(&program),
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(&program);
                command
            }
        };
        said(&program, command.args(arguments).current_dir(&self.folder).output().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.run("pg_ctl", &["-D", "data", "-w", "-m", "immediate", "stop"]);
        } else if let Ok(pid) = fs::read_to_string(self.folder.join("data/postmaster.pid")) {
            let _ = Command::new("kill").args(["-QUIT", pid.lines().next().unwrap_or_default()]).status();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[track_caller]
fn said(program: &Path, output: Output) -> String {
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}: {out}{err}", program.display());
    out
}

site_cases! { on;
    fn postgres_is_served(driver) {
        let Some(bin) = programs() else {
            let test = format!("skipped: test postgres_is_served on {}", driver.name());
            let _ = writeln!(std::io::stderr(), "{test}: apt-get install postgresql postgresql-contrib");
            return;
        };
        let server = Server::start(bin, driver);
        let address = format!("127.0.0.1:{}", server.port).parse().unwrap();
        let rig = Rig::start(driver, &[address], "strategy: least_connections, health: {},", "");
        let port = rig.balancer.listener("db").port().to_string();
        let to = ["-h", "127.0.0.1", "-p", &port, "-U", USER];
        let psql = |query: &str| server.run("psql", &[&to[..], &["-X", "-A", "-t", "-c", query, "postgres"]].concat());
        assert_eq!(psql("select 6 * 7").trim(), "42");
        // An answer of many buffers, spliced on its way.
        let bulk = psql("select repeat('x', 1000) from generate_series(1, 20000)");
        assert_eq!(bulk.len(), 20_000 * 1001);
        let bench = |more: &[&str]| server.run("pgbench", &[&to[..], more, &["postgres"]].concat());
        bench(&["-i", "-q"]);
        let pooled = bench(&["-c", "8", "-j", "2", "-t", "50"]);
        assert!(pooled.contains("number of failed transactions: 0"), "{pooled}");
        // A new connection for each transaction.
        let fresh = bench(&["-S", "-C", "-c", "4", "-t", "50"]);
        assert!(fresh.contains("number of transactions actually processed: 200/200"), "{fresh}");
        rig.wait_until_quiet();
    }
}
