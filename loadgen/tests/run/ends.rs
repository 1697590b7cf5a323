//! How runs end: exit codes, gates, the search, signals, events, files.

use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::rig::{OK, answer_all, answer_each, bare, command, run, serve};

#[test]
fn promises_kept_end_with_0_and_broken_ones_with_99() {
    let url = format!("http://{}/", answer_all(OK));
    let kept = run(&[&url, "-c", "2", "-n", "50", "--slo", "p99<5s,errors<1%,rate>1"]);
    assert_eq!(kept.code, 0);
    assert!(kept.result().slo.iter().all(|outcome| outcome.passed));
    let broken = run(&[&url, "-c", "2", "-n", "50", "--slo", "p50<1ns,errors<1%"]);
    assert_eq!(broken.code, 99);
    let passed: Vec<bool> = broken.result().slo.iter().map(|outcome| outcome.passed).collect();
    assert_eq!(passed, [false, true]);
}

/// One connection and 10 ms an answer: a hundred a second and no more.
#[test]
fn the_search_finds_the_knee() {
    let server = serve(|stream, _| {
        answer_each(stream, |_| {
            sleep(Duration::from_millis(10));
            OK.to_owned()
        });
    });
    let url = format!("http://{server}/");
    let found =
        run(&[&url, "-c", "1", "-t", "1", "--find-max", "p99<200ms,errors<1%", "--rate", "20", "-d", "1s"]);
    assert_eq!(found.code, 0, "{}", found.stderr);
    let search = found.result().find_max.unwrap();
    let best = search.best_rate.unwrap();
    assert!((30.0..110.0).contains(&best), "{search:?}");
    assert!(search.steps.len() >= 3 && search.steps.iter().any(|step| !step.passed), "{search:?}");

    let never = run(&[&url, "-c", "1", "-t", "1", "--find-max", "p50<1us", "--rate", "4", "-d", "300ms"]);
    assert_eq!((never.code, never.result().find_max.unwrap().best_rate), (99, None));
}

