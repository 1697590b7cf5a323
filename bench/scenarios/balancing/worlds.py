"""The scenarios: what the nodes are like, what is done to them meanwhile, and what is kept of it."""

import http.client
import time

from .lane import Balancer, Lane, Node, quantile

PLACES = 4
HEALTH = "    health: { path: /healthz, interval: 500ms }"
CONNECTIONS = 256
# The percentiles that are kept of a distribution.
CURVE = [*(percent / 100 for percent in range(5, 100, 5)), 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 1.0]


class Slow:
    """`nodes` nodes at 70 % load by Poisson arrivals, one of them five times slower; service times are exponential."""

    LOAD = 0.7
    SLOWER = 5

    def __init__(self, nodes, service_ms):
        self.name = f"slow{nodes}"
        self.title = f"{nodes} nodes, one of them {self.SLOWER} times slower, {self.LOAD:.0%} load"
        self.nodes, self.service_ms = nodes, service_ms
        self.columns = [("p50 ms", "p50_ms", "{:.1f}"), ("p90 ms", "p90_ms", "{:.1f}"), ("p99 ms", "p99_ms", "{:.1f}"),
                        ("p99.9 ms", "p999_ms", "{:.0f}"), ("slow node's share", "slow_share", "{:.2%}"),
                        ("failures", "failures", "{}")]

    def balancers(self):
        ours = [Balancer("plimsoll", strategy) for strategy in ["least_connections", "two_choices", "peak_ewma", "prequal"]]
        return ours + peers()

    def run(self, ground, seed, seconds):
        rate = self.LOAD * PLACES * 1000 / self.service_ms * (self.nodes - 1 + 1 / self.SLOWER)
        lanes = []
        for balancer in self.balancers():
            delays = [self.service_ms * self.SLOWER] + [self.service_ms] * (self.nodes - 1)
            nodes = [Node(ground, f"n{at}", PLACES, f"exp:{delay}ms", seed * 100 + at) for at, delay in enumerate(delays)]
            lanes.append(Lane(ground, balancer, nodes))
        for lane, seen in together(lanes, seconds, rate, seed, "--warmup", "4s"):
            yield {
                "balancer": lane.name,
                "offered_per_second": rate,
                **latencies(seen),
                "slow_share": seen["nodes"].get("n0", 0) / max(1, seen["totals"]["completed"]),
                "failures": failures(seen),
                "curve_ms": [[share, quantile(seen["response"], share)] for share in CURVE],
                "client_lag_p99_ms": seen["client"]["lag_p99_ns"] / 1e6,
            }


class Equal:
    """Ten equal nodes at 70 % load: does each get its share?"""

    name = "equal"
    title = "ten equal nodes, 70 % load"
    columns = [("least share of fair", "least", "{:.1%}"), ("most share of fair", "most", "{:.1%}"), ("p99 ms", "p99_ms", "{:.1f}")]
    NODES, SERVICE_MS = 10, 40

    def run(self, ground, seed, seconds):
        rate = 0.7 * self.NODES * PLACES * 1000 / self.SERVICE_MS
        balancers = [Balancer("plimsoll", "least_connections"), Balancer("haproxy", "leastconn"), Balancer("nginx", "least_conn")]
        lanes = [Lane(ground, balancer, alike(ground, self.NODES, f"exp:{self.SERVICE_MS}ms", seed)) for balancer in balancers]
        for lane, seen in together(lanes, seconds, rate, seed, "--warmup", "2s"):
            shares = [seen["nodes"].get(node.name, 0) * self.NODES / sum(seen["nodes"].values()) for node in lane.nodes]
            yield {"balancer": lane.name, "least": min(shares), "most": max(shares), **latencies(seen)}


