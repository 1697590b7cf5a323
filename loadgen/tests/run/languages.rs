//! HTTP in its forms, Unix sockets, IPv6, WebSocket, raw TCP; what is sent is what was asked for.

use std::collections::BTreeSet;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;

use crate::rig::{OK, answer_all, answer_all_unix, answer_each, bare, run, serve, serve_on};

fn completed(arguments: &[&str]) -> u64 {
    let run = run(arguments);
    assert_eq!(run.code, 0, "{arguments:?}: {}", run.stderr);
    let totals = run.result().totals;
    assert_eq!(totals.failed, 0, "{arguments:?}: {:?}", run.result().errors);
    totals.completed
}

/// A server that hands every request to the test.
fn recorder() -> (String, mpsc::Receiver<(String, String)>) {
    let (sender, requests) = mpsc::channel();
    let address = serve(move |stream, _| {
        answer_each(stream, |request| {
            let _ = sender.send((request.head.clone(), request.body.clone()));
            OK.to_owned()
        });
    });
    (format!("http://{address}"), requests)
}

#[test]
fn every_framing_of_an_answer() {
    for answer in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
    ] {
        assert_eq!(
            completed(&[&format!("http://{}/", answer_all(answer)), "-c", "2", "-n", "20"]),
            20,
            "{answer}"
        );
    }
    let until_close = serve(|mut stream, _| {
        let _ = stream.read(&mut [0; 1000]);
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nall of it");
    });
    assert_eq!(completed(&[&format!("http://{until_close}/"), "-c", "2", "-n", "20"]), 20);
    let head = answer_all("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
    assert_eq!(completed(&[&format!("http://{head}/"), "-m", "HEAD", "-c", "2", "-n", "20"]), 20);
}

#[test]
fn large_answers_are_read_whole() {
    let server = serve(|stream, _| {
        answer_each(stream, |_| {
            format!("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{}", "x".repeat(1_000_000))
        });
    });
    let run = run(&[&format!("http://{server}/"), "-c", "2", "-n", "10"]);
    assert_eq!((run.code, run.result().totals.completed), (0, 10));
    assert!(run.result().totals.bytes_in > 10_000_000);
}

#[test]
fn unix_sockets_and_ipv6() {
    let socket = answer_all_unix("languages");
    let socket = socket.to_str().unwrap();
    assert_eq!(completed(&[&format!("unix:{socket}:/x"), "-c", "2", "-n", "20"]), 20);
    assert_eq!(completed(&["http://anything/", "--unix-socket", socket, "-c", "2", "-n", "20"]), 20);
    let six = serve_on("[::1]:0", |stream, _| answer_each(stream, |_| OK.to_owned()));
    assert_eq!(completed(&[&format!("http://{six}/"), "-c", "2", "-n", "20"]), 20);
}

#[test]
fn method_headers_body_and_authentication_arrive() {
    let (url, requests) = recorder();
    let url = format!("{url}/a?b=c");
    let arguments = [
        &url, "-n", "1", "-c", "1", "-m", "PATCH", "-H", "X-One: 1", "-T", "text/x", "-A", "a/b", "-a",
        "u:p", "--host", "other", "-b", "hello",
    ];
    assert_eq!(completed(&arguments), 1);
    let (head, body) = requests.recv().unwrap();
    for line in [
        "PATCH /a?b=c HTTP/1.1",
        "X-One: 1",
        "content-type: text/x",
        "accept: a/b",
        "host: other",
        "authorization: Basic dTpw",
        "content-length: 5",
    ] {
        assert!(head.lines().any(|other| other == line), "{line} is missing in {head}");
    }
    assert_eq!(body, "hello");
}

#[test]
fn a_method_goes_out_as_servers_know_it() {
    for (typed, sent) in [("get", "GET /"), ("Delete", "DELETE /"), ("pURGE", "pURGE /")] {
        let (url, requests) = recorder();
        assert_eq!(completed(&[&url, "-n", "1", "-c", "1", "-m", typed]), 1);
        assert!(requests.recv().unwrap().0.starts_with(sent), "{typed}");
    }
}

