//! Bulk from one socket to another without a copy: splice(2) through pipes that are kept for the next one.
//!
//! ```text
//!   socket --fill--> | pipe: pages that stay in the kernel | --drain--> socket
//! ```
//! The calls never block: what would is waited for with a poll on the ring. The ring's own splice would hold a kernel
//! thread for as long as a socket is silent.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use crate::logic::limits::{PIPE_BYTES, PIPES_FREE_MAX, SPLICE_TURN_BYTES};

/// Why a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// All that was asked for has reached the other side.
    Done,
    /// The source has nothing now.
    NeedsInput,
    /// The target takes nothing now.
    NeedsOutput,
    /// Enough for one turn: others want to go on too.
    Enough,
    /// The source has closed before its end.
    SourceEnded,
    /// The source broke.
    SourceBroke,
    /// The target broke.
    TargetBroke,
}

/// A pipe on loan from its thread's pool.
pub(crate) struct Pipe {
    /// `None` only while it is dropped.
    ends: Option<Ends>,
    /// Bytes that it holds.
    held: usize,
}

struct Ends {
    read: OwnedFd,
    write: OwnedFd,
    capacity: usize,
}

impl Pipe {
    /// A pipe, if there is a descriptor left for one.
    pub(crate) fn lend() -> Option<Self> {
        let ends = FREE.with_borrow_mut(Vec::pop).or_else(|| Ends::open().ok())?;
        Some(Self { ends: Some(ends), held: 0 })
    }

    /// Moves bytes until one side has enough. `left` is what is still to be taken from the source; returns the bytes that
    /// reached the target, and why it ended.
    pub(crate) fn turn(&mut self, from: impl AsFd, to: impl AsFd, left: &mut u64) -> (u64, Turn) {
        let mut passed = 0;
        while *left > 0 || self.held > 0 {
            if passed >= SPLICE_TURN_BYTES {
                return (passed, Turn::Enough);
            }
            let filled = match self.fill(&from, *left) {
                Ok(0) if *left > 0 && self.has_room() => return (passed, Turn::SourceEnded),
                Ok(count) => {
                    *left -= count as u64;
                    true
                }
                Err(Errno::AGAIN) => false,
                Err(_) => return (passed, Turn::SourceBroke),
            };
            match self.drain(&to, *left > 0) {
                Ok(0) if !filled => return (passed, Turn::NeedsInput),
                Ok(count) => passed += count as u64,
                Err(Errno::AGAIN) => return (passed, Turn::NeedsOutput),
                Err(_) => return (passed, Turn::TargetBroke),
            }
        }
        (passed, Turn::Done)
    }

    /// As [`Pipe::turn`], for a stream whose end nobody knows: what was taken in goes out at once, and all of it before
    /// the end is told.
    pub(crate) fn stream(&mut self, from: impl AsFd, to: impl AsFd) -> (u64, Turn) {
        let mut passed = 0;
        loop {
            if passed >= SPLICE_TURN_BYTES {
                return (passed, Turn::Enough);
            }
            let room = self.has_room();
            let (filled, ended) = match self.fill(&from, u64::MAX) {
                Ok(0) => (false, room),
                Ok(_) => (true, false),
                Err(Errno::AGAIN) => (false, false),
                Err(_) => return (passed, Turn::SourceBroke),
            };
            match self.drain(&to, false) {
                Ok(0) if ended => return (passed, Turn::SourceEnded),
                Ok(0) if !filled => return (passed, Turn::NeedsInput),
                Ok(count) => passed += count as u64,
                Err(Errno::AGAIN) => return (passed, Turn::NeedsOutput),
                Err(_) => return (passed, Turn::TargetBroke),
            }
        }
    }

    /// Does it hold nothing?
    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    fn has_room(&self) -> bool {
        self.ends.as_ref().is_some_and(|ends| self.held < ends.capacity)
    }

    fn fill(&mut self, from: &impl AsFd, left: u64) -> rustix::io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let room = ends.capacity - self.held;
        let most = room.min(usize::try_from(left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let count = splice(from, None, &ends.write, None, most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?;
        self.held += count;
        Ok(count)
    }

    fn drain(&mut self, to: &impl AsFd, more: bool) -> rustix::io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        if self.held == 0 {
            return Ok(0);
        }
        let mut flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        if more {
            flags |= SpliceFlags::MORE;
        }
        let count = splice(&ends.read, None, to, None, self.held, flags)?;
        self.held -= count;
        Ok(count)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // One that still holds bytes would give them to the next connection.
        if self.held > 0 {
            return;
        }
        let Some(ends) = self.ends.take() else { return };
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < PIPES_FREE_MAX {
                free.push(ends);
            }
        });
    }
}

impl Ends {
    fn open() -> rustix::io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // A user who has used up the pages for pipes gets smaller ones.
        let capacity = fcntl_setpipe_size(&write, PIPE_BYTES).unwrap_or(64 * 1024);
        Ok(Self { read, write, capacity })
    }
}

/// Closes the pipes that nobody uses.
pub(crate) fn trim() {
    FREE.with_borrow_mut(Vec::clear);
}

thread_local! {
    static FREE: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, theirs)
    }

    #[test]
    fn bytes_reach_the_other_side_and_no_more_than_asked_for() {
        let ((from, mut source), (to, mut sink)) = (pair(), pair());
        source.write_all(b"bodynext").unwrap();
        let mut pipe = Pipe::lend().unwrap();
        let mut left = 4;
        assert_eq!(pipe.turn(&from, &to, &mut left), (4, Turn::Done));
        let mut got = [0; 4];
        sink.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"body");
        let mut rest = [0; 8];
        assert_eq!((&from).read(&mut rest).unwrap(), 4);
        assert_eq!(&rest[..4], b"next");
    }

    #[test]
    fn silence_the_end_and_a_full_target_are_told_apart() {
        let ((from, mut source), (to, sink)) = (pair(), pair());
        let mut pipe = Pipe::lend().unwrap();
        let mut left = u64::MAX;
        assert_eq!(pipe.turn(&from, &to, &mut left), (0, Turn::NeedsInput));
        source.set_nonblocking(true).unwrap();
        let mut turn = Turn::NeedsInput;
        for _ in 0..1000 {
            while source.write(&[7; 4096]).is_ok() {}
            turn = pipe.turn(&from, &to, &mut left).1;
            if turn == Turn::NeedsOutput {
                break;
            }
        }
        assert_eq!(turn, Turn::NeedsOutput);
        drop(sink);
        assert_eq!(pipe.turn(&from, &to, &mut left).1, Turn::TargetBroke);
        let (from, source) = pair();
        drop(source);
        assert_eq!(Pipe::lend().unwrap().turn(&from, &to, &mut left).1, Turn::SourceEnded);
    }

    #[test]
    fn a_pipe_with_bytes_in_it_is_never_lent_again() {
        trim();
        let (from, mut source) = pair();
        source.write_all(b"secret").unwrap();
        let mut pipe = Pipe::lend().unwrap();
        assert_eq!(pipe.fill(&from, 6).unwrap(), 6);
        drop(pipe);
        assert_eq!(FREE.with_borrow(Vec::len), 0);
        drop(Pipe::lend());
        assert_eq!(FREE.with_borrow(Vec::len), 1);
    }
}
