//! hyper's reader, on a pipe in memory.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{End, Seen, Verdict};

/// More than a stream or its answers ever are: nobody waits for room.
const PIPE_BYTES: usize = 1 << 20;

/// hyper's server reads the bytes.
pub(crate) fn requests(bytes: &[u8]) -> Verdict {
    block_on(async {
        let (mut client, server) = tokio::io::duplex(PIPE_BYTES);
        client.write_all(bytes).await.expect("room in the pipe");
        client.shutdown().await.expect("an open pipe");
        serve(server).await
    })
}

async fn serve(server: DuplexStream) -> Verdict {
    let messages = Arc::new(Mutex::new(Vec::new()));
    let broken = Arc::new(Mutex::new(None));
    let service = service_fn(|request: Request<Incoming>| {
        let (messages, broken) = (Arc::clone(&messages), Arc::clone(&broken));
        async move {
            let (head, body) = request.into_parts();
            let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
            let target = if target.starts_with('/') {
                target.to_owned()
            } else {
                format!("/{}", target.trim_start_matches('*'))
            };
            match body.collect().await {
                Ok(body) => {
                    let start = format!("{} {target}", head.method);
                    let body = body.to_bytes().to_vec();
                    messages.lock().unwrap().push(Seen { start, fields: fields(&head.headers), body });
                }
                Err(error) => *broken.lock().unwrap() = Some(end_of(&error)),
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    let ended = builder.half_close(true).serve_connection(TokioIo::new(server), service).await;
    let of_connection = ended.err().map(|error| end_of(&error));
    let end = broken.lock().unwrap().take().or(of_connection).unwrap_or(End::Clean);
    let messages = std::mem::take(&mut *messages.lock().unwrap());
    Verdict { messages, end }
}

/// hyper's client reads the bytes as the response to a GET, or to a HEAD.
pub(crate) fn response(bytes: &[u8], is_head: bool) -> Verdict {
    block_on(async {
        let (client, mut server) = tokio::io::duplex(PIPE_BYTES);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(client)).await.expect("a connection");
        let connection = tokio::spawn(connection);
        let method = if is_head { "HEAD" } else { "GET" };
        let request =
            Request::builder().method(method).uri("/").header("host", "a").body(Empty::<Bytes>::new());
        let answer = tokio::spawn(sender.send_request(request.expect("a request")));
        // A client that is answered before it asked gives the connection up.
        server.read_exact(&mut [0; 16]).await.expect("the request");
        server.write_all(bytes).await.expect("room in the pipe");
        server.shutdown().await.expect("an open pipe");
        let verdict = match answer.await.expect("no panic") {
            Ok(response) => collect(response).await,
            Err(error) => Verdict { messages: Vec::new(), end: end_of(&error) },
        };
        connection.abort();
        verdict
    })
}

async fn collect(response: Response<Incoming>) -> Verdict {
    let (head, body) = response.into_parts();
    match body.collect().await {
        Ok(body) => {
            let start = head.status.as_u16().to_string();
            let seen = Seen { start, fields: fields(&head.headers), body: body.to_bytes().to_vec() };
            Verdict { messages: vec![seen], end: End::Clean }
        }
        Err(error) => Verdict { messages: Vec::new(), end: end_of(&error) },
    }
}

fn fields(map: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<_> =
        map.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields
}

/// hyper tells the end of the bytes within a message from bytes that are none; in a body by the kind of the error below.
fn end_of(error: &hyper::Error) -> End {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return if error.kind() == std::io::ErrorKind::UnexpectedEof { End::Cut } else { End::Refused };
        }
        cause = error.source();
    }
    if error.is_incomplete_message() { End::Cut } else { End::Refused }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}
