//! Datagrams, many at a time: recvmmsg(2) into slots, sendmmsg(2) from them, and what the kernel joined or shall cut up.
//!
//! ```text
//!   socket --receive--> | slots: bytes, sender, our address, segment | --send parcels of them--> socket
//! ```
//! A slot holds the largest datagram there is, or several of one size that the kernel received as one (`UDP_GRO`); a
//! parcel is one or several slots that go out as one message (`UDP_SEGMENT`). Memory that was never written to is none.
#![allow(
    unsafe_code,
    reason = "recvmmsg and sendmmsg take arrays of pointers, and no crate has both with control messages of each message"
)]

mod ancillary;

use std::io;
use std::mem::{self, size_of};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use self::ancillary::{Control, address, put_address, read_control, write_control};
pub(crate) use self::ancillary::{Local, join_received, tell_own_address};
use crate::logic::limits::{DATAGRAM_BATCH_MAX, DATAGRAM_BYTES_MAX};
use crate::logic::udp::train::Train;

/// Between the beginnings of two slots. Not a power of two: a thousand slots that begin in the same lines of a cache would
/// have room for a few of them only.
const STRIDE: usize = DATAGRAM_BYTES_MAX + 17 * 64;

/// What came in. The slots live on the heap, and the headers point at them.
pub(crate) struct Inbox {
    bytes: Box<[u8]>,
    arrays: Arrays,
}

/// What the two calls read and write beside the bytes, by message.
struct Arrays {
    names: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    iovecs: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl Arrays {
    fn new() -> Self {
        // SAFETY: all three are plain C structures for which zeroes are a valid value.
        let (name, iovec, header) = unsafe {
            (
                mem::zeroed::<libc::sockaddr_storage>(),
                mem::zeroed::<libc::iovec>(),
                mem::zeroed::<libc::mmsghdr>(),
            )
        };
        Self {
            names: vec![name; Inbox::SLOTS].into(),
            controls: vec![[0; 16]; Inbox::SLOTS].into(),
            iovecs: vec![iovec; Inbox::SLOTS].into(),
            headers: vec![header; Inbox::SLOTS].into(),
        }
    }
}

/// What is in one slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    pub(crate) bytes: usize,
    /// Size of the datagrams that it is made of; 0 where it is one.
    pub(crate) segment: usize,
    /// `None` of a family that is neither IPv4 nor IPv6.
    pub(crate) from: Option<SocketAddr>,
    /// Which of our addresses it came to, where the socket tells.
    pub(crate) local: Option<Local>,
}

impl Received {
    pub(crate) fn train(&self) -> Train {
        Train::of(self.bytes, self.segment)
    }
}

/// Slots in a row that go out as one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parcel {
    pub(crate) first: usize,
    pub(crate) slots: usize,
    pub(crate) train: Train,
    /// `None` on a connected socket.
    pub(crate) to: Option<SocketAddr>,
    pub(crate) local: Option<Local>,
}

/// What came of sending.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Datagrams that the kernel took.
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
    /// And those that it did not: no room, no way, too large.
    pub(crate) dropped: u64,
    /// The first parcel that the other side refused (an ICMP error of an earlier one): nothing from there on was sent.
    pub(crate) refused_at: Option<usize>,
}

