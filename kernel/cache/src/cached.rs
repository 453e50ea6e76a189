//! Reading and changing through a cache, so that services do not repeat the dance.

use std::future::Future;
use std::sync::Arc;

use base::Error;
use bytes::Bytes;
use runtime::Lifecycle;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Cache, Lookup};

/// The value under `key`, or what `load` reads, which is then kept. Absence is not
/// kept. `load` is not begun when the cache has the value.
///
/// # Errors
/// What `load` says.
pub async fn cached<T, E>(
    cache: &dyn Cache,
    key: &str,
    load: impl Future<Output = Result<Option<T>, E>>,
) -> Result<Option<T>, E>
where
    T: Serialize + DeserializeOwned,
{
    let lease = match cache.get(key).await {
        Lookup::Hit(bytes) => match serde_json::from_slice(&bytes) {
            Ok(value) => return Ok(Some(value)),
            // Written by another release. It dies by its age.
            Err(_) => return load.await,
        },
        Lookup::Miss(lease) => lease,
    };
    let value = load.await?;
    if let Some(value) = &value
        && let Ok(bytes) = serde_json::to_vec(value)
    {
        cache.fill(lease, Bytes::from(bytes)).await;
    }
    Ok(value)
}

/// Runs `change` while `keys` are held. It must not be given up in between, or the keys
/// are held for longer than they need be; [`changing`] sees to that.
pub async fn holding<T>(
    cache: &dyn Cache,
    keys: Vec<String>,
    change: impl Future<Output = T>,
) -> T {
    let mut holds = Vec::with_capacity(keys.len());
    for key in keys {
        holds.push(cache.hold(&key).await);
    }
    let outcome = change.await;
    // Whatever came of it: a change whose answer was lost may have been committed.
    for hold in holds {
        cache.release(hold).await;
    }
    outcome
}

/// Runs `change` while `keys` are held, on a task of its own: a caller who gives up
/// stops neither.
///
/// # Errors
/// When `change` panics.
pub async fn changing<T: Send + 'static>(
    cache: &Arc<dyn Cache>,
    lifecycle: &Lifecycle,
    keys: Vec<String>,
    change: impl Future<Output = T> + Send + 'static,
) -> Result<T, Error> {
    let cache = Arc::clone(cache);
    let work = lifecycle
        .tasks()
        .spawn(async move { holding(&*cache, keys, change).await });
    work.await.map_err(Error::internal)
}
