//! A system whose parts come in any order: who is there says what it waits for, and goes
//! to work when that has come.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::harness::own::OwnSystem;

/// How soon who waited for a part goes on with it.
const JOINED: Duration = Duration::from_secs(10);

disruptive_scenarios! {
    async fn a_service_that_is_not_up_yet_is_named_by_the_others_and_joins_when_it_comes(_world: World) {
        let own = OwnSystem::start().await;
        let dev = own.dev();
        let services = ["gateway-1", "gateway-2", "message-1", "message-2", "rooms", "user", "session"];
        for name in services.iter().chain(&["kafka", "redis", "postgres"]) {
            dev.down(name).await;
        }
        // In the worst order: everyone before those that it needs.
        for name in services {
            dev.begin(name).await;
        }
        let parts = [
            ("gateway-1", vec!["user", "session", "rooms", "message"]),
            ("message-1", vec!["postgres/message"]),
            ("rooms", vec!["postgres/rooms"]),
            ("user", vec!["postgres/users"]),
            ("session", vec!["postgres/sessions"]),
        ];
        for (name, parts) in &parts {
            dev.says(name, |ready| {
                let missing = ready["Missing"].as_object();
                ready["Ready"] == false
                    && missing.is_some_and(|it| parts.iter().all(|part| it.contains_key(*part)))
            })
            .await;
        }
        for (name, aid) in [("gateway-1", "kafka"), ("message-1", "kafka"), ("rooms", "redis")] {
            dev.says(name, |ready| ready["Degraded"].get(aid).is_some()).await;
        }

        // With the database alone all are ready; what they do without they say.
        dev.up("postgres").await;
        let there = Instant::now();
        let ready = async {
            for name in services {
                dev.says(name, |ready| ready["Ready"] == true).await;
            }
        };
        timeout(JOINED, ready).await.expect("ready by themselves");
        let joined = there.elapsed();
        let world = own.world();
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let (mut anns, mut bobs) = (ann.enter_at(0, room).await, bob.enter_at(1, room).await);
        anns.say("without Kafka and Redis").await;
        bobs.hears("without Kafka and Redis").await;

        dev.up("redis").await;
        dev.up("kafka").await;
        dev.well_again().await;
        anns.say("with all").await;
        bobs.hears("with all").await;
        println!("all were ready {joined:?} after PostgreSQL was");
    }
}
