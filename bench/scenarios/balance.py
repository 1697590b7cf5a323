#!/usr/bin/env python3
"""plimsoll's strategies, health and limits beside HAProxy's and nginx's. Called by `scripts/bench.sh balance`.

Runs of different scenarios on one day are kept together, so that a long run can be made in pieces.
"""

import argparse
import os
import sys
import time
from statistics import median

from balancing import plots
from balancing.cost import Cost
from balancing.figures import outcomes
from balancing.lane import Ground
from balancing.worlds import WORLDS
from process_tree import machine_busy_ns
from records import add_flags, facts, keep, raise_fd_limit, recall, said
from summary import table

SCENARIOS = [*WORLDS, Cost()]


def main():
    options = flags()
    raise_fd_limit()
    kept = recall(options.folder)
    for number in range(options.first_round, options.first_round + options.rounds):
        for scenario in SCENARIOS:
            if scenario.name in options.only:
                kept["results"][scenario.name] = merged(kept["results"].get(scenario.name, []), number, measure(scenario, number, options))
    kept["facts"][",".join(options.only)] = facts("balance", versions=[said("nginx", "-v"), said("haproxy", "-v")])
    text = report(kept)
    print(text)
    if options.save:
        keep(options.folder, kept, text, separators=(",", ":"))
        plots.draw(options.folder, kept["results"])
    missed = [figure for figure, value in outcomes(kept["results"]) if not figure.reached(value)]
    return 1 if options.gate and missed else 0


def flags():
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(prog="scripts/bench.sh balance", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(names), help=f"scenarios, of {','.join(names)}")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--first-round", type=int, default=0, help="number of the first: adds rounds to those that are kept")
    parser.add_argument("--seconds", type=int, default=15, help="length of the loads with a slow node or equal ones")
    parser.add_argument("--proxy-core", type=int, default=0, help="of the cost scenario alone: the others use all")
    parser.add_argument("--client-core", type=int, default=1)
    add_flags(parser, "balance")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(names):
        parser.error(f"no scenario {', '.join(sorted(unknown))}")
    return options


def merged(old, number, new):
    """A round that was measured again replaces what was kept of it."""
    return [sample for sample in old if sample["round"] != number] + new


def measure(scenario, number, options):
    print(f"{scenario.name}, round {number + 1}: {scenario.title}", file=sys.stderr, flush=True)
    began, busy = time.monotonic(), machine_busy_ns()
    if isinstance(scenario, Cost):
        samples = list(scenario.run(options.plimsoll, (options.proxy_core, options.client_core)))
    else:
        with Ground(options.plimsoll) as ground:
            samples = list(scenario.run(ground, number + 1, options.seconds))
    spent = (machine_busy_ns() - busy) / 1e9 / (time.monotonic() - began) / os.cpu_count()
    return [{"round": number, "machine_busy": spent, **sample} for sample in samples]


def report(kept):
    parts = ["# balance", "", *prose(kept["facts"]), "", "## Figures", ""]
    rows = [[f.title, f.target(), f.form.format(value), "reached" if f.reached(value) else "MISSED"] for f, value in outcomes(kept["results"])]
    parts += [*table(["figure", "target", "measured", ""], rows), ""]
    for scenario in SCENARIOS:
        if samples := kept["results"].get(scenario.name):
            parts += [f"## {scenario.title}", "", *scenario_table(scenario, samples), ""]
    return "\n".join(parts)


def scenario_table(scenario, samples):
    names = dict.fromkeys(sample["balancer"] for sample in samples)
    rows = []
    for name in names:
        mine = [sample for sample in samples if sample["balancer"] == name]
        rows.append([name, *(form.format(median(sample[key] for sample in mine)) for _, key, form in scenario.columns)])
    rounds = len({sample["round"] for sample in samples})
    busy = max(sample["machine_busy"] for sample in samples)
    tail = f"{rounds} {'round' if rounds == 1 else 'rounds, medians'}; the machine was {busy:.0%} busy."
    return [*table(["balancer", *(title for title, _, _ in scenario.columns)], rows), "", tail]


def prose(all_facts):
    last = list(all_facts.values())[-1]
    lines = [f"On {last['machine']}; {'; '.join(last['versions'])}.", ""]
    lines += [f"- `{one['command'].strip()}` at {one['commit']}, {one['date']}" for one in all_facts.values()]
    return [
        *lines,
        "",
        "Every balancer has two workers, nodes and a client of its own; all of a scenario run at the same time, under the same "
        "schedule of arrivals (`loadgen`, open loop, latency from the intended send). Nodes are `loadgen node`s that serve four "
        "requests at once; further ones wait there.",
    ]


sys.exit(main())
