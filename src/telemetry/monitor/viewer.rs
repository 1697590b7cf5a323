//! One viewer: a task that writes what all get and what this one asked for.
//!
//! It holds at most one frame that is being written; while it is, the others wait in the shared channels, and are lost
//! where the viewer is too slow. The connection below cuts who neither reads nor answers pings.

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::conversation::{Mistake, Said};
use super::{Frame, FrameKind, Monitor, Place};
use crate::logic::limits::{VIEWER_FRAME_BYTES_MAX, VIEWER_MISTAKES_MAX, VIEWER_PING};
use crate::logic::log_filter::Filter;

/// Bytes that a viewer's messages are read into at a time: they are short, and there may be a thousand viewers.
const READ_BYTES: usize = 4 * 1024;

/// How its sockets are set up: short buffers, short messages, nothing held back.
pub(in crate::telemetry) fn configuration() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(VIEWER_FRAME_BYTES_MAX))
        .max_frame_size(Some(VIEWER_FRAME_BYTES_MAX))
}

/// Serves a viewer until it leaves or is cut.
pub(in crate::telemetry) async fn view<S>(place: Place, socket: WebSocketStream<S>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let monitor = place.monitor.clone();
    let mut viewer = Viewer {
        frames: monitor.0.frames.subscribe(),
        log: None,
        paused: false,
        mistakes: 0,
        monitor,
        socket,
    };
    // What ends it is the viewer's affair: it left, was slow, or spoke no websocket.
    if let Err(Leave::Cut(code, reason)) = viewer.serve().await {
        let frame = CloseFrame { code, reason: reason.into() };
        let _ = viewer.socket.send(Message::Close(Some(frame))).await;
    }
    drop(place);
}

struct Viewer<S> {
    monitor: Monitor,
    socket: WebSocketStream<S>,
    frames: broadcast::Receiver<Frame>,
    log: Option<broadcast::Receiver<Utf8Bytes>>,
    paused: bool,
    mistakes: u32,
}

/// Why a viewer is not served any more.
enum Leave {
    /// It is gone, or cannot be written to.
    Gone,
    /// It is told why.
    Cut(CloseCode, &'static str),
}

/// The next thing that happens.
enum Next {
    Frame(Result<Frame, RecvError>),
    Log(Result<Utf8Bytes, RecvError>),
    Heard(Option<Result<Message, Error>>),
    Ping,
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Viewer<S> {
    async fn serve(&mut self) -> Result<(), Leave> {
        self.send(self.monitor.snapshot()).await?;
        let mut ping = tokio::time::interval(VIEWER_PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = tokio::select! {
                frame = self.frames.recv() => Next::Frame(frame),
                frame = newest(&mut self.log) => Next::Log(frame),
                heard = self.socket.next() => Next::Heard(heard),
                _ = ping.tick() => Next::Ping,
            };
            match next {
                Next::Frame(Ok(frame)) if self.paused && frame.kind != FrameKind::Event => {}
                Next::Frame(Ok(frame)) => self.send(frame.text).await?,
                Next::Log(Ok(_)) if self.paused => {}
                Next::Log(Ok(frame)) => self.send(frame).await?,
                Next::Frame(Err(RecvError::Lagged(lost))) | Next::Log(Err(RecvError::Lagged(lost))) => {
                    self.lost(lost).await?;
                }
                Next::Frame(Err(RecvError::Closed)) => return Err(Leave::Gone),
                Next::Log(Err(RecvError::Closed)) => self.log = None,
                Next::Heard(heard) => self.hear(heard).await?,
                Next::Ping => self.write(Message::Ping(Default::default())).await?,
            }
        }
    }

    async fn hear(&mut self, heard: Option<Result<Message, Error>>) -> Result<(), Leave> {
        match heard {
            Some(Ok(Message::Text(text))) => match Said::read(&text) {
                Some(said) => match self.answer(said).await {
                    Ok(answer) => self.send_all(answer).await,
                    Err(mistake) => self.send(mistake.frame()).await,
                },
                None => self.mistaken().await,
            },
            Some(Ok(Message::Binary(_))) => self.mistaken().await,
            // Pings are answered, and closes confirmed, by the library.
            Some(Ok(_)) => Ok(()),
            Some(Err(Error::Capacity(_))) => Err(Leave::Cut(CloseCode::Size, "a message has at most 64 KiB")),
            Some(Err(Error::Utf8(_))) => Err(Leave::Cut(CloseCode::Invalid, "a text is UTF-8")),
            Some(Err(Error::Protocol(_))) => {
                Err(Leave::Cut(CloseCode::Protocol, "this is no websocket frame"))
            }
            Some(Err(_)) | None => Err(Leave::Gone),
        }
    }

    async fn answer(&mut self, said: Said) -> Result<Option<Utf8Bytes>, Mistake> {
        match said {
            Said::Follow { filter } => self.follow(&filter).map(Some),
            Said::Unfollow => {
                self.log = None;
                Ok(Some(following(None)))
            }
            Said::Logs(asked) => self.monitor.past_lines(asked).await.map(Some),
            Said::History(asked) => self.monitor.history(&asked).map(Some),
            Said::Pause => {
                self.paused = true;
                Ok(None)
            }
            Said::Resume => {
                self.paused = false;
                Ok(Some(self.monitor.snapshot()))
            }
        }
    }

    fn follow(&mut self, filter: &str) -> Result<Utf8Bytes, Mistake> {
        let filter = Filter::parse(filter).map_err(|bad| Mistake::filter(None, bad))?;
        let source = filter.source().to_owned();
        // Left first: its own filter must not stand in the way of the new one.
        self.log = None;
        let mut state = self.monitor.state();
        let joined = state.topics.follow(filter);
        self.monitor.0.admin.tap.set_filters(state.topics.filters());
        drop(state);
        self.log = Some(joined.map_err(|_| Mistake::too_many_filters())?);
        Ok(following(Some(&source)))
    }

    async fn mistaken(&mut self) -> Result<(), Leave> {
        self.mistakes += 1;
        if self.mistakes > VIEWER_MISTAKES_MAX {
            return Err(Leave::Cut(CloseCode::Policy, "too many messages that are none of the protocol"));
        }
        self.send(Mistake::no_message().frame()).await
    }

    async fn lost(&mut self, frames: u64) -> Result<(), Leave> {
        self.monitor.0.frames_lost.fetch_add(frames, std::sync::atomic::Ordering::Relaxed);
        self.send(json!({ "v": 1, "type": "lost", "frames": frames }).to_string().into()).await
    }

    async fn send_all(&mut self, frame: Option<Utf8Bytes>) -> Result<(), Leave> {
        match frame {
            Some(frame) => self.send(frame).await,
            None => Ok(()),
        }
    }

    async fn send(&mut self, frame: Utf8Bytes) -> Result<(), Leave> {
        self.write(Message::Text(frame)).await
    }

    async fn write(&mut self, message: Message) -> Result<(), Leave> {
        self.socket.send(message).await.map_err(|_| Leave::Gone)
    }
}

/// The next frame of the log; never, for a viewer who does not follow it.
async fn newest(log: &mut Option<broadcast::Receiver<Utf8Bytes>>) -> Result<Utf8Bytes, RecvError> {
    match log {
        Some(log) => log.recv().await,
        None => std::future::pending().await,
    }
}

fn following(filter: Option<&str>) -> Utf8Bytes {
    json!({ "v": 1, "type": "following", "filter": filter }).to_string().into()
}
