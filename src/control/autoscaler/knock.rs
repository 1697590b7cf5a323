//! Does a node listen yet? Requests may wait for it, so it is asked from a millisecond on.
//!
//! Docker puts a proxy of its own on a port that it publishes on the loopback. That one takes every connection, and closes
//! it when nobody listens inside: a node listens when a connection to it stays open, which takes a while to see. At the
//! container's own address, where this machine is in its network, one that is taken is enough.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::control::fleet::Door;
use crate::logic::scale::hold::Knocks;

/// How long a connection must stay open at least: a refusal from inside takes a tenth of that on an idle machine.
const OPEN_MIN: Duration = Duration::from_millis(5);
const OPEN_MAX: Duration = Duration::from_millis(50);
/// How long the door alone is tried: something may stand before it that lets nobody pass.
const DOOR_ALONE: Duration = Duration::from_secs(1);

/// Ends when the node listens, however long that takes.
pub(super) async fn until_it_listens(address: SocketAddr, door: Option<Door>) {
    let Some(door) = door.filter(is_here) else { return until_one_stays(address).await };
    tokio::select! {
        () = until_one_is_taken(door.address) => {}
        () = async {
            tokio::time::sleep(DOOR_ALONE).await;
            until_one_stays(address).await;
        } => {}
    }
}

/// Is this machine in that network? Elsewhere the same address is somebody else's. Nothing is sent.
fn is_here(door: &Door) -> bool {
    let way = UdpSocket::bind(("0.0.0.0", 0)).and_then(|socket| {
        socket.connect(door.address)?;
        socket.local_addr()
    });
    way.is_ok_and(|own| own.ip() == door.gateway)
}

async fn until_one_is_taken(address: SocketAddr) {
    for pause in Knocks::default() {
        if let Ok(Ok(_)) = tokio::time::timeout(DOOR_ALONE, TcpStream::connect(address)).await {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

async fn until_one_stays(address: SocketAddr) {
    let mut patience = OPEN_MIN;
    for pause in Knocks::default() {
        match knock(address, patience).await {
            Answer::Listens => return,
            // A busy machine refuses later: what was refused just before says how late.
            Answer::Closed(after) => patience = (after * 3).clamp(patience, OPEN_MAX),
            Answer::Refused => {}
        }
        tokio::time::sleep(pause).await;
    }
}

enum Answer {
    Listens,
    /// Somebody took the connection, and closed it after this time.
    Closed(Duration),
    Refused,
}

async fn knock(address: SocketAddr, patience: Duration) -> Answer {
    let Ok(mut stream) = TcpStream::connect(address).await else { return Answer::Refused };
    let began = Instant::now();
    match tokio::time::timeout(patience, stream.read(&mut [0])).await {
        Ok(Ok(0) | Err(_)) => Answer::Closed(began.elapsed()),
        // Silent until it is asked, or one that speaks first.
        Ok(Ok(_)) | Err(_) => Answer::Listens,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_proxy_that_closes_every_connection_is_no_node_that_listens() {
        static TAKEN: AtomicU32 = AtomicU32::new(0);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                if TAKEN.fetch_add(1, SeqCst) >= 5 {
                    kept.push(stream);
                }
            }
        });
        until_it_listens(address, None).await;
        assert!(TAKEN.load(SeqCst) >= 6, "five connections were closed at once");
    }

    #[tokio::test]
    async fn the_first_connection_that_is_taken_at_the_door_is_enough() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Published where nobody is; the way to the loopback begins at itself.
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        let here = Door { address, gateway: address.ip() };
        assert!(is_here(&here));
        until_it_listens(nobody, Some(here)).await;
        assert!(!is_here(&Door { gateway: [192, 0, 2, 1].into(), ..here }));
    }
}
