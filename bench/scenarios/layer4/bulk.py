#!/usr/bin/env python3
"""Bulk: a node that sends for as long as it can (`bulk.py node PORT`), and clients that throw away what they get."""

import os
import select
import socket
import sys
import tempfile
import threading
import time

BLOCK_BYTES = 64 << 20
READ_BYTES = 4 << 20


def node(port):
    """Sends the same pages again and again: nothing is copied on the way into the socket."""
    with tempfile.TemporaryFile(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as file:
        file.write(b"x" * BLOCK_BYTES)
        file.flush()
        with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection, file.fileno()), daemon=True).start()


def serve(connection, file):
    with connection:
        try:
            while True:
                at = 0
                while at < BLOCK_BYTES:
                    at += os.sendfile(connection.fileno(), file, at, BLOCK_BYTES - at)
        except OSError:
            # The client has left.
            return


def clients(port, count, seconds):
    """Bytes that `count` connections got, and in how many seconds. The kernel drops them where they are (MSG_TRUNC)."""
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    buffer = bytearray(READ_BYTES)
    poll = select.poll()
    by_fd = {}
    for connection in connections:
        connection.setblocking(False)
        poll.register(connection, select.POLLIN)
        by_fd[connection.fileno()] = connection
    got, began = 0, time.monotonic()
    while time.monotonic() < began + seconds:
        for fd, _ in poll.poll(100):
            try:
                got += by_fd[fd].recv_into(buffer, READ_BYTES, socket.MSG_TRUNC)
            except BlockingIOError:
                continue
    elapsed = time.monotonic() - began
    for connection in connections:
        connection.close()
    return got, elapsed


if __name__ == "__main__":
    if sys.argv[1] == "node":
        node(int(sys.argv[2]))
    else:
        print(*clients(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
