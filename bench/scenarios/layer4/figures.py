"""The figures that the project holds itself to."""

from statistics import median


class Ratio:
    """plimsoll over the best of `peers` in the same round; the median over the rounds."""

    def __init__(self, load, key, title, peers, at_most=None, at_least=None):
        self.load, self.key, self.title, self.peers = load, key, title, peers
        self.at_most, self.at_least = at_most, at_least

    def measure(self, samples):
        better = min if self.at_most is not None else max
        ratios = []
        for number in sorted({sample["round"] for sample in samples}):
            values = {s["proxy"]: s[self.key] for s in samples if s["round"] == number}
            peers = [values[peer] for peer in self.peers if peer in values]
            if "plimsoll" in values and peers:
                ratios.append(values["plimsoll"] / better(peers))
        return median(ratios) if ratios else None

    def target(self):
        return f"at most {self.at_most}" if self.at_most is not None else f"at least {self.at_least}"

    def reached(self, value):
        return value <= self.at_most if self.at_most is not None else value >= self.at_least


class Own:
    """A value of plimsoll's; the worst over the rounds."""

    def __init__(self, load, key, title, at_most):
        self.load, self.key, self.title, self.at_most = load, key, title, at_most

    def measure(self, samples):
        return max((s[self.key] for s in samples if s["proxy"] == "plimsoll"), default=None)

    def target(self):
        return f"at most {self.at_most}"

    def reached(self, value):
        return value <= self.at_most


BOTH = ("haproxy", "nginx")
FIGURES = [
    Ratio("bulk", "per_second", "bulk: throughput / better peer", BOTH, at_least=1.3),
    Ratio("bulk", "per_second", "bulk: throughput / direct", ("direct",), at_least=0.6),
    Ratio("messages", "cpu_ns_each", "64 bytes: CPU a round trip / better peer", BOTH, at_most=0.75),
    Ratio("connections", "per_second", "new connections a second / better peer", BOTH, at_least=1.0),
    Ratio("datagrams", "per_second", "datagrams a second / nginx", ("nginx",), at_least=1.5),
    Ratio("bursts", "per_second", "datagrams a second in bursts / nginx", ("nginx",), at_least=1.5),
    Own("idle", "bytes_each", "an idle connection, bytes", 3 * 1024),
    Own("idle", "kernel_workers", "kernel worker threads", 0),
]


def outcomes(results):
    for figure in FIGURES:
        value = figure.measure(results.get(figure.load, []))
        if value is not None:
            yield figure, value
