//! Frames that break a rule: an error frame, and nothing else happens; or, where the
//! framing itself is broken, the close code that RFC 6455 gives.

use client::wire::Code;
use serde_json::json;

use crate::harness::raw::{Frame, RawSocket, opcode};
use crate::harness::{Feed, IntoFrame, World};

/// Asserts that the frame is answered by an error that names the field.
async fn names(feed: &mut Feed, frame: impl IntoFrame, field: &str) {
    let frame = frame.into_frame();
    let shown: String = frame.chars().take(100).collect();
    feed.send(frame).await;
    let fault = feed.fault().await;
    assert_eq!(fault.code, Code::InvalidArgument, "{shown}: {fault:?}");
    assert!(!fault.retryable);
    assert!(fault.error.starts_with(field), "{shown}: {}", fault.error);
}

/// A connection in a room of its own.
async fn in_a_room(world: &World) -> (Feed, crate::harness::User) {
    let ann = world.user().await;
    let room = ann.room().await;
    (ann.enter(room).await, ann)
}

/// A connection by hand.
async fn by_hand(world: &World) -> RawSocket {
    RawSocket::open(world.user().await.api()).await
}

/// Asserts that the connection still answers.
async fn answers(socket: &mut RawSocket) {
    socket
        .send_text(r#"{"Type":"ping","Ref":"still there"}"#)
        .await;
    assert_eq!(
        socket.text().await,
        r#"{"Type":"pong","Ref":"still there"}"#
    );
}

/// A ping frame of exactly `length` bytes.
fn padded(length: usize) -> String {
    let frame = r#"{"Type":"ping","Pad":""}"#;
    frame.replace(
        r#""Pad":"""#,
        &format!(r#""Pad":"{}""#, "x".repeat(length - frame.len())),
    )
}

scenarios! {
    async fn what_is_no_object_is_an_error_and_the_connection_stays(world: World) {
        let (mut feed, _) = in_a_room(&world).await;
        for frame in [
            "", " ", "x", "null", "1", "[]", "\"x\"", "{", "{\"Type\":\"ping\"", "{\"Type\":\"ping\"}x",
            "{Type:\"ping\"}", "{\"Type\":\"ping\",}", "{\"Type\":\"\\ud800\"}", "{}", "{\"RoomID\":1}",
        ] {
            names(&mut feed, frame, "").await;
        }
        for depth in [100, 15_000] {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            names(&mut feed, format!(r#"{{"Type":{open}{close}}}"#), "Type").await;
        }
        assert_eq!(feed.say("still here").await.message_id.get(), 2);
    }

    async fn an_unknown_type_is_an_error(world: World) {
        let (mut feed, _) = in_a_room(&world).await;
        for kind in [json!("sparkle"), json!(""), json!("Message"), json!("sent"), json!("join"),
            json!("leave"), json!("error"), json!(1), json!(null), json!(true), json!([])]
        {
            names(&mut feed, json!({ "Type": kind, "Text": "x", "RoomID": 1 }), "Type").await;
        }
        assert_eq!(feed.say("only this").await.message_id.get(), 2);
    }

    async fn what_is_no_room_is_refused_by_name(world: World) {
        let (mut feed, _) = in_a_room(&world).await;
        for bad in ["-1", "1.0", "1e3", "\"1\"", "true", "[]", "{}", "9007199254740992",
            "9223372036854775808", "18446744073709551616"]
        {
            names(&mut feed, format!(r#"{{"Type":"enter","RoomID":{bad}}}"#), "RoomID").await;
            let message = format!(r#"{{"Type":"message","Text":"x","RoomID":{bad}}}"#);
            names(&mut feed, message, "RoomID").await;
        }
        names(&mut feed, r#"{"Type":"enter"}"#, "RoomID").await;
        names(&mut feed, r#"{"Type":"enter","RoomID":null}"#, "RoomID").await;
        assert_eq!(feed.say("only this").await.message_id.get(), 2);
    }

    async fn a_text_has_1_to_2000_characters(world: World) {
        let (mut feed, _) = in_a_room(&world).await;
        for text in [json!(""), json!("x".repeat(2_001)), json!("😀".repeat(2_001)), json!("a\0b"),
            json!(1), json!(true), json!(null), json!(["x"]), json!({ "x": 1 })]
        {
            names(&mut feed, json!({ "Type": "message", "Text": text }), "Text").await;
        }
        names(&mut feed, r#"{"Type":"message"}"#, "Text").await;
        for (number, text) in ["x", &"x".repeat(2_000), &"😀".repeat(2_000), " ", "\u{1}"].into_iter().enumerate() {
            assert_eq!(feed.say(text).await.message_id.get(), number as u64 + 2);
            feed.hears(text).await;
        }
    }

    async fn a_nonce_and_a_reference_have_64_characters_at_most(world: World) {
        let (mut feed, _) = in_a_room(&world).await;
        let message = |nonce: serde_json::Value| json!({ "Type": "message", "Text": "x", "Nonce": nonce });
        for nonce in [json!(""), json!("é".repeat(65)), json!("a\0"), json!(1), json!([])] {
            names(&mut feed, message(nonce), "Nonce").await;
        }
        for reference in [json!("é".repeat(65)), json!(1), json!([]), json!(true)] {
            names(&mut feed, json!({ "Type": "ping", "Ref": reference }), "Ref").await;
        }
        let nonce = "é".repeat(64);
        let sent = feed.socket.say_in(None, "x", Some(&nonce)).await.unwrap();
        assert_eq!(sent.message_id.get(), 2);
    }

    async fn what_was_read_is_an_event_of_a_room_that_one_is_in(world: World) {
        let (mut feed, ann) = in_a_room(&world).await;
        for bad in ["0", "-1", "1.0", "\"1\"", "true", "null", "[]", "2", "9007199254740991", "9007199254740992"] {
            names(&mut feed, format!(r#"{{"Type":"read","ID":{bad}}}"#), "ID").await;
        }
        names(&mut feed, r#"{"Type":"read"}"#, "ID").await;
        let other = ann.room().await;
        names(&mut feed, json!({ "Type": "read", "RoomID": other, "ID": 1 }), "RoomID").await;
        feed.send(r#"{"Type":"enter","RoomID":0}"#).await;
        feed.socket.next().await.unwrap();
        feed.send(r#"{"Type":"read","ID":1,"Ref":"r"}"#).await;
        let fault = feed.fault().await;
        assert_eq!((fault.code, fault.reference.as_deref()), (Code::InvalidArgument, Some("r")));
    }

    async fn keys_match_in_any_case_and_of_duplicates_the_last_wins(world: World) {
        let (mut feed, _) = in_a_room(&world).await;
        feed.send(r#"{"tYPE":"enter","Type":"message","TEXT":7,"text":"a","Text":"b","Shoe":{"Size":[45]}}"#)
            .await;
        feed.hears("b").await;
        feed.hears_nothing().await;
        names(&mut feed, r#"{"Type":"message","Text":"a","text":7}"#, "Text").await;
    }

    async fn a_fragmented_message_is_one_message(world: World) {
        let mut socket = by_hand(&world).await;
        let ping = r#"{"Type":"ping","Ref":"étude"}"#.as_bytes();
        // Cut inside of a character, too.
        for cut in [1, 23, ping.len() - 1] {
            socket.send(Frame::part(opcode::TEXT, &ping[..cut])).await;
            socket.send(Frame::whole(opcode::PING, b"between")).await;
            socket.send(Frame::part(opcode::CONTINUATION, b"")).await;
            socket.send(Frame::whole(opcode::CONTINUATION, &ping[cut..])).await;
            assert_eq!(socket.read().await.unwrap(), (opcode::PONG, b"between".to_vec()));
            assert_eq!(socket.text().await, r#"{"Type":"pong","Ref":"étude"}"#);
        }
    }

    async fn a_frame_that_comes_byte_by_byte_is_one_frame(world: World) {
        let mut socket = by_hand(&world).await;
        for byte in Frame::whole(opcode::TEXT, br#"{"Type":"ping"}"#).bytes() {
            socket.send_bytes(&[byte]).await;
        }
        assert_eq!(socket.text().await, r#"{"Type":"pong"}"#);
    }

    async fn the_reference_comes_back_from_a_frame_with_a_value_that_is_none(world: World) {
        let mut feed = in_a_room(&world).await.0;
        for (frame, field) in [
            (r#"{"Ref":"q","Type":"enter","RoomID":1e400}"#, "RoomID"),
            (r#"{"Ref":"q","Type":"enter","RoomID":1,"After":1e999}"#, "After"),
            (r#"{"Type":"message","Text":"\ud800","Ref":"q"}"#, "Text"),
            (r#"{"Ref":"q","Type":"message","Text":"a","Nonce":"\udc00"}"#, "Nonce"),
        ] {
            feed.send(frame).await;
            let fault = feed.fault().await;
            assert_eq!(fault.reference.as_deref(), Some("q"), "{frame}");
            assert!(fault.error.starts_with(field), "{frame}: {}", fault.error);
        }
    }

    async fn a_frame_of_32_kib_is_taken_and_one_byte_more_closes_with_1009(world: World) {
        let mut socket = by_hand(&world).await;
        socket.send_text(&padded(32 * 1024)).await;
        assert_eq!(socket.text().await, r#"{"Type":"pong"}"#);
        socket.send_text(&padded(32 * 1024 + 1)).await;
        assert_eq!(socket.end().await, Some(1009));
    }

    async fn who_is_told_1009_while_he_sends_on_still_hears_it(world: World) {
        let mut socket = by_hand(&world).await;
        // More than the kernels on the way have room for.
        let length = 16_u64 << 20;
        let mut bytes = vec![0x81, 0x80 | 127];
        bytes.extend(length.to_be_bytes());
        bytes.resize(bytes.len() + 4 + usize::try_from(length).unwrap(), b'x');
        assert!(socket.takes(&bytes).await, "the connection was broken off");
        assert_eq!(socket.end().await, Some(1009));
    }

    async fn fragments_that_are_too_much_together_close_with_1009(world: World) {
        let mut socket = by_hand(&world).await;
        let frame = padded(40 * 1024);
        let (first, second) = frame.as_bytes().split_at(20 * 1024);
        socket.send(Frame::part(opcode::TEXT, first)).await;
        socket.send(Frame::whole(opcode::CONTINUATION, second)).await;
        assert_eq!(socket.end().await, Some(1009));
    }

    async fn a_frame_that_says_it_is_huge_closes_with_1009_before_it_came(world: World) {
        let mut socket = by_hand(&world).await;
        let mut head = vec![0x81, 0x80 | 127];
        head.extend((1_u64 << 40).to_be_bytes());
        head.extend([0; 4]);
        socket.send_bytes(&head).await;
        assert_eq!(socket.end().await, Some(1009));
    }

    async fn a_binary_frame_closes_with_1003(world: World) {
        let mut socket = by_hand(&world).await;
        socket.send(Frame::whole(opcode::BINARY, br#"{"Type":"ping"}"#)).await;
        assert_eq!(socket.end().await, Some(1003));
    }

    async fn invalid_utf_8_closes_with_1007(world: World) {
        for text in [&b"{\"Type\":\"\xff\"}"[..], b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"] {
            let mut socket = by_hand(&world).await;
            socket.send(Frame::whole(opcode::TEXT, text)).await;
            assert_eq!(socket.end().await, Some(1007), "{text:?}");
        }
    }

    async fn broken_framing_closes_with_1002(world: World) {
        let ping = br#"{"Type":"ping"}"#;
        let whole = Frame::whole(opcode::TEXT, ping);
        let long = [b'x'; 126];
        for (what, frame) in [
            ("not masked", Frame { masked: false, ..whole }),
            ("a reserved bit", Frame { flags: 0xc0, ..whole }),
            ("a reserved opcode", Frame { opcode: 0x3, ..whole }),
            ("a reserved control opcode", Frame { opcode: 0xb, ..whole }),
            ("nothing to continue", Frame { opcode: opcode::CONTINUATION, ..whole }),
            ("a fragmented ping", Frame::part(opcode::PING, b"x")),
            ("a long ping", Frame::whole(opcode::PING, &long)),
            ("a close of one byte", Frame::whole(opcode::CLOSE, b"x")),
            ("a close with a code that is none", Frame::whole(opcode::CLOSE, &[0x03, 0xed])),
        ] {
            let mut socket = by_hand(&world).await;
            socket.send(frame).await;
            assert_eq!(socket.end().await, Some(1002), "{what}");
        }
    }

    async fn a_new_message_amid_fragments_closes_with_1002(world: World) {
        let mut socket = by_hand(&world).await;
        socket.send(Frame::part(opcode::TEXT, b"{")).await;
        socket.send(Frame::whole(opcode::TEXT, br#"{"Type":"ping"}"#)).await;
        assert_eq!(socket.end().await, Some(1002));
    }

    async fn a_close_is_answered_in_kind(world: World) {
        for code in [1000_u16, 1001, 4999] {
            let mut socket = by_hand(&world).await;
            socket.send(Frame::whole(opcode::CLOSE, &code.to_be_bytes())).await;
            assert_eq!(socket.end().await, Some(code));
        }
    }

    async fn control_frames_of_a_client_are_answered_or_passed_over(world: World) {
        let mut socket = by_hand(&world).await;
        socket.send(Frame::whole(opcode::PONG, b"unasked")).await;
        socket.send(Frame::whole(opcode::PING, b"")).await;
        assert_eq!(socket.read().await.unwrap(), (opcode::PONG, Vec::new()));
        answers(&mut socket).await;
    }
}
