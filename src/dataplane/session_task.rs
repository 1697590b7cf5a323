//! A session as a task of its worker: counted, and contained, so that a panic in it costs one connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;

use super::worker::Worker;

/// Makes a session a task.
pub(crate) fn spawn(worker: Rc<Worker>, session: impl Future<Output = ()> + 'static) {
    worker.session_began();
    // In a box, so that the task is a handle and not a second place of the session's size.
    let mut session = Box::pin(session);
    monoio::spawn(async move {
        let contained = std::future::poll_fn(|cx| {
            // What a session shares with others are cells and guards that a panic leaves whole.
            match catch_unwind(AssertUnwindSafe(|| session.as_mut().poll(cx))) {
                Ok(poll) => poll.map(Ok),
                Err(panic) => Poll::Ready(Err(panic)),
            }
        });
        if contained.await.is_err() {
            worker.stats.total(|totals| totals.panics += 1);
        }
        // What it held is given back before it is counted as gone.
        drop(session);
        worker.session_ended();
    });
}
