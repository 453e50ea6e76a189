//! The cases: the pure parts of a message's way that every message, or every receiver of
//! it, pays for. What they are given is the same in every run.

#![expect(
    clippy::unwrap_used,
    reason = "a case that cannot be prepared has no count"
)]

use std::hint::black_box;

use base::{Epoch, MessageText, Nonce, RoomId, Seq, Timestamp, Uid};
use bench::{Case, Work};
use gateway::bench::{Audience, Encoded};
use message_service::domain::{Entry, Post};
use message_service::sequencer::{self, Head, State};
use prost::Message;
use proto::message::{Event, Kind, Post as WirePost, PostBatch, RoomRecord};
use wire::frame::Framed;

/// Frames parsed, events encoded in a case: what happens once is small beside them.
const MANY: u64 = 100;
/// Posts in a batch: what a gateway sends at once, most.
const BATCH: u64 = 256;
/// Rooms that the posts of a batch are for.
const ROOMS: u64 = 10;
/// Users who write them, each a member of every room.
const AUTHORS: u64 = 50;
/// 2025-01-01 in microseconds.
const NOW: i64 = 1_735_689_600_000_000;

/// All of them, as the baseline names them.
pub(crate) const CASES: [Case; 10] = [
    Case {
        name: "parse 100 messages",
        prepare: || parse(plain_message),
    },
    Case {
        name: "parse 100 messages with escapes",
        prepare: || parse(escaped_message),
    },
    Case {
        name: "encode 100 messages",
        prepare: || encode(message),
    },
    Case {
        name: "encode 100 edits",
        prepare: || encode(edit),
    },
    Case {
        name: "fan out to 100",
        prepare: || fan_out(100),
    },
    Case {
        name: "fan out to 1000",
        prepare: || fan_out(1_000),
    },
    Case {
        name: "fan out to 10000",
        prepare: || fan_out(10_000),
    },
    Case {
        name: "sequence 256 posts in 10 rooms",
        prepare: sequence,
    },
    Case {
        name: "encode a batch of 256 posts",
        prepare: encode_batch,
    },
    Case {
        name: "decode a record of 100 events",
        prepare: decode_record,
    },
];

/// A client's frames, to commands.
fn parse(frame: fn(u64) -> String) -> Work {
    let frames: Vec<String> = (1..=MANY).map(frame).collect();
    assert!(frames.iter().all(|frame| Framed::parse(frame).is_ok()));
    Box::new(move || {
        for frame in &frames {
            let _ = black_box(Framed::parse(black_box(frame)));
        }
    })
}

/// Events, to frames.
fn encode(event: fn(u64) -> Event) -> Work {
    let events: Vec<Event> = (1..=MANY).map(event).collect();
    assert!(events.iter().all(|event| Encoded::new(event).is_some()));
    Box::new(move || {
        for event in &events {
            black_box(Encoded::new(black_box(event)));
        }
    })
}

/// One frame, from the room into every queue and out of it again.
fn fan_out(watchers: u64) -> Work {
    let mut audience = Audience::new(watchers);
    let frames: Vec<Encoded> = (1..=2)
        .map(|seq| Encoded::new(&message(seq)).unwrap())
        .collect();
    // The first one in the life of a room is not like the others.
    audience.offer(&frames[0]);
    assert_eq!(
        audience.write() as u64,
        watchers * frames[0].size() as u64,
        "everybody gets it"
    );
    assert_eq!(audience.write(), 0, "everybody waits for the next one");
    Box::new(move || {
        audience.offer(black_box(&frames[1]));
        black_box(audience.write());
    })
}

/// What one batch writes, all of it new. The seeds of its maps are random, as they have to be
/// where users choose the keys: the count differs by a thousandth from run to run.
fn sequence() -> Work {
    let author = |number: u64| Uid::new(1 + number % AUTHORS).unwrap();
    let room = |number: u64| RoomId::new(1 + number % ROOMS).unwrap();
    let post = |number| {
        Entry::Post(Post {
            room: room(number),
            uid: author(number),
            text: MessageText::try_from_string("Text", text(number)).unwrap(),
            nonce: Nonce::parse("Nonce", &nonce(number)).unwrap(),
        })
    };
    let entries: Vec<Entry> = (0..BATCH).map(post).collect();
    let head = Head {
        head: Seq(1_000),
        epoch: Epoch(1),
        ..Head::NEW
    };
    let members = (0..ROOMS).flat_map(|at| (0..AUTHORS).map(move |who| (room(at), author(who))));
    let mut state = Some(State {
        heads: (0..ROOMS).map(|number| (room(number), head)).collect(),
        members: members.collect(),
        ..State::default()
    });
    Box::new(move || {
        let plan = sequencer::sequence(
            black_box(&entries),
            state.take().unwrap_or_default(),
            Timestamp::from_micros(NOW),
        );
        assert_eq!(black_box(plan).rows.len(), entries.len());
    })
}

/// What a gateway sends to a replica at once.
fn encode_batch() -> Work {
    let post = |number| WirePost {
        id: number,
        room_id: 1 + number % ROOMS,
        uid: 1 + number % AUTHORS,
        text: text(number),
        nonce: nonce(number),
        patience_ms: 4_000,
        request_id: format!("{number:032x}"),
    };
    let batch = PostBatch {
        posts: (1..=BATCH).map(post).collect(),
        sent_ms: 60_000,
        ..PostBatch::default()
    };
    Box::new(move || {
        black_box(black_box(&batch).encode_to_vec());
    })
}

/// What the bus brings of a busy room.
fn decode_record() -> Work {
    let record = RoomRecord {
        version: 1,
        room_id: 1,
        events: (1..=MANY).map(message).collect(),
        head: MANY,
        epoch: 1,
        ..RoomRecord::default()
    };
    let bytes = record.encode_to_vec();
    Box::new(move || {
        let _ = black_box(RoomRecord::decode(black_box(bytes.as_slice())));
    })
}

fn plain_message(number: u64) -> String {
    let (text, nonce) = (text(number), nonce(number));
    format!(r#"{{"Type":"message","RoomID":7,"Text":"{text}","Nonce":"{nonce}","Ref":"{number}"}}"#)
}

fn escaped_message(number: u64) -> String {
    let text = text(number).replace(' ', r"\n\u00e9");
    format!(r#"{{"Type":"message","Text":"{text} \"Grüße\"","Ref":"{number}"}}"#)
}

fn message(seq: u64) -> Event {
    Event {
        room_id: 7,
        seq,
        kind: Kind::Message as u32,
        uid: 1 + seq % AUTHORS,
        target: seq,
        text: text(seq),
        at: NOW + seq.cast_signed(),
        epoch: 1,
        ..Event::default()
    }
}

/// Of a kind that has more to say than a message.
fn edit(seq: u64) -> Event {
    Event {
        kind: Kind::Edit as u32,
        target: 1,
        attrs: format!(r#"{{"By":{seq},"ReplyTo":3}}"#).into(),
        ..message(seq)
    }
}

/// Of the length that messages mostly have.
fn text(number: u64) -> String {
    format!("message {number:04}: shall we meet at the station, or do you come by bus?")
}

fn nonce(number: u64) -> String {
    format!("{number:016x}")
}
