//! The first bytes of a connection, read until they say something whole.

use std::task::Poll;

use super::buffers::Buf;
use super::socket::Socket;
use super::timers::Timer;
use crate::logic::access::End;
use crate::logic::fault::Fault;

/// Reads behind what `buf` holds until `read` has an answer; the buffer has all that came. `timer` is when to give up.
///
/// # Errors
/// What `read` found wrong, [`Fault::HeadTimeout`], or [`End::ClientGone`].
pub(super) async fn read<T>(
    client: &mut Socket,
    timer: &Timer,
    mut buf: Buf,
    read: impl Fn(&[u8]) -> Result<Option<T>, Fault>,
) -> Result<(T, Buf), End> {
    loop {
        if let Some(found) = read(buf.filled()).map_err(End::Fault)? {
            return Ok((found, buf));
        }
        // Whatever is read so has a limit below the largest buffer.
        if !buf.make_room() {
            return Err(End::Fault(Fault::HeadTooLarge));
        }
        client.start_read(buf);
        let done = std::future::poll_fn(|cx| match client.poll_read(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending if timer.expired() => Poll::Ready(Err(End::Fault(Fault::HeadTimeout))),
            Poll::Pending => Poll::Pending,
        });
        let (result, back) = done.await?;
        buf = back;
        if matches!(result, Ok(0) | Err(_)) {
            return Err(End::ClientGone);
        }
    }
}
