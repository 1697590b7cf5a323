"""Charts of the measured fleets as SVG, for docs/scaling.md."""

from balancing.plots import GRID, INK, LINES, frame, text

LEFT, TOP, WIDTH, HEIGHT = 60, 50, 640, 230


def draw(folder, results):
    charts = {"step.svg": chart(results.get("step"), "Nodes while the load grows tenfold and falls again"), "kill.svg": chart(results.get("kill"), "Nodes while one is killed every five seconds")}
    for name, drawn in charts.items():
        if drawn:
            (folder / name).write_text(drawn)


def chart(sample, title):
    """Nodes over time, and answers a second where they are known."""
    if not sample:
        return None
    length, most = max(at for at, _, _ in sample["nodes"]), max(there for _, _, there in sample["nodes"]) + 1
    across = lambda seconds: LEFT + WIDTH * max(seconds, 0) / length
    up = lambda count: TOP + HEIGHT * (1 - count / most)
    parts = []
    for count in range(0, most + 1, 2):
        parts.append(f'<path d="M{LEFT} {up(count):.1f}h{WIDTH}" stroke="{GRID}"/>' + text(LEFT - 8, up(count) + 4, str(count), "end"))
    for seconds in range(0, int(length) + 1, 5):
        parts.append(text(across(seconds), TOP + HEIGHT + 18, f"{seconds} s", "middle"))
    for seconds in sample.get("kills", []):
        parts.append(f'<path d="M{across(seconds):.1f} {TOP}v{HEIGHT}" stroke="{INK}" stroke-dasharray="3 3"/>')
    lines = [("nodes that take requests", [[at, serving] for at, serving, _ in sample["nodes"]]), ("nodes that are there", [[at, there] for at, _, there in sample["nodes"]])]
    if rates := sample.get("per_second"):
        highest = max(rate for _, rate in rates)
        lines.append((f"answers a second, of {highest:,.0f}", [[at + 0.5, rate / highest * 8] for at, rate in rates]))
    for number, (name, points) in enumerate(lines):
        drawn = " ".join(f"{across(at):.1f},{up(value):.1f}" for at, value in points)
        ink, below = LINES[[0, 4, 2][number]], TOP + HEIGHT + 44 + 20 * number
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{ink}" stroke-width="1.8"/>')
        parts.append(f'<path d="M{LEFT} {below - 4}h24" stroke="{ink}" stroke-width="3"/>' + text(LEFT + 32, below, name))
    return frame(title, parts, TOP + HEIGHT + 44 + 20 * len(lines))
