//! One process on one set of data.

use std::fs::File;
use std::path::Path;

use base::Error;
use runtime::config::Secret;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

/// The number of the advisory lock: any, but always this one.
const NUMBER: i64 = 7_235_420_982;

/// Held as long as the process may use the data.
#[derive(Debug)]
pub(crate) enum Lock {
    /// A lock on a file of the data directory.
    Folder { _file: File },
    /// An advisory lock of a PostgreSQL session.
    Postgres { _session: Box<PgConnection> },
}

/// Locks a data directory.
pub(crate) fn folder(data: &Path) -> base::Result<Lock> {
    let path = data.join("lock");
    let trouble = |what: String| Error::invalid("data", format!("{}: {what}", data.display()));
    let file = File::create(&path).map_err(|error| trouble(error.to_string()))?;
    file.try_lock()
        .map_err(|_| trouble("another process is using it".to_owned()))?;
    Ok(Lock::Folder { _file: file })
}

/// Locks a database.
pub(crate) async fn postgres(url: &Secret) -> base::Result<Lock> {
    let trouble = |what: String| Error::invalid("database-url", what);
    let options: PgConnectOptions = url
        .expose()
        .parse()
        .map_err(|_| trouble("cannot be read".to_owned()))?;
    let options = options
        .application_name("parley-lock")
        .disable_statement_logging();
    let connecting = PgConnection::connect_with(&options);
    let connecting = tokio::time::timeout(std::time::Duration::from_secs(10), connecting);
    let mut session = connecting
        .await
        .map_err(|_| trouble("no answer from the server".to_owned()))?
        .map_err(|error| trouble(error.to_string()))?;
    let (locked,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_lock($1)")
        .bind(NUMBER)
        .fetch_one(&mut session)
        .await
        .map_err(|error| trouble(error.to_string()))?;
    if !locked {
        return Err(trouble("another process is using the database".to_owned()));
    }
    Ok(Lock::Postgres {
        _session: Box::new(session),
    })
}
