//! What a user of a [`Chat`](super::Chat) is told.

use serde::{Deserialize, Serialize};
use wire::event::Event;
use wire::{Epoch, RoomId, Seq, Uid};

#[cfg(doc)]
use crate::{Api, Events};
use crate::{Ended, Refusal};

/// A place in a room's log: the last event one has. It can be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Position {
    /// Which life of the log `seq` was counted in, if that is known.
    pub epoch: Option<Epoch>,
    /// The event.
    pub seq: Seq,
}

/// Where to begin in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what happens from now on.
    Now,
    /// With the oldest event that there is.
    Beginning,
    /// Directly after this one, as it came with an [`Item`].
    After(Position),
}

/// What [`Events`] yields. Of each room, the events are gapless and in order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Item {
    /// Something happened in a room.
    Event {
        /// What.
        event: Event,
        /// Where to go on from, once this is dealt with.
        position: Position,
    },
    /// Something happened in a room that this version has no type for.
    Unknown {
        /// The room.
        room: RoomId,
        /// Where to go on from.
        position: Position,
        /// All that the server said.
        fields: serde_json::Map<String, serde_json::Value>,
    },
    /// The log is not the one that was followed, or what would follow is gone: the next
    /// event of the room is the one after `position`.
    Reset(Reset),
    /// The room's events end here: one is a member no more.
    Gone {
        /// The room.
        room: RoomId,
        /// Why.
        why: Gone,
    },
    /// All ends here.
    Ended(Ended),
}

impl Item {
    /// The room that it is about.
    pub fn room(&self) -> Option<RoomId> {
        match self {
            Self::Event { event, .. } => Some(event.room),
            Self::Unknown { room, .. } | Self::Gone { room, .. } => Some(*room),
            Self::Reset(reset) => Some(reset.room),
            Self::Ended(_) => None,
        }
    }

    /// Where to go on from in its room, once it is dealt with.
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::Event { position, .. } | Self::Unknown { position, .. } => Some(*position),
            Self::Reset(reset) => Some(reset.position),
            Self::Gone { .. } | Self::Ended(_) => None,
        }
    }
}

/// A log that begins afresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset {
    /// The room.
    pub room: RoomId,
    /// The next event is the one after this.
    pub position: Position,
    /// The newest event.
    pub head: Seq,
    /// The oldest event kept; [`Api::events`] reads what is before `position`.
    pub first: Seq,
}

/// Why a room's events end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// The user left, or was made to leave by another.
    Left {
        /// Who made him.
        by: Option<Uid>,
    },
    /// The server does not give the room's events (any more).
    Refused(Refusal),
}

/// How the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// One is being opened.
    Connecting,
    /// There is one.
    Online,
    /// There is none; the next try is to come.
    Offline {
        /// Why.
        reason: String,
    },
    /// There will be none.
    Ended(Ended),
}
