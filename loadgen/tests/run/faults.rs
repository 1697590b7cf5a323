//! Targets that refuse, reset, answer garbage, or never answer.

use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::rig::{OK, answer_all, answer_each, free_port, reset, run, serve};

#[test]
fn a_target_that_refuses_ends_the_run_before_it_begins() {
    let url = format!("http://127.0.0.1:{}/", free_port());
    for more in [&[][..], &["--rate", "10"], &["--no-keepalive"]] {
        let run = run(&[&[url.as_str(), "-d", "1s"], more].concat());
        assert_eq!(run.code, 1, "{more:?}");
        assert!(
            run.stderr.contains("refused") && run.stderr.contains("Is the server running"),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains(&url["http://".len()..url.len() - 1]), "which one: {}", run.stderr);
    }
    let one = run(&[&url, "-d", "1s", "-c", "1"]);
    assert!(one.stderr.contains("the connection to 127.0.0.1:"), "{}", one.stderr);
}

#[test]
fn an_unknown_name_and_a_missing_socket_are_named() {
    let unknown = run(&["http://no-such-host.invalid/", "-d", "1s"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("no-such-host.invalid"), "{}", unknown.stderr);
    let missing = run(&["unix:/nowhere/x.sock", "-d", "1s"]);
    assert_eq!(missing.code, 1);
    for words in ["no such socket file", "/nowhere/x.sock"] {
        assert!(missing.stderr.contains(words), "{}", missing.stderr);
    }
    let without = run(&["unix:/nowhere/x.sock", "-d", "1s", "--no-keepalive"]);
    assert!(without.code == 1 && without.stderr.contains("no such socket file"), "{}", without.stderr);
}

#[test]
fn resets_are_counted_and_nothing_else_comes_of_them() {
    let server = serve(|mut stream, _| {
        let _ = stream.read(&mut [0; 1000]);
        reset(stream);
    });
    let run = run(&[&format!("http://{server}/"), "-c", "2", "-n", "20"]);
    let result = run.result();
    assert_eq!((run.code, result.totals.completed, result.totals.failed), (1, 0, 20));
    assert_eq!(run.errors("reset"), 20, "{:?}", result.errors);
    assert!(result.response.is_empty());
}

#[test]
fn garbage_is_a_bad_response_with_an_example() {
    for garbage in ["SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"] {
        let run = run(&[&format!("http://{}/", answer_all(garbage)), "-c", "1", "-n", "3"]);
        assert_eq!((run.code, run.errors("bad response")), (1, 3), "{garbage}");
        assert!(!run.result().errors[0].example.is_empty());
    }
}

#[test]
fn an_answer_cut_short_is_closed_early() {
    let server = serve(|mut stream, _| {
        let _ = stream.read(&mut [0; 1000]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    });
    let run = run(&[&format!("http://{server}/"), "-c", "1", "-n", "5"]);
    assert_eq!((run.code, run.errors("closed early")), (1, 5), "{:?}", run.result().errors);
}

#[test]
fn a_target_that_never_answers_times_out_and_its_time_is_kept() {
    let server = serve(|mut stream, _| while stream.read(&mut [0; 1000]).is_ok_and(|length| length > 0) {});
    for more in [&[][..], &["--rate", "10"], &["--driver", "epoll"]] {
        let url = format!("http://{server}/");
        let run = run(&[&[&url, "-c", "4", "-d", "500ms", "--timeout", "200ms"], more].concat());
        let result = run.result();
        assert_eq!((run.code, result.totals.completed), (1, 0), "{more:?}");
        assert!(run.errors("timeout") >= 4, "{more:?}: {:?}", result.errors);
        assert_eq!(result.totals.sent, result.totals.failed);
        let shortest_ms = result.service.min_ns() / 1_000_000;
        assert!((199..1000).contains(&shortest_ms), "{more:?}: waited {shortest_ms} ms");
    }
}

/// The accept queue is full and stays so: the handshake of a further connection is never answered.
#[test]
fn a_connect_that_hangs_is_a_connect_timeout() {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _first = std::net::TcpStream::connect(address).unwrap();
    let run = run(&[&format!("http://{address}/"), "-c", "3", "-d", "300ms", "--timeout", "300ms"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("connect timeout"), "{}", run.stderr);
}

#[test]
fn a_status_that_is_not_ok_is_a_failure_with_a_time() {
    let url = format!("http://{}/", answer_all("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"));
    let strict = run(&[&url, "-c", "1", "-n", "10", "--slo", "errors<1%"]);
    let result = strict.result();
    assert_eq!((strict.code, strict.errors("status 503")), (99, 10));
    assert_eq!((result.totals.completed, result.totals.bad_status, result.statuses[&503]), (10, 10, 10));
    assert_eq!(result.response.count(), 10);
    let lenient = run(&[&url, "-c", "1", "-n", "10", "--slo", "errors<1%", "--ok", "200-399,503"]);
    assert_eq!((lenient.code, lenient.result().totals.bad_status), (0, 0));
}

#[test]
fn a_server_that_closes_between_answers_costs_no_request() {
    let server = serve(|mut stream, _| {
        let mut bytes = Vec::new();
        if crate::rig::read_request(&mut stream, &mut bytes).is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let run = run(&[&format!("http://{server}/"), "-c", "2", "-n", "50"]);
    let totals = run.result().totals;
    assert_eq!((run.code, totals.completed, totals.failed), (0, 50, 0));
    assert!(totals.connects >= 50, "{totals:?}");
}

/// Half of the connections are served, half reset: both are told, and the errors have their times.
#[test]
fn errors_carry_first_and_last_time() {
    let server = serve(
        |stream, number| {
            if number % 2 == 0 { answer_each(stream, |_| OK.to_owned()) } else { reset(stream) }
        },
    );
    let run = run(&[&format!("http://{server}/"), "-c", "4", "-d", "700ms", "--rate", "200"]);
    let result = run.result();
    assert!(result.totals.completed > 0 && result.totals.failed > 0, "{:?}", result.totals);
    assert_eq!(result.totals.sent, result.totals.completed + result.totals.failed);
    let group = &result.errors[0];
    assert!(group.first_ms <= group.last_ms && group.last_ms < 3000, "{group:?}");
}

/// To wait for the rest of an answer that has none would be a timeout of five seconds each.
#[test]
fn an_unasked_switch_of_protocols_is_a_bad_response_at_once() {
    for answer in ["HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n", "HTTP/1.1 000 Nothing\r\n\r\n"] {
        let begun = Instant::now();
        let run =
            run(&[&format!("http://{}/", answer_all(answer)), "-c", "1", "-n", "3", "--timeout", "30s"]);
        assert_eq!((run.code, run.errors("bad response")), (1, 3), "{answer}");
        assert!(begun.elapsed() < Duration::from_secs(25), "{answer}");
    }
}

#[test]
fn a_websocket_with_a_wrong_proof_is_named_as_what_it_is() {
    let answer = "HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: x\r\n\r\n";
    let run = run(&[&format!("ws://{}/", answer_all(answer)), "-n", "3", "-c", "1"]);
    assert_eq!(run.code, 1);
    for words in ["sec-websocket-accept", "the server answers, but not with a WebSocket"] {
        assert!(run.stderr.to_lowercase().contains(&words.to_lowercase()), "{}", run.stderr);
    }
}

/// The soft limit is raised; what the hard one cannot hold is said before the run.
#[test]
fn a_limit_of_open_files_is_raised_or_named() {
    let url = format!("http://{}/", answer_all(OK));
    let limited = |limit: &str| {
        let script = format!("ulimit {limit} && exec \"$0\" \"$1\" -c 100 -t 1 -n 300 --quiet --json -");
        let output = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_loadgen"), &url])
            .output()
            .expect("a shell");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), output.stdout)
    };
    let (code, stderr, _) = limited("-n 60");
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("-c 100") && stderr.contains("ulimit -Hn"), "{stderr}");
    let (code, stderr, stdout) = limited("-S -n 60");
    assert_eq!(code, Some(0), "{stderr}");
    let result: loadgen::result::RunResult = serde_json::from_slice(&stdout).unwrap();
    assert_eq!((result.totals.completed, result.errors.len()), (300, 0), "{:?}", result.errors);
}
