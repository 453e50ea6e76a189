//! An event as it goes out: serialized once, shared by all who get it.

use base::{Epoch, RoomId, Seq, Timestamp, Uid};
use proto::message::{Event, Kind};
use serde_json::{Map, Value};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use wire::frame::{EventKind, EventView, encode_event};

/// An event's frame; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// Its place in the log.
    pub(crate) seq: Seq,
    /// Which life of the log it is of; `None`: its writer did not say.
    pub(crate) epoch: Option<Epoch>,
    /// The frame.
    pub(crate) text: Utf8Bytes,
    /// Whether every client of the original contract knows this kind.
    original: bool,
    /// Whose membership it ends.
    leaver: Option<Uid>,
}

impl Frame {
    /// The frame of an event; `None` when it is none (a field is out of range).
    pub(crate) fn encode(event: &Event) -> Option<Self> {
        let (room, uid) = (RoomId::new(event.room_id)?, Uid::new(event.uid)?);
        let seq = Seq(event.seq);
        let timestamp = Timestamp::from_micros(event.at);
        let kind = kind_of(event.kind);
        let attrs = attrs(event);
        let by = attrs.get("By").and_then(Value::as_u64).and_then(Uid::new);
        // Most say nothing besides, or who did it at most.
        let is_plain = attrs.len() == usize::from(by.is_some());
        let text = match kind {
            Some(kind) if kind.is_original() && is_plain => {
                let view = EventView {
                    kind,
                    seq,
                    room,
                    uid,
                    text: &event.text,
                    by,
                    timestamp,
                };
                let mut text = String::new();
                encode_event(&view, &mut text);
                text
            }
            _ => generic(event, attrs, kind, timestamp),
        };
        Some(Self {
            seq,
            epoch: epoch_of(event.epoch),
            text: text.into(),
            original: kind.is_some_and(EventKind::is_original),
            leaver: (kind == Some(EventKind::Leave)).then_some(uid),
        })
    }

    /// Whether every client of the original contract knows this kind.
    pub(super) fn is_original(&self) -> bool {
        self.original
    }

    /// Whether it ends the membership of `uid`.
    pub(crate) fn ends(&self, uid: Uid) -> bool {
        self.leaver == Some(uid)
    }
}

/// The life of the log that a number stands for; 0 is what older releases say.
pub(crate) fn epoch_of(number: u64) -> Option<Epoch> {
    (number > 0).then_some(Epoch(number))
}

fn kind_of(number: u32) -> Option<EventKind> {
    let kind = Kind::try_from(i32::try_from(number).ok()?).ok()?;
    Some(match kind {
        Kind::Unspecified => return None,
        Kind::Message => EventKind::Message,
        Kind::Join => EventKind::Join,
        Kind::Leave => EventKind::Leave,
        Kind::Edit => EventKind::Edit,
        Kind::Delete => EventKind::Delete,
        Kind::React => EventKind::React,
        Kind::Unreact => EventKind::Unreact,
        Kind::Pin => EventKind::Pin,
        Kind::Unpin => EventKind::Unpin,
        Kind::Room => EventKind::Room,
    })
}

fn attrs(event: &Event) -> Map<String, Value> {
    if event.attrs.is_empty() {
        return Map::new();
    }
    serde_json::from_slice(&event.attrs).unwrap_or_default()
}

/// An event of a later kind, or of one that this release does not know, or with more to
/// say than this release knows: passed on with all it says.
fn generic(
    event: &Event,
    mut frame: Map<String, Value>,
    kind: Option<EventKind>,
    timestamp: Timestamp,
) -> String {
    let name = kind.map_or_else(
        || format!("kind-{}", event.kind),
        |kind| kind.as_str().to_owned(),
    );
    frame.insert("Type".into(), name.into());
    if event.target > 0 {
        frame.insert("ID".into(), event.target.into());
    }
    frame.insert("Seq".into(), event.seq.into());
    frame.insert("RoomID".into(), event.room_id.into());
    frame.insert("UID".into(), event.uid.into());
    if !event.text.is_empty() || kind.is_some_and(EventKind::is_original) {
        frame.insert("Text".into(), event.text.clone().into());
    }
    frame.insert("Timestamp".into(), timestamp.to_string().into());
    Value::Object(frame).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::frame::ServerFrame;

    fn event(kind: u32, attrs: &str) -> Event {
        Event {
            room_id: 1,
            seq: 9,
            kind,
            uid: 2,
            target: 4,
            attrs: attrs.to_owned().into(),
            at: 1,
            ..Event::default()
        }
    }

    #[test]
    fn a_kind_of_a_later_release_is_passed_on_with_all_it_says_and_not_to_old_clients() {
        let frame = Frame::encode(&event(99, r#"{"Sparkle":{"Deep":1},"Seq":1}"#)).unwrap();
        assert!(!frame.original);
        let parsed = ServerFrame::parse(&frame.text).unwrap();
        assert_eq!(parsed.place(), Some((RoomId::new(1).unwrap(), Seq(9))));
        let ServerFrame::Other(fields) = parsed else {
            panic!("{parsed:?}")
        };
        assert_eq!(fields["Type"], "kind-99");
        assert_eq!(fields["Sparkle"]["Deep"], 1);
    }

    #[test]
    fn the_kinds_of_the_contract_are_events_to_the_sdk() {
        for (number, kind) in (1..).zip(EventKind::ALL) {
            let frame = Frame::encode(&event(number, "")).unwrap();
            assert_eq!(frame.original, kind.is_original());
            let Ok(ServerFrame::Event(event)) = ServerFrame::parse(&frame.text) else {
                panic!("{}", frame.text)
            };
            assert_eq!((event.kind, event.seq), (kind, Seq(9)));
        }
    }

    #[test]
    fn a_message_with_more_to_say_says_it() {
        let frame = Frame::encode(&event(1, r#"{"By":7,"ReplyTo":3}"#)).unwrap();
        let Ok(ServerFrame::Event(event)) = ServerFrame::parse(&frame.text) else {
            panic!("{}", frame.text)
        };
        assert_eq!((event.by, &event.more["ReplyTo"]), (Uid::new(7), &3.into()));
        assert_eq!(event.text, "");
    }
}
