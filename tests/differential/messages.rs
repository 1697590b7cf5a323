//! Streams of messages: mostly what real peers send, with something odd in one place or another.

use proptest::prelude::*;
use proptest::sample::select;

/// One to three requests on one connection.
pub(crate) fn requests() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(request(), 1..4).prop_map(|requests| requests.concat())
}

/// One response, behind no or one interim response, with bytes behind it now and then.
pub(crate) fn response() -> impl Strategy<Value = Vec<u8>> {
    let interim =
        mostly(b"", &[b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]);
    let version = mostly(b"HTTP/1.1", &[b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"HTTP/11"]);
    let status = mostly(
        b"200 OK",
        &[
            b"204 No Content",
            b"304 Not Modified",
            b"404 ",
            b"404",
            b"500 Oops",
            b"999 X",
            b"20 X",
            b"2000 X",
            b"abc X",
            b"200 \xe9t\xe9",
            b"205 Reset Content",
            b"200\tOK",
        ],
    );
    let head = (version, status, line_end(), fields(false)).prop_map(|(version, status, end, fields)| {
        [version.as_slice(), b" ", &status, &end, &fields].concat()
    });
    (interim, head, framed()).prop_map(|(interim, head, framed)| [interim, head, framed].concat())
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let before = mostly(b"", &[b"\r\n", b"\r\n\r\n", b"\n", b" "]);
    let method =
        mostly(b"GET", &[b"POST", b"PUT", b"DELETE", b"OPTIONS", b"BREW", b"get", b"G(T", b"G\xe9T", b""]);
    let target = mostly(
        b"/",
        &[
            b"/a/b?c=d",
            b"/%2e%2e/x",
            b"//x",
            b"/a?",
            b"*",
            b"http://h/p",
            b"http://h",
            b"http://h?q",
            b"HTTP://h/P",
            b"https://h/",
            b"x",
            b"/a b",
            b"/\xc3\xa9",
            b"/a#b",
            b"/\x7f",
            b"/\"<>`{}|\\^",
            b"ftp://h/",
            b"http://u@h/",
        ],
    );
    let version = mostly(
        b"HTTP/1.1",
        &[
            b"HTTP/1.0",
            b"HTTP/2.0",
            b"HTTP/1.2",
            b"HTTP/0.9",
            b"http/1.1",
            b"HTTP/1.1 ",
            b"HTTP/01.1",
            b"HTP/1.1",
            b"",
        ],
    );
    let gap = mostly(b" ", &[b"  ", b"\t"]);
    let line = (before, method, gap, target, version, line_end());
    (line, fields(true), framed()).prop_map(
        |((before, method, gap, target, version, end), fields, framed)| {
            [before, method, gap, target, b" ".to_vec(), version, end, fields, framed].concat()
        },
    )
}

/// Field lines; those of a request begin with its `Host`.
fn fields(of_request: bool) -> impl Strategy<Value = Vec<u8>> {
    let hosts: &[&[u8]] = &[
        b"",
        b"Host: b\r\nHost: b\r\n",
        b"host:b:80\r\n",
        b"Host:\r\n",
        b"Host: a b\r\n",
        b"Host: [::1]\r\n",
        b"Host: a,b\r\n",
        b"Host: u@h\r\n",
        b"Host: a/b\r\n",
    ];
    let host = if of_request { mostly(b"Host: a\r\n", hosts).boxed() } else { Just(Vec::new()).boxed() };
    let name = mostly(
        b"X-One",
        &[
            b"accept", b"Cookie", b"x_two", b"X-One ", b" X", b"\tX", b"", b"X\x00", b"X(", b"\xe9",
            b"Expect", b"Trailer",
        ],
    );
    let colon = mostly(b": ", &[b":", b":\t ", b" : ", b"", b"::"]);
    let value = mostly(
        b"v",
        &[
            b"",
            b"a, b",
            b"caf\xe9",
            b"tab\tin",
            b"nul\x00",
            b"del\x7f",
            b"esc\x1b",
            b"cr\rin",
            b" \t x \t",
            b"v\r\n folded",
            b"100-continue",
            b"\"q\"",
        ],
    );
    let field = (name, colon, value, line_end())
        .prop_map(|(name, colon, value, end)| [name, colon, value, end].concat());
    let connection = mostly(
        b"",
        &[
            b"Connection: close\r\n",
            b"Connection: keep-alive\r\n",
            b"Connection: x-one, close\r\n",
            b"Connection: Close, \r\n",
        ],
    );
    (host, prop::collection::vec(field, 0..3), connection)
        .prop_map(|(host, fields, connection)| [host, fields.concat(), connection].concat())
}

