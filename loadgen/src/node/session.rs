//! One HTTP/1.1 session: requests in, responses as the behaviour orders.
//!
//! ```text
//! head? ──no──> exchange (send what waits, read more) ──> head?
//!   └─yes─> plain? ──yes──> append the canned response ──> head?
//!             └─no──> body ─> place ─> delay, CPU ─> fault or response ─> head? or the end
//! ```

mod response;

use std::{io, net::SocketAddr, rc::Rc, time::Instant};

use monoio::net::TcpStream;

use super::{
    behaviour::{Behaviour, Framing, Reset},
    body::{BodyReader, Broken},
    burn,
    connection::{Connection, Over},
    control,
    ledger::add,
    reply::Reply,
    request::{Body, Head, Refusal},
    websocket,
    worker::Worker,
};

/// Serves one connection to its end.
pub(crate) async fn serve(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    worker.ledger().open();
    let ledger_of = Rc::clone(&worker);
    let ledger = ledger_of.ledger();
    let mut session = Session { link: Connection::new(worker, stream), peer, begun: 0 };
    let end = session.run().await;
    // A failed write is the client's doing: it shows in the ledger as an aborted request.
    let reset = matches!(end, Ok(End::Reset));
    add(&ledger.aborted, session.begun.saturating_sub(session.link.ended + u64::from(reset)));
    match end {
        Ok(end) => close(session.link, end, ledger).await,
        Err(_) => drop(session),
    }
    add(&ledger.closed, 1);
}

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client closed, or there is nothing left to say.
    Gone,
    /// Nothing came for the keep-alive time.
    Idle,
    /// The last response has been sent: close behind it.
    Finished,
    /// As ordered: without a word.
    Dropped,
    /// As ordered: the sending half only.
    HalfClosed,
    /// As ordered: RST.
    Reset,
}

async fn close(link: Connection, end: End, ledger: &super::ledger::Ledger) {
    // The peer may be gone already; then there is nothing to close properly.
    let _ = match end {
        End::Gone => Ok(()),
        End::Idle => {
            add(&ledger.idle_closed, 1);
            Ok(())
        }
        End::Finished => link.finish().await,
        End::Dropped => {
            add(&ledger.drops, 1);
            Ok(())
        }
        End::HalfClosed => {
            add(&ledger.half_closes, 1);
            link.drain().await
        }
        End::Reset => {
            add(&ledger.resets, 1);
            link.reset()
        }
    };
}

struct Session {
    link: Connection,
    peer: SocketAddr,
    /// Requests whose head was read.
    begun: u64,
}

/// A request that is being answered.
struct Request {
    head: Head,
    raw: Vec<u8>,
    path: String,
    query: String,
    since: Instant,
    is_head: bool,
}

impl Session {
    async fn run(&mut self) -> io::Result<End> {
        loop {
            let end = match Head::parse(self.link.input()) {
                Ok(Some(head)) if self.answer_plainly(&head) => None,
                Ok(Some(head)) => self.answer(head).await?,
                Ok(None) => self.more().await?,
                Err(refusal) => Some(self.refuse(refusal)),
            };
            if let Some(end) = end {
                // What waits to be sent goes out before the ledger is closed.
                if end == End::Finished {
                    self.link.flush().await?;
                }
                return Ok(end);
            }
        }
    }

    /// The path of benchmarks: appends the canned response, without allocation or await, where nothing is special
    /// about the request or the behaviour.
    fn answer_plainly(&mut self, head: &Head) -> bool {
        let input = self.link.input();
        let ordinary = head.keep_alive
            && head.minor == 1
            && head.body == Body::Length(0)
            && head.websocket_key.is_none()
            && head.method(input) != b"HEAD";
        let node = &self.link.worker.node;
        if !ordinary || node.is_draining() || is_special(head.target(input), &node.health_path) {
            return false;
        }
        let current = self.link.worker.current();
        let Some(plain) = &current.plain else { return false };
        let status = current.behaviour.status;
        self.link.out.extend_from_slice(plain);
        drop(current);
        self.begin(head);
        self.link.answered(status, self.link.received_at());
        true
    }

    fn begin(&mut self, head: &Head) {
        self.begun += 1;
        self.link.worker.ledger().begin();
        self.link.consume(head.len);
    }

    /// Reads more, for a head or a body.
    async fn more(&mut self) -> io::Result<Option<End>> {
        Ok(match self.link.exchange().await? {
            Ok(()) => None,
            Err(Over::Closed) => Some(End::Gone),
            Err(Over::Idle) => Some(End::Idle),
        })
    }

    fn refuse(&mut self, refusal: Refusal) -> End {
        add(&self.link.worker.ledger().malformed, 1);
        let status = refusal.status();
        let reply = Reply::text(status, format!("the node cannot read this request: {refusal:?}"));
        reply.write_head(&mut self.link.out, &self.link.worker.node.name, Framing::Length, false, true);
        reply.body.append(&mut self.link.out, 0, usize::MAX >> 1);
        End::Finished
    }

    async fn answer(&mut self, head: Head) -> io::Result<Option<End>> {
        let request = self.take_request(head);
        let node = std::sync::Arc::clone(&self.link.worker.node);
        if node.control && control::is_control(&request.path) {
            return self.answer_control(request).await;
        }
        if request.path == node.health_path {
            let healthy = node.is_healthy();
            let reply = if healthy { Reply::text(200, "healthy") } else { Reply::text(503, "unhealthy") };
            return self.answer_simply(request, reply).await;
        }
        let usual = std::sync::Arc::clone(&self.link.worker.current().behaviour);
        match usual.with_query(&request.query) {
            Err(error) => self.answer_simply(request, Reply::text(400, error)).await,
            Ok(own) => self.answer_as(request, &own).await,
        }
    }

