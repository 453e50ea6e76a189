//! Rooms in which members send and everyone listens.

use std::io::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

use base::OsEntropy;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Meter;
use crate::cli::Options;
use crate::ledger::{Counts, Ledger};
use crate::member::{Member, Pace, Sender};
use crate::report::{Report, Traffic};
use crate::room::{Room, Run};
use crate::world::{User, World};

/// Ticks that a sender may be behind before the clock waits for it.
const TICKS: usize = 1024;

/// How messages are offered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// So many unanswered messages a sender.
    Window(u16),
    /// So many messages a second in all, the senders taking turns.
    Rate(u32),
}

/// What a run is made of.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) rooms: u16,
    /// Members of each room.
    pub(crate) members: u16,
    /// How many of them send.
    pub(crate) senders: u16,
    /// Length of a text.
    pub(crate) bytes: u16,
    pub(crate) load: Load,
}

impl Plan {
    /// What the report says of the plan.
    fn settings(&self) -> Vec<(&'static str, u64)> {
        let load = match self.load {
            Load::Window(window) => ("window", window.into()),
            Load::Rate(rate) => ("rate", rate.into()),
        };
        vec![
            ("rooms", self.rooms.into()),
            ("members", self.members.into()),
            ("senders", self.senders.into()),
            ("bytes", self.bytes.into()),
            load,
        ]
    }
}

/// Runs `plan`; what is outstanding in the end is waited for up to `grace`.
pub(crate) async fn run(plan: &Plan, options: &Options, grace: Duration) -> Result<Report> {
    let world = World::new(&options.gateways, &OsEntropy).await?;
    let users = world
        .users(usize::from(plan.rooms) * usize::from(plan.members))
        .await?;
    let members: Vec<Vec<&User>> = users
        .chunks(plan.members.into())
        .map(|users| users.iter().collect())
        .collect();
    let ids = world.rooms(&members).await?;
    let seats: Vec<(&User, u64)> = members
        .iter()
        .zip(&ids)
        .flat_map(|(users, &id)| users.iter().map(move |&user| (user, id)))
        .collect();
    let connections = world.enter(&seats).await?;

    let rooms: Vec<Arc<Room>> = ids
        .iter()
        .map(|&id| Arc::new(Room::new(id, plan.members.into(), plan.senders.into())))
        .collect();
    let meter = Meter::start(&options.pids)?;
    let run = Arc::new(Run::new(Duration::from_secs(options.seconds), grace)?);
    let mut tasks = JoinSet::new();
    let mut ticks = Vec::new();
    for (seat, (socket, ledger)) in connections.into_iter().enumerate() {
        let (index, member) = (
            seat / usize::from(plan.members),
            seat % usize::from(plan.members),
        );
        let sender = u16::try_from(member)
            .ok()
            .filter(|&member| member < plan.senders);
        let sender = sender.map(|id| {
            let pace = match plan.load {
                Load::Window(window) => Pace::Window(window.into()),
                Load::Rate(_) => {
                    let (sender, receiver) = mpsc::channel(TICKS);
                    ticks.push(sender);
                    Pace::Ticks(receiver)
                }
            };
            Sender::new(id, pace, plan.bytes.into())
        });
        let member = Member {
            socket,
            room: Arc::clone(&rooms[index]),
            ledger,
            sender,
        };
        let run = Arc::clone(&run);
        tasks.spawn(async move { (index, member.run(run).await) });
    }
    if let Load::Rate(rate) = plan.load {
        let run = Arc::clone(&run);
        // On a thread of its own: the runtime's timers are only good to a millisecond or two.
        tasks.spawn_blocking(move || {
            clock(&run, Duration::from_secs(1) / rate, &ticks);
            (usize::MAX, Ledger::default())
        });
    }
    let counts = finish(tasks, &rooms).await?;
    let (processes, own) = meter.stop()?;
    let traffic = Traffic::new(counts, &run.tally(), options.seconds);
    Ok(Report::traffic(
        plan.name,
        plan.settings(),
        options.seconds,
        traffic,
        processes,
        own,
    ))
}

/// Gives each of `senders` in turn the time at which to send, when it has come.
fn clock(run: &Run, interval: Duration, senders: &[mpsc::Sender<u64>]) {
    let mut due = run.start;
    for sender in senders.iter().cycle() {
        if due >= run.stop {
            return;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        // A sender whose connection has ended takes no more ticks; its errors say why.
        let _ = sender.blocking_send(run.at(due));
        due += interval;
    }
}

/// Waits for all members and adds up the verdicts on their rooms.
async fn finish(mut tasks: JoinSet<(usize, Ledger)>, rooms: &[Arc<Room>]) -> Result<Counts> {
    let mut ledgers: Vec<Vec<Ledger>> = rooms.iter().map(|_| Vec::new()).collect();
    while let Some(joined) = tasks.join_next().await {
        let (room, ledger) = joined.map_err(Error::other)?;
        if let Some(ledgers) = ledgers.get_mut(room) {
            ledgers.push(ledger);
        }
    }
    let mut counts = Counts::default();
    for (room, ledgers) in rooms.iter().zip(&ledgers) {
        counts.add(&room.close(ledgers));
    }
    Ok(counts)
}
