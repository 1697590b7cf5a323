#!/usr/bin/env python3
"""loadgen beside wrk, oha and hey: throughput, CPU a request, and whether its open loop tells the truth.

Each round measures every tool once, one after another, against the same bare responder; a ratio is that of
one round, and the figure is the median of the rounds, so that a noisy minute costs one round only. `--only`
measures one half and keeps the other half of the same day.
"""

import argparse
import json
import math
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from datetime import date
from pathlib import Path
from statistics import median

from conditions import remarks
from process_tree import ProcessTree, machine_busy_ns

ROOT = Path(__file__).resolve().parents[2]
LOADGEN = ROOT / "target/release/loadgen"
FOLDER = ROOT / "bench/results" / f"{date.today()}-loadgen"

TARGETS = [
    ("throughput over wrk", "at least", 0.95),
    ("throughput over oha", "at least", 1.5),
    ("throughput over hey", "at least", 1.5),
    ("CPU a request over wrk", "at most", 1.0),
    ("open loop: p99 over the node's own", "within 5% of", 1.0),
    ("open loop: send lag p99, us", "at most", 100.0),
]


# The open loop's rate, as a share of what the closed loop reached.
OPEN_SHARE = 0.5
# What its node waits before one answer in 25, and what that is on average over all, in seconds: median times
# exp(sigma^2 / 2). Those decide the p99 as all would, and leave the node, which has one core too, room for the rate: what
# waits in front of a node that is overrun does not stand in its log. Nor does what waits while the hypervisor lets a core
# stand still, for milliseconds at a time: so the delays are long beside that.
DELAY_SHARE = 0.04
DELAY_MEDIAN = 0.02
DELAY = ["--delay", f"lognormal:{DELAY_MEDIAN * 1000:.0f}ms,1", "--share", f"{DELAY_SHARE:.0%}"]
DELAY_MEAN = DELAY_MEDIAN * math.exp(0.5) * DELAY_SHARE


def main():
    flags = parse_flags()
    kept = json.loads((FOLDER / "raw.json").read_text()) if flags.only else {}
    rounds = kept["rounds"] if flags.only == "open" else closed_loops(flags)
    rate = open_rate(closed_rate(rounds), flags.rate_max)
    truths = kept["truths"] if flags.only == "closed" else open_loops(rate, flags)
    commands = kept.get("commands", []) + [" ".join(["scripts/bench.sh loadgen", *sys.argv[1:]])]
    figures = work_out(rounds, truths)
    summary = render(figures, rounds, truths, commands)
    raw = {"commands": commands, "machine": machine(), "figures": figures, "rounds": rounds, "truths": truths}
    keep(summary, raw)
    print(summary)


def closed_rate(rounds):
    """What loadgen reached in the closed loops."""
    return median(entry["loadgen"]["rate"] for entry in rounds)


def open_rate(closed, rate_max):
    """The open loop runs at the share that the requirement names, unless it is told not to go so high."""
    half = closed * OPEN_SHARE
    return half if rate_max is None else min(half, rate_max)


def closed_loops(flags):
    unwanted = {"oha"} if flags.no_oha else set()
    tools = ["wrk", "loadgen"] + [tool for tool in ["oha", "hey"] if shutil.which(tool) and tool not in unwanted]
    rounds = []
    with Node(flags.node_core, []) as node:
        for number in range(flags.rounds):
            # Each tool comes first as often as the others.
            turn = number % len(tools)
            order = tools[turn:] + tools[:turn]
            rounds.append({tool: closed(tool, node, flags) for tool in order})
            report_round(number, rounds[-1])
    return rounds


def open_loops(rate, flags):
    truths = []
    for number in range(flags.rounds):
        truths.append(truth(rate, flags))
        print(f"open loop {number + 1}: {truths[-1]}", file=sys.stderr, flush=True)
    return truths


