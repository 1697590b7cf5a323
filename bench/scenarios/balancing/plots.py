"""Charts of the measured runs as SVG, for docs/balancing.md: no library draws three charts in less than this."""

from html import escape
from statistics import median

INK, GRID, OURS, THEIRS = "#24292f", "#d0d7de", "#0b7285", "#adb5bd"
LINES = ["#0b7285", "#c2255c", "#e67700", "#495057", "#adb5bd"]
WIDTH = 760
# Where the names of balancers end, and how long the longest bar is.
LABEL, BAR = 300, 370


def draw(folder, results):
    """Writes the charts whose scenarios ran, and gives their names."""
    charts = {"slow-node.svg": slow_node(results), "failing-node.svg": failing_node(results), "overload.svg": overload(results)}
    drawn = {name: chart for name, chart in charts.items() if chart}
    for name, chart in drawn.items():
        (folder / name).write_text(chart)
    return list(drawn)


def slow_node(results):
    """p99 of every balancer, one group of bars for each number of nodes."""
    groups = [(name, means(results[name], "p99_ms")) for name in ["slow3", "slow10", "slow20"] if name in results]
    parts, top = [], 46
    for name, bars in groups:
        parts.append(text(16, top, f"{name.removeprefix('slow')} nodes", bold=True))
        scale = BAR / max(bars.values())
        for balancer, value in bars.items():
            top += 22
            parts.append(bar(top, balancer, value * scale, f"{value:.0f} ms", balancer.startswith("plimsoll")))
        top += 36
    return frame("p99 of the response time: one node is five times slower, 70 % load", parts, top - 14) if groups else None


def overload(results):
    samples = results.get("overload")
    if not samples:
        return None
    parts, top = [], 46
    for key, title, form in [("goodput", "served, of the peak", "{:.0%}"), ("served_p99_ms", "p99 of the served", "{:.0f} ms")]:
        parts.append(text(16, top, title, bold=True))
        bars = means(samples, key)
        scale = BAR / max(bars.values())
        for balancer, value in bars.items():
            top += 22
            parts.append(bar(top, balancer, value * scale, form.format(value), balancer.startswith("plimsoll")))
        top += 36
    return frame("Three times the capacity", parts, top - 14)


def failing_node(results):
    """The share of the node that fails, over time."""
    samples = [sample for sample in results.get("failing", []) if sample["round"] == 0]
    if not samples:
        return None
    left, top, width, height = 60, 50, 660, 230
    length = len(samples[0]["shares"]) * samples[0]["step_s"]
    across = lambda seconds: left + width * seconds / length
    highest = 0.5 if all(share <= 0.5 for sample in samples for share in sample["shares"]) else 1.0
    up = lambda share: top + height * (1 - share / highest)
    parts = []
    for share in (highest * part / 5 for part in range(6)):
        parts.append(f'<path d="M{left} {up(share):.1f}h{width}" stroke="{GRID}"/>' + text(left - 8, up(share) + 4, f"{share:.0%}", "end"))
    for seconds, word in [(samples[0]["failed_at_s"], "fails"), (samples[0]["healed_at_s"], "is well")]:
        parts.append(f'<path d="M{across(seconds):.1f} {top}v{height}" stroke="{INK}" stroke-dasharray="3 3"/>')
        parts.append(text(across(seconds) + 4, top + 12, word))
    for seconds in range(0, int(length) + 1, 5):
        parts.append(text(across(seconds), top + height + 18, f"{seconds} s", "middle"))
    for number, sample in enumerate(samples):
        points = " ".join(f"{across((at + 0.5) * sample['step_s']):.1f},{up(share):.1f}" for at, share in enumerate(sample["shares"]))
        ink = LINES[number % len(LINES)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{ink}" stroke-width="1.8"/>')
        below = top + height + 44 + 20 * number
        parts.append(f'<path d="M{left} {below - 4}h24" stroke="{ink}" stroke-width="3"/>' + text(left + 32, below, sample["balancer"]))
    return frame("Share of a node that fails fast with 500s, one of four", parts, top + height + 44 + 20 * len(samples))


def means(samples, key):
    """The median over the rounds for each balancer, in the order of the run."""
    names = dict.fromkeys(sample["balancer"] for sample in samples)
    return {name: median(s[key] for s in samples if s["balancer"] == name) for name in names}


def bar(top, label, length, value, mine):
    ink = OURS if mine else THEIRS
    return (
        text(LABEL, top, label, "end")
        + f'<rect x="{LABEL + 10}" y="{top - 12}" width="{max(length, 1):.1f}" height="15" rx="2" fill="{ink}"/>'
        + text(LABEL + 18 + length, top, value)
    )


def text(left, top, words, anchor="start", bold=False):
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{left:.1f}" y="{top:.1f}" text-anchor="{anchor}" fill="{INK}"{weight}>{escape(words)}</text>'


def frame(title, parts, height):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13">'
    body = "\n".join([f"<title>{escape(title)}</title>", f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>', text(16, 22, title, bold=True), *parts])
    return f"{head}\n{body}\n</svg>\n"
