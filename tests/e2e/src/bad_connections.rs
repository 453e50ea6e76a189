//! Clients that are slow, silent or greedy: their connection ends, and no other is harmed.

use std::time::Duration;

use client::wire::Code;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use crate::harness::raw::{self, PATIENCE, RawSocket, opcode};

scenarios! {
    async fn a_body_of_10_mib_is_refused(world: World) {
        let gateway = world.gateway(0);
        let host = gateway.base().trim_start_matches("http://");
        let length = 10 << 20;
        for framing in [format!("Content-Length: {length}"), "Transfer-Encoding: chunked".to_owned()] {
            let (mut from, mut to) = raw::dial(gateway).await.into_split();
            let head = format!("POST /register HTTP/1.1\r\nHost: {host}\r\n{framing}\r\n\r\n");
            to.write_all(head.as_bytes()).await.unwrap();
            let chunked = framing.starts_with("Transfer");
            let sending = async {
                let block = vec![b'x'; 64 * 1024];
                for _ in 0..length / block.len() {
                    let size = if chunked { "10000\r\n" } else { "" };
                    let end = if chunked { "\r\n" } else { "" };
                    for part in [size.as_bytes(), &block, end.as_bytes()] {
                        // The server may have had enough.
                        if to.write_all(part).await.is_err() {
                            return;
                        }
                    }
                }
            };
            let receiving = async {
                let mut answer = vec![0; 1024];
                let count = timeout(PATIENCE, from.read(&mut answer)).await.unwrap().unwrap();
                raw::status(&answer[..count])
            };
            let status = tokio::select! {
                status = receiving => status,
                ((), status) = async { tokio::join!(sending, std::future::pending::<u16>()) } => status,
            };
            assert_eq!(status, 413, "{framing}");
        }
        world.user().await;
    }

    async fn a_body_that_never_ends_times_out(world: World) {
        let gateway = world.gateway(0);
        let mut stream = raw::dial(gateway).await;
        let head = b"POST /register HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"Username\":";
        stream.write_all(head).await.unwrap();
        let answer = raw::read_to_end(&mut stream).await;
        if !answer.is_empty() {
            assert!(matches!(raw::status(&answer), 400 | 408 | 504));
        }
    }

    async fn a_request_that_never_ends_times_out(world: World) {
        for head in ["", "GET", "GET /ws?token=x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"] {
            let mut stream = raw::dial(world.gateway(0)).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            let answer = raw::read_to_end(&mut stream).await;
            if !answer.is_empty() {
                assert!(matches!(raw::status(&answer), 400 | 408 | 504), "{head}");
            }
        }
    }

    async fn what_is_no_http_is_answered_or_closed(world: World) {
        for nonsense in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"\r\n\r\n\0\0\0\0\r\n\r\n", b"HELO x\r\n\r\n"] {
            let mut stream = raw::dial(world.gateway(0)).await;
            stream.write_all(nonsense).await.unwrap();
            let answer = raw::read_to_end(&mut stream).await;
            if !answer.is_empty() {
                assert!((400..500).contains(&raw::status(&answer)));
            }
        }
        world.user().await;
    }

    async fn who_is_silent_for_a_minute_is_dropped_and_who_answers_pings_is_not(world: World) {
        let ann = world.user().await;
        let mut silent = RawSocket::open(ann.api_at(0)).await;
        let mut awake = ann.connect_at(1).await;
        let began = Instant::now();
        let end = tokio::select! {
            end = silent.end() => end,
            frame = awake.next_within(PATIENCE) => panic!("nothing happens: {frame:?}"),
        };
        assert_eq!(end, Some(4008));
        let seconds = began.elapsed().as_secs();
        assert!((59..66).contains(&seconds), "after {seconds} s");
        awake.ping().await.unwrap();
    }

    async fn a_handshake_that_is_no_websocket_is_refused(world: World) {
        let ann = world.user().await;
        let token = ann.token();
        for (what, upgrade) in [
            ("no key", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
            ("no version", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
            ("another protocol", "Connection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
        ] {
            let mut stream = raw::dial(ann.api()).await;
            let request = format!(
                "GET /ws HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n{upgrade}\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = vec![0; 1024];
            let count = timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
            let status = raw::status(&answer[..count]);
            assert!((400..500).contains(&status), "{what}: {status}");
        }
    }

    async fn a_client_that_stops_reading_is_dropped_and_the_others_are_unharmed(world: World) {
        const MESSAGES: usize = 4_000;
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let mut stalled = RawSocket::open_narrow(bob.api()).await;
        stalled.send_text(&json!({ "Type": "enter", "RoomID": room }).to_string()).await;
        stalled.text().await;

        let mut anns = ann.enter(room).await;
        let mut bobs = bob.enter(room).await;
        // 8 kB each, so that no buffer of either kernel holds them all.
        let text = "😀".repeat(2_000);
        let frame = json!({ "Type": "message", "Text": text }).to_string();
        let talking = async {
            let (mut heard, mut said) = (0, 0);
            while heard < MESSAGES {
                while said < MESSAGES && said < heard + 32 {
                    anns.send(frame.as_str()).await;
                    said += 1;
                }
                anns.message().await;
                heard += 1;
            }
        };
        let listening = async {
            let first = bobs.message().await.seq.get();
            for number in 1..MESSAGES as u64 {
                assert_eq!(bobs.message().await.seq.get(), first + number);
            }
        };
        tokio::join!(talking, listening);

        let mut got = 0;
        while let Some((opcode, payload)) = stalled.read().await {
            match opcode {
                opcode::TEXT => got += 1,
                opcode::CLOSE => {
                    assert_eq!(payload.first_chunk(), Some(&4008_u16.to_be_bytes()));
                }
                _ => {}
            }
        }
        assert!(got < MESSAGES, "all of it was kept for a client that does not read");
    }

    async fn ten_thousand_frames_at_once_are_limited_and_harm_no_one(world: World) {
        const FRAMES: usize = 10_000;
        let own = world.own(true).await;
        let (ann, bob) = own.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let mut flood = RawSocket::open(ann.api()).await;
        flood.send_text(&json!({ "Type": "enter", "RoomID": room }).to_string()).await;
        flood.text().await;
        let (mut limited, mut answered, mut closed) = (0, 0, None);
        // In waves, reading in between, so that it is not the reading that is too slow.
        for _ in 0..FRAMES / 100 {
            let frame = raw::Frame::whole(opcode::TEXT, br#"{"Type":"message","Text":"x"}"#).bytes();
            flood.send_bytes(&frame.repeat(100)).await;
            let wave = answered + 100;
            while answered < wave && closed.is_none() {
                match flood.read().await {
                    Some((opcode::TEXT, text)) => {
                        let frame: serde_json::Value = serde_json::from_slice(&text).unwrap();
                        match frame["Type"].as_str().unwrap() {
                            "sent" => answered += 1,
                            "error" => {
                                assert_eq!(frame["Code"], "rate_limited", "{frame}");
                                assert_eq!(frame["Retryable"], true);
                                (limited, answered) = (limited + 1, answered + 1);
                            }
                            _ => {}
                        }
                    }
                    Some((opcode::CLOSE, code)) => {
                        closed = code.first_chunk().map(|code| u16::from_be_bytes(*code));
                        assert_eq!(closed, Some(4029));
                    }
                    Some(_) => {}
                    None => closed = Some(closed.unwrap_or(0)),
                }
            }
            if closed.is_some() {
                break;
            }
        }
        assert!(limited > 0, "ten thousand frames, and none was too many");
        assert!(matches!(closed, None | Some(4029)), "{closed:?}");
        // The other is served, his own bucket being full.
        let mut bobs = timeout(Duration::from_secs(30), bob.enter(room)).await.unwrap();
        bobs.say("anyone there?").await;
        own.stop().await;
    }

    async fn a_flood_of_nonsense_ends_in_errors_or_4029(world: World) {
        let own = world.own(true).await;
        let (ann, bob) = own.two_users().await;
        let mut flood = RawSocket::open(ann.api()).await;
        for _ in 0..100 {
            let frame = raw::Frame::whole(opcode::TEXT, b"nonsense").bytes();
            flood.send_bytes(&frame.repeat(100)).await;
        }
        let mut errors = 0;
        while errors < 10_000 {
            match flood.read().await {
                Some((opcode::TEXT, text)) => {
                    let frame: serde_json::Value = serde_json::from_slice(&text).unwrap();
                    assert_eq!(frame["Type"], "error");
                    let code: Code = serde_json::from_value(frame["Code"].clone()).unwrap();
                    assert!(matches!(code, Code::InvalidArgument | Code::RateLimited));
                    errors += 1;
                }
                Some((opcode::CLOSE, code)) => {
                    let code = code.first_chunk().map(|code| u16::from_be_bytes(*code));
                    assert!(matches!(code, Some(4029 | 4008)), "{code:?}");
                    break;
                }
                Some(_) => {}
                None => break,
            }
        }
        bob.connect().await.ping().await.unwrap();
        own.stop().await;
    }

    async fn connections_by_the_hundred_that_come_and_go_leave_nothing(world: World) {
        let ann = world.user().await;
        let room = ann.room().await;
        for _ in 0..10 {
            let mut openings = tokio::task::JoinSet::new();
            for gateway in 0..30 {
                let api = ann.api_at(gateway % 2).clone();
                openings.spawn(async move {
                    let mut socket = api.connect().await.unwrap();
                    socket.enter(room).await.unwrap();
                });
            }
            openings.join_all().await;
        }
        let mut feed = ann.enter(room).await;
        feed.say("quiet now").await;
        feed.hears("quiet now").await;
    }
}
