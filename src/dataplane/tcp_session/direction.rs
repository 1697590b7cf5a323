//! One direction of a connection: copied through a buffer while messages are small, spliced while they are bulk.
//!
//! ```text
//!   copy --reads that fill their buffers--> bulk --turns that find little--> copy
//!
//!   open --the source's end--> ended --all is written--> closed: the target was told
//! ```
//! One read and one write are under way at most, so a target that takes nothing stops its source.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::dataplane::buffers::{Buf, Size};
use crate::dataplane::socket::{Done, Socket, is_cancelled};
use crate::dataplane::splice::{Pipe, Turn};
use crate::logic::limits::{BULK_READS, BULK_TURN_BYTES_MIN, THIN_TURNS_MAX, UNWATCHED_WRITE_BYTES_MAX};

/// Which side a direction broke on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broke {
    Source,
    Target,
}

/// See the module.
#[derive(Default)]
pub(super) struct Direction {
    /// Read, and not handed to the target yet.
    ready: Option<Buf>,
    stage: Stage,
    /// Is somebody woken by the end of the write under way? See [`Socket::glance_at_write`].
    watched: bool,
    /// Reads in a row that filled their buffers.
    full_reads: u8,
    bulk: Option<Box<Bulk>>,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Open,
    Ended,
    Closed,
}

struct Bulk {
    pipe: Pipe,
    /// What the next turn waits for.
    wait: Option<Pin<Box<dyn Future<Output = io::Result<()>>>>>,
    /// Bytes since the source had nothing the last time.
    gathered: u64,
    /// How often in a row those were few.
    thin_turns: u8,
}

impl Direction {
    /// One whose source has sent this already.
    pub(super) fn holding(buf: Buf) -> Self {
        Self { bytes: buf.len() as u64, ready: Some(buf), ..Self::default() }
    }

    /// What was read, and handed to nobody yet.
    pub(super) fn take_ready(&mut self) -> Option<Buf> {
        self.ready.take()
    }

    /// Puts bytes of ours before what was read. False where nothing was, or there is no room.
    pub(super) fn prepend(&mut self, bytes: &[u8]) -> bool {
        self.ready.as_mut().is_some_and(|buf| buf.replace_head(0, bytes))
    }

