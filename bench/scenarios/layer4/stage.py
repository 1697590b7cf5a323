"""One core for the proxy, one for clients and nodes; the nodes, and the programs under test."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from process_tree import ProcessTree
from rig import BARE, HERE, await_port, bare_relay, free_port, start, stop

PORTS = ["echo_port", "bulk_port", "udp_port", "trains_port"]
NODES = ["echo", "bulk", "udp", "trains"]
DATAGRAM_BYTES = 64
# Where Debian and nginx's own packages have their modules.
MODULES = ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"]


class Stage:
    """The nodes, running; and a folder in memory for configurations."""

    def __init__(self, options):
        self.options = options
        self.dir = Path(tempfile.mkdtemp(prefix="plimsoll-l4-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
        self.values = {name: free_port() for name in NODES}
        self.nodes = []

    def __enter__(self):
        values, layer4 = self.values, HERE / "layer4"
        echo = [self.options.loadgen, "node", "--port", str(free_port()), "--no-control", "--threads", "1"]
        self.nodes = [
            start([*echo, "--tcp-echo", str(values["echo"])], self.options.client_core, self.dir / "echo.log"),
            start([sys.executable, layer4 / "bulk.py", "node", values["bulk"]], self.options.client_core),
            start([sys.executable, layer4 / "datagrams.py", "node", values["udp"], DATAGRAM_BYTES], self.options.client_core),
            start([sys.executable, layer4 / "datagrams.py", "node", values["trains"], DATAGRAM_BYTES, "trains"], self.options.client_core),
        ]
        for name in ["echo", "bulk"]:
            await_port(values[name], self.nodes)
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            stop(node)
        shutil.rmtree(self.dir, ignore_errors=True)

    def client(self, command):
        """What a program on the clients' core prints."""
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: os.sched_setaffinity(0, {self.options.client_core}),
        )
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
        return done.stdout

    def nodes_cpu_ns(self):
        return sum(ProcessTree(node.pid).cpu_ns() for node in self.nodes)


class Direct:
    """No proxy: clients at the nodes."""

    name = "direct"
    tree = None

    def __init__(self, stage):
        self.ports = {f"{name}_port": stage.values[name] for name in NODES}

    def stop(self):
        pass


class Proxy:
    """One of the programs under test, running."""

    def __init__(self, stage, name):
        self.name = name
        self.ports = {port: free_port() for port in PORTS}
        self.log = stage.dir / f"{name}-{self.ports['echo_port']}.log"
        command = COMMANDS[name](stage, {**stage.values, **self.ports, "dir": stage.dir})
        self.process = start(command, stage.options.proxy_core, self.log)
        self.tree = ProcessTree(self.process.pid)
        self.await_answer()

    def stop(self):
        stop(self.process)

    def banner(self):
        lines = self.log.read_text(errors="replace").splitlines()
        return lines[0] if lines else ""

    def await_answer(self, seconds=15):
        """Until a byte comes back through it."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.ports["echo_port"]), timeout=1) as client:
                    client.sendall(b"!")
                    if client.recv(1) == b"!":
                        return
                raise ConnectionError("closed")
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = self.log.read_text(errors="replace")
                    self.stop()
                    raise SystemExit(f"{self.name} does not answer ({error}); it said:\n{log}") from error
                time.sleep(0.02)


def configured(stage, template, values):
    text = (HERE / "configs" / template).read_text().format(**values)
    stem, _, ending = template.partition(".")
    path = stage.dir / f"{stem}-{values['echo_port']}.{ending}"
    path.write_text(text)
    return path


def plimsoll(stage, values):
    return [stage.options.plimsoll, "run", "-c", configured(stage, "l4-plimsoll.yaml", {**values, "admin": free_port()})]


def nginx(stage, values):
    modules = next((folder for folder in MODULES if os.path.exists(f"{folder}/ngx_stream_module.so")), MODULES[0])
    config = configured(stage, "l4-nginx.conf", {**values, "nginx_modules": modules})
    return ["nginx", "-c", config, "-e", stage.dir / f"nginx-{values['echo_port']}.start"]


def haproxy(stage, values):
    return ["haproxy", "-db", "-f", configured(stage, "l4-haproxy.cfg", values)]


def bare(stage, values):
    return [bare_relay(stage.dir), values["echo_port"], stage.values["echo"]]


COMMANDS = {"plimsoll": plimsoll, "nginx": nginx, "haproxy": haproxy, BARE: bare}
