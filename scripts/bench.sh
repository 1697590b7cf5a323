#!/usr/bin/env bash
# Benchmarks. What they mean, and how to read them: docs/benchmarking.md.
#
#   scripts/bench.sh core [flags]      plimsoll beside nginx and HAProxy (--help lists the flags)
#   scripts/bench.sh balance [flags]   its strategies, health and limits beside theirs
#   scripts/bench.sh l4 [flags]        its TCP and UDP beside HAProxy's and nginx's
#   scripts/bench.sh fleet [flags]     containers started, stopped and killed under load, on a real Docker engine
#   scripts/bench.sh watched [flags]   what a viewer, scrapes, and 200 viewers cost
#   scripts/bench.sh loadgen [flags]   loadgen beside wrk, oha and hey
#   scripts/bench.sh micro [filter]    the steps of a request: times by criterion, instructions by valgrind
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/needs.sh
source scripts/docker.sh

main() {
    local name=${1:-}
    shift || true
    case $name in
        core) core "$@" ;;
        balance) balance "$@" ;;
        l4) l4 "$@" ;;
        fleet) fleet "$@" ;;
        watched) watched "$@" ;;
        loadgen) exec bash scripts/bench/loadgen.sh "$@" ;;
        micro) micro "$@" ;;
        *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit 2 ;;
    esac
}

core() {
    without_services need nginx nginx haproxy haproxy wrk wrk python3 python3
    if [[ " $* " != *" --peers-only "* && " $* " != *" --plimsoll "* && " $* " != *" --help "* ]]; then
        release --bin plimsoll
    fi
    measure_with bench/scenarios/core.py "$@"
}

balance() {
    without_services need nginx nginx haproxy haproxy wrk wrk python3 python3
    if [[ " $* " != *" --help "* ]]; then
        release --workspace
    fi
    measure_with bench/scenarios/balance.py "$@"
}

watched() {
    without_services need nginx nginx wrk wrk python3 python3
    if [[ " $* " != *" --help "* && " $* " != *" --plimsoll "* ]]; then
        release --workspace
    fi
    measure_with bench/scenarios/watched.py "$@"
}

l4() {
    without_services need nginx nginx haproxy haproxy python3 python3
    # A module of nginx's has no program to look for.
    [[ -e /usr/lib/nginx/modules/ngx_stream_module.so ]] || without_services need ngx_stream_module libnginx-mod-stream
    if [[ " $* " != *" --help "* && " $* " != *" --plimsoll "* ]]; then
        release --workspace
    fi
    measure_with bench/scenarios/l4.py "$@"
}

fleet() {
    need python3 python3 cc build-essential
    need_rust
    needs_met
    if [[ " $* " != *" --plimsoll "* ]]; then
        cargo build --locked --release --workspace
    fi
    ulimit -n "$(ulimit -Hn)"
    engine_up
    trap engine_down EXIT
    node_image target/release/loadgen
    python3 bench/scenarios/fleet.py "$@"
}

micro() {
    need cc build-essential valgrind valgrind
    need_rust
    needs_met
    cargo bench --locked --bench micro -- "$@"
    cargo bench --locked --bench instructions -- "$@"
}

# Builds what is measured, with what that needs.
release() {
    need cc build-essential
    need_rust
    needs_met
    cargo build --locked --release "$@"
}

# The last step: the script takes the place of this one.
measure_with() {
    needs_met
    ulimit -n "$(ulimit -Hn)"
    exec python3 "$@"
}

main "$@"
