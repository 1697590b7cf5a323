#!/usr/bin/env python3
"""Containers that are started, stopped and killed under load. Called by `scripts/bench.sh fleet`, which has the engine.

Scenarios that run on one day are kept together, so that each can be run by itself.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from balancing.lane import Ground, raise_fd_limit
from scaling import plots
from scaling.worlds import WORLDS
from summary import table

ROOT = Path(__file__).resolve().parents[2]
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
]


def main():
    options = flags()
    raise_fd_limit()
    path = options.folder / "raw.json"
    kept = json.loads(path.read_text()) if path.exists() else {"facts": {}, "results": {}}
    for world in WORLDS:
        if world.name not in options.only:
            continue
        print(f"{world.name}: {world.title}", file=sys.stderr, flush=True)
        with Ground(options.plimsoll) as ground:
            for sample in world.run(ground):
                kept["results"][world.name] = sample
                kept["facts"][world.name] = facts()
    rows = list(outcomes(kept["results"]))
    text = "\n".join(["# fleet", "", *prose(kept["facts"]), "", *table(["figure", "target", "measured", ""], rows), ""])
    print(text)
    if options.save:
        options.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(kept, separators=(",", ":")) + "\n")
        (options.folder / "summary.md").write_text(text)
        plots.draw(options.folder, kept["results"])
        print("kept in", options.folder)
    return 1 if options.gate and any(row[3] == "MISSED" for row in rows) else 0


def flags():
    names = [world.name for world in WORLDS]
    parser = argparse.ArgumentParser(prog="scripts/bench.sh fleet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(names), help=f"scenarios, of {','.join(names)}")
    parser.add_argument("--plimsoll", default=ROOT / "target/release/plimsoll", type=Path, help="the binary")
    parser.add_argument("--folder", type=Path, default=ROOT / f"bench/results/{time.strftime('%Y-%m-%d')}-fleet")
    parser.add_argument("--no-save", dest="save", action="store_false", help="keep nothing")
    parser.add_argument("--gate", action="store_true", help="exit 1 where a figure is missed")
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


def facts():
    cpu = next(line for line in open("/proc/cpuinfo") if line.startswith("model name")).split(":", 1)[1].strip()
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "commit": said("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "command": "scripts/bench.sh fleet " + " ".join(sys.argv[1:]),
        "machine": f"{os.cpu_count()} cores of {cpu}, Linux {platform.release()}",
        "engine": said("docker", "version", "--format", "Docker {{.Server.Version}}"),
    }


def prose(all_facts):
    last = list(all_facts.values())[-1]
    lines = [f"On {last['machine']}; {last['engine']}, containers of `loadgen node` FROM scratch, published on the loopback.", ""]
    return lines + [f"- `{one['command'].strip()}` at {one['commit']}, {one['date']}" for one in all_facts.values()]


def said(*command):
    """The first line that a program says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return next(iter((done.stdout + done.stderr).splitlines()), "").strip()


if __name__ == "__main__":
    sys.exit(main())
