//! The response of a session: what it consists of, and its way onto the connection, whole, in pieces or broken off.

use std::{io, time::Duration};

use super::{Request, Session};
use crate::node::{
    behaviour::{Behaviour, Framing, Reset},
    body::BodyReader,
    connection::BUFFER_LEN,
    echo_json,
    reply::{Content, Reply},
};

impl Session {
    pub(super) fn reply(&self, request: &Request, own: &Behaviour, struck: bool, body: &BodyReader) -> Reply {
        let status = if struck { own.status } else { 200 };
        let mut reply = if own.echo {
            let place = echo_json::Place { peer: self.peer, request_of_connection: self.begun };
            Reply::json(status, &echo_json::Echo::of(&self.link.worker.node.name, place, &request.raw, body))
        } else {
            let body = Content::Pattern(own.size);
            Reply { status, content_type: "text/plain", headers: Vec::new(), body }
        };
        reply.headers.extend_from_slice(&own.headers);
        if let Some(load) = own.load {
            reply.headers.push(("endpoint-load-metrics".to_owned(), format!("TEXT cpu_utilization={load}")));
        }
        reply
    }

    pub(super) fn keeps(&self, request: &Request, own: &Behaviour) -> bool {
        request.head.keep_alive
            && !self.link.worker.node.is_draining()
            && own.framing != Framing::Close
            && (own.close_after == 0 || self.begun < own.close_after)
            && (own.framing == Framing::Length || request.head.minor == 1)
    }

    /// Sends the response; its end may still wait for the next exchange. `true` when it broke off for a reset.
    pub(super) async fn send(
        &mut self,
        request: &Request,
        reply: &Reply,
        own: &Behaviour,
        struck: bool,
        keep_alive: bool,
    ) -> io::Result<bool> {
        let allowed = !matches!(reply.status, 100..=199 | 204 | 304);
        // HTTP/1.0 knows no chunks: there the end of the connection tells the end of the body.
        let framing = match own.framing {
            Framing::Chunked if request.head.minor == 0 => Framing::Close,
            framing => framing,
        };
        let name = &self.link.worker.node.name;
        reply.write_head(&mut self.link.out, name, framing, keep_alive, allowed);
        if request.head.minor == 0 && keep_alive {
            // The keep-alive of HTTP/1.0 has to be said (RFC 9112 appendix C.2.2): before the empty line.
            let end = self.link.out.len() - 2;
            self.link.out.truncate(end);
            self.link.out.extend_from_slice(b"connection: keep-alive\r\n\r\n");
        }
        if allowed && !request.is_head && self.send_body(reply, own, framing, struck).await? {
            return Ok(true);
        }
        self.link.answered(reply.status, request.since);
        Ok(false)
    }

    async fn send_body(
        &mut self,
        reply: &Reply,
        own: &Behaviour,
        framing: Framing,
        struck: bool,
    ) -> io::Result<bool> {
        let total = reply.body.len();
        let breaks = struck && own.reset == Some(Reset::Body);
        let end = if breaks { total / 2 } else { total };
        let piece = piece_len(own, total);
        let mut at = 0;
        while at < end {
            let len = piece.min(end - at);
            self.put_piece(reply, framing, at, len);
            at += len;
            if own.drip_us > 0 && at < total {
                self.link.flush().await?;
                monoio::time::sleep(Duration::from_micros(own.drip_us)).await;
            } else if self.link.out.len() >= 4 * BUFFER_LEN {
                self.link.flush().await?;
            }
        }
        if breaks {
            self.link.flush().await?;
        } else if framing == Framing::Chunked {
            self.link.out.extend_from_slice(b"0\r\n\r\n");
        }
        Ok(breaks)
    }

    fn put_piece(&mut self, reply: &Reply, framing: Framing, at: u64, len: u64) {
        let out = &mut self.link.out;
        if framing == Framing::Chunked {
            out.extend_from_slice(format!("{len:x}\r\n").as_bytes());
        }
        reply.body.append(out, at, usize::try_from(len).unwrap_or(usize::MAX));
        if framing == Framing::Chunked {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// The bytes between two pauses, or of a chunk: as ordered, else an eighth of a dripping body, else a buffer's worth.
fn piece_len(own: &Behaviour, total: u64) -> u64 {
    match (own.piece, own.drip_us) {
        (0, 0) => BUFFER_LEN as u64,
        (0, _) => total.div_ceil(8).clamp(1, BUFFER_LEN as u64),
        (piece, _) => piece,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dripping_body_comes_in_eight_pieces_unless_ordered_otherwise() {
        let mut own = Behaviour::default();
        assert_eq!(piece_len(&own, 128), BUFFER_LEN as u64);
        own.set("drip", "1ms").unwrap();
        assert_eq!(piece_len(&own, 128), 16);
        own.set("piece", "5").unwrap();
        assert_eq!(piece_len(&own, 128), 5);
    }
}
