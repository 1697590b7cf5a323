//! The demo's load: so many clients that ask again and again, from none to a few dozen and back.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Clients at the top of the wave.
const CLIENTS_MAX: usize = 36;
/// Between two looks of a client that has nothing to do, or that failed.
const REST: Duration = Duration::from_millis(100);
/// The wave: seconds since it began, and clients then; straight lines between.
const WAVE: [(f64, f64); 8] =
    [(0.0, 2.0), (1.0, 4.0), (9.0, 36.0), (21.0, 36.0), (31.0, 2.0), (39.0, 2.0), (39.0, 0.0), (57.0, 0.0)];
/// What is asked for, so that the monitor has something to tell apart.
const PATHS: [&str; 4] = ["/orders", "/users?page=2", "/search?q=ships", "/cart"];

/// Starts it, on a thread of its own that ends with the process. Where the process may have no more threads, there is none.
pub(super) fn start(address: SocketAddr) {
    let run = move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(all(address));
        }
    };
    let _ = std::thread::Builder::new().name("load".to_owned()).spawn(run);
}

async fn all(address: SocketAddr) {
    let began = Instant::now();
    for number in 0..CLIENTS_MAX {
        tokio::spawn(client(number, address, began));
    }
    std::future::pending().await
}

/// One of them: at work while the wave is higher than its number.
async fn client(number: usize, address: SocketAddr, began: Instant) {
    loop {
        let is_wanted = || number < clients(began.elapsed());
        if is_wanted() {
            // A balancer that does not listen yet, or any more, is no news: the monitor tells it.
            let _ = ask_while(is_wanted, number, address).await;
        }
        tokio::time::sleep(REST).await;
    }
}

async fn ask_while(
    is_wanted: impl Fn() -> bool,
    number: usize,
    address: SocketAddr,
) -> Result<(), Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    for turn in number.. {
        if !is_wanted() {
            break;
        }
        let path = PATHS[turn % PATHS.len()];
        let request = Request::get(path).header(header::HOST, "demo.localhost").body(Empty::<Bytes>::new())?;
        sender.send_request(request).await?.into_body().collect().await?;
    }
    Ok(())
}

/// The height of the wave.
fn clients(elapsed: Duration) -> usize {
    let period = WAVE[WAVE.len() - 1].0;
    let now = elapsed.as_secs_f64() % period;
    let at = WAVE.partition_point(|(second, _)| *second <= now);
    let ((from, low), (to, high)) = (WAVE[at - 1], WAVE[at]);
    (low + (high - low) * (now - from) / (to - from)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wave_rises_within_ten_seconds_falls_and_rests() {
        let at = |seconds| clients(Duration::from_secs(seconds));
        assert_eq!([at(0), at(9), at(21), at(31), at(45)], [2, 36, 36, 2, 0]);
        assert!(at(6) > 20 && at(28) < 20);
        assert_eq!(at(57), 2);
        assert!((0..10_000).all(|seconds| at(seconds) <= CLIENTS_MAX));
    }
}
