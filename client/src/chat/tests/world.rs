//! A server of a few lines that does what `/asyncapi.json` says, the network before it, and a user
//! who checks what he is told.

mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use wire::event::{EventKind, EventsPage};
use wire::frame::{Sent, ServerFrame};
use wire::{Code, Epoch, MessageText, Nonce, RoomId, Seq, Uid};

use super::super::backoff::Random;
use super::super::core::Core;
use super::super::outbox::Post;
use super::super::rooms::Page;
use super::super::tag::Tag;
use super::super::{Gone, Item, Position, Start, Timings};
use crate::{Error, Result};
pub(super) use server::Taking;
use server::{Log, Wire, fault};

pub(super) fn room(number: u64) -> RoomId {
    RoomId::new(number).unwrap()
}

fn uid(number: u64) -> Uid {
    Uid::new(number).unwrap()
}

/// The user whose client this is.
fn own() -> Uid {
    uid(1)
}

/// A message that someone waits for.
struct Waiting {
    room: RoomId,
    nonce: String,
    answer: oneshot::Receiver<Result<Sent>>,
}

pub(super) struct World {
    core: Core,
    now: Instant,
    logs: BTreeMap<RoomId, Log>,
    wire: Option<Wire>,
    page: Option<Page>,
    posting: Vec<(Tag, String, String)>,
    /// The user: what he has of each room, and the messages he waits for.
    has: BTreeMap<RoomId, Position>,
    /// Rooms that ended for him.
    gone: Vec<RoomId>,
    waiting: Vec<Waiting>,
    /// The last answer of each room: its life and its place.
    answered: BTreeMap<RoomId, (Epoch, Seq)>,
    sent: u64,
}

impl World {
    pub(super) fn new(rooms: u64, seed: u64) -> Self {
        let logs = (1..=rooms).map(|number| {
            let mut log = Log {
                epoch: Epoch(1),
                first: 1,
                events: Vec::new(),
                nonces: BTreeMap::new(),
                denied: BTreeSet::new(),
                member: true,
            };
            log.append(EventKind::Join, room(number), own(), "");
            (room(number), log)
        });
        let mut world = Self {
            core: Core::new(&Timings::default(), 1_000, 2, Random::seeded(seed)),
            now: Instant::now(),
            logs: logs.collect(),
            wire: None,
            page: None,
            posting: Vec::new(),
            has: BTreeMap::new(),
            gone: Vec::new(),
            waiting: Vec::new(),
            answered: BTreeMap::new(),
            sent: 0,
        };
        world.core.rooms.is(own());
        world
    }

    pub(super) fn follow(&mut self, room: RoomId) {
        let position = *self.has.entry(room).or_default();
        // Known from the first answer on; here every log is followed from its beginning.
        let (caller, _) = oneshot::channel();
        self.core.subscribe(room, Start::After(position), caller);
    }

    pub(super) fn connect(&mut self) -> bool {
        if self.wire.is_none() {
            self.wire = Some(Wire::default());
            self.core.connected();
        }
        true
    }

    /// The connection ends after the server has read `read` frames more.
    pub(super) fn cut(&mut self, read: usize) -> bool {
        for _ in 0..read {
            self.server_reads(Taking::Well);
        }
        if self.wire.take().is_some() {
            self.core.cut();
        }
        true
    }

    pub(super) fn client_writes(&mut self) -> bool {
        let Some(wire) = &mut self.wire else {
            return false;
        };
        let frame = self.core.outgoing(self.now);
        let wrote = frame.is_some();
        wire.to_server.extend(frame);
        wrote
    }

    /// The client reads a frame. A hole ends the connection.
    pub(super) fn client_reads(&mut self) -> bool {
        let Some(frame) = self.wire.as_mut().and_then(|it| it.to_client.pop_front()) else {
            return false;
        };
        if self.core.frame(frame, self.now).is_err() {
            self.cut(0);
        }
        true
    }

    pub(super) fn begin_page(&mut self) -> bool {
        if self.page.is_none() {
            self.page = self.core.next_page(self.now);
            return self.page.is_some();
        }
        false
    }

    /// The page under way arrives with `limit` events, or not at all.
    pub(super) fn end_page(&mut self, limit: Option<usize>) -> bool {
        let Some(page) = self.page.take() else {
            return false;
        };
        let log = &self.logs[&page.room];
        let outcome = match limit {
            None => Err(Error::Deadline),
            Some(_) if !log.member => Err(refused(Code::PermissionDenied)),
            Some(limit) => match log.resume(page.after.seq.get(), page.after.epoch) {
                None => Err(refused(Code::InvalidArgument)),
                Some((replay, _, reset)) => {
                    let after = if reset { replay } else { page.after.seq.get() };
                    let events = log.events.iter().skip(usize::try_from(after).unwrap());
                    Ok(EventsPage {
                        events: events
                            .take(limit)
                            .cloned()
                            .map(ServerFrame::Event)
                            .collect(),
                        head: Seq(log.head()),
                        epoch: log.epoch,
                        first: Seq(log.first),
                        reset,
                    })
                }
            },
        };
        self.core.paged(page, outcome, self.now);
        true
    }

    pub(super) fn begin_post(&mut self) -> bool {
        let Some(message) = self.core.next_post(self.now) else {
            return false;
        };
        let text = message.text.into_string();
        self.posting
            .push((message.tag, text, message.nonce.into_string()));
        true
    }

    /// A message over HTTP is answered; `lost`: the answer does not arrive.
    pub(super) fn end_post(&mut self, taking: Taking, lost: bool) -> bool {
        let Some((tag, text, nonce)) = self.posting.pop() else {
            return false;
        };
        let outcome = self.server_takes(tag.room, &text, &nonce, taking);
        let outcome = match outcome {
            _ if lost => Err(Error::Deadline),
            Ok(sent) => Ok(sent),
            Err(code) => Err(refused(code)),
        };
        self.core.posted(tag, outcome, self.now);
        true
    }

