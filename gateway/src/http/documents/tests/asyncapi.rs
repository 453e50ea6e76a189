//! The AsyncAPI document against wire's frames.

use std::collections::{BTreeMap, BTreeSet};

use base::{Code, Epoch, MAX_ID, MessageText, Nonce, RoomId, Seq, Timestamp, Uid, limits};
use serde_json::{Value, json};
use wire::frame::{
    Command, Entered, Event, EventKind, Fault, Framed, Hello, Left, Pong, Read, Sent, ServerFrame,
};

use super::super::ASYNCAPI;
use super::{conforms, follow_all, resolved, strings};

fn document() -> Value {
    serde_json::from_str(ASYNCAPI).unwrap()
}

/// The keys of a frame: those that it has at least, and all that it may have.
type Keys = (BTreeSet<String>, BTreeSet<String>);

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Every command: with what it needs, and with all it can carry.
fn commands() -> BTreeMap<String, Keys> {
    let room = RoomId::new(1).unwrap();
    let text = MessageText::parse("Text", "hi").unwrap();
    let nonce = Nonce::parse("Nonce", "n").ok();
    let (after, epoch) = (Some(Seq(1)), Some(Epoch(1)));
    let pairs = [
        (
            Command::Enter {
                room: None,
                after: None,
                epoch: None,
            },
            Command::Enter {
                room: Some(room),
                after,
                epoch,
            },
        ),
        (
            Command::Subscribe {
                room,
                after: None,
                epoch: None,
            },
            Command::Subscribe { room, after, epoch },
        ),
        (Command::Unsubscribe { room }, Command::Unsubscribe { room }),
        (
            Command::Message {
                room: None,
                text: text.clone(),
                nonce: None,
            },
            Command::Message {
                room: Some(room),
                text,
                nonce,
            },
        ),
        (
            Command::Read {
                room: None,
                id: Seq(1),
            },
            Command::Read {
                room: Some(room),
                id: Seq(1),
            },
        ),
        (Command::Ping, Command::Ping),
        (Command::Hello { version: 1 }, Command::Hello { version: 2 }),
    ];
    // Who adds a command adds it above, too.
    for (command, _) in &pairs {
        match command {
            Command::Enter { .. }
            | Command::Subscribe { .. }
            | Command::Unsubscribe { .. }
            | Command::Message { .. }
            | Command::Read { .. }
            | Command::Ping
            | Command::Hello { .. } => {}
        }
    }
    let described = |(least, most): (Command, Command)| {
        let least = json_of(&Framed::from(least).to_json());
        let most = Framed {
            reference: Some("r".into()),
            command: most,
        };
        let name = least["Type"].as_str().unwrap().to_owned();
        (name, (keys(&least), keys(&json_of(&most.to_json()))))
    };
    pairs.into_iter().map(described).collect()
}

/// Every answer, likewise.
fn answers() -> BTreeMap<String, Keys> {
    let room = RoomId::new(1).unwrap();
    let reference = Some("r".to_owned());
    let timestamp = Timestamp::from_micros(0);
    let entered = Entered {
        room: Some(room),
        seq: Some(Seq(1)),
        truncated: true,
        epoch: Some(Epoch(1)),
        first: Some(Seq(1)),
        reset: true,
        reference: reference.clone(),
    };
    let fault = Fault {
        error: "internal error".into(),
        code: Code::Internal,
        retryable: false,
        request_id: reference.clone(),
        reference: reference.clone(),
    };
    let sent = |reference| Sent {
        message_id: Seq(1),
        room,
        timestamp,
        reference,
    };
    let read = |reference| Read {
        room,
        uid: Uid::new(1).unwrap(),
        id: Seq(1),
        reference,
    };
    let pairs = [
        (
            ServerFrame::Enter(Entered::default()),
            ServerFrame::Enter(entered.clone()),
        ),
        (
            ServerFrame::Subscribe(Entered::default()),
            ServerFrame::Subscribe(entered),
        ),
        (
            ServerFrame::Unsubscribe(Left {
                room,
                reference: None,
            }),
            ServerFrame::Unsubscribe(Left {
                room,
                reference: reference.clone(),
            }),
        ),
        (
            ServerFrame::Sent(sent(None)),
            ServerFrame::Sent(sent(reference.clone())),
        ),
        (
            ServerFrame::Read(read(None)),
            ServerFrame::Read(read(reference.clone())),
        ),
        (
            ServerFrame::Error(Fault {
                request_id: None,
                reference: None,
                ..fault.clone()
            }),
            ServerFrame::Error(fault),
        ),
        (
            ServerFrame::Pong(Pong::default()),
            ServerFrame::Pong(Pong {
                reference: reference.clone(),
            }),
        ),
        (
            ServerFrame::Hello(Hello {
                version: 2,
                reference: None,
            }),
            ServerFrame::Hello(Hello {
                version: 2,
                reference,
            }),
        ),
    ];
    for (frame, _) in &pairs {
        match frame {
            ServerFrame::Enter(_)
            | ServerFrame::Subscribe(_)
            | ServerFrame::Unsubscribe(_)
            | ServerFrame::Sent(_)
            | ServerFrame::Read(_)
            | ServerFrame::Error(_)
            | ServerFrame::Pong(_)
            | ServerFrame::Hello(_) => {}
            // Not answers.
            ServerFrame::Event(_) | ServerFrame::Other(_) => unreachable!(),
        }
    }
    pairs.into_iter().map(answer).collect()
}

