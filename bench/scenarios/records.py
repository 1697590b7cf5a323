"""What is kept of a run: its samples beside those of other runs of the day, and what somebody needs to judge or repeat it."""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def folder_of_today(name):
    return ROOT / f"bench/results/{time.strftime('%Y-%m-%d')}-{name}"


def add_flags(parser, name):
    """Those that every benchmark has whose parts can be run one by one."""
    parser.add_argument("--plimsoll", default=ROOT / "target/release/plimsoll", type=Path, help="the binary")
    parser.add_argument("--folder", type=Path, default=folder_of_today(name))
    parser.add_argument("--no-save", dest="save", action="store_false", help="keep nothing")
    parser.add_argument("--gate", action="store_true", help="exit 1 where a figure is missed")


def recall(folder):
    path = folder / "raw.json"
    return json.loads(path.read_text()) if path.exists() else {"facts": {}, "results": {}}


def keep(folder, kept, text, **form):
    """`form`: how the samples are written, as json takes it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "raw.json").write_text(json.dumps(kept, **form) + "\n")
    (folder / "summary.md").write_text(text)
    print("kept in", folder)


def facts(name, **more):
    cpu = next(line for line in open("/proc/cpuinfo") if line.startswith("model name")).split(":", 1)[1].strip()
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "commit": said("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "command": f"scripts/bench.sh {name} " + " ".join(sys.argv[1:]),
        "machine": f"{os.cpu_count()} cores of {cpu}, Linux {platform.release()}",
        **more,
    }


def said(*command):
    """The first line that a program says of itself."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return next(iter((done.stdout + done.stderr).splitlines()), "").strip()


def raise_fd_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
