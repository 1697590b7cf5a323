//! `plimsoll top` on a terminal: what it paints, what keys do, and that it fits when the terminal changes.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::harness::PATIENCE;
use crate::harness::origin::{Origin, answering, ok};
use crate::rig::Rig;

/// A program on a terminal of its own. What it writes is put together to the screen that a person would see.
struct Terminal {
    keyboard: OwnedFd,
    child: Child,
    screen: Arc<Mutex<Screen>>,
}

impl Terminal {
    fn run(arguments: &[&str], columns: u16, rows: u16) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let end =
            rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        size(&keyboard, columns, rows);
        // A session of its own, whose terminal this is: else keys and resizes would be the test's.
        let child = Command::new("setsid")
            .args(["--ctty", env!("CARGO_BIN_EXE_plimsoll")])
            .args(arguments)
            .stdin(end.try_clone().unwrap())
            .stdout(end.try_clone().unwrap())
            .stderr(end)
            .spawn()
            .expect("setsid of util-linux");
        let screen = Arc::new(Mutex::new(Screen::default()));
        let (shown, mut output) = (Arc::clone(&screen), std::fs::File::from(keyboard.try_clone().unwrap()));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The other end closes with an error, which is the end.
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                shown.lock().unwrap().take(&bytes[..count]);
            }
        });
        Self { keyboard, child, screen }
    }

    fn press(&self, keys: &str) {
        let mut left = keys.as_bytes();
        while !left.is_empty() {
            let written = rustix::io::write(&self.keyboard, left).unwrap();
            left = &left[written..];
        }
    }

    /// Waits for a screen of which this holds.
    #[track_caller]
    fn wait(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.screen.lock().unwrap().text();
            if holds(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "never on the screen: {what}\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(terminal: &impl AsFd, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}

/// The few sequences that the program writes, obeyed: where the cursor goes, and what is cleared.
#[derive(Default)]
struct Screen {
    lines: Vec<String>,
    row: usize,
    /// Bytes of a sequence or a character that is not whole yet.
    rest: Vec<u8>,
    /// Is it the terminal's other screen?
    alternate: bool,
}

impl Screen {
    fn text(&self) -> String {
        self.lines.join("\n")
    }

    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let whole = String::from_utf8_lossy(&self.rest).into_owned();
        let mut left = whole.as_str();
        while !left.is_empty() {
            match left.strip_prefix('\u{1b}') {
                None => {
                    let end = left.find('\u{1b}').unwrap_or(left.len());
                    // A character may be cut in two: it is taken up with the rest of it.
                    if end == left.len() && left.ends_with('\u{fffd}') {
                        break;
                    }
                    self.print(&left[..end]);
                    left = &left[end..];
                }
                Some(sequence) => {
                    let Some(end) = sequence.find(|byte: char| byte.is_ascii_alphabetic()) else { break };
                    self.obey(&sequence[..end], &sequence[end..=end]);
                    left = &sequence[end + 1..];
                }
            }
        }
        self.rest = left.as_bytes().to_vec();
    }

    fn print(&mut self, text: &str) {
        if self.lines.len() <= self.row {
            self.lines.resize(self.row + 1, String::new());
        }
        self.lines[self.row].push_str(text);
    }

    fn obey(&mut self, parameters: &str, word: &str) {
        match word {
            // A line is always painted from its beginning.
            "H" => {
                let row = parameters.trim_start_matches('[').split(';').next();
                self.row = row.and_then(|row| row.parse::<usize>().ok()).unwrap_or(1) - 1;
                if let Some(line) = self.lines.get_mut(self.row) {
                    line.clear();
                }
            }
            "J" => self.lines.truncate(self.row + 1),
            "h" if parameters == "[?1049" => self.alternate = true,
            "l" if parameters == "[?1049" => self.alternate = false,
            _ => {}
        }
    }
}

#[test]
fn top_lives_on_a_terminal() {
    let origins = [Origin::start(answering(ok("one"))), Origin::start(answering(ok("other")))];
    let rig = Rig::before(&[origins[0].address(), origins[1].address()]);
    let admin = rig.admin().to_string();
    let mut terminal = Terminal::run(&["top", "--admin", &admin], 150, 40);
    terminal.wait("both nodes", |text| text.matches("● serving").count() == 2);
    assert!(terminal.screen.lock().unwrap().alternate, "the shell's screen is left alone");

    // Traffic shows: a number, and a bar that is higher than the others.
    let asked = std::thread::spawn(move || {
        (0..200).for_each(|_| assert_eq!(rig.get("/"), 200));
        rig
    });
    terminal.wait("a sparkline that moves", |text| {
        text.lines().any(|line| line.starts_with("rps") && line.contains('▁') && line.contains('█'))
    });
    let rig = asked.join().unwrap();

    // Keys: order, pause, and a drain that is asked for first.
    terminal.press("s");
    terminal.wait("another order", |text| text.contains("WHY (by rps)"));
    terminal.press("p");
    terminal.wait("the pause", |text| text.contains("PAUSED"));
    terminal.press("psss");
    terminal
        .wait("the first order", |text| text.contains("WHY (by configuration)") && !text.contains("PAUSED"));
    terminal.press("jd");
    terminal.wait("the question", |text| {
        text.contains(&format!("{} takes no new requests", format_args!("node/{}", origins[1].address())))
    });
    terminal.press("n");
    terminal.press("dy");
    terminal.wait("the drain", |text| text.contains("◐ draining"));
    terminal.press("ry");
    terminal.wait("its end", |text| text.matches("● serving").count() == 2);

    // A smaller terminal, and a larger one: it fits, and is painted whole.
    for (columns, rows) in [(60, 12), (30, 5), (150, 40)] {
        size(&terminal.keyboard, columns, rows);
        terminal.wait("the new size", |text| {
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            text.lines().count() <= usize::from(rows)
                && widest <= usize::from(columns)
                && text.contains("rps")
        });
    }
    terminal.wait("all of it", |text| text.matches("● serving").count() == 2);

    terminal.press("q");
    assert_eq!(terminal.exit_code(), Some(0));
    wait_for_the_old_screen(&terminal);
    drop(rig);
}

#[test]
fn top_says_so_where_the_balancer_leaves() {
    let origin = Origin::start(answering(ok("hello")));
    let rig = Rig::start(&origin);
    let admin = rig.admin().to_string();
    let mut terminal = Terminal::run(&["top", "--admin", &admin], 100, 30);
    terminal.wait("a node", |text| text.contains("● serving"));
    drop(rig);
    assert_eq!(terminal.exit_code(), Some(1));
    terminal.wait("why", |text| text.contains("the balancer left"));
    wait_for_the_old_screen(&terminal);
}

#[track_caller]
fn wait_for_the_old_screen(terminal: &Terminal) {
    let deadline = Instant::now() + PATIENCE;
    while terminal.screen.lock().unwrap().alternate {
        assert!(Instant::now() < deadline, "the other screen is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}
