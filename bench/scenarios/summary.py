"""Tables for people, out of the samples."""

from statistics import median

from conditions import remarks
from figures import MIB, outcomes

LOAD_COLUMNS = [
    ("CPU us/request", "cpu_us_per_request", "{:.1f}"),
    ("CPU ns/byte", "cpu_ns_per_byte", "{:.3f}"),
    ("requests/s", "requests_per_second", "{:,.0f}"),
    ("p50 us", "p50_us", "{:,.0f}"),
    ("p99 us", "p99_us", "{:,.0f}"),
    ("its core", "proxy_core_share", "{:.0%}"),
    ("other core", "client_core_share", "{:.0%}"),
    ("errors", "errors", "{:.0f}"),
]
CONNECTION_COLUMNS = [
    ("bytes each", "bytes_per_connection", "{:,.0f}"),
    ("before MiB", "rss_before", "mib"),
    ("held MiB", "rss_held", "mib"),
    ("after MiB", "rss_after", "mib"),
    ("answered", "answered", "{:,.0f}"),
    ("answered again", "answered_after_idle", "{:,.0f}"),
]
BULK_COLUMNS = [
    ("growth MiB", "growth_bytes", "mib"),
    ("before MiB", "rss_before", "mib"),
    ("MiB/s", "mib_per_second", "{:,.0f}"),
    ("whole", "complete", "{}"),
]


def report(results):
    """All tables as Markdown that also reads well in a terminal."""
    parts = []
    for scenario, samples in results.items():
        parts += [f"## {scenario}", "", *scenario_table(samples), ""]
    parts += ["## Figures", "", *figure_table(results), ""]
    parts += warnings(results)
    return "\n".join(parts)


def scenario_table(samples):
    columns = next(c for c in (LOAD_COLUMNS, CONNECTION_COLUMNS, BULK_COLUMNS) if c[0][1] in samples[0])
    columns = [column for column in columns if column[1] in samples[0]]
    rows = []
    for proxy in dict.fromkeys(sample["proxy"] for sample in samples):
        mine = [sample for sample in samples if sample["proxy"] == proxy]
        cells = [cell(form, median(sample[key] for sample in mine)) for _, key, form in columns]
        rows.append([proxy, *cells])
    return table(["proxy", *(title for title, *_ in columns)], rows)


def figure_table(results):
    rows = []
    for figure, value in outcomes(results):
        verdict = "reached" if figure.reached(value) else "MISSED"
        rows.append([figure.title, figure.target(), figure.show(value), verdict])
    if not rows:
        return ["plimsoll was not measured."]
    return table(["figure", "target", "measured", ""], rows)


def warnings(results):
    samples = [sample for samples in results.values() for sample in samples]
    lines = remarks(samples)
    lazy = {s["proxy"] for s in samples if s.get("proxy_core_share", 1) < 0.95}
    if lazy:
        lines.append(
            f"The proxy's core was not full for {', '.join(sorted(lazy))}: throughput there is what client and nodes can do."
        )
    failed = [s for s in samples if s.get("errors")]
    if failed:
        lines.append(f"{len(failed)} runs had errors: see raw.json.")
    return [*lines, ""] if lines else []


def table(head, rows):
    widths = [max(len(str(row[at])) for row in [head, *rows]) for at in range(len(head))]

    def line(cells):
        padded = [str(c).ljust(w) if at == 0 else str(c).rjust(w) for at, (c, w) in enumerate(zip(cells, widths))]
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 1) + ("-" if at == 0 else ":") for at, w in enumerate(widths)) + "|"
    return [line(head), rule, *map(line, rows)]


def cell(form, value):
    return f"{value / MIB:.1f}" if form == "mib" else form.format(value)
