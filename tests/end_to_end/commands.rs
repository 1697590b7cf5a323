//! The commands as a person meets them: exit codes, errors, the demo.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::harness::PATIENCE;
use crate::harness::client::Client;
use crate::harness::origin::{Origin, answering, ok};
use crate::kernel::{children, is_alive};
use crate::rig::{get, wait_for};

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

/// Runs `plimsoll run` with a configuration that it is expected to refuse.
#[track_caller]
pub(crate) fn run_config(config: &str) -> Ended {
    let file = write(config);
    let ended = plimsoll(&["run", "-c", file.to_str().unwrap()]);
    let _ = std::fs::remove_file(file);
    ended
}

/// Runs a command to its end; one that does not end by itself is killed, and fails the test.
#[track_caller]
pub(crate) fn plimsoll(arguments: &[&str]) -> Ended {
    let mut child = spawn(arguments);
    let deadline = Instant::now() + PATIENCE;
    while child.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "`plimsoll {}` does not end", arguments.join(" "));
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.0.stderr.take().unwrap(), &mut stderr).unwrap();
    Ended { code: child.0.wait().unwrap().code(), stderr }
}

/// A child that does not outlive its test.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(arguments: &[&str]) -> Owned {
    let child = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    Owned(child.expect("the balancer starts"))
}

fn write(config: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name =
        format!("end_to_end-command-{}-{}.yaml", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, config).unwrap();
    file
}

/// A balancer that was not started by the harness: its first address, its admin's, and all it has said.
struct Started {
    child: Owned,
    web: SocketAddr,
    admin: Option<SocketAddr>,
    said: String,
}

#[track_caller]
fn start(arguments: &[&str]) -> Started {
    let mut child = spawn(arguments);
    let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
    let (mut web, mut admin, mut said) = (None, None, String::new());
    loop {
        let Some(Ok(line)) = lines.next() else { panic!("`plimsoll {}` ended: {said}", arguments.join(" ")) };
        said.push_str(&line);
        said.push('\n');
        if let Some(rest) = line.strip_prefix("listening on http://") {
            web = rest.split([' ', ',']).next().unwrap().parse().ok();
        } else if let Some(rest) = line.strip_prefix("admin on http://") {
            admin = rest.parse().ok();
        } else if line.starts_with("ready:") {
            break;
        }
    }
    // What is said from here on must not meet a pipe that nobody reads.
    std::thread::spawn(move || lines.for_each(drop));
    Started { child, web: web.expect("an address"), admin, said }
}

impl Started {
    fn signal(&self, name: &str) {
        let pid = self.child.0.id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -s $0 $1", name, &pid]).status().unwrap().success());
    }

    fn exit_code(&mut self) -> Option<i32> {
        wait_for("the end", || self.child.0.try_wait().unwrap()).code()
    }
}

#[test]
fn a_wrong_configuration_ends_with_2_and_never_starts() {
    let Ended { code, stderr } = run_config("routes:\n  - path: /*\n    backend: nobody\nlistenrs: {}\n");
    assert_eq!(code, Some(2), "{stderr}");
    // All that is wrong, at once, where it is.
    assert!(
        stderr.contains("nobody") && stderr.contains("listenrs") && stderr.contains("listeners"),
        "{stderr}"
    );
    assert!(!stderr.contains("listening on"), "{stderr}");
}

