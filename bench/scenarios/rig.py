"""The rig: one core for the proxy, one for client and nodes; programs started, awaited, and stopped again."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from process_tree import ProcessTree

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KIB = 1024
MIB = 1024 * KIB
# What forwards bytes and does nothing else: see bare_relay.c.
BARE = "bare"
BULK_BYTES = 2048 * MIB
FILES = {"api/16k": 16 * KIB, "api/1m": MIB, "bulk/2g": BULK_BYTES}


class Rig:
    """A folder in memory with files and configurations, the nodes, and the ports of all."""

    def __init__(self, proxy_core, client_core, variants):
        self.proxy_core = proxy_core
        self.client_core = client_core
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.dir = Path(tempfile.mkdtemp(prefix="plimsoll-bench-", dir=memory))
        self.values = {"dir": self.dir, "body_128": "x" * 128, **variants}
        for name in ["node_a", "node_b", "node_c", "lean", "sink"]:
            self.values[name] = free_port()
        self.nodes = []

    def __enter__(self):
        for path, size in FILES.items():
            file = self.dir / "files" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with open(file, "wb") as out:
                # The largest is a hole: it reads as zeros and takes no memory.
                if size <= MIB:
                    out.write(b"x" * size)
                out.truncate(size)
        config = self.configure("responder.conf")
        sink = [sys.executable, HERE / "sink.py", str(self.values["sink"])]
        self.nodes = [start(["nginx", "-c", config, "-e", self.dir / "responder.log"], self.client_core)]
        self.nodes.append(start(sink, self.client_core))
        # For the smallest responses the node must take less than the proxy, or it is the node that is measured.
        lean = [ROOT / "target/release/loadgen", "node", "--listen", "0.0.0.0", "--port", str(self.values["lean"])]
        self.nodes.append(start([*lean, "--size", "128", "--no-control", "--keepalive", "10m"], self.client_core))
        for name in ["node_a", "lean", "sink"]:
            await_port(self.values[name], self.nodes)
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            stop(node)
        shutil.rmtree(self.dir, ignore_errors=True)

    def configure(self, template, label="", **more):
        """Fills a template of `configs/` and gives the path of the result; `label` tells variants apart."""
        text = (HERE / "configs" / template).read_text().format(**{**self.values, **more})
        stem, _, ending = template.partition(".")
        path = self.dir / f"{stem}{label}.{ending}"
        path.write_text(text)
        return path


def start(command, core, log=None):
    """A program pinned to a core, in a session of its own."""
    with open(log or os.devnull, "wb") as out:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )


class Proxy:
    """One of the programs under test, running."""

    def __init__(self, rig, name, command, label="", tuning=None):
        self.name = name
        self.port = free_port()
        self.log = rig.dir / f"{name}-{self.port}.log"
        values = {"label": label, "port": self.port, **(tuning or {})}
        self.process = start(command(rig, values), rig.proxy_core, self.log)
        self.tree = ProcessTree(self.process.pid)
        self.await_answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop(self.process)

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def await_answer(self, seconds=15):
        """Until the whole way to the nodes answers."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return get(self.url("/api/small"))
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = self.log.read_text(errors="replace")
                    stop(self.process)
                    raise SystemExit(f"{self.name} does not answer ({error}); it said:\n{log}") from error
                time.sleep(0.02)

    def check_duties(self):
        """The proxy does what it is measured for, or the comparison means nothing. The bare relay has no duties."""
        if self.name == BARE:
            return
        _, seen = get(self.url("/api/seen"))
        forwarded_for, edited, connection = seen.decode().split("|")
        assert forwarded_for == "127.0.0.1", f"{self.name}: X-Forwarded-For arrives as {forwarded_for!r}"
        assert edited == "core", f"{self.name}: X-Bench arrives as {edited!r}"
        assert connection.lower() != "close", f"{self.name}: no keep-alive to the nodes"
        for path, size in [("/api/small", 128), ("/api/16k", 16 * KIB), ("/api/1m", MIB)]:
            headers, body = get(self.url(path))
            assert len(body) == size, f"{self.name}: {path} has {len(body)} bytes"
            assert headers.get("x-served-by") == "bench", f"{self.name}: the response header is not added"

    def banner(self):
        """The first line that it printed, if any: for plimsoll, version and driver."""
        lines = self.log.read_text(errors="replace").splitlines()
        return lines[0] if lines else ""


def nginx(rig, values):
    return ["nginx", "-c", rig.configure("nginx.conf", **values), "-e", rig.dir / "nginx.log"]


def haproxy(rig, values):
    return ["haproxy", "-db", "-f", rig.configure("haproxy.cfg", **values)]


def bare(rig, values):
    return [bare_relay(rig.dir), values["port"], rig.values["lean"]]


def bare_relay(folder):
    """The floor under all of them, built where it is not yet."""
    program = folder / "bare_relay"
    if not program.exists():
        subprocess.run(["cc", "-O2", "-o", program, HERE / "bare_relay.c"], check=True)
    return program


def plimsoll(binary):
    def command(rig, values):
        return [binary, "run", "-c", rig.configure("plimsoll.yaml", admin=free_port(), **values)]

    return command


def get(url):
    with urllib.request.urlopen(url, timeout=5) as response:
        return response.headers, response.read()


# Those that were given out, and may not be bound yet.
given_ports = set()


def free_port():
    """A port of loopback that nobody listens on now. Below the ephemeral range: no client can take it meanwhile."""
    while True:
        port = 20000 + int.from_bytes(os.urandom(2)) % 10000
        if port in given_ports:
            continue
        given_ports.add(port)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def await_port(port, processes, seconds=10):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError as error:
            gone = any(process.poll() is not None for process in processes)
            if gone or time.monotonic() > deadline:
                raise SystemExit(f"nobody listens on port {port} ({error})") from error
            time.sleep(0.02)


def stop(process, seconds=5):
    """TERM, and KILL for what does not end by it. Only what was started here: the session is its own."""
    for number in [signal.SIGTERM, signal.SIGKILL]:
        try:
            os.killpg(process.pid, number)
            process.wait(seconds)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
