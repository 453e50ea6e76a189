//! The clients of one block of cycles, in rooms of their own, and the checkpoint that
//! ends it: everything comes to rest, the logs are read, and all is compared.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use client::wire::{Code, RoomId, Seq};
use client::{Error, Result};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::http::Poster;
use super::line::{Line, Watched};
use super::member::Guest;
use super::outage::{CatchUp, Outage};
use super::sending::Sending;
use super::users::{User, patiently};
use super::writer::Writer;
use super::{Kept, Phase, Progress, Shape, Shared, Users, history, http, reader};
use crate::check::{Kind, Violation, check};
use crate::ledger::{Event, RoomLedger};
use crate::random::Random;

/// How long a well system may take to answer all, and to deliver all.
const REST: Duration = Duration::from_mins(1);
/// Messages a second of one who posts over HTTP.
const POSTS: u64 = 15;

/// Clients at work.
pub struct Block {
    tasks: JoinSet<Kept>,
    phase: watch::Sender<Phase>,
    progress: Progress,
    /// The acknowledgements of each writer.
    acked: Vec<(String, watch::Receiver<u64>)>,
    rooms: Vec<RoomId>,
    /// Who can read all rooms.
    witness: Arc<User>,
    /// How many tell that they have settled.
    writers: usize,
    calm: u64,
}

/// What a checkpoint found.
#[derive(Default)]
pub struct Checked {
    /// How many messages were acknowledged.
    pub acknowledged: u64,
    /// How many events readers got.
    pub delivered: u64,
    /// How often members left.
    pub leaves: u64,
    /// What was wrong.
    pub violations: Vec<Violation>,
    /// How many violations there are of each kind, with those that were not kept.
    pub counted: BTreeMap<Kind, usize>,
    /// Times without answers or events.
    pub outages: Vec<Outage>,
    /// Clients of killed gateways, back again.
    pub catch_ups: Vec<CatchUp>,
    /// Refusals and ends of connections, counted.
    pub met: BTreeMap<String, u64>,
}

impl Block {
    /// Makes the rooms of block `number` and sets the clients to work.
    ///
    /// # Errors
    /// What the system refuses for longer than it may.
    pub async fn start(
        shared: &Arc<Shared>,
        users: &Users,
        shape: Shape,
        number: u64,
    ) -> Result<Self> {
        let (phase, phases) = watch::channel(Phase::Work { calm: 0 });
        let (settled, _) = watch::channel(0);
        let rooms = rooms(users, shape.rooms, number).await?;
        let mut maker = Maker {
            shared,
            users,
            rooms: &rooms,
            random: Random::of_part(shape.seed, number + 1),
            acked: Vec::new(),
            settled: &settled,
            tasks: JoinSet::new(),
            writers: 0,
        };
        maker.writers(shape, &phases);
        maker.posters(&phases);
        maker.readers(&phases);
        maker.guests(&phases);
        let Maker {
            acked,
            tasks,
            writers,
            ..
        } = maker;
        Ok(Self {
            tasks,
            phase,
            progress: Progress { settled },
            acked,
            rooms,
            witness: Arc::clone(&users.steady[0]),
            writers,
            calm: 0,
        })
    }

    /// Waits until each writer has one more answer than now.
    ///
    /// # Errors
    /// The writer that has none by `until`.
    pub async fn all_go_on(&mut self, until: Instant) -> std::result::Result<(), String> {
        for (label, acked) in &mut self.acked {
            let had = *acked.borrow();
            let more = timeout_at(until, acked.wait_for(|acked| *acked > had)).await;
            if !matches!(more, Ok(Ok(_))) {
                return Err(label.clone());
            }
        }
        Ok(())
    }

    /// How many messages were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acked.iter().map(|(_, acked)| *acked.borrow()).sum()
    }

    /// Tells the clients that all is well: they go back to their own gateways.
    pub fn calm(&mut self) {
        self.calm += 1;
        self.phase.send_replace(Phase::Work { calm: self.calm });
    }

    /// Lets everything come to rest and compares.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub async fn check(mut self) -> Result<Checked> {
        let until = Instant::now() + REST;
        self.phase.send_replace(Phase::Settle { until });
        let all = self.writers;
        let mut settled = self.progress.settled.subscribe();
        // Each of them tells in time, or says itself what has no answer.
        let late = Duration::from_secs(20);
        let _ = timeout_at(until + late, settled.wait_for(|settled| *settled >= all)).await;
        let mut kept = Kept::default();
        let mut logs = HashMap::new();
        for room in &self.rooms {
            let log = self.log(*room, &mut kept).await?;
            logs.insert(*room, log);
        }
        let head = |log: &Vec<Event>| log.last().map_or(Seq::START, |event| event.seq);
        let heads = logs.iter().map(|(room, log)| (*room, head(log))).collect();
        self.phase.send_replace(Phase::Drain {
            heads: Arc::new(heads),
            until: Instant::now() + REST,
        });
        while let Ok(Some(ended)) = timeout(REST + late, self.tasks.join_next()).await {
            kept.merge(ended.map_err(|error| Error::Usage(error.to_string()))?);
        }
        if !self.tasks.is_empty() {
            return Err(Error::Usage("a client of ours does not end".to_owned()));
        }
        Ok(compare(&logs, kept))
    }

    /// The whole log of a room. A refusal for good is a broken promise.
    async fn log(&self, room: RoomId, kept: &mut Kept) -> Result<Vec<Event>> {
        let mut refused = Vec::new();
        let log = history::whole(&self.witness.apis, room, &mut refused).await;
        for error in refused {
            kept.violations.push(Violation {
                kind: Kind::Refused,
                room: Some(room),
                seqs: Vec::new(),
                nonces: Vec::new(),
                words: format!("a member reads the log: {error:?}"),
            });
        }
        log
    }
}

