//! Connections of trusted proxies that begin with a PROXY header: it is read, and the connection served as its client's.

use std::rc::Rc;

use super::buffers::{Buf, Size};
use super::socket::Socket;
use super::worker::Admission;
use super::{first_bytes, session_task, tcp_session};
use crate::logic::access::End;
use crate::logic::proxy_protocol;

/// Reads the header, and hands the connection on to what its listener speaks.
pub(super) fn start(client: Socket, admission: Admission) {
    let worker = Rc::clone(&admission.worker);
    session_task::spawn(worker, run(client, admission));
}

async fn run(mut client: Socket, mut admission: Admission) {
    let worker = Rc::clone(&admission.worker);
    let timer = worker.timer().await;
    timer.set(worker.view().snapshot.timeouts.client_head);
    let first = first_bytes::read(&mut client, &timer, Buf::new(Size::Small), proxy_protocol::read).await;
    match first {
        Ok((header, mut buf)) => {
            buf.consume(header.bytes);
            admission.said = header.ends.map(Box::new);
            client.lighten();
            worker.begin(client, admission, (!buf.is_empty()).then_some(buf));
        }
        // Proxies try their nodes like that: a connection, and not a byte.
        Err(End::ClientGone) => {}
        Err(end) => tcp_session::refuse(client, &admission, end),
    }
}
