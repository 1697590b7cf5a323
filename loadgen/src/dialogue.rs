//! What is said on one connection: how a question is put together and when its answer is whole.
//!
//! No I/O: bytes in, [`Progress`] out. Three languages, one shape.

pub mod answer;
pub mod chunked;
pub mod echo;
pub mod request;
pub mod websocket;

use std::sync::Arc;

pub use answer::{AnswerReader, Head, Progress};
pub use echo::Echo;
pub use request::Request;
pub use websocket::WebSocket;

use crate::fault::Fault;

/// What is asked, of any target of a run; shared by all connections of a thread.
#[derive(Clone, Debug)]
pub enum Question {
    /// An HTTP request a target.
    Http {
        /// In the order of the targets.
        requests: Vec<Request>,
        /// The method is HEAD: answers have no body.
        head_only: bool,
        /// Header that names the node.
        node_header: Arc<str>,
    },
    /// A message that comes back over a WebSocket.
    WebSocket(websocket::Message),
    /// Bytes and the bytes that must come back.
    Tcp(echo::Exchange),
}

impl Question {
    /// Whether it is the same each time, so that nobody has to count.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        match self {
            Self::Http { requests, .. } => requests.iter().all(Request::is_fixed),
            Self::WebSocket(message) => message.text.is_fixed(),
            Self::Tcp(exchange) => exchange.send.is_fixed(),
        }
    }
}

/// One connection's place in its dialogue.
#[derive(Clone, Debug)]
pub enum Dialogue {
    /// HTTP/1.1.
    Http {
        /// What may be asked.
        question: Arc<Question>,
        /// Reads the answers.
        reader: AnswerReader,
        /// The target whose request the buffer holds, while requests need not be put together anew.
        loaded: Option<u32>,
    },
    /// WebSocket, after its handshake.
    WebSocket(WebSocket),
    /// Raw TCP.
    Tcp(Echo),
}

impl Dialogue {
    /// A fresh dialogue for a fresh connection.
    #[must_use]
    pub fn new(question: &Arc<Question>) -> Self {
        match &**question {
            Question::Http { head_only, node_header, .. } => Self::Http {
                question: Arc::clone(question),
                reader: AnswerReader::new(*head_only, Arc::clone(node_header)),
                loaded: None,
            },
            Question::WebSocket(message) => Self::WebSocket(WebSocket::new(message.clone())),
            Question::Tcp(exchange) => Self::Tcp(Echo::new(exchange.clone())),
        }
    }

    /// Puts the next question into `out`. When it is the same as the last one, `out` is left as it is.
    pub fn ask(&mut self, target: u32, number: u64, out: &mut Vec<u8>) {
        match self {
            Self::Http { question, loaded, .. } => {
                let Question::Http { requests, .. } = &**question else { return };
                let request = &requests[target as usize];
                if *loaded != Some(target) {
                    out.clear();
                    request.render(number, out);
                    *loaded = request.is_fixed().then_some(target);
                }
            }
            Self::WebSocket(socket) => socket.ask(number, out),
            Self::Tcp(echo) => echo.ask(number, out),
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// When the answer is wrong.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, Fault> {
        match self {
            Self::Http { reader, .. } => reader.feed(bytes),
            Self::WebSocket(socket) => socket.feed(bytes),
            Self::Tcp(echo) => echo.feed(bytes),
        }
    }

    /// The peer closed.
    ///
    /// # Errors
    /// When that was not the proper end of the answer.
    pub fn finish(&mut self) -> Result<Progress, Fault> {
        match self {
            Self::Http { reader, .. } => reader.finish(),
            Self::WebSocket(_) => Err(Fault::closed_early("the websocket was closed")),
            Self::Tcp(echo) => echo.finish(),
        }
    }

    /// Head of the answer that is whole; `None` where the language has none.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        match self {
            Self::Http { reader, .. } => Some(reader.head()),
            Self::WebSocket(_) | Self::Tcp(_) => None,
        }
    }
}
