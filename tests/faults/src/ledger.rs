//! What clients were told: every acknowledgement, and every event that any connection
//! was sent. Texts are kept as 64-bit hashes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use client::wire::frame::{self, EventKind};
use client::wire::{RoomId, Seq, response};
use client::wire::{Timestamp, Uid};

/// Microseconds since the run began.
pub type Micros = u64;

pub(crate) fn seconds(micros: Micros) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

/// One message of one writer; its nonce, and the beginning of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag {
    /// The writer's number in the run.
    pub writer: u32,
    /// The message's number, from 1.
    pub number: u32,
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "w{}-{}", self.writer, self.number)
    }
}

/// How a message was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As a frame.
    Socket,
    /// `POST /messages/{RoomID}`
    Http,
}

/// An answer that says: this message is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The message's nonce.
    pub nonce: Tag,
    /// Who sent it.
    pub uid: Uid,
    /// [`hash`] of its text.
    pub text: u64,
    /// The `MessageID` in the answer.
    pub id: Seq,
    /// The Timestamp in the answer.
    pub timestamp: Timestamp,
    /// When it was sent for the first time.
    pub sent: Micros,
    /// When the answer came.
    pub told: Micros,
    /// Which gateway answered, from 1.
    pub gateway: usize,
    /// How it was sent.
    pub way: Way,
    /// Which of the writer's connections it was answered on.
    pub connection: u32,
    /// Its place among what was sent on that connection.
    pub place: u32,
    /// How often it was sent in all.
    pub tries: u32,
}

/// An event, as a log or a frame says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Its place in the log.
    pub seq: Seq,
    /// What it is.
    pub kind: EventKind,
    /// The message it is about.
    pub id: Seq,
    /// Whose.
    pub uid: Uid,
    /// [`hash`] of its text.
    pub text: u64,
    /// When.
    pub timestamp: Timestamp,
}

impl Event {
    /// One number for all of it.
    pub fn print(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seq.get(), self.kind, self.id.get(), self.uid).hash(&mut hasher);
        (self.text, self.timestamp).hash(&mut hasher);
        hasher.finish()
    }
}

impl From<&frame::Event> for Event {
    fn from(event: &frame::Event) -> Self {
        Self {
            seq: event.seq,
            kind: event.kind,
            id: event.id,
            uid: event.uid,
            text: hash(&event.text),
            timestamp: event.timestamp,
        }
    }
}

impl From<&response::Entry> for Event {
    /// These kinds of events have their Seq for an ID.
    fn from(entry: &response::Entry) -> Self {
        Self {
            seq: entry.id,
            kind: entry.kind,
            id: entry.id,
            uid: entry.uid,
            text: hash(&entry.text),
            timestamp: entry.timestamp,
        }
    }
}

/// The hash of a text.
pub fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// An event that a reader got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Its Seq.
    pub seq: Seq,
    /// [`Event::print`]
    pub print: u64,
    /// Milliseconds since the run began.
    pub at: u32,
    /// On the connection; else the reader paged it, for it was too far behind.
    pub live: bool,
}

/// What came between one answer to `enter` or `subscribe` and the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The After that was asked with: what the reader had.
    pub after: Seq,
    /// The Seq in the answer.
    pub entered: Seq,
    /// When the answer came.
    pub at: Micros,
    /// Which gateway it was, from 1.
    pub gateway: usize,
    /// Which of the reader's connections.
    pub connection: u32,
    /// In the order they came.
    pub deliveries: Vec<Delivery>,
}

/// All that one reader got of one room, from its first event on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// The reader's name, for people.
    pub reader: String,
    /// Whose connections they are.
    pub uid: Uid,
    /// One after the other.
    pub spans: Vec<Span>,
}

/// All that was told of one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomLedger {
    /// The room.
    pub room: RoomId,
    /// Every acknowledgement.
    pub acks: Vec<Ack>,
    /// Texts of messages that were refused after an earlier try had no answer: that one
    /// may have been written, once.
    pub doubts: Vec<u64>,
    /// Every reader.
    pub streams: Vec<Stream>,
}
