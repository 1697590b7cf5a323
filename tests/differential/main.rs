//! Two readers of the same bytes: `logic::http1`, and hyper (with httparse). Where the RFC leaves no freedom they must
//! see the same messages; where it does, the difference is listed in `differences.rs` with its reason.
//!
//! Two readers that disagree about where a message ends are how requests are smuggled: hyper stands here for whatever
//! reads behind the balancer or in front of it.

mod differences;
mod messages;
mod ours;
mod theirs;

use proptest::prelude::*;
use proptest::test_runner::Config;

use differences::{Difference, REQUESTS, RESPONSES, Suspect};
use ours::Reading;

/// What a reader made of a stream of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    messages: Vec<Seen>,
    end: End,
}

/// One whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// Method and target of a request; the status of a response.
    start: String,
    /// Names in lower case, in the order of the names: hyper groups fields of the same name.
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// Why a reader stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The last message asked for the end of the connection, or the bytes were used up between two messages.
    Clean,
    /// The bytes were used up within a message.
    Cut,
    /// Refused: what came is no message.
    Refused,
}

fn config(cases: u32) -> Config {
    let long = std::env::var_os("PLIMSOLL_LONG").is_some_and(|value| value == "1");
    Config { cases: if long { cases * 50 } else { cases }, failure_persistence: None, ..Config::default() }
}

/// The same messages; or one reader refuses a message that the other reads, both saw the same ones before it, and a
/// listed difference of that direction is in it.
fn compare(list: &[Difference], bytes: &[u8], ours: &Reading, theirs: &Verdict) -> Result<(), String> {
    let Reading { verdict, starts } = ours;
    if verdict == theirs {
        return Ok(());
    }
    let common =
        verdict.messages.iter().zip(&theirs.messages).take_while(|(one, other)| one == other).count();
    let suspect = Suspect::new(&bytes[starts.get(common).copied().unwrap_or(bytes.len())..]);
    let we_refuse = verdict.end == End::Refused && verdict.messages.len() == common;
    let they_refuse = theirs.end == End::Refused && theirs.messages.len() == common;
    let explains = |difference: &Difference| {
        let refused = if difference.hyper_is_stricter { they_refuse } else { we_refuse };
        refused && (difference.applies)(&suspect)
    };
    if list.iter().any(explains) {
        return Ok(());
    }
    let stream = bytes.escape_ascii();
    Err(format!("no listed difference explains this:\n{stream}\nours: {verdict:?}\ntheirs: {theirs:?}"))
}

proptest! {
    #![proptest_config(config(10_000))]

    #[test]
    fn requests_are_seen_alike(stream in messages::requests()) {
        let compared = compare(REQUESTS, &stream, &ours::requests(&[&stream]), &theirs::requests(&stream));
        prop_assert!(compared.is_ok(), "{}", compared.unwrap_err());
    }

    #[test]
    fn responses_are_seen_alike((stream, head) in (messages::response(), any::<bool>())) {
        let compared = compare(RESPONSES, &stream, &ours::response(&[&stream], head), &theirs::response(&stream, head));
        prop_assert!(compared.is_ok(), "{}", compared.unwrap_err());
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn a_cut_at_any_position_changes_nothing_about_requests(stream in messages::requests()) {
        let whole = ours::requests(&[&stream]);
        for at in 0..=stream.len() {
            let (front, back) = stream.split_at(at);
            prop_assert_eq!(&ours::requests(&[front, back]), &whole, "cut at {}", at);
        }
        let bytewise: Vec<_> = stream.chunks(1).collect();
        prop_assert_eq!(&ours::requests(&bytewise), &whole, "byte by byte");
    }

    #[test]
    fn a_cut_at_any_position_changes_nothing_about_responses(stream in messages::response()) {
        let whole = ours::response(&[&stream], false);
        for at in 0..=stream.len() {
            let (front, back) = stream.split_at(at);
            prop_assert_eq!(&ours::response(&[front, back], false), &whole, "cut at {}", at);
        }
        let bytewise: Vec<_> = stream.chunks(1).collect();
        prop_assert_eq!(&ours::response(&bytewise, false), &whole, "byte by byte");
    }
}

/// A difference that is no longer one must leave the list: it would hide the next.
#[test]
fn every_listed_difference_is_one() {
    for difference in REQUESTS {
        let bytes = difference.example;
        check(difference, &ours::requests(&[bytes]), &theirs::requests(bytes));
    }
    for difference in RESPONSES {
        let bytes = difference.example;
        check(difference, &ours::response(&[bytes], false), &theirs::response(bytes, false));
    }
}

fn check(difference: &Difference, ours: &Reading, theirs: &Verdict) {
    let Difference { name, example, reason, .. } = difference;
    assert_ne!(&ours.verdict, theirs, "{name} is no difference any more");
    let alone = std::slice::from_ref(difference);
    let explained = compare(alone, example, ours, theirs);
    assert!(
        explained.is_ok(),
        "{name} ({reason}) does not explain its own example: {}",
        explained.unwrap_err()
    );
}

/// The comparison sees something: most generated streams hold a message that both read.
#[test]
fn most_generated_messages_are_read() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let read = (0..500)
        .filter(|_| {
            let stream = messages::requests().new_tree(&mut runner).expect("a stream").current();
            !ours::requests(&[&stream]).verdict.messages.is_empty()
        })
        .count();
    assert!(read > 200, "{read} of 500");
}
