"""What connections and bodies cost in resident memory: idle clients, half-sent heads, 2 GiB each way."""

import socket
import threading
import time

from load import SCENARIOS as LOADS
from rig import BARE, BULK_BYTES, MIB

REQUEST = b"GET /api/small HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
HALF_HEAD = REQUEST[:-2] + b"X-Half: the rest of this field comes la"
REST_OF_HEAD = b"ter\r\n\r\n"
# Connections are opened, and asked again, in batches of the size that the load scenarios use.
BATCH = 64
IDLE_SECONDS = 10
HALF_SECONDS = 3
# How long a proxy has to give memory back after its clients have left.
SETTLE_SECONDS = 15
SAMPLE_SECONDS = 0.02


class Memory:
    """What costs memory. A relay that keeps nothing has none to measure."""

    without = (BARE,)


class IdleConnections(Memory):
    """Clients that made one request and then are silent."""

    name = "idle"

    def run(self, rig, proxy, connections):
        before = settled(rig, proxy)
        clients, answered = [], 0
        while len(clients) < connections:
            batch = open_connections(proxy.port, min(BATCH, connections - len(clients)))
            answered += ask(batch, REQUEST)
            clients += batch
        time.sleep(IDLE_SECONDS)
        held = proxy.tree.rss_bytes()
        answered_again = ask(clients, REQUEST)
        after, seconds = closed(proxy, clients, before)
        return {
            "connections": connections,
            "rss_before": before,
            "rss_held": held,
            "rss_after": after,
            "settle_seconds": seconds,
            "bytes_per_connection": (held - before) / connections,
            "after_to_before": after / before,
            "answered": answered,
            "answered_after_idle": answered_again,
        }


class HalfHeads(Memory):
    """Clients that sent half a head, and finish it later."""

    name = "half"

    def run(self, rig, proxy, connections):
        before = settled(rig, proxy)
        clients = open_connections(proxy.port, connections)
        for client in clients:
            client.sendall(HALF_HEAD)
        time.sleep(HALF_SECONDS)
        held = proxy.tree.rss_bytes()
        answered = ask(clients, REST_OF_HEAD)
        after, seconds = closed(proxy, clients, before)
        return {
            "connections": connections,
            "rss_before": before,
            "rss_held": held,
            "rss_after": after,
            "settle_seconds": seconds,
            "bytes_per_connection": (held - before) / connections,
            "after_to_before": after / before,
            "answered": answered,
        }


class Bulk(Memory):
    """One body of 2 GiB through the proxy: the peak of its memory while the body passes."""

    def __init__(self, name, transfer):
        self.name = name
        self.transfer = transfer

    def run(self, rig, proxy, _connections):
        before = settled(rig, proxy)
        outcome = {}

        def move():
            try:
                outcome["bytes"] = self.transfer(proxy.port)
            except OSError as error:
                outcome["error"] = str(error)

        mover = threading.Thread(target=move)
        began = time.monotonic()
        mover.start()
        peak = before
        while mover.is_alive():
            peak = max(peak, proxy.tree.rss_bytes())
            time.sleep(SAMPLE_SECONDS)
        elapsed = time.monotonic() - began
        complete = outcome.get("bytes") == BULK_BYTES
        return {
            "rss_before": before,
            "rss_peak": peak,
            "growth_bytes": peak - before,
            "complete": complete,
            "mib_per_second": BULK_BYTES / MIB / elapsed if complete else 0,
            **outcome,
        }


def upload(port):
    """Sends the body, and gives what the node says it got."""
    block = bytes(MIB)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"PUT /upload/x HTTP/1.1\r\nHost: bench.example\r\nContent-Length: %d\r\n\r\n" % BULK_BYTES)
        for _ in range(BULK_BYTES // MIB):
            client.sendall(block)
        head, body = read_head(client)
        return int(body) if b" 200 " in head else 0


def download(port):
    """Reads the body to its end, and gives its size."""
    buffer = bytearray(MIB)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"GET /bulk/2g HTTP/1.1\r\nHost: bench.example\r\n\r\n")
        head, body = read_head(client)
        got = len(body)
        while b" 200 " in head and got < BULK_BYTES:
            count = client.recv_into(buffer)
            if not count:
                break
            got += count
        return got


def read_head(client):
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            break
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body


def settled(rig, proxy):
    """Memory of a proxy that has seen load and is quiet again: what is measured is what comes on top."""
    LOADS[0].wrk(rig, proxy, 1)
    time.sleep(2)
    return proxy.tree.rss_bytes()


def open_connections(port, count):
    return [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(count)]


def ask(clients, request):
    """Sends to every client's connection and counts the whole answers."""
    answered = 0
    for at in range(0, len(clients), BATCH):
        batch = clients[at : at + BATCH]
        for client in batch:
            try:
                client.sendall(request)
            except OSError:
                continue
        answered += sum(is_answered(client) for client in batch)
    return answered


def is_answered(client):
    try:
        head, body = read_head(client)
        while head and len(body) < 128:
            more = client.recv(65536)
            if not more:
                return False
            body += more
        return b" 200 " in head and len(body) == 128
    except OSError:
        return False


def closed(proxy, clients, before):
    """Closes all; gives the memory once it is within a tenth of `before`, or after the time that a proxy has for it."""
    for client in clients:
        client.close()
    began = time.monotonic()
    while True:
        after, seconds = proxy.tree.rss_bytes(), time.monotonic() - began
        if after <= before * 1.1 or seconds > SETTLE_SECONDS:
            return after, seconds
        time.sleep(0.2)


SCENARIOS = [IdleConnections(), HalfHeads(), Bulk("upload", upload), Bulk("download", download)]
