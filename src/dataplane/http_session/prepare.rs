//! From a request's bytes to what is to be done with them: parse, route, compose. Nothing here waits.

use std::net::IpAddr;
use std::rc::Rc;

use super::outcome::Exchange;
use super::upload::Upload;
use super::{Input, Session};
use crate::dataplane::access::Draft;
use crate::dataplane::buffers::Buf;
use crate::dataplane::view::{Tie, View};
use crate::logic::client::client_address;
use crate::logic::fault::Fault;
use crate::logic::http1::answer::{Answering, write_fault, write_fixed, write_redirect};
use crate::logic::http1::body::BodyFlow;
use crate::logic::http1::framing::Framing;
use crate::logic::http1::request::{self, FieldRoom, Request, RequestFacts};
use crate::logic::http1::rewrite::{Onward, write_request};
use crate::logic::route::{
    Action, BackendIndex, Edits, Found, ListenerIndex, Rewrite, Route, RouteIndex, redirect_location,
    rewrite_target,
};

/// What is to be done.
#[expect(
    clippy::large_enum_variant,
    reason = "a job stays where it is made; a box would be an allocation for each request"
)]
pub(super) enum Prepared {
    /// Send this.
    Answer { response: Buf, keep_alive: bool },
    /// Send the request to a node.
    Forward(Job),
}

/// A request on its way to a node.
pub(super) struct Job {
    pub(super) backend: BackendIndex,
    pub(super) route: RouteIndex,
    pub(super) tie: Tie,
    pub(super) facts: RequestFacts,
    /// The rewritten head and as much of the body as had come; `None` while it is being sent.
    pub(super) out: Option<Buf>,
    /// Is all of it waited for: the end of that write, and the client's own end where it has nothing more to send? Else
    /// both are looked at after [`UNWATCHED_WRITE`](crate::logic::limits::UNWATCHED_WRITE), before which most are over.
    pub(super) watched: bool,
    /// Where `out` begins: it is kept until the response begins, and sent again from here if it has to be.
    pub(super) out_position: usize,
    /// The rest of the body.
    pub(super) upload: Option<Upload>,
    /// Nothing more can be sent to the node, but it may have answered.
    pub(super) broken: bool,
    /// Was there an upload that did not come to its end?
    pub(super) cut: bool,
    /// Has more been sent than `out` holds?
    pub(super) sent_more: bool,
    /// Bytes of an upload that came to its end behind the response's beginning.
    pub(super) uploaded: u64,
    /// Is the upload waiting for the client, rather than for the node?
    pub(super) waits_for_client: bool,
}

impl Job {
    /// Is all that was sent still at hand, and all that there is?
    pub(super) fn is_whole(&self) -> bool {
        self.out.is_some() && self.upload.is_none() && !self.sent_more && !self.cut
    }

    /// Has the whole request been read, so that the next byte of the client's is the next request's?
    pub(super) fn is_clean(&self) -> bool {
        self.upload.is_none() && !self.cut
    }

    /// All that was sent, where it is at hand.
    pub(super) fn copy(&mut self) -> Option<Buf> {
        let position = self.out_position;
        let out = self.out.as_mut()?;
        out.rewind(position);
        Some(Buf::holding(out.filled()))
    }

    /// Takes back what was sent, to send it again.
    pub(super) fn rewind(&mut self) {
        self.broken = false;
        if let Some(out) = &mut self.out {
            out.rewind(self.out_position);
        }
    }
}

/// What composing decided; the bytes are in the scratch vector.
pub(super) enum Composed {
    /// A request head for a node of this backend.
    Request(BackendIndex, RouteIndex, Tie),
    /// A response.
    Response { status: u16, keep_alive: bool, fault: Option<Fault> },
}

impl Session {
    /// Decides about the head at `start..end` of what `buf` holds.
    pub(super) fn prepare(
        &mut self,
        exchange: &mut Exchange,
        mut buf: Buf,
        start: usize,
        end: usize,
    ) -> Prepared {
        let worker = Rc::clone(self.worker());
        buf.consume(start);
        let end = end - start;
        exchange.head_in = end as u64;
        worker.with_scratch(|scratch| {
            let composed = self.compose(exchange, &buf, end, scratch);
            match (composed, exchange.facts) {
                (Composed::Request(backend, route, tie), Some(facts)) => {
                    Prepared::Forward(self.job(exchange, (backend, route, tie), facts, buf, end, scratch))
                }
                (Composed::Response { status, keep_alive, fault }, _) => {
                    let response = Buf::holding(scratch);
                    exchange.status = status;
                    exchange.fault = fault;
                    self.leave_body(exchange.facts, buf, end);
                    Prepared::Answer { response, keep_alive }
                }
                // Composing a request has read its facts.
                (Composed::Request(..), None) => unreachable!("a request without facts"),
            }
        })
    }

