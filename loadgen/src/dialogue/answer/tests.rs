use super::*;
use crate::fault::Cause;

fn reader() -> AnswerReader {
    AnswerReader::new(false, "x-node".into())
}

/// Feeds the bytes cut in two at every place; all cuts must agree.
fn read(bytes: &[u8]) -> Result<(Progress, Head), Fault> {
    let whole = feed_cut(bytes, bytes.len());
    for cut in 1..bytes.len() {
        let cut_result = feed_cut(bytes, cut);
        assert_eq!(cut_result.is_ok(), whole.is_ok(), "cut at {cut}");
        if whole.is_ok() {
            assert_eq!(cut_result, whole, "cut at {cut}");
        }
    }
    whole
}

fn feed_cut(bytes: &[u8], cut: usize) -> Result<(Progress, Head), Fault> {
    let mut reader = reader();
    let mut progress = reader.feed(&bytes[..cut])?;
    if cut < bytes.len() {
        if progress == Progress::Done {
            return Err(Fault::bad_response("done too early"));
        }
        progress = reader.feed(&bytes[cut..])?;
    }
    Ok((progress, reader.head().clone()))
}

#[test]
fn a_body_with_a_length_ends_after_it() {
    let (progress, head) = read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Node: a1\r\n\r\nhello").unwrap();
    assert_eq!(progress, Progress::Done);
    assert_eq!(head, Head { status: 200, keep: true, node: b"a1".to_vec() });
}

#[test]
fn a_chunked_body_ends_after_its_last_chunk() {
    let (progress, head) = read(
        b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    )
    .unwrap();
    assert_eq!((progress, head.status, head.keep), (Progress::Done, 503, false));
}

#[test]
fn answers_without_a_body_end_with_the_head() {
    for answer in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        assert_eq!(read(answer.as_bytes()).unwrap().0, Progress::Done, "{answer}");
    }
    let mut head = AnswerReader::new(true, "x-node".into());
    assert_eq!(head.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), Ok(Progress::Done));
}

#[test]
fn interim_answers_are_passed_over() {
    let answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 201 Ok\r\ncontent-length: 2\r\n\r\nok";
    let (progress, head) = read(answer).unwrap();
    assert_eq!((progress, head.status), (Progress::Done, 201));
}

#[test]
fn without_framing_the_close_ends_the_answer() {
    let mut reader = reader();
    assert_eq!(reader.feed(b"HTTP/1.0 200 OK\r\n\r\nsome bytes"), Ok(Progress::More));
    assert_eq!(reader.finish(), Ok(Progress::Done));
    assert!(!reader.head().keep);
}

#[test]
fn a_close_elsewhere_is_too_early() {
    for start in [
        "",
        "HTTP/1.1 2",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let mut reader = reader();
        assert_eq!(reader.feed(start.as_bytes()), Ok(Progress::More));
        assert_eq!(reader.finish().unwrap_err().cause, Cause::ClosedEarly, "{start}");
    }
}

#[test]
fn http_1_0_keeps_only_when_it_says_so() {
    let plain = read(b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    let kept = read(b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: Keep-Alive\r\n\r\n").unwrap();
    assert_eq!((plain.1.keep, kept.1.keep), (false, true));
}

#[test]
fn garbage_is_named_and_never_panics() {
    for garbage in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let fault = read(garbage).unwrap_err();
        assert_eq!(fault.cause, Cause::BadResponse, "{garbage:?}");
        assert!(!fault.detail.is_empty());
    }
}

#[test]
fn an_endless_head_is_cut_off() {
    let mut reader = reader();
    let mut line = b"HTTP/1.1 200 OK\r\n".to_vec();
    line.extend(b"x: ".iter().chain([b'y'; 8000].iter()));
    assert_eq!(reader.feed(&line), Ok(Progress::More));
    let fault = (0..20).find_map(|_| reader.feed(&[b'z'; 8000]).err()).unwrap();
    assert_eq!(fault.cause, Cause::BadResponse);
}

#[test]
fn one_reader_reads_answer_after_answer() {
    let mut reader = reader();
    for status in [200u16, 404, 200] {
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 1\r\nx-node: n{status}\r\n\r\nx");
        assert_eq!(reader.feed(answer.as_bytes()), Ok(Progress::Done));
        assert_eq!(reader.head().status, status);
        assert_eq!(reader.head().node, format!("n{status}").into_bytes());
    }
}

/// Whoever waited for more would wait for the whole timeout.
#[test]
fn an_unasked_switch_of_protocols_and_no_status_are_wrong_at_once() {
    for answer in ["HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", "HTTP/1.1 000 Nothing\r\n\r\n"] {
        assert_eq!(read(answer.as_bytes()).unwrap_err().cause, Cause::BadResponse, "{answer}");
    }
    let interim = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No\r\n\r\n";
    assert_eq!(read(interim).unwrap().1.status, 204);
}
