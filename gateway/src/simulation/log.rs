//! What is true in a simulated world: the logs, who is a member, what was acknowledged;
//! and the one source of chance.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use proto::message::{Event, Kind};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::bus::SimBus;
use super::news::News;

/// An author who has no connection here.
const ELSEWHERE: u64 = 1_000;

/// One room.
#[derive(Default)]
pub(super) struct Log {
    pub(super) events: Vec<Event>,
    pub(super) members: BTreeSet<u64>,
    pub(super) epoch: u64,
    /// By user and nonce: what was said, and where it stands.
    nonces: BTreeMap<(u64, String), (String, u64)>,
    /// What authors were told in this life of the log: nonce and Seq.
    acked: Vec<(u64, String, u64)>,
    /// By author: his newest message that a restore took away. Up to there he may say
    /// things again, behind what was on its way meanwhile.
    taken_away: BTreeMap<u64, u64>,
    /// Author and number of what its author waits for no more, without an answer to it.
    given_up: BTreeSet<(u64, u64)>,
}

impl Log {
    pub(super) fn head(&self) -> u64 {
        self.events.len() as u64
    }

    /// The Seq of the newest leave of a user who is out.
    fn left_at(&self, uid: u64) -> u64 {
        let mut backwards = self.events.iter().rev();
        let leave = backwards.find(|it| it.kind == Kind::Leave as u32 && it.uid == uid);
        leave.map_or(0, |event| event.seq)
    }

    fn add(&mut self, room: u64, kind: Kind, uid: u64, text: String) -> Event {
        let seq = self.head() + 1;
        let event = Event {
            room_id: room,
            seq,
            kind: kind as u32,
            uid,
            target: seq,
            text,
            at: i64::try_from(seq).unwrap(),
            epoch: self.epoch,
            ..Event::default()
        };
        self.events.push(event.clone());
        event
    }
}

/// Why a post is not written.
pub(super) enum No {
    Member,
    Nonce,
}

pub(super) struct World {
    chance: Mutex<SmallRng>,
    logs: Mutex<BTreeMap<u64, Log>>,
    pub(super) bus: Arc<SimBus>,
    pub(super) news: News,
}

impl World {
    pub(super) fn new(seed: u64, users: u64, rooms: u64) -> Arc<Self> {
        let world = Arc::new(Self {
            chance: Mutex::new(SmallRng::seed_from_u64(seed)),
            logs: Mutex::default(),
            bus: SimBus::new(seed),
            news: News::new(seed),
        });
        for room in 1..=rooms {
            let mut log = Log {
                epoch: 1,
                ..Log::default()
            };
            for uid in 1..=users {
                log.members.insert(uid);
                log.add(room, Kind::Join, uid, String::new());
            }
            world.logs().insert(room, log);
        }
        world
    }

    // --- chance ---

    pub(super) fn number(&self, least: u64, most: u64) -> u64 {
        self.chance.lock().unwrap().random_range(least..=most)
    }

    pub(super) fn chance(&self, percent: u64) -> bool {
        self.number(0, 99) < percent
    }

