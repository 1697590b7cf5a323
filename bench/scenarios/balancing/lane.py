"""A lane: one balancer with nodes and a client of its own. All lanes of a scenario run at the same time, so that the
weather of the machine meets all of them; together they take a part of it only."""

import ctypes
import json
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from rig import HERE, ROOT, await_port, free_port, stop

LOADGEN = ROOT / "target/release/loadgen"
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class Ground:
    """A folder for configurations and logs, and every program that was started: all end with it."""

    def __init__(self, plimsoll):
        self.plimsoll = plimsoll
        self.dir = Path(tempfile.mkdtemp(prefix="plimsoll-balance-"))
        self.ports = set()
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.running:
            stop(process, 2)
        shutil.rmtree(self.dir, ignore_errors=True)

    def port(self):
        """One that nobody listens on, and that was given to nobody else here."""
        while (port := free_port()) in self.ports:
            pass
        self.ports.add(port)
        return port

    def start(self, command, **pipes):
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(
            [str(part) for part in command], start_new_session=True, preexec_fn=end_with_parent, **{**quiet, **pipes}
        )
        self.running.append(process)
        return process


def end_with_parent():
    """What is started here ends when the scenario does, however that ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Node:
    """A `loadgen node` that serves `places` requests at once; the others wait in its queue."""

    def __init__(self, ground, name, places, delay, seed):
        self.name = name
        self.port = ground.port()
        self.asked = 0
        command = [LOADGEN, "node", "--port", self.port, "--name", name, "--delay", delay, "--seed", seed]
        command += ["--keepalive", "10m", "--grace", "0"]
        if places:
            command += ["--limit", places, "--queue", 100_000]
        self.process = ground.start(command)

    def behave(self, query):
        """From now on, for requests that come."""
        self.asked += 1
        url = f"http://127.0.0.1:{self.port}/__node/behaviour?{query}"
        urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=5).read()

    def requests(self):
        """That it got since it started, without those of this program."""
        self.asked += 1
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/__node/report", timeout=5) as answer:
            return json.load(answer)["requests"]["total"] - self.asked

    def kill(self):
        self.process.kill()
        self.process.wait()


class Lane:
    """`balancer` before `nodes`. The client is started by `load` and gives its result to `finish`."""

    def __init__(self, ground, balancer, nodes):
        self.name = balancer.name
        self.ground, self.balancer, self.nodes = ground, balancer, nodes
        self.port = ground.port()
        self.config = balancer.configure(ground, self.port, [node.port for node in nodes])
        self.log = open(f"{self.config}.log", "wb")
        command = balancer.command(ground, self.config)
        self.process = ground.start(command, stdout=self.log, stderr=self.log)
        self.client = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def await_answer(self, seconds=20):
        for node in self.nodes:
            await_port(node.port, [node.process])
        deadline = time.monotonic() + seconds
        while True:
            try:
                return urllib.request.urlopen(f"{self.url}/ready", timeout=5).read()
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    said = Path(self.log.name).read_text(errors="replace")
                    raise SystemExit(f"{self.name} does not answer ({error}); it said:\n{said}") from error
                time.sleep(0.02)

    def load(self, *arguments, path="/"):
        """Begins a load of `loadgen`; it goes on while this returns."""
        self.report = Path(f"{self.config}.json")
        command = [LOADGEN, f"{self.url}{path}", "-t", 1, "--quiet", "--json", self.report, *arguments]
        self.client = self.ground.start(command, stderr=subprocess.PIPE)

    def finish(self, seconds=60):
        """What the client saw, when it is done."""
        _, said = self.client.communicate(timeout=seconds)
        if not self.report.exists():
            raise SystemExit(f"the load of {self.name} did not run: {said.decode()}")
        return json.loads(self.report.read_text())


class Balancer:
    """A program with one configuration. `server` is what stands behind each server, `more` further lines."""

    def __init__(self, program, balance, server="", more="", note="", answer_s=30):
        self.program, self.balance, self.server, self.more = program, balance, server, more
        self.answer_s = answer_s
        self.name = f"{program} {balance}" + (f", {note}" if note else "")

    def configure(self, ground, port, node_ports):
        template = {"plimsoll": "balance-plimsoll.yaml", "haproxy": "balance-haproxy.cfg", "nginx": "balance-nginx.conf"}
        text = (HERE / "configs" / template[self.program]).read_text()
        servers = "\n".join(self.server_line(number, node) for number, node in enumerate(node_ports))
        path = ground.dir / f"{self.program}-{port}{Path(template[self.program]).suffix}"
        values = {"dir": ground.dir, "admin": ground.port(), "port": port, "answer_s": self.answer_s}
        path.write_text(text.format(balance=self.balance, servers=servers, more=self.more, **values))
        return path

    def server_line(self, number, port):
        if self.program == "plimsoll":
            places = f", {self.server}" if self.server else ""
            return f'      - {{ url: "http://127.0.0.1:{port}"{places} }}'
        if self.program == "haproxy":
            return f"    server n{number} 127.0.0.1:{port} {self.server}"
        return f"        server 127.0.0.1:{port} {self.server};"

    def command(self, ground, config):
        return {
            "plimsoll": [ground.plimsoll, "run", "-c", config],
            "haproxy": ["haproxy", "-db", "-f", config],
            "nginx": ["nginx", "-c", config, "-e", ground.dir / "nginx.log"],
        }[self.program]


def quantile(pairs, share):
    """Of a distribution of loadgen's, `[[nanoseconds, count], …]`, in milliseconds."""
    wanted, seen = share * sum(count for _, count in pairs), 0
    for value, count in pairs:
        seen += count
        if seen >= wanted:
            return value / 1e6
    return 0.0
