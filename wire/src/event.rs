//! What is in a room's log, as clients see it: in frames, and in pages over HTTP.

use base::{Epoch, RoomId, Seq, Timestamp, Uid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What kind of thing happened in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum EventKind {
    /// Someone said something.
    Message,
    /// Someone became a member.
    Join,
    /// Someone is a member no more.
    Leave,
    /// A message has another text.
    Edit,
    /// A message is no more.
    Delete,
    /// Someone reacted to a message.
    React,
    /// Someone took a reaction back.
    Unreact,
    /// A message was pinned.
    Pin,
    /// A message is pinned no more.
    Unpin,
    /// Something about the room itself is different.
    Room,
}

impl EventKind {
    /// Whether an event of this kind makes its author a member, or ends that.
    pub const fn changes_membership(self) -> bool {
        matches!(self, Self::Join | Self::Leave)
    }

    /// Every kind that there is.
    pub const ALL: [Self; 10] = [
        Self::Message,
        Self::Join,
        Self::Leave,
        Self::Edit,
        Self::Delete,
        Self::React,
        Self::Unreact,
        Self::Pin,
        Self::Unpin,
        Self::Room,
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::React => "react",
            Self::Unreact => "unreact",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
            Self::Room => "room",
        }
    }

    /// The kind that a word on the wire means.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether clients of the original contract know it. The others go live only to
    /// those that have shown they can count Seq.
    pub const fn is_original(self) -> bool {
        matches!(self, Self::Message | Self::Join | Self::Leave)
    }
}

/// Something durable that happened in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Event {
    /// What kind of thing.
    #[serde(rename = "Type")]
    pub kind: EventKind,
    /// The message it is about; its own Seq for `message`, `join` and `leave`, and 0
    /// (absent on the wire) for `room`.
    #[serde(rename = "ID", default, skip_serializing_if = "is_start")]
    pub id: Seq,
    /// Its place in the room's log.
    pub seq: Seq,
    /// The room.
    #[serde(rename = "RoomID")]
    pub room: RoomId,
    /// Whose doing it is; for `join` and `leave`, the member.
    #[serde(rename = "UID")]
    pub uid: Uid,
    /// What was said, or is said now; empty for whatever has no text.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(required = true))]
    pub text: String,
    /// Who did it, when it was not the member himself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub by: Option<Uid>,
    /// The reaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub emoji: Option<String>,
    /// When.
    pub timestamp: Timestamp,
    /// Whatever else it says: the changed fields of `room`, and what this version does
    /// not know.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// `GET /rooms/{RoomID}/events` → 200, with its events as `E`: frames to those who read them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EventsPage<E> {
    /// Ascending and without a gap, exactly as they were sent live.
    pub events: Vec<E>,
    /// The newest event when the page was read.
    pub head: Seq,
    /// Which life of the log this is.
    pub epoch: Epoch,
    /// The oldest event kept.
    pub first: Seq,
    /// What the client has is of another life of the log, or not to be continued: the
    /// page is of the newest events.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this signature"
)]
fn is_start(seq: &Seq) -> bool {
    *seq == Seq::START
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_word() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::of(kind.as_str()), Some(kind));
            assert_eq!(
                serde_json::to_string(&kind).unwrap(),
                format!("\"{}\"", kind.as_str())
            );
        }
        assert_eq!(EventKind::of("sparkle"), None);
    }
}
