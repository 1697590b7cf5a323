# Sourced by the other scripts: makes sure of the programs that they call.
# As root on Debian, what is missing is installed; otherwise the script says what to install, and ends with 1.

# need PROGRAM PACKAGE [PROGRAM PACKAGE ...]
need() {
    local missing=()
    while (($# >= 2)); do
        has "$1" || missing+=("$2")
        shift 2
    done
    ((${#missing[@]} == 0)) && return
    if ((EUID != 0)) || ! has apt-get; then
        echo "missing: please install ${missing[*]} (on Debian: sudo apt-get install ${missing[*]}), then run this again" >&2
        exit 1
    fi
    echo "installing ${missing[*]}"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y "${missing[@]}" >/dev/null
}

# need_rust: cargo, clippy and rustfmt of at least the version in Cargo.toml.
need_rust() {
    local wanted found
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)
    if ! has cargo; then
        local recipe="curl -fsS https://sh.rustup.rs | sh -s -- -y --profile minimal -c clippy -c rustfmt"
        if ((EUID != 0)); then
            echo "missing: Rust $wanted or newer; please run: $recipe" >&2
            exit 1
        fi
        echo "installing Rust"
        need curl curl
        bash -o pipefail -c "$recipe"
    fi
    found=$(cargo --version | cut -d' ' -f2)
    if [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n1) != "$wanted" ]]; then
        echo "cargo $found is too old: please install Rust $wanted or newer (rustup update stable)" >&2
        exit 1
    fi
    if ! cargo clippy --version >/dev/null 2>&1 || ! cargo fmt --version >/dev/null 2>&1; then
        has rustup || { echo "missing: please install clippy and rustfmt beside cargo $found" >&2; exit 1; }
        rustup component add clippy rustfmt
    fi
}

# need_cargo SUBCOMMAND: a program of crates.io that cargo runs.
need_cargo() {
    has "cargo-$1" || nice cargo install --locked "cargo-$1"
}

has() {
    command -v "$1" >/dev/null 2>&1
}
