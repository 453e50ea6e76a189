# shellcheck shell=bash
# PostgreSQL, Redis and Kafka for `up`: by docker compose where an engine answers, else
# as plain processes of this machine. Sourced after lib.sh.
# Invariant: both kinds listen on the same addresses with the same passwords, so that
# nothing above can tell them apart.

KAFKA_VERSION=3.9.1
KAFKA_JARS=${XDG_CACHE_HOME:-${HOME:-~}/.cache}/parley/kafka-$KAFKA_VERSION

choose_backend_kind() {
    KIND_IS_NEW=false
    if [[ -z $BACKEND_KIND ]]; then
        KIND_IS_NEW=true
        BACKEND_KIND=${PARLEY_DEV_BACKENDS:-}
    fi
    if [[ -z $BACKEND_KIND ]]; then
        BACKEND_KIND=native
        if docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
            BACKEND_KIND=compose
        fi
    fi
    [[ $BACKEND_KIND == native || $BACKEND_KIND == compose ]] || die "PARLEY_DEV_BACKENDS is native or compose"
    [[ $BACKEND_KIND == native || -z $KAFKA_ADVERTISED ]] || die "PARLEY_DEV_KAFKA_ADVERTISED needs native backends"
}

# start_backends NAME…: all at once; `backend_ready` tells when each is there.
start_backends() {
    local name
    if [[ $BACKEND_KIND == compose ]]; then
        compose up --detach --wait "$@" >&2 || compose_failed "docker compose could not start: $*"
        for name in "$@"; do
            record "$name" "$(docker inspect --format '{{.State.Pid}}' "$(compose ps --quiet "$name")")"
            # An engine in a virtual machine has pids of its own.
            alive "$name" || compose_failed "this docker engine is not on this machine"
        done
        return
    fi
    install_backends
    # Side by side: a first start creates a cluster here and formats a disk there.
    local starting=()
    for name in "$@"; do
        "start_$name" &
        starting+=($!)
    done
    for name in "${starting[@]}"; do wait "$name"; done
}

backend_ready() {
    # `compose up --wait` has asked already.
    [[ $BACKEND_KIND == compose ]] || "ready_$1"
}

# --- docker compose ---------------------------------------------------------

compose() {
    PARLEY_POSTGRES_ADDRESS=$(address_of postgres) PARLEY_REDIS_ADDRESS=$(address_of redis) \
        PARLEY_KAFKA_ADDRESS=$(address_of kafka) \
        POSTGRES_USER=$POSTGRES_USER POSTGRES_PASSWORD=$POSTGRES_PASSWORD POSTGRES_DB=$POSTGRES_DB \
        REDIS_PASSWORD=$REDIS_PASSWORD \
        docker compose --project-name "parley-$(state_hash)" --file "$DEV_HERE/backends.yml" "$@"
}

# A kind that never worked is not held on to.
compose_failed() {
    if $KIND_IS_NEW; then
        compose down >&2 || true
        forget_settings
        die "$1 (PARLEY_DEV_BACKENDS=native does without docker)"
    fi
    die "$1"
}

state_hash() { sha256sum <<<"$DEV_DIR" | cut -c1-12; }

# --- installing -------------------------------------------------------------