class Failing:
    """One of four nodes answers 500 in no time for eight seconds, and is well again then."""

    name = "failing"
    title = "one of four nodes fails fast with 500s for eight seconds"
    columns = [("its share from 2 s on", "share", "{:.2%}"), ("500s that clients saw", "seen_500", "{}"),
               ("back at half its share after s", "recovered_s", "{:.1f}")]
    RATE, SERVICE_MS = 400, 10
    FAILS_S, HEALS_S, END_S = 3.0, 11.0, 36.0
    STEP_S = 0.5

    def run(self, ground, seed, seconds):
        outlier = "    outlier: { ejection: 5s }"
        balancers = [
            Balancer("plimsoll", "peak_ewma"),
            Balancer("plimsoll", "prequal"),
            Balancer("plimsoll", "least_connections", more=f"{outlier}\n{HEALTH}", note="outlier"),
            Balancer("haproxy", "leastconn", "check inter 500ms observe layer7 error-limit 5 on-error mark-down",
                     "    option httpchk GET /healthz", note="observe layer7"),
            Balancer("nginx", "least_conn", "max_fails=5 fail_timeout=5s",
                     "            proxy_next_upstream error timeout http_500;", note="max_fails"),
        ]
        lanes = [Lane(ground, balancer, alike(ground, 4, f"exp:{self.SERVICE_MS}ms", seed)) for balancer in balancers]
        begin(lanes, self.END_S, self.RATE, seed)
        began = time.monotonic()
        counts = []
        for step in range(int(self.END_S / self.STEP_S)):
            at = step * self.STEP_S
            wait_until(began + at)
            if at in (self.FAILS_S, self.HEALS_S):
                delay = "status=500&delay=0" if at == self.FAILS_S else f"status=200&delay=exp:{self.SERVICE_MS}ms"
                for lane in lanes:
                    lane.nodes[0].behave(delay)
            counts.append([[node.requests() for node in lane.nodes] for lane in lanes])
        for number, lane in enumerate(lanes):
            seen = lane.finish()
            shares = [share_of_first(before[number], after[number]) for before, after in zip(counts, counts[1:])]
            at = lambda seconds: int(seconds / self.STEP_S)
            yield {
                "balancer": lane.name,
                "share": share_of_first(counts[at(self.FAILS_S + 2)][number], counts[at(self.HEALS_S)][number]),
                "seen_500": seen["statuses"].get("500", 0),
                "recovered_s": recovery(shares, at(self.HEALS_S)) * self.STEP_S,
                "shares": shares,
                "step_s": self.STEP_S,
                "failed_at_s": self.FAILS_S,
                "healed_at_s": self.HEALS_S,
            }


class Hanging:
    """One of four nodes stops answering. A timeout of one second, requests that may be repeated."""

    name = "hanging"
    title = "one of four nodes hangs, timeout 1 s"
    columns = [("longest ms", "longest_ms", "{:.0f}"), ("took over 0.9 s", "waited", "{}"), ("failures", "failures", "{}"), ("requests", "requests", "{}")]
    RATE = 300

    def run(self, ground, seed, seconds):
        retry = "    retry: { attempts: 3, on: [connect, reset, 504] }\n    outlier: { consecutive_failures: 3 }"
        balancers = [
            Balancer("plimsoll", "least_connections", more=retry, note="retry and outlier", answer_s=1),
            Balancer("plimsoll", "peak_ewma", more=retry, note="retry and outlier", answer_s=1),
            Balancer("haproxy", "leastconn", "check inter 500ms observe layer7 error-limit 3 on-error mark-down",
                     "    retry-on conn-failure empty-response response-timeout", note="retry and observe", answer_s=1),
            Balancer("nginx", "least_conn", "max_fails=3 fail_timeout=30s", note="max_fails", answer_s=1),
        ]
        lanes = [Lane(ground, balancer, alike(ground, 4, "exp:10ms", seed)) for balancer in balancers]
        begin(lanes, 10, self.RATE, seed)
        time.sleep(3)
        for lane in lanes:
            lane.nodes[0].behave("delay=60s")
        for lane in lanes:
            seen = lane.finish()
            yield {
                "balancer": lane.name,
                "longest_ms": quantile(seen["response"], 1),
                "waited": sum(count for value, count in seen["response"] if value > 0.9e9),
                "failures": failures(seen),
                "requests": seen["totals"]["scheduled"],
            }


