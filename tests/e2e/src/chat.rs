//! The WebSocket: entering, saying, hearing, in one order.

use client::wire::frame::{EventKind, ServerFrame};
use client::wire::{Code, RoomId};
use client::{Socket, TokenIn};
use serde_json::{Value, json};

use crate::harness::raw::RawSocket;
use crate::harness::refused;

/// The keys and values of a text frame, but for those that are later additions.
fn original(frame: &str) -> Value {
    let mut frame: Value = serde_json::from_str(frame).unwrap();
    let keys = frame.as_object_mut().unwrap();
    for addition in ["Epoch", "First"] {
        keys.remove(addition);
    }
    frame
}

scenarios! {
    async fn the_original_conversation_is_understood_frame_by_frame(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room().await;
        let mut socket = RawSocket::open(ann.api()).await;

        socket.send_text(&format!(r#"{{"Type":"enter","RoomID":{room}}}"#)).await;
        let entered = json!({ "Type": "enter", "RoomID": room, "Seq": 1 });
        assert_eq!(original(&socket.text().await), entered);

        bob.api().join(room).await.unwrap();
        let join = original(&socket.text().await);
        let time = join["Timestamp"].as_str().unwrap();
        assert_eq!(join, json!({
            "Type": "join", "ID": 2, "Seq": 2, "RoomID": room, "UID": bob.uid, "Text": "",
            "Timestamp": time,
        }));

        socket.send_text(r#"{"type":"message","text":"hello"}"#).await;
        let mut frames = [original(&socket.text().await), original(&socket.text().await)];
        // `sent` may come before or after one's own copy.
        frames.sort_by_key(|frame| frame["Type"].as_str().map(str::to_owned));
        let time = frames[0]["Timestamp"].as_str().unwrap();
        assert_eq!(frames[0], json!({
            "Type": "message", "ID": 3, "Seq": 3, "RoomID": room, "UID": ann.uid, "Text": "hello",
            "Timestamp": time,
        }));
        assert_eq!(frames[1], json!({
            "Type": "sent", "MessageID": 3, "RoomID": room, "Timestamp": time,
        }));

        socket.send_text(r#"{"Type":"enter","RoomID":0}"#).await;
        assert_eq!(original(&socket.text().await), json!({ "Type": "enter", "RoomID": 0 }));
        socket.send_text(r#"{"Type":"ping"}"#).await;
        assert_eq!(original(&socket.text().await), json!({ "Type": "pong" }));
        socket.send_text("nonsense").await;
        let error = original(&socket.text().await);
        assert_eq!(error["Type"], "error");
        assert_eq!((&error["Code"], &error["Retryable"]), (&json!("invalid_argument"), &json!(false)));
        assert!(!error["Error"].as_str().unwrap().is_empty());
    }

    async fn a_token_in_the_url_is_as_good_as_one_in_a_header(world: World) {
        let ann = world.user().await;
        for token_in in [TokenIn::Query, TokenIn::Header] {
            let mut socket = Socket::connect(ann.api_at(1), token_in).await.unwrap();
            socket.ping().await.unwrap();
        }
    }

    async fn everyone_in_the_room_hears_a_message_the_sender_too(world: World) {
        let (ann, bob, carl) = world.three_users().await;
        let room = ann.room_with(&[&bob, &carl]).await;
        let mut anns = ann.enter_at(0, room).await;
        let mut others = [bob.enter_at(0, room).await, carl.enter_at(1, room).await];
        let sent = anns.say("hello").await;
        let own = anns.hears("hello").await;
        assert_eq!((own.uid, own.room, own.id, own.seq), (ann.uid, room, sent.message_id, sent.message_id));
        assert_eq!(own.timestamp, sent.timestamp);
        for feed in &mut others {
            assert_eq!(feed.hears("hello").await, own);
        }
    }

    async fn two_gateways_with_one_member_on_each_are_one_conversation(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let (mut anns, mut bobs) = (ann.enter_at(0, room).await, bob.enter_at(1, room).await);
        for number in 0..20 {
            let text = format!("ping {number}");
            anns.say(&text).await;
            bobs.hears(&text).await;
            anns.hears(&text).await;
            let text = format!("pong {number}");
            bobs.say(&text).await;
            anns.hears(&text).await;
            bobs.hears(&text).await;
        }
    }

    async fn everyone_hears_everything_once_and_in_one_order(world: World) {
        const EACH: usize = 40;
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let mut feeds = Vec::new();
        for (gateway, user) in [(0, &ann), (1, &bob), (1, &ann), (0, &bob)] {
            feeds.push(user.enter_at(gateway, room).await);
        }
        let mut talkers = tokio::task::JoinSet::new();
        for (index, mut feed) in feeds.into_iter().enumerate() {
            talkers.spawn(async move {
                for number in 0..EACH {
                    // Without waiting for the answer.
                    feed.send(json!({ "Type": "message", "Text": format!("{index} {number}") })).await;
                }
                let mut heard = Vec::new();
                while heard.len() < 4 * EACH {
                    heard.push(feed.message().await);
                }
                (index, heard)
            });
        }
        let mut logs = talkers.join_all().await;
        logs.sort_by_key(|(index, _)| *index);
        let log = &logs[0].1;
        assert!(log.iter().map(|event| event.seq.get()).eq(3..3 + 4 * EACH as u64));
        assert!(logs.iter().all(|(_, heard)| heard == log));
        for index in 0..4 {
            // A connection's frames take effect in the order sent.
            let own = format!("{index} ");
            let texts = log.iter().map(|event| &event.text).filter(|text| text.starts_with(&own));
            assert!(texts.eq((0..EACH).map(|number| format!("{index} {number}")).collect::<Vec<_>>().iter()));
        }
    }

    async fn enter_and_message_may_be_sent_in_one_breath(world: World) {
        let ann = world.user().await;
        let rooms = [ann.room().await, ann.room().await];
        let mut socket = ann.connect().await;
        for room in rooms {
            socket.send_text(json!({ "Type": "enter", "RoomID": room }).to_string()).await.unwrap();
            let text = format!("in {room}");
            socket.send_text(json!({ "Type": "message", "Text": text }).to_string()).await.unwrap();
        }
        let mut sent = Vec::new();
        while sent.len() < 2 {
            if let ServerFrame::Sent(frame) = socket.next().await.unwrap() {
                sent.push(frame.room);
            }
        }
        sent.sort();
        assert_eq!(sent, rooms);
        for room in rooms {
            let history = ann.api().messages(room, None, 100).await.unwrap();
            assert_eq!(history[0].text, format!("in {room}"));
            assert_eq!(history.len(), 2);
        }
    }

    async fn entering_says_where_the_log_stands(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        ann.say_all(room, &["one", "two"]).await;
        let mut feed = bob.enter_at(1, room).await;
        assert_eq!((feed.entered.room, feed.seq().get()), (Some(room), 4));
        feed.hears_nothing().await;
        ann.say(room, "three").await;
        assert_eq!(feed.hears("three").await.seq.get(), 5);
    }

    async fn nothing_is_missed_between_the_answer_to_enter_and_the_first_event(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let mut anns = ann.enter(room).await;
        let talking = async {
            for number in 0..60 {
                anns.say(&number.to_string()).await;
            }
        };
        let entering = async {
            for round in 0..20 {
                let mut feed = bob.enter_at(round % 2, room).await;
                let expected = feed.seq().next();
                if expected.get() > 62 {
                    break;
                }
                assert_eq!(feed.message().await.seq, expected);
            }
        };
        tokio::join!(talking, entering);
    }

    async fn who_switches_hears_the_new_room_and_not_the_old(world: World) {
        let (ann, bob) = world.two_users().await;
        let (old, new) = (ann.room_with(&[&bob]).await, ann.room_with(&[&bob]).await);
        let mut feed = bob.enter(old).await;
        let entered = feed.socket.enter(new).await.unwrap();
        assert_eq!(entered.room, Some(new));
        ann.say(old, "old").await;
        ann.say(new, "new").await;
        assert_eq!(feed.hears("new").await.room, new);
        feed.hears_nothing().await;
        assert_eq!(feed.say("mine").await.room, new);
    }

    async fn who_leaves_the_room_for_none_hears_nothing(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let mut feed = bob.enter(room).await;
        let mut witness = bob.enter(room).await;
        feed.socket.enter_at(None, None, None).await.unwrap();
        ann.say(room, "anyone?").await;
        witness.hears("anyone?").await;
        feed.hears_nothing().await;
        refused(feed.socket.say("I").await, Code::InvalidArgument);
        // He is a member all the same.
        assert_eq!(bob.api().rooms().await.unwrap(), [room]);
    }

    async fn entering_the_current_room_again_is_allowed(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        let mut feed = ann.enter(room).await;
        feed.say("one").await;
        feed.hears("one").await;
        let again = feed.socket.enter(room).await.unwrap();
        assert_eq!((again.room, again.seq.unwrap().get()), (Some(room), 2));
        assert!(again.epoch.is_some() && again.first.is_some(), "{again:?}");
        feed.say("two").await;
        feed.hears("two").await;
        feed.hears_nothing().await;
    }

    async fn without_a_room_a_message_is_an_error_and_nothing_happens(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        let mut socket = ann.connect().await;
        refused(socket.say("hello?").await, Code::InvalidArgument);
        socket.enter(room).await.unwrap();
        assert_eq!(socket.say("hello").await.unwrap().message_id.get(), 2);
    }

    async fn a_refused_enter_leaves_one_where_one_was(world: World) {
        let (ann, bob) = world.two_users().await;
        let (own, foreign) = (ann.room().await, bob.private_room().await);
        let mut feed = ann.enter(own).await;
        refused(feed.socket.enter(foreign).await, Code::PermissionDenied);
        assert_eq!(feed.say("still here").await.room, own);
        feed.hears("still here").await;
    }

    async fn a_reference_comes_back_on_answers_and_errors(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        let mut feed = ann.enter(room).await;
        feed.send(json!({ "Type": "ping", "Ref": "r1" })).await;
        let ServerFrame::Pong(pong) = feed.socket.next().await.unwrap() else { panic!() };
        assert_eq!(pong.reference.as_deref(), Some("r1"));
        feed.send(json!({ "Type": "sparkle", "Ref": "r2" })).await;
        assert_eq!(feed.fault().await.reference.as_deref(), Some("r2"));
        feed.send(json!({ "Type": "enter", "RoomID": room, "Ref": "r3" })).await;
        let ServerFrame::Enter(entered) = feed.socket.next().await.unwrap() else { panic!() };
        assert_eq!(entered.reference.as_deref(), Some("r3"));
    }

    async fn a_nonce_said_twice_is_one_message(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let mut feeds = [ann.enter_at(0, room).await, ann.enter_at(1, room).await];
        let mut bobs = bob.enter(room).await;
        let first = feeds[0].socket.say_in(None, "once", Some("n-1")).await.unwrap();
        let again = feeds[1].socket.say_in(None, "once", Some("n-1")).await.unwrap();
        assert_eq!((first.message_id, first.timestamp), (again.message_id, again.timestamp));
        let other = feeds[1].socket.say_in(None, "something else", Some("n-1")).await;
        refused(other, Code::NonceReused);
        // A nonce is its user's own.
        let bobs_own = bobs.socket.say_in(None, "twice", Some("n-1")).await.unwrap();
        assert_eq!(bobs_own.message_id, first.message_id.next());
        bobs.hears("once").await;
        bobs.hears("twice").await;
        bobs.hears_nothing().await;
    }

    async fn one_user_on_many_devices_hears_the_same_on_all(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        let mut devices = Vec::new();
        for gateway in 0..6 {
            devices.push(ann.enter_at(gateway % 2, room).await);
        }
        devices[0].say("to myself").await;
        for device in &mut devices {
            device.hears("to myself").await;
        }
        // Only the sending connection is told that it is durable.
        devices[1].hears_nothing().await;
    }

    async fn a_connection_that_ends_harms_no_other(world: World) {
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let mut anns = ann.enter(room).await;
        for abrupt in [true, false] {
            let bobs = bob.enter(room).await;
            if abrupt { drop(bobs) } else { bobs.socket.close().await }
            anns.say("are you there?").await;
            anns.hears("are you there?").await;
        }
        // An end is no leave.
        assert_eq!(bob.api().rooms().await.unwrap(), [room]);
        anns.hears_nothing().await;
    }

    async fn a_message_is_durable_when_it_is_said_to_be(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        let mut feed = ann.enter_at(0, room).await;
        for number in 0..10 {
            let sent = feed.say(&format!("{number}")).await;
            let newest = &ann.api_at(1).messages(room, None, 1).await.unwrap()[0];
            assert_eq!((newest.id, newest.kind), (sent.message_id, EventKind::Message));
        }
    }

    async fn rooms_do_not_mix(world: World) {
        let (ann, bob) = world.two_users().await;
        let mut feeds: Vec<(RoomId, _, _)> = Vec::new();
        for _ in 0..5 {
            let room = ann.room_with(&[&bob]).await;
            feeds.push((room, ann.enter_at(0, room).await, bob.enter_at(1, room).await));
        }
        for round in 0..5 {
            for (room, anns, _) in &mut feeds {
                anns.say(&format!("{room} {round}")).await;
            }
        }
        for (room, anns, bobs) in &mut feeds {
            let expected: Vec<_> = (0..5).map(|round| format!("{room} {round}")).collect();
            assert_eq!(anns.texts(5).await, expected);
            assert_eq!(bobs.texts(5).await, expected);
        }
    }
}
