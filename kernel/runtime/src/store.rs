//! How a store fails, whichever database is behind it.

use base::Error;

/// A store could not do its work. That something is absent or taken is no such
/// error: those are outcomes of the use case.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is not there, full, or too slow; a retry may succeed.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The database and this program do not agree.
    #[error("the store failed: {0}")]
    Broken(String),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => Self::unavailable("the store is unavailable", cause),
            StoreError::Broken(cause) => Self::internal(cause),
        }
    }
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let passing = match &error {
            sqlx::Error::Database(database) => {
                database.code().is_some_and(|code| is_passing(&code))
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => true,
            _ => false,
        };
        if passing {
            Self::Unavailable(error.to_string())
        } else {
            Self::Broken(error.to_string())
        }
    }
}

/// Whether an error code says that the same statement may succeed later.
/// PostgreSQL: SQLSTATE classes 08 connection, 25P03 idle time-out, 3D000 and
/// 42P01 not yet migrated, 40 rollback, 53 resources (disk full too), 55 not in
/// the right state, 57 operator, 58 system. `SQLite`: primary result codes
/// BUSY 5, LOCKED 6, NOMEM 7, READONLY 8, INTERRUPT 9, IOERR 10, FULL 13,
/// CANTOPEN 14.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn is_passing(code: &str) -> bool {
    // A SQLSTATE has five characters; SQLite's extended codes have four at most.
    if code.len() == 5 {
        return matches!(&code[..2], "08" | "40" | "53" | "55" | "57" | "58")
            || matches!(code, "25P03" | "25006" | "3D000" | "3F000" | "42P01");
    }
    let primary = code.parse::<u32>().map_or(0, |code| code & 0xff);
    matches!(primary, 5..=10 | 13 | 14)
}

#[cfg(all(test, any(feature = "postgres", feature = "sqlite")))]
mod tests {
    use super::is_passing;

    #[test]
    fn a_full_disk_and_a_restart_pass_a_broken_rule_does_not() {
        for code in [
            "57P01", "53100", "08006", "40001", "25P03", "5", "13", "2570",
        ] {
            assert!(is_passing(code), "{code}");
        }
        for code in ["23505", "42601", "22P02", "1", "19", "1555"] {
            assert!(!is_passing(code), "{code}");
        }
    }
}
