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
    /// The last write ended in the middle of a line.
    torn: bool,
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
        Self { file, path: None, torn: false, told: false }
    }

    /// Opens the file anew. Where that fails, the old one stays in use: it is better than none.
    pub(super) fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match append_to(path) {
            Ok(file) => (self.file, self.torn, self.told) = (file, false, false),
            Err(error) => {
                say(&format!(
                    "cannot reopen {} ({error}): lines go on to the file that was open",
                    path.display()
                ));
            }
        }
    }

    /// Writes lines; returns how many bytes of them the target took.
    pub(super) fn write(&mut self, lines: &[u8]) -> usize {
        if let Err(error) = self.mend() {
            self.tell(&error);
            return 0;
        }
        let (written, error) = write_all(&mut self.file, lines);
        if let Some(error) = error {
            self.torn = written > 0 && lines[written - 1] != b'\n';
            self.tell(&error);
        }
        written
    }

    /// Ends a line that a full disk has cut, so that the next one is a line of its own.
    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
        }
        Ok(())
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

/// As `Write::write_all`, but it says how far it came, and has patience with a pipe that does not block.
fn write_all(file: &mut File, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Some(ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && becomes_writable(file) => {}
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
        assert!(output.told && !output.torn);
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
    fn a_line_that_was_cut_is_ended_before_the_next() {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let mut output = Output::of(File::from(write));
        output.torn = true;
        assert_eq!(output.write(b"next\n"), 5);
        drop(output);
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "\nnext\n");
    }
}
