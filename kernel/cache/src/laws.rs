//! The laws of a cache, which each adapter passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use runtime::Lifecycle;

use crate::{Cache, Lease, Lookup, cached, changing, holding};

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn miss(cache: &impl Cache, key: &str) -> Lease {
    match cache.get(key).await {
        Lookup::Miss(lease) => lease,
        Lookup::Hit(value) => panic!("{key} has {value:?}"),
    }
}

async fn hit(cache: &impl Cache, key: &str) -> Bytes {
    match cache.get(key).await {
        Lookup::Hit(value) => value,
        Lookup::Miss(lease) => panic!("{key} has {lease:?}"),
    }
}

pub(crate) async fn change(cache: &impl Cache, key: &str) {
    let hold = cache.hold(key).await;
    cache.release(hold).await;
}

async fn what_is_filled_is_found(cache: impl Cache) {
    let lease = miss(&cache, "k").await;
    cache.fill(lease, bytes("v")).await;
    assert_eq!(hit(&cache, "k").await, "v");
    let lease = miss(&cache, "empty").await;
    cache.fill(lease, Bytes::new()).await;
    assert_eq!(hit(&cache, "empty").await, "");
}

async fn only_the_first_who_misses_may_fill(cache: impl Cache) {
    let first = miss(&cache, "k").await;
    let second = miss(&cache, "k").await;
    cache.fill(second, bytes("second")).await;
    let third = miss(&cache, "k").await;
    cache.fill(first, bytes("first")).await;
    cache.fill(third, bytes("third")).await;
    assert_eq!(hit(&cache, "k").await, "first");
}

async fn a_changed_value_is_gone(cache: impl Cache) {
    let lease = miss(&cache, "k").await;
    cache.fill(lease, bytes("v")).await;
    change(&cache, "k").await;
    let lease = miss(&cache, "k").await;
    cache.fill(lease, bytes("w")).await;
    assert_eq!(hit(&cache, "k").await, "w");
}

async fn what_is_held_is_neither_served_nor_stored(cache: impl Cache) {
    let lease = miss(&cache, "k").await;
    cache.fill(lease, bytes("old")).await;
    let hold = cache.hold("k").await;
    let during = miss(&cache, "k").await;
    cache.fill(during, bytes("old")).await;
    miss(&cache, "k").await;
    cache.release(hold).await;
    let after = miss(&cache, "k").await;
    cache.fill(after, bytes("new")).await;
    assert_eq!(hit(&cache, "k").await, "new");
}

async fn a_release_leaves_anothers_hold(cache: impl Cache) {
    let (first, second) = (cache.hold("k").await, cache.hold("k").await);
    let third = cache.hold("k").await;
    for hold in [second, third, first] {
        let between = miss(&cache, "k").await;
        cache.fill(between, bytes("old")).await;
        miss(&cache, "k").await;
        cache.release(hold).await;
    }
    let after = miss(&cache, "k").await;
    cache.fill(after, bytes("new")).await;
    assert_eq!(hit(&cache, "k").await, "new");
}

async fn a_reader_from_before_a_change_cannot_write_the_old_value_back(cache: impl Cache) {
    let before = miss(&cache, "k").await;
    change(&cache, "k").await;
    cache.fill(before, bytes("old")).await;
    let after = miss(&cache, "k").await;
    cache.fill(after, bytes("new")).await;
    assert_eq!(hit(&cache, "k").await, "new");

    let before = miss(&cache, "l").await;
    change(&cache, "l").await;
    let after = miss(&cache, "l").await;
    cache.fill(before, bytes("old")).await;
    cache.fill(after, bytes("new")).await;
    assert_eq!(hit(&cache, "l").await, "new");
}

async fn a_lease_fills_once(cache: impl Cache) {
    let lease = miss(&cache, "k").await;
    let again = Lease(lease.0.as_ref().map(|standing| crate::Standing {
        key: standing.key.clone(),
        token: standing.token,
    }));
    cache.fill(lease, bytes("v")).await;
    cache.fill(again, bytes("w")).await;
    assert_eq!(hit(&cache, "k").await, "v");
}

