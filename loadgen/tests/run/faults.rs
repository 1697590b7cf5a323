//! Targets that refuse, reset, answer garbage, or never answer.

use std::io::{Read, Write};

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
    }
}

#[test]
fn an_unknown_name_and_a_missing_socket_are_named() {
    let unknown = run(&["http://no-such-host.invalid/", "-d", "1s"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("no-such-host.invalid"), "{}", unknown.stderr);
    let missing = run(&["unix:/nowhere/x.sock", "-d", "1s"]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("refused"), "{}", missing.stderr);
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
