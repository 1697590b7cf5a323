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
