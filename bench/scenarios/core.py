#!/usr/bin/env python3
"""plimsoll beside nginx and HAProxy, each on one core with the same duties. Called by `scripts/bench.sh core`."""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import load
import memory
import rig as rigs
import summary
from figures import PEERS, outcomes

ROOT = Path(__file__).resolve().parents[2]
# What a proxy holds beside its clients' connections, and the client beside its own.
FDS_SPARE = 1000


def main():
    options = flags()
    raise_fd_limit(2 * options.connections + FDS_SPARE)
    results = {}
    with rigs.Rig(options.proxy_core, options.client_core, BEST) as rig:
        banners = run_loads(rig, options, results)
        banners |= run_memory(rig, options, results)
        facts = machine(options, banners)
        text = f"# core, {facts['date']}\n\n{prose(facts)}\n\n{summary.report(results)}"
        print("\n" + text)
        if options.save:
            print("kept in", keep(rig, facts, results, text))
    missed = [figure for figure, value in outcomes(results) if not figure.reached(value)]
    return 1 if options.gate and missed else 0


def flags():
    parser = argparse.ArgumentParser(prog="scripts/bench.sh core", description=__doc__)
    names = [scenario.name for scenario in [*load.SCENARIOS, *memory.SCENARIOS]]
    parser.add_argument("--only", default=",".join(names), help=f"scenarios, of {','.join(names)}")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds of the load scenarios (5)")
    parser.add_argument("--seconds", type=int, default=5, help="length of one load (5)")
    parser.add_argument("--connections", type=int, default=8000, help="of the idle and half scenarios (8000)")
    parser.add_argument("--peers-only", action="store_true", help="without plimsoll")
    parser.add_argument("--proxies", default="plimsoll,nginx,haproxy,bare", help="which programs are measured")
    parser.add_argument("--plimsoll", default=ROOT / "target/release/plimsoll", type=Path, help="the binary")
    parser.add_argument("--proxy-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="NAME=VALUE of a peer's configuration, to try variants")
    save = parser.add_mutually_exclusive_group()
    save.add_argument("--save", action="store_true", default=None, help="keep a partial run in bench/results too")
    save.add_argument("--no-save", dest="save", action="store_false", help="keep nothing")
    parser.add_argument("--gate", action="store_true", help="exit 1 where a figure is missed")
    options = parser.parse_args()
    options.only = options.only.split(",")
    options.proxies = options.proxies.split(",")
    if options.peers_only:
        options.proxies.remove("plimsoll")
    if options.save is None:
        options.save = set(options.only) == set(names) and set(options.proxies) >= {"plimsoll", *PEERS}
    unknown = set(options.only) - set(names)
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}")
    if os.cpu_count() < 2:
        parser.error("needs two cores: one for the proxy, one for client and nodes")
    return options


# The values of the peers' configurations that were found best; docs/benchmarking.md says how.
BEST = {
    "nginx_small_buffer": "32k",
    "nginx_large_buffer": "32k",
    "nginx_busy": "64k",
    "haproxy_global": "",
    "haproxy_defaults": "",
}


def given(options):
    """What `--set` says: it wins over every value of ours."""
    return dict(pair.split("=", 1) for pair in options.set)


def run_loads(rig, options, results):
    """All proxies run side by side, one under load at a time; each round begins with another. Gives their banners."""
    chosen = [scenario for scenario in load.SCENARIOS if scenario.name in options.only]
    if not chosen:
        return {}
    proxies = {}
    try:
        for scenario in chosen:
            for name in taking_part(scenario, options.proxies):
                tuning = scenario.tuning.get(name)
                key = (name, scenario.name if tuning else "")
                if key not in proxies:
                    proxies[key] = start(rig, options, name, f"-{scenario.name}" if tuning else "", tuning)
                    proxies[key].check_duties()
        for number in range(options.rounds):
            turn = number % len(options.proxies)
            for scenario in chosen:
                for name in taking_part(scenario, options.proxies[turn:] + options.proxies[:turn]):
                    proxy = proxies[(name, scenario.name if scenario.tuning.get(name) else "")]
                    sample = {"round": number, "proxy": name, **scenario.run(rig, proxy, options.seconds)}
                    results.setdefault(scenario.name, []).append(sample)
                    say(scenario, proxy, f"{sample['cpu_us_per_request']:.1f} us CPU a request, "
                        f"{sample['requests_per_second']:,.0f} requests/s", number)
        return {proxy.name: proxy.banner() for proxy in proxies.values()}
    finally:
        for proxy in proxies.values():
            proxy.__exit__()


