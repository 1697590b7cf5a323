//! `plimsoll top`: a running balancer, live in a terminal. It is a viewer of the monitor's websocket like the page.

mod board;
mod keys;
mod screen;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crossterm::event::Event;
use crossterm::{cursor, execute, queue, style, terminal};
use futures_util::StreamExt;
use hyper::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::admin_client::{Access, Failure, segment};
use board::{Board, Deed};

/// Without a tick for so long, the screen says that it is old.
const SILENCE: Duration = Duration::from_secs(3);

type Socket = WebSocketStream<TcpStream>;

/// Shows the balancer until `q`. Where stdout is no terminal, or with `--json`, one picture is printed. Exit codes: 0, 1 where
/// nobody answers.
pub fn run(access: &Access) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let shown = match runtime {
        Ok(runtime) => runtime.block_on(show(access)),
        Err(error) => Err(Failure::Unreachable(error.to_string())),
    };
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn show(access: &Access) -> Result<(), Failure> {
    let mut socket = open(access).await?;
    let mut board = Board::default();
    board.take(next_message(&mut socket).await?);
    if access.json || !io::stdout().is_terminal() {
        // The first numbers of a whole second of ours.
        board.take(next_message(&mut socket).await?);
        let text = if access.json { format!("{:#}\n", board.newest()) } else { plain(&board) };
        // A reader that left has what it wanted.
        let _ = io::stdout().write_all(text.as_bytes());
        return Ok(());
    }
    let _screen = FullScreen::enter().map_err(|error| Failure::Unreachable(error.to_string()))?;
    watch(access, socket, board).await
}

/// One picture without colours, wide enough for everything.
fn plain(board: &Board) -> String {
    screen::draw(board, 160, usize::MAX).iter().map(|line| format!("{}\n", line.text().trim_end())).collect()
}

async fn open(access: &Access) -> Result<Socket, Failure> {
    let stream = access.connect().await?;
    let mut request = format!("ws://{}/ws", access.address())
        .into_client_request()
        .map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some(token) = access.token()? {
        let offered = format!("plimsoll.v1, plimsoll.token.{}", URL_SAFE_NO_PAD.encode(token));
        let offered = HeaderValue::from_str(&offered).map_err(|error| Failure::Usage(error.to_string()))?;
        request.headers_mut().insert("sec-websocket-protocol", offered);
    }
    let opened = tokio_tungstenite::client_async(request, stream).await;
    let (socket, _) = opened
        .map_err(|error| Failure::Unreachable(format!("{} gives no websocket: {error}", access.address())))?;
    Ok(socket)
}

async fn next_message(socket: &mut Socket) -> Result<Value, Failure> {
    loop {
        match tokio::time::timeout(SILENCE * 3, socket.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => {
                if let Ok(message) = serde_json::from_str(&text) {
                    return Ok(message);
                }
            }
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return Err(Failure::Unreachable(format!("the balancer left: {error}"))),
            Ok(None) => return Err(Failure::Unreachable("the balancer left".into())),
            Err(_) => return Err(Failure::Unreachable("the balancer has fallen silent".into())),
        }
    }
}

async fn watch(access: &Access, mut socket: Socket, mut board: Board) -> Result<(), Failure> {
    let mut pressed = keys();
    loop {
        paint(&board).map_err(|error| Failure::Unreachable(error.to_string()))?;
        tokio::select! {
            message = next_message(&mut socket) => board.take(message?),
            event = pressed.recv() => match event {
                Some(Event::Key(key)) => match keys::press(&mut board, key) {
                    Deed::Leave => return Ok(()),
                    Deed::Nothing => {}
                    Deed::Set { node, state } => board.say(set(access, &node, state).await),
                },
                Some(_) => {}
                None => return Ok(()),
            },
        }
    }
}

/// Carries out what was confirmed; what became of it in words.
async fn set(access: &Access, node: &str, state: &'static str) -> String {
    let access = access.clone();
    let path = format!("/api/v1/nodes/{}", segment(node));
    let done =
        tokio::task::spawn_blocking(move || access.write(Method::PATCH, &path, &json!({ "state": state })));
    match done.await {
        Ok(Ok(done)) => done["text"].as_str().unwrap_or("done").to_owned(),
        Ok(Err(failure)) => failure.to_string().replace('\n', ""),
        Err(_) => "it failed".into(),
    }
}

/// Keys and resizes, from a thread that waits for them: the terminal has no other way that works everywhere.
fn keys() -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        while let Ok(event) = crossterm::event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

fn paint(board: &Board) -> io::Result<()> {
    let (width, height) = terminal::size()?;
    let lines = screen::draw(board, usize::from(width), usize::from(height));
    let mut out = io::stdout().lock();
    queue!(out, terminal::BeginSynchronizedUpdate)?;
    for (row, line) in (0_u16..).zip(&lines) {
        queue!(out, cursor::MoveTo(0, row))?;
        for (colour, text) in line.spans() {
            queue!(out, style::SetForegroundColor(*colour), style::Print(text))?;
        }
        queue!(out, style::ResetColor, terminal::Clear(terminal::ClearType::UntilNewLine))?;
    }
    queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown), terminal::EndSynchronizedUpdate)?;
    out.flush()
}

/// The terminal's other screen; the old one comes back however this ends.
struct FullScreen;

impl FullScreen {
    fn enter() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(Self)
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        let _ = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}
