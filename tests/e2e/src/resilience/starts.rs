//! A system whose parts come in any order: who is there says what it waits for, and goes
//! to work when that has come. And parts that are told to end, and do so in good order.

use std::time::Duration;

use client::Api;
use client::wire::Seq;
use client::wire::frame::{EventKind, ServerFrame};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::harness::Feed;
use crate::harness::distributed::Dev;
use crate::harness::extra_gateway::ExtraGateway;
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

    async fn a_gateway_that_is_told_to_end_finishes_says_1001_and_exits_with_0(world: World) {
        let gateway = ExtraGateway::start(&Dev::from_env(), false).await;
        let ann = world.user().await;
        let room = ann.room().await;
        let api = Api::new(&format!("http://{}", gateway.address())).unwrap();
        let api = api.with_token(ann.token());
        let mut socket = api.connect().await.unwrap();
        let entered = socket.enter(room).await.unwrap();
        let mut busy = Feed::new(socket, entered);
        for number in 0..200 {
            busy.send(json!({ "Type": "message", "Text": number.to_string() })).await;
        }
        gateway.end().await;
        let mut told = 0;
        let end = loop {
            match busy.socket.next().await {
                Ok(ServerFrame::Sent(_)) => told += 1,
                Ok(_) => {}
                Err(end) => break end,
            }
        };
        assert!(matches!(end, client::Error::Closed { code: Some(1001), .. }), "{end:?}");
        // What was written, its author was told of.
        let log = ann.api().events(room, Seq::START, None, 1_000).await.unwrap();
        let written = log.events.iter().filter(|event| {
            matches!(event, ServerFrame::Event(event) if event.kind == EventKind::Message)
        });
        assert_eq!(written.count(), told);
        api.connect().await.expect_err("nobody listens any more");
    }
}
