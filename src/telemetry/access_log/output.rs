//! Where log lines go, and what happens when they cannot.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use crate::config::settings::LogTarget;

/// Owner writes, group reads: lines name people's addresses, which are nobody else's business.
const FILE_MODE: u32 = 0o640;
/// The longest wait for a pipe that is full and does not block by itself.
const PIPE_PATIENCE: Duration = Duration::from_secs(1);

/// An open target.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    /// `None` for stdout and stderr, which cannot be opened anew.
    path: Option<PathBuf>,
    /// What is left of a line that the last write ended in the middle of.
    rest: Vec<u8>,
    /// The trouble was told.
    told: bool,
}

/// Which key, which file, and what to do.
fn refusal(path: &Path, error: &io::Error) -> io::Error {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "make its folder, or name another file",
        io::ErrorKind::PermissionDenied => "let this user write there, or name another file",
        _ => "name another file, or `stdout`",
    };
    let text = format!("`access_log`: {} cannot be opened for writing: {error}. {advice}", path.display());
    io::Error::new(error.kind(), text)
}

impl Output {
    pub(super) fn open(target: &LogTarget) -> io::Result<Self> {
        let (file, path) = match target {
            LogTarget::Stdout => (duplicate(io::stdout())?, None),
            LogTarget::Stderr => (duplicate(io::stderr())?, None),
            LogTarget::File(path) => {
                (append_to(path).map_err(|error| refusal(path, &error))?, Some(path.clone()))
            }
        };
        Ok(Self { path, ..Self::of(file) })
    }

    /// One that is open already.
    pub(super) fn of(file: File) -> Self {
        Self { file, path: None, rest: Vec::new(), told: false }
    }

    /// Opens the file anew. Where that fails, the old one stays in use: it is better than none.
    pub(super) fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match append_to(path) {
            Ok(file) => {
                self.rest.clear();
                (self.file, self.told) = (file, false);
            }
            Err(error) => {
                say(&format!(
                    "cannot reopen {} ({error}): lines go on to the file that was open",
                    path.display()
                ));
            }
        }
    }

    /// Writes lines; returns how many bytes of them the target took. A line that it took the beginning of is owed to it, and
    /// goes before all others.
    pub(super) fn write(&mut self, lines: &[u8]) -> usize {
        // A target that was waited for last time, in vain, is not waited for again.
        let (mended, error) = write_all(&mut self.file, &self.rest, |_| false);
        self.rest.drain(..mended);
        if let Some(error) = error {
            self.tell(&error);
            return 0;
        }
        let (written, error) = write_all(&mut self.file, lines, becomes_writable);
        let Some(error) = error else { return written };
        self.tell(&error);
        let torn = written > 0 && lines[written - 1] != b'\n';
        let line = memchr::memchr(b'\n', &lines[written..]).map_or(lines.len(), |at| written + at + 1);
        if !torn {
            return written;
        }
        self.rest = lines[written..line].to_vec();
        line
    }

    fn tell(&mut self, error: &io::Error) {
        if !self.told {
            self.told = true;
            say(&format!("cannot be written: {error}. Lines are lost until it can; the metrics count them"));
        }
    }
}

/// A descriptor of our own: std's stdout has a buffer and a lock in front, which whole batches do not need.
fn duplicate(stream: impl AsFd) -> io::Result<File> {
    Ok(File::from(rustix::io::fcntl_dupfd_cloexec(stream, 3)?))
}

/// NONBLOCK means nothing to a file, and keeps a named pipe that nobody reads from holding up the start: that is
/// an error then.
fn append_to(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().append(true).create(true).mode(FILE_MODE).custom_flags(flags).open(path)
}

/// As `Write::write_all`, but it says how far it came, and goes on after a pipe that does not block was waited for.
fn write_all(file: &mut File, bytes: &[u8], wait: impl Fn(&File) -> bool) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Some(ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && wait(file) => {}
            Err(error) => return (written, Some(error)),
        }
    }
    (written, None)
}

fn becomes_writable(file: &File) -> bool {
    let patience = Timespec::try_from(PIPE_PATIENCE).ok();
    matches!(poll(&mut [PollFd::new(file, PollFlags::OUT)], patience.as_ref()), Ok(1..))
}

/// Tells the operator. Where stderr is gone as well, there is nobody to tell.
fn say(what: &str) {
    let _ = writeln!(io::stderr(), "plimsoll: the access log {what}");
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    #[test]
    fn a_reader_that_left_is_an_error_and_not_a_signal() {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        drop(read);
        let mut output = Output::of(File::from(write));
        assert_eq!(output.write(b"line\n"), 0);
        assert!(output.told && output.rest.is_empty());
    }

    #[test]
    fn a_pipe_that_does_not_block_is_waited_for() {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let reader = std::thread::spawn(move || {
            let mut file = File::from(read);
            let mut total = 0;
            let mut buffer = vec![0; 65536];
            while total < 1_000_000 {
                match file.read(&mut buffer) {
                    Ok(count) => total += count,
                    Err(_) => std::thread::yield_now(),
                }
            }
            total
        });
        assert_eq!(Output::of(File::from(write)).write(&vec![b'x'; 1_000_000]), 1_000_000);
        assert_eq!(reader.join().unwrap(), 1_000_000);
    }

    #[test]
    fn a_line_that_was_cut_goes_on_where_it_was() {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let mut output = Output::of(File::from(write));
        let lines = b"a line of some length\n".repeat(10_000);
        let taken = output.write(&lines);
        assert!(taken < lines.len() && lines[taken - 1] == b'\n', "{taken} bytes, and whole lines");
        assert_eq!(output.write(b"lost\n"), 0, "the pipe is full");
        let mut file = File::from(read);
        let mut text = vec![0; 1 << 20];
        let mut length = file.read(&mut text).unwrap();
        assert_eq!(output.write(b"next\n"), 5);
        length += file.read(&mut text[length..]).unwrap();
        let text = std::str::from_utf8(&text[..length]).unwrap();
        let (last, others) = text
            .trim_end()
            .split('\n')
            .collect::<Vec<_>>()
            .split_last()
            .map(|(a, b)| (*a, b.to_vec()))
            .unwrap();
        assert!(last == "next" && others.iter().all(|line| *line == "a line of some length"), "{text}");
        assert_eq!(others.len() * 22, taken);
    }
}