    pub(super) fn millis(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.number(least, most))
    }

    // --- the logs ---

    fn logs(&self) -> MutexGuard<'_, BTreeMap<u64, Log>> {
        self.logs.lock().unwrap()
    }

    /// Looks at a room.
    pub(super) fn room<T>(&self, room: u64, look: impl FnOnce(&mut Log) -> T) -> Option<T> {
        self.logs().get_mut(&room).map(look)
    }

    /// Writes a post as the message-service would. Answers the event, and whether it was
    /// there already.
    pub(super) fn post(
        &self,
        room: u64,
        uid: u64,
        text: &str,
        nonce: &str,
    ) -> Result<(Event, bool), No> {
        let mut logs = self.logs();
        let log = logs.get_mut(&room).unwrap();
        let key = (uid, nonce.to_owned());
        if let Some((said, seq)) = log.nonces.get(&key) {
            if said != text {
                return Err(No::Nonce);
            }
            let index = usize::try_from(*seq).unwrap() - 1;
            return Ok((log.events[index].clone(), true));
        }
        if !log.members.contains(&uid) {
            return Err(No::Member);
        }
        let event = log.add(room, Kind::Message, uid, text.to_owned());
        log.nonces.insert(key, (text.to_owned(), event.seq));
        drop(logs);
        self.spread(vec![event.clone()]);
        Ok((event, false))
    }

    /// Events of one room, ascending, begin their way to the gateways.
    fn spread(&self, events: Vec<Event>) {
        self.news.tell(&events);
        self.bus.publish(events);
    }

    /// Somebody who has no connection here writes.
    pub(super) fn write_some(&self, room: u64, least: u64, most: u64) {
        let count = self.number(least, most);
        let kind = if self.chance(10) {
            Kind::Pin
        } else {
            Kind::Message
        };
        let events = self.room(room, |log| {
            let add = |_| log.add(room, kind, ELSEWHERE, "from elsewhere".into());
            (0..count).map(add).collect::<Vec<_>>()
        });
        self.spread(events.unwrap());
    }

    /// A member leaves, or one who left comes back.
    pub(super) fn toggle_member(&self, room: u64, uid: u64) {
        let event = self.room(room, |log| {
            if log.members.remove(&uid) {
                log.add(room, Kind::Leave, uid, String::new())
            } else {
                log.members.insert(uid);
                log.add(room, Kind::Join, uid, String::new())
            }
        });
        self.spread(event.into_iter().collect());
    }

    /// The log is as it was some time ago, in a new life. What was acknowledged since is
    /// lost, as the operator was told.
    pub(super) fn restore(&self, room: u64) {
        let back = self.number(0, 60);
        self.room(room, |log| {
            let keep = log.head().saturating_sub(back).max(5);
            log.epoch += 1;
            for event in log.events.split_off(usize::try_from(keep).unwrap()) {
                if let Some(number) = number_in(&event) {
                    let newest = log.taken_away.entry(event.uid).or_default();
                    *newest = number.max(*newest);
                }
            }
            log.nonces.retain(|_, (_, seq)| *seq <= keep);
            log.acked.retain(|(_, _, seq)| *seq <= keep);
            log.members.clear();
            for event in &mut log.events {
                event.epoch = log.epoch;
                if event.kind == Kind::Join as u32 {
                    log.members.insert(event.uid);
                } else if event.kind == Kind::Leave as u32 {
                    log.members.remove(&event.uid);
                }
            }
        });
    }

    /// All is well again, and everybody is a member everywhere.
    pub(super) fn heal(&self) {
        self.bus.heal();
        let rooms: Vec<u64> = self.logs().keys().copied().collect();
        for room in rooms {
            for uid in 1..=super::USERS {
                if self.room(room, |log| !log.members.contains(&uid)).unwrap() {
                    self.toggle_member(room, uid);
                }
            }
        }
    }

    // --- what must hold ---

    /// A client was told that this is durable.
    pub(super) fn note_acked(&self, room: u64, epoch: u64, uid: u64, nonce: &str, seq: u64) {
        self.room(room, |log| {
            // Of a life that is over nothing is claimed.
            if log.epoch == epoch {
                log.acked.push((uid, nonce.to_owned(), seq));
            }
        });
    }

    /// A client goes on without an answer to a message that it may not repeat.
    pub(super) fn note_given_up(&self, room: u64, uid: u64, number: u64) {
        self.room(room, |log| log.given_up.insert((uid, number)));
    }

    /// What a client was sent is in the log, and it may have it now.
    pub(super) fn check_event(&self, uid: u64, room: u64, epoch: u64, seq: u64, text: &str) {
        self.room(room, |log| {
            if log.epoch != epoch {
                return;
            }
            let index = usize::try_from(seq).unwrap() - 1;
            let event = log.events.get(index);
            let event = event.unwrap_or_else(|| panic!("room {room} has no event {seq}"));
            assert_eq!(event.text, text, "event {seq} of room {room}");
            if !log.members.contains(&uid) {
                let left = log.left_at(uid);
                assert!(
                    seq <= left,
                    "user {uid} left room {room} with {left} and was sent {seq}"
                );
            }
        });
    }

    /// Everything acknowledged is there once, and one author's messages are in the order
    /// in which he wrote them. Of one who was out for a while that is not to be told: what
    /// was refused to him then, and he did not hear it, he may say again later. And a message
    /// that its author gave up may come late, but not early: the gateway he was with may
    /// still have it written when he has gone on by another.
    pub(super) fn check_order(&self) {
        for (room, log) in self.logs().iter() {
            for (uid, nonce, seq) in &log.acked {
                let written = log.nonces.get(&(*uid, nonce.clone()));
                assert_eq!(
                    written.map(|(_, seq)| seq),
                    Some(seq),
                    "acknowledged to {uid} in room {room}: {nonce}"
                );
            }
            let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
            let mut was_out = BTreeSet::new();
            for event in &log.events {
                if event.kind == Kind::Leave as u32 {
                    was_out.insert(event.uid);
                }
                let Some(number) = number_in(event) else {
                    continue;
                };
                let taken_away = log.taken_away.get(&event.uid);
                let is_late = newest.get(&event.uid) > Some(&number)
                    && log.given_up.contains(&(event.uid, number));
                if was_out.contains(&event.uid) || taken_away >= Some(&number) || is_late {
                    continue;
                }
                let before = newest.insert(event.uid, number);
                assert!(
                    before.is_none_or(|before| before < number),
                    "user {} in room {room}: {number} after {before:?}",
                    event.uid
                );
            }
        }
    }

    pub(super) fn describe(&self) -> String {
        let mut words = String::new();
        for (room, log) in self.logs().iter() {
            let (head, epoch) = (log.head(), log.epoch);
            let _ = writeln!(words, "room {room}: head {head}, epoch {epoch}");
        }
        words
    }
}

/// A message's number among those of its author; `None` for what no client wrote.
fn number_in(event: &Event) -> Option<u64> {
    let elsewhere = event.uid == ELSEWHERE || event.text.is_empty();
    (!elsewhere).then(|| event.text.parse().unwrap())
}
