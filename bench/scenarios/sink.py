"""A node that reads a whole request body before it answers with the number of bytes: `sink.py PORT`.

nginx as a node would answer first and read later, which would stop the upload."""

import re
import socket
import sys
import threading

BUFFER_BYTES = 1 << 20


def main():
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


def serve(connection):
    buffer = bytearray(BUFFER_BYTES)
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = b""
        while True:
            while b"\r\n\r\n" not in head:
                more = connection.recv(65536)
                if not more:
                    return
                head += more
            fields, _, body = head.partition(b"\r\n\r\n")
            if re.search(rb"(?i)\r\ntransfer-encoding:", fields):
                return answer(connection, 501, b"content-length only")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", fields)
            expected = int(length.group(1)) if length else 0
            got = len(body)
            while got < expected:
                count = connection.recv_into(buffer, min(BUFFER_BYTES, expected - got))
                if not count:
                    return
                got += count
            answer(connection, 200, str(got).encode())
            head = b""


def answer(connection, status, body):
    connection.sendall(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body))


main()
