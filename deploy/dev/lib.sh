# shellcheck shell=bash disable=SC2034
# What `up` and `down` share: where the state is, who listens where, and which
# process is whose. Sourced, never run.
# Invariant: a process is signalled only through its record, which names its start
# time and boot beside its pid, so a pid that was given to someone else is never hit.

DEV_HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
REPO=$(cd -- "$DEV_HERE/../.." && pwd)

DEV_DIR=${PARLEY_DEV_DIR:-$REPO/.dev}
[[ $DEV_DIR == /* ]] || DEV_DIR=$PWD/$DEV_DIR

HOST=127.0.0.1
STATE_FOLDERS=(conf data log pid)

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }
# What was asked for makes no sense.
misuse() { say "${0##*/}: $*"; exit 2; }

[[ -r /proc/self/stat ]] || die "needs Linux: processes are told apart by /proc"

# --- the registry -----------------------------------------------------------

# The columns of deploy/services, by name; the names in the table's order.
declare -A BINARIES PORTS ADMIN_PORTS MOST USES SECRETS
SERVICES=() BACKENDS=()

read_registry() {
    local name binary port admin most uses secrets
    while read -r name binary port admin most uses secrets; do
        if [[ -z $name || $name == '#'* ]]; then continue; fi
        PORTS[$name]=$port MOST[$name]=$most BINARIES[$name]=$binary
        ADMIN_PORTS[$name]=${admin#-} USES[$name]=${uses#-} SECRETS[$name]=${secrets#-}
        if [[ $binary == - ]]; then BACKENDS+=("$name"); else SERVICES+=("$name"); fi
    done <"$REPO/deploy/services"
}
read_registry

# --- settings ---------------------------------------------------------------

# Kept from the first `up` until a full `down`, so that `up NAME` starts a process
# just as it was. `load_settings` gives what is kept, or the defaults.
load_settings() {
    PORT_OFFSET=${PARLEY_DEV_PORT_OFFSET:-0} BACKEND_KIND='' GATEWAYS='' MESSAGES='' LIMITS='' BIN_DIR=''
    KAFKA_ADVERTISED=${PARLEY_DEV_KAFKA_ADVERTISED:-}
    if [[ -f $DEV_DIR/conf/settings ]]; then
        # shellcheck source=/dev/null
        source "$DEV_DIR/conf/settings"
    fi
}

keep_settings() {
    local name
    for name in PORT_OFFSET BACKEND_KIND GATEWAYS MESSAGES LIMITS BIN_DIR KAFKA_ADVERTISED; do
        printf '%s=%q\n' "$name" "${!name}"
    done >"$DEV_DIR/conf/settings.new"
    # Somebody may be reading them.
    mv -- "$DEV_DIR/conf/settings.new" "$DEV_DIR/conf/settings"
}

# The next `up` is a first one.
forget_settings() { rm -f -- "$DEV_DIR/conf/settings" "$DEV_DIR/conf/environment"; }

# Settings of the processes that the caller gave as PARLEY_<SERVICE>__… are kept as well.
load_environment() {
    local line
    while IFS= read -r line; do
        # What the caller says now wins over what was kept.
        [[ -v ${line%%=*} ]] || export "${line?}"
    done < <(cat -- "$DEV_DIR/conf/environment" 2>/dev/null)
}

keep_environment() {
    (
        umask 077
        env | sed -nE '/^PARLEY_[A-Z]+__[A-Z0-9_]+=/p' >"$DEV_DIR/conf/environment"
    )
}

# Passwords and keys are made once and live as long as the data they open.
load_secrets() {
    local file=$DEV_DIR/conf/secrets name
    if [[ ! -f $file ]]; then
        (
            umask 077
            # shellcheck disable=SC2046 # names without spaces
            for name in SERVICE_TOKEN POSTGRES_PASSWORD REDIS_PASSWORD $(tr , ' ' <<<"${SECRETS[*]}"); do
                printf '%s=%s\n' "$name" "$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"
            done >"$file.new"
        )
        mv -- "$file.new" "$file"
    fi
    # shellcheck source=/dev/null
    source "$file"
    POSTGRES_USER=parley
    POSTGRES_DB=parley
}

# --- names and addresses ----------------------------------------------------

# The service that a process is of: that of message-2 is message.
service_of() { printf '%s' "${1%-*}"; }

# All lie below the range from which the kernel takes ports for outgoing
# connections (32768 and up): a port in it may be taken just while its server is down,
# even by the very client that tries to reach it.
port_of() {
    local base=${PORTS[$(service_of "$1")]-}
    [[ $base ]] || die "no process is called $1"
    numbered_port "$base" "$1"
}

admin_port_of() {
    local base=${ADMIN_PORTS[$(service_of "$1")]-}
    [[ $base ]] || die "$1 has no admin port"
    numbered_port "$base" "$1"
}

numbered_port() {
    local number=1
    if [[ $2 == *-* ]]; then number=${2##*-}; fi
    printf '%s' $(($1 + number - 1 + PORT_OFFSET))
}

address_of() { printf '%s:%s' "$HOST" "$(port_of "$1")"; }

# The addresses of all processes of a service, separated by commas.
addresses_of() {
    local process
    for process in $(processes_of "$1"); do
        address_of "$process"
        echo
    done | paste -sd,
}

is_backend() { [[ " ${BACKENDS[*]} " == *" $1 "* ]]; }

# The processes of a service; GATEWAYS, for one, says how many there are of a replicated one.
processes_of() {
    local count=${1^^}S n
    if ((MOST[$1] == 1)); then
        echo "$1"
    else
        for ((n = 1; n <= ${!count:-0}; n++)); do echo "$1-$n"; done
    fi
}

# Every process, in the order they are printed.
all_services() {
    local name
    for name in "${SERVICES[@]}"; do processes_of "$name"; done
}

# A name becomes a path, so only those that exist will do.
check_names() {
    local name names
    mapfile -t names < <(all_services && printf '%s\n' "${BACKENDS[@]}")
    for name in "$@"; do
        [[ $name != *[[:space:]]* && " ${names[*]} " == *" $name "* ]] || misuse "no process is called $name; there are: ${names[*]}"
    done
}

# --- processes --------------------------------------------------------------

# `state start-time` of a pid; fails when there is none. The name in the second field
# may hold anything, so it is cut off at its last parenthesis.
proc_stat() {
    local stat fields
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    read -ra fields <<<"${stat##*)}"
    printf '%s %s' "${fields[0]}" "${fields[19]}"
}

record() {
    local name=$1 pid=$2 stat
    stat=$(proc_stat "$pid") || stat='X 0'
    printf '%s %s %s\n' "$pid" "${stat#* }" "$(</proc/sys/kernel/random/boot_id)" >"$DEV_DIR/conf/.$name.pid"
    # Whole or not at all: others read it.
    mv -- "$DEV_DIR/conf/.$name.pid" "$DEV_DIR/pid/$name"
}

# The recorded pid, when that very process still lives (a zombie does not).
live_pid() {
    local pid start boot stat
    read -r pid start boot 2>/dev/null <"$DEV_DIR/pid/$1" || return 1
    stat=$(proc_stat "$pid") || return 1
    [[ ${stat#* } == "$start" && ${stat% *} != [ZX] && $boot == "$(</proc/sys/kernel/random/boot_id)" ]] || return 1
    printf '%s' "$pid"
}

alive() { live_pid "$1" >/dev/null 2>&1; }

# spawn NAME COMMAND…: a process of its own session that outlives this script and
# holds none of its files. Its pid is the server's own, for nothing stays between.
spawn() {
    local name=$1
    shift
    (
        local fd
        for fd in /proc/self/fd/*; do
            fd=${fd##*/}
            if ((fd > 2)); then exec {fd}>&-; fi
        done
        # Its own user may not reach the state, and PostgreSQL returns to where it began.
        cd / && exec setsid "$@"
    ) </dev/null >>"$DEV_DIR/log/$name.log" 2>&1 &
    record "$name" $!
}

# --- probes -----------------------------------------------------------------

# shellcheck disable=SC2016 # expanded by the inner shell
port_open() { timeout 2 bash -c '(exec 3<>"/dev/tcp/$1/$2")' _ "$HOST" "$1" 2>/dev/null; }

# The status line of GET /health/ready says 200.
http_ready() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    timeout 2 bash -c '
        exec 3<>"/dev/tcp/$1/$2" || exit 1
        printf "GET /health/ready HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" "$1" >&3
        read -r _ status _ <&3 && [[ $status == 200 ]]
    ' _ "$HOST" "$1" 2>/dev/null
}

# What /health/ready says, for a human who waits in vain.
http_body() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    timeout 2 bash -c '
        exec 3<>"/dev/tcp/$1/$2" || exit 1
        printf "GET /health/ready HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" "$1" >&3
        sed "1,/^\r*$/d" <&3
    ' _ "$HOST" "$1" 2>/dev/null || echo "no answer"
}

# --- installing -------------------------------------------------------------

apt_install() {
    local sudo=()
    command -v apt-get >/dev/null || die "please install: $*"
    if ((EUID != 0)); then
        # Named, not given as values: sudo logs its arguments, and a proxy may have a password.
        sudo=(sudo -n "--preserve-env=http_proxy,https_proxy,no_proxy")
        "${sudo[@]}" true 2>/dev/null || die "please install (as root): apt-get install $*"
    fi
    say "installing $*"
    {
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
    } </dev/null >&2 || die "apt-get could not install $*"
}

# librdkafka and SQLite are C, built by their own makefiles.
install_compiler() {
    local missing=()
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    command -v c++ >/dev/null || missing+=(g++)
    command -v make >/dev/null || missing+=(make)
    if ((${#missing[@]})); then apt_install "${missing[@]}"; fi
}