class Killed:
    """One of four nodes is killed under load, and stays dead."""

    name = "killed"
    title = "one of four nodes is killed under load"
    columns = [("failures", "failures", "{}"), ("requests", "requests", "{}"), ("longest ms", "longest_ms", "{:.0f}")]
    RATE = 400

    def run(self, ground, seed, seconds):
        ours = "    retry: { on: [connect, reset] }\n    outlier: {}"
        balancers = [
            Balancer("plimsoll", "least_connections", more=ours, note="connect and reset"),
            Balancer("plimsoll", "peak_ewma", more=ours, note="connect and reset"),
            Balancer("haproxy", "leastconn", "check inter 500ms", "    retry-on conn-failure empty-response", note="retry-on"),
            Balancer("nginx", "least_conn", note="next_upstream"),
        ]
        lanes = [Lane(ground, balancer, alike(ground, 4, "exp:10ms", seed)) for balancer in balancers]
        begin(lanes, 8, self.RATE, seed)
        time.sleep(3)
        for lane in lanes:
            lane.nodes[0].kill()
        for lane in lanes:
            seen = lane.finish()
            yield {"balancer": lane.name, "failures": failures(seen), "requests": seen["totals"]["scheduled"],
                   "longest_ms": quantile(seen["response"], 1), "errors": seen["errors"]}


