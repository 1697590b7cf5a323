//! WebSocket echo (RFC 6455): every frame goes back as it came, unmasked, as a stream: a long frame is never
//! held whole. Pings become pongs; a close is answered and ends the session.

use std::io::{self, Cursor};

use tungstenite::{
    handshake::derive_accept_key,
    protocol::frame::{
        FrameHeader,
        coding::{Control, OpCode},
    },
};

use super::{
    connection::{BUFFER_LEN, Connection},
    ledger::add,
};

/// Answers the handshake with this key and echoes until either side ends it.
pub(crate) async fn run(link: &mut Connection, key: &[u8]) -> io::Result<()> {
    let name = link.worker.node.name.clone();
    let accept = derive_accept_key(key);
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nserver: loadgen-node\r\nx-node: {name}\r\n\
         connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    link.out.extend_from_slice(head.as_bytes());
    link.never_idle();
    add(&link.worker.ledger().websockets, 1);
    while let Some((frame, len)) = next_frame(link).await? {
        let closes = frame.opcode == OpCode::Control(Control::Close);
        if !echo_frame(link, frame, len).await? || closes {
            break;
        }
        add(&link.worker.ledger().websocket_frames, 1);
    }
    link.shut().await
}

/// The head of the next frame and its payload's length; `None` when the client is gone or talks nonsense.
async fn next_frame(link: &mut Connection) -> io::Result<Option<(FrameHeader, u64)>> {
    loop {
        let mut cursor = Cursor::new(link.input());
        match FrameHeader::parse(&mut cursor) {
            Ok(Some(found)) => {
                let used = usize::try_from(cursor.position()).unwrap_or(0);
                link.consume(used);
                return Ok(Some(found));
            }
            Ok(None) => {}
            Err(_) => return Ok(None),
        }
        if link.exchange().await?.is_err() {
            return Ok(None);
        }
    }
}

/// Sends the frame back; `false` when the client left in the middle of it.
async fn echo_frame(link: &mut Connection, mut frame: FrameHeader, len: u64) -> io::Result<bool> {
    let mask = frame.mask.take();
    // A pong goes back too, like any frame: one that nobody asked for is allowed (RFC 6455 section 5.5.3).
    if frame.opcode == OpCode::Control(Control::Ping) {
        frame.opcode = OpCode::Control(Control::Pong);
    }
    frame.format(len, &mut link.out).map_err(io::Error::other)?;
    let mut done = 0;
    while done < len {
        if link.input().is_empty() && link.exchange().await?.is_err() {
            return Ok(false);
        }
        let left = usize::try_from(len - done).unwrap_or(usize::MAX);
        let taken = left.min(link.input().len());
        unmask(link, mask, done, taken);
        done += taken as u64;
        if link.out.len() >= BUFFER_LEN {
            link.flush().await?;
        }
    }
    Ok(true)
}

/// Moves `len` bytes of payload from input to output; the first is byte `from` of the frame.
fn unmask(link: &mut Connection, mask: Option<[u8; 4]>, from: u64, len: usize) {
    let start = link.out.len();
    let mut out = std::mem::take(&mut link.out);
    out.extend_from_slice(&link.input()[..len]);
    if let Some(mask) = mask {
        for (at, byte) in (from..).zip(&mut out[start..]) {
            *byte ^= mask[(at % 4) as usize];
        }
    }
    link.out = out;
    link.consume(len);
}
