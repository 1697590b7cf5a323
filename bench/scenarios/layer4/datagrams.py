#!/usr/bin/env python3
"""Datagrams that are echoed: the node (`datagrams.py node PORT BYTES [trains]`) and the clients.

Both send and receive by sendmmsg and recvmmsg with arrays that are made once, so that a few microseconds of Python are
shared by a batch. A message that was received is sent back as it stands: address, length and bytes.

`trains`: what goes one way at once is one message that the kernel cuts up (UDP_SEGMENT), and what comes so is received as
one (UDP_GRO), as programs that speak QUIC do it. A proxy sees datagrams either way.
"""

import ctypes
import select
import socket
import sys
import time

BATCH = 64
MSG_DONTWAIT = 0x40
UDP_SEGMENT = 103
UDP_GRO = 104
# The most datagrams that the kernel makes of one message.
TRAIN = 64
# Long enough for a node that had no core for a while.
LOST_SECONDS = 0.5
libc = ctypes.CDLL(None, use_errno=True)


class IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Message(ctypes.Structure):
    """struct mmsghdr of Linux on 64 bits."""

    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iov_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("padding", ctypes.c_int),
        ("length", ctypes.c_uint),
    ]


class Batch:
    """Messages of one size; `named` with room for an address each."""

    def __init__(self, size, named, count=BATCH):
        self.bytes = [ctypes.create_string_buffer(b"x" * size, size) for _ in range(count)]
        self.names = [ctypes.create_string_buffer(16) for _ in range(count)]
        self.iovs = [IoVec(ctypes.addressof(block), size) for block in self.bytes]
        self.messages = (Message * count)()
        for message, name, iov in zip(self.messages, self.names, self.iovs):
            message.name = ctypes.addressof(name) if named else None
            message.name_length = 16 if named else 0
            message.iov = ctypes.addressof(iov)
            message.iov_length = 1

    def datagrams(self, count, size):
        """How many there are in the first `count` messages."""
        return sum(self.messages[at].length for at in range(count)) // size

    def receive(self, fd, most, flags=MSG_DONTWAIT):
        return libc.recvmmsg(fd, self.messages, most, flags, None)

    def send(self, fd, count):
        return libc.sendmmsg(fd, self.messages, count, 0)


def join(one, size):
    """What is longer than `size` goes out in pieces of it, and such pieces come in as one."""
    one.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
    one.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)


def node(port, size, trains):
    """Sends everything back, until it is killed."""
    with bound(port) as listening:
        if trains:
            join(listening, size)
        batch, fd = Batch(size * TRAIN if trains else size, named=True), listening.fileno()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while True:
            count = batch.receive(fd, BATCH)
            if count <= 0:
                poll.poll()
                continue
            at = 0
            # A message has room for more than has come.
            for message, iov in zip(batch.messages[:count], batch.iovs) if trains else ():
                iov.length = message.length
            while at < count:
                # What cannot be sent back is left out.
                sent = libc.sendmmsg(fd, ctypes.byref(batch.messages[at]), count - at, 0)
                at += max(sent, 1)
            for iov in batch.iovs[:count] if trains else ():
                iov.length = size * TRAIN


def bound(port):
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    listening.bind(("127.0.0.1", port))
    return listening


def clients(port, size, count, window, seconds, trains):
    """Asks with `count` clients that have `window` datagrams under way each. (answers, lost ones, seconds)"""
    sockets = []
    for _ in range(count):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.connect(("127.0.0.1", port))
        one.setblocking(False)
        if trains:
            join(one, size)
        sockets.append(one)
    fds = [one.fileno() for one in sockets]
    under_way = dict.fromkeys(fds, 0)
    most = size * TRAIN if trains else size
    out, back = Batch(most, named=False), Batch(most, named=False)
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    answers = lost = 0
    began = heard = time.monotonic()
    ready = fds
    while (now := time.monotonic()) < began + seconds:
        for fd in ready:
            got = max(0, back.receive(fd, window))
            if trains:
                got = back.datagrams(got, size)
            answers += got
            # What was given up may come after all.
            under_way[fd] = max(0, under_way[fd] - got)
            more = window - under_way[fd]
            if more > 0 and trains:
                out.iovs[0].length = size * more
                under_way[fd] += more * max(0, out.send(fd, 1))
            elif more > 0:
                under_way[fd] += max(0, out.send(fd, more))
        ready = [fd for fd, _ in poll.poll(20)]
        if ready:
            heard = now
        elif now - heard > LOST_SECONDS:
            # Nothing for so long on loopback: what is under way is lost.
            lost += sum(under_way.values())
            under_way, ready, heard = dict.fromkeys(fds, 0), fds, now
    elapsed = time.monotonic() - began
    for one in sockets:
        one.close()
    return answers, lost, elapsed


if __name__ == "__main__":
    if sys.argv[1] == "node":
        node(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:] == ["trains"])
    else:
        print(*clients(*map(int, sys.argv[2:6]), float(sys.argv[6]), sys.argv[7:] == ["trains"]))