/// Command lines as they are typed for wrk2, hey and oha.
#[test]
fn the_flags_of_others_do_what_they_do_there() {
    let url = format!("http://{}/", answer_all(OK));
    assert_eq!(completed(&["-t2", "-c4", "-d", "200ms", "-R200", "-L", "--timeout", "2s", &url]), 40);
    let hey = ["-n", "40", "-c", "4", "-m", "PUT", "-T", "a/b", "-A", "c/d", "--disable-compression"];
    assert_eq!(completed(&[&hey[..], &["--disable-redirects", "--cpus", "2", &url]].concat()), 40);
    assert_eq!(completed(&["--no-tui", "--latency-correction", "-q", "200", "-z", "200ms", &url]), 40);
    let last = run(&[&url, "-c", "2", "-n", "9", "-c", "3", "-n", "6", "-d", "9s", "-d", "8s"]).result();
    assert_eq!((last.settings.connections, last.totals.sent, last.settings.duration_ms), (3, 6, Some(8000)));
    let csv = bare(&[&url, "--quiet", "-n", "4", "-c", "1", "-o", "csv"]);
    assert!(csv.code == 0 && csv.text().lines().count() >= 2, "{}", csv.text());
}

#[test]
fn a_template_numbers_requests_without_gap_or_double() {
    let (url, requests) = recorder();
    let url = format!("{url}/{{{{counter}}}}");
    assert_eq!(
        completed(&[&url, "--template", "-b", "id={{counter}}", "-n", "40", "-c", "4", "--rate", "400"]),
        40
    );
    let bodies: BTreeSet<String> = requests
        .try_iter()
        .map(|(head, body)| {
            let number = body.strip_prefix("id=").unwrap();
            assert!(head.starts_with(&format!("POST /{number} HTTP/1.1")), "{head}");
            number.to_owned()
        })
        .collect();
    assert_eq!(bodies, (0..40).map(|number| number.to_string()).collect());
}

/// Of a closed loop too, whatever threads and hosts share it.
#[test]
fn a_closed_loop_numbers_requests_without_gap_or_double_too() {
    let (one, requests_one) = recorder();
    let (two, requests_two) = recorder();
    let urls = [format!("{one}/{{{{counter}}}}"), format!("{two}/{{{{counter}}}}")];
    assert_eq!(completed(&[&urls[0], &urls[1], "--template", "-n", "200", "-c", "8", "-t", "2"]), 200);
    let heads = requests_one.try_iter().chain(requests_two.try_iter()).map(|(head, _)| head);
    let mut numbers: Vec<u64> =
        heads.map(|head| head["GET /".len()..head.find(" HTTP").unwrap()].parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<u64>>());
}

#[test]
fn weights_divide_the_requests_also_between_hosts() {
    let (one, requests_one) = recorder();
    let (two, requests_two) = recorder();
    let urls = [format!("3@{one}/a"), format!("1@{one}/b"), format!("2@{two}/c")];
    let arguments = [&urls[0], &urls[1], &urls[2], "-n", "60", "-c", "6", "-t", "2", "--rate", "1k"];
    assert_eq!(completed(&arguments), 60);
    let of_one: Vec<String> = requests_one.try_iter().map(|(head, _)| head).collect();
    let a = of_one.iter().filter(|head| head.starts_with("GET /a")).count();
    assert_eq!((a, of_one.len() - a, requests_two.try_iter().count()), (30, 10, 20));
}

#[test]
fn without_keepalive_every_request_has_its_own_connection() {
    let (url, requests) = recorder();
    let run = run(&[&url, "--no-keepalive", "-n", "20", "-c", "2"]);
    let totals = run.result().totals;
    assert_eq!((run.code, totals.completed, totals.connects), (0, 20, 20));
    assert!(requests.recv().unwrap().0.contains("connection: close"));
}