impl Inbox {
    pub(crate) const SLOTS: usize = DATAGRAM_BATCH_MAX;

    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; STRIDE * Self::SLOTS].into(), arrays: Arrays::new() }
    }

    /// Receives into the slots from `at` on, at most `most`, what there is now. An error is `WouldBlock` where there is
    /// nothing, or what became of datagrams that were sent (a connected socket gets ICMP errors here).
    pub(crate) fn receive(&mut self, socket: impl AsFd, at: usize, most: usize) -> io::Result<usize> {
        let until = (at + most).min(Self::SLOTS);
        for slot in at..until {
            self.prepare(slot);
        }
        let headers = &mut self.arrays.headers[at..until];
        // SAFETY: every header points at a name, a control buffer and an iovec of its own, and that at a slot of its own;
        // all of them are owned by `self`, are not moved, and outlive the call, which writes no more than the given lengths.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    fn prepare(&mut self, slot: usize) {
        let bytes = &mut self.bytes[slot * STRIDE..][..DATAGRAM_BYTES_MAX];
        self.arrays.iovecs[slot] = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let header = &mut self.arrays.headers[slot].msg_hdr;
        header.msg_name = (&raw mut self.arrays.names[slot]).cast();
        header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        header.msg_iov = &raw mut self.arrays.iovecs[slot];
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut self.arrays.controls[slot]).cast();
        header.msg_controllen = size_of::<Control>();
        header.msg_flags = 0;
    }

    /// What a slot holds that was received into.
    pub(crate) fn received(&self, slot: usize) -> Received {
        let header = &self.arrays.headers[slot];
        let bytes = (header.msg_len as usize).min(DATAGRAM_BYTES_MAX);
        let from = address(&self.arrays.names[slot], header.msg_hdr.msg_namelen as usize);
        let (segment, local) = read_control(&self.arrays.controls[slot], header.msg_hdr.msg_controllen);
        Received { bytes, segment: if segment < bytes { segment } else { 0 }, from, local }
    }

    /// The bytes of a slot.
    pub(crate) fn bytes(&self, slot: usize) -> &[u8] {
        let length = (self.arrays.headers[slot].msg_len as usize).min(DATAGRAM_BYTES_MAX);
        &self.bytes[slot * STRIDE..][..length]
    }
}

/// What goes out. Its arrays are kept from one call to the next; what they hold means nothing between calls.
pub(crate) struct Outbox {
    arrays: Arrays,
    /// Does the kernel cut up what is too long for one datagram?
    pub(crate) segments: bool,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { arrays: Arrays::new(), segments: true }
    }

    /// Sends parcels of these slots, as many as there are slots at most.
    pub(crate) fn send(&mut self, socket: impl AsFd, inbox: &Inbox, parcels: &[Parcel]) -> Sent {
        let mut sent = Sent::default();
        if let [Parcel { first, slots: 1, to: None, train, .. }] = parcels
            && !train.is_long()
        {
            // One datagram on a connected socket: the plain call does it.
            let result = rustix::net::send(&socket, inbox.bytes(*first), rustix::net::SendFlags::DONTWAIT);
            sent.note(&parcels[0], inbox, 0, result.map(drop).map_err(io::Error::from));
            return sent;
        }
        self.fill(inbox, parcels);
        let mut at = 0;
        while at < parcels.len() && sent.refused_at.is_none() {
            match self.send_from(&socket, at, parcels.len()) {
                Ok(count) => {
                    for parcel in &parcels[at..at + count] {
                        sent.note(parcel, inbox, 0, Ok(()));
                    }
                    at += count.max(1);
                }
                Err(error) if parcels[at].train.is_long() && is_of_segments(&error) => {
                    // EIO: there is no card below that could ever do it.
                    self.segments &= error.raw_os_error() != Some(libc::EIO);
                    one_by_one(&socket, inbox, &parcels[at], at, &mut sent);
                    at += 1;
                }
                Err(error) => {
                    sent.note(&parcels[at], inbox, at, Err(error));
                    at += 1;
                }
            }
        }
        sent
    }

    fn send_from(&mut self, socket: impl AsFd, at: usize, until: usize) -> io::Result<usize> {
        let headers = &mut self.arrays.headers[at..until];
        // SAFETY: `fill` has pointed every header at arrays of `self` and at slots of an inbox that is borrowed by the
        // caller for as long as this takes; the call only reads them, and writes `msg_len`.
        let count = unsafe {
            libc::sendmmsg(
                socket.as_fd().as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    fn fill(&mut self, inbox: &Inbox, parcels: &[Parcel]) {
        let mut iovec = 0;
        for (at, parcel) in parcels.iter().enumerate() {
            let begin = iovec;
            for slot in parcel.first..parcel.first + parcel.slots {
                let bytes = inbox.bytes(slot);
                // The call reads through it and never writes.
                self.arrays.iovecs[iovec] =
                    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
                iovec += 1;
            }
            let header = &mut self.arrays.headers[at].msg_hdr;
            header.msg_iov = &raw mut self.arrays.iovecs[begin];
            header.msg_iovlen = iovec - begin;
            header.msg_flags = 0;
            (header.msg_name, header.msg_namelen) = match parcel.to {
                Some(to) => {
                    let length = put_address(to, &mut self.arrays.names[at]);
                    ((&raw mut self.arrays.names[at]).cast(), length)
                }
                None => (ptr::null_mut(), 0),
            };
            let segment = if parcel.train.is_long() { parcel.train.segment } else { 0 };
            header.msg_controllen = write_control(&mut self.arrays.controls[at], segment, parcel.local);
            header.msg_control = match header.msg_controllen {
                0 => ptr::null_mut(),
                _ => (&raw mut self.arrays.controls[at]).cast(),
            };
        }
    }
}

impl Sent {
    fn note(&mut self, parcel: &Parcel, inbox: &Inbox, at: usize, result: io::Result<()>) {
        let datagrams = parcel.train.segments() as u64;
        match result {
            Ok(()) => {
                self.datagrams += datagrams;
                let slots = parcel.first..parcel.first + parcel.slots;
                self.bytes += slots.map(|slot| inbox.bytes(slot).len() as u64).sum::<u64>();
            }
            // Of one client among many it says nothing of the others.
            Err(error) if parcel.to.is_none() && is_refusal(&error) => self.refused_at = Some(at),
            Err(_) => self.dropped += datagrams,
        }
    }
}

/// Does an error say that nobody is there, or that no way leads there?
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

/// Is it the cutting up that the kernel cannot do here?
fn is_of_segments(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP))
}