/// An answer's name and keys.
fn answer((least, most): (ServerFrame, ServerFrame)) -> (String, Keys) {
    let least = json_of(&least.to_json());
    let name = least["Type"].as_str().unwrap().to_owned();
    (name, (keys(&least), keys(&json_of(&most.to_json()))))
}

/// The keys of all kinds of events together.
fn event_keys() -> Keys {
    let least = Event {
        kind: EventKind::Room,
        id: Seq::START,
        seq: Seq(1),
        room: RoomId::new(1).unwrap(),
        uid: Uid::new(1).unwrap(),
        text: String::new(),
        by: None,
        emoji: None,
        timestamp: Timestamp::from_micros(0),
        more: serde_json::Map::new(),
    };
    let most = Event {
        id: Seq(1),
        by: Uid::new(1),
        emoji: Some("+".into()),
        ..least.clone()
    };
    let of = |event| keys(&json_of(&ServerFrame::Event(event).to_json()));
    (of(least), of(most))
}

/// The messages of a family, by their Type.
fn family<'a>(root: &'a Value, word: &str) -> BTreeMap<String, &'a Value> {
    let messages = root["components"]["messages"].as_object().unwrap();
    let mut family = BTreeMap::new();
    for message in messages.values() {
        let name = message["name"].as_str().unwrap();
        assert_eq!(message["payload"]["properties"]["Type"]["const"], name);
        if message["title"] == format!("{word} {name}") {
            assert!(
                family.insert(name.to_owned(), message).is_none(),
                "{name} twice"
            );
        }
    }
    family
}

fn told(message: &Value) -> Keys {
    let payload = &message["payload"];
    let required = strings(&payload["required"]).into_iter().collect();
    (required, keys(&payload["properties"]))
}

#[test]
fn commands_and_answers_have_the_keys_of_the_code_and_no_other() {
    let root = document();
    for (word, code) in [("Command", commands()), ("Answer", answers())] {
        let family = family(&root, word);
        let told: BTreeMap<_, _> = family
            .iter()
            .map(|(name, it)| (name.clone(), told(it)))
            .collect();
        assert_eq!(told, code);
    }
    // What a command may be called at all.
    let all: BTreeSet<_> = commands()
        .into_values()
        .flat_map(|(_, most)| most)
        .collect();
    assert_eq!(all, Command::KEYS.map(str::to_owned).into());
}

#[test]
fn every_kind_of_event_is_told_with_keys_of_the_code() {
    let root = document();
    let events = family(&root, "Event");
    let kinds = EventKind::ALL.map(|kind| kind.as_str().to_owned());
    assert_eq!(
        events.keys().cloned().collect::<BTreeSet<_>>(),
        kinds.into()
    );
    let (least, most) = event_keys();
    let mut all = BTreeSet::new();
    for (name, event) in &events {
        let (required, properties) = told(event);
        assert!(required.is_superset(&least), "{name}");
        assert_eq!(required.contains("ID"), name != "room");
        all.extend(properties);
    }
    assert_eq!(all, most);
}

#[test]
fn every_message_is_in_the_channel_and_in_an_operation() {
    let root = document();
    follow_all(&root, &root);
    let defined = keys(&root["components"]["messages"]);
    assert_eq!(keys(&root["channels"]["connection"]["messages"]), defined);
    let mut used = BTreeSet::new();
    for operation in root["operations"].as_object().unwrap().values() {
        let replies = operation["reply"]["messages"]
            .as_array()
            .into_iter()
            .flatten();
        for message in operation["messages"]
            .as_array()
            .unwrap()
            .iter()
            .chain(replies)
        {
            let reference = message["$ref"].as_str().unwrap();
            used.insert(reference.rsplit('/').next().unwrap().to_owned());
        }
    }
    assert_eq!(used, defined);
    let families = ["Command", "Answer", "Event"].map(|word| family(&root, word).len());
    assert_eq!(families.iter().sum::<usize>(), defined.len());
}

