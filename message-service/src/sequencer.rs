//! Decides what a batch of entries writes: the heart of the log, pure.
//!
//! Law: any split of the same entries into batches gives the same log. It holds
//! because an entry sees what the entries before it in the batch did, exactly as
//! if they had been committed. Nonces are matched before numbers are given, so
//! that a repeat leaves no hole.

use std::collections::{HashMap, HashSet};

use base::{Epoch, RoomId, Seq, Timestamp, Uid};

use crate::domain::{Change, Entry, Event, Outcome, Post, Refusal, RequestHash, kind};

/// A room's head row, locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The newest event.
    pub head: Seq,
    /// The newest membership change applied.
    pub applied: u64,
    /// When the newest event happened.
    pub last_at: Timestamp,
    /// The life of the log.
    pub epoch: Epoch,
}

impl Head {
    /// The head of a room that is only now begun.
    pub const NEW: Self = Self {
        head: Seq::START,
        applied: 0,
        last_at: Timestamp::from_micros(0),
        epoch: Epoch(1),
    };
}

/// A post that was written before.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// The hash of the request.
    pub hash: RequestHash,
    /// Where it stands.
    pub seq: Seq,
    /// When it was written.
    pub at: Timestamp,
}

/// What a store read under the locks of a batch.
#[derive(Debug, Default)]
pub struct State {
    /// The rooms that are locked.
    pub heads: HashMap<RoomId, Head>,
    /// The rooms that another writer holds.
    pub busy: HashSet<RoomId>,
    /// The members among those who act in this batch.
    pub members: HashSet<(RoomId, Uid)>,
    /// The nonces of this batch that are known.
    pub nonces: HashMap<(RoomId, Uid, String), Written>,
}

/// An event to insert, with the nonce that it stands for.
#[derive(Debug, Clone)]
pub struct Row {
    /// The event.
    pub event: Event,
    /// The nonce and the hash of the request.
    pub nonce: Option<(String, RequestHash)>,
}

/// What to write, and what to answer when it is committed.
#[derive(Debug, Default)]
pub struct Plan {
    /// One outcome an entry.
    pub outcomes: Vec<Outcome>,
    /// Events to insert, ascending within each room.
    pub rows: Vec<Row>,
    /// The heads that moved.
    pub heads: HashMap<RoomId, Head>,
    /// Members to set or to remove; the last word on each.
    pub members: HashMap<(RoomId, Uid), Member>,
}

/// What is to be kept of a member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Member {
    /// His role; 0: he is none.
    pub role: u32,
    /// His join, when it is in the batch: he has read nothing after it.
    pub joined: Seq,
}

/// Decides a batch. `now` is what the clock says; a room's time never goes back.
pub fn sequence(entries: &[Entry], mut state: State, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    for entry in entries {
        let room = entry.room();
        let outcome = if state.busy.contains(&room) {
            Outcome::Busy
        } else if let Some(mut head) = state.heads.get(&room).copied() {
            let before = head;
            let outcome = match entry {
                Entry::Post(post) => plan.post(post, &mut head, &mut state, now),
                Entry::Changes { changes, .. } => {
                    plan.changes(room, changes, &mut head, &mut state, now)
                }
            };
            if head != before {
                state.heads.insert(room, head);
                plan.heads.insert(room, head);
            }
            outcome
        } else {
            Outcome::Refused(match entry {
                Entry::Post(_) => Refusal::NoRoom,
                // A log that was restored from before the room was made: the change that
                // makes it is asked for.
                Entry::Changes { .. } => Refusal::Gap,
            })
        };
        plan.outcomes.push(outcome);
    }
    plan
}

impl Plan {
    fn post(&mut self, post: &Post, head: &mut Head, state: &mut State, now: Timestamp) -> Outcome {
        let hash = post.hash();
        let key = (post.room, post.uid, post.nonce.as_str().to_owned());
        if let Some(written) = state.nonces.get(&key) {
            if written.hash != hash {
                return Outcome::Refused(Refusal::NonceReused);
            }
            return Outcome::Repeat(message(post, head.epoch, written.seq, written.at));
        }
        if !state.members.contains(&(post.room, post.uid)) {
            return Outcome::Refused(Refusal::NotMember);
        }
        let (seq, at) = head.advance(now);
        let event = message(post, head.epoch, seq, at);
        state.nonces.insert(key.clone(), Written { hash, seq, at });
        self.rows.push(Row {
            event: event.clone(),
            nonce: Some((key.2, hash)),
        });
        Outcome::Sent(event)
    }

    fn changes(
        &mut self,
        room: RoomId,
        changes: &[Change],
        head: &mut Head,
        state: &mut State,
        now: Timestamp,
    ) -> Outcome {
        let mut events = Vec::new();
        for change in changes {
            if change.number <= head.applied {
                continue;
            }
            if change.number != head.applied + 1 {
                return if events.is_empty() {
                    Outcome::Refused(Refusal::Gap)
                } else {
                    Outcome::Applied {
                        applied: head.applied,
                        events,
                    }
                };
            }
            head.applied = change.number;
            let member = self.members.entry((room, change.uid)).or_default();
            member.role = change.role;
            if change.kind == kind::JOIN {
                member.joined = head.head.next();
            }
            if change.role == 0 {
                state.members.remove(&(room, change.uid));
            } else {
                state.members.insert((room, change.uid));
            }
            if matches!(change.kind, kind::JOIN | kind::LEAVE) {
                let (seq, at) = head.advance(now);
                let event = membership(room, change, head.epoch, seq, at);
                self.rows.push(Row {
                    event: event.clone(),
                    nonce: None,
                });
                events.push(event);
            }
        }
        Outcome::Applied {
            applied: head.applied,
            events,
        }
    }
}

impl Head {
    fn advance(&mut self, now: Timestamp) -> (Seq, Timestamp) {
        self.head = self.head.next();
        self.last_at = self.last_at.max(now);
        (self.head, self.last_at)
    }
}

fn message(post: &Post, epoch: Epoch, seq: Seq, at: Timestamp) -> Event {
    Event {
        room: post.room,
        seq,
        kind: kind::MESSAGE,
        uid: post.uid,
        target: seq,
        text: post.text.as_str().to_owned(),
        attrs: String::new(),
        at,
        epoch,
    }
}

fn membership(room: RoomId, change: &Change, epoch: Epoch, seq: Seq, at: Timestamp) -> Event {
    let attrs = if change.by == change.uid {
        String::new()
    } else {
        format!("{{\"By\":{}}}", change.by)
    };
    Event {
        room,
        seq,
        kind: change.kind,
        uid: change.uid,
        target: seq,
        text: String::new(),
        attrs,
        at,
        epoch,
    }
}