/// Each datagram of a parcel by itself.
fn one_by_one(socket: impl AsFd, inbox: &Inbox, parcel: &Parcel, at: usize, sent: &mut Sent) {
    for slot in parcel.first..parcel.first + parcel.slots {
        for piece in inbox.bytes(slot).chunks(parcel.train.segment.max(1)) {
            let result = match parcel.to {
                Some(to) => send_to(&socket, piece, to, parcel.local),
                None => rustix::net::send(&socket, piece, rustix::net::SendFlags::DONTWAIT)
                    .map(drop)
                    .map_err(io::Error::from),
            };
            match result {
                Ok(()) => {
                    (sent.datagrams, sent.bytes) = (sent.datagrams + 1, sent.bytes + piece.len() as u64)
                }
                Err(error) if parcel.to.is_none() && is_refusal(&error) => {
                    sent.refused_at = Some(at);
                    return;
                }
                Err(_) => sent.dropped += 1,
            }
        }
    }
}

fn send_to(socket: impl AsFd, bytes: &[u8], to: SocketAddr, local: Option<Local>) -> io::Result<()> {
    // SAFETY: plain C structures for which zeroes are a valid value.
    let (mut name, mut header) = unsafe { (mem::zeroed(), mem::zeroed::<libc::msghdr>()) };
    let mut control: Control = [0; 16];
    let mut iovec = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    header.msg_namelen = put_address(to, &mut name);
    header.msg_name = (&raw mut name).cast();
    header.msg_iov = &raw mut iovec;
    header.msg_iovlen = 1;
    header.msg_controllen = write_control(&mut control, 0, local);
    header.msg_control = (&raw mut control).cast();
    // SAFETY: everything that the header points at lives until the end of this function, and is only read.
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, UdpSocket};

    use super::*;

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        socket
    }

    fn parcel(first: usize, slots: usize, train: Train, to: &UdpSocket) -> Parcel {
        Parcel { first, slots, train, to: Some(to.local_addr().unwrap()), local: None }
    }

    /// Receives exactly so many, however they are joined.
    fn receive(inbox: &mut Inbox, socket: &UdpSocket, slots: usize) {
        let mut got = 0;
        while got < slots {
            match inbox.receive(socket, got, slots - got) {
                Ok(count) => got += count,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
    }

    #[test]
    fn datagrams_of_any_size_pass_whole_and_with_their_sender() {
        let (client, ours, node) = (socket(), socket(), socket());
        let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
        let sizes = [0, 1, 1200, 65_507];
        for size in sizes {
            client.send_to(&vec![size as u8; size], ours.local_addr().unwrap()).unwrap();
        }
        receive(&mut inbox, &ours, sizes.len());
        let received: Vec<_> = (0..sizes.len()).map(|slot| inbox.received(slot)).collect();
        assert!(received.iter().all(|one| one.from == client.local_addr().ok() && one.segment == 0));
        let parcels: Vec<_> =
            received.iter().enumerate().map(|(at, one)| parcel(at, 1, one.train(), &node)).collect();
        let sent = outbox.send(&ours, &inbox, &parcels);
        assert_eq!((sent.datagrams, sent.dropped), (4, 0));
        for size in sizes {
            let mut bytes = vec![9; 70_000];
            let (count, from) = node.recv_from(&mut bytes).unwrap();
            assert_eq!((count, from), (size, ours.local_addr().unwrap()));
            assert!(bytes[..count].iter().all(|byte| *byte == size as u8));
        }
    }

    #[test]
    fn a_train_arrives_as_the_datagrams_that_it_is_made_of_and_can_be_received_as_one() {
        let (client, ours, joining) = (socket(), socket(), socket());
        join_received(&joining);
        let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
        for text in ["aaaa", "bbbb", "cc"] {
            client.send_to(text.as_bytes(), ours.local_addr().unwrap()).unwrap();
        }
        receive(&mut inbox, &ours, 3);
        let mut train = inbox.received(0).train();
        assert!(train.couple(inbox.received(1).train()) && train.couple(inbox.received(2).train()));
        let sent = outbox.send(&ours, &inbox, &[parcel(0, 3, train, &client), parcel(0, 3, train, &joining)]);
        assert_eq!((sent.datagrams, sent.bytes), (6, 20));
        for text in ["aaaa", "bbbb", "cc"] {
            let mut bytes = [0; 16];
            let count = client.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..count], text.as_bytes());
        }
        let mut joined = Inbox::new();
        receive(&mut joined, &joining, 1);
        let one = joined.received(0);
        // A kernel that does not join has handed over the first of three.
        match one.segment {
            0 => assert_eq!(joined.bytes(0), b"aaaa"),
            segment => assert_eq!((segment, joined.bytes(0)), (4, &b"aaaabbbbcc"[..])),
        }
    }

    #[test]
    fn a_parcel_that_cannot_go_holds_up_nobody() {
        let (client, ours, node) = (socket(), socket(), socket());
        let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
        for text in ["one", "two"] {
            client.send_to(text.as_bytes(), ours.local_addr().unwrap()).unwrap();
        }
        receive(&mut inbox, &ours, 2);
        let train = inbox.received(0).train();
        // Nobody can be reached at port 0.
        let nowhere = Parcel { to: Some("127.0.0.1:0".parse().unwrap()), ..parcel(0, 1, train, &node) };
        let sent = outbox.send(&ours, &inbox, &[nowhere, parcel(1, 1, train, &node)]);
        assert_eq!((sent.datagrams, sent.dropped), (1, 1));
        let mut bytes = [0; 16];
        assert_eq!(node.recv(&mut bytes).unwrap(), 3);
        assert_eq!(&bytes[..3], b"two");
    }

    #[test]
    fn an_answer_leaves_from_the_address_that_was_asked() {
        for (any, asked) in [("0.0.0.0:0", "127.0.0.7"), ("[::]:0", "::1"), ("[::]:0", "127.0.0.9")] {
            let ours = UdpSocket::bind(any).unwrap();
            let asked: IpAddr = asked.parse().unwrap();
            tell_own_address(&ours, any.starts_with('[')).unwrap();
            let client = UdpSocket::bind(if asked.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }).unwrap();
            client.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
            let to = SocketAddr::new(asked, ours.local_addr().unwrap().port());
            client.send_to(b"?", to).unwrap();
            let mut inbox = Inbox::new();
            receive(&mut inbox, &ours, 1);
            let got = inbox.received(0);
            assert_eq!(got.local.map(|local| local.ip.to_canonical()), Some(asked));
            let back = Parcel { first: 0, slots: 1, train: got.train(), to: got.from, local: got.local };
            assert_eq!(Outbox::new().send(&ours, &inbox, &[back]).datagrams, 1, "{any} {asked}");
            let (_, from) = client.recv_from(&mut [0; 8]).unwrap();
            assert_eq!(from, to);
        }
    }
}
