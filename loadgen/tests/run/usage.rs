//! Every bad flag: exit code 2, and words that help.

use crate::rig::bare;

#[test]
fn bad_flags_end_with_2_and_say_what_is_wrong() {
    let url = "http://127.0.0.1:9/";
    let cases: &[(&[&str], &str)] = &[
        (&[], "required"),
        (&["https://h/"], "TLS"),
        (&["ftp://h/"], "none of"),
        (&["http://h:0/"], "port"),
        (&["tcp://h"], "port"),
        (&["http://a/", "ws://b/"], "different protocols"),
        (&[url, "-c", "0"], "whole number"),
        (&[url, "-c", "2M"], "highest number"),
        (&[url, "-t", "0"], "whole number"),
        (&[url, "-t", "8", "-c", "4"], "-c 8"),
        (&["http://127.0.0.1:9/", "http://127.0.0.1:8/", "-c", "1"], "-c 2"),
        (&[url, "-n", "x"], "not a number"),
        (&[url, "-d", "0"], "nothing to measure"),
        (&[url, "-d", "5parsecs"], "not a time"),
        (&[url, "--timeout", "0"], "no time"),
        (&[url, "--rate", "0"], "sends nothing"),
        (&[url, "--rate", "20M"], "highest rate"),
        (&[url, "--rate", "5", "--ramp", "1..2/1s"], "cannot be used with"),
        (&[url, "--ramp", "1..2"], "not a ramp"),
        (&[url, "--steps", "1,2"], "not steps"),
        (&[url, "--burst", "5"], "not a burst"),
        (&[url, "--arrivals", "normal", "--rate", "5"], "none of constant"),
        (&[url, "--arrivals", "poisson"], "needs a rate"),
        (&[url, "-m", "A B"], "no method"),
        (&[url, "-m", "CONNECT"], "tunnels"),
        (&[url, "-H", "novalue"], "not a header"),
        (&[url, "-H", "x: a\r\nb: c"], "control character"),
        (&[url, "--host", "a\r\nb"], "control character"),
        (&[url, "-b", "@/nowhere/at/all"], "body file"),
        (&[url, "--ok", "99"], "not a status"),
        (&[url, "--expect", "x"], "tcp://"),
        (&["ws://h/", "-m", "PUT"], "http://"),
        (&["ws://h/", "--no-keepalive"], "kept open"),
        (&["tcp://h:1", "--expect", ""], "needs a text"),
        (&[url, "--source", "nowhere"], "invalid"),
        (&[url, "--driver", "kqueue"], "none of auto"),
        (&[url, "--slo", "p99<10"], "unit"),
        (&[url, "--slo", "latency<1s"], "none of"),
        (&[url, "--find-max", "p99"], "not a condition"),
        (&[url, "--find-max", "p99<1s", "--slo", "p99<1s"], "cannot be used with"),
        (&[url, "--events", "http://h/"], "not a ws://"),
        (&[url, "--events-token-file", "/etc/hostname"], "--events"),
        (&[url, "--events", "ws://127.0.0.1:9/ws", "--events-token-file", "/nowhere"], "/nowhere"),
        // What hey and oha mean by -d and -t, and a report of no kind.
        (&[url, "-d", "{\"a\":1}"], "a body is -b"),
        (&[url, "-t", "20s"], "--timeout 20s"),
        (&[url, "-o", "load.pdf"], ".html"),
        (&[url, "--json", "/nowhere/at/all.json"], "no folder"),
        (&[url, "--frobnicate"], "unexpected"),
        (&[url, "-T", "5s"], "--timeout 5s"),
        (&[url, "-t", "0"], "one thread a core"),
        (&[url, "-d", "1d"], "24h"),
        (&[url, "-c", "-5"], "below zero"),
        (&[url, "--seed", "x"], "whole number"),
        (&["1.5@http://127.0.0.1:9/"], "weights are whole numbers"),
        (&[url, "--slo", "p99<10ms,"], "an empty condition after the last comma"),
        (&[url, "--find-max", "p99<1s", "--rate", "0.5"], "below 1/s"),
        // What others have, and what there is here.
        (&[url, "-x", "http://proxy/"], "--host"),
        (&[url, "-h2"], "HTTP/1.1"),
        (&[url, "-w"], "always awaited"),
        (&[url, "-j"], "--json -"),
        (&[url, "-p", "4"], "-c"),
        (&[url, "-s", "x.lua"], "--template"),
        // What says two things at once.
        (&[url, "-H", "Transfer-Encoding: chunked", "-b", "x"], "tcp://"),
        (&[url, "-H", "Content-Length: 3", "-b", "hello"], "leave the header out"),
        (&[url, "-H", "Host: a", "--host", "b"], "--host and -H"),
        (&[url, "-H", "host: a", "-H", "host: b"], "-H twice"),
        (&[url, "-H", "Content-Type: a/b", "-T", "c/d"], "-T and -H"),
        (&[url, "-H", "Authorization: x", "-a", "u:p"], "-a and -H"),
        (&[url, "-H", "Connection: keep-alive", "--no-keepalive"], "contradict"),
        (&["ws://h/", "-H", "Upgrade: x"], "handshake"),
        // What would do nothing.
        (&[url, "--node-header", ""], "not the name of a header"),
        (&[url, "--node-header", "not there"], "not the name of a header"),
        (&[url, "-a", "x"], "USER:PASSWORD"),
        (&["tcp://h:1", "-b", ""], "nothing is sent"),
        (&["tcp://h:1", "-H", "a: b"], "--header does nothing here"),
        (&["tcp://h:1", "--ok", "200"], "--ok does nothing here"),
        (&["tcp://h:1", "--host", "a"], "--host does nothing here"),
        (&["tcp://h:1", "-a", "u:p"], "--basic-auth does nothing here"),
        (&["ws://h/", "--ok", "200"], "--ok does nothing here"),
        (&["unix:/run/x.sock", "--source", "127.0.0.2"], "--source is for TCP"),
        (&[url, "--unix-socket", "/run/x.sock", "--source", "127.0.0.2"], "--source is for TCP"),
        (&[url, "--source", "::1"], "--source ::1"),
        (&[url, "--source", "127.0.0.1,::1"], "IPv6"),
        (&[url, "--source", "203.0.113.7"], "--source 203.0.113.7"),
        // Reports that could not be written after the run.
        (&[url, "--json", "/proc/x.json"], "--json /proc/x.json"),
        (&[url, "--html", "/tmp/x.html/"], "ends with /"),
        (&[url, "--json", "/tmp/loadgen-x", "--csv", "/tmp/loadgen-x"], "own file"),
        (&[url, "--json", "-", "--hgrm", "-"], "standard output"),
        (&[url, "--json", "-", "-o", "csv"], "standard output"),
        (&["compare", "a", "b", "--surely"], "--fail-if"),
        (&["compare", "a", "b", "--fail-if", "p99>+5%,"], "empty condition"),
        (&["compare", "a", "b", "--seed", "x"], "whole number"),
    ];
    for (arguments, words) in cases {
        let run = bare(arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(words), "{arguments:?} should speak of `{words}`: {}", run.stderr);
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for flag in ["--help", "--version"] {
        assert_eq!(bare(&[flag]).code, 0);
    }
}

/// Who types a password wrong has it on the screen; nobody else needs to see it.
#[test]
fn an_error_does_not_repeat_a_password() {
    let run = bare(&["http://127.0.0.1:9/", "-a", "hunter2"]);
    assert_eq!(run.code, 2);
    assert!(!run.stderr.contains("Is the server") && run.stderr.contains("--basic-auth"), "{}", run.stderr);
}
