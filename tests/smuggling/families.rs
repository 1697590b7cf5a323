//! The families of smuggling payloads that have been published, each against a shared pool.

use crate::range::on_both_drivers;

/// The request that an attacker wants to slip past the balancer.
pub(crate) const INNER: &str = "GET /smuggled HTTP/1.1\r\nHost: {host}\r\nX-Inner: ";

/// Lines that state a framing in a way that some parser has read differently from another.
pub(crate) const CODINGS: &[&str] = &[
    "Transfer-Encoding: chunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    "Transfer-Encoding:chunked",
    "Transfer-Encoding:\tchunked",
    "Transfer-Encoding:\x0bchunked",
    "Transfer-Encoding: \x0cchunked",
    "Transfer-Encoding: chunked\x0b",
    "Transfer-Encoding: chunked\0",
    "Transfer-Encoding: \0chunked",
    "Transfer-Encoding\0: chunked",
    "\0Transfer-Encoding: chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx",
    "Transfer-Encoding: x chunked",
    "Transfer-Encoding: chunked x",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: 'chunked'",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: chunked;",
    "Transfer-Encoding: chunked; q=1",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding:\r\n\tchunked",
    "Transfer-Encoding: x\r\n chunked",
    "X: y\r\n Transfer-Encoding: chunked",
    "X: y\nTransfer-Encoding: chunked",
    "X: y\rTransfer-Encoding: chunked",
    "X: y\r\r\nTransfer-Encoding: chunked",
    "X: y\r\n\rTransfer-Encoding: chunked",
    " Transfer-Encoding: chunked",
    "\tTransfer-Encoding: chunked",
    "Transfer_Encoding: chunked",
    "Transfer Encoding: chunked",
    "Transfer-Encoding\u{2010}: chunked",
    "Transfer\u{2010}Encoding: chunked",
    "transfer-encoding: CHUNKED",
    "tRANSFER-ENCODING: Chunked",
    "Transfer-Encoding: chun\u{212a}ed",
    "Transfer-\u{130}ncoding: chunked",
    "Transfer-Encoding: cow",
    "Transfer-Encoding:",
    "Transfer-Encoding",
    "Transfer-Encoding = chunked",
    ":Transfer-Encoding: chunked",
    "Transfer-Encoding:: chunked",
    "TE: chunked",
    "Content-Encoding: chunked",
    "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
    "Connection: Content-Length\r\nTransfer-Encoding: chunked",
    "Expect: 100-continue\r\nTransfer-Encoding: chunked",
    "Expect: 100-continue, x\r\nTransfer-Encoding: chunked",
    "Upgrade: h2c\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked",
];

/// The same for lengths, where `N` stands for the number.
pub(crate) const LENGTHS: &[&str] = &[
    "Content-Length: N",
    "Content-Length:N",
    "Content-Length : N",
    "Content-Length\t: N",
    "Content-Length: +N",
    "Content-Length: -N",
    "Content-Length: 0N",
    "Content-Length: 0xN",
    "Content-Length: N.0",
    "Content-Length: N;",
    "Content-Length: N, N",
    "Content-Length: N,",
    "Content-Length: ,N",
    "Content-Length: 0, N",
    "Content-Length: N, 0",
    "Content-Length: \"N\"",
    "Content-Length: N\0",
    "Content-Length: \x0bN",
    "Content-Length: N\x0c",
    "Content-Length: N N",
    "Content-Length: N 0",
    "Content-Length: 0\r\nContent-Length: N",
    "Content-Length: N\r\nContent-Length: 0",
    "Content-Length: N\r\nContent-Length: N",
    "Content-Length:\r\n N",
    "Content-Length: N\r\n 0",
    "Content-Length: 0\r\n N",
    "X: y\nContent-Length: N",
    "X: y\rContent-Length: N",
    " Content-Length: N",
    "Content_Length: N",
    "Content Length: N",
    "Content-Length\0: N",
    "CONTENT-LENGTH: N",
    "Content-Length: 18446744073709551616N",
    "Content-Length: 00000000000000000000000000000N",
    "Connection: Content-Length\r\nContent-Length: N",
    "Connection: close, Content-Length\r\nContent-Length: N",
    "Expect: 100-continue\r\nContent-Length: N",
    "Expect: 100-continue\r\nContent-Length: N\r\nContent-Length: 0",
    "Content-Length: \r\nContent-Length: N",
    "Content-Length: 1e1",
    "Content-Length: \u{661}",
    "Content-Length: N\r\nTransfer-Encoding: chunked",
];

