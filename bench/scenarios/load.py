"""Load by wrk: requests and latency from wrk, CPU time from the proxy's process tree, over the same run."""

import json
import os
import subprocess

from process_tree import ProcessTree, machine_busy_ns
from rig import BARE, HERE, KIB, MIB

CONNECTIONS = 64


class LoadScenario:
    """wrk against one path of each proxy but those of `without`. `tuning` holds what makes a peer its best at this size, by peer."""

    def __init__(self, name, path, body_bytes, connections=CONNECTIONS, close=False, tuning=None, without=()):
        self.name = name
        self.path = path
        self.body_bytes = body_bytes
        self.connections = connections
        self.close = close
        self.tuning = tuning or {}
        self.without = without

    def run(self, rig, proxy, seconds):
        # Pools, caches and the peers' own tables fill before anything is counted.
        self.wrk(rig, proxy, 1)
        cpu, busy, nodes, me = proxy.tree.cpu_ns(), machine_busy_ns(), nodes_cpu(rig), own_cpu_ns()
        report = self.wrk(rig, proxy, seconds)
        cpu = proxy.tree.cpu_ns() - cpu
        nodes, client = nodes_cpu(rig) - nodes, own_cpu_ns() - me
        mine = cpu + nodes + client
        others = max(0, machine_busy_ns() - busy - mine)
        requests = max(1, report["requests"])
        elapsed = report["duration_us"] / 1e6
        return {
            "cpu_us_per_request": cpu / requests / 1000,
            "cpu_ns_per_byte": cpu / requests / self.body_bytes,
            "requests_per_second": report["requests"] / elapsed,
            "proxy_core_share": cpu / 1e9 / elapsed,
            "client_core_share": (nodes + client) / 1e9 / elapsed,
            "nodes_us_per_request": nodes / requests / 1000,
            "client_us_per_request": client / requests / 1000,
            "p50_us": report["p50_us"],
            "p99_us": report["p99_us"],
            "errors": sum(value for name, value in report.items() if name.endswith("errors")) + report["timeouts"],
            # CPU time that programs outside the rig took meanwhile, as a share of the whole machine.
            "others_share": others / 1e9 / elapsed / os.cpu_count(),
            "wrk": report,
        }

    def wrk(self, rig, proxy, seconds):
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "--timeout", "10s"]
        command += ["-s", str(HERE / "wrk_report.lua")]
        if self.close:
            command += ["-H", "Connection: close"]
        command.append(proxy.url(self.path))
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {rig.client_core}),
        )
        line = next(line for line in done.stdout.splitlines() if line.startswith("REPORT "))
        return json.loads(line.removeprefix("REPORT "))


def nodes_cpu(rig):
    return sum(ProcessTree(node.pid).cpu_ns() for node in rig.nodes)


def own_cpu_ns():
    """This program and the clients that it has waited for."""
    times = os.times()
    return int((times.user + times.system + times.children_user + times.children_system) * 1e9)


# HAProxy has one buffer size a process, so it gets another process for each size; nginx has one a location.
# How these were found: docs/benchmarking.md.
WHOLE_16K = {"haproxy": {"haproxy_global": "tune.bufsize 32768"}}
SPLICED = {
    "haproxy": {
        "haproxy_global": "maxpipes 100\n    tune.pipesize 524288",
        "haproxy_defaults": "option splice-response",
    }
}

SCENARIOS = [
    LoadScenario("small", "/api/small", 128),
    LoadScenario("16k", "/api/16k", 16 * KIB, tuning=WHOLE_16K, without=(BARE,)),
    LoadScenario("1m", "/api/1m", MIB, connections=16, tuning=SPLICED, without=(BARE,)),
    LoadScenario("close", "/api/small", 128, close=True),
]
