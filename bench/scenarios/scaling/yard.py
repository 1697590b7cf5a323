"""A balancer whose nodes are containers of the engine in DOCKER_HOST; all of them go with it."""

import json
import os
import subprocess
import threading
import time
import urllib.request

from balancing.lane import LOADGEN
from rig import HERE


class Yard:
    """`with Yard(ground, delay, scale) as yard`: `scale` is what stands behind `scale:`."""

    def __init__(self, ground, delay, scale, reach="loopback"):
        self.ground = ground
        self.port, self.admin = ground.port(), ground.port()
        self.config = ground.dir / f"fleet-{self.port}.yaml"
        text = (HERE / "configs/fleet.yaml").read_text()
        self.config.write_text(text.format(port=self.port, admin=self.admin, delay=delay, scale=scale, reach=reach))
        self.log = open(f"{self.config}.log", "wb")
        self.process = None

    def __enter__(self):
        command = [self.ground.plimsoll, "run", "-c", self.config]
        self.process = self.ground.start(command, stdout=self.log, stderr=self.log)
        return self

    def __exit__(self, *_):
        # At once: while it drains it would still start others.
        self.process.kill()
        self.process.wait()
        if left := self.containers():
            docker("rm", "--force", *left)

    def is_understood(self):
        """Whether the balancer takes this configuration at all."""
        check = [self.ground.plimsoll, "check", "-c", self.config]
        done = subprocess.run(check, capture_output=True, text=True, check=False)
        return done.returncode == 0 and "would refuse" not in done.stdout + done.stderr

    def containers(self):
        return docker("ps", "--all", "--quiet", "--filter", "label=plimsoll.backend=node").split()

    def ask(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as answer:
            return json.load(answer)

    def nodes(self):
        """How many nodes are in each state."""
        states = [node["state"] for node in self.ask("/api/v1/nodes")]
        return {state: states.count(state) for state in set(states)}

    def await_serving(self, count, seconds=30):
        deadline = time.monotonic() + seconds
        while True:
            try:
                if (now := self.nodes().get("serving", 0)) == count:
                    return
            except OSError:
                now = None
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = open(self.log.name, errors="replace").read()
                raise SystemExit(f"{count} nodes never served, but {now}; the balancer said:\n{said}")
            time.sleep(0.05)

    def load(self, name, scheme, *arguments):
        """Begins a load; `finish` gives its result."""
        report = self.ground.dir / f"{name}.json"
        command = [LOADGEN, f"{scheme}://127.0.0.1:{self.port}/", "-t", 1, "--quiet", "--json", report, *arguments]
        return self.ground.start(command), report


def finish(load, seconds=90):
    process, report = load
    process.wait(seconds)
    if not report.exists():
        raise SystemExit(f"the load did not run: {process.args}")
    return json.loads(report.read_text())


class Watch(threading.Thread):
    """Looks at the nodes five times a second until it is stopped."""

    def __init__(self, yard):
        super().__init__(daemon=True)
        self.yard, self.seen, self.over = yard, [], threading.Event()

    def run(self):
        while not self.over.wait(0.2):
            states = self.yard.nodes()
            self.seen.append([time.time(), states.get("serving", 0), sum(states.values())])

    def stop(self):
        self.over.set()
        self.join()
        return self.seen


def docker(*arguments):
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        raise SystemExit(f"docker {' '.join(arguments)}: {done.stderr}")
    return done.stdout