/// Starts of requests that have been used to disagree about where one ends.
const STARTS: &[&str] = &[
    "GET / HTTP/1.1",
    "GET / HTTP/1.0",
    "GET / HTTP/0.9",
    "GET /",
    "GET / HTTP/1.1 ",
    "GET / HTTP/1.1\t",
    "GET / HTTP/1.1 x",
    "GET  / HTTP/1.1",
    "GET / HTTP/1.1\r",
    "GET / HTTP/1.1\0",
    "GET / HTTP/01.1",
    "GET / HTTP/1.01",
    "GET / HTTP/1.9",
    "GET / HTTP/2.0",
    "GET / http/1.1",
    "GET / HTTP /1.1",
    "GET / HTTP/1.1HTTP/1.1",
    "GET /x HTTP/1.1 /y HTTP/1.1",
    "GET http://other.test/ HTTP/1.1",
    "GET http://{host}@other.test/ HTTP/1.1",
    "GET http://other.test\\@{host}/ HTTP/1.1",
    "GET //other.test/ HTTP/1.1",
    "GET /\\other.test/ HTTP/1.1",
    "GET {host} HTTP/1.1",
    "GET ? HTTP/1.1",
    "GET * HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "OPTIONS *x HTTP/1.1",
    "CONNECT {host}:80 HTTP/1.1",
    "CONNECT / HTTP/1.1",
    "HEAD / HTTP/1.1",
    "TRACE / HTTP/1.1",
    "PRI * HTTP/2.0",
    "GET /#x HTTP/1.1",
    "GET /%0d%0aX:%20y HTTP/1.1",
    "GET /\u{10a}x HTTP/1.1",
    "\u{feff}GET / HTTP/1.1",
    "G\u{cb}T / HTTP/1.1",
    "POST / HTTP/1.1\r\nHost: other.test",
];

/// Chunked bodies that have been read in two ways; each would hide or show the inner request.
const CHUNKS: &[&str] = &[
    "0\r\n\r\n",
    "0\n\n",
    "0\r\n\n",
    "0\n\r\n",
    "0\r\r\n\r\n",
    "0\r\n\r",
    "00\r\n\r\n",
    "-0\r\n\r\n",
    "+0\r\n\r\n",
    "0x0\r\n\r\n",
    " 0\r\n\r\n",
    "0 \r\n\r\n",
    "0\t\r\n\r\n",
    "0;\r\n\r\n",
    "0;x\r\n\r\n",
    "0;x\n\r\n\r\n",
    "0;\n\r\n\r\n",
    "0;\"\r\n\"\r\n\r\n",
    "0,0\r\n\r\n",
    "0\0\r\n\r\n",
    "\r\n0\r\n\r\n",
    "\r\n\r\n",
    "g\r\n\r\n",
    "1\r\nZ\r\n0\r\n\r\n",
    "1\r\nZZ\r\n0\r\n\r\n",
    "1\r\nZ0\r\n\r\n",
    "1\nZ\r\n0\r\n\r\n",
    "1\r\nZ\n0\r\n\r\n",
    "1\r\nZ\r0\r\n\r\n",
    "1\r\nZXX0\r\n\r\n",
    "1;\nZ\r\n0\r\n\r\n",
    "1;a\nZ\r\n0\r\n\r\n",
    "2;\n0\r\n0\r\n\r\n",
    "10000000000000001\r\nZ\r\n0\r\n\r\n",
    "100000001\r\nZ\r\n0\r\n\r\n",
    "fffffffffffffffff\r\nZ\r\n0\r\n\r\n",
    "ffffffffffffffff\r\nZ\r\n0\r\n\r\n",
    "8000000000000000\r\nZ\r\n0\r\n\r\n",
    "0_1\r\nZ\r\n0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "0\r\nContent-Length: 10\r\n\r\n",
    "0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "0\r\nHost: other.test\r\n\r\n",
    "0\r\nX: y\n\r\n",
    "0\r\nX: y\n\n",
    "0\r\nX : y\r\n\r\n",
    "0\r\n X: y\r\n\r\n",
    "0\r\nX: y\r\n z\r\n\r\n",
    "0\r\nX\r\n\r\n",
    "0\r\n: y\r\n\r\n",
    "0\r\nX: y\rZ: w\r\n\r\n",
    "0\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    "0\r\n\r\n\r\n",
    "0\r\n\r\n0\r\n\r\n",
];

