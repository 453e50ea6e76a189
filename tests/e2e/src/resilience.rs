//! Parts of the distributed system killed, frozen and stopped, in turn and under load.
//! Whatever happens: no acknowledged message is missing or there twice, the log of a
//! room has no hole, and the system is whole again by itself.

use std::time::Duration;

use client::wire::Code;
use tokio::time::{Instant, sleep, timeout};

use crate::harness::World;
use crate::harness::distributed::Dev;

mod chats;
mod disk;
mod kafka;
mod load;
mod long_outage;
mod outages;
mod overload;
mod redis;
mod replicas;
mod sessions;
mod slow_readers;
mod starts;
mod upgrades;

use load::under_load;

/// Kills the process under load and starts it again.
async fn kill_and_restart(world: &World, name: &str) {
    let dev = Dev::from_env();
    under_load(world, async {
        dev.kill(name).await;
        sleep(Duration::from_secs(1)).await;
        dev.up(name).await;
    })
    .await;
    dev.well_again().await;
}

/// Stops the process for ten seconds under load.
async fn stop_for_a_while(world: &World, name: &str) {
    let dev = Dev::from_env();
    under_load(world, async {
        dev.down(name).await;
        sleep(Duration::from_secs(10)).await;
        dev.up(name).await;
    })
    .await;
    dev.well_again().await;
}

/// Freezes the process for five seconds under load, another one running.
async fn freeze_for_a_while(world: &World, name: &str) {
    let dev = Dev::from_env();
    assert!(
        dev.has("message-2"),
        "needs a second message-service (deploy/dev/up --message 2)"
    );
    under_load(world, async {
        dev.freeze(name).await;
        sleep(Duration::from_secs(5)).await;
        dev.thaw(name).await;
    })
    .await;
    dev.well_again().await;
}

disruptive_scenarios! {
    async fn a_killed_gateway_loses_nothing(world: World) {
        kill_and_restart(&world, "gateway-1").await;
    }

    async fn the_other_gateway_killed_loses_nothing(world: World) {
        kill_and_restart(&world, "gateway-2").await;
    }

    async fn a_killed_message_service_loses_nothing(world: World) {
        kill_and_restart(&world, "message-1").await;
    }

    async fn a_killed_user_service_loses_nothing(world: World) {
        kill_and_restart(&world, "user").await;
    }

    async fn a_killed_session_service_loses_nothing(world: World) {
        kill_and_restart(&world, "session").await;
    }

    async fn a_killed_rooms_service_loses_nothing(world: World) {
        kill_and_restart(&world, "rooms").await;
    }

    async fn a_killed_postgres_loses_nothing(world: World) {
        kill_and_restart(&world, "postgres").await;
    }

    async fn a_killed_redis_loses_nothing(world: World) {
        kill_and_restart(&world, "redis").await;
    }

    async fn a_killed_kafka_loses_nothing(world: World) {
        kill_and_restart(&world, "kafka").await;
    }

    async fn a_frozen_message_service_loses_nothing(world: World) {
        freeze_for_a_while(&world, "message-1").await;
    }

    async fn the_other_message_service_frozen_loses_nothing(world: World) {
        freeze_for_a_while(&world, "message-2").await;
    }

    async fn postgres_stopped_for_a_while_loses_nothing(world: World) {
        stop_for_a_while(&world, "postgres").await;
    }

    async fn redis_stopped_for_a_while_loses_nothing(world: World) {
        stop_for_a_while(&world, "redis").await;
    }

    async fn kafka_stopped_for_a_while_loses_nothing(world: World) {
        stop_for_a_while(&world, "kafka").await;
    }

    async fn without_postgres_sends_are_unavailable_and_connections_stay(world: World) {
        let dev = Dev::from_env();
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let (mut anns, mut bobs) = (ann.enter_at(0, room).await, bob.enter_at(1, room).await);
        anns.say("before").await;
        bobs.hears("before").await;
        dev.down("postgres").await;
        let asked = Instant::now();
        let refusal = anns.socket.say("during").await.unwrap_err();
        let answered = asked.elapsed();
        assert!(answered <= Duration::from_secs(6), "{answered:?}");
        assert!(matches!(refusal.code(), Some(Code::Unavailable | Code::DeadlineExceeded)), "{refusal:?}");
        assert!(refusal.retryable());
        anns.socket.ping().await.unwrap();
        bobs.socket.ping().await.unwrap();
        let saying = async {
            // The same nonce every time: whatever became of earlier tries, it is said once.
            while let Err(error) = anns.socket.say_in(None, "after", Some("after")).await {
                assert!(error.retryable() && error.refusal().is_some(), "{error:?}");
                sleep(Duration::from_millis(100)).await;
            }
            Instant::now()
        };
        let accepting = async {
            dev.postgres_accepts().await;
            Instant::now()
        };
        let all = async { tokio::join!(dev.up("postgres"), accepting, saying) };
        let all = timeout(Duration::from_mins(1), all).await;
        let ((), back, said) = all.expect("recovery by itself");
        let recovery = said.duration_since(back);
        assert!(recovery <= Duration::from_secs(2), "{recovery:?} after PostgreSQL");
        println!("a message is acknowledged {recovery:?} after PostgreSQL takes connections");
        // A send that was refused for want of an answer may have happened.
        let mut heard = bobs.message().await;
        if heard.text == "during" {
            heard = bobs.message().await;
        }
        assert_eq!(heard.text, "after");
        dev.well_again().await;
    }

    async fn without_kafka_messages_arrive_in_order_and_little_later(world: World) {
        let dev = Dev::from_env();
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let (mut anns, mut bobs) = (ann.enter_at(0, room).await, bob.enter_at(1, room).await);
        dev.down("kafka").await;
        // The first may take what it takes to notice.
        anns.say("first").await;
        bobs.hears("first").await;
        for number in 0..10 {
            let text = number.to_string();
            anns.say(&text).await;
            let said = Instant::now();
            bobs.hears(&text).await;
            assert!(said.elapsed() <= Duration::from_millis(2_500), "{:?}", said.elapsed());
        }
        dev.up("kafka").await;
        for number in 10..30 {
            let text = number.to_string();
            anns.say(&text).await;
            bobs.hears(&text).await;
        }
        dev.well_again().await;
    }
}
