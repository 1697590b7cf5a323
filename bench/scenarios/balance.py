#!/usr/bin/env python3
"""plimsoll's strategies, health and limits beside HAProxy's and nginx's. Called by `scripts/bench.sh balance`.

Runs of different scenarios on one day are kept together, so that a long run can be made in pieces.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from balancing import plots
from balancing.cost import Cost
from balancing.figures import outcomes
from balancing.lane import Ground, raise_fd_limit
from balancing.worlds import WORLDS
from process_tree import machine_busy_ns
from summary import table

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = [*WORLDS, Cost()]


def main():
    options = flags()
    raise_fd_limit()
    kept = recall(options.folder)
    for number in range(options.first_round, options.first_round + options.rounds):
        for scenario in SCENARIOS:
            if scenario.name in options.only:
                kept["results"][scenario.name] = merged(kept["results"].get(scenario.name, []), number, measure(scenario, number, options))
    kept["facts"][",".join(options.only)] = facts()
    text = report(kept)
    print(text)
    if options.save:
        options.folder.mkdir(parents=True, exist_ok=True)
        (options.folder / "raw.json").write_text(json.dumps(kept, indent=None, separators=(",", ":")) + "\n")
        (options.folder / "summary.md").write_text(text)
        plots.draw(options.folder, kept["results"])
        print("kept in", options.folder)
    missed = [figure for figure, value in outcomes(kept["results"]) if not figure.reached(value)]
    return 1 if options.gate and missed else 0


def flags():
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(prog="scripts/bench.sh balance", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(names), help=f"scenarios, of {','.join(names)}")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--first-round", type=int, default=0, help="number of the first: adds rounds to those that are kept")
    parser.add_argument("--seconds", type=int, default=15, help="length of the loads with a slow node or equal ones")
    parser.add_argument("--plimsoll", default=ROOT / "target/release/plimsoll", type=Path, help="the binary")
    parser.add_argument("--proxy-core", type=int, default=0, help="of the cost scenario alone: the others use all")
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=ROOT / f"bench/results/{time.strftime('%Y-%m-%d')}-balance")
    parser.add_argument("--no-save", dest="save", action="store_false", help="keep nothing")
    parser.add_argument("--gate", action="store_true", help="exit 1 where a figure is missed")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(names):
        parser.error(f"no scenario {', '.join(sorted(unknown))}")
    return options


def recall(folder):
    path = folder / "raw.json"
    return json.loads(path.read_text()) if path.exists() else {"facts": {}, "results": {}}


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


def facts():
    """What somebody needs to judge or repeat the run."""
    cpu = next(line for line in open("/proc/cpuinfo") if line.startswith("model name")).split(":", 1)[1].strip()
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "commit": said("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "command": "scripts/bench.sh balance " + " ".join(sys.argv[1:]),
        "machine": f"{os.cpu_count()} cores of {cpu}, Linux {platform.release()}",
        "versions": [said("nginx", "-v"), said("haproxy", "-v")],
    }


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


def said(*command):
    """The first line that a program says of itself."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return next(iter((done.stdout + done.stderr).splitlines()), "").strip()


sys.exit(main())