on_both_drivers! {
    fn te_te_and_cl_te_in_every_disguise(range) {
        for coding in CODINGS {
            for length in ["", "Content-Length: 4\r\n", "Content-Length: 60\r\n"] {
                for (first, second) in [(length, format!("{coding}\r\n")), (format!("{coding}\r\n").as_str(), length.to_owned())] {
                    let head = format!("POST / HTTP/1.1\r\nHost: {{host}}\r\n{first}{second}\r\n");
                    range.fire("cl.te", format!("{head}0\r\n\r\n{INNER}").as_bytes());
                    range.fire("te.cl", format!("{head}44\r\n{INNER}").as_bytes());
                }
            }
        }
    }
    fn cl_cl_and_cl_0_in_every_disguise(range) {
        for length in LENGTHS {
            for number in ["0", "6", "44"] {
                for method in ["GET", "POST", "HEAD", "DELETE", "OPTIONS"] {
                    let length = length.replace('N', number);
                    let head = format!("{method} / HTTP/1.1\r\nHost: {{host}}\r\n{length}\r\n\r\n");
                    range.fire("cl.0", format!("{head}{INNER}x\r\n\r\n").as_bytes());
                }
            }
        }
    }
    fn requests_that_begin_oddly(range) {
        for start in STARTS {
            for framing in ["", "Content-Length: 44\r\n", "Transfer-Encoding: chunked\r\n", "Connection: keep-alive\r\n"] {
                range.fire("start", format!("{start}\r\nHost: {{host}}\r\n{framing}\r\n{INNER}x\r\n\r\n").as_bytes());
            }
        }
    }
    fn chunked_bodies_that_end_oddly(range) {
        for chunks in CHUNKS {
            let head = "POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n";
            range.fire("chunks", format!("{head}{chunks}{INNER}x\r\n\r\n").as_bytes());
            range.fire("chunks behind a chunk", format!("{head}3\r\nabc\r\n{chunks}{INNER}x\r\n\r\n").as_bytes());
        }
    }
    fn hosts_that_disagree(range) {
        for host in [
            "Host: {host}\r\nHost: other.test", "Host: other.test\r\nHost: {host}", "Host: {host}, other.test",
            "Host: {host} other.test", "Host : {host}", "Host: {host}\r\n other.test", "host: {host}\r\nHOST: x",
            "Host: {host}\r\nX-Host: other.test", "Host: {host}:80@other.test", "Host: {host}#@other.test",
            "Host: {host}\0other.test", "Host:{host}", " Host: {host}", "Host: {host}\r\nHo\0st: x", "Host:",
            "Host: {host}/x", "Host: {host}\r\nConnection: Host", "Hos\u{17f}: {host}", "Host: {host}\nHost: x",
        ] {
            for start in ["GET / HTTP/1.1", "GET / HTTP/1.0", "GET http://{host}/ HTTP/1.1", "GET http://other.test/ HTTP/1.1"] {
                range.fire("host", format!("{start}\r\n{host}\r\n\r\n").as_bytes());
            }
        }
    }
    fn an_attack_cut_into_single_bytes(range) {
        for coding in CODINGS.iter().take(12) {
            let head = format!("POST / HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: 4\r\n{coding}\r\n\r\n0\r\n\r\n{INNER}");
            let attack = range.stage.fill(&head);
            let mut client = range.stage.client();
            for byte in attack.as_bytes() {
                client.try_send([*byte]);
            }
            client.finish();
            client.rest();
            range.judge();
        }
    }
}