    pub(super) fn user_sends(&mut self, room: RoomId) -> bool {
        if self.core.outbox.is_full() {
            return false;
        }
        self.sent += 1;
        let nonce = format!("n{}", self.sent);
        let (caller, answer) = oneshot::channel();
        self.core.send(Post {
            room,
            text: MessageText::parse("Text", &nonce).unwrap(),
            nonce: Nonce::parse("Nonce", &nonce).unwrap(),
            caller,
        });
        self.waiting.push(Waiting {
            room,
            nonce,
            answer,
        });
        true
    }

    pub(super) fn user_gives_up(&mut self, which: usize) -> bool {
        if !self.waiting.is_empty() {
            drop(self.waiting.remove(which % self.waiting.len()));
            self.core.outbox.sweep();
        }
        true
    }

    /// The user takes an item, and checks it.
    pub(super) fn user_takes(&mut self) -> bool {
        self.user_hears();
        let Some(item) = self.core.next_item() else {
            return false;
        };
        match item {
            Item::Event { event, position } => {
                let had = self.has.get_mut(&event.room).unwrap();
                assert_eq!(
                    event.seq,
                    had.seq.next(),
                    "a hole or a repeat in {}",
                    event.room
                );
                assert_eq!(position.seq, event.seq);
                assert!(had.epoch.is_none() || had.epoch == position.epoch);
                *had = position;
                let log = &self.logs[&event.room];
                if Some(log.epoch) == position.epoch {
                    let at = usize::try_from(event.seq.get() - 1).unwrap();
                    assert_eq!(event, log.events[at]);
                }
            }
            Item::Reset(reset) => {
                self.has.insert(reset.room, reset.position);
            }
            Item::Gone { room, why } => {
                assert!(!self.gone.contains(&room));
                assert!(
                    !matches!(&why, Gone::Refused(no) if no.code == Some(Code::InvalidArgument))
                );
                self.gone.push(room);
            }
            other => panic!("not expected: {other:?}"),
        }
        true
    }

    /// Who lost a room comes back to it, where he was.
    pub(super) fn user_returns(&mut self) -> bool {
        for room in std::mem::take(&mut self.gone) {
            self.follow(room);
        }
        true
    }

    /// The user takes his wish back, and wishes again from where he is.
    pub(super) fn user_begins_again(&mut self, room: RoomId) -> bool {
        if self.gone.contains(&room) {
            return false;
        }
        self.core.unsubscribe(room);
        self.follow(room);
        true
    }

    /// The user looks which of his messages are answered; each is in the log, once, and
    /// after the ones before it.
    fn user_hears(&mut self) {
        for mut waiting in std::mem::take(&mut self.waiting) {
            let log = &self.logs[&waiting.room];
            match waiting.answer.try_recv() {
                Ok(Ok(sent)) => {
                    let last = self.answered.get(&waiting.room);
                    if log.nonces.contains_key(&waiting.nonce) {
                        let place = (log.epoch, sent.message_id);
                        assert_eq!(log.nonces[&waiting.nonce], sent.message_id);
                        assert!(last.is_none_or(|last| *last < place), "out of order");
                        self.answered.insert(waiting.room, place);
                    }
                }
                Ok(Err(error)) => {
                    assert_eq!(error.code(), Some(Code::PermissionDenied), "{error}");
                    assert!(
                        log.denied.contains(&waiting.nonce),
                        "refused to a member of {}",
                        waiting.room
                    );
                }
                Err(oneshot::error::TryRecvError::Empty) => self.waiting.push(waiting),
                Err(oneshot::error::TryRecvError::Closed) => panic!("never answered"),
            }
        }
    }

    pub(super) fn waits(&mut self, time: Duration) -> bool {
        self.now += time;
        true
    }

    /// Nothing fails any more: everything is answered, even before the user takes an item,
    /// and everything arrives.
    pub(super) fn settle(&mut self) {
        let rooms: Vec<RoomId> = self.logs.keys().copied().collect();
        for room in &rooms {
            if !self.logs[room].member {
                self.leave_or_join(*room);
            }
        }
        self.goes_on(&rooms, false);
        self.user_hears();
        assert!(
            self.waiting.is_empty(),
            "{} are not answered",
            self.waiting.len()
        );
        assert!(!self.core.someone_waits(), "a wish is not answered");
        self.goes_on(&rooms, true);
        for (room, log) in &self.logs {
            assert_eq!(
                self.has[room].seq,
                Seq(log.head()),
                "{room} is not at its end"
            );
        }
    }

    fn goes_on(&mut self, rooms: &[RoomId], user_takes: bool) {
        for _ in 0..10_000 {
            self.connect();
            self.now += Duration::from_millis(100);
            let mut moved = self.client_writes() | self.server_reads(Taking::Well);
            moved |= self.client_reads() | self.begin_page() | self.end_page(Some(3));
            moved |= self.begin_post() | self.end_post(Taking::Well, false);
            moved |= user_takes && self.user_takes();
            for room in rooms {
                moved |= self.server_pushes(*room, false);
            }
            let lost = !self.gone.is_empty();
            self.user_returns();
            if !moved && !lost && self.core.wake_after(self.now).is_none() {
                break;
            }
        }
    }
}

fn refused(code: Code) -> Error {
    let ServerFrame::Error(fault) = fault(code, None) else {
        unreachable!("a fault is an error frame")
    };
    Error::Refused(crate::Refusal::from_frame(fault))
}