install_backends() {
    local packages=()
    [[ -n $(postgres_bin) ]] || packages+=(postgresql)
    command -v redis-server >/dev/null || packages+=(redis-server)
    command -v java >/dev/null || packages+=(default-jre-headless)
    if [[ ! -d $KAFKA_JARS ]] && ! command -v mvn >/dev/null; then packages+=(maven); fi
    if ((${#packages[@]})); then apt_install "${packages[@]}"; fi
    [[ -n $(postgres_bin) ]] || die "needs PostgreSQL 15 or newer"
    [[ -d $KAFKA_JARS ]] || fetch_kafka
}

# Outside the state, so that neither a wipe nor a fresh checkout fetches it again;
# moved into place whole, so that an interrupted fetch is not taken for a finished one.
fetch_kafka() {
    local partial=$KAFKA_JARS.partial.$$ proxies
    mapfile -t proxies < <(maven_proxies)
    say "fetching Apache Kafka $KAFKA_VERSION"
    mkdir -p -- "$partial"
    mvn --batch-mode --quiet "${proxies[@]}" --file "$DEV_HERE/kafka/pom.xml" \
        dependency:copy-dependencies -DoutputDirectory="$partial" </dev/null >&2 || {
        rm -rf -- "$partial"
        die "maven could not fetch Kafka"
    }
    mv -T -- "$partial" "$KAFKA_JARS" 2>/dev/null || rm -rf -- "$partial"
}

# Maven reads none of the proxy variables; Java has properties in their place, and
# Maven 3.9 looks at those only when it is told to.
maven_proxies() {
    local scheme proxy direct=${no_proxy:-}
    for scheme in http https; do
        proxy=${scheme}_proxy
        # [SCHEME://][USER:PASSWORD@]HOST[:PORT][/]
        if [[ ${!proxy:-} =~ ^([a-z]+://)?([^@/]*@)?([^:/@]+)(:([0-9]+))?/?$ ]]; then
            printf '%s\n' "-D$scheme.proxyHost=${BASH_REMATCH[3]}" "-D$scheme.proxyPort=${BASH_REMATCH[5]:-80}"
        fi
    done
    if [[ $direct ]]; then
        # Java separates by bars, and has a star where others begin with a dot.
        printf '%s\n' "-Dhttp.nonProxyHosts=$(sed -E 's/ *, */|/g; s/(^|\|)\./\1*./g' <<<"$direct")"
    fi
    printf '%s\n' -Daether.connector.http.useSystemProperties=true
}

# --- PostgreSQL -------------------------------------------------------------

# The newest server of at least 15. Debian keeps them off the PATH, and the clients of a
# version without its server in the same place.
postgres_bin() {
    local bin
    while read -r bin; do
        if [[ -x $bin/postgres && -x $bin/initdb && $("$bin/postgres" --version) =~ ([0-9]+) && ${BASH_REMATCH[1]} -ge 15 ]]; then
            printf '%s' "$bin"
            return
        fi
    done < <(
        find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -rV
        if command -v postgres >/dev/null; then dirname -- "$(command -v postgres)"; fi
    )
}

# PostgreSQL refuses to run as root; `setpriv` changes the user without a process between.
as_postgres() {
    if ((EUID == 0)); then set -- setpriv --reuid postgres --regid postgres --init-groups "$@"; fi
    printf '%s\0' "$@"
}

run_as_postgres() {
    local command
    mapfile -d '' -t command < <(as_postgres "$@")
    "${command[@]}"
}

# Beside the rest of the state, unless its user cannot get there.
postgres_data() {
    local beside=$DEV_DIR/data/postgres elsewhere
    elsewhere=/var/tmp/parley-$(state_hash)
    if [[ -d $beside ]] || { [[ ! -d $elsewhere ]] && run_as_postgres test -x "$DEV_DIR/data"; }; then
        printf '%s' "$beside"
    else
        printf '%s/postgres' "$elsewhere"
    fi
}

init_postgres() {
    local data=$1 bin password=$1.password owner=()
    bin=$(postgres_bin)
    say "creating a database cluster in $data"
    # Its user has to get there.
    (umask 022 && mkdir -p -- "$(dirname -- "$data")")
    rm -rf -- "$data.new"
    ((EUID != 0)) || owner=(--owner postgres --group postgres)
    install -d -m 700 "${owner[@]}" -- "$data.new"
    install -m 600 "${owner[@]}" -- /dev/null "$password"
    printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
    (
        cd /
        run_as_postgres "$bin/initdb" --pgdata "$data.new" --username "$POSTGRES_USER" \
            --pwfile "$password" --auth scram-sha-256 --encoding UTF8 --locale C.UTF-8
    ) >>"$DEV_DIR/log/postgres.log" 2>&1 || die "initdb failed, see $DEV_DIR/log/postgres.log"
    rm -f -- "$password"
    mv -T -- "$data.new" "$data"
}

start_postgres() {
    local data command
    data=$(postgres_data)
    [[ -d $data ]] || init_postgres "$data"
    mapfile -d '' -t command < <(as_postgres "$(postgres_bin)/postgres" -D "$data" \
        -c listen_addresses="$HOST" -c port="$(port_of postgres)" -c unix_socket_directories= \
        -c max_connections=200 -c shared_buffers=256MB -c max_wal_size=2GB \
        -c backend_flush_after=512kB)
    spawn postgres "${command[@]}"
}

sql() {
    PGPASSWORD=$POSTGRES_PASSWORD PGCONNECT_TIMEOUT=2 "$(postgres_bin)/psql" --no-psqlrc --quiet --tuples-only \
        --no-align --host "$HOST" --port "$(port_of postgres)" --username "$POSTGRES_USER" \
        --dbname postgres --command "$1" </dev/null
}

ready_postgres() { [[ $(sql 'SELECT 1' 2>/dev/null) == 1 ]]; }

create_database() {
    # The image of the compose kind makes it by itself.
    if [[ $BACKEND_KIND == native && -z $(sql "SELECT 1 FROM pg_database WHERE datname = '$POSTGRES_DB'") ]]; then
        sql "CREATE DATABASE $POSTGRES_DB"
    fi
}

# --- Redis ------------------------------------------------------------------

start_redis() {
    local conf=$DEV_DIR/conf/redis.conf
    (
        umask 077
        mkdir -p -- "$DEV_DIR/data/redis"
        cat >"$conf" <<-CONF
		bind $HOST
		port $(port_of redis)
		requirepass $REDIS_PASSWORD
		maxmemory 256mb
		maxmemory-policy allkeys-lru
		save ""
		dir "$DEV_DIR/data/redis"
		CONF
    )
    spawn redis redis-server "$conf"
}

ready_redis() {
    [[ $(REDISCLI_AUTH=$REDIS_PASSWORD timeout 2 redis-cli -h "$HOST" -p "$(port_of redis)" ping 2>/dev/null) == PONG ]]
}

# --- Kafka ------------------------------------------------------------------

kafka_controller_port() { printf '%s' $(($(port_of kafka) + 1)); }

start_kafka() {
    local conf=$DEV_DIR/conf/kafka.properties data=$DEV_DIR/data/kafka options
    cat >"$conf" <<-CONF
	process.roles=broker,controller
	node.id=1
	controller.quorum.voters=1@$HOST:$(kafka_controller_port)
	controller.listener.names=CONTROLLER
	listeners=PLAINTEXT://$(address_of kafka),CONTROLLER://$HOST:$(kafka_controller_port)
	advertised.listeners=PLAINTEXT://${KAFKA_ADVERTISED:-$(address_of kafka)}
	log.dirs=$data
	# The services make their topics, with the partitions they need.
	auto.create.topics.enable=false
	offsets.topic.replication.factor=1
	offsets.topic.num.partitions=1
	transaction.state.log.replication.factor=1
	transaction.state.log.min.isr=1
	group.initial.rebalance.delay.ms=0
	# A broker that was killed may come back as soon as its old session has ended.
	broker.session.timeout.ms=3000
	broker.heartbeat.interval.ms=500
	CONF
    options=(-cp "$KAFKA_JARS/*" -Dorg.slf4j.simpleLogger.showDateTime=true
        -Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd\'T\'HH:mm:ss.SSSZ
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn)
    if [[ ! -f $data/meta.properties ]]; then
        java "${options[@]}" -XX:TieredStopAtLevel=1 kafka.tools.StorageTool format \
            --cluster-id "$(kafka_cluster_id)" --config "$conf" \
            </dev/null >>"$DEV_DIR/log/kafka.log" 2>&1 || die "kafka's storage could not be formatted, see $DEV_DIR/log/kafka.log"
    fi
    spawn kafka java -Xms256m -Xmx512m "${options[@]}" kafka.Kafka "$conf"
}

# A UUID as Kafka writes it: 16 random bytes in URL-safe base64 without padding. The
# first is fixed, for an id must not begin with a dash.
kafka_cluster_id() {
    { printf 'P'; head -c 15 /dev/urandom; } | base64 | tr '+/' '-_' | tr -d '='
}

# Asks for metadata (key 3, version 1, no topics) and wants one live broker in the answer:
# an open port alone does not tell that the broker may be used yet.
ready_kafka() {
    local answer
    # shellcheck disable=SC2016 # expanded by the inner shell
    answer=$(timeout 2 bash -c '
        exec 3<>"/dev/tcp/$1/$2" || exit 1
        printf "\0\0\0\16\0\3\0\1\0\0\0\1\xff\xff\0\0\0\0" >&3
        head -c 12 <&3 | od -An -tx1 | tr -d " \n"
    ' _ "$HOST" "$(port_of kafka)" 2>/dev/null)
    # Length, our correlation id, then the number of brokers.
    [[ $answer =~ ^[0-9a-f]{8}00000001([0-9a-f]{8})$ && ${BASH_REMATCH[1]} != 00000000 ]]
}
