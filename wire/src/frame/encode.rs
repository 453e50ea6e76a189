//! The cheap way to write an event frame: once per event, straight into a string.
//! It writes byte for byte what serde would (a property test holds it to that).

use std::fmt::Write;

use base::{RoomId, Seq, Timestamp, Uid};

use crate::frame::EventKind;

/// An event whose text is borrowed. Its number serves as `ID` and as `Seq`.
#[derive(Debug, Clone, Copy)]
pub struct EventView<'a> {
    /// What kind of thing happened.
    pub kind: EventKind,
    /// Its place in the room's log.
    pub seq: Seq,
    /// The room.
    pub room: RoomId,
    /// Who said it; for `join` and `leave`, the member.
    pub uid: Uid,
    /// What was said; empty for `join` and `leave`.
    pub text: &'a str,
    /// Who did it, when it was not the member himself.
    pub by: Option<Uid>,
    /// When.
    pub timestamp: Timestamp,
}

/// Appends the frame of `event` to `frame`.
pub fn encode_event(event: &EventView<'_>, frame: &mut String) {
    frame.reserve(event.text.len() + 140);
    let (kind, seq, room, uid) = (event.kind.as_str(), event.seq, event.room, event.uid);
    // Writing to a String does not fail.
    let _ = write!(
        frame,
        r#"{{"Type":"{kind}","ID":{seq},"Seq":{seq},"RoomID":{room},"UID":{uid},"Text":""#
    );
    escape(event.text, frame);
    frame.push('"');
    if let Some(by) = event.by {
        let _ = write!(frame, r#","By":{by}"#);
    }
    let _ = write!(frame, r#","Timestamp":"{}"}}"#, event.timestamp);
}

/// Appends `text` as the inside of a JSON string (RFC 8259, section 7). Runs without
/// anything to escape, nearly all there are, are copied whole.
fn escape(text: &str, to: &mut String) {
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0x00..=0x1f => "",
            _ => continue,
        };
        // An escaped byte is ASCII, so it stands on a character's border.
        to.push_str(&text[copied..at]);
        to.push_str(short);
        if short.is_empty() {
            let _ = write!(to, "\\u{byte:04x}");
        }
        copied = at + 1;
    }
    to.push_str(&text[copied..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{Event, ServerFrame};

    proptest! {
        #[test]
        fn it_writes_what_serde_writes(
            kind in prop_oneof![Just(EventKind::Message), Just(EventKind::Join), Just(EventKind::Leave)],
            (seq, room, uid) in (1..=base::MAX_ID, 1..=base::MAX_ID, 1..=base::MAX_ID),
            text in "(\\PC|[\\x00-\\x1f\"\\\\]|.){0,60}",
            by in proptest::option::of(1..=base::MAX_ID),
            micros in 0..4_000_000_000_000_000_i64,
        ) {
            let view = EventView {
                kind,
                seq: Seq(seq),
                room: RoomId::new(room).unwrap(),
                uid: Uid::new(uid).unwrap(),
                text: &text,
                by: by.and_then(Uid::new),
                timestamp: Timestamp::from_micros(micros),
            };
            let event = ServerFrame::Event(Event {
                kind,
                id: view.seq,
                seq: view.seq,
                room: view.room,
                uid: view.uid,
                text: text.clone(),
                by: view.by,
                emoji: None,
                timestamp: view.timestamp,
                more: serde_json::Map::default(),
            });
            let mut frame = String::new();
            encode_event(&view, &mut frame);
            prop_assert_eq!(&frame, &event.to_json());
            prop_assert_eq!(ServerFrame::parse(&frame).unwrap(), event);
        }
    }
}
