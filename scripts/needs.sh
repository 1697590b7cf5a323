# Sourced by the other scripts: makes sure of the programs that they call.
# As root on Debian, what is missing is installed; otherwise each of them says what to install, and `needs_met`, after the
# last of them, ends the script with 1: whoever has to ask for a package wants to ask once.
unmet=()

# need PROGRAM PACKAGE [PROGRAM PACKAGE ...]
need() {
    local missing=()
    while (($# >= 2)); do
        has "$1" || missing+=("$2")
        shift 2
    done
    ((${#missing[@]} == 0)) && return
    if ((EUID != 0)) || ! has apt-get; then
        unmet+=("sudo apt-get install ${missing[*]}")
        return
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
            unmet+=("$recipe    # Rust $wanted or newer")
            return
        fi
        echo "installing Rust"
        need curl curl
        # A bare Debian has no certificates either, and curl only recommends them.
        [[ -e /etc/ssl/certs/ca-certificates.crt ]] || apt-get -qq install -y ca-certificates >/dev/null
        bash -o pipefail -c "$recipe" || { echo "Rust could not be installed: please install $wanted or newer" >&2; exit 1; }
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

# needs_met: what is missing and could not be installed from here ends the script.
needs_met() {
    ((${#unmet[@]} == 0)) && return
    echo "something is missing. Please run, and then this again:" >&2
    printf '    %s\n' "${unmet[@]}" >&2
    exit 1
}

# need_cargo SUBCOMMAND: a program of crates.io that cargo runs.
need_cargo() {
    has "cargo-$1" || nice cargo install --locked "cargo-$1"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# without_services COMMAND...: Debian starts a daemon that it installs; whoever installs it from here wants the program alone.
without_services() {
    local policy=/usr/sbin/policy-rc.d
    if ((EUID != 0)) || [[ -e $policy ]]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap "rm -f $policy" EXIT
    "$@"
    rm -f "$policy"
    trap - EXIT
}
