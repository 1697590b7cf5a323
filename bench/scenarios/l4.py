#!/usr/bin/env python3
"""plimsoll's TCP and UDP beside HAProxy (mode tcp) and nginx (stream), each on one core. Called by `scripts/bench.sh l4`.

Runs of different loads on one day are kept together, so that a long run can be made in pieces.
"""

import argparse
import os
import sys
from pathlib import Path
from statistics import median

from conditions import remarks
from layer4.figures import outcomes
from layer4.loads import LOADS, Idle
from layer4.stage import COMMANDS, Direct, Proxy, Stage
from records import ROOT, add_flags, facts, keep, raise_fd_limit, recall, said
from summary import table

PROXIES = ["direct", *COMMANDS]


def main():
    options = flags()
    raise_fd_limit()
    kept = recall(options.folder) if options.save else {"facts": {}, "results": {}}
    loads = [load for load in LOADS if load.name in options.only]
    with Stage(options) as stage:
        fresh, banners = measure(stage, loads, options)
    kept["results"].update(fresh)
    versions = [banners.get("plimsoll", ""), said("nginx", "-v"), said("haproxy", "-v")]
    kept["facts"][",".join(options.only)] = facts("l4", versions=versions)
    text = report(kept)
    print("\n" + text)
    if options.save:
        keep(options.folder, kept, text, indent=1)
    missed = [figure for figure, value in outcomes(kept["results"]) if not figure.reached(value)]
    return 1 if options.gate and missed else 0


def flags():
    names = [load.name for load in LOADS]
    parser = argparse.ArgumentParser(prog="scripts/bench.sh l4", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(names), help=f"loads, of {','.join(names)}")
    parser.add_argument("--proxies", default=",".join(PROXIES), help="which programs are measured")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    parser.add_argument("--seconds", type=int, default=4, help="length of one load (4)")
    parser.add_argument("--connections", type=int, default=8000, help="idle ones (8000)")
    parser.add_argument("--loadgen", default=ROOT / "target/release/loadgen", type=Path, help="the load maker")
    parser.add_argument("--proxy-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    add_flags(parser, "l4")
    options = parser.parse_args()
    options.only, options.proxies = options.only.split(","), options.proxies.split(",")
    for given, known in [(options.only, names), (options.proxies, PROXIES)]:
        if unknown := set(given) - set(known):
            parser.error(f"there is no {', '.join(sorted(unknown))}")
    if os.cpu_count() < 2:
        parser.error("needs two cores: one for the proxy, one for clients and nodes")
    return options


def measure(stage, loads, options):
    """All side by side, one under load at a time; each round begins with another. Gives samples by load, and banners."""
    results, running = {}, {}
    try:
        for name in options.proxies:
            running[name] = Direct(stage) if name == "direct" else Proxy(stage, name)
        for number in range(options.rounds):
            turn = number % len(options.proxies)
            for load in loads:
                for name in options.proxies[turn:] + options.proxies[:turn]:
                    # What a connection costs does not change with the round.
                    if name in load.without or (isinstance(load, Idle) and number > 0):
                        continue
                    sample = {"round": number, "proxy": name, **load.run(stage, running[name], options.seconds)}
                    results.setdefault(load.name, []).append(sample)
                    shown = ", ".join(f"{form(sample[key])} {title}" for title, key, form in load.columns)
                    print(f"round {number + 1} {load.name:11} {name:9} {shown}", flush=True)
        return results, {name: proxy.banner() for name, proxy in running.items() if name == "plimsoll"}
    finally:
        for proxy in running.values():
            proxy.stop()


def report(kept):
    facts = list(kept["facts"].values())
    versions = "; ".join(version for version in facts[-1]["versions"] if version)
    parts = ["# l4", "", f"On {facts[-1]['machine']}; {versions}.", ""]
    parts += [f"- `{one['command'].strip()}` at {one['commit']}, {one['date']}" for one in facts]
    parts += ["", "The proxy has one core to itself; clients and nodes share the other. CPU is that of the proxy's whole process "
              "tree. Values are medians over the rounds; ratios are taken within a round, and their median is shown.", ""]
    rows = [[f.title, f.target(), f"{value:.2f}", "reached" if f.reached(value) else "MISSED"] for f, value in outcomes(kept["results"])]
    parts += ["## Figures", "", *table(["figure", "target", "measured", ""], rows), ""]
    for load in LOADS:
        if samples := kept["results"].get(load.name):
            parts += [f"## {load.title}", "", *load_table(load, samples), ""]
    return "\n".join(parts)


def load_table(load, samples):
    rows = []
    for name in dict.fromkeys(sample["proxy"] for sample in samples):
        mine = [sample for sample in samples if sample["proxy"] == name]
        cells = [form(median(sample[key] for sample in mine)) for _, key, form in load.columns]
        if "proxy_core_share" in mine[0]:
            cells.append(f"{median(sample['proxy_core_share'] for sample in mine):.0%}")
        rows.append([name, *cells])
    head = ["program", *(title for title, _, _ in load.columns), *(["its core"] if "proxy_core_share" in samples[0] else [])]
    lines = table(head, rows)
    for remark in remarks(samples):
        lines += ["", remark]
    return lines


if __name__ == "__main__":
    sys.exit(main())
