//! The server's side of the world: its logs, and what it says on a connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use wire::event::{Event, EventKind};
use wire::frame::{Command, Entered, Fault, Framed, Sent, ServerFrame};
use wire::{Code, Epoch, RoomId, Seq, Timestamp, Uid};

use super::{World, own, uid};

/// Events that the server replays, most.
const REPLAY: u64 = 5;

/// How the server takes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taking {
    Well,
    /// Says `unavailable`, and wrote nothing.
    Not,
    /// Says `unavailable`, and it is in the log.
    Unsaid,
}

pub(super) struct Log {
    pub(super) epoch: Epoch,
    pub(super) first: u64,
    /// From event 1.
    pub(super) events: Vec<Event>,
    pub(super) nonces: BTreeMap<String, Seq>,
    /// What was refused because the user was not in the room.
    pub(super) denied: BTreeSet<String>,
    pub(super) member: bool,
}

impl Log {
    pub(super) fn head(&self) -> u64 {
        self.events.len() as u64
    }

    pub(super) fn append(&mut self, kind: EventKind, room: RoomId, uid: Uid, text: &str) -> Seq {
        let seq = Seq(self.head() + 1);
        self.events.push(Event {
            kind,
            id: seq,
            seq,
            room,
            uid,
            text: format!("{} of {:?}", text, self.epoch),
            by: None,
            emoji: None,
            timestamp: Timestamp::default(),
            more: serde_json::Map::default(),
        });
        seq
    }

    /// Where to go on: after which event, whether truncated, whether reset.
    pub(super) fn resume(&self, after: u64, epoch: Option<Epoch>) -> Option<(u64, bool, bool)> {
        let kept = self.first - 1;
        if epoch.is_some_and(|epoch| epoch != self.epoch) || after < kept {
            let replay = self.head().saturating_sub(wire::limits::REPLAY_EVENTS);
            return Some((replay.max(kept), false, true));
        }
        let replay = self.head().saturating_sub(REPLAY).max(kept);
        (after <= self.head()).then(|| (after.max(replay), after < replay, false))
    }
}

/// What a connection has: how far it is in a room, the head when it came in, and whether it
/// saw its user leave since.
pub(super) struct Subscribed {
    pub(super) sent: u64,
    pub(super) checked: u64,
    pub(super) evicted: bool,
}

#[derive(Default)]
pub(super) struct Wire {
    pub(super) to_server: VecDeque<Framed>,
    pub(super) to_client: VecDeque<ServerFrame>,
    pub(super) rooms: BTreeMap<RoomId, Subscribed>,
}

impl World {
    pub(crate) fn server_reads(&mut self, taking: Taking) -> bool {
        let Some(framed) = self.wire.as_mut().and_then(|it| it.to_server.pop_front()) else {
            return false;
        };
        let reference = framed.reference;
        let answer = match framed.command {
            Command::Subscribe { room, after, epoch } => {
                self.server_subscribes(room, after, epoch, reference)
            }
            Command::Unsubscribe { room } => {
                self.wire.as_mut().unwrap().rooms.remove(&room);
                return true;
            }
            Command::Message { room, text, nonce } => {
                let room = room.unwrap();
                let subscribed = self.wire.as_ref().unwrap().rooms.get(&room);
                let outcome = match subscribed.map(|it| it.evicted) {
                    Some(false) => {
                        let nonce = nonce.unwrap();
                        self.server_takes(room, text.as_str(), nonce.as_str(), taking)
                    }
                    Some(true) => Err(Code::PermissionDenied),
                    None => Err(Code::InvalidArgument),
                };
                match outcome {
                    Ok(sent) => ServerFrame::Sent(Sent { reference, ..sent }),
                    Err(code) => fault(code, reference),
                }
            }
            other => panic!("not expected: {other:?}"),
        };
        self.wire.as_mut().unwrap().to_client.push_back(answer);
        true
    }

