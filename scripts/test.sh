#!/usr/bin/env bash
# All that CI runs, in one entry. Ends with the line `N passed, N failed, N skipped`, and with 1 where anything failed.
#
#   scripts/test.sh             everything that is run on every change
#   scripts/test.sh --quick     format, lints, unit tests, floors: before a commit
#   scripts/test.sh --long      the whole matrices too (PLIMSOLL_LONG=1): hours rather than minutes
#   scripts/test.sh --fuzz      each fuzz target for a minute too (--fuzz=SECONDS for another time)
#   scripts/test.sh --only X    one step: format, lint, deny, test, browser, docker, docs, fuzz (may be repeated)
#   scripts/test.sh --strict    no second look: a test that fails once has failed (docs/decisions/0008)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/needs.sh
source scripts/docker.sh

# Seconds after which a step is taken for hung. All of them together stay under 25 minutes on two cores.
readonly STEP_SECONDS_MAX=2400
# More failures than these are no accident of the machine: nothing is looked at twice.
second_looks_max=3
fuzz_seconds=60
passed=0 failed=0 skipped=0
steps=(format lint deny test browser docker docs)
chosen=()
failures=()
logs=$(mktemp -d "${TMPDIR:-/tmp}/plimsoll-test.XXXXXX")
trap 'rm -rf "$logs"' EXIT

main() {
    read_flags "$@"
    need cc build-essential curl curl python3 python3
    need_rust
    needs_met
    # Tests hold thousands of connections open.
    ulimit -n "$(ulimit -Hn)"
    # Colours would stand between the words that are counted.
    export CARGO_TERM_COLOR=never
    local name
    for name in "${steps[@]}"; do
        step "$name"
    done
    summary
}