async fn keys_do_not_mix(cache: impl Cache) {
    let (a, b) = (miss(&cache, "a").await, miss(&cache, "b").await);
    change(&cache, "b").await;
    cache.fill(a, bytes("a")).await;
    cache.fill(b, bytes("b")).await;
    assert_eq!(hit(&cache, "a").await, "a");
    miss(&cache, "b").await;
}

async fn reading_through_loads_once(cache: impl Cache) {
    let load = async { Ok::<_, ()>(Some((1_u64, "ann".to_owned()))) };
    let first = cached(&cache, "k", load).await;
    let never = async { Err(()) };
    let second = cached::<(u64, String), ()>(&cache, "k", never).await;
    assert_eq!(first, Ok(Some((1, "ann".to_owned()))));
    assert_eq!(second, first);
}

async fn absence_is_not_kept(cache: impl Cache) {
    let absent = cached::<u64, ()>(&cache, "k", async { Ok(None) }).await;
    let present = cached::<u64, ()>(&cache, "k", async { Ok(Some(7)) }).await;
    assert_eq!((absent, present), (Ok(None), Ok(Some(7))));
}

async fn a_change_comes_to_its_end_though_its_caller_gave_up(cache: impl Cache + 'static) {
    let cache: Arc<dyn Cache> = Arc::new(cache);
    let lifecycle = Lifecycle::new();
    let _ = cached::<u64, ()>(&*cache, "k", async { Ok(Some(1)) }).await;
    let (begun, wait_begun) = tokio::sync::oneshot::channel();
    let (go_on, wait_go_on) = tokio::sync::oneshot::channel::<()>();
    let change = async move {
        let _ = begun.send(());
        let _ = wait_go_on.await;
    };
    let mut caller = Box::pin(changing(&cache, &lifecycle, vec!["k".to_owned()], change));
    tokio::select! {
        _ = &mut caller => panic!("the change cannot be done yet"),
        begun = wait_begun => begun.unwrap(),
    }
    drop(caller);
    go_on.send(()).unwrap();
    assert!(lifecycle.stop(std::time::Duration::from_secs(5)).await);
    let now = cached::<u64, ()>(&*cache, "k", async { Ok(Some(2)) }).await;
    assert_eq!(now, Ok(Some(2)));
}

/// The database here is one number that only grows. Each reader notes it, reads
/// through the cache, and must not get less than what it had noted: all that was
/// changed and told before it began.
async fn no_reader_sees_an_old_value_after_a_change_however_they_race(cache: impl Cache + 'static) {
    let cache = Arc::new(cache);
    let stored = Arc::new(AtomicU64::new(0));
    let told = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (cache, stored, told) = (cache.clone(), stored.clone(), told.clone());
        tasks.spawn(async move {
            while told.load(Ordering::SeqCst) < 200 {
                let least = told.load(Ordering::SeqCst);
                let load = async {
                    let value = stored.load(Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    Ok::<_, ()>(Some(value))
                };
                let got = cached(&*cache, "k", load).await.unwrap().unwrap();
                assert!(got >= least, "read {got} after {least} was told");
                tokio::task::yield_now().await;
            }
        });
    }
    for value in 1..=200 {
        let commit = async { stored.store(value, Ordering::SeqCst) };
        holding(&*cache, vec!["k".to_owned()], commit).await;
        told.store(value, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
}

/// Runs laws on a cache in this process.
async fn memory(law: impl AsyncFnOnce(crate::Memory)) {
    law(crate::Memory::new()).await;
}

/// Runs laws on keys that no other test has.
#[cfg(feature = "servers")]
async fn redis(law: impl AsyncFnOnce(crate::redis::laws::Own)) {
    law(crate::redis::laws::open().await).await;
}

base::laws! {
    memory,
    #[cfg(feature = "servers")]
    redis;
    what_is_filled_is_found,
    only_the_first_who_misses_may_fill,
    a_changed_value_is_gone,
    what_is_held_is_neither_served_nor_stored,
    a_release_leaves_anothers_hold,
    a_reader_from_before_a_change_cannot_write_the_old_value_back,
    a_lease_fills_once,
    keys_do_not_mix,
    reading_through_loads_once,
    absence_is_not_kept,
    a_change_comes_to_its_end_though_its_caller_gave_up,
    no_reader_sees_an_old_value_after_a_change_however_they_race,
}
