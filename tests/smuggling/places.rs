//! Every byte value at every place where parsers have disagreed.

use crate::bytes;
use crate::families::INNER;
use crate::range::{Range, on_both_drivers};

/// A place: the bytes before it and after it.
type Place = (&'static str, &'static str);

const IN_THE_CODING: &[Place] = &[
    ("", "Transfer-Encoding: chunked"),
    ("T", "ransfer-Encoding: chunked"),
    ("Transfer", "-Encoding: chunked"),
    ("Transfer", "Encoding: chunked"),
    ("Transfer-Encoding", ": chunked"),
    ("Transfer-Encoding", " chunked"),
    ("Transfer-Encoding:", "chunked"),
    ("Transfer-Encoding: ", "chunked"),
    ("Transfer-Encoding: chun", "ked"),
    ("Transfer-Encoding: chun", "ed"),
    ("Transfer-Encoding: chunked", ""),
    ("Transfer-Encoding: chunked", " "),
    ("Transfer-Encoding: chunked", ", chunked"),
    ("Transfer-Encoding: x", "chunked"),
    ("Transfer-Encoding: chunked\r\nX:", "y"),
    ("X: y\r\n", "\r\nTransfer-Encoding: chunked"),
    ("X: y", "Transfer-Encoding: chunked"),
    ("X: y\r", "Transfer-Encoding: chunked"),
    ("X: y", "\nTransfer-Encoding: chunked"),
];

const IN_THE_LENGTH: &[Place] = &[
    ("", "Content-Length: 4"),
    ("Content", "-Length: 4"),
    ("Content", "Length: 4"),
    ("Content-Length", ": 4"),
    ("Content-Length", " 4"),
    ("Content-Length:", "4"),
    ("Content-Length: ", "4"),
    ("Content-Length: ", ""),
    ("Content-Length: 4", ""),
    ("Content-Length: 4", " "),
    ("Content-Length: 4", "4"),
    ("Content-Length: 4", "\r\nContent-Length: 4"),
    ("Content-Length: 4\r\n", "Content-Length: 0"),
    ("X: y", "Content-Length: 4"),
];

const IN_THE_HEAD: &[Place] = &[
    ("", "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("G", "ET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("GET", "/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("GET ", "/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("GET /", " HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("GET /a", "b HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("GET /a?b", "c HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("GET /", "HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("GET / ", "HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("GET / HTTP", "1.1\r\nHost: {host}\r\n\r\n"),
    ("GET / HTTP/", ".1\r\nHost: {host}\r\n\r\n"),
    ("GET / HTTP/1.", "\r\nHost: {host}\r\n\r\n"),
    ("GET / HTTP/1.1", "\r\nHost: {host}\r\n\r\n"),
    ("GET / HTTP/1.1", "\nHost: {host}\r\n\r\n"),
    ("GET / HTTP/1.1\r", "Host: {host}\r\n\r\n"),
    ("GET / HTTP/1.1\r\n", "Host: {host}\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost", "{host}\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost:", "{host}\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: ", "{host}\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: {host}", "\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: {host}", "other.test\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: {host}:8", "\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nX", "A: b\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: {host}\r\n", ": b\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nX: a", "b\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nX:", "\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nX: y", "\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nX: y\r", "\r\n"),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nX: y\r\n", "\r\n"),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nX: y\r\n", "\n"),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nX: y\r\n\r", ""),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close", "\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: ", "Host\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: x", "Via\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue", "\r\n\r\n"),
    ("GET http", "//{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("GET http://{host}", "/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("OPTIONS *", " HTTP/1.1\r\nHost: {host}\r\n\r\n"),
];

const IN_THE_CHUNKS: &[Place] = &[
    ("", "5\r\nhello\r\n0\r\n\r\n"),
    ("", "\r\nhello\r\n0\r\n\r\n"),
    ("0", "5\r\nhello\r\n0\r\n\r\n"),
    ("5", "\r\nhello\r\n0\r\n\r\n"),
    ("5", "\nhello\r\n0\r\n\r\n"),
    ("5\r", "hello\r\n0\r\n\r\n"),
    ("5\r\n", "hello\r\n0\r\n\r\n"),
    ("5;", "\r\nhello\r\n0\r\n\r\n"),
    ("5;a", "b\r\nhello\r\n0\r\n\r\n"),
    ("5;a=\"", "\"\r\nhello\r\n0\r\n\r\n"),
    ("5\r\nhello", "\r\n0\r\n\r\n"),
    ("5\r\nhello", "\n0\r\n\r\n"),
    ("5\r\nhello\r", "0\r\n\r\n"),
    ("5\r\nhello\r\n", "0\r\n\r\n"),
    ("5\r\nhello\r\n", "\r\n\r\n"),
    ("5\r\nhello\r\n0", "\r\n\r\n"),
    ("5\r\nhello\r\n0", "\n\r\n"),
    ("5\r\nhello\r\n0\r", "\r\n"),
    ("5\r\nhello\r\n0\r\n", "\r\n"),
    ("5\r\nhello\r\n0\r\n", "\n"),
    ("5\r\nhello\r\n0\r\n\r", ""),
    ("5\r\nhello\r\n0\r\nX", ": y\r\n\r\n"),
    ("5\r\nhello\r\n0\r\nX: ", "\r\n\r\n"),
    ("5\r\nhello\r\n0\r\nX: y", "\n\r\n"),
    ("5\r\nhello\r\n0\r\nContent-Length", ": 5\r\n\r\n"),
];

fn fire_all(range: &mut Range, name: &str, places: &[Place], before: &str, after: &str) {
    for (left, right) in places {
        for byte in bytes() {
            let attack =
                [before.as_bytes(), left.as_bytes(), &[byte], right.as_bytes(), after.as_bytes()].concat();
            range.fire(name, &attack);
        }
    }
}

on_both_drivers! {
    fn every_byte_in_a_coding(range) {
        let before = "POST / HTTP/1.1\r\nHost: {host}\r\n";
        fire_all(range, "coding", IN_THE_CODING, before, &format!("\r\n\r\n0\r\n\r\n{INNER}x\r\n\r\n"));
    }
    fn every_byte_in_a_coding_beside_a_length(range) {
        let before = "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n";
        fire_all(range, "coding and length", IN_THE_CODING, before, &format!("\r\n\r\n0\r\n\r\n{INNER}x\r\n\r\n"));
    }
    fn every_byte_in_a_length(range) {
        let before = "POST / HTTP/1.1\r\nHost: {host}\r\n";
        fire_all(range, "length", IN_THE_LENGTH, before, &format!("\r\n\r\nabcd{INNER}x\r\n\r\n"));
    }
    fn every_byte_in_a_length_beside_a_coding(range) {
        let before = "POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n";
        fire_all(range, "length and coding", IN_THE_LENGTH, before, &format!("\r\n\r\n0\r\n\r\n{INNER}x\r\n\r\n"));
    }
    fn every_byte_in_a_head(range) {
        fire_all(range, "head", IN_THE_HEAD, "", "");
    }
    fn every_byte_in_a_chunk(range) {
        let before = "POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n";
        fire_all(range, "chunk", IN_THE_CHUNKS, before, &format!("{INNER}x\r\n\r\n"));
    }
}
