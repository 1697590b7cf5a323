//! Requests mutated at random, from a seed that is printed and can be given as `PLIMSOLL_SEED`.

use crate::families::{CODINGS, LENGTHS};
use crate::is_long;
use crate::range::{Range, on_both_drivers};

/// In a long run a million for each driver, otherwise what takes a few seconds.
fn count() -> u64 {
    if is_long() { 1_000_000 } else { 5_000 }
}

/// How many mutants are fired between two looks at the origin.
const VOLLEY: u64 = 16;

const SEEDS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "GET /a/b?c=d HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nCookie: a=b\r\nConnection: keep-alive\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello",
    "POST /p HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-T: v\r\n\r\n",
    "HEAD /h HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "GET http://{host}/abs HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "GET /old HTTP/1.0\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n",
    "PUT /e HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
    "DELETE /d HTTP/1.1\r\nHost: {host}\r\nConnection: x-a, close\r\nX-A: b\r\n\r\n",
];

const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\n\n",
    "\r\n ",
    "\r\n\t",
    " ",
    "\t",
    "\0",
    ":",
    ";",
    ",",
    "0\r\n\r\n",
    "0",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Host: other.test\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Expect: 100-continue\r\n",
    "HTTP/1.1",
    "HTTP/1.0",
    "GET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "chunked",
    "identity",
    "+",
    "-",
    "0x",
    "\x0b",
    "\u{ff}",
    "ffffffffffffffff",
    "18446744073709551616",
    "Via: 1.1 other\r\n",
    "X-Forwarded-For: 1.2.3.4\r\n",
];

/// SplitMix64 (Steele, Lea, Flood 2014): enough to choose with, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end.max(1) as u64).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn byte(&mut self) -> u8 {
        self.roll().to_le_bytes()[0]
    }
}

fn mutant(dice: &mut Dice) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..1 + dice.below(2)).flat_map(|_| dice.pick(SEEDS).bytes()).collect();
    for _ in 0..1 + dice.below(4) {
        mutate(&mut bytes, dice);
    }
    bytes
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    let end = (at + dice.below(12)).min(bytes.len());
    match dice.below(8) {
        0 => insert(bytes, at, &[dice.byte()]),
        1 => insert(bytes, at, dice.pick(WORDS).as_bytes()),
        2 => drop(bytes.drain(at..end)),
        3 => bytes.extend_from_within(at..end),
        4 if at < bytes.len() => bytes[at] = dice.byte(),
        5 if at < bytes.len() => bytes[at] ^= 0x20,
        6 => insert_line(bytes, dice.pick(CODINGS), dice),
        _ => insert_line(bytes, &dice.pick(LENGTHS).replace('N', ["0", "5", "44"][dice.below(3)]), dice),
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    bytes.splice(at..at, what.iter().copied());
}

/// Puts a line behind one of the line ends.
fn insert_line(bytes: &mut Vec<u8>, line: &str, dice: &mut Dice) {
    let ends: Vec<_> = memchr::memmem::find_iter(bytes, b"\r\n").map(|at| at + 2).collect();
    let at = ends.get(dice.below(ends.len())).copied().unwrap_or(0);
    insert(bytes, at, format!("{line}\r\n").as_bytes());
}

fn seed() -> u64 {
    let given = std::env::var("PLIMSOLL_SEED").ok().and_then(|text| text.parse().ok());
    // A fixed default: an ordinary run is the same every time, and long runs are given seeds.
    given.unwrap_or(9112)
}

fn fire_mutants(range: &mut Range) {
    let seed = seed();
    println!("PLIMSOLL_SEED={seed}");
    for number in 0..count() {
        // One seed a mutant, so that each can be made again without those before it.
        let mut dice = Dice(seed.wrapping_add(number.wrapping_mul(0x1000_0001)));
        range.send(&format!("mutant {number} of seed {seed}"), &mutant(&mut dice));
        if number % VOLLEY == VOLLEY - 1 {
            range.judge();
        }
    }
    range.judge();
}

on_both_drivers! {
    fn mutated_requests(range) { fire_mutants(range); }
}