fn compare(logs: &HashMap<RoomId, Vec<Event>>, kept: Kept) -> Checked {
    let mut checked = Checked {
        acknowledged: u64::try_from(kept.acks.len()).unwrap_or(u64::MAX),
        violations: kept.violations,
        outages: kept.outages,
        catch_ups: kept.catch_ups,
        met: kept.met,
        ..Checked::default()
    };
    for violation in &checked.violations {
        *checked.counted.entry(violation.kind).or_default() += 1;
    }
    let mut ledgers = HashMap::new();
    for room in logs.keys() {
        let (acks, streams) = (Vec::new(), Vec::new());
        let room = *room;
        ledgers.insert(
            room,
            RoomLedger {
                room,
                acks,
                doubts: Vec::new(),
                streams,
            },
        );
    }
    for (room, doubt) in kept.doubts {
        ledgers
            .entry(room)
            .and_modify(|ledger| ledger.doubts.push(doubt));
    }
    for (room, ack) in kept.acks {
        ledgers
            .entry(room)
            .and_modify(|ledger| ledger.acks.push(ack));
    }
    for (room, stream) in kept.streams {
        let got = stream.spans.iter().map(|span| span.deliveries.len());
        checked.delivered += u64::try_from(got.sum::<usize>()).unwrap_or(u64::MAX);
        ledgers
            .entry(room)
            .and_modify(|ledger| ledger.streams.push(stream));
    }
    for (room, log) in logs {
        let left = log
            .iter()
            .filter(|event| event.kind == client::wire::frame::EventKind::Leave);
        checked.leaves += u64::try_from(left.count()).unwrap_or(u64::MAX);
        let found = check(log, &ledgers[room]);
        checked.violations.extend(found.violations);
        for (kind, count) in found.counted {
            *checked.counted.entry(kind).or_default() += count;
        }
    }
    checked
}

/// Makes the clients.
struct Maker<'a> {
    shared: &'a Arc<Shared>,
    users: &'a Users,
    rooms: &'a [RoomId],
    random: Random,
    acked: Vec<(String, watch::Receiver<u64>)>,
    settled: &'a watch::Sender<usize>,
    tasks: JoinSet<Kept>,
    writers: usize,
}

