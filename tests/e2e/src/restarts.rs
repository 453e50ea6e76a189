//! What outlives a restart: all that was acknowledged.

use client::Error;
use client::wire::Code;

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
