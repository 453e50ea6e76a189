//! What outlives a restart: all that was acknowledged.

use client::Error;
use client::wire::Code;
use client::wire::frame::{EventKind, ServerFrame};
use serde_json::json;

use crate::harness::{World, refused, run_embedded};

/// In good order nothing is written whose author is not told. (A gateway of the
/// distributed system is killed here, which lets nobody tell.)
async fn what_was_taken_in_is_answered_before_the_end(world: World) {
    let mut own = world.own(false).await;
    let ann = own.user().await;
    let room = ann.room().await;
    let mut feed = ann.enter(room).await;
    for number in 0..100 {
        feed.send(json!({ "Type": "message", "Text": number.to_string() }))
            .await;
    }
    own.restart().await;
    let mut told = 0;
    while let Ok(frame) = feed.socket.next().await {
        told += usize::from(matches!(frame, ServerFrame::Sent(_)));
    }
    let history = ann.api().messages(room, None, 100).await.unwrap();
    let written = history.iter().filter(|it| it.kind == EventKind::Message);
    assert_eq!(written.count(), told);
    own.stop().await;
}

#[test]
fn in_good_order_what_was_taken_in_is_answered_before_the_end() {
    run_embedded(what_was_taken_in_is_answered_before_the_end);
}

scenarios! {
    async fn accounts_rooms_messages_and_tokens_outlive_a_restart(world: World) {
        let mut own = world.own(false).await;
        let (ann, bob) = own.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        ann.say_all(room, &["one", "two"]).await;
        let before = ann.api().messages(room, None, 100).await.unwrap();
        own.restart().await;
        let mut socket = bob.connect().await;
        assert_eq!(socket.enter(room).await.unwrap().seq, Some(before[0].id));
        assert_eq!(bob.api().messages(room, None, 100).await.unwrap(), before);
        assert_eq!(ann.api().profile().await.unwrap().username, ann.name);
        own.gateway(0).login(&ann.email, &ann.password).await.unwrap();
        assert_eq!(socket.say("three").await.unwrap().message_id, before[0].id.next());
        own.stop().await;
    }

    async fn sessions_and_their_ends_outlive_a_restart(world: World) {
        let mut own = world.own(false).await;
        let ann = own.user().await;
        let (kept, ended) = (ann.log_in().await, ann.log_in().await);
        let ended_api = ann.api().with_token(&ended.token);
        let renewed = ann.api().refresh(&kept.refresh_token, None).await.unwrap();
        let ticket = ann.api().ticket().await.unwrap().ticket;
        ended_api.logout().await.unwrap();
        own.restart().await;
        refused(ended_api.profile().await, Code::Unauthenticated);
        refused(ended_api.refresh(&ended.refresh_token, None).await, Code::Unauthenticated);
        let mut socket = client::Socket::connect_with_ticket(own.gateway(0), &ticket).await.unwrap();
        let kept_api = ann.api().with_token(&renewed.token);
        assert_eq!(kept_api.sessions().await.unwrap().len(), 2);
        refused(kept_api.refresh(&kept.refresh_token, None).await, Code::Unauthenticated);
        refused(kept_api.refresh(&renewed.refresh_token, None).await, Code::Unauthenticated);
        socket.ping().await.unwrap();
        own.stop().await;
    }

    async fn a_nonce_outlives_a_restart(world: World) {
        let mut own = world.own(false).await;
        let ann = own.user().await;
        let room = ann.room().await;
        let mut feed = ann.enter(room).await;
        let first = feed.socket.say_in(None, "once", Some("n")).await.unwrap();
        own.restart().await;
        let mut socket = ann.connect().await;
        socket.enter(room).await.unwrap();
        let again = socket.say_in(None, "once", Some("n")).await.unwrap();
        assert_eq!(again.message_id, first.message_id);
        let other = socket.say_in(None, "other", Some("n")).await.unwrap_err();
        assert_eq!(other.code(), Some(Code::NonceReused));
        assert_eq!(ann.api().messages(room, None, 100).await.unwrap().len(), 2);
        own.stop().await;
    }

    async fn a_connection_ends_with_its_gateway(world: World) {
        let mut own = world.own(false).await;
        let ann = own.user().await;
        let room = ann.room().await;
        let mut feed = ann.enter(room).await;
        own.restart().await;
        // In good order it says that it goes away; killed, it can say nothing.
        assert!(matches!(feed.end().await, Some(1001) | None));
        let error = feed.socket.say("anyone?").await.unwrap_err();
        assert!(matches!(error, Error::Closed { .. }), "{error:?}");
        own.stop().await;
    }
}
