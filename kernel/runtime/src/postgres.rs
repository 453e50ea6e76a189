//! PostgreSQL for a store: one schema a service, migrations at start, a pool whose
//! every wait has an end.

use std::borrow::Cow;
use std::time::Duration;

use sqlx::error::BoxDynError;
use sqlx::migrate::Migrator;
use sqlx::postgres::{
    PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgQueryResult,
};
use sqlx::{Arguments as _, AssertSqlSafe, Connection as _, Executor as _, Row as _};

use crate::config::Postgres;
use crate::sql::{Dialect, Pools};
use crate::{Lifecycle, Part, StoreError};

/// How long a use case waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection that is given back may take to answer. Without an end to this,
/// a database that went away without a word would keep each connection that was given up
/// on it, until the pool has none left. It is longer than a statement may run: one that was
/// given up runs to its end first, and to connect anew, time after time, would cost a
/// machine that is too slow already more than to wait.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that was used this short a time ago is not asked whether it lives.
const FRESH: Duration = Duration::from_secs(1);
/// How often the database is asked whether it is there.
const PROBE_PERIOD: Duration = Duration::from_secs(1);

/// The longest that one statement may run: a frozen database must not freeze a service.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);

/// A service's own schema in a database.
struct Schema {
    /// The schema's name: fixed words of ours, never a user's.
    name: &'static str,
    migrator: Migrator,
}

/// A pool on the service's schema. It returns at once: migrations run as soon as
/// the database can be reached, and the part `postgres` is up when they have.
///
/// # Errors
/// When the address cannot be read.
pub fn connect(
    postgres: &Postgres,
    schema: &'static str,
    migrator: Migrator,
    lifecycle: &Lifecycle,
) -> Result<Pools<sqlx::Postgres>, StoreError> {
    let timeout = STATEMENT_TIMEOUT.as_millis().to_string();
    let options = address(postgres)?.application_name(schema).options([
        ("search_path", schema),
        ("statement_timeout", &timeout),
        // A frozen holder of row locks must lose them.
        ("idle_in_transaction_session_timeout", "1000"),
        ("tcp_user_timeout", "5000"),
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "2"),
        ("tcp_keepalives_count", "2"),
        ("synchronous_commit", "on"),
    ]);
    let pool = PgPoolOptions::new()
        .max_connections(postgres.connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, it| {
            Box::pin(async move {
                if it.idle_for > FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_release(|connection, _| Box::pin(is_free(connection)))
        .connect_lazy_with(options);
    let part = lifecycle.health().part(format!("postgres/{schema}"));
    let schema = Schema {
        name: schema,
        migrator,
    };
    let work = keep(pool.clone(), schema, part);
    let stopping = lifecycle.stopping().clone();
    lifecycle.spawn("postgres", async move {
        stopping.run_until_cancelled(work).await;
    });
    Ok(Pools {
        writer: pool.clone(),
        readers: pool,
    })
}

impl Dialect for sqlx::Postgres {
    const BEGIN: &'static str = "BEGIN";

    fn affected(result: &PgQueryResult) -> u64 {
        result.rows_affected()
    }

    fn add_list(arguments: &mut PgArguments, list: &[i64]) -> Result<(), BoxDynError> {
        arguments.add(list)
    }
}

/// Whether the next user may have the connection; without an answer it is closed
/// at once. A call that was given up while its `BEGIN` was on the
/// way leaves a transaction open that sqlx does not know of, and the next user would work
/// in it. A statement of its own begins when its transaction does; `ROLLBACK` would do as
/// well, but for a warning in the server's log each time.
async fn is_free(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    // One simple query: of the extended protocol each step has a time of its own.
    let asking = sqlx::raw_sql("SELECT now() = statement_timestamp()").fetch_one(connection);
    tokio::time::timeout(RELEASE_TIMEOUT, asking)
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))?
        .try_get(0)
}

fn address(postgres: &Postgres) -> Result<PgConnectOptions, StoreError> {
    if let Some(url) = &postgres.url {
        return url
            .expose()
            .parse()
            .map_err(|_| StoreError::Broken("the URL cannot be read".into()));
    }
    let options = PgConnectOptions::new_without_pgpass()
        .host(&postgres.host)
        .port(postgres.port)
        .username(&postgres.user)
        .database(&postgres.db);
    Ok(match &postgres.password {
        Some(password) => options.password(password.expose()),
        None => options,
    })
}

/// Migrates as soon as it can, then watches.
async fn keep(pool: PgPool, schema: Schema, part: Part) {
    let mut tick = tokio::time::interval(PROBE_PERIOD);
    let mut migrator = schema.migrator;
    // A database that a newer release has migrated serves this one too.
    migrator.set_ignore_missing(true);
    loop {
        tick.tick().await;
        match tokio::time::timeout(
            Duration::from_mins(1),
            migrate(&pool, schema.name, &migrator),
        )
        .await
        {
            Ok(Ok(())) => break,
            Ok(Err(error)) => part.down(error),
            Err(_) => part.down("migrations took too long"),
        }
    }
    loop {
        let probe = tokio::time::timeout(ACQUIRE_TIMEOUT, pool.execute("SELECT 1"));
        match probe.await {
            Ok(Ok(_)) => part.up(),
            Ok(Err(error)) => part.down(error),
            Err(_) => part.down("no answer"),
        }
        tick.tick().await;
    }
}

async fn migrate(
    pool: &PgPool,
    schema: &'static str,
    migrator: &Migrator,
) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    connection.execute("SET statement_timeout = 0").await?;
    // CREATE SCHEMA IF NOT EXISTS races with itself; one lock for all of Parley's.
    connection
        .execute("SELECT pg_advisory_lock(7235420981)")
        .await?;
    let create = Cow::from(format!("CREATE SCHEMA IF NOT EXISTS {schema}"));
    let outcome = match connection.execute(AssertSqlSafe(create.into_owned())).await {
        Ok(_) => migrator
            .run_direct(None, &mut *connection, false)
            .await
            .map_err(sqlx::Error::from),
        Err(error) => Err(error),
    };
    // Closing the session gives back the lock and the time-out.
    connection.close().await?;
    outcome
}
