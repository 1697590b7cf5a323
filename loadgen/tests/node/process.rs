//! Start and end of the process.

use std::{
    io::{Read, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::rig::{Client, Node, PATIENCE, drivers, field, until};

fn fails(flags: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.arg("node").args(flags).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let begun = Instant::now();
    // One that does not fail would serve for ever.
    while child.try_wait().expect("a child").is_none() && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let output = child.wait_with_output().expect("it has ended");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn term_lets_the_last_request_finish_and_leaves_a_report() {
    for driver in drivers() {
        let mut node = Node::start(&[&driver[..], &["--report", "-"]].concat());
        let mut idle = node.connect();
        idle.get("/");
        let mut busy = node.connect();
        busy.send("POST /?delay=400ms HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbusy");
        until("the request is seen", || Some(()).filter(|()| node.saw("/bytes/body_received") == 4));
        node.terminate();
        until("it refuses", || TcpStream::connect(&node.address).err());
        let response = busy.response();
        assert_eq!((response.status, field(&response.head, "connection")), (200, Some("close")));
        let (code, stderr) = node.ended();
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains("node n1 saw "), "{stderr}");
        let mut report = String::new();
        node.stdout.read_to_string(&mut report).unwrap();
        let json = &report[report.find('{').expect("a report")..];
        let report: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(report["driver"], driver[1]);
    }
}

/// Docker's default filter answers EPERM to `io_uring_setup`; it is inherited by what the thread starts.
fn forbid_io_uring() {
    let rules = [(425_i64, vec![])].into_iter().collect();
    let eperm = SeccompAction::Errno(1);
    let arch = std::env::consts::ARCH.try_into().expect("an architecture with seccomp");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, eperm, arch).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a program");
    seccompiler::apply_filter(&program).expect("the kernel takes it");
}

#[test]
fn where_io_uring_is_forbidden_epoll_serves_and_the_banner_says_why() {
    let node = std::thread::spawn(|| {
        forbid_io_uring();
        let (code, stderr) = fails(&["--port", "0", "--driver", "io_uring"]);
        assert_eq!(code, Some(1), "{stderr}");
        Node::start(&[])
    });
    let node = node.join().unwrap();
    assert!(
        node.banner.iter().any(|line| line.contains("epoll, as io_uring is not to be had")),
        "{:?}",
        node.banner
    );
    assert_eq!(node.get("/?delay=1ms").status, 200);
}

#[test]
fn a_second_term_ends_it_at_once() {
    let mut node = Node::start(&["--grace", "60s"]);
    let mut busy = node.connect();
    busy.send("POST /?delay=30s HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbusy");
    until("the request is seen", || Some(()).filter(|()| node.saw("/bytes/body_received") == 4));
    node.terminate();
    until("it refuses", || TcpStream::connect(&node.address).err());
    node.terminate();
    assert_eq!(node.ended().0, Some(1));
}

#[test]
fn an_exit_can_be_ordered() {
    let mut node = Node::start(&[]);
    node.connect().send("POST /__node/exit?code=7 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(node.ended().0, Some(7));
}

#[test]
fn a_start_delay_refuses_connections_until_it_is_over() {
    // The port is free again when the probe is dropped: nobody else was told of it.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = Instant::now();
    let client = std::thread::spawn(move || {
        until("it listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        start.elapsed()
    });
    let node = Node::start_on(&port.to_string(), &["--start-delay", "300ms"]);
    assert!(client.join().unwrap() >= Duration::from_millis(300));
    assert_eq!(Client::to(&node.address).get("/").status, 200);
}

#[test]
fn it_listens_on_ipv6_and_says_so() {
    let Ok(_) = TcpListener::bind("[::1]:0") else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: test it_listens_on_ipv6: this machine has no IPv6 loopback"
        );
        return;
    };
    let node = Node::start(&["--listen", "::1"]);
    assert!(node.address.starts_with("[::1]:"));
    assert_eq!(node.get("/").status, 200);
}

#[test]
fn wrong_flags_exit_with_2_and_name_the_flag() {
    for (flags, named) in [
        (&["--delay", "soon"][..], "--delay"),
        (&["--status", "99"], "--status"),
        (&["--keepalive", "1"], "--keepalive"),
        (&["-H", "nocolon"], "--header"),
        (&["--name", "two words"], "--name"),
        (&["--health-path", "up"], "--health-path"),
        (&["--threads", "0"], "--threads"),
        (&["--nonsense"], "--nonsense"),
        (&["--limit", "0"], "whole number from 1"),
        (&["--limit", "x"], "whole number from 1"),
        (&["--seed", "x"], "whole number"),
        (&["--reset", "maybe"], "head, body"),
        (&["--cpu", "2m"], "at most 1m"),
        (&["--piece", "2MiB"], "at most 1MiB"),
        (&["--report", "/nowhere/x"], "--report /nowhere/x"),
    ] {
        let (code, stderr) = fails(flags);
        assert_eq!(code, Some(2), "{flags:?}: {stderr}");
        assert!(stderr.contains(named), "{flags:?}: {stderr}");
    }
}

#[test]
fn a_taken_port_exits_with_1_and_names_the_address() {
    let node = Node::start(&[]);
    let port = node.address.rsplit(':').next().unwrap();
    let (code, stderr) = fails(&["--port", port]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&format!("cannot listen on {}", node.address)), "{stderr}");
    // The kernel would share it, and every other connection would go to the wrong place.
    let (code, stderr) = fails(&["--port", "0", "--tcp-echo", port]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&format!("cannot listen on {}", node.address)), "{stderr}");
}