    /// Parses and routes the head, and writes what it leads to into `out`.
    fn compose(&self, exchange: &mut Exchange, buf: &Buf, end: usize, out: &mut Vec<u8>) -> Composed {
        let view = Rc::clone(&exchange.view);
        let log = &self.worker().log;
        let drafted = view.snapshot.access_log.is_some() || log.is_watched();
        let mut room = FieldRoom::new();
        let request = match request::parse(&buf.filled()[..end], &view.snapshot.limits, &mut room) {
            Ok(request) => request,
            Err(fault) => {
                exchange.draft = drafted.then(|| Draft::unread(log));
                return self.compose_unread(fault, out);
            }
        };
        let request_id = self.worker().request_id();
        exchange.facts = Some(request.facts);
        exchange.draft = drafted.then(|| {
            let believed = if self.peer.trusted { request.head.field("x-request-id") } else { None };
            Draft::new(log, &request.head, believed.unwrap_or(&request_id))
        });
        let found = view.snapshot.routes.find(&request.head, ListenerIndex(self.admission.listener));
        let after = buf.len() - end;
        match found {
            // Refused wherever it would lead; a route that limits its methods says which they are.
            Found::Nothing | Found::AmbiguousPath | Found::Route(_) if request.facts.is_connect => {
                self.compose_fault(Fault::NotImplemented, None, &request, after, out)
            }
            Found::Nothing => self.compose_fault(Fault::NoRoute, None, &request, after, out),
            Found::AmbiguousPath => self.compose_fault(Fault::AmbiguousPath, None, &request, after, out),
            Found::WrongMethod(index) => {
                let allow = view.snapshot.routes.allow(index);
                self.compose_fault(Fault::MethodNotAllowed, Some(allow), &request, after, out)
            }
            Found::Route(index) => {
                exchange.route = Some(index);
                if let Err(refusal) = self.pass_gate(exchange, index, &request) {
                    return self.compose_refusal(refusal, &request, after, out);
                }
                self.compose_route(&view, index, &request, &request_id, after, out)
            }
        }
    }

    fn compose_route(
        &self,
        view: &View,
        index: RouteIndex,
        request: &Request<'_>,
        request_id: &[u8],
        after: usize,
        out: &mut Vec<u8>,
    ) -> Composed {
        panic_if_asked_to(request);
        let route = view.snapshot.routes.get(index);
        let keep_alive = self.may_go_on(&request.facts, after);
        let edits = &route.response_edits;
        match &route.action {
            // The client asks what the last hop that it allows has to say, and this is it (RFC 9110, 7.6.2).
            Action::Forward { .. } if request.facts.hops_left == Some(0) => {
                self.with_answering(&request.facts, keep_alive, |answering| {
                    write_fixed(out, 204, b"", &Edits::default(), answering);
                });
                Composed::Response { status: 204, keep_alive, fault: None }
            }
            Action::Forward { backend, rewrite } => {
                self.compose_onward(view, route, rewrite, *backend, request, request_id, out);
                let tie = view.backend(*backend).tie(&request.head, || self.client_address(view, request));
                Composed::Request(*backend, index, tie)
            }
            Action::Redirect { to, status } => {
                let mut location = Vec::new();
                redirect_location(to, &request.head, &mut location);
                if to.contains("{host}") && request.head.authority.is_empty() {
                    return self.compose_fault(Fault::BadHost, None, request, after, out);
                }
                self.with_answering(&request.facts, keep_alive, |answering| {
                    write_redirect(out, *status, &location, edits, answering);
                });
                Composed::Response { status: *status, keep_alive, fault: None }
            }
            Action::Respond { status, body } => {
                self.with_answering(&request.facts, keep_alive, |answering| {
                    write_fixed(out, *status, body, edits, answering);
                });
                Composed::Response { status: *status, keep_alive, fault: None }
            }
        }
    }

    /// Who the request is from, as far as it is believed.
    pub(super) fn client_address(&self, view: &View, request: &Request<'_>) -> Option<IpAddr> {
        let trusts = |address| view.snapshot.trusts(address);
        client_address(self.peer.address, self.peer.trusted, request.head.fields, trusts)
    }

    #[expect(clippy::too_many_arguments, reason = "all of them are parts of one head")]
    fn compose_onward(
        &self,
        view: &View,
        route: &Route,
        rewrite: &Rewrite,
        backend: BackendIndex,
        request: &Request<'_>,
        request_id: &[u8],
        out: &mut Vec<u8>,
    ) {
        let authority = match &rewrite.host {
            Some(host) => host.as_bytes(),
            // HTTP/1.1 needs a Host, and an HTTP/1.0 client may not have given one.
            None if request.head.authority.is_empty() => view.backend(backend).name().as_bytes(),
            None => request.head.authority,
        };
        let mut rewritten = Vec::new();
        let target = if rewrite.strip_prefix.is_none() && rewrite.add_prefix.is_none() {
            request.head.target
        } else {
            rewrite_target(rewrite, request.head.target, &mut rewritten);
            &rewritten
        };
        let onward = Onward {
            target,
            authority,
            peer: self.peer.text(),
            trusted: self.peer.trusted,
            request_id,
            edits: &route.request_edits,
        };
        write_request(out, request, &onward);
    }

