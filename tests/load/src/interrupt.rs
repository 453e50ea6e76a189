//! The wish to end this process, from a terminal or from the system.

use std::io::Error;

/// Waits until somebody wants this process to end.
pub(crate) async fn interrupted() -> Error {
    use tokio::signal::unix::{SignalKind, signal};
    let term = async {
        match signal(SignalKind::terminate()) {
            Ok(mut term) => term.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term => {}
    }
    std::io::ErrorKind::Interrupted.into()
}
