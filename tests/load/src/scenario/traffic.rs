//! Rooms in which members send and everyone listens: what most scenarios are made of.

use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Bench;
use crate::ledger::{Counts, Ledger};
use crate::member::{Ledgers, Member, Pace, Sender};
use crate::proc::{Meter, Process};
use crate::report::{Part, Traffic};
use crate::room::{Room, Run};
use crate::world::{Place, User, World};

/// Ticks that a sender may be behind before the clock waits for it.
const TICKS: usize = 1024;
/// The clock's resolution. Faster rates come in bursts of this distance, for waking up
/// more often would cost more than sending does.
const RESOLUTION: Duration = Duration::from_millis(1);

/// How messages are offered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// So many unanswered messages a sender.
    Window(u16),
    /// So many messages a second in all, the senders taking turns.
    Rate(u32),
}

impl Load {
    /// What a report says of it.
    pub(crate) fn setting(self) -> (&'static str, u64) {
        match self {
            Self::Window(window) => ("window", window.into()),
            Self::Rate(rate) => ("rate", rate.into()),
        }
    }
}

/// How a stretch of a run goes.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) load: Load,
    /// Length of a text.
    pub(crate) bytes: u16,
    pub(crate) length: Duration,
    /// What is outstanding in the end is waited for up to this long.
    pub(crate) grace: Duration,
}

impl Script {
    /// A stretch as long as the run, which waits in the end as others do.
    pub(crate) fn new(name: impl Into<String>, load: Load, bytes: u16, bench: &Bench) -> Self {
        Self {
            name: name.into(),
            load,
            bytes,
            length: bench.length,
            grace: bench.grace,
        }
    }
}

/// Rooms and members that are one like the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rooms: u16,
    /// Connections in each room.
    pub(crate) members: u16,
    /// How many of them send.
    pub(crate) senders: u16,
}

impl Plan {
    /// What a report says of it.
    pub(crate) fn settings(self) -> Vec<(&'static str, u64)> {
        vec![
            ("rooms", self.rooms.into()),
            ("members", self.members.into()),
            ("senders", self.senders.into()),
        ]
    }

    /// Makes the rooms of `users`, each room having as many of them as the next, and plays.
    pub(crate) async fn play(
        &self,
        world: &World,
        users: &[User],
        script: Script,
        processes: &[Process],
    ) -> Result<Part> {
        let per_room = users.len() / usize::from(self.rooms);
        let (rooms, seats) = (usize::from(self.rooms), usize::from(self.members));
        let members: Vec<Vec<&User>> = users
            .chunks(per_room.max(1))
            .take(rooms)
            .map(|users| users.iter().collect())
            .collect();
        let ids = world.rooms(&members).await?;
        let mut places = Vec::with_capacity(rooms * seats);
        for (room, (users, &id)) in members.iter().zip(&ids).enumerate() {
            for (seat, &user) in users.iter().cycle().take(seats).enumerate() {
                places.push(Place {
                    user,
                    rooms: vec![id],
                    gateway: self.gateway(room, seat),
                });
            }
        }
        let connections = world.enter(&places).await?;
        let rooms: Vec<Arc<Room>> = ids
            .iter()
            .map(|&id| Arc::new(Room::new(id, self.members.into())))
            .collect();
        let senders = u32::from(self.rooms) * u32::from(self.senders);
        let mut show = Show::begin(script, &rooms, senders, processes)?;
        for (index, (socket, ledgers)) in connections.into_iter().enumerate() {
            let room = Arc::clone(&rooms[index / seats]);
            let member = Member::new(
                socket,
                ledgers.into_iter().map(|ledger| (room.clone(), ledger)),
            );
            let id = u16::try_from(index % seats).unwrap_or(u16::MAX);
            show.add(member, (id < self.senders).then_some(id));
        }
        show.end().await
    }

    /// The gateway of a connection, they taking turns: those of a room one after the other, so
    /// that each room is on all gateways, and those that send, a room's first, going on
    /// where those of the room before ended, so that no gateway has more of them than another.
    fn gateway(self, room: usize, seat: usize) -> usize {
        room * usize::from(self.senders) + seat
    }
}

/// A stretch of a run under way.
pub(crate) struct Show {
    script: Script,
    rooms: BTreeMap<u64, Arc<Room>>,
    pub(crate) run: Arc<Run>,
    meter: Meter,
    tasks: JoinSet<Ledgers>,
    ticks: Vec<mpsc::Sender<u64>>,
}

impl Show {
    /// Begins to measure; `senders` are to be added.
    pub(crate) fn begin(
        script: Script,
        rooms: &[Arc<Room>],
        senders: u32,
        processes: &[Process],
    ) -> Result<Self> {
        Ok(Self {
            meter: Meter::start(processes)?,
            rooms: rooms
                .iter()
                .map(|room| (room.id, Arc::clone(room)))
                .collect(),
            run: Arc::new(Run::new(script.length, script.grace, senders)?),
            tasks: JoinSet::new(),
            ticks: Vec::new(),
            script,
        })
    }

