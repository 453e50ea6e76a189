//! Redis that is away, or there and silent: all goes on, no permission is wrong, and
//! nothing is older than the promise.

use std::time::Duration;

use client::wire::Code;
use tokio::time::{Instant, interval, sleep, timeout};

use crate::harness::distributed::Dev;
use crate::harness::refused;

/// How old a cached answer may be after an outage.
const STALE: Duration = Duration::from_secs(30);
/// What an answer may take while Redis gives none: more than usual, far less than a call's
/// deadline.
const SLOWER: Duration = Duration::from_secs(2);

const GETS: &str = "parley_cache_gets_total";

disruptive_scenarios! {
    async fn without_redis_all_goes_on_and_no_permission_is_wrong(world: World) {
        let dev = Dev::from_env();
        let (ann, bob, carl) = world.three_users().await;
        let room = ann.private_room().await;
        ann.api().invite(room, bob.uid).await.unwrap();
        assert_eq!(bob.api().rooms().await.unwrap(), [room]);
        let misses = async || dev.counter("rooms", GETS, r#"outcome="error""#).await;
        let before = misses().await;
        dev.down("redis").await;
        refused(carl.api().room(room).await, Code::NotFound);
        refused(carl.api().messages(room, None, 10).await, Code::PermissionDenied);
        ann.api().invite(room, carl.uid).await.unwrap();
        carl.say(room, "in").await;
        bob.api().leave(room).await.unwrap();
        refused(bob.api().messages(room, None, 10).await, Code::PermissionDenied);
        assert_eq!(carl.api().rooms().await.unwrap(), [room]);
        ann.api().profile().await.unwrap();
        assert!(misses().await > before, "errors of the cache are counted");
        dev.up("redis").await;
        refused(bob.api().messages(room, None, 10).await, Code::PermissionDenied);
        // What was kept before the outage may be seen for thirty seconds after it.
        let forgetting = async {
            while !bob.api().rooms().await.unwrap().is_empty() {
                sleep(Duration::from_millis(500)).await;
            }
        };
        timeout(STALE, forgetting).await.expect("nothing old after 30 s");
        dev.well_again().await;
    }

    async fn with_redis_frozen_answers_come_in_time_and_what_was_dropped_is_not_seen_again(world: World) {
        let dev = Dev::from_env();
        let (ann, bob, carl) = world.three_users().await;
        let room = ann.private_room().await;
        ann.api().invite(room, bob.uid).await.unwrap();
        assert_eq!(bob.api().rooms().await.unwrap(), [room]);
        let errors = async || dev.counter("rooms", "parley_cache_errors_total", "").await;
        let before = errors().await;
        dev.freeze("redis").await;
        let frozen = Instant::now();
        let mut slowest = Duration::ZERO;
        let mut turn = 0;
        while frozen.elapsed() < Duration::from_secs(8) {
            let asked = Instant::now();
            match turn % 6 {
                0 => refused(carl.api().room(room).await, Code::NotFound).code.map(drop),
                1 => refused(carl.api().messages(room, None, 10).await, Code::PermissionDenied).code.map(drop),
                2 => ann.api().profile().await.map(drop).ok(),
                3 => ann.api().room(room).await.map(drop).ok(),
                4 => ann.api().post(room, "on", None).await.map(drop).ok(),
                _ => ann.api().rooms().await.map(drop).ok(),
            }
            .expect("an answer");
            slowest = slowest.max(asked.elapsed());
            turn += 1;
        }
        let asked = Instant::now();
        bob.api().leave(room).await.unwrap();
        ann.api().invite(room, carl.uid).await.unwrap();
        slowest = slowest.max(asked.elapsed() / 2);
        assert!(bob.api().rooms().await.unwrap().is_empty());
        assert!(slowest <= SLOWER, "{slowest:?}");
        assert!(errors().await > before, "errors of the cache are counted");
        dev.thaw("redis").await;
        // Who changed it drops it before it reads again.
        let thawed = Instant::now();
        while thawed.elapsed() < Duration::from_secs(4) {
            assert!(bob.api().rooms().await.unwrap().is_empty());
            assert_eq!(carl.api().rooms().await.unwrap(), [room]);
            refused(bob.api().messages(room, None, 10).await, Code::PermissionDenied);
        }
        dev.well_again().await;
        println!("{turn} answers while Redis was frozen, the slowest after {slowest:?}");
    }

    async fn an_entry_that_nobody_could_drop_is_seen_for_thirty_seconds_at_most(world: World) {
        let dev = Dev::from_env();
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        assert_eq!(bob.api().rooms().await.unwrap(), [room]);
        dev.freeze("redis").await;
        // From here on nothing is sent that Redis would find when it goes on.
        dev.says("rooms", |ready| ready["Degraded"].get("redis").is_some()).await;
        bob.api().leave(room).await.unwrap();
        let left = Instant::now();
        // Who would have dropped it on its return is gone.
        dev.kill("rooms").await;
        dev.up("rooms").await;
        dev.thaw("redis").await;
        dev.well_again().await;
        let mut again = interval(Duration::from_millis(100));
        let mut seen = Duration::ZERO;
        while left.elapsed() < STALE + Duration::from_secs(5) {
            again.tick().await;
            // What grants access is never read from there.
            refused(bob.api().messages(room, None, 10).await, Code::PermissionDenied);
            if !bob.api().rooms().await.unwrap().is_empty() {
                seen = left.elapsed();
            }
        }
        assert!(seen > Duration::ZERO, "the entry was dropped after all");
        assert!(seen <= STALE, "{seen:?}");
        println!("an old entry was seen for {seen:?}");
    }
}