    fn server_subscribes(
        &mut self,
        room: RoomId,
        after: Option<Seq>,
        epoch: Option<Epoch>,
        reference: Option<String>,
    ) -> ServerFrame {
        let log = &self.logs[&room];
        if !log.member {
            return fault(Code::PermissionDenied, reference);
        }
        let after = after.map_or(log.head(), Seq::get);
        let Some((sent, truncated, reset)) = log.resume(after, epoch) else {
            return fault(Code::InvalidArgument, reference);
        };
        let checked = log.head();
        let wire = self.wire.as_mut().unwrap();
        let subscribed = Subscribed {
            sent,
            checked,
            evicted: false,
        };
        wire.rooms.insert(room, subscribed);
        ServerFrame::Subscribe(Entered {
            room: Some(room),
            seq: Some(Seq(log.head())),
            truncated,
            epoch: Some(log.epoch),
            first: Some(Seq(log.first)),
            reset,
            reference,
        })
    }

    pub(super) fn server_takes(
        &mut self,
        room: RoomId,
        text: &str,
        nonce: &str,
        taking: Taking,
    ) -> std::result::Result<Sent, Code> {
        let log = self.logs.get_mut(&room).unwrap();
        if taking == Taking::Not {
            return Err(Code::Unavailable);
        }
        let seq = match log.nonces.get(nonce) {
            Some(seq) => *seq,
            None if !log.member => {
                log.denied.insert(nonce.to_owned());
                return Err(Code::PermissionDenied);
            }
            None => {
                let seq = log.append(EventKind::Message, room, own(), text);
                log.nonces.insert(nonce.to_owned(), seq);
                seq
            }
        };
        if taking == Taking::Unsaid {
            return Err(Code::Unavailable);
        }
        Ok(Sent {
            message_id: seq,
            room,
            timestamp: Timestamp::default(),
            reference: None,
        })
    }

    /// One event more on its way to the client; `skip` leaves one out before it.
    pub(crate) fn server_pushes(&mut self, room: RoomId, skip: bool) -> bool {
        let Some(wire) = &mut self.wire else {
            return false;
        };
        let Some(subscribed) = wire.rooms.get_mut(&room).filter(|it| !it.evicted) else {
            return false;
        };
        let log = &self.logs[&room];
        if skip && subscribed.sent + 1 < log.head() {
            subscribed.sent += 1;
        }
        let Some(event) = log.events.get(usize::try_from(subscribed.sent).unwrap()) else {
            return false;
        };
        subscribed.sent += 1;
        wire.to_client.push_back(ServerFrame::Event(event.clone()));
        let left = event.kind == EventKind::Leave && event.uid == own();
        subscribed.evicted = left && event.seq.get() > subscribed.checked;
        true
    }

    pub(crate) fn another_says(&mut self, room: RoomId) -> bool {
        let log = self.logs.get_mut(&room).unwrap();
        log.append(EventKind::Message, room, uid(2), "hi");
        true
    }

    pub(crate) fn leave_or_join(&mut self, room: RoomId) -> bool {
        let log = self.logs.get_mut(&room).unwrap();
        log.member = !log.member;
        let kind = if log.member {
            EventKind::Join
        } else {
            EventKind::Leave
        };
        log.append(kind, room, own(), "");
        true
    }

    /// The log's oldest events are gone.
    pub(crate) fn trim(&mut self, room: RoomId) -> bool {
        let log = self.logs.get_mut(&room).unwrap();
        log.first = (log.first + 3).min(log.head());
        true
    }

    /// The log is put back to what it was some time ago; the process is another.
    pub(crate) fn restore(&mut self, room: RoomId) -> bool {
        self.cut(0);
        while self.end_post(Taking::Not, true) {}
        self.end_page(None);
        let log = self.logs.get_mut(&room).unwrap();
        log.epoch = Epoch(log.epoch.0 + 1);
        let kept = (log.head() / 2).max(log.first).max(1);
        log.events.truncate(usize::try_from(kept).unwrap());
        log.nonces.retain(|_, seq| seq.get() <= kept);
        true
    }
}

pub(super) fn fault(code: Code, reference: Option<String>) -> ServerFrame {
    ServerFrame::Error(Fault::new(&wire::Error::new(code, "no"), reference))
}