read_flags() {
    while (($#)); do
        case $1 in
            --quick) steps=(format lint quick) ;;
            --strict) second_looks_max=0 ;;
            --long) export PLIMSOLL_LONG=1 ;;
            --fuzz) steps+=(fuzz) ;;
            --fuzz=*) steps+=(fuzz) fuzz_seconds=${1#*=} ;;
            --only) chosen+=("${2:?--only needs the name of a step}") && shift ;;
            -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit 0 ;;
            *) echo "unknown flag $1 (see --help)" >&2 && exit 2 ;;
        esac
        shift
    done
    ((${#chosen[@]} == 0)) || steps=("${chosen[@]}")
    for name in "${steps[@]}"; do
        declare -F "step_$name" >/dev/null || { echo "unknown step $name (see --help)" >&2 && exit 2; }
    done
}

step_format() {
    cargo fmt --all --check
}

step_lint() {
    cargo clippy --locked --workspace --all-targets -- -D warnings
}

step_deny() {
    need_cargo deny || return
    cargo deny --workspace check bans licenses sources || return
    if timeout 60 cargo deny fetch db; then
        cargo deny --workspace check advisories
    else
        echo "skipped: security advisories: the database at github.com/RustSec/advisory-db cannot be reached from here"
    fi
}

step_test() {
    run_tests --no-fail-fast
}

# Each test has a browser of its own: two at a time are enough for two cores. Where chromium is missing and cannot be installed,
# every test says that it was skipped.
step_browser() {
    ((EUID != 0)) || need chromium chromium chromedriver chromium-driver
    # Of the whole workspace, as in `test`: one package alone has other features, and would be built again.
    run_tests --test monitor -- --test-threads 2 || return
    run_tests --test report browser:: -- --test-threads 2
}

# The fleet on a real engine: a private daemon where none runs. Nothing that it started may be left at the end.
step_docker() {
    local why left
    why=$(mktemp "$logs/why.XXXXXX")
    if ! engine_up >"$why"; then
        echo "skipped: the fleet on a real Docker engine: $(cat "$why")"
        return
    fi
    trap engine_down EXIT
    # The reports are tested with a real `loadgen`: what builds them builds it, as the other steps have.
    cargo test --locked --workspace --no-run --test fleet --test report || return
    node_image "${CARGO_TARGET_DIR:-target}/debug/loadgen" || return
    run_tests --test fleet || return
    left=$(docker ps --all --quiet --filter label=plimsoll.backend)
    [[ -z $left ]] || { echo "containers are left: $left"; return 1; }
}

step_quick() {
    cargo test --locked --workspace --no-fail-fast --lib --bins --test floors
}

step_docs() {
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --lib --document-private-items || return
    # The links of docs/*.md are held by tests/floors.rs.
    cargo test --locked --workspace --quiet --test floors links_in_the_documents_lead_somewhere >/dev/null
}

# Sanitizers need a nightly compiler. Without one the coverage-guided fuzzing itself still works on stable, with the
# sanitizer left out: our own code is safe Rust, and panics, hangs and broken assertions are found as well.
step_fuzz() {
    local run=(cargo fuzz run) options=() broken=() target
    need_cargo fuzz || return
    if cargo +nightly --version >/dev/null 2>&1; then
        run=(cargo +nightly fuzz run)
    else
        export RUSTC_BOOTSTRAP=1
        options=(--sanitizer none)
        echo "no nightly compiler: fuzzing without the address sanitizer"
    fi
    [[ -d fuzz/fuzz_targets ]] || { echo "there are no targets in fuzz/fuzz_targets"; return 1; }
    for target in fuzz/fuzz_targets/*.rs; do
        target=$(basename "$target" .rs)
        mkdir -p "fuzz/corpus/$target"
        echo "fuzzing $target for $fuzz_seconds seconds"
        # What one target finds must not keep the others from looking.
        "${run[@]}" "${options[@]}" "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
            -max_total_time="$fuzz_seconds" -timeout=10 -verbosity=0 || broken+=("$target")
    done
    ((${#broken[@]} == 0)) || { echo "found something: ${broken[*]} (the input is in fuzz/artifacts)"; return 1; }
}

# `cargo test` with these arguments. Few tests that failed are run once more, alone: what passes then is `unstable`, is
# named at the end, and does not stop the change; what fails twice has failed.
run_tests() {
    local log status target=() names=() name
    log=$(mktemp "$logs/run.XXXXXX")
    cargo test --locked --workspace "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    mapfile -t names < <(failed_in "$log")
    # A program that crashed or did not compile has no names, or not all of them.
    if ((status == 0 || ${#names[@]} == 0 || ${#names[@]} > second_looks_max)) || (($(crashed_in "$log") > 0)); then
        return "$status"
    fi
    while (($#)) && [[ $1 != -- ]]; do
        [[ $1 == --test ]] && target+=(--test "$2")
        shift
    done
    status=0
    for name in "${names[@]}"; do
        echo "a second look, alone: $name"
        if cargo test --locked --workspace --no-fail-fast "${target[@]}" -- --exact "$name" >"$log" 2>&1 &&
            grep -q '^test result: ok. 1 passed' "$log"; then
            echo "unstable: $name: failed beside other tests, passed alone"
        else
            # Indented, so that it does not count as another test.
            grep -vE '^$|running 0 tests|ok. 0 passed|Running' "$log" | sed 's/^/    | /'
            status=1
        fi
    done
    return "$status"
}

failed_in() {
    sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$1" | sort -u
}

# Test programs that ended in another way than by saying how many of their tests failed.
crashed_in() {
    awk '/^test result: FAILED/ { told++ } /^error: [0-9]+ targets? failed:/ { crashed = $2 - told } END { print crashed + 0 }' "$1"
}

# Runs a step in a process of its own, shows its output as it comes, and counts the tests in it.
step() {
    local name=$1 log=$logs/$1 began=$SECONDS status ran broken left
    echo "==> $name"
    bounded "step_$name" 2>&1 </dev/null | tee "$log"
    status=${PIPESTATUS[0]}
    read -r ran broken left < <(count "$log")
    # A step that fails without a failed test (it did not compile, a test binary crashed) is one failure itself.
    ((status == 0 || broken > 0)) || { broken=1 && failures+=("step $name"); }
    mapfile -t -O "${#failures[@]}" failures < <(failed_in "$log" | grep -vxFf <(unstable_in "$log"))
    ((passed += ran, failed += broken, skipped += left))
    echo "    $name: $([[ $status == 0 ]] && echo ok || echo FAILED) in $((SECONDS - began)) s"
    echo
}

# `timeout` runs programs, not functions: this is the function with a time limit, and with it all that it started.
bounded() {
    local pid watchdog status
    set -m
    ("$1") &
    pid=$!
    (sleep "$STEP_SECONDS_MAX" && echo "took longer than $STEP_SECONDS_MAX seconds: stopped" && kill -TERM -- "-$pid") >&2 &
    watchdog=$!
    set +m
    wait "$pid"
    status=$?
    kill -TERM -- "-$watchdog" 2>/dev/null
    return "$status"
}

unstable_in() {
    sed -n 's/^unstable: \(.*\): failed beside .*/\1/p' "$1"
}

# Passed, failed and skipped tests in the output of `cargo test`. A test program that crashed is one failure. A line `skipped: what: why` is a test (or a check) that
# proved nothing here and said so; libtest counts such a test as passed, so it is moved from one column to the other.
count() {
    awk -v crashed="$(crashed_in "$1")" '
        /^test result: / { passed += $4; failed += $6; ignored += $8 }
        /^unstable: / { failed--; passed++ }
        /^(test .* \.\.\. )?skipped: test / { passed--; aloud++ }
        /^(test .* \.\.\. )?skipped: / && !/skipped: test / { aloud++ }
        END { print passed + 0, failed + crashed + 0, ignored + aloud + 0 }
    ' "$1"
}

summary() {
    if ((${#failures[@]})); then
        echo "failed:"
        printf '    %s\n' "${failures[@]}"
    fi
    grep -hE '^(skipped|left out|unstable): ' "$logs"/* 2>/dev/null | sort -u | sed 's/^/    /'
    echo "$SECONDS seconds in all"
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0))
}

main "$@"
