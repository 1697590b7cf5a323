"""What a strategy and all protections cost: the CPU a request of `core`'s small scenario, against the same without any.

Instructions would move less than times; but what is dear here, a cache line that another core wrote, is no instruction.
"""

import load
import rig as rigs

STRATEGIES = ["round_robin", "least_connections", "two_choices", "random", "peak_ewma", "prequal", "compute", "ip_hash", "consistent_hash", "first"]
BARE = {"strategy": "round_robin", "route": "", "backend": "", "places": 0}
ROUTE = "    rate_limit: { requests: 10000000, per: 1s, burst: 10000000, key: client_ip }\n    max_in_flight: 5000"
BACKEND = """    health: { path: /healthz, interval: 500ms }
    outlier: {}
    slow_start: 1s
    retry: {}
    queue: {}"""
# A shorter load on a machine that is not still says nothing.
SECONDS = 2


class Cost:
    name = "cost"
    title = "CPU a request with everything switched on (128 bytes, one worker)"
    columns = [("CPU us/request", "cpu_us", "{:.2f}"), ("of the bare one", "ratio", "{:.3f}")]

    def run(self, plimsoll, cores):
        """One round: the bare one first and last, and between them every strategy with all that there is."""
        with rigs.Rig(*cores, {}) as rig:
            proxies = []
            try:
                for name, values in variants():
                    proxies.append((name, start(rig, plimsoll, name, values)))
                samples = [(name, load.LoadScenario("small", "/api/small", 128).run(rig, proxy, SECONDS)) for name, proxy in proxies]
            finally:
                for _, proxy in proxies:
                    proxy.__exit__()
        bare = [sample["cpu_us_per_request"] for name, sample in samples if name == "bare"]
        for name, sample in samples:
            cpu = sample["cpu_us_per_request"]
            yield {"balancer": name, "cpu_us": cpu, "ratio": cpu / (sum(bare) / len(bare)), "others_share": sample["others_share"],
                   "errors": sample["errors"], "requests_per_second": sample["requests_per_second"]}


def variants():
    full = [(f"{name}, all on", {"strategy": name, "route": ROUTE, "backend": BACKEND, "places": 5000}) for name in STRATEGIES]
    return [("bare", BARE), *full, ("bare", BARE)]


def start(rig, plimsoll, name, values):
    def command(rig, given):
        own = {**given, **values, "label": f"-{given['port']}", "admin": rigs.free_port()}
        return [plimsoll, "run", "-c", rig.configure("balance-cost.yaml", **own)]

    return rigs.Proxy(rig, name, command)
