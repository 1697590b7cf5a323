//! The access log: whole lines, exact numbers, rotation, and a reader that stands still.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde_json::Value;

use crate::harness::balancer::{Driver, Launch};
use crate::harness::origin::{Origin, answering, ok};
use crate::harness::site::site_cases;
use crate::harness::stage::LISTENER;
use crate::rig::{Rig, backend, get, on, wait_for};
use crate::traffic::{Traffic, assert_all_ok};

/// A folder of its own for each test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, driver: Driver) -> Self {
        let path = std::env::temp_dir().join(format!(
            "plimsoll-e2e-{}-{name}-{}",
            std::process::id(),
            driver.name()
        ));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn config(driver: Driver, origin: &Origin, log: &str) -> String {
    format!(
        "driver: {}\naccess_log: {log}\nadmin: {{ bind: \"127.0.0.1:0\" }}\nworkers: 2\n{LISTENER}{}",
        driver.name(),
        backend(&[origin.address()])
    )
}

fn to_file(driver: Driver, origin: &Origin, path: &Path, format: &str) -> Rig {
    Rig::with(&config(driver, origin, &format!("{{ path: \"{}\", format: {format} }}", path.display())))
}

/// The lines of the log, once there are so many.
fn lines(path: &Path, count: usize) -> Vec<String> {
    wait_for("the log's lines", || {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count && text.ends_with('\n')).then_some(lines)
    })
}

