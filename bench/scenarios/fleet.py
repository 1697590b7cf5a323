#!/usr/bin/env python3
"""Containers that are started, stopped and killed under load. Called by `scripts/bench.sh fleet`, which has the engine.

Scenarios that run on one day are kept together, so that each can be run by itself.
"""

import argparse
import sys

from balancing.lane import Ground
from records import add_flags, facts, keep, raise_fd_limit, recall, said
from scaling import plots
from scaling.worlds import WORLDS
from summary import table

# Scenario, key, words, whether it is reached.
FIGURES = [
    ("step", "failed", "ten-fold step and back: failed requests", "0", lambda value: value == 0),
    ("step", "cut", "… cut WebSockets of 30", "0", lambda value: value == 0),
    ("step", "most", "… most nodes that served", "8", lambda value: value == 8),
    ("step", "up_s", "… seconds to 8 nodes", "", None),
    ("step", "down_s", "… seconds back to 2", "", None),
    ("step", "p99_ms", "… p99 of all requests, ms (a node takes 100)", "", None),
    ("kill", "failed", "a kill each 5 s: failed requests", "0", lambda value: value == 0),
    ("kill", "p99_ms", "… p99, ms (a node takes 10)", "", None),
    ("wake", "answered", "wake from zero: answered 200, of 1,000", "1000", lambda value: value == 1000),
    ("wake", "p99_ms", "… p99 of first byte - node ready, ms", "at most 25", lambda value: value <= 25),
    ("wake-direct", "answered", "the same without Docker's proxy: answered 200", "1000", lambda value: value == 1000),
    ("wake-direct", "p99_ms", "… p99 of first byte - node ready, ms", "at most 25", lambda value: value <= 25),
    ("wake-floor", "p99_ms", "the same thousand at the node itself, without a balancer, ms", "the floor", None),
]


def main():
    options = flags()
    raise_fd_limit()
    kept = recall(options.folder)
    for world in WORLDS:
        if world.name not in options.only:
            continue
        print(f"{world.name}: {world.title}", file=sys.stderr, flush=True)
        with Ground(options.plimsoll) as ground:
            for sample in world.run(ground):
                kept["results"][world.name] = sample
                kept["facts"][world.name] = facts("fleet", engine=said("docker", "version", "--format", "Docker {{.Server.Version}}"))
    rows = list(outcomes(kept["results"]))
    text = "\n".join(["# fleet", "", *prose(kept["facts"]), "", *table(["figure", "target", "measured", ""], rows), ""])
    print(text)
    if options.save:
        keep(options.folder, kept, text, separators=(",", ":"))
        plots.draw(options.folder, kept["results"])
    return 1 if options.gate and any(row[3] == "MISSED" for row in rows) else 0


def flags():
    names = [world.name for world in WORLDS]
    parser = argparse.ArgumentParser(prog="scripts/bench.sh fleet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(names), help=f"scenarios, of {','.join(names)}")
    add_flags(parser, "fleet")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(names):
        parser.error(f"no scenario {', '.join(sorted(unknown))}")
    return options


def outcomes(results):
    for scenario, key, words, target, is_reached in FIGURES:
        if scenario not in results:
            continue
        value = results[scenario][key]
        shown = "never" if value is None else f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
        verdict = "" if is_reached is None else "reached" if value is not None and is_reached(value) else "MISSED"
        yield [words, target, shown, verdict]


def prose(all_facts):
    last = list(all_facts.values())[-1]
    # A scenario without containers may have run where no engine did.
    engine = max((one["engine"] for one in all_facts.values()), key=len)
    lines = [f"On {last['machine']}; {engine}, containers of `loadgen node` FROM scratch, published on the loopback.", ""]
    return lines + [f"- `{one['command'].strip()}` at {one['commit']}, {one['date']}" for one in all_facts.values()]


if __name__ == "__main__":
    sys.exit(main())
