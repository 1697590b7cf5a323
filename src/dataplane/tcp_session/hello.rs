//! Which backend a TLS connection asks for, by the name in its hello; and how it is told that there is none.

use std::task::Poll;

use super::Session;
use super::direction::Direction;
use crate::dataplane::buffers::{Buf, Size};
use crate::dataplane::first_bytes;
use crate::logic::access::End;
use crate::logic::fault::Fault;
use crate::logic::limits::LINGER;
use crate::logic::route::BackendIndex;
use crate::logic::tls::names::NameTable;
use crate::logic::tls::{UNRECOGNIZED_NAME, hello};

impl Session {
    /// Reads the hello, which goes on to the node as it came, and finds where its name leads.
    pub(super) async fn ask_name(
        &mut self,
        names: &NameTable<Option<BackendIndex>>,
    ) -> Result<Option<BackendIndex>, End> {
        let timeout = self.worker().view().snapshot.timeouts.client_head;
        self.timer.set(timeout);
        let begun = self.up.take_ready().unwrap_or_else(|| Buf::new(Size::Small));
        let (opening, buf) = first_bytes::read(&mut self.client, &self.timer, begun, hello::read).await?;
        self.up = Direction::holding(buf);
        match names.find(&opening) {
            Ok(led) => {
                self.account.route = led.route.cloned();
                Ok(*led.backend)
            }
            Err(fault) => {
                if fault == Fault::NoRoute {
                    self.tell_unrecognized().await;
                }
                Err(End::Fault(fault))
            }
        }
    }

    /// Sends the alert, and waits for the client to have it: closing on bytes unread would be a reset, and take it along.
    async fn tell_unrecognized(&mut self) {
        self.timer.set(LINGER);
        self.client.start_write(Buf::holding(&UNRECOGNIZED_NAME));
        self.client.start_read(Buf::new(Size::Small));
        let (mut told, mut gone) = (false, false);
        std::future::poll_fn(|cx| {
            if !told && self.client.poll_write(cx).is_ready() {
                told = true;
                self.client.shutdown_write();
            }
            while !gone && let Poll::Ready((result, mut buf)) = self.client.poll_read(cx) {
                gone = matches!(result, Ok(0) | Err(_));
                if !gone {
                    buf.clear();
                    self.client.start_read(buf);
                }
            }
            if gone || self.timer.expired() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
