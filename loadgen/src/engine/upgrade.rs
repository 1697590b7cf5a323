//! The WebSocket handshake (RFC 6455 section 4.1), once a connection.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::seat::Seat;
use super::socket::{Reader, Socket, Writer};
use crate::fault::{Cause, Fault};

/// The largest answer to a handshake that is read.
const ANSWER_MAX: usize = 16 * 1024;

/// Asks for the upgrade and checks that it was granted.
///
/// # Errors
/// When it was not, or not in time.
pub async fn shake_hands(socket: Socket, request: &[u8], accept: &str, seat: &Seat) -> Result<Socket, Fault> {
    let mut shaking = pin!(exchange(socket, request, accept));
    poll_fn(|task| match shaking.as_mut().poll(task) {
        Poll::Pending if seat.is_expired() => {
            Poll::Ready(Err(Fault::new(Cause::ConnectTimeout, "no answer to the websocket handshake")))
        }
        other => other,
    })
    .await
}

async fn exchange(socket: Socket, request: &[u8], accept: &str) -> Result<Socket, Fault> {
    let (mut reader, writer) = socket.split();
    let (written, writer, _) = writer.write(request.to_vec()).await;
    written.map_err(|error| Fault::of_transfer(&error))?;
    let mut answer = Vec::new();
    let mut buffer = Vec::with_capacity(ANSWER_MAX);
    loop {
        let result;
        (result, reader, buffer) = reader.read(buffer).await;
        let length = result.map_err(|error| Fault::of_transfer(&error))?;
        if length == 0 {
            return Err(Fault::closed_early("the websocket handshake was not answered"));
        }
        answer.extend_from_slice(&buffer[..length]);
        if check(&answer, accept)? {
            return Ok(rejoin(reader, writer));
        }
    }
}

/// Whether the answer is whole and grants the upgrade.
fn check(answer: &[u8], accept: &str) -> Result<bool, Fault> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(answer).map_err(|error| Fault::bad_response(error.to_string()))?;
    let httparse::Status::Complete(used) = parsed else {
        return if answer.len() < ANSWER_MAX {
            Ok(false)
        } else {
            Err(Fault::bad_response("the answer to the websocket handshake is too long"))
        };
    };
    let status = response.code.unwrap_or(0);
    if status != 101 {
        let detail = format!("the websocket handshake was answered with {status}");
        return Err(Fault::new(Cause::UnexpectedAnswer, detail));
    }
    let proof =
        response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-accept"));
    if proof.is_none_or(|header| header.value != accept.as_bytes()) {
        return Err(Fault::bad_response("the websocket handshake has the wrong sec-websocket-accept"));
    }
    if used < answer.len() {
        return Err(Fault::new(Cause::UnexpectedAnswer, "the server spoke first on the websocket"));
    }
    Ok(true)
}

fn rejoin(reader: Reader, writer: Writer) -> Socket {
    Socket::join(reader, writer).expect("both halves come from the same split, above")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proven_upgrade_is_one() {
        let good = "HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nSec-WebSocket-Accept: abc\r\n\r\n";
        assert_eq!(check(good.as_bytes(), "abc"), Ok(true));
        assert_eq!(check(&good.as_bytes()[..20], "abc"), Ok(false));
        for (answer, cause) in [
            (good.replace("abc", "xyz"), Cause::BadResponse),
            (good.replace("101", "200"), Cause::UnexpectedAnswer),
            (format!("{good}\u{1}"), Cause::UnexpectedAnswer),
            ("garbage\r\n\r\n".to_owned(), Cause::BadResponse),
        ] {
            assert_eq!(check(answer.as_bytes(), "abc").unwrap_err().cause, cause, "{answer}");
        }
    }
}
