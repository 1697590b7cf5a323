"""What the balancing is held to, and how it follows from the samples."""

from statistics import median


class Figure:
    """The `value` of `scenario`: a function of its samples, taken round by round; the median over the rounds counts. With
    `whole` it is given those of all rounds at once."""

    def __init__(self, scenario, title, value, form, at_most=None, at_least=None, whole=False):
        self.scenario, self.title, self.value, self.form = scenario, title, value, form
        self.at_most, self.at_least, self.whole = at_most, at_least, whole

    def measure(self, samples):
        if self.whole:
            return self.value(samples)
        rounds = sorted({sample["round"] for sample in samples})
        return median(self.value([s for s in samples if s["round"] == number]) for number in rounds)

    def target(self):
        bound = self.at_most if self.at_most is not None else self.at_least
        return ("at most " if self.at_most is not None else "at least ") + self.form.format(bound)

    def reached(self, value):
        return value <= self.at_most if self.at_most is not None else value >= self.at_least


def ours(samples, wanted=""):
    return [sample for sample in samples if sample["balancer"].startswith("plimsoll") and wanted in sample["balancer"]]


def theirs(samples):
    return [sample for sample in samples if not sample["balancer"].startswith("plimsoll")]


def worst(key, wanted=""):
    return lambda samples: max(sample[key] for sample in ours(samples, wanted))


def least(key):
    return lambda samples: min(sample[key] for sample in ours(samples))


def p99_over_best_peer(strategy):
    return lambda samples: ours(samples, strategy)[0]["p99_ms"] / min(sample["p99_ms"] for sample in theirs(samples))


def dearest(samples):
    """Of ten that are measured once, one is always dear by chance: each counts with its median over the rounds."""
    names = {sample["balancer"] for sample in samples} - {"bare"}
    return max(median(sample["ratio"] for sample in samples if sample["balancer"] == name) for name in names)


FIGURES = [
    *(
        Figure(f"slow{nodes}", f"{nodes} nodes, one slow: p99 of {strategy} / best peer's", p99_over_best_peer(strategy), "{:.2f}", at_most=1.0)
        for nodes in [3, 10, 20]
        for strategy in ["peak_ewma", "prequal"]
    ),
    Figure("equal", "equal nodes: least share of fair", least("least"), "{:.1%}", at_least=0.9),
    Figure("failing", "a node that fails fast: its share from 2 s on, the worst of three", worst("share"), "{:.2%}", at_most=0.01),
    Figure("failing", "… back at half of its share by itself, s", worst("recovered_s"), "{:.1f}", at_most=20.0),
    Figure("hanging", "a node that hangs, timeout 1 s: longest answer, ms", worst("longest_ms"), "{:.0f}", at_most=1250),
    Figure("hanging", "… failures", worst("failures"), "{:.0f}", at_most=0),
    Figure("killed", "a node is killed: failures", worst("failures"), "{:.0f}", at_most=0),
    Figure("overload", "3 x capacity: served / peak", least("goodput"), "{:.1%}", at_least=0.9),
    Figure("overload", "… p99 of the served, ms (queue 500 ms + 20 ms + the way)", worst("served_p99_ms"), "{:.0f}", at_most=550),
    Figure("overload", "… refusals within 10 ms", least("refused_fast"), "{:.2%}", at_least=0.99),
    Figure("hash", "one node beside ten: keys that move", worst("moved"), "{:.1%}", at_most=0.12),
    Figure("cost", "everything on, dearest strategy: CPU a request / bare", dearest, "{:.3f}", at_most=1.03, whole=True),
]


def outcomes(results):
    """`(figure, value)` of every figure whose scenario ran."""
    for figure in FIGURES:
        if samples := results.get(figure.scenario):
            yield figure, figure.measure(samples)
