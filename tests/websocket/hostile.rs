//! Viewers that send what no viewer would.

use std::io::{Read, Write};
use std::net::TcpStream;

use plimsoll::logic::limits::VIEWER_MISTAKES_MAX;
use serde_json::json;
use tungstenite::Message;

use crate::harness::PATIENCE;
use crate::harness::origin::{Origin, answering, ok};
use crate::rig::{Rig, handshake};

fn rig() -> (Rig, Origin) {
    let origin = Origin::start(answering(ok("hello")));
    (Rig::start(&origin), origin)
}

/// A small generator of its own: what a failure printed can be run again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let length = self.next() % most;
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

#[test]
fn fuzzed_frames_cost_their_own_connection_alone() {
    let (rig, _origin) = rig();
    let mut witness = rig.viewer();
    for seed in 0..200 {
        let mut random = Random(seed);
        let mut stream = rig.upgraded();
        for _ in 0..4 {
            // Half are frames but for their payload, half are nothing at all.
            let mut frame = random.bytes(300);
            if random.next().is_multiple_of(2) && frame.len() >= 6 {
                frame[0] = 0x80 | (frame[0] & 0x0f);
                frame[1] = 0x80 | u8::try_from((frame.len() - 6).min(125)).unwrap();
            }
            // The balancer may have closed it already: so it should.
            if stream.write_all(&frame).is_err() {
                break;
            }
        }
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
    witness.next("tick");
    assert!(rig.balancer.is_alive());
    assert_eq!(rig.get("/"), 200);
}

#[test]
fn a_frame_that_says_it_is_huge_is_not_waited_for() {
    let (rig, _origin) = rig();
    let mut stream = rig.upgraded();
    // A masked text of 2^62 bytes.
    stream.write_all(&[0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut all = Vec::new();
    // Until it is closed; the patience would end it with an error.
    stream.read_to_end(&mut all).unwrap();
    let close = all.windows(4).any(|window| window[0] == 0x88 && window[2..] == 1009_u16.to_be_bytes());
    assert!(close, "no close with 1009 came");
}

#[test]
fn a_viewer_of_many_mistakes_is_cut() {
    let (rig, _origin) = rig();
    let mut viewer = rig.viewer();
    // Not one more than it takes: what nobody reads any more resets the connection, and the reason is lost with it.
    for _ in 0..=VIEWER_MISTAKES_MAX {
        viewer.socket().send(Message::text("nonsense")).unwrap();
    }
    let code = loop {
        match viewer.socket().read() {
            Ok(Message::Close(frame)) => break frame.map(|frame| u16::from(frame.code)),
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(code, Some(1008));
}

#[test]
fn there_are_only_so_many_filters_and_they_end_with_their_viewers() {
    let (rig, _origin) = rig();
    let mut viewers: Vec<_> = (0..17).map(|_| rig.viewer()).collect();
    for (at, viewer) in viewers.iter_mut().take(16).enumerate() {
        viewer.say(&json!({ "type": "follow", "filter": format!("ms>{at}") }));
        assert_eq!(viewer.next("following")["filter"], format!("ms>{at}"));
    }
    let last = &mut viewers[16];
    last.say(&json!({ "type": "follow", "filter": "ms>99" }));
    assert_eq!(last.next("error")["code"], "too_many_filters");
    last.say(&json!({ "type": "follow", "filter": "ms>3" }));
    assert_eq!(last.next("following")["filter"], "ms>3");
}

#[test]
fn a_handshake_that_is_none_gets_no_101() {
    let (rig, _origin) = rig();
    let status = |fields: &str| {
        let mut stream = TcpStream::connect(rig.admin()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = handshake(&mut stream, rig.admin(), fields);
        head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok())
    };
    assert_eq!(status(""), Some(101));
    // Repeated fields: which one would count?
    assert_eq!(status("sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), Some(426));
    assert_eq!(status("sec-websocket-version: 12\r\n"), Some(426));
    assert_eq!(status("origin: http://evil.test\r\n"), Some(403));
    assert_eq!(status("origin: null\r\n"), Some(403));
}