#[test]
fn source_addresses_are_used_in_turn() {
    let (sender, peers) = mpsc::channel();
    let server = serve(move |stream, _| {
        let _ = sender.send(stream.peer_addr().unwrap().ip().to_string());
        answer_each(stream, |_| OK.to_owned());
    });
    let arguments =
        [&format!("http://{server}/"), "--source", "127.0.0.2,127.0.0.3", "-c", "4", "-t", "1", "-n", "20"];
    assert_eq!(completed(&arguments), 20);
    let mut peers: Vec<String> = peers.try_iter().collect();
    peers.sort();
    assert_eq!(peers, ["127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3"]);
}

/// The look whether somebody listens is a connection as well.
#[test]
fn no_connection_comes_from_another_address_than_those_asked_for() {
    let (sender, peers) = mpsc::channel();
    let server = serve(move |stream, _| {
        let _ = sender.send(stream.peer_addr().unwrap().ip().to_string());
        answer_each(stream, |_| OK.to_owned());
    });
    let url = format!("http://{server}/");
    assert_eq!(
        completed(&[&url, "--no-keepalive", "--source", "127.0.0.2,127.0.0.3", "-c", "2", "-n", "6"]),
        6
    );
    let peers: BTreeSet<String> = peers.try_iter().collect();
    assert_eq!(peers.into_iter().collect::<Vec<_>>(), ["127.0.0.2", "127.0.0.3"]);
}

#[test]
fn answers_are_split_by_the_node_header() {
    let server = serve(|stream, number| {
        answer_each(stream, |_| format!("HTTP/1.1 200 OK\r\nx-who: n{number}\r\ncontent-length: 0\r\n\r\n"));
    });
    let run =
        run(&[&format!("http://{server}/"), "-c", "2", "-t", "1", "-n", "20", "--node-header", "X-Who"]);
    let nodes = run.result().nodes;
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["n0", "n1"]);
    assert_eq!(nodes.values().sum::<u64>(), 20);
}

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 1000];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

#[test]
fn raw_tcp_sends_and_expects() {
    let url = format!("tcp://{}", serve(|stream, _| echo(stream)));
    assert_eq!(completed(&[&url, "-n", "20", "-c", "2", "-b", r"PING\r\n"]), 20);
    assert_eq!(
        completed(&[
            &url,
            "-n",
            "20",
            "-c",
            "2",
            "-b",
            r"a {{counter}} b\n",
            "--template",
            "--expect-until",
            r"b\n"
        ]),
        20
    );
    let wrong = run(&[&url, "-n", "5", "-c", "1", "-b", "PING", "--expect", "PONG"]);
    assert_eq!((wrong.code, wrong.errors("unexpected answer")), (1, 5));
}

#[test]
fn websocket_messages_come_back() {
    let server = serve(|stream, _| {
        let mut socket = tungstenite::accept(stream).expect("a good handshake");
        while let Ok(message) = socket.read() {
            if message.is_text() && socket.send(message).is_err() {
                return;
            }
        }
    });
    let url = format!("ws://{server}/echo");
    assert_eq!(completed(&[&url, "-n", "20", "-c", "2", "-b", "hello {{counter}}", "--template"]), 20);
    let long = "x".repeat(70_000);
    assert_eq!(completed(&[&url, "-n", "4", "-c", "2", "-b", &long, "--rate", "100"]), 4);
    let refused = run(&[&format!("ws://{}/", answer_all(OK)), "-n", "5", "-c", "1"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("answered with 200"), "{}", refused.stderr);
    assert!(refused.stderr.contains("not with a WebSocket"), "{}", refused.stderr);
    assert_eq!(completed(&[&url, "-n", "4", "-c", "2", "-b", ""]), 4, "an empty message is one too");
}