def parse_flags():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--node-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--rate-max", type=float, help="highest rate of the open loop (without: half of the closed loop's)")
    parser.add_argument("--only", choices=["closed", "open"], help="measure this half, keep the other one of today")
    parser.add_argument("--no-oha", action="store_true", help="neither build nor measure oha")
    return parser.parse_args()


class Node:
    """The bare responder, or one that delays to order."""

    def __init__(self, core, arguments):
        command = ["taskset", "-c", str(core), LOADGEN, "node", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().strip() + "/"
        self.tree = ProcessTree(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)

    def service_p99_us(self):
        with urllib.request.urlopen(self.url + "__node/report", timeout=5) as answer:
            return json.load(answer)["service_us"]["p99"]


class Weather:
    """What of the machine went to programs that are neither the node nor the tool."""

    def __init__(self, node):
        self.tree = node.tree
        self.begun, self.busy, self.ours = time.monotonic(), machine_busy_ns(), self.own_ns()

    def own_ns(self):
        return self.tree.cpu_ns() + (cpu_of_children() + time.process_time()) * 1e9

    def others_share(self):
        elapsed = (time.monotonic() - self.begun) * 1e9
        others = machine_busy_ns() - self.busy - (self.own_ns() - self.ours)
        return max(0, others) / elapsed / os.cpu_count()


def closed(tool, node, flags):
    """One closed-loop measurement: answers a second, CPU microseconds an answer."""
    url, seconds, connections = node.url, str(flags.seconds), str(flags.connections)
    weather = Weather(node)
    command = {
        "wrk": ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url],
        "loadgen": [LOADGEN, url, "-t1", f"-c{connections}", f"-d{seconds}s", "--quiet", "--json", "-"],
        "oha": ["oha", "--no-tui", "-c", connections, "-z", f"{seconds}s", "--output-format", "json", url],
        "hey": ["hey", "-cpus", "1", "-c", connections, "-z", f"{seconds}s", url],
    }[tool]
    before = cpu_of_children()
    done = subprocess.run(["taskset", "-c", str(flags.client_core), *command], capture_output=True, text=True)
    cpu = cpu_of_children() - before
    if done.returncode != 0:
        sys.exit(f"{tool} failed: {done.stderr}")
    answers, rate = read_answers(tool, done.stdout)
    others = weather.others_share()
    return {"answers": answers, "rate": rate, "cpu_us": cpu * 1e6 / max(answers, 1), "others_share": others}


def read_answers(tool, text):
    if tool == "wrk":
        return int(re.search(r"(\d+) requests in", text)[1]), float(re.search(r"Requests/sec:\s*([\d.]+)", text)[1])
    if tool == "hey":
        answers = sum(int(count) for count in re.findall(r"\[\d+\]\s+(\d+) responses", text))
        return answers, float(re.search(r"Requests/sec:\s*([\d.]+)", text)[1])
    result = json.loads(text)
    if tool == "loadgen":
        answers = result["totals"]["completed"]
        return answers, answers * 1000 / result["elapsed_ms"]
    return sum(result["statusCodeDistribution"].values()), result["summary"]["requestsPerSec"]


def cpu_of_children():
    """Seconds of CPU of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def truth(rate, flags):
    """An open loop against a node with known delays: what is reported against what the node saw."""
    with Node(flags.node_core, DELAY) as node:
        weather = Weather(node)
        # As many as are under way on average, four times over: with too few, requests would wait for one of them, and
        # the node knows nothing of that.
        connections = str(max(flags.connections, 256, round(rate * DELAY_MEAN * 4)))
        command = [LOADGEN, node.url, "-t1", "-c", connections, f"-d{flags.seconds}s", "--rate", f"{rate:.0f}"]
        done = subprocess.run(
            ["taskset", "-c", str(flags.client_core), *command, "--quiet", "--json", "-"],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            sys.exit(f"the open loop failed: {done.stderr}")
        result = json.loads(done.stdout)
        return {
            "rate": rate,
            "reported_p99_us": quantile(result["response"], 0.99) / 1000,
            "node_p99_us": node.service_p99_us(),
            "lag_p50_us": result["client"]["lag_p50_ns"] / 1000,
            "lag_p99_us": result["client"]["lag_p99_ns"] / 1000,
            "cpu_percent": result["client"]["cpu_percent"],
            "starved_percent": result["client"]["starved_percent"],
            "others_share": weather.others_share(),
            "late": result["totals"]["late"],
            "bottleneck": result["client"]["bottleneck"],
        }


def quantile(pairs, share):
    wanted, seen = share * sum(count for _, count in pairs), 0
    for value, count in pairs:
        seen += count
        if seen >= wanted:
            return value
    return 0


def work_out(rounds, truths):
    def ratio(key, tool):
        return median(entry["loadgen"][key] / entry[tool][key] for entry in rounds) if tool in rounds[0] else None

    return {
        "throughput over wrk": ratio("rate", "wrk"),
        "throughput over oha": ratio("rate", "oha"),
        "throughput over hey": ratio("rate", "hey"),
        "CPU a request over wrk": ratio("cpu_us", "wrk"),
        "open loop: p99 over the node's own": median(t["reported_p99_us"] / t["node_p99_us"] for t in truths),
        "open loop: send lag p99, us": median(t["lag_p99_us"] for t in truths),
    }


def reached(kind, value, target):
    return {
        "at least": value >= target,
        "at most": value <= target,
        "within 5% of": abs(value / target - 1) <= 0.05,
    }[kind]


def report_round(number, entry):
    tools = "   ".join(f"{tool} {one['rate']:,.0f}/s {one['cpu_us']:.2f} us" for tool, one in entry.items())
    print(f"round {number + 1}: {tools}", file=sys.stderr, flush=True)


def render(figures, rounds, truths, commands):
    lines = [f"# loadgen beside its peers, {date.today()}", ""]
    lines += [f"{len(rounds)} rounds, {len(truths)} open loops, one thread on one core:", ""]
    lines += [f"    {command}" for command in commands] + [""]
    lines += ["| figure | measured | target | |", "|---|---|---|---|"]
    for name, kind, target in TARGETS:
        value = figures[name]
        if value is None:
            lines.append(f"| {name} | not measured | {kind} {target:g} | - |")
        else:
            mark = "✓" if reached(kind, value, target) else "✗"
            lines.append(f"| {name} | {value:.3g} | {kind} {target:g} | {mark} |")
    lines += ["", "| tool | answers/s | CPU us an answer |", "|---|---|---|"]
    for tool in rounds[0]:
        rate = median(entry[tool]["rate"] for entry in rounds)
        cpu = median(entry[tool]["cpu_us"] for entry in rounds)
        lines.append(f"| {tool} | {rate:,.0f} | {cpu:.2f} |")
    lines += ["", rate_used(closed_rate(rounds), truths)]
    if any(one["bottleneck"] for one in truths):
        lines += ["", "The generator said of itself that it was the bottleneck in an open loop."]
    measured = [one for entry in rounds for one in entry.values()] + truths
    for remark in remarks(measured):
        lines += ["", remark]
    return "\n".join(lines) + "\n"


def rate_used(closed, truths):
    """At which rate the open loop's figures were measured: at a small one they are easy to reach."""
    rates = sorted({round(one["rate"]) for one in truths})
    shown = " and ".join(f"{rate:,}/s ({rate / closed:.0%})" for rate in rates)
    return f"The open loop ran at {shown} of the {closed:,.0f}/s that the closed loop reached; asked for are {OPEN_SHARE:.0%}."


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")
    versions = {"wrk": subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.split("\n")[0]}
    if shutil.which("oha"):
        versions["oha"] = subprocess.run(["oha", "--version"], capture_output=True, text=True).stdout.strip()
    return {"kernel": platform.release(), "cpu": model, "cores": os.cpu_count(), "versions": versions}


def keep(summary, raw):
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "summary.md").write_text(summary)
    (FOLDER / "raw.json").write_text(json.dumps(raw, indent=1))


if __name__ == "__main__":
    main()