    fn compose_fault(
        &self,
        fault: Fault,
        allow: Option<&str>,
        request: &Request<'_>,
        after: usize,
        out: &mut Vec<u8>,
    ) -> Composed {
        let keep_alive = !fault.closes() && self.may_go_on(&request.facts, after);
        self.with_answering(&request.facts, keep_alive, |answering| {
            write_fault(out, fault, allow, answering)
        });
        Composed::Response { status: fault.status(), keep_alive, fault: Some(fault) }
    }

    /// The answer to what could not be read as a request.
    pub(super) fn compose_unread(&self, fault: Fault, out: &mut Vec<u8>) -> Composed {
        self.worker().with_date(|date| write_fault(out, fault, None, &Answering::unread(date)));
        Composed::Response { status: fault.status(), keep_alive: false, fault: Some(fault) }
    }

    pub(super) fn with_answering(
        &self,
        facts: &RequestFacts,
        keep_alive: bool,
        write: impl FnOnce(&Answering<'_>),
    ) {
        self.worker().with_date(|date| write(&Answering::to(facts, keep_alive, date)));
    }

    /// May the connection go on after an answer that does not read the body? Only where all of it is here already.
    pub(super) fn may_go_on(&self, facts: &RequestFacts, after: usize) -> bool {
        let whole = match facts.framing {
            Framing::None => true,
            Framing::Length(length) => length <= after as u64,
            Framing::Chunked | Framing::UntilClose => false,
        };
        facts.keep_alive && whole && !self.worker().is_draining()
    }

    /// Drops the head and a body that is here; what follows is the next request.
    fn leave_body(&mut self, facts: Option<RequestFacts>, mut buf: Buf, end: usize) {
        let body = match facts.map(|facts| facts.framing) {
            Some(Framing::Length(length)) => usize::try_from(length).unwrap_or(usize::MAX),
            _ => 0,
        };
        buf.consume(end.saturating_add(body));
        self.hold(buf);
    }

    /// Keeps bytes that belong to the next request. Empty lines before it are nothing (RFC 9112, 2.2), and would keep from
    /// noticing that the client leaves.
    pub(super) fn hold(&mut self, mut buf: Buf) {
        while buf.filled().starts_with(b"\r\n") {
            buf.consume(2);
        }
        self.input = if buf.is_empty() { Input::Empty } else { Input::Held(buf) };
    }

    /// Parts the bytes at hand into what goes out now, what is still to be read of the body, and the next request.
    fn job(
        &mut self,
        exchange: &mut Exchange,
        (backend, route, tie): (BackendIndex, RouteIndex, Tie),
        facts: RequestFacts,
        mut buf: Buf,
        end: usize,
        head: &[u8],
    ) -> Job {
        let after = buf.len() - end;
        let mut upload = None;
        let out = match facts.framing {
            // All that is here belongs to this request: the buffer itself goes out, with the new head in it.
            Framing::Length(length) if length >= after as u64 && buf.replace_head(end, head) => {
                exchange.body_in = after as u64;
                upload = Some(length - after as u64).filter(|&left| left > 0).map(Framing::Length);
                buf
            }
            Framing::None if after == 0 && buf.replace_head(end, head) => buf,
            // The body, or the next request, follows behind a head of its own.
            framing => {
                upload = Some(framing).filter(|&framing| framing != Framing::None);
                buf.consume(end);
                self.hold(buf);
                Buf::holding(head)
            }
        };
        let body_bytes_max = exchange.view.snapshot.limits.body_bytes_max;
        let edits = &exchange.view.snapshot.routes.get(route).request_edits;
        let flow = |framing| {
            BodyFlow::new(framing, framing == Framing::Chunked, body_bytes_max)
                .without(facts.nominates, edits)
        };
        Job {
            backend,
            route,
            tie,
            facts,
            watched: true,
            out_position: out.position(),
            out: Some(out),
            upload: upload.map(|framing| Upload::new(flow(framing))),
            broken: false,
            cut: false,
            sent_more: false,
            uploaded: 0,
            waits_for_client: false,
        }
    }
}

/// Lets a test prove that a panic costs one connection: a build with debug assertions panics where the environment
/// variable `PLIMSOLL_PANIC_ON` is the request's target. A release build does not look.
fn panic_if_asked_to(request: &Request<'_>) {
    static TARGET: std::sync::LazyLock<Option<std::ffi::OsString>> =
        std::sync::LazyLock::new(|| std::env::var_os("PLIMSOLL_PANIC_ON"));
    if cfg!(debug_assertions)
        && TARGET.as_ref().is_some_and(|target| target.as_encoded_bytes() == request.head.target)
    {
        panic!("asked to by PLIMSOLL_PANIC_ON");
    }
}
