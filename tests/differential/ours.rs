//! The balancer's own reader, fed in pieces, as a connection feeds it.

use plimsoll::logic::http1::body::{BACK_ROOM, BodyFault, BodyFlow, FRONT_ROOM};
use plimsoll::logic::http1::framing::Framing;
use plimsoll::logic::http1::head::{HeadScanner, Scan};
use plimsoll::logic::http1::request::{self, FieldRoom, RequestFacts, Version};
use plimsoll::logic::http1::response::{self, Kind};
use plimsoll::logic::limits::MessageLimits;
use plimsoll::logic::message::Field;

use super::{End, Seen, Verdict};

/// A verdict, and where in the stream each message began.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) verdict: Verdict,
    /// Interim responses are passed over.
    pub(crate) starts: Vec<usize>,
}

/// Reads the pieces as what clients send on one connection.
pub(crate) fn requests(pieces: &[&[u8]]) -> Reading {
    read(pieces, |head| {
        let mut room = FieldRoom::new();
        let parsed = request::parse(head, &MessageLimits::default(), &mut room).ok()?;
        // hyper's `Uri` cannot tell an empty path from `/`: the other forms of one are written so here too.
        let target = match parsed.head.target {
            b"*" => "/".to_owned(),
            [b'?', ..] => format!("/{}", parsed.head.target.escape_ascii()),
            other => other.iter().map(|&byte| char::from(byte)).collect(),
        };
        let start = format!("{} {target}", parsed.head.method.escape_ascii());
        Some(Head {
            seen: Some(seen(start, parsed.head.fields)),
            framing: parsed.facts.framing,
            last: !parsed.facts.keep_alive,
        })
    })
}

/// Reads the pieces as the response to one GET, or to one HEAD.
pub(crate) fn response(pieces: &[&[u8]], is_head: bool) -> Reading {
    let asked = RequestFacts {
        version: Version::Http11,
        framing: Framing::None,
        keep_alive: true,
        is_head,
        is_connect: false,
        idempotent: true,
        expects_continue: false,
        upgrade: false,
        hops_left: None,
        wants_json: false,
        nominates: false,
    };
    read(pieces, move |head| {
        let mut room = FieldRoom::new();
        let parsed = response::parse(head, &asked, &MessageLimits::default(), &mut room).ok()?;
        let is_final = parsed.kind == Kind::Final;
        let seen = is_final.then(|| seen(parsed.head.status.to_string(), parsed.head.fields));
        Some(Head { seen, framing: parsed.framing, last: is_final })
    })
}

/// What a head says about what follows it.
struct Head {
    /// Nothing for an interim response.
    seen: Option<Seen>,
    framing: Framing,
    last: bool,
}

fn seen(start: String, fields: &[Field<'_>]) -> Seen {
    let mut fields: Vec<_> = fields
        .iter()
        .map(|field| (String::from_utf8_lossy(field.name).to_lowercase(), field.value.to_vec()))
        .collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    Seen { start, fields, body: Vec::new() }
}

/// Where the reader stands in the stream.
enum State {
    Head(HeadScanner),
    Body(BodyFlow, Head),
}

fn read(pieces: &[&[u8]], parse: impl Fn(&[u8]) -> Option<Head>) -> Reading {
    let mut reader = Reader {
        messages: Vec::new(),
        starts: vec![0],
        used: 0,
        waiting: Vec::new(),
        state: State::Head(HeadScanner::default()),
    };
    let mut ended = None;
    for piece in pieces {
        reader.waiting.extend_from_slice(piece);
        ended = reader.advance(&parse);
        if ended.is_some() {
            break;
        }
    }
    let end = ended.unwrap_or_else(|| reader.close());
    Reading { verdict: Verdict { messages: reader.messages, end }, starts: reader.starts }
}

struct Reader {
    messages: Vec<Seen>,
    starts: Vec<usize>,
    /// Bytes that were used.
    used: usize,
    /// Bytes that arrived and were not used.
    waiting: Vec<u8>,
    state: State,
}

impl Reader {
    /// Reads what there is. Says why it stops, where it does.
    fn advance(&mut self, parse: &impl Fn(&[u8]) -> Option<Head>) -> Option<End> {
        loop {
            match &mut self.state {
                State::Head(scanner) => {
                    let (start, end) = match scanner.advance(&self.waiting, &MessageLimits::default()) {
                        Ok(Scan::Partial) => return None,
                        Ok(Scan::Complete { start, end }) => (start, end),
                        Err(_) => return Some(End::Refused),
                    };
                    let Some(head) = parse(&self.waiting[start..end]) else { return Some(End::Refused) };
                    self.waiting.drain(..end);
                    self.used += end;
                    self.state = State::Body(BodyFlow::new(head.framing, false, None), head);
                }
                State::Body(flow, head) => {
                    if !flow.is_done() {
                        let before = self.waiting.len();
                        let stepped = step(flow, &mut self.waiting);
                        self.used += before - self.waiting.len();
                        match stepped {
                            Ok(data) => {
                                head.seen.iter_mut().for_each(|seen| seen.body.extend_from_slice(&data))
                            }
                            Err(_) => return Some(End::Refused),
                        }
                    }
                    if !flow.is_done() {
                        return None;
                    }
                    match head.seen.take() {
                        Some(seen) => {
                            self.messages.push(seen);
                            self.starts.push(self.used);
                        }
                        None => self.starts[self.messages.len()] = self.used,
                    }
                    if head.last {
                        return Some(End::Clean);
                    }
                    self.state = State::Head(HeadScanner::default());
                }
            }
        }
    }

    /// No more bytes will come.
    fn close(&mut self) -> End {
        match &mut self.state {
            State::Head(_) if self.waiting.iter().all(|byte| b"\r\n".contains(byte)) => End::Clean,
            State::Head(_) => End::Cut,
            State::Body(flow, head) => match flow.close(&mut [], 0) {
                Ok(_) => {
                    self.messages.extend(head.seen.take());
                    End::Clean
                }
                Err(_) => End::Cut,
            },
        }
    }
}

/// One step of a body: the data, taken out of `waiting` with the framing around it.
fn step(flow: &mut BodyFlow, waiting: &mut Vec<u8>) -> Result<Vec<u8>, BodyFault> {
    let mut buffer = vec![0; FRONT_ROOM];
    buffer.extend_from_slice(waiting);
    let end = buffer.len();
    buffer.extend_from_slice(&[0; BACK_ROOM]);
    let step = flow.step(&mut buffer, FRONT_ROOM, end)?;
    waiting.drain(..step.consumed - FRONT_ROOM);
    Ok(buffer[step.start..step.end].to_vec())
}