impl Maker<'_> {
    fn random(&mut self) -> Random {
        Random::new(self.random.next())
    }

    fn line(&mut self, user: &Arc<User>, label: &str, home: usize, rooms: &[RoomId]) -> Line {
        let steady = !self.users.guests.iter().any(|guest| guest.uid == user.uid);
        let watched = rooms
            .iter()
            .map(|room| Watched::new(*room, user.uid, label, steady))
            .collect();
        let random = self.random();
        Line::new(user, label.to_owned(), home, watched, self.shared, random)
    }

    fn steady(&self, number: usize) -> Arc<User> {
        Arc::clone(&self.users.steady[number % self.users.steady.len()])
    }

    fn counted(&mut self, label: &str) -> watch::Sender<u64> {
        let (count, acked) = watch::channel(0);
        self.acked.push((label.to_owned(), acked));
        self.writers += 1;
        count
    }

    /// Two in each room, one at home on either gateway; every third writes in two rooms.
    fn writers(&mut self, shape: Shape, phases: &watch::Receiver<Phase>) {
        let writers = self.rooms.len() * 2;
        let rate = f64::from(shape.rate) / f64::from(u32::try_from(writers).unwrap_or(u32::MAX));
        for number in 0..writers {
            let own = number / 2;
            let mut rooms = vec![self.rooms[own]];
            if number % 3 == 0 && self.rooms.len() > 1 {
                rooms.push(self.rooms[(own + 1) % self.rooms.len()]);
            }
            let user = self.steady(number);
            let label = format!("writer {number}");
            let line = self.line(&user, &label, number, &rooms);
            let random = self.random();
            let writer = Writer {
                line,
                sending: Sending::new(self.shared.next_writer(), user.uid, rooms, random),
                window: shape.window,
                pace: Duration::from_secs_f64(1.0 / rate),
                acked: self.counted(&label),
                settled: self.settled.clone(),
            };
            self.tasks.spawn(writer.run(phases.clone()));
        }
    }

    /// One in every second room.
    fn posters(&mut self, phases: &watch::Receiver<Phase>) {
        for number in (0..self.rooms.len()).step_by(2) {
            let (room, user) = (self.rooms[number], self.steady(number + 1));
            let label = format!("poster {number}");
            let random = self.random();
            let poster = Poster::new(&user, room, label.clone(), self.shared, random);
            let count = self.counted(&label);
            let tell = (count, self.settled.clone());
            let pace = Duration::from_micros(1_000_000 / POSTS);
            self.tasks
                .spawn(http::run(poster, room, pace, phases.clone(), tell));
        }
    }

    /// One on either gateway in each room, and one on either in all rooms.
    fn readers(&mut self, phases: &watch::Receiver<Phase>) {
        for home in 0..2 {
            for number in 0..self.rooms.len() {
                let user = self.steady(number + home);
                let label = format!("reader {number}.{home}");
                let line = self.line(&user, &label, home, &self.rooms[number..=number]);
                self.tasks.spawn(reader::read(line, phases.clone()));
            }
            let user = self.steady(home);
            let line = self.line(&user, &format!("reader of all, {home}"), home, self.rooms);
            self.tasks.spawn(reader::read(line, phases.clone()));
        }
    }

    /// Each comes to two rooms and goes, listening on either gateway.
    fn guests(&mut self, phases: &watch::Receiver<Phase>) {
        let guests = self.users.guests.len();
        for number in 0..self.rooms.len().min(guests * 2) {
            let user = Arc::clone(&self.users.guests[number % guests]);
            let room = self.rooms[number];
            for home in 0..2 {
                let label = format!("guest {number}.{home}");
                let line = self.line(&user, &label, home, &[room]);
                self.tasks.spawn(reader::read(line, phases.clone()));
            }
            let label = format!("guest {number}");
            let random = self.random();
            let guest = Guest {
                poster: Poster::new(&user, room, label, self.shared, random),
                room,
                host: is_private(number).then(|| self.steady(number)),
                random: self.random(),
                settled: self.settled.clone(),
            };
            self.writers += 1;
            self.tasks.spawn(guest.run(phases.clone()));
        }
    }
}

fn is_private(number: usize) -> bool {
    number % 2 == 1
}

/// Rooms with all users in them, half of them private.
async fn rooms(users: &Users, count: usize, block: u64) -> Result<Vec<RoomId>> {
    let mut rooms = Vec::new();
    for number in 0..count {
        let host = &users.steady[number % users.steady.len()];
        let api = &host.apis[0];
        let room = make(api, &format!("b{block} r{number}"), is_private(number)).await?;
        let guests = if number < users.guests.len() * 2 {
            Some(&users.guests[number % users.guests.len()])
        } else {
            None
        };
        let others = users.steady.iter().filter(|user| user.uid != host.uid);
        for user in others.chain(guests) {
            let invited = patiently(async || api.invite(room, user.uid).await).await;
            match invited {
                // An earlier try was heard.
                Err(error) if error.code() == Some(Code::Conflict) => {}
                invited => invited?,
            }
        }
        rooms.push(room);
    }
    Ok(rooms)
}

/// A room; under another name when a try that was not answered took the first.
async fn make(api: &client::Api, name: &str, private: bool) -> Result<RoomId> {
    let mut tries = 0;
    loop {
        tries += 1;
        let name = format!("{name} {tries}");
        match patiently(async || api.create_room(&name, private).await).await {
            Err(error) if error.code() == Some(Code::Conflict) && tries < 5 => {}
            made => return made,
        }
    }
}

#[cfg(test)]
mod tests {
    use client::wire::{Timestamp, Uid};

    use super::*;
    use crate::ledger::{Ack, Tag, Way};

    #[test]
    fn all_that_was_lost_is_counted_however_little_of_it_is_kept() {
        let room = RoomId::new(1).unwrap();
        let ack = |number| Ack {
            nonce: Tag { writer: 1, number },
            uid: Uid::new(1).unwrap(),
            text: u64::from(number),
            id: Seq(u64::from(number)),
            timestamp: Timestamp::from_micros(0),
            sent: 0,
            told: 1,
            gateway: 1,
            way: Way::Socket,
            connection: 1,
            place: number,
            tries: 1,
        };
        let kept = Kept {
            acks: (1..=5_000).map(|number| (room, ack(number))).collect(),
            ..Kept::default()
        };
        let checked = compare(&HashMap::from([(room, Vec::new())]), kept);
        assert!(checked.violations.len() < 100);
        assert_eq!(checked.counted, BTreeMap::from([(Kind::Lost, 5_000)]));
    }
}