/// A named pipe, and a descriptor that keeps it open without reading.
fn pipe_nobody_reads(path: &Path) -> std::os::fd::OwnedFd {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, Mode::RUSR | Mode::WUSR).unwrap();
    rustix::fs::open(path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

site_cases! { on;
    fn json_lines_are_json_and_one_a_request(driver) {
        let (folder, origin) = (Folder::new("json", driver), Origin::start(answering(ok("hello"))));
        let path = folder.file("access.log");
        let rig = to_file(driver, &origin, &path, "json");
        let mut client = rig.client();
        for n in 0..50 {
            client.send(format!("GET /a?n={n} HTTP/1.1\r\nHost: log.test\r\nUser-Agent: e2e \"quoted\"\r\n\r\n"));
            assert_eq!(client.response().status(), 200);
        }
        let own = client.send("GET / HTTP/1.1\r\n\r\n").response();
        assert_eq!(own.status(), 400);
        let lines = lines(&path, 51);
        assert_eq!(lines.len(), 51);
        let records: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records[50]["bytes_out"], own.body.len());
        for (n, record) in records[..50].iter().enumerate() {
            assert_eq!((&record["target"], &record["method"]), (&format!("/a?n={n}").into(), &"GET".into()));
            assert_eq!((&record["status"], &record["end"]), (&200.into(), &"complete".into()), "{record}");
            assert_eq!((&record["client"], &record["host"]), (&"127.0.0.1".into(), &"log.test".into()), "{record}");
            assert_eq!((&record["listener"], &record["backend"]), (&"web".into(), &"node".into()), "{record}");
            assert_eq!(record["user_agent"], "e2e \"quoted\"");
            assert!(record["node"].as_str().unwrap().ends_with(&origin.address().to_string()), "{record}");
            assert!(record["total_us"].as_u64() >= record["first_byte_us"].as_u64(), "{record}");
        }
        let ids: Vec<_> = origin.act().requests().iter().map(|r| r.field("x-request-id").unwrap().to_owned()).collect();
        let logged: Vec<_> = records[..50].iter().map(|r| r["request_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(logged, ids, "the log and the node know a request by the same id");
        assert_eq!((&records[50]["status"], &records[50]["reason"]), (&400.into(), &"bad_host".into()), "{}", records[50]);
        assert_eq!(rig.total("log_lines_total"), 51);
        assert_eq!(rig.total("log_lines_dropped_total"), 0);
    }
    fn a_trace_goes_on_to_the_node_and_into_the_log(driver) {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let (folder, origin) = (Folder::new("trace", driver), Origin::start(answering(ok("hello"))));
        let path = folder.file("access.log");
        let rig = to_file(driver, &origin, &path, "json");
        let request = format!("GET / HTTP/1.1\r\nHost: log.test\r\nTraceparent: {trace}\r\n\r\n");
        assert_eq!(rig.client().send(request).response().status(), 200);
        let record: Value = serde_json::from_str(&lines(&path, 1)[0]).unwrap();
        assert_eq!(record["traceparent"], trace);
        assert!(record["queue_us"] == 0 && record["connect_us"].as_u64() > Some(0), "{record}");
        assert_eq!(origin.act().requests()[0].field("traceparent"), Some(trace));
    }
    fn combined_lines_are_what_log_readers_know(driver) {
        let (folder, origin) = (Folder::new("combined", driver), Origin::start(answering(ok("hello"))));
        let path = folder.file("access.log");
        let rig = to_file(driver, &origin, &path, "combined");
        let mut client = rig.client();
        client.send("GET /x HTTP/1.1\r\nHost: log.test\r\nUser-Agent: agent\r\nReferer: http://from.test/\r\n\r\n");
        assert_eq!(client.response().status(), 200);
        let line = lines(&path, 1).remove(0);
        let (before, rest) = line.split_once(" [").unwrap();
        let (time, rest) = rest.split_once("] ").unwrap();
        assert_eq!(before, "127.0.0.1 - -");
        // 24/Nov/2026:05:36:46 +0000
        assert!(time.len() == 26 && time.ends_with(" +0000") && time.as_bytes()[2] == b'/', "{line}");
        assert!(rest.starts_with("\"GET /x HTTP/1.1\" 200 "), "{line}");
        assert!(rest.contains(" \"http://from.test/\" \"agent\" complete - 0 "), "{line}");
    }
    fn an_abort_is_logged_as_what_it_is(driver) {
        let folder = Folder::new("abort", driver);
        let origin = Origin::start(std::sync::Arc::new(|c| { c.request(); c.rest(); }));
        let path = folder.file("access.log");
        let rig = to_file(driver, &origin, &path, "json");
        let mut client = rig.client();
        client.send(get("/gone"));
        origin.act().wait("the request", |seen| seen.iter().any(|s| !s.requests.is_empty()).then_some(()));
        client.reset();
        let record: Value = serde_json::from_str(&lines(&path, 1)[0]).unwrap();
        assert_eq!((&record["end"], &record["status"]), (&"client_gone".into(), &0.into()), "{record}");
    }
    fn usr1_reopens_the_file(driver) {
        let (folder, origin) = (Folder::new("usr1", driver), Origin::start(answering(ok("hello"))));
        let (path, moved) = (folder.file("access.log"), folder.file("access.log.1"));
        let rig = to_file(driver, &origin, &path, "json");
        assert_eq!(rig.get("/before").status(), 200);
        lines(&path, 1);
        fs::rename(&path, &moved).unwrap();
        rig.balancer.signal("USR1");
        wait_for("a new file", || path.exists().then_some(()));
        assert_eq!(rig.get("/after").status(), 200);
        assert!(lines(&path, 1)[0].contains("\"/after\""));
        assert_eq!(lines(&moved, 1).len(), 1);
        assert!(rig.balancer.is_alive());
    }
    fn all_lines_are_there_after_a_drain(driver) {
        let (folder, origin) = (Folder::new("drain", driver), Origin::start(answering(ok("hello"))));
        let path = folder.file("access.log");
        let rig = to_file(driver, &origin, &path, "json");
        let traffic = Traffic::start(rig.balancer.address(), 8);
        traffic.wait_for_more(500);
        let sent = traffic.stop().len();
        rig.balancer.signal("TERM");
        assert_eq!(rig.balancer.exit_code(crate::harness::PATIENCE), 0);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().filter(|l| serde_json::from_str::<Value>(l).is_ok()).count(), sent);
    }
    fn a_reader_that_stands_still_costs_lines_and_no_request(driver) {
        let (folder, origin) = (Folder::new("still", driver), Origin::start(answering(ok("hello"))));
        let path = folder.file("pipe");
        let _unread = pipe_nobody_reads(&path);
        let launch = Launch { stdout: Some(&path), ..Launch::default() };
        let config = config(driver, &origin, "{ path: stdout, format: json }");
        let rig = Rig { balancer: crate::harness::balancer::Balancer::launch(&config, &launch) };
        // Lines of some 8 KiB fill the channel (8 MiB) and the pipe with few requests.
        let long = "x".repeat(7_500);
        let mut clients: Vec<_> = (0..8).map(|_| rig.client()).collect();
        wait_for("lines that are dropped", || {
            for _ in 0..20 {
                clients.iter_mut().for_each(|client| { client.send(get(&format!("/{long}"))); });
                clients.iter_mut().for_each(|client| assert_eq!(client.response().status(), 200));
            }
            (rig.total("log_lines_dropped_total") > 0).then_some(())
        });
        let traffic = Traffic::start(rig.balancer.address(), 4);
        traffic.wait_for_more(200);
        assert_all_ok(&traffic.stop());
        assert!(rig.metric("plimsoll_telemetry_dropped_total", &["kind=\"log_line\""]) > 0.0);
        drop(clients);
        rig.wait_until_quiet();
        rig.balancer.signal("TERM");
        assert_eq!(rig.balancer.exit_code(crate::harness::PATIENCE), 0);
        // Its last words may still be on their way to this test.
        wait_for("the warning", || rig.balancer.stderr().contains("access log").then_some(()));
    }
}
