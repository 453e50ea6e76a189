//! An event as it goes out: serialized once, shared by all who get it.

use base::{RoomId, Seq, Timestamp, Uid};
use proto::message::{Event, Kind};
use serde_json::{Map, Value};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use wire::frame::{EventKind, EventView, encode_event};

use super::room::Watch;

/// An event's frame; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// Its place in the log.
    pub(crate) seq: Seq,
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
        let at = Timestamp::from_micros(event.at);
        let kind = i32::try_from(event.kind)
            .ok()
            .and_then(|kind| Kind::try_from(kind).ok());
        let original = match kind {
            Some(Kind::Message) => Some(EventKind::Message),
            Some(Kind::Join) => Some(EventKind::Join),
            Some(Kind::Leave) => Some(EventKind::Leave),
            _ => None,
        };
        let mut text = String::new();
        if let Some(kind) = original {
            let by = attrs(event)
                .get("By")
                .and_then(Value::as_u64)
                .and_then(Uid::new);
            let view = EventView {
                kind,
                seq,
                room,
                uid,
                text: &event.text,
                by,
                timestamp: at,
            };
            encode_event(&view, &mut text);
        } else {
            text = generic(event, kind, at);
        }
        Some(Self {
            seq,
            text: text.into(),
            original: original.is_some(),
            leaver: (kind == Some(Kind::Leave)).then_some(uid),
        })
    }

    /// Whether a connection with this wish gets it.
    pub(crate) fn live_for(&self, watch: &Watch) -> bool {
        self.original || watch.link.wants_every_kind()
    }

    /// Whether it ends the membership of `uid`.
    pub(crate) fn ends(&self, uid: Uid) -> bool {
        self.leaver == Some(uid)
    }
}

fn attrs(event: &Event) -> Map<String, Value> {
    if event.attrs.is_empty() {
        return Map::new();
    }
    serde_json::from_slice(&event.attrs).unwrap_or_default()
}

/// An event of a later kind, or of one that this release does not know: passed on
/// with all it says.
fn generic(event: &Event, kind: Option<Kind>, at: Timestamp) -> String {
    let name = match kind {
        Some(kind) => kind
            .as_str_name()
            .trim_start_matches("KIND_")
            .to_lowercase(),
        None => format!("kind-{}", event.kind),
    };
    let mut frame = attrs(event);
    frame.insert("Type".into(), name.into());
    frame.insert("ID".into(), event.target.into());
    frame.insert("Seq".into(), event.seq.into());
    frame.insert("RoomID".into(), event.room_id.into());
    frame.insert("UID".into(), event.uid.into());
    if !event.text.is_empty() {
        frame.insert("Text".into(), event.text.clone().into());
    }
    frame.insert("Timestamp".into(), at.to_string().into());
    Value::Object(frame).to_string()
}