def taking_part(scenario, names):
    return [name for name in names if name not in scenario.without]


def run_memory(rig, options, results):
    """A fresh process for every measurement: memory has a history. Gives their banners."""
    os.sched_setaffinity(0, {options.client_core})
    banners = {}
    for scenario in memory.SCENARIOS:
        if scenario.name not in options.only:
            continue
        for name in taking_part(scenario, options.proxies):
            with start(rig, options, name) as proxy:
                sample = {"round": 0, "proxy": name, **scenario.run(rig, proxy, options.connections)}
                results.setdefault(scenario.name, []).append(sample)
                banners[name] = proxy.banner()
                each = sample.get("bytes_per_connection")
                say(scenario, proxy, f"{each:,.0f} bytes each" if each is not None
                    else f"{sample['growth_bytes'] / memory.MIB:.1f} MiB of growth")
    return banners


def start(rig, options, name, label="", tuning=None):
    commands = {rigs.BARE: rigs.bare, "nginx": rigs.nginx, "haproxy": rigs.haproxy, "plimsoll": rigs.plimsoll(options.plimsoll)}
    return rigs.Proxy(rig, name, commands[name], label, {**(tuning or {}), **given(options)})


def say(scenario, proxy, what, number=None):
    round_name = f"round {number + 1} " if number is not None else ""
    print(f"{round_name}{scenario.name:9} {proxy.name:9} {what}", flush=True)


def raise_fd_limit(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < wanted:
        print(f"only {hard} file descriptors allowed, {wanted} wanted: use --connections {(hard - FDS_SPARE) // 2}")


def machine(options, banners):
    """What somebody needs to judge or repeat the run."""
    cpu = next(line for line in open("/proc/cpuinfo") if line.startswith("model name")).split(":", 1)[1].strip()
    memory_kib = int(open("/proc/meminfo").readline().split()[1])
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": said("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "command": "scripts/bench.sh core " + " ".join(sys.argv[1:]),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory_kib / 1024 / 1024, 1),
        "kernel": platform.release(),
        "load_average": os.getloadavg()[0],
        "rounds": options.rounds,
        "seconds": options.seconds,
        "connections": options.connections,
        "versions": {
            "plimsoll": banners.get("plimsoll", ""),
            "nginx": said("nginx", "-v"),
            "haproxy": said("haproxy", "-v"),
            "wrk": said("wrk", "-v"),
            "rustc": said("rustc", "--version"),
        },
    }


def prose(facts):
    versions = "; ".join(version for version in facts["versions"].values() if version)
    return (
        f"`{facts['command'].strip()}` at {facts['commit']} on {facts['cores']} cores of {facts['cpu']}, "
        f"{facts['memory_gib']} GiB, Linux {facts['kernel']}.\n"
        f"{versions}.\n\n"
        "The proxy has one core to itself; wrk and the nodes share the other. CPU is that of the proxy's whole process tree. "
        "Values are medians over the rounds; ratios are taken within a round, and their median is shown."
    )


def said(*command):
    """The first line that a program says of itself."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return next(iter((done.stdout + done.stderr).splitlines()), "").strip()


def keep(rig, facts, results, text):
    """A dated folder: what was measured, by whom, with which configurations."""
    base = ROOT / "bench" / "results" / f"{facts['date']}-core"
    folder, number = base, 1
    while folder.exists():
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    (folder / "configs").mkdir(parents=True)
    (folder / "summary.md").write_text(text)
    (folder / "raw.json").write_text(json.dumps({"facts": facts, "results": results}, indent=1) + "\n")
    for pattern in ["*.conf", "*.cfg", "*.yaml"]:
        for path in rig.dir.glob(pattern):
            shutil.copy(path, folder / "configs")
    return folder.relative_to(ROOT)


if __name__ == "__main__":
    sys.exit(main())
