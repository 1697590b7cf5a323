#!/usr/bin/env bash
# loadgen beside wrk, oha and hey, against the same bare responder: one thread each on one core.
# Called by `scripts/bench.sh loadgen [flags]`; `--help` lists the flags.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/needs.sh

need wrk wrk hey hey python3 python3
need cc build-essential
need_rust
needs_met
nice cargo build --locked --release -p loadgen --bin loadgen
# oha is a peer where it can be had: it takes some minutes to build.
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
if [[ " $* " != *" --no-oha "* && " $* " != *" --help "* ]]; then
    has oha || nice cargo install --locked oha || echo "oha could not be built: measured without it" >&2
fi
exec python3 bench/scenarios/loadgen.py "$@"