#[test]
fn a_signal_ends_the_load_and_the_report_comes_all_the_same() {
    let (sender, asked) = std::sync::mpsc::channel();
    let server = serve(move |stream, _| {
        answer_each(stream, |_| {
            let _ = sender.send(());
            OK.to_owned()
        });
    });
    let begun = Instant::now();
    let child = command(&[&format!("http://{server}/"), "-c", "2", "-d", "60s", "--quiet", "--json", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    asked.recv_timeout(Duration::from_secs(20)).expect("load flows");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let result: loadgen::result::RunResult = serde_json::from_slice(&output.stdout).unwrap();
    assert!(result.interrupted && result.totals.completed > 0);
    assert!(begun.elapsed() < Duration::from_secs(30) && result.elapsed_ms < 30_000);
}

#[test]
fn a_monitors_events_stand_on_the_time_axis() {
    let monitor = serve(|stream, _| {
        let mut socket = tungstenite::accept(stream).expect("a good handshake");
        let snapshot =
            r#"{"v":1,"type":"snapshot","at_ms":5,"events":[{"id":7,"at_ms":1,"kind":"node","text":"old"}]}"#;
        socket.send(snapshot.into()).unwrap();
        let answer = socket.read().expect("an answer");
        assert_eq!(answer.to_text().unwrap(), r#"{"type":"pause"}"#);
        let event =
            r#"{"v":1,"type":"event","id":8,"at_ms":6,"kind":"scale","level":"info","text":"api 1 -> 2"}"#;
        socket.send(event.into()).unwrap();
        while socket.read().is_ok() {}
    });
    let url = format!("http://{}/", answer_all(OK));
    let run = run(&[&url, "-c", "1", "-d", "600ms", "--events", &format!("ws://{monitor}/ws")]);
    let result = run.result();
    assert_eq!((run.code, result.events.len()), (0, 1), "{}", run.stderr);
    assert_eq!((&*result.events[0].kind, &*result.events[0].text), ("scale", "api 1 -> 2"));
    assert!(result.events[0].at_ms.abs() < 5000);

    let missing =
        bare(&[&url, "-d", "1s", "--events", &format!("ws://127.0.0.1:{}/", crate::rig::free_port())]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.contains("--events") && missing.stderr.contains("admin address"),
        "{}",
        missing.stderr
    );
}

#[test]
fn what_is_no_monitor_is_said_before_the_run() {
    let url = format!("http://{}/", answer_all(OK));
    for (answer, words) in [
        ("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", "--events-token-file"),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "/ws"),
        (OK, "no monitor"),
    ] {
        let run = bare(&[&url, "-d", "1s", "--events", &format!("ws://{}/ws", answer_all(answer))]);
        assert_eq!(run.code, 1, "{answer}");
        assert!(run.stderr.contains(words), "{answer} should speak of `{words}`: {}", run.stderr);
    }
}

#[test]
fn a_run_writes_files_that_report_and_compare_read() {
    let folder = std::env::temp_dir().join(format!("loadgen-ends-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let url = format!("http://{}/", answer_all(OK));
    let files: Vec<String> =
        ["json", "hgrm", "hlog", "html", "csv"].iter().map(|kind| file(&format!("a.{kind}"))).collect();
    let code = bare(&[
        &url, "-c", "2", "-n", "100", "--json", &files[0], "--hgrm", &files[1], "--hlog", &files[2],
        "--html", &files[3], "--csv", &files[4],
    ])
    .code;
    assert_eq!(code, 0);
    assert!(files.iter().all(|file| std::fs::metadata(file).is_ok_and(|data| data.len() > 50)));
    assert_eq!(bare(&["report", &files[0]]).code, 0);
    assert_eq!(bare(&["compare", &files[0], &files[0]]).code, 0);
    std::fs::remove_dir_all(folder).unwrap();
}

/// A folder of this process's tests, gone with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("loadgen-ends-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Half a minute of load is not lost because `head` has seen enough.
#[test]
fn files_are_written_though_nobody_reads_the_table() {
    let folder = Folder::new("pipe");
    let url = format!("http://{}/", answer_all(OK));
    let to = |name: &str, stdout: Stdio, slo: &str| {
        let file = folder.file(name);
        let arguments = [&url, "-c", "1", "-n", "20", "--quiet", "--json", &file, "--slo", slo];
        let output = command(&arguments).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        let result = loadgen::report::read(std::path::Path::new(&file)).unwrap();
        assert_eq!(result.totals.completed, 20);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    assert_eq!(to("a.json", closed(), "p99<1h"), (Some(0), String::new()), "a closed pipe is no failure");
    assert_eq!(to("b.json", closed(), "p99<1ns").0, Some(99), "and hides none");
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let (code, stderr) = to("c.json", full(), "p99<1h");
    assert!(code == Some(1) && stderr.contains("cannot print"), "{stderr}");

    let mut watched = command(&[&url, "-c", "1", "-n", "20"]);
    let status = watched.stdout(Stdio::null()).stderr(closed()).status().unwrap();
    assert_eq!(status.code(), Some(0), "nor does it fail where nobody reads the live view");
}

#[test]
fn a_file_that_fails_does_not_keep_others_from_being_written() {
    let folder = Folder::new("full");
    let url = format!("http://{}/", answer_all(OK));
    let file = folder.file("kept.csv");
    let run = bare(&[&url, "-c", "1", "-n", "20", "--json", "/dev/full", "--csv", &file]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("--json /dev/full"), "{}", run.stderr);
    assert!(std::fs::metadata(&file).is_ok_and(|data| data.len() > 50));
    assert!(run.text().contains("throughput"), "the table is there too");
}

/// Reports are passed on; what proves who asks is not.
#[test]
fn secrets_of_the_command_line_are_in_no_report() {
    let folder = Folder::new("secrets");
    let url = format!("http://{}/", answer_all(OK));
    let (json, html) = (folder.file("a.json"), folder.file("a.html"));
    let code = bare(&[
        &url,
        "-c",
        "1",
        "-n",
        "5",
        "-a",
        "user:hunter2",
        "-H",
        "cookie: id=hunter2",
        "-H",
        "X-Api-Key:hunter2",
        "-H",
        "x-shown: this",
        "--json",
        &json,
        "--html",
        &html,
    ])
    .code;
    assert_eq!(code, 0);
    for file in [&json, &html] {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(!text.contains("hunter2") && text.contains("x-shown: this"), "{file}");
    }
}

/// What was found so far is no end of the search.
#[test]
fn an_interrupted_search_says_so_and_is_no_success() {
    let url = format!("http://{}/", answer_all(OK));
    let arguments =
        [&url, "-c", "2", "-t", "1", "--find-max", "p99<10s", "--rate", "50", "-d", "400ms", "--json", "-"];
    let mut child = command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let passed = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with('✓')));
    assert!(passed.is_some(), "a first rate passes");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("the search was interrupted")), "{rest:?}");
    let result: loadgen::result::RunResult = serde_json::from_slice(&output.stdout).unwrap();
    assert!(result.interrupted && result.find_max.unwrap().best_rate.is_some());
}
