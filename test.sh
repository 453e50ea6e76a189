#!/usr/bin/env bash
# Installs and starts what the tests need, then runs all of them: unit tests, the laws of
# every port on every adapter, every scenario embedded and distributed, and the page in a
# browser before both. With `--web` the last alone, and further arguments go to `node --test`;
# other arguments go to `cargo test`, without the page. A system that a developer has running
# is not disturbed: this one has its own folder and ports, and is always taken down again.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

export PARLEY_DEV_DIR=$PWD/.dev/test
# Settings of a developer's own system are not for this one.
unset PARLEY_DEV_PORT_OFFSET PARLEY_DEV_ENV_FILE
for name in $(compgen -e PARLEY_); do
    if [[ $name == *__* ]]; then unset "$name"; fi
done

# shellcheck source=deploy/dev/lib.sh
source deploy/dev/lib.sh
# shellcheck source=deploy/dev/backends.sh
source deploy/dev/backends.sh

main() {
    command -v cargo >/dev/null || die "needs Rust: https://rustup.rs"
    install_compiler

    # One compile serves all. The system under test runs the debug binaries that are built
    # here beside the tests, with the same features for both: release binaries would be a
    # second compile of everything, librdkafka and SQLite included, which costs more than
    # the tests themselves take. The linker is the toolchain's own (lld on Linux), for
    # flags given in one place and not in another would compile all over again.
    local features=distributed,servers
    cargo build --workspace --features "$features" --lib --bins --tests

    mkdir -p .dev
    exec {only}>.dev/test.lock
    flock --nonblock "$only" || die "another ./test.sh runs in this checkout"
    trap take_down EXIT
    # The trap above does the work, whatever ends this.
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    # What an interrupted run may have left.
    deploy/dev/down --wipe
    bring_up

    if [[ ${1-} != --web ]]; then cargo test --workspace --features "$features" "$@"; fi
    case ${1-} in
        --web) test_page "${@:2}" ;;
        '') test_page ;;
    esac
}

# The page in Debian's Chromium, before both systems at once, for most of it is waiting; how
# quick it is, before one after the other.
test_page() {
    local packages=() log=$PARLEY_DEV_DIR/log/page-standalone.log standalone status=0 file files=()
    command -v npm >/dev/null || die "needs Node 20 or newer with npm"
    if [[ -z ${PARLEY_TEST_CHROMIUM-} ]]; then
        command -v chromium >/dev/null || packages+=(chromium)
        # Without a font nothing is seen, and without this one no emoji.
        fc-list 2>/dev/null | grep -q NotoColorEmoji || packages+=(fonts-dejavu-core fonts-noto-color-emoji)
        if ((${#packages[@]})); then apt_install "${packages[@]}"; fi
        PARLEY_TEST_CHROMIUM=$(command -v chromium)
    fi
    PARLEY_TEST_STANDALONE=$(realpath -- "${CARGO_TARGET_DIR:-target}/debug/standalone")
    export PARLEY_TEST_CHROMIUM PARLEY_TEST_STANDALONE
    npm --prefix tests/web ci --no-audit --no-fund --loglevel=error
    for file in tests/web/*.test.js; do
        if [[ $file != */speed.test.js ]]; then files+=("${file##*/}"); fi
    done
    (PARLEY_TEST_GATEWAYS='' scenarios "$@" "${files[@]}") >"$log" 2>&1 &
    standalone=$!
    (PARLEY_TEST_STANDALONE='' scenarios "$@" "${files[@]}") || status=$?
    wait "$standalone" || status=$?
    cat "$log"
    (scenarios "$@" speed.test.js) || status=$?
    return "$status"
}

# One file at a time: some kill the gateway.
scenarios() {
    cd tests/web
    node --test --test-concurrency=1 --test-reporter=spec "$@"
}

bring_up() {
    local name names=() offset
    offset=$(free_offset)
    PARLEY_DEV_PORT_OFFSET=$offset deploy/dev/up --profile debug --no-limits --gateways 2 --message 2 >&2
    load_settings
    load_secrets
    export PARLEY_TEST_DEV_DIR=$PARLEY_DEV_DIR
    PARLEY_TEST_POSTGRES=postgres://$POSTGRES_USER:$POSTGRES_PASSWORD@$(address_of postgres)/$POSTGRES_DB
    PARLEY_TEST_REDIS=redis://:$REDIS_PASSWORD@$(address_of redis)
    PARLEY_TEST_KAFKA=$(address_of kafka)
    for name in gateway-1 gateway-2; do names+=("http://$(address_of "$name")"); done
    PARLEY_TEST_GATEWAYS=$(IFS=,; echo "${names[*]}")
    export PARLEY_TEST_POSTGRES PARLEY_TEST_REDIS PARLEY_TEST_KAFKA PARLEY_TEST_GATEWAYS
}

# The first offset at which nobody listens: another checkout may be testing too.
free_offset() {
    local name free
    for ((PORT_OFFSET = 1000; PORT_OFFSET <= 2800; PORT_OFFSET += 200)); do
        free=true
        for name in gateway-1 user message-1 postgres redis kafka; do
            if port_open "$(port_of "$name")"; then free=false; fi
        done
        if $free; then
            echo "$PORT_OFFSET"
            return
        fi
    done
    die "no free ports"
}

take_down() {
    local status=$?
    trap '' INT TERM HUP
    if ((status == 0)); then
        deploy/dev/down --wipe
    else
        deploy/dev/down || true
        say "test.sh: failed; the processes' logs are in ${PARLEY_DEV_DIR#"$PWD"/}/log"
    fi
    exit "$status"
}

main "$@"
