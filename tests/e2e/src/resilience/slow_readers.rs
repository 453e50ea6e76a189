//! Readers that do not read: they cost little, are let go, and lose nothing.

use std::time::Duration;

use client::wire::frame::ServerFrame;
use client::wire::{Epoch, RoomId, Seq};
use client::{Api, Chat, Item, Position, Start, Tokens};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::distributed::Dev;
use crate::harness::extra_gateway::ExtraGateway;
use crate::harness::raw::{RawSocket, opcode};

const MIB: u64 = 1 << 20;

disruptive_scenarios! {
    async fn who_does_not_read_costs_little_is_let_go_and_gets_everything_later(world: World) {
        const STALLED: usize = 8;
        const MESSAGES: usize = 4_000;
        // All that is said is 32 MB. A queue of 512 frames is shared by all who wait for them;
        // each has 64 more, of which the kernel takes some, in its own buffer.
        const MORE: u64 = (4 + STALLED as u64 + 10) * MIB;
        let gateway = ExtraGateway::start(&Dev::from_env(), false).await;
        let api = Api::new(&format!("http://{}", gateway.address())).unwrap();
        let (ann, bob) = world.two_users().await;
        let room = ann.room_with(&[&bob]).await;
        let bobs = api.with_token(bob.token());
        let mut stalled = Vec::new();
        for _ in 0..STALLED {
            let mut socket = RawSocket::open_narrow(&bobs).await;
            socket.send_text(&json!({ "Type": "enter", "RoomID": room }).to_string()).await;
            let entered: Value = serde_json::from_str(&socket.text().await).unwrap();
            stalled.push((socket, entered));
        }
        let mut reader = bobs.connect().await.unwrap();
        reader.enter(room).await.unwrap();
        let before = gateway.memory().now;

        let text = "\u{1f980}".repeat(2_000);
        let mut posts = JoinSet::new();
        for lane in 0..16 {
            let (api, text) = (api.with_token(ann.token()), text.clone());
            posts.spawn(async move {
                for number in 0..MESSAGES / 16 {
                    let nonce = format!("{lane}-{number}");
                    while let Err(error) = api.post(room, &text, Some(&nonce)).await {
                        assert!(error.retryable(), "{error:?}");
                    }
                }
            });
        }
        // Who reads is not kept waiting by those who do not.
        let mut last = Seq(2);
        while last < Seq(2 + (MESSAGES / 16 * 16) as u64) {
            let next = reader.next_within(Duration::from_secs(30)).await;
            let ServerFrame::Event(event) = next.unwrap() else { panic!() };
            assert_eq!(event.seq, last.next());
            last = event.seq;
        }
        posts.join_all().await;
        let peak = gateway.memory().most;
        println!("{} MiB before, {} MiB at most", before / MIB, peak / MIB);
        assert!(peak <= before + MORE, "{} MiB more", (peak - before) / MIB);

        let mut left_at = Vec::new();
        for (mut socket, entered) in stalled {
            let mut seen = entered["Seq"].as_u64().unwrap();
            while let Some((opcode, payload)) = socket.read().await {
                match opcode {
                    opcode::TEXT => {
                        let event: Value = serde_json::from_slice(&payload).unwrap();
                        assert_eq!(event["ID"], seen + 1);
                        seen += 1;
                    }
                    opcode::CLOSE => assert_eq!(payload.first_chunk(), Some(&4008_u16.to_be_bytes())),
                    _ => {}
                }
            }
            assert!(Seq(seen) < last, "all of it was kept for a client that does not read");
            let epoch = entered["Epoch"].as_u64().map(Epoch);
            let seq = Seq(seen);
            left_at.push(Position { epoch, seq });
        }
        has_the_rest(&bobs, room, left_at[0], last).await;
    }
}

/// Resumes where another connection was let go, and gets all up to `last`.
async fn has_the_rest(api: &Api, room: RoomId, position: Position, last: Seq) {
    let tokens = Tokens::bearer(api.token().unwrap());
    let (chat, mut events) = Chat::builder(api.base(), tokens).start().unwrap();
    let start = Start::After(position);
    assert_eq!(chat.subscribe(room, start).await.unwrap().seq, position.seq);
    let mut seen = position.seq;
    while seen < last {
        let item = timeout(Duration::from_secs(20), events.next()).await;
        let Some(Item::Event { event, .. }) = item.expect("an event in time") else {
            panic!("no event");
        };
        assert_eq!(event.seq, seen.next());
        seen = event.seq;
    }
    chat.close().await;
}
