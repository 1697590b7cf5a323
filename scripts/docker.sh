# Sourced by the other scripts: an engine for containers, and the image that tests and benchmarks start nodes from.

# What nodes are started from: `loadgen node`, what it is linked to, and nothing else.
readonly NODE_IMAGE=plimsoll-node:test

# engine_up: an engine that answers, in DOCKER_HOST. Where none runs, a private one is started, whose files and processes
# nobody else sees; it needs root. Fails, and says why, where there can be none.
engine_up() {
    # Debian starts a daemon that it installs, and this wants one of its own.
    ((EUID != 0)) || has dockerd || without_services need dockerd docker.io || true
    has docker || { echo "there is no docker here, and it could not be installed"; return 1; }
    docker version >/dev/null 2>&1 && return
    ((EUID == 0)) || { echo "no engine answers, and only root can start one: start it, or set DOCKER_HOST"; return 1; }
    has dockerd || { echo "no engine answers, and there is no dockerd to start"; return 1; }
    engine_dir=$(mktemp -d "${TMPDIR:-/tmp}/plimsoll-docker.XXXXXX")
    export DOCKER_HOST=unix://$engine_dir/sock
    dockerd --data-root "$engine_dir/data" --exec-root "$engine_dir/exec" --pidfile "$engine_dir/pid" \
        --host "$DOCKER_HOST" >"$engine_dir/log" 2>&1 &
    engine_pid=$!
    local tries
    for ((tries = 0; tries < 150; tries++)); do
        docker version >/dev/null 2>&1 && return
        kill -0 "$engine_pid" 2>/dev/null || break
        sleep 0.2
    done
    echo "dockerd does not come up: $(tail -n 1 "$engine_dir/log")"
    engine_down
    return 1
}

# engine_down: ends what engine_up started, with all its containers; an engine of others is left as it is.
engine_down() {
    [[ -n ${engine_dir:-} ]] || return 0
    local left
    left=$(docker ps --all --quiet 2>/dev/null) && [[ -n $left ]] && docker rm --force $left >/dev/null 2>&1
    kill "$engine_pid" 2>/dev/null && wait "$engine_pid" 2>/dev/null
    # What a daemon that was killed left mounted would be deleted through the mount.
    awk -v dir="$engine_dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount 2>/dev/null
    rm -rf "$engine_dir"
    engine_dir=
}

# node_image BINARY: makes $NODE_IMAGE of a `loadgen` that is built, and of the libraries that it names.
node_image() {
    local folder status
    folder=$(mktemp -d) || return
    install -s -D "$1" "$folder/loadgen" || return
    ldd "$1" | grep -o '/[^ ]*' | xargs -I{} install -D {} "$folder/{}" || return
    tar --create --directory "$folder" . | docker import \
        --change 'ENTRYPOINT ["/loadgen", "node", "--listen", "0.0.0.0"]' --change 'EXPOSE 8080' - "$NODE_IMAGE" >/dev/null
    status=$?
    rm -rf "$folder"
    return "$status"
}