    /// Lets a member play its part; it sends if it is known by a number.
    pub(crate) fn add(&mut self, member: Member, sender: Option<u16>) {
        let sender = sender.map(|id| self.sender(id));
        let run = Arc::clone(&self.run);
        self.tasks.spawn(member.run(sender, run));
    }

    /// As `add`, for a sender that begins with another of its rooms than the first.
    pub(crate) fn add_from_turn(&mut self, member: Member, turn: usize) {
        let sender = self.sender(0).beginning_at(turn);
        let run = Arc::clone(&self.run);
        self.tasks.spawn(member.run(Some(sender), run));
    }

    /// Lets somebody play who has a part of his own.
    pub(crate) fn spawn(&mut self, actor: impl Future<Output = Ledgers> + Send + 'static) {
        self.tasks.spawn(actor);
    }

    fn sender(&mut self, id: u16) -> Sender {
        let pace = match self.script.load {
            Load::Window(window) => Pace::Window(window.into()),
            Load::Rate(_) => {
                let (sender, receiver) = mpsc::channel(TICKS);
                self.ticks.push(sender);
                Pace::Ticks(receiver)
            }
        };
        Sender::new(id, pace, self.script.bytes)
    }

    /// Plays to the end and gives the verdict.
    pub(crate) async fn end(mut self) -> Result<Part> {
        if let Load::Rate(rate) = self.script.load {
            let (run, ticks) = (Arc::clone(&self.run), self.ticks);
            // On a thread of its own: the runtime's timers are only good to a millisecond or two.
            self.tasks.spawn_blocking(move || {
                clock(&run, rate, &ticks);
                Ledgers::new()
            });
        }
        let mut heard: BTreeMap<u64, Vec<Ledger>> = BTreeMap::new();
        while let Some(joined) = self.tasks.join_next().await {
            for (room, ledger) in joined.map_err(Error::other)? {
                heard.entry(room).or_default().push(ledger);
            }
        }
        let (processes, own) = self.meter.stop()?;
        let mut counts = Counts::default();
        for (id, room) in &self.rooms {
            let ledgers = heard.remove(id).unwrap_or_default();
            counts.add(&room.close(&ledgers));
        }
        let seconds = self.script.length.as_secs_f64();
        let traffic = Traffic::new(counts, &self.run.tally(), seconds);
        Ok(Part {
            name: self.script.name,
            seconds,
            traffic: Some(traffic),
            processes,
            own,
        })
    }
}

/// Gives each of `senders` in turn the time at which to send, when it has come.
fn clock(run: &Run, rate: u32, senders: &[mpsc::Sender<u64>]) {
    let interval = Duration::from_secs(1) / rate;
    let mut woken = run.start;
    for (number, sender) in (0..).zip(senders.iter().cycle()) {
        let mut due = run.start + Duration::from_secs(1) * number / rate;
        if interval < RESOLUTION {
            let elapsed = due.saturating_duration_since(run.start);
            due = run.start + floor(elapsed, RESOLUTION);
        }
        if due >= run.stop {
            return;
        }
        if due > woken {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            woken = due;
        }
        // A sender whose connection has ended takes no more ticks; its errors say why.
        let _ = sender.blocking_send(run.at(due));
    }
}

/// The greatest multiple of `step` up to `time`.
fn floor(time: Duration, step: Duration) -> Duration {
    let rest = time.as_nanos() % step.as_nanos();
    time.saturating_sub(Duration::from_nanos(u64::try_from(rest).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of those at `seats` of each room are on each of `gateways`.
    fn spread(plan: Plan, gateways: usize, seats: std::ops::Range<u16>) -> Vec<usize> {
        let mut spread = vec![0; gateways];
        for room in 0..plan.rooms {
            for seat in seats.clone() {
                spread[plan.gateway(room.into(), seat.into()) % gateways] += 1;
            }
        }
        spread
    }

    #[test]
    fn senders_are_spread_evenly_over_the_gateways() {
        for (rooms, members, senders) in [(10, 10, 1), (10, 10, 2), (7, 4, 3), (1, 100, 10)] {
            let plan = Plan {
                rooms,
                members,
                senders,
            };
            for gateways in 1..5 {
                let spread = spread(plan, gateways, 0..senders);
                let (least, most) = (spread.iter().min(), spread.iter().max());
                assert!(most.unwrap() - least.unwrap() <= 1, "{plan:?}: {spread:?}");
            }
        }
    }

    #[test]
    fn each_room_has_connections_on_all_gateways() {
        for members in [2, 3, 10] {
            let plan = Plan {
                rooms: 1,
                members,
                senders: 1,
            };
            for gateways in 1..=usize::from(members) {
                let spread = spread(plan, gateways, 0..members);
                assert!(spread.iter().all(|&here| here > 0), "{plan:?}: {spread:?}");
            }
        }
    }
}