#[test]
fn every_example_is_read_by_the_code_and_written_the_same() {
    let root = document();
    for (word, parse) in [
        (
            "Command",
            (|text| Framed::parse(text).unwrap().to_json()) as fn(&str) -> String,
        ),
        ("Answer", |text| ServerFrame::parse(text).unwrap().to_json()),
        ("Event", |text| match ServerFrame::parse(text).unwrap() {
            frame @ ServerFrame::Event(_) => frame.to_json(),
            other => panic!("{other:?}"),
        }),
    ] {
        for (name, message) in family(&root, word) {
            let examples = message["examples"].as_array().unwrap();
            assert!(!examples.is_empty(), "{name}");
            for example in examples {
                let frame = &example["payload"];
                conforms(&root, &message["payload"], frame, &format!("{word} {name}"));
                let again = json_of(&parse(&frame.to_string()));
                assert_eq!(again, *frame);
            }
        }
    }
}

#[test]
fn the_parser_keeps_what_the_schemas_of_commands_say() {
    let root = document();
    for (name, message) in family(&root, "Command") {
        let example = &message["examples"].as_array().unwrap().last().unwrap()["payload"];
        let refused = |frame: &Value, field: &str| {
            let refused = Framed::parse(&frame.to_string()).expect_err(&frame.to_string());
            assert!(
                refused.error.detail().starts_with(field),
                "{frame}: {}",
                refused.error.detail()
            );
        };
        let required = strings(&message["payload"]["required"]);
        for (key, property) in message["payload"]["properties"].as_object().unwrap() {
            let mut without = example.clone();
            without.as_object_mut().unwrap().remove(key);
            if required.contains(key) {
                refused(&without, key);
            } else {
                assert!(
                    Framed::parse(&without.to_string()).is_ok(),
                    "{name} without {key}"
                );
            }
            let schema = resolved(&root, property);
            let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
            let text = |length: u64| json!("é".repeat(usize::try_from(length).unwrap()));
            let with = |value: Value| {
                let mut frame = example.clone();
                frame[key] = value;
                frame
            };
            for (value, fits) in [
                (bound("minimum").map(Value::from), true),
                (bound("maximum").map(Value::from), true),
                (bound("minLength").map(text), true),
                (bound("maxLength").map(text), true),
                (
                    bound("minimum")
                        .and_then(|it| it.checked_sub(1))
                        .map(Value::from),
                    false,
                ),
                (bound("maximum").map(|it| Value::from(it + 1)), false),
                (
                    bound("minLength")
                        .and_then(|it| it.checked_sub(1))
                        .map(text),
                    false,
                ),
                (bound("maxLength").map(|it| text(it + 1)), false),
            ] {
                match value.map(with) {
                    Some(frame) if fits => drop(Framed::parse(&frame.to_string()).unwrap()),
                    Some(frame) => refused(&frame, key),
                    None => {}
                }
            }
        }
    }
}

#[test]
fn the_limits_are_those_of_the_contract() {
    let root = document();
    let schemas = &root["components"]["schemas"];
    let (least, most) = limits::MESSAGE_CHARS;
    assert_eq!(schemas["MessageText"]["minLength"], least);
    assert_eq!(schemas["MessageText"]["maxLength"], most);
    let (least, most) = limits::NONCE_CHARS;
    assert_eq!(schemas["Nonce"]["minLength"], least);
    assert_eq!(schemas["Nonce"]["maxLength"], most);
    assert_eq!(schemas["Ref"]["maxLength"], limits::REF_CHARS);
    for name in [
        "RoomID",
        "RoomOrNone",
        "UID",
        "Seq",
        "Head",
        "First",
        "After",
        "Epoch",
    ] {
        assert_eq!(schemas[name]["maximum"], MAX_ID, "{name}");
    }
    assert_eq!(
        strings(&schemas["Code"]["enum"]),
        Code::ALL.map(|code| code.to_string())
    );
    assert_eq!(root["info"]["version"], env!("CARGO_PKG_VERSION"));
    // What is said in words.
    let words = root["info"]["description"].as_str().unwrap();
    let replay = format!("{},000 events", limits::REPLAY_EVENTS / 1_000);
    for quoted in [replay, format!("has {} KiB", limits::FRAME_BYTES / 1024)] {
        assert!(words.contains(&quoted), "{quoted}");
    }
}

#[test]
fn the_close_codes_are_those_that_connections_end_with() {
    let root = document();
    let codes = root["channels"]["connection"]["x-closeCodes"]
        .as_array()
        .unwrap();
    let codes: Vec<_> = codes
        .iter()
        .map(|it| it["code"].as_u64().unwrap())
        .collect();
    let ends = crate::ws::close_codes();
    assert_eq!(
        codes,
        ends.into_iter()
            .map(u64::from)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );
}
