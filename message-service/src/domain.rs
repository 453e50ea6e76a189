//! What a log is made of.

use base::{Epoch, MessageText, Nonce, RoomId, Seq, Timestamp, Uid};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// What happened, as the log stores it: a number of `proto::message::Kind`. Kinds
/// that this release does not know pass through.
pub type KindNumber = u32;

/// The kinds that this release writes.
pub mod kind {
    use super::KindNumber;
    use proto::message::Kind;

    /// A message.
    pub const MESSAGE: KindNumber = Kind::Message as KindNumber;
    /// Somebody became a member.
    pub const JOIN: KindNumber = Kind::Join as KindNumber;
    /// Somebody is a member no longer.
    pub const LEAVE: KindNumber = Kind::Leave as KindNumber;
    /// What history shows.
    pub const SHOWN: [KindNumber; 3] = [MESSAGE, JOIN, LEAVE];
}

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its room.
    pub room: RoomId,
    /// Its place.
    pub seq: Seq,
    /// What happened.
    pub kind: KindNumber,
    /// Whose doing it is; for join and leave, the member.
    pub uid: Uid,
    /// The message it is about.
    pub target: Seq,
    /// The text, if it has one.
    pub text: String,
    /// What else it says: a JSON object, or empty.
    pub attrs: String,
    /// When; never before the event that precedes it.
    pub at: Timestamp,
    /// Which life of the log it is of.
    pub epoch: Epoch,
}

impl From<Event> for proto::message::Event {
    fn from(event: Event) -> Self {
        Self {
            room_id: event.room.get(),
            seq: event.seq.get(),
            kind: event.kind,
            uid: event.uid.get(),
            target: event.target.get(),
            text: event.text,
            attrs: Bytes::from(event.attrs),
            at: event.at.micros(),
            epoch: event.epoch.0,
        }
    }
}

/// The first 16 bytes of a SHA-256 over a request as it was first accepted.
pub type RequestHash = [u8; 16];

/// A message to be written.
#[derive(Debug, Clone)]
pub struct Post {
    /// Where.
    pub room: RoomId,
    /// By whom.
    pub uid: Uid,
    /// What.
    pub text: MessageText,
    /// What makes a repeat of it known.
    pub nonce: Nonce,
}

impl Post {
    /// What a repeat must match.
    pub fn hash(&self) -> RequestHash {
        let digest = Sha256::new()
            .chain_update(kind::MESSAGE.to_be_bytes())
            .chain_update(self.text.as_str())
            .finalize();
        let mut hash = RequestHash::default();
        hash.copy_from_slice(&digest[..16]);
        hash
    }
}

/// A change of membership, as rooms-service numbered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number in the room: applied in order, without gaps, each once.
    pub number: u64,
    /// Join, leave, or neither (a change of role alone).
    pub kind: KindNumber,
    /// The member.
    pub uid: Uid,
    /// Who did it.
    pub by: Uid,
    /// The role afterwards; 0 is none.
    pub role: u32,
}

/// One thing to be written to a room's log.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A message.
    Post(Post),
    /// Changes of membership, ascending.
    Changes {
        /// The room.
        room: RoomId,
        /// The changes.
        changes: Vec<Change>,
    },
}

impl Entry {
    /// The room it belongs to.
    pub fn room(&self) -> RoomId {
        match self {
            Self::Post(post) => post.room,
            Self::Changes { room, .. } => *room,
        }
    }
}

/// What became of an entry. Anything but `Busy` is final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Written.
    Sent(Event),
    /// Written before, under the same nonce; the event as it was then.
    Repeat(Event),
    /// Membership is applied up to this number; the events that are new.
    Applied {
        /// The newest change applied.
        applied: u64,
        /// What the log gained.
        events: Vec<Event>,
    },
    /// Not written, and why.
    Refused(Refusal),
    /// Another writer holds the room now: the next batch takes it.
    Busy,
}

/// Why an entry is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such room.
    NoRoom,
    /// Its author is no member.
    NotMember,
    /// The nonce stands for another request.
    NonceReused,
    /// A change before it is missing.
    Gap,
}

/// A user's standing in a room, and where its log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The newest event.
    pub head: Seq,
    /// The life of the log.
    pub epoch: Epoch,
    /// The oldest event kept.
    pub first: Seq,
    /// The user's role; 0: no member.
    pub role: u32,
}

/// A read marker to be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Of which room.
    pub room: RoomId,
    /// Whose.
    pub uid: Uid,
    /// Up to which event he has read.
    pub read: Seq,
}

/// What became of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// It is here now, which is as far as was asked for or further.
    At {
        /// Where.
        read: Seq,
        /// Whether it moved.
        moved: bool,
    },
    /// There is no such room.
    NoRoom,
    /// Its user is no member.
    NotMember,
    /// There is no such event yet.
    Beyond,
    /// Somebody else holds it now.
    Busy,
}

/// Where a member stands in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The room.
    pub room: RoomId,
    /// His role, and where the log ends.
    pub position: Position,
    /// How far he has read.
    pub read: Seq,
    /// Messages of others after that, among the newest [`base::limits::COUNTED`] events.
    pub unread: u32,
    /// The newest message among these.
    pub last_message: Option<Event>,
}

/// Where a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The room.
    pub room: RoomId,
    /// The newest event.
    pub head: Seq,
    /// The life of the log.
    pub epoch: Epoch,
}

/// Where a page of the history lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryFrom {
    /// Backwards from this one, inclusive (`None`: from the newest), newest first.
    UpTo(Option<Seq>),
    /// Forwards from what follows this one, oldest first.
    After(Seq),
    /// Half of it up to this one, half after it, newest first.
    Around(Seq),
}

/// A stretch of a log, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The events.
    pub events: Vec<Event>,
    /// Where the log stood when they were read.
    pub position: Position,
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such room.
    #[error("no such room")]
    NoRoom,
    /// The reader is no member.
    #[error("not a member")]
    NotMember,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] runtime::StoreError),
}

/// Events for tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::{Epoch, Event, RoomId, Seq, Timestamp, Uid, kind};

    /// A message of user 1.
    pub(crate) fn message(room: RoomId, seq: u64) -> Event {
        Event {
            room,
            seq: Seq(seq),
            kind: kind::MESSAGE,
            uid: Uid::new(1).unwrap(),
            target: Seq(seq),
            text: "hello".into(),
            attrs: String::new(),
            at: Timestamp::from_micros(1),
            epoch: Epoch(1),
        }
    }
}