    fn take_request(&mut self, head: Head) -> Request {
        let input = self.link.input();
        let target = head.target(input);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = Request {
            raw: input[..head.len].to_vec(),
            path: path_of(path).to_owned(),
            query: query.to_owned(),
            since: self.link.received_at(),
            is_head: head.method(input) == b"HEAD",
            head,
        };
        self.begin(&request.head);
        request
    }

    /// A request for an ordinary path, under the behaviour that is its own.
    async fn answer_as(&mut self, request: Request, own: &Behaviour) -> io::Result<Option<End>> {
        if let Some(key) = &request.head.websocket_key {
            let key = request.raw[key.clone()].to_vec();
            self.link.answered(101, request.since);
            websocket::run(&mut self.link, &key).await?;
            return Ok(Some(End::Gone));
        }
        let mut body = BodyReader::new(request.head.body, own.echo);
        if !own.early {
            match self.read_body(&request, &mut body).await? {
                None => {}
                end => return Ok(end),
            }
        }
        let struck = own.share >= 1.0 || self.link.worker.strikes(own.share);
        let node = std::sync::Arc::clone(&self.link.worker.node);
        let Ok(_place) = node.enter().await else {
            add(&self.link.worker.ledger().refused, 1);
            let mut reply = Reply::text(503, "the node serves as many requests as it may; its queue is full");
            reply.headers.push(("retry-after".to_owned(), "1".to_owned()));
            return self.send_simply(&request, reply, body).await;
        };
        if struck {
            self.wait(own).await?;
            if own.reset == Some(Reset::Head) {
                self.link.flush().await?;
                return Ok(Some(End::Reset));
            }
        }
        let reply = self.reply(&request, own, struck, &body);
        let keep_alive = self.keeps(&request, own);
        if self.send(&request, &reply, own, struck, keep_alive).await? {
            return Ok(Some(End::Reset));
        }
        self.after(&request, own, struck, keep_alive, body).await
    }

    /// What happens to the connection behind the response.
    async fn after(
        &mut self,
        request: &Request,
        own: &Behaviour,
        struck: bool,
        keep_alive: bool,
        mut body: BodyReader,
    ) -> io::Result<Option<End>> {
        if struck && own.half_close {
            self.link.shut().await?;
            return Ok(Some(End::HalfClosed));
        }
        if own.drop_after > 0 && self.begun >= own.drop_after {
            self.link.flush().await?;
            return Ok(Some(End::Dropped));
        }
        if !keep_alive {
            return Ok(Some(End::Finished));
        }
        self.read_body(request, &mut body).await
    }

    async fn answer_control(&mut self, request: Request) -> io::Result<Option<End>> {
        let mut body = BodyReader::new(request.head.body, true);
        if let Some(end) = self.read_body(&request, &mut body).await? {
            return Ok(Some(end));
        }
        let method = String::from_utf8_lossy(request.head.method(&request.raw)).into_owned();
        let text = body.kept.take().unwrap_or_default();
        let reply = control::answer(&self.link.worker.node, &method, &request.path, &request.query, &text);
        self.send_simply(&request, reply, body).await
    }

    async fn answer_simply(&mut self, request: Request, reply: Reply) -> io::Result<Option<End>> {
        let mut body = BodyReader::new(request.head.body, false);
        if let Some(end) = self.read_body(&request, &mut body).await? {
            return Ok(Some(end));
        }
        self.send_simply(&request, reply, body).await
    }

    async fn send_simply(
        &mut self,
        request: &Request,
        reply: Reply,
        body: BodyReader,
    ) -> io::Result<Option<End>> {
        let usual = Behaviour::default();
        let keep_alive = self.keeps(request, &usual);
        self.send(request, &reply, &usual, false, keep_alive).await?;
        self.after(request, &usual, false, keep_alive, body).await
    }

    /// Reads the request's body to its end; `Some` when the connection ends first.
    async fn read_body(&mut self, request: &Request, body: &mut BodyReader) -> io::Result<Option<End>> {
        if request.head.expects_continue && !body.is_done() && self.link.input().is_empty() {
            self.link.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        loop {
            let before = body.received;
            let taken = body.take(self.link.input());
            add(&self.link.worker.ledger().body_bytes_received, body.received - before);
            match taken {
                Ok(taken) => self.link.consume(taken),
                Err(Broken) => return Ok(Some(self.refuse(Refusal::Malformed))),
            }
            if body.is_done() {
                return Ok(None);
            }
            if let Some(end) = self.more().await? {
                return Ok(Some(end));
            }
        }
    }

    /// The delay and the CPU time, in this order; what waits to be sent goes out first.
    async fn wait(&mut self, own: &Behaviour) -> io::Result<()> {
        let delay = self.link.worker.draw(own);
        if !delay.is_zero() {
            self.link.flush().await?;
            monoio::time::sleep(delay).await;
        }
        burn::cpu(own.cpu_us);
        Ok(())
    }
}

/// The path of a target in origin form or in absolute form (RFC 9112 section 3.2).
fn path_of(target: &str) -> &str {
    match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => target,
    }
}

/// Whether a target needs more than the canned response.
fn is_special(target: &str, health_path: &str) -> bool {
    target.contains('?') || target.contains("://") || control::is_control(target) || target == health_path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_target_have_the_same_path() {
        assert_eq!(path_of("/a/b"), "/a/b");
        assert_eq!(path_of("http://host:1/a/b"), "/a/b");
        assert_eq!(path_of("http://host"), "/");
        assert_eq!(path_of("/x?u=http://y/"), "/x?u=http://y/");
    }
}
