//! Pooled read and write buffers: few, last-in-first-out, so that the one in use is the one in the cache.
//!
//! ```text
//!   | front room | filled: start..end | room to read into | back room |
//! ```
//! A message is rewritten where it stands: a new head goes into the front room and over the old one, so that bodies are
//! not copied (see `logic::http1::body`).
#![allow(
    unsafe_code,
    reason = "monoio's buffer traits are unsafe: the kernel reads and writes through the pointers they give"
)]

use std::cell::RefCell;

use monoio::buf::{IoBuf, IoBufMut};

use crate::logic::http1::body::{BACK_ROOM, FRONT_ROOM, Step};
use crate::logic::limits::{LARGE_BUFFER_BYTES, MEDIUM_BUFFER_BYTES, SMALL_BUFFER_BYTES};

/// Room before the bytes of a fresh buffer, for what a head gains when it is rewritten.
const FRONT: usize = 512;
/// Sizes of the pool's buffers, with the front room on top so that a read of the round size fits.
const SIZES: [usize; 4] = [
    SMALL_BUFFER_BYTES,
    MEDIUM_BUFFER_BYTES + FRONT * 2,
    LARGE_BUFFER_BYTES + FRONT * 2,
    SMALL_BUFFER_BYTES + FRONT * 2,
];
/// Free buffers of each size that a worker keeps at most.
const FREE_MAX: [usize; 4] = [1024, 128, 64, 1024];

const _: () = assert!(FRONT >= FRONT_ROOM && SIZES[0] > FRONT * 2 + BACK_ROOM);

/// The sizes that a buffer can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Size {
    Small,
    Medium,
    Large,
    /// Hardly more than a small one, for a read that waits while a connection to a node idles. The allocator keeps each
    /// size in pages of its own: after a burst of clients the few that stay would hold the pages of those that went.
    Idle,
}

impl Size {
    /// The next size up; the largest stays.
    pub(crate) fn larger(self) -> Self {
        match self {
            Self::Small | Self::Idle => Self::Medium,
            Self::Medium | Self::Large => Self::Large,
        }
    }

    /// The smallest size with room for `bytes` behind the front room; the largest where none has.
    pub(crate) fn fitting(bytes: usize) -> Self {
        let smallest = [Self::Small, Self::Medium].into_iter().find(|size| size.fits(bytes));
        smallest.unwrap_or(Self::Large)
    }

    /// For a response of so many bytes, whose read may wait for it for as long as the connection idles.
    pub(crate) fn of_response(bytes: usize) -> Self {
        if Self::Idle.fits(bytes) { Self::Idle } else { Self::Medium }
    }

    fn fits(self, bytes: usize) -> bool {
        bytes + FRONT + BACK_ROOM <= SIZES[self as usize]
    }
}

/// A buffer on loan from its thread's pool; goes back when dropped, also out of a cancelled operation.
#[derive(Debug)]
pub(crate) struct Buf {
    /// Never empty; its length is one of `SIZES`.
    bytes: Box<[u8]>,
    /// `start <= end <= bytes.len()`.
    start: usize,
    end: usize,
}

impl Buf {
    /// An empty buffer.
    pub(crate) fn new(size: Size) -> Self {
        let bytes = POOL.with_borrow_mut(|pool| pool.take(size as usize));
        Self { bytes, start: FRONT, end: FRONT }
    }

    /// A buffer that holds `bytes`, which fit the largest.
    pub(crate) fn holding(bytes: &[u8]) -> Self {
        let mut buf = Self::new(Size::fitting(bytes.len()));
        buf.append(bytes);
        buf
    }

    /// What it holds.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes that can still be read into it.
    pub(crate) fn room(&self) -> usize {
        self.bytes.len() - BACK_ROOM - self.end
    }

    pub(crate) fn size(&self) -> Size {
        match self.bytes.len() {
            len if len == SIZES[0] => Size::Small,
            len if len == SIZES[1] => Size::Medium,
            len if len == SIZES[2] => Size::Large,
            _ => Size::Idle,
        }
    }

    /// Where what it holds begins: for [`Buf::rewind`].
    pub(crate) fn position(&self) -> usize {
        self.start
    }

    /// Takes back what was consumed since `position`.
    pub(crate) fn rewind(&mut self, position: usize) {
        debug_assert!(position <= self.start);
        self.start = position;
    }

