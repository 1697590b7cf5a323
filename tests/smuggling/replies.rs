//! Responses that could be split, or poison the pool: every byte at every place, from a hostile node.

use std::sync::{Arc, Mutex};

use crate::bytes;
use crate::harness::message::{Side, latin1, parse};
use crate::range::{Range, on_both_drivers};

const PLACES: &[(&str, &str)] = &[
    ("", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    ("HTTP", "1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    ("HTTP/1.", " 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    ("HTTP/1.1", "200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    ("HTTP/1.1 ", "200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    ("HTTP/1.1 20", " OK\r\nContent-Length: 2\r\n\r\nhi"),
    ("HTTP/1.1 200", "OK\r\nContent-Length: 2\r\n\r\nhi"),
    ("HTTP/1.1 200 O", "K\r\nContent-Length: 2\r\n\r\nhi"),
    ("HTTP/1.1 200 OK", "\r\nContent-Length: 2\r\n\r\nhi"),
    ("HTTP/1.1 200 OK", "\nContent-Length: 2\r\n\r\nhi"),
    ("HTTP/1.1 200 OK\r", "Content-Length: 2\r\n\r\nhi"),
    ("HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n\r\nhi"),
    ("HTTP/1.1 200 OK\r\nContent", "Length: 2\r\n\r\nhi"),
    ("HTTP/1.1 200 OK\r\nContent-Length", ": 2\r\n\r\nhi"),
    ("HTTP/1.1 200 OK\r\nContent-Length", " 2\r\n\r\nhi"),
    ("HTTP/1.1 200 OK\r\nContent-Length:", "2\r\n\r\nhi"),
    ("HTTP/1.1 200 OK\r\nContent-Length: ", "\r\n\r\nhi"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2", "\r\n\r\nhi"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2", "\n\r\nhi"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", "\r\nhi"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", "\nhi"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r", "hi"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", ""),
    ("HTTP/1.1 200 OK\r\nX", "A: b\r\nContent-Length: 2\r\n\r\nhi"),
    ("HTTP/1.1 200 OK\r\nX: a", "b\r\nContent-Length: 2\r\n\r\nhi"),
    ("HTTP/1.1 200 OK\r\n", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding", " chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding", ": chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding:", "chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nhi\r\n0\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2", "\r\nhi\r\n0\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r", "hi\r\n0\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi", "\r\n0\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi", "\n0\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", "0\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0", "\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n", "\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX", ": y\r\n\r\n"),
    ("HTTP/1.1 20", " No\r\nContent-Length: 0\r\n\r\n"),
    ("HTTP/1.1 10", " C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
];

/// Whole responses behind one another, and framings that disagree.
const SPLITS: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/1.1 200 OK\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 204 No\r\nContent-Length: 42\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n2a\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil\r\n0\r\n\r\n",
    "HTTP/1.1 304 No\r\nContent-Length: 42\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/1.1 100 Continue\r\nContent-Length: 42\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nhi0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n z\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\n\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
];

/// The node answers `/hostile` with these bytes and then nothing more; every other request it answers well.
fn follow(range: &mut Range, name: &str, answers: impl Iterator<Item = Vec<u8>>) {
    let answer = Arc::new(Mutex::new(Vec::new()));
    let hostile = answer.clone();
    range.stage.origin(move |c| {
        while c.request().is_some() {
            c.send(hostile.lock().unwrap().as_slice());
            // Broken off here, a response without end would wait for its time-out.
            c.finish();
        }
    });
    for bytes in answers {
        *answer.lock().unwrap() = bytes.clone();
        for request in [
            "GET /hostile HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
            "HEAD /hostile HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
        ] {
            let method = request.split(' ').next().unwrap();
            let received = range.stage.client().send(request).rest();
            check(method, &received, &bytes, name);
            range.judge();
        }
    }
}

#[track_caller]
fn check(method: &str, received: &[u8], sent: &[u8], name: &str) {
    let mut rest = received;
    loop {
        match parse(rest, Side::Response { method, ended: true }) {
            Ok(Some(response)) if response.status() < 200 => rest = &rest[response.len..],
            Ok(Some(response)) => {
                let left = &rest[response.len..];
                assert!(
                    left.is_empty(),
                    "{name}: more than one answer: {:?} for {:?}",
                    latin1(received),
                    latin1(sent)
                );
                return;
            }
            // Cut short, and seen to be: nobody takes it for a whole one.
            Ok(None) => return,
            Err(why) => panic!("{name}: the client reads {why} for {:?}", latin1(sent)),
        }
    }
}

on_both_drivers! {
    fn every_byte_in_a_response(range) {
        let all = PLACES.iter().flat_map(|(left, right)| {
            bytes().into_iter().map(move |byte| [left.as_bytes(), &[byte], right.as_bytes()].concat())
        });
        follow(range, "response", all);
    }
    fn responses_that_could_be_split(range) {
        follow(range, "split", SPLITS.iter().map(|s| s.as_bytes().to_vec()));
    }
}