    /// Moves what can be moved. True where something was. `last`: the other direction is closed, so that the end of this one
    /// closes the connection, and its target needs to be told nothing else.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Socket,
        to: &mut Socket,
        last: bool,
    ) -> Result<bool, Broke> {
        let mut moved = false;
        while self.stage != Stage::Closed {
            let stepped = match &self.bulk {
                Some(_) => self.splice(cx, from, to)?,
                // Both, in this order: what is read in this step is written in the next.
                None => self.write(cx, to, last)? | self.read(cx, from, to)?,
            };
            if !stepped {
                break;
            }
            moved = true;
        }
        Ok(moved)
    }

    /// Reads from the source alone, while there is no target yet.
    pub(super) fn poll_source(&mut self, cx: &mut Context<'_>, from: &mut Socket) -> Result<bool, Broke> {
        if self.stage != Stage::Open || self.ready.is_some() {
            return Ok(false);
        }
        if !from.is_reading() {
            from.start_cancellable_read(Buf::new(self.read_size()));
        }
        match from.poll_read(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(done) => self.take(done),
        }
    }

    /// Takes in a read that was cancelled, or ended before it could be.
    pub(super) fn take(&mut self, (result, buf): Done) -> Result<bool, Broke> {
        match result {
            Ok(0) => self.stage = Stage::Ended,
            Ok(count) => {
                self.bytes += count as u64;
                self.full_reads = if buf.room() == 0 { self.full_reads.saturating_add(1) } else { 0 };
                self.ready = Some(buf);
            }
            Err(error) if is_cancelled(&error) => return Ok(false),
            Err(_) => return Err(Broke::Source),
        }
        Ok(true)
    }

    /// From here on the end of the write under way wakes its task.
    pub(super) fn watch(&mut self) {
        self.watched = true;
    }

    /// Bytes that were taken from the source.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// May more come from the source?
    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    pub(super) fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// Is there nothing between the two sides? Then there is no pipe any more either.
    pub(super) fn come_to_rest(&mut self) -> bool {
        if self.bulk.as_ref().is_some_and(|bulk| bulk.pipe.is_empty()) {
            self.end_bulk();
        }
        self.bulk.is_none() && self.ready.is_none()
    }

    fn write(&mut self, cx: &mut Context<'_>, to: &mut Socket, last: bool) -> Result<bool, Broke> {
        if to.is_writing() {
            // Something waits for its end.
            let waited = self.ready.is_some() || self.stage == Stage::Ended || self.is_bulk();
            let written = if self.watched || waited { to.poll_write(cx) } else { to.glance_at_write() };
            let Poll::Ready((result, _)) = written else { return Ok(false) };
            result.map_err(|_| Broke::Target)?;
        }
        if let Some(buf) = self.ready.take() {
            self.watched = buf.len() > UNWATCHED_WRITE_BYTES_MAX;
            to.start_write(buf);
            return Ok(true);
        }
        if self.stage == Stage::Ended {
            if !last {
                to.shutdown_write();
            }
            self.stage = Stage::Closed;
        }
        Ok(false)
    }

    fn read(&mut self, cx: &mut Context<'_>, from: &mut Socket, to: &Socket) -> Result<bool, Broke> {
        if self.is_bulk() && !from.is_reading() && self.ready.is_none() && self.stage == Stage::Open {
            if to.is_writing() {
                return Ok(false);
            }
            self.full_reads = 0;
            self.bulk = Pipe::lend().map(Bulk::new);
            if self.bulk.is_some() {
                return Ok(true);
            }
        }
        self.poll_source(cx, from)
    }

    fn is_bulk(&self) -> bool {
        self.full_reads >= BULK_READS
    }

    /// Small until one is filled.
    fn read_size(&self) -> Size {
        if self.full_reads == 0 { Size::Small } else { Size::Medium }
    }

    fn splice(&mut self, cx: &mut Context<'_>, from: &Socket, to: &Socket) -> Result<bool, Broke> {
        let Some(bulk) = &mut self.bulk else { return Ok(false) };
        if let Some(wait) = &mut bulk.wait {
            // What is wrong with a socket is seen when it is used.
            if wait.as_mut().poll(cx).is_pending() {
                return Ok(false);
            }
            bulk.wait = None;
        }
        let (passed, turn) = bulk.pipe.stream(from.fd(), to.fd());
        self.bytes += passed;
        bulk.gathered += passed;
        match turn {
            Turn::NeedsInput if bulk.is_over() => self.end_bulk(),
            Turn::NeedsInput | Turn::Done => bulk.wait = Some(Box::pin(from.readable())),
            Turn::NeedsOutput | Turn::Enough => bulk.wait = Some(Box::pin(to.writable())),
            Turn::SourceEnded => {
                self.end_bulk();
                self.stage = Stage::Ended;
            }
            Turn::SourceBroke => return Err(Broke::Source),
            Turn::TargetBroke => return Err(Broke::Target),
        }
        Ok(true)
    }

    fn end_bulk(&mut self) {
        self.bulk = None;
        self.full_reads = 0;
    }
}

impl Bulk {
    fn new(pipe: Pipe) -> Box<Self> {
        Box::new(Self { pipe, wait: None, gathered: 0, thin_turns: 0 })
    }

    /// The source has nothing now. Was that so too often?
    fn is_over(&mut self) -> bool {
        let thin = std::mem::take(&mut self.gathered) < BULK_TURN_BYTES_MIN;
        self.thin_turns = if thin { self.thin_turns + 1 } else { 0 };
        self.thin_turns > THIN_TURNS_MAX
    }
}
