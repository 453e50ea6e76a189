//! One process on one set of data.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use base::Error;
use runtime::Lifecycle;
use runtime::config::Secret;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

/// The number of the advisory lock: any, but always this one.
const NUMBER: i64 = 7_235_420_982;
/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the session that has the lock is tried.
const PERIOD: Duration = Duration::from_secs(1);

/// A lock on a file of the data directory, held as long as this lives.
#[derive(Debug)]
pub(crate) struct Folder {
    _file: File,
}

/// Locks a data directory.
pub(crate) fn folder(data: &Path) -> base::Result<Folder> {
    let path = data.join("lock");
    let trouble = |what: String| Error::invalid("data", format!("{}: {what}", data.display()));
    let file = File::create(&path).map_err(|error| trouble(error.to_string()))?;
    file.try_lock()
        .map_err(|_| trouble("another process is using it".to_owned()))?;
    Ok(Folder { _file: file })
}

/// Locks a database as long as the process lives. The lock goes with the session that
/// took it, so a session that broke is replaced; the process ends when another has the
/// lock by then. `name` is this process's alone.
pub(crate) async fn postgres(url: &Secret, name: &str, lifecycle: &Lifecycle) -> base::Result<()> {
    let options: PgConnectOptions = url
        .expose()
        .parse()
        .map_err(|_| trouble("cannot be read".to_owned()))?;
    let options = options
        .application_name(&format!("parley-lock-{name}"))
        .disable_statement_logging();
    let session = take(&options).await?.ok_or_else(in_use)?;
    let (stopping, life) = (lifecycle.stopping().clone(), lifecycle.clone());
    lifecycle.spawn("database-lock", async move {
        let keeping = keep(session, &options);
        if let Some(error) = stopping.run_until_cancelled(keeping).await {
            tracing::error!(%error, "the database is another's; the process goes down");
            life.drain();
        }
    });
    Ok(())
}

/// A session that has the lock; none when another process has it.
async fn take(options: &PgConnectOptions) -> base::Result<Option<PgConnection>> {
    let taking = async {
        let mut session = PgConnection::connect_with(options).await?;
        // The server may not have noticed that the session before this one broke.
        let (own,): (i64,) = sqlx::query_as(
            "SELECT COUNT(pg_terminate_backend(pid))
             FROM pg_stat_activity
             WHERE application_name = current_setting('application_name')
                 AND pid <> pg_backend_pid()",
        )
        .fetch_one(&mut session)
        .await?;
        let (locked,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_lock($1)")
            .bind(NUMBER)
            .fetch_one(&mut session)
            .await?;
        match (locked, own) {
            (true, _) => Ok(Some(session)),
            (false, 0) => Ok(None),
            (false, _) => Err(sqlx::Error::Protocol("its own old session ends".to_owned())),
        }
    };
    tokio::time::timeout(PATIENCE, taking)
        .await
        .map_err(|_| trouble("no answer from the server".to_owned()))?
        .map_err(|error: sqlx::Error| trouble(error.to_string()))
}

/// Has the lock for as long as nobody else has it.
async fn keep(mut session: PgConnection, options: &PgConnectOptions) -> Error {
    let mut tick = tokio::time::interval(PERIOD);
    loop {
        tick.tick().await;
        let ping = tokio::time::timeout(PATIENCE, session.ping());
        if matches!(ping.await, Ok(Ok(()))) {
            continue;
        }
        match take(options).await {
            Ok(Some(again)) => session = again,
            Ok(None) => return in_use(),
            Err(error) => tracing::debug!(%error, "the lock is not to be had yet"),
        }
    }
}

fn trouble(what: String) -> Error {
    Error::invalid("database-url", what)
}

fn in_use() -> Error {
    trouble("another process is using the database".to_owned())
}
