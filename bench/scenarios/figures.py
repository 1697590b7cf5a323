"""The figures that the project holds itself to, and how they follow from the samples."""

from statistics import median

PEERS = ["nginx", "haproxy"]
MIB = 1024 * 1024


class Ratio:
    """plimsoll over the best of `peers` in the same round; the median over the rounds."""

    subject = "plimsoll"

    def __init__(self, scenario, key, title, at_most=None, at_least=None, peers=PEERS):
        self.scenario, self.key, self.title, self.peers = scenario, key, title, peers
        self.at_most, self.at_least = at_most, at_least

    def measure(self, samples):
        better = min if self.at_most is not None else max
        ratios = []
        for round_number in sorted({sample["round"] for sample in samples}):
            values = {s["proxy"]: s[self.key] for s in samples if s["round"] == round_number}
            peers = [values[peer] for peer in self.peers if peer in values]
            if self.subject in values and peers:
                ratios.append(values[self.subject] / better(peers))
        return median(ratios) if ratios else None

    def target(self):
        return f"at most {self.at_most}" if self.at_most is not None else f"at least {self.at_least}"

    def reached(self, value):
        return value <= self.at_most if self.at_most is not None else value >= self.at_least

    def show(self, value):
        return f"{value:.2f}"


class Floor(Ratio):
    """The bare relay over the best of the peers: what the kernel alone takes. Nothing is asked of it."""

    subject = "bare"

    def __init__(self, scenario, key, title):
        super().__init__(scenario, key, title, at_most=float("inf"))

    def target(self):
        return "the floor"


class Own:
    """A value of plimsoll itself; the worst over the rounds."""

    def __init__(self, scenario, key, title, at_most, unit="", scale=1):
        self.scenario, self.key, self.title = scenario, key, title
        self.at_most, self.unit, self.scale = at_most, unit, scale

    def measure(self, samples):
        values = [sample[self.key] / self.scale for sample in samples if sample["proxy"] == "plimsoll"]
        return max(values) if values else None

    def target(self):
        return f"at most {self.at_most} {self.unit}".rstrip()

    def reached(self, value):
        return value <= self.at_most

    def show(self, value):
        return f"{value:.2f} {self.unit}" if self.unit != "B" else f"{value:.0f} B"


class Whole:
    """Nothing is lost: the key equals the number of connections, or is true."""

    def __init__(self, scenario, key, title):
        self.scenario, self.key, self.title = scenario, key, title

    def measure(self, samples):
        mine = [sample for sample in samples if sample["proxy"] == "plimsoll"]
        return min((s[self.key] / s.get("connections", 1) for s in mine), default=None)

    def target(self):
        return "all"

    def reached(self, value):
        return value == 1

    def show(self, value):
        return "all" if value == 1 else f"{value:.1%}"


FIGURES = [
    Ratio("small", "cpu_us_per_request", "128 B: CPU a request / better peer", at_most=0.75),
    Floor("small", "cpu_us_per_request", "128 B: CPU of a bare relay / better peer"),
    Ratio("small", "requests_per_second", "128 B: throughput / better peer", at_least=1.25),
    Ratio("16k", "cpu_ns_per_byte", "16 KiB: CPU a byte / better peer", at_most=1.0),
    Ratio("1m", "cpu_ns_per_byte", "1 MiB: CPU a byte / better peer", at_most=1.0),
    Ratio("close", "requests_per_second", "a connection a request: throughput / better peer", at_least=1.0),
    Ratio("close", "cpu_us_per_request", "a connection a request: CPU / better peer", at_most=1.0),
    Floor("close", "cpu_us_per_request", "a connection a request: CPU of a bare relay / better peer"),
    Own("idle", "bytes_per_connection", "an idle connection", 600, "B"),
    Whole("idle", "answered_after_idle", "idle connections that answer again"),
    Own("idle", "after_to_before", "memory after the idle ones close / before", 1.1, "x"),
    Own("half", "bytes_per_connection", "a head half sent", 5 * 1024, "B"),
    Whole("half", "answered", "half-sent heads that are answered when finished"),
    Own("half", "after_to_before", "memory after the half-sent ones close / before", 1.1, "x"),
    Own("upload", "growth_bytes", "growth over an upload of 2 GiB", 16, "MiB", MIB),
    Whole("upload", "complete", "the upload arrives whole"),
    Own("download", "growth_bytes", "growth over a download of 2 GiB", 16, "MiB", MIB),
    Whole("download", "complete", "the download arrives whole"),
]


def outcomes(results, figures=tuple(FIGURES)):
    """`(figure, value)` of every figure whose scenario ran; `results` maps scenarios to samples."""
    for figure in figures:
        samples = results.get(figure.scenario, [])
        value = figure.measure(samples)
        if value is not None:
            yield figure, value
