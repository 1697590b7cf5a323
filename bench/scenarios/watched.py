#!/usr/bin/env python3
"""What it costs to be watched: a viewer and a scrape each second under load, and 200 viewers. Called by
`scripts/bench.sh watched`.

The load is `core`'s small one, on one proxy: each round measures it alone, watched, and alone again, and its ratio is the
watched CPU a request over the mean of the other two.
"""

import argparse
import base64
import os
import selectors
import socket
import sys
import threading
import time
import urllib.request
from statistics import median

import load
import rig as rigs
from conditions import remarks
from records import add_flags, facts, keep, raise_fd_limit
from summary import table

VIEWERS = 200
# Figure, words, bound.
FIGURES = [
    ("ratio", "a viewer and a scrape each second: CPU a request / alone", 1.02, "{:.3f}"),
    ("viewers_share", f"{VIEWERS} viewers: share of one core", 0.05, "{:.1%}"),
]


def main():
    options = flags()
    raise_fd_limit()
    with rigs.Rig(options.proxy_core, options.client_core, {}) as rig:
        admin = rigs.free_port()
        with start(rig, options.plimsoll, admin) as proxy:
            loads = [one_round(rig, proxy, admin, options.seconds) for _ in range(options.rounds)]
            crowds = [crowd(proxy, admin, options.seconds) for _ in range(options.rounds)]
    values = {"ratio": median(one["ratio"] for one in loads), "viewers_share": median(one["share"] for one in crowds)}
    rows = [
        [words, f"at most {form.format(bound)}", form.format(values[key]), "reached" if values[key] <= bound else "MISSED"]
        for key, words, bound, form in FIGURES
    ]
    about = facts("watched")
    text = report(about, rows, loads, crowds)
    print(text)
    if options.save:
        keep(options.folder, {"facts": about, "loads": loads, "crowds": crowds}, text, separators=(",", ":"))
    return 1 if options.gate and any(row[3] == "MISSED" for row in rows) else 0


def flags():
    parser = argparse.ArgumentParser(prog="scripts/bench.sh watched", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="length of one load")
    parser.add_argument("--proxy-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    add_flags(parser, "watched")
    return parser.parse_args()


def start(rig, plimsoll, admin):
    values = {"strategy": "round_robin", "route": "", "backend": "", "places": 0, "admin": admin}

    def command(rig, given):
        return [plimsoll, "run", "-c", rig.configure("balance-cost.yaml", **{**given, **values, "label": "-watched"})]

    return rigs.Proxy(rig, "plimsoll", command)


def one_round(rig, proxy, admin, seconds):
    scenario = load.LoadScenario("small", "/api/small", 128)
    before = scenario.run(rig, proxy, seconds)
    with Watchers(admin, 1), Scraper(admin) as scraper:
        watched = scenario.run(rig, proxy, seconds)
    after = scenario.run(rig, proxy, seconds)
    assert scraper.scrapes >= seconds, "it was not scraped each second"
    alone = (before["cpu_us_per_request"] + after["cpu_us_per_request"]) / 2
    others = max(one["others_share"] for one in [before, watched, after])
    return {
        "alone_us": alone,
        "watched_us": watched["cpu_us_per_request"],
        "ratio": watched["cpu_us_per_request"] / alone,
        "others_share": others,
    }


def crowd(proxy, admin, seconds):
    """CPU of the proxy for its viewers, less what it uses without any."""
    idle = cpu_share(proxy, seconds)
    with Watchers(admin, VIEWERS) as watchers:
        # Opening is over, and the snapshots are out.
        time.sleep(2)
        before = watchers.bytes
        busy = cpu_share(proxy, seconds)
        received = watchers.bytes - before
    assert received > 0, "the viewers saw nothing"
    return {"share": busy - idle, "bytes_per_second": received / seconds}


def cpu_share(proxy, seconds):
    before, began = proxy.tree.cpu_ns(), time.monotonic_ns()
    time.sleep(seconds)
    return (proxy.tree.cpu_ns() - before) / (time.monotonic_ns() - began)


class Background:
    """Goes on beside the load, in `run`, until it is left."""

    def __init__(self):
        self.over = threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Watchers(Background):
    """So many viewers, each of which takes in what comes."""

    def __init__(self, admin, count):
        super().__init__()
        self.bytes = 0
        self.sockets = [viewer(admin) for _ in range(count)]

    def __exit__(self, *_):
        super().__exit__()
        for one in self.sockets:
            one.close()

    def run(self):
        with selectors.DefaultSelector() as selector:
            for one in self.sockets:
                selector.register(one, selectors.EVENT_READ)
            while not self.over.is_set():
                for key, _ in selector.select(0.2):
                    self.bytes += len(key.fileobj.recv(1 << 16))


def viewer(admin):
    """A websocket that is open. It is too short-lived to have to answer a ping."""
    one = socket.create_connection(("127.0.0.1", admin), timeout=5)
    key = base64.b64encode(os.urandom(16)).decode()
    one.sendall(
        f"GET /ws HTTP/1.1\r\nhost: 127.0.0.1:{admin}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n\r\n".encode()
    )
    answer = one.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return one


class Scraper(Background):
    """Reads the metrics each second."""

    def __init__(self, admin):
        super().__init__()
        self.url, self.scrapes = f"http://127.0.0.1:{admin}/metrics", 0

    def run(self):
        while True:
            with urllib.request.urlopen(self.url, timeout=5) as answer:
                assert b"plimsoll_requests_total" in answer.read()
            self.scrapes += 1
            if self.over.wait(1):
                return


def report(about, rows, loads, crowds):
    lines = ["# watched", "", f"On {about['machine']}; one worker on one core, clients, viewers and nodes on another.", ""]
    lines += [f"- `{about['command'].strip()}` at {about['commit']}, {about['date']}", ""]
    lines += [*table(["figure", "target", "measured", ""], rows), ""]
    each = [[f"{one['alone_us']:.2f}", f"{one['watched_us']:.2f}", f"{one['ratio']:.3f}"] for one in loads]
    lines += [*table(["alone, CPU us/request", "watched", "ratio"], each), ""]
    lines += [f"The viewers took {median(one['bytes_per_second'] for one in crowds) / 1024:,.0f} KiB a second, all together.", ""]
    for remark in remarks(loads):
        lines += [remark, ""]
    return "\n".join(lines)


sys.exit(main())