    /// Drops the first `count` bytes of what it holds.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            self.clear();
        }
    }

    /// Moves the start on, and keeps it there even where nothing is left: [`Buf::rewind`] can take it back.
    pub(crate) fn advance(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    pub(crate) fn clear(&mut self) {
        self.start = FRONT;
        self.end = FRONT;
    }

    /// Appends `bytes`, which fit the room.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.bytes[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Makes room to read into: moves to the front, or to a larger buffer. False where the largest is full.
    pub(crate) fn make_room(&mut self) -> bool {
        if self.room() > 0 {
            return true;
        }
        if self.start > FRONT {
            self.bytes.copy_within(self.start..self.end, FRONT);
            self.end -= self.start - FRONT;
            self.start = FRONT;
            return true;
        }
        if self.size() == Size::Large {
            return false;
        }
        let mut grown = Self::new(self.size().larger());
        grown.append(self.filled());
        *self = grown;
        true
    }

    /// Puts `head` in the place of the first `old` bytes. False, and nothing changed, where there is too little room
    /// before them.
    pub(crate) fn replace_head(&mut self, old: usize, head: &[u8]) -> bool {
        let behind = self.start + old;
        let Some(start) = behind.checked_sub(head.len()) else { return false };
        self.bytes[start..behind].copy_from_slice(head);
        self.start = start;
        true
    }

    /// Hands the whole buffer to a step of a body that begins `skip` bytes into what it holds.
    pub(crate) fn step<E>(
        &mut self,
        skip: usize,
        step: impl FnOnce(&mut [u8], usize, usize) -> Result<Step, E>,
    ) -> Result<Step, E> {
        let done = step(&mut self.bytes, self.start + skip, self.end)?;
        debug_assert!(done.start <= done.end && done.end <= self.bytes.len());
        Ok(done)
    }

    /// What it holds from here on, in positions of [`Step`].
    pub(crate) fn set_range(&mut self, start: usize, end: usize) {
        assert!(start <= end && end <= self.bytes.len());
        self.start = start;
        self.end = end;
    }

    /// Does it hold anything behind `position`?
    pub(crate) fn holds_beyond(&self, position: usize) -> bool {
        self.end > position
    }

    /// Bytes of what it holds that come at `position` or later.
    pub(crate) fn beyond(&self, position: usize) -> &[u8] {
        &self.bytes[position..self.end]
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        // The pool is gone only while its thread ends.
        let _ = POOL.try_with(|pool| pool.borrow_mut().give(bytes));
    }
}

// SAFETY: the pointer is into a boxed slice, which does not move when `Buf` does, and `start..end` lies within it and
// was initialised (buffers are zeroed when they are made).
unsafe impl IoBuf for Buf {
    fn read_ptr(&self) -> *const u8 {
        self.bytes[self.start..].as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.len()
    }
}

// SAFETY: as above; `end..end + room()` lies within the boxed slice. `set_init` is told how many bytes were written
// there, and moves the end behind them: reads append.
unsafe impl IoBufMut for Buf {
    fn write_ptr(&mut self) -> *mut u8 {
        self.bytes[self.end..].as_mut_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        self.room()
    }

    unsafe fn set_init(&mut self, count: usize) {
        self.end += count.min(self.room());
    }
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { free: [const { Vec::new() }; 4], idle: [0; 4] }) };
}

/// Gives back to the allocator half of the buffers that nobody needed since the last call.
pub(crate) fn trim() {
    POOL.with_borrow_mut(Pool::trim);
}

struct Pool {
    free: [Vec<Box<[u8]>>; 4],
    /// The fewest that were free at any moment since the last trim.
    idle: [usize; 4],
}

impl Pool {
    fn take(&mut self, size: usize) -> Box<[u8]> {
        let taken = self.free[size].pop();
        self.idle[size] = self.idle[size].min(self.free[size].len());
        taken.unwrap_or_else(|| vec![0; SIZES[size]].into_boxed_slice())
    }

    fn give(&mut self, bytes: Box<[u8]>) {
        let Some(size) = SIZES.iter().position(|&size| size == bytes.len()) else { return };
        if self.free[size].len() < FREE_MAX[size] {
            self.free[size].push(bytes);
        }
    }

    fn trim(&mut self) {
        for (free, idle) in self.free.iter_mut().zip(&mut self.idle) {
            free.drain(..idle.div_ceil(2));
            *idle = free.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_replaced_in_place() {
        let mut buf = Buf::holding(b"old head|body");
        assert!(buf.replace_head(9, b"a much longer new head|"));
        assert_eq!(buf.filled(), b"a much longer new head|body");
        assert!(!buf.replace_head(0, &[b'x'; FRONT * 2]));
        assert_eq!(buf.filled(), b"a much longer new head|body");
    }

    #[test]
    fn it_grows_and_keeps_what_it_holds() {
        let mut buf = Buf::new(Size::Small);
        let all: Vec<u8> = (0..60_000_u32).map(|number| number as u8).collect();
        let mut at = 0;
        while at < all.len() {
            assert!(buf.make_room());
            let piece = buf.room().min(all.len() - at);
            buf.append(&all[at..at + piece]);
            at += piece;
        }
        assert_eq!(buf.filled(), all);
        assert_eq!(buf.size(), Size::Large);
    }

    #[test]
    fn what_was_consumed_can_be_taken_back() {
        let mut buf = Buf::holding(b"request");
        let position = buf.position();
        buf.advance(7);
        buf.rewind(position);
        assert_eq!(buf.filled(), b"request");
    }

    #[test]
    fn free_buffers_are_given_back_when_nobody_needs_them() {
        let many: Vec<_> = (0..100).map(|_| Buf::new(Size::Large)).collect();
        drop(many);
        let free = || POOL.with_borrow(|pool| pool.free[2].len());
        assert_eq!(free(), FREE_MAX[2]);
        (0..20).for_each(|_| trim());
        assert_eq!(free(), 0);
    }
}