/// The framing fields, the end of the head, and the body.
fn framed() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => Just(b"\r\n".to_vec()),
        3 => (0_usize..9, "[a-z]{0,9}").prop_map(|(length, body)| {
            [format!("Content-Length: {length}\r\n\r\n").as_bytes(), body.as_bytes()].concat()
        }),
        3 => prop::collection::vec("[a-z]{1,9}", 0..3).prop_map(|chunks| {
            let chunks: String = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
            format!("Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").into_bytes()
        }),
        2 => (length(), "[a-z]{0,9}").prop_map(|(length, body)| [length, body.into_bytes()].concat()),
        2 => (coding(), chunked()).prop_map(|(coding, body)| [coding, body].concat()),
    ]
}

fn length() -> impl Strategy<Value = Vec<u8>> {
    let values: &[&[u8]] = &[
        b"+5",
        b"-5",
        b"5 ",
        b"5,5",
        b"5, 6",
        b"",
        b"0x5",
        b"05",
        b"5\r\nContent-Length: 5",
        b"5\r\nContent-Length: 6",
        b"18446744073709551615",
        b"18446744073709551616",
        b"99999999999999999999",
        b"5a",
        b"\xd9\xa5",
    ];
    mostly(b"5", values).prop_map(|value| [b"content-length: ".as_slice(), &value, b"\r\n\r\n"].concat())
}

fn coding() -> impl Strategy<Value = Vec<u8>> {
    let values: &[&[u8]] = &[
        b"Chunked",
        b"gzip, chunked",
        b"chunked, gzip",
        b"chunked, chunked",
        b"identity",
        b"",
        b"chunked;q=1",
        b",chunked",
        b"chunked,",
        b"\"chunked\"",
        b"xchunked",
        b"chunked\r\nTransfer-Encoding: chunked",
        b"chunked\r\nContent-Length: 5",
        b"chunked\r\nContent-Length: 0",
        b"\x0bchunked",
        b"gzip\r\nTransfer-Encoding: chunked",
    ];
    mostly(b"chunked", values)
        .prop_map(|value| [b"Transfer-Encoding: ".as_slice(), &value, b"\r\n\r\n"].concat())
}

/// A chunked body: sizes, ends of lines, extensions and trailers, each odd now and then.
fn chunked() -> impl Strategy<Value = Vec<u8>> {
    let chunk = mostly(
        b"5\r\nhello\r\n",
        &[
            b"5;a=b\r\nhello\r\n",
            b"5 ;a\r\nhello\r\n",
            b"5;a=\"b;c\"\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"+5\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b"\r\nhello\r\n",
            b"005\r\nhello\r\n",
            b"0000000000000005\r\nhello\r\n",
            b"00000000000000005\r\nhello\r\n",
            b"5\nhello\r\n",
            b"5\r\nhello\n",
            b"5\r\nhello",
            b"5\r\nhelloX\r\n",
            b"6\r\nhello\r\n",
            b"5;\r\nhello\r\n",
            b"5;\x00\r\nhello\r\n",
            b"5;a\nhello\r\n",
            b"A\r\nhellohello\r\n",
            b"fffffffffffffffff\r\n",
            b"8000000000000000\r\n",
            b"g\r\n",
            b"5\r\r\nhello\r\n",
        ],
    );
    let end = mostly(
        b"0\r\n\r\n",
        &[
            b"0\r\nX: y\r\n\r\n",
            b"0\r\nX : y\r\n\r\n",
            b"0\r\nX: y\n\r\n",
            b"0\r\n\n",
            b"0\r\nX\r\n\r\n",
            b"0\r\nContent-Length: 5\r\n\r\n",
            b"0\r\n X: y\r\n\r\n",
            b"00\r\n\r\n",
            b"0;a\r\n\r\n",
            b"0\n\n",
            b"",
            b"0\r\n",
            b"0\r\n: y\r\n\r\n",
            b"0\r\nX: \x00\r\n\r\n",
        ],
    );
    (prop::collection::vec(chunk, 0..3), end).prop_map(|(chunks, end)| [chunks.concat(), end].concat())
}

fn line_end() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![40 => Just(b"\r\n".to_vec()), 1 => select(vec![b"\n".to_vec(), b"\r".to_vec(), b" \r\n".to_vec(), b"\r\r\n".to_vec()])]
}

/// The plain form in most cases, otherwise one of the odd ones.
fn mostly(plain: &'static [u8], odd: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![24 => Just(plain.to_vec()), 1 => select(odd).prop_map(<[u8]>::to_vec)]
}