class Overload:
    """Three times what three nodes can serve, for eight seconds. Each serves four requests at once, 20 ms each."""

    name = "overload"
    title = "three times the capacity"
    columns = [("peak/s", "peak", "{:.0f}"), ("offered/s", "offered", "{:.0f}"), ("served/s", "served", "{:.0f}"),
               ("of the peak", "goodput", "{:.1%}"), ("p99 of the served ms", "served_p99_ms", "{:.0f}"),
               ("refused within 10 ms", "refused_fast", "{:.2%}"), ("no answer", "lost", "{}")]
    NODES, SERVICE_MS, QUEUE_MS, SECONDS = 3, 20, 500, 8

    def run(self, ground, seed, seconds):
        balancers = [
            Balancer("plimsoll", "least_connections", f"max_connections: {PLACES}",
                     f"    queue: {{ max: 1000, timeout: {self.QUEUE_MS}ms }}", note="queue"),
            Balancer("haproxy", "leastconn", f"maxconn {PLACES}", note="maxconn, timeout queue"),
            Balancer("nginx", "least_conn", f"max_conns={PLACES}", note="max_conns, no queue"),
        ]
        lanes = [Lane(ground, balancer, alike(ground, self.NODES, f"{self.SERVICE_MS}ms", seed)) for balancer in balancers]
        ready(lanes)
        for lane in lanes:
            # As many clients as keep every place taken: nobody waits for long, nobody is refused but by who has no queue.
            lane.load("-c", self.NODES * PLACES * 3 // 2, "-d", "3s", "--warmup", "1s")
        peaks = [per_second(lane.finish(), 200) for lane in lanes]
        capacity = self.NODES * PLACES * 1000 / self.SERVICE_MS
        begin(lanes, self.SECONDS, 3 * capacity, seed, "-c", 1500)
        for lane, peak in zip(lanes, peaks):
            yield self.sample(lane, peak, lane.finish())

    def sample(self, lane, peak, seen):
        response = seen["response"]
        # Nothing is served in less than the nodes take, so what is faster was refused.
        fast = sum(count for value, count in response if value <= 10e6)
        slow = [pair for pair in response if pair[0] > 10e6]
        served = seen["statuses"].get("200", 0)
        refused = seen["totals"]["completed"] - served
        return {
            "balancer": lane.name,
            "peak": peak,
            "offered": seen["totals"]["scheduled"] * 1000 / seen["elapsed_ms"],
            "served": per_second(seen, 200),
            "goodput": per_second(seen, 200) / max(1, peak),
            # Refusals that took longer than 10 ms are among these: an upper bound where there are any.
            "served_p99_ms": quantile(slow, 0.99),
            "refused_fast": min(fast, refused) / refused if refused else 1.0,
            "lost": seen["totals"]["failed"] + seen["totals"]["dropped"],
            "statuses": seen["statuses"],
        }


class Hash:
    """The same keys before ten nodes and before eleven: how many move?"""

    name = "hash"
    title = "a consistent hash, ten nodes and one more"
    columns = [("keys that moved", "moved", "{:.1%}"), ("keys", "keys", "{}"), ("most on one node / fair", "most", "{:.2f}")]
    KEYS = 2000

    def run(self, ground, seed, seconds):
        balancers = [
            Balancer("plimsoll", "consistent_hash", more="    hash_key: path"),
            Balancer("haproxy", "uri", more="    hash-type consistent"),
            Balancer("nginx", "hash $uri consistent"),
        ]
        nodes = [Node(ground, f"n{at}", None, "0", at) for at in range(11)]
        for balancer in balancers:
            lanes = [Lane(ground, balancer, nodes[:10]), Lane(ground, balancer, nodes)]
            ready(lanes)
            before, after = (homes(lane.port, self.KEYS) for lane in lanes)
            fullest = max(before.count(node.name) for node in nodes)
            yield {
                "balancer": balancer.name,
                "moved": sum(a != b for a, b in zip(before, after)) / self.KEYS,
                "keys": self.KEYS,
                "most": fullest * 10 / self.KEYS,
            }


WORLDS = [Slow(3, 10), Slow(10, 40), Slow(20, 80), Equal(), Failing(), Hanging(), Killed(), Overload(), Hash()]


def peers():
    return [
        Balancer("haproxy", "leastconn"),
        Balancer("haproxy", "random(2)"),
        Balancer("nginx", "least_conn"),
        Balancer("nginx", "random two least_conn"),
    ]


def alike(ground, number, delay, seed):
    return [Node(ground, f"n{at}", PLACES, delay, seed * 100 + at) for at in range(number)]


def ready(lanes):
    for lane in lanes:
        lane.await_answer()


def begin(lanes, seconds, rate, seed, *more):
    """An open loop on every lane, the same schedule for all of them."""
    ready(lanes)
    connections = () if "-c" in more else ("-c", CONNECTIONS)
    for lane in lanes:
        lane.load("--rate", f"{rate:.0f}", "-d", f"{seconds}s", "--arrivals", "poisson", "--seed", seed, *connections, *more)


def together(lanes, seconds, rate, seed, *more):
    begin(lanes, seconds, rate, seed, *more)
    return [(lane, lane.finish(seconds + 60)) for lane in lanes]


def latencies(seen):
    names = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "p999_ms": 0.999}
    return {name: quantile(seen["response"], share) for name, share in names.items()}


def failures(seen):
    totals = seen["totals"]
    return totals["failed"] + totals["bad_status"] + totals["dropped"]


def per_second(seen, status):
    return seen["statuses"].get(str(status), 0) * 1000 / seen["elapsed_ms"]


def wait_until(moment):
    time.sleep(max(0, moment - time.monotonic()))


def share_of_first(before, after):
    """The first node's share of what all got between two looks."""
    grown = [late - early for early, late in zip(before, after)]
    return grown[0] / max(1, sum(grown))


def recovery(shares, healed):
    """Steps after `healed` until the node has half of its fair share over three steps in a row; all if it never has."""
    for at in range(healed, len(shares) - 2):
        if sum(shares[at : at + 3]) / 3 >= 0.5 / 4:
            return at - healed
    return len(shares) - healed


def homes(port, keys):
    """The node that serves each key."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    found = []
    for key in range(keys):
        connection.request("GET", f"/item/{key}")
        answer = connection.getresponse()
        answer.read()
        found.append(answer.getheader("x-node"))
    connection.close()
    return found
