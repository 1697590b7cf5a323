"""What happens to a fleet: each scenario runs once and gives one sample."""

import select
import signal
import socket
import struct
import time
from datetime import datetime

from balancing.lane import LOADGEN, quantile
from rig import await_port
from scaling.yard import Watch, Yard, docker, finish

# Linux; the module has no name for it.
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("@qq")


class Step:
    """Ten times the load and back, with WebSockets open all the time."""

    name, title = "step", "Ten times the load and back, 2 to 8 to 2 nodes"
    sockets, phase_s = 30, 16

    def run(self, ground):
        # An open WebSocket is in flight as a request is: 50 in all, then 230.
        scale = "min: 2, max: 8, target: { in_flight: 34 }, up: { window: 2s }, down: { window: 4s, cooldown: 2s }"
        with Yard(ground, "100ms", scale) as yard:
            yard.await_serving(2)
            watch = Watch(yard)
            watch.start()
            seconds = 3 * self.phase_s
            sockets = yard.load("sockets", "ws", "-c", self.sockets, "--rate", 2 * self.sockets, "-d", f"{seconds + 2}s")
            time.sleep(0.5)
            began = time.time()
            load = yard.load("load", "http", "-c", 600, "--steps", f"200,2000,200/{self.phase_s}s")
            requests, talk = finish(load), finish(sockets)
            nodes = [[at - began, serving, there] for at, serving, there in watch.stop()]
        up, down = self.phase_s, 2 * self.phase_s
        reached = [at for at, serving, _ in nodes if serving >= 8 and up <= at]
        left = [at for at, serving, _ in nodes if serving <= 2 and at >= down]
        yield {
            "requests": requests["totals"]["scheduled"],
            "failed": wrong(requests) + requests["totals"]["dropped"],
            "sockets": self.sockets,
            "cut": talk["totals"]["connects"] - self.sockets + wrong(talk),
            "p99_ms": quantile(requests["response"], 0.99),
            "most": max(serving for _, serving, _ in nodes),
            "up_s": reached[0] - up if reached else None,
            "down_s": left[0] - down if left else None,
            "nodes": nodes,
            "per_second": [[second["start_ms"] / 1000, second["completed"]] for second in requests["seconds"]],
            "steps": [0, up, down, 3 * self.phase_s],
        }


class Kill:
    """A node is killed every five seconds."""

    name, title = "kill", "A node is killed every five seconds"
    seconds = 30

    def run(self, ground):
        with Yard(ground, "10ms", "min: 4, max: 5") as yard:
            yard.await_serving(4)
            watch = Watch(yard)
            watch.start()
            began = time.time()
            load = yard.load("load", "http", "-c", 64, "--rate", 500, "-d", f"{self.seconds}s")
            kills = []
            for number in range(1, self.seconds // 5):
                time.sleep(max(began + 5 * number - time.time(), 0))
                docker("kill", yard.containers()[0])
                kills.append(time.time() - began)
            requests = finish(load)
            nodes = [[at - began, serving, there] for at, serving, there in watch.stop()]
        yield {
            "requests": requests["totals"]["scheduled"],
            "failed": wrong(requests) + requests["totals"]["dropped"],
            "kills": kills,
            "p99_ms": quantile(requests["response"], 0.99),
            "nodes": nodes,
        }


class Wake:
    """A thousand requests to a backend that sleeps."""

    requests = 1000

    def __init__(self, name, reach, title):
        self.name, self.reach, self.title = name, reach, title

    def run(self, ground):
        with_hold = f"min: 0, max: 1, idle: 1h, hold: {{ max: {self.requests}, timeout: 20s }}"
        yard = Yard(ground, "0ms", with_hold, self.reach)
        if not yard.is_understood():
            print("left out: this balancer knows no `min: 0`")
            return
        with yard:
            while True:
                try:
                    yard.nodes()
                    break
                except OSError:
                    time.sleep(0.02)
            answers = held(yard.port, self.requests)
            ready = became_ready(yard.containers()[0])
        yield lateness(answers, ready)


class Floor:
    """The same thousand without a balancer: a node on the loopback that stands still while they come, and goes on."""

    name, title = "wake-floor", "A thousand requests wait for a node, and nothing is between"

    def run(self, ground):
        port = ground.port()
        node = ground.start([LOADGEN, "node", "--port", port, "--no-control", "--keepalive", "10m"])
        try:
            await_port(port, [node])
            node.send_signal(signal.SIGSTOP)
            goes_on = []

            def release():
                goes_on.append(time.time())
                node.send_signal(signal.SIGCONT)

            yield lateness(held(port, Wake.requests, release), goes_on[0])
        finally:
            node.kill()
            node.wait()


def lateness(answers, since):
    late = sorted((at - since) * 1000 for at, status in answers if status == 200)
    return {
        "requests": Wake.requests,
        "answered": len(late),
        "p50_ms": late[len(late) // 2] if late else None,
        "p99_ms": late[len(late) * 99 // 100] if late else None,
    }


def wrong(report):
    return report["totals"]["failed"] + report["totals"]["bad_status"]


def held(port, count, sent=lambda: None):
    """Sends `count` requests on connections of their own, calls `sent`, and tells when each got its first byte, and its status.

    The kernel notes when bytes come. A program that is woken for each takes time from those that it measures.
    """
    poll, waiting = select.epoll(), {}
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        client.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        client.sendall(b"GET / HTTP/1.1\r\nHost: bench.test\r\n\r\n")
        poll.register(client, select.EPOLLIN)
        waiting[client.fileno()] = client
    sent()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and len(came := poll.poll(0, count)) < count:
        time.sleep(0.25)
    answers = [first_byte(waiting[number]) for number, _ in came]
    for client in waiting.values():
        client.close()
    return answers


def first_byte(client):
    """When the first packet of the answer came, and its status."""
    head, notes, _, _ = client.recvmsg(4096, socket.CMSG_SPACE(TIMESPEC.size))
    stamps = [TIMESPEC.unpack(note) for level, kind, note in notes if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)]
    # Of a connection that was closed without a byte there is none.
    seconds, nanos = stamps[0] if stamps else (0, 0)
    return seconds + nanos / 1e9, int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/") else 0


def became_ready(container):
    """When the node said that it listens, by the engine's clock, which is ours."""
    lines = docker("logs", "--timestamps", container).splitlines()
    line = next(line for line in lines if " http://" in line)
    stamp = line.split(" ", 1)[0].rstrip("Z")
    whole, _, rest = stamp.partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{rest or 0}")


WORLDS = [
    Step(),
    Kill(),
    Wake("wake", "loopback", "A thousand requests wait for the first node, on a published port"),
    Wake("wake-direct", "network", "A thousand requests wait for the first node, at the container's own address"),
    Floor(),
]
