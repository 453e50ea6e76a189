//! Whether a room's log and what clients were told of it agree. Pure: a log and a
//! ledger in, violations out, each by its name.

mod log;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use client::wire::frame::EventKind;
use client::wire::{RoomId, Uid};
use serde::Serialize;

use crate::ledger::{Event, RoomLedger};

/// Violations of one kind in one room that are kept; more would be the same again.
const KEPT: usize = 20;

/// Which promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An acknowledged message is not in the log.
    Lost,
    /// A text is in the log twice.
    Doubled,
    /// A message is elsewhere in the log than its acknowledgement says.
    WrongId,
    /// A message has another author or time than its acknowledgement says.
    Altered,
    /// A message in the log that no writer was told of.
    Unknown,
    /// A Seq is not in the log, or is there twice.
    Hole,
    /// A Timestamp is before its predecessor's.
    TimeBack,
    /// The log contradicts the order of sending.
    Reordered,
    /// An event's author was outside the room, or came in twice.
    NonMember,
    /// A reader did not get an event, and got later ones.
    StreamHole,
    /// A reader got an event twice.
    StreamRepeat,
    /// A reader got an event after a later one.
    StreamOrder,
    /// A reader got something else than the log has.
    StreamDiffers,
    /// A reader did not get the newest events.
    Behind,
    /// A connection got an event after its user's leave.
    Leak,
    /// A room was entered, or read, or written to, from outside.
    OutsiderIn,
    /// A right request was refused for good.
    Refused,
    /// A message was not answered, however often it was sent.
    Stuck,
    /// A log was said to have begun anew.
    Reset,
    /// The system did not go on by itself.
    NotRecovered,
}

/// A broken promise, with what shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which promise.
    pub kind: Kind,
    /// In which room, where it is about one.
    pub room: Option<RoomId>,
    /// The events it is about.
    pub seqs: Vec<u64>,
    /// The messages it is about.
    pub nonces: Vec<String>,
    /// What happened.
    pub words: String,
}

/// Everything that is wrong in a room, given its whole log, ordered as it was read.
pub fn check(log: &[Event], ledger: &RoomLedger) -> Found {
    let mut found = Found {
        room: ledger.room,
        violations: Vec::new(),
        counted: BTreeMap::new(),
    };
    let members = Members::of(log);
    log::check(log, &members, ledger, &mut found);
    let index = log.iter().map(|event| (event.seq.get(), *event)).collect();
    for stream in &ledger.streams {
        stream::check(&index, &members, stream, &mut found);
    }
    found
}

/// What is wrong in a room.
#[derive(Debug)]
pub struct Found {
    room: RoomId,
    /// The first of each kind.
    pub violations: Vec<Violation>,
    /// How many there are of each kind, with those that were not kept.
    pub counted: BTreeMap<Kind, usize>,
}

impl Found {
    fn add(&mut self, kind: Kind, seqs: Vec<u64>, nonces: Vec<String>, words: String) {
        let count = self.counted.entry(kind).or_default();
        *count += 1;
        if *count <= KEPT {
            self.violations.push(Violation {
                kind,
                room: Some(self.room),
                seqs,
                nonces,
                words,
            });
        }
    }
}

/// Who was a member when, by the log alone.
struct Members(HashMap<Uid, Vec<(u64, EventKind)>>);

impl Members {
    fn of(log: &[Event]) -> Self {
        let mut changes: HashMap<_, Vec<_>> = HashMap::new();
        for event in log.iter().filter(|event| event.kind.changes_membership()) {
            let own = changes.entry(event.uid).or_default();
            own.push((event.seq.get(), event.kind));
        }
        for own in changes.values_mut() {
            own.sort_unstable_by_key(|(seq, _)| *seq);
        }
        Self(changes)
    }

    /// Whether `uid` was a member once event `seq` had happened.
    fn has(&self, uid: Uid, seq: u64) -> bool {
        let own = self.0.get(&uid).map_or(&[][..], Vec::as_slice);
        let before = own.partition_point(|(changed, _)| *changed <= seq);
        before > 0 && own[before - 1].1 == EventKind::Join
    }

    /// The last leave of `uid` up to event `seq`.
    fn last_leave(&self, uid: Uid, seq: u64) -> Option<u64> {
        let own = self.0.get(&uid)?;
        own.iter()
            .rfind(|(left, kind)| *left <= seq && *kind == EventKind::Leave)
            .map(|(left, _)| *left)
    }

    /// The first leave of `uid` after event `seq`.
    fn next_leave(&self, uid: Uid, seq: u64) -> Option<u64> {
        let own = self.0.get(&uid)?;
        own.iter()
            .find(|(left, kind)| *left > seq && *kind == EventKind::Leave)
            .map(|(left, _)| *left)
    }
}
