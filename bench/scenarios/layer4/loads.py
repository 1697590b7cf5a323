"""What is measured: bulk, small messages, new connections, datagrams, idle connections."""

import json
import os
import socket
import sys
import time

from layer4.stage import DATAGRAM_BYTES
from process_tree import machine_busy_ns
from rig import BARE, HERE

MESSAGE = "m" * 64
CLIENTS = 64
IDLE_SECONDS = 5
BATCH = 64


class Load:
    """Something that runs for a while. `once` gives (how many things, seconds, more); here is what it cost."""

    # Programs that cannot do it.
    without = (BARE,)
    unit = "things"

    def run(self, stage, proxy, seconds):
        self.once(stage, proxy, min(seconds, 1))
        cpu = proxy.tree.cpu_ns() if proxy.tree else 0
        nodes, busy, me, began = stage.nodes_cpu_ns(), machine_busy_ns(), own_cpu_ns(), time.monotonic()
        count, elapsed, more = self.once(stage, proxy, seconds)
        # A program that starts and ends has its part in the time, but not in what is counted.
        spent = time.monotonic() - began
        cpu = proxy.tree.cpu_ns() - cpu if proxy.tree else 0
        others = machine_busy_ns() - busy - cpu - (stage.nodes_cpu_ns() - nodes) - (own_cpu_ns() - me)
        return {
            "per_second": count / elapsed,
            "cpu_ns_each": cpu / max(1, count),
            "proxy_core_share": cpu / 1e9 / elapsed,
            "others_share": max(0, others) / 1e9 / spent / os.cpu_count(),
            **more,
        }


class Bulk(Load):
    name, title, unit = "bulk", "Bulk from the node to 4 clients", "bytes"
    columns = [("MiB/s", "per_second", lambda v: f"{v / (1 << 20):,.0f}"), ("CPU ns/KiB", "cpu_ns_each", lambda v: f"{v * 1024:,.0f}")]

    def once(self, stage, proxy, seconds):
        command = [sys.executable, HERE / "layer4/bulk.py", "clients", proxy.ports["bulk_port"], 4, seconds]
        got, elapsed = stage.client(command).split()
        return int(got), float(elapsed), {}


class Loadgen(Load):
    without = ()
    arguments = ()

    def once(self, stage, proxy, seconds):
        url = f"tcp://127.0.0.1:{proxy.ports['echo_port']}"
        command = [stage.options.loadgen, url, "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "-b", MESSAGE, "--quiet", "--json", "-"]
        result = json.loads(stage.client([*command, *self.arguments]))
        totals = result["totals"]
        return totals["completed"], result["elapsed_ms"] / 1000, {"errors": totals["failed"]}


COUNTED = [("a second", "per_second", lambda v: f"{v:,.0f}"), ("CPU us each", "cpu_ns_each", lambda v: f"{v / 1000:.2f}")]


class Messages(Loadgen):
    name, title = "messages", f"64 bytes there and back over {CLIENTS} connections"
    columns = COUNTED


class Connections(Loadgen):
    name, title = "connections", f"A connection for each 64 bytes there and back, {CLIENTS} at a time"
    columns = COUNTED
    arguments = ("--no-keepalive",)


class Datagrams(Load):
    """Each client has `window` datagrams under way: 1 is question and answer, more is a burst; `trains`: see datagrams.py."""

    without = ("haproxy", BARE)
    columns = [*COUNTED, ("lost", "lost", lambda v: f"{v:,.0f}")]

    def __init__(self, name, window, trains=False):
        self.name, self.window, self.trains = name, window, trains
        sent = ", sent and received as trains (UDP_SEGMENT, UDP_GRO)" if trains else ""
        self.title = f"Datagrams of 64 bytes echoed to {CLIENTS} clients, {window} under way each{sent}"

    def once(self, stage, proxy, seconds):
        port = proxy.ports["trains_port" if self.trains else "udp_port"]
        command = [sys.executable, HERE / "layer4/datagrams.py", "clients", port, DATAGRAM_BYTES, CLIENTS, self.window, seconds]
        said = stage.client([*command, *(["trains"] if self.trains else [])])
        answers, lost, elapsed = said.split()
        return int(answers), float(elapsed), {"lost": int(lost)}


class Idle:
    """Connections that have exchanged a byte and then are silent."""

    name, title = "idle", "Idle connections"
    without = ("direct", BARE)
    columns = [
        ("bytes each", "bytes_each", lambda v: f"{v:,.0f}"),
        ("kernel workers", "kernel_workers", lambda v: f"{v:.0f}"),
        ("answered again", "answered", lambda v: f"{v:,.0f}"),
    ]

    def run(self, stage, proxy, _seconds):
        # The first ones pay for pools and tables.
        drop(opened(proxy, 2 * BATCH))
        time.sleep(2)
        before, wanted = proxy.tree.rss_bytes(), stage.options.connections
        clients = []
        while len(clients) < wanted:
            clients += opened(proxy, min(BATCH, wanted - len(clients)))
        time.sleep(IDLE_SECONDS)
        held, workers = proxy.tree.rss_bytes(), kernel_workers(proxy)
        answered = sum(exchange(client) for client in clients)
        drop(clients)
        return {"bytes_each": (held - before) / wanted, "kernel_workers": workers, "answered": answered, "connections": wanted}


def opened(proxy, count):
    clients = [socket.create_connection(("127.0.0.1", proxy.ports["echo_port"]), timeout=20) for _ in range(count)]
    assert all(exchange(client) for client in clients), f"{proxy.name} does not answer"
    return clients


def exchange(client):
    try:
        client.sendall(b"!")
        return client.recv(1) == b"!"
    except OSError:
        return False


def drop(clients):
    for client in clients:
        client.close()


def kernel_workers(proxy):
    """Threads that the kernel has made for operations of a ring that could not go on without one."""
    count = 0
    for pid in proxy.tree.pids():
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/comm") as file:
                count += file.read().startswith("iou-wrk")
    return count


def own_cpu_ns():
    times = os.times()
    return int((times.user + times.system + times.children_user + times.children_system) * 1e9)


LOADS = [
    Bulk(),
    Messages(),
    Connections(),
    Datagrams("datagrams", 1),
    Datagrams("bursts", 16),
    Datagrams("trains", 16, trains=True),
    Idle(),
]