#[test]
fn a_file_that_is_not_there_ends_with_2() {
    let Ended { code, stderr } = plimsoll(&["run", "-c", "/nonexistent/plimsoll.yaml"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("/nonexistent/plimsoll.yaml"), "{stderr}");
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for wrong in [&["runn"][..], &["run", "--lisen", ":1"], &["run", "--listen", ":1"], &[]] {
        let Ended { code, stderr } = plimsoll(wrong);
        assert_eq!(code, Some(2), "{wrong:?}: {stderr}");
    }
}

#[test]
fn keys_of_later_versions_pass_check_and_are_refused_by_run() {
    let file = write(
        "routes: [{ backend: secret }]\n\
         backends: { secret: { servers: [{ url: 'https://127.0.0.1:443' }] } }\n",
    );
    let path = file.to_str().unwrap();
    assert_eq!(plimsoll(&["check", "-c", path]).code, Some(0));
    let Ended { code, stderr } = plimsoll(&["run", "-c", path]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("TLS to servers"), "{stderr}");
}

#[test]
fn a_dry_run_tells_what_it_would_do_and_starts_nothing() {
    let file = write(
        "admin: { bind: '127.0.0.1:0' }\nlisteners: { web: { bind: '127.0.0.1:0' } }\n\
         routes: [{ path: /*, backend: a }]\n\
         backends: { a: { process: { command: [sleep, '1{port}'] }, scale: { min: 2, max: 4 } } }\n",
    );
    let mut child = spawn(&["run", "--dry-run", "-c", file.to_str().unwrap()]);
    let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let web = lines.find_map(|line| line.strip_prefix("listening on http://").map(str::to_owned)).unwrap();
    let told = lines.find(|line| line.contains("(dry run: nothing is done)")).unwrap();
    assert!(told.contains("`min` is 2"), "{told}");
    assert!(children(child.0.id()).is_empty());
    let web: SocketAddr = web.split(' ').next().unwrap().parse().unwrap();
    let refused = wait_for("a refusal at once", || {
        let answer = Client::connect(web, "a.test").send(get("/")).response();
        (answer.field("x-plimsoll-reason") == Some("no_healthy_node")).then_some(answer)
    });
    assert_eq!(refused.status(), 503);
}

#[test]
fn two_flags_balance_without_a_file() {
    let origin = Origin::start(answering(ok("hi")));
    let to = origin.address().to_string();
    let mut started = start(&["run", "--listen", "127.0.0.1:0", "--to", &to, "--admin", "127.0.0.1:0"]);
    assert_eq!(Client::connect(started.web, "a.test").send(get("/")).response().text(), "hi");
    assert!(started.admin.is_some() && started.said.lines().count() <= 8, "{}", started.said);
    started.signal("TERM");
    assert_eq!(started.exit_code(), Some(0));
}

#[test]
fn the_demo_answers_and_leaves_nobody_behind() {
    let mut demo = start(&["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let admin = demo.admin.expect("the demo has an admin API");
    assert!(
        demo.said.starts_with(&format!("open http://{admin}/ ")),
        "the monitor comes first: {}",
        demo.said
    );
    // Its own load wakes a node, and then more of them.
    let deadline = Instant::now() + 3 * PATIENCE;
    while children(demo.child.0.id()).len() < 3 {
        assert!(Instant::now() < deadline, "the load never made it three nodes");
        std::thread::sleep(Duration::from_millis(50));
    }
    let nodes = children(demo.child.0.id());
    let answer = Client::connect(demo.web, "demo.test").send(get("/")).response();
    assert!(answer.status() == 200 && answer.field("x-node").is_some_and(|name| name.starts_with("node-")));
    let page = Client::connect(admin, &admin.to_string()).send(get("/")).response();
    assert!(page.status() == 200 && page.text().contains("<html"), "{page:?}");
    demo.signal("INT");
    assert_eq!(demo.exit_code(), Some(0));
    wait_for("the end of the nodes", || nodes.iter().all(|&node| !is_alive(node)).then_some(()));
}

#[test]
fn the_nodes_of_a_demo_that_is_killed_end_with_it() {
    let demo = start(&["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let nodes = wait_for("a node", || Some(children(demo.child.0.id())).filter(|nodes| !nodes.is_empty()));
    demo.signal("KILL");
    wait_for("the end of the nodes", || nodes.iter().all(|&node| !is_alive(node)).then_some(()));
}

#[test]
fn a_demo_takes_another_port_where_its_own_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let demo = start(&["demo", "--listen", &address, "--admin", &address]);
    assert_ne!(demo.web.to_string(), address);
    assert_eq!(Client::connect(demo.web, "demo.test").send(get("/")).response().status(), 200);
}
