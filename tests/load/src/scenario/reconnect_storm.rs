//! All connections of a gateway break at once, under live traffic: how long until each has
//! got, through another gateway, what it missed, and what the others notice.
//!
//! Where there is one gateway only, nothing is killed: the clients cut their connections.

use std::io::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::OsEntropy;
use clap::{Args, value_parser};
use hdrhistogram::Histogram;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::traffic::{Load, Script, Show};
use super::{Bench, calls};
use crate::member::{Ledgers, Member};
use crate::report::{Latencies, Part, Report, float};
use crate::room::{Room, Run};
use crate::world::{Place, User, World};

/// A connection that finds no one is tried again after this.
const PAUSE: Duration = Duration::from_millis(20);
/// One that is not served in this time counts as broken, too.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Args)]
pub(crate) struct ReconnectStorm {
    #[arg(long, default_value_t = 2_000, value_parser = value_parser!(u16).range(1..))]
    connections: u16,
    /// Connections in a room; one more sends.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    room: u16,
    /// Percent of the connections that are on the gateway that is killed.
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u16).range(1..=100))]
    share: u16,
    /// Users that share the connections.
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u16).range(1..))]
    users: u16,
    /// The gateway to kill; the last one, when it is not given.
    #[arg(long, value_name = "NAME")]
    kill: Option<String>,
    /// Messages per second in all.
    #[arg(long, default_value_t = 500, value_parser = value_parser!(u32).range(1..))]
    rate: u32,
    /// Length of a text.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(28..=2000))]
    bytes: u16,
}

/// What those who reconnect share.
#[derive(Debug)]
struct Storm {
    world: World,
    /// Indices of the gateways that stay.
    survivors: Vec<usize>,
    /// When it breaks loose; to those who cut their connections themselves it is the sign.
    broken: watch::Sender<Option<Instant>>,
    cut: bool,
    /// Those who have yet to catch up.
    behind: AtomicU32,
    retries: AtomicU64,
    /// From the break until caught up, in microseconds.
    caught_up: Mutex<Histogram<u64>>,
}

/// With what somebody reconnects.
struct Pass {
    index: usize,
    token: String,
}

impl ReconnectStorm {
    pub(super) async fn run(&self, bench: &mut Bench) -> Result<Report> {
        let victim = self.victim(bench)?;
        let (hit, survivors): (Vec<usize>, Vec<usize>) = (0..bench.system.gateways().len())
            .partition(|&index| victim.as_ref() == Some(&bench.system.gateways()[index].name));
        let world = World::new(&bench.system.urls(), &OsEntropy).await?;
        let users = world.users(self.users.max(self.room + 1).into()).await?;
        let (ids, places) = self.places(&world, &users, hit.first(), &survivors).await?;
        let connections = world.enter(&places).await?;
        let seats = usize::from(self.room) + 1;
        let breaking = (0..places.len()).filter(|index| self.breaks(index % seats));
        let storm = Arc::new(Storm {
            behind: AtomicU32::new(u32::try_from(breaking.count()).unwrap_or(u32::MAX)),
            world,
            survivors,
            broken: watch::Sender::new(None),
            cut: hit.is_empty(),
            retries: AtomicU64::new(0),
            caught_up: Mutex::new(calls::histogram()?),
        });

        let script = Script::new("", Load::Rate(self.rate), self.bytes, bench);
        let room = |id: &u64| Arc::new(Room::new(*id, u32::from(self.room) + 1));
        let rooms: Vec<Arc<Room>> = ids.iter().map(room).collect();
        let senders = u32::try_from(rooms.len()).unwrap_or(u32::MAX);
        let mut show = Show::begin(script, &rooms, senders, bench.system.processes())?;
        for (index, (socket, ledgers)) in connections.into_iter().enumerate() {
            let (room, seat) = (&rooms[index / seats], index % seats);
            let ledgers = ledgers.into_iter().map(|ledger| (Arc::clone(room), ledger));
            let member = Member::new(socket, ledgers);
            if self.breaks(seat) {
                let token = places[index].user.token.clone();
                let (storm, run) = (Arc::clone(&storm), Arc::clone(&show.run));
                show.spawn(sit_through(member, Pass { index, token }, storm, run));
            } else {
                show.add(member.live(), (seat == seats - 1).then_some(0));
            }
        }
        let run = Arc::clone(&show.run);
        let breaking = break_loose(&storm, &run, bench, victim.as_deref());
        let (part, broken) = tokio::join!(show.end(), breaking);
        broken?;
        if let Some(victim) = &victim {
            bench.system.revive(victim).await?;
        }
        Ok(self.report(part?, &storm))
    }

    /// Makes the rooms; gives their IDs and who sits where. The last of a room sends.
    async fn places<'a>(
        &self,
        world: &World,
        users: &'a [User],
        hit: Option<&usize>,
        survivors: &[usize],
    ) -> Result<(Vec<u64>, Vec<Place<'a>>)> {
        let seats = usize::from(self.room) + 1;
        let sitting = |room: usize| -> Vec<&User> {
            let first = room * seats;
            let seats = first..first + seats;
            seats.map(|seat| &users[seat % users.len()]).collect()
        };
        let rooms = usize::from(self.connections.div_ceil(self.room));
        let members: Vec<Vec<&User>> = (0..rooms).map(sitting).collect();
        let ids = world.rooms(&members).await?;
        let mut places = Vec::new();
        for (room, (users, &id)) in members.into_iter().zip(&ids).enumerate() {
            for (seat, user) in users.into_iter().enumerate() {
                let survivor = survivors[(room + seat) % survivors.len()];
                let hit = hit.filter(|_| self.breaks(seat));
                places.push(Place {
                    user,
                    rooms: vec![id],
                    gateway: *hit.unwrap_or(&survivor),
                });
            }
        }
        Ok((ids, places))
    }

    fn report(&self, part: Part, storm: &Storm) -> Report {
        let live = part.traffic.as_ref().and_then(|traffic| traffic.live);
        let mut report = Report::of("reconnect-storm", self.settings(), part);
        let late = storm.behind.load(Ordering::Relaxed);
        if late > 0 {
            report.fault(format!("{late} connections never caught up"));
        }
        let micros = storm
            .caught_up
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let caught_up = Latencies::new(&micros);
        let retries = storm.retries.load(Ordering::Relaxed);
        report.figure("caught up p50 s", caught_up.p50 / 1e3);
        report.figure("all caught up s", caught_up.max / 1e3);
        report.figure(
            "live receiver p99 ms",
            live.map_or(f64::NAN, |live| live.p99),
        );
        report.figure("attempts in vain", float(retries));
        report
    }

    /// Who is to be killed, if there is more than one gateway and they are ours.
    fn victim(&self, bench: &Bench) -> Result<Option<String>> {
        let gateways = bench.system.gateways();
        let named = |name: &String| gateways.iter().any(|gateway| gateway.name == *name);
        match &self.kill {
            Some(name) if named(name) && gateways.len() > 1 => Ok(Some(name.clone())),
            Some(name) => Err(Error::other(format!(
                "{name} cannot be killed, or no one is left"
            ))),
            None if gateways.len() > 1 && bench.system.is_own() => {
                Ok(gateways.last().map(|gateway| gateway.name.clone()))
            }
            None => Ok(None),
        }
    }

    /// Whether a seat of a room is one whose connection breaks.
    fn breaks(&self, seat: usize) -> bool {
        // At least one, or there would be no storm.
        let breaking = (u32::from(self.room) * u32::from(self.share)).div_ceil(100);
        u32::try_from(seat).is_ok_and(|seat| seat < breaking)
    }

    fn settings(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("connections", self.connections.into()),
            ("room", self.room.into()),
            ("share", self.share.into()),
            ("users", self.users.into()),
            ("rate", self.rate.into()),
            ("bytes", self.bytes.into()),
        ]
    }
}

/// Kills the gateway, or has the connections cut, after a third of the run, and waits
/// until all are back or the run is over.
async fn break_loose(storm: &Storm, run: &Run, bench: &Bench, victim: Option<&str>) -> Result<()> {
    sleep_until(run.start + bench.length / 3).await;
    run.set_live(true);
    storm.broken.send_replace(Some(Instant::now()));
    if let Some(victim) = victim {
        bench.system.kill(victim)?;
    }
    while storm.behind.load(Ordering::Relaxed) > 0 && Instant::now() < run.stop + bench.grace {
        sleep(PAUSE).await;
    }
    run.set_live(false);
    Ok(())
}

/// Listens until the connection breaks, comes back, and listens to the end.
async fn sit_through(mut member: Member, pass: Pass, storm: Arc<Storm>, run: Arc<Run>) -> Ledgers {
    let mut broken = storm.broken.subscribe();
    loop {
        tokio::select! {
            biased;
            _ = broken.wait_for(Option::is_some), if storm.cut => break,
            turn = member.turn(&run) => if let Err(error) = turn {
                if storm.broken.borrow().is_none() {
                    run.error(format!("connection, before anything was done to it: {error}"));
                }
                break;
            },
        }
    }
    // Whoever notices first is told when it was.
    let since = broken
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|at| *at);
    let mut back = storm.come_back(&mut member, &pass, &run).await;
    if back.is_ok() {
        storm.note(since.unwrap_or(run.start));
        back = member.listen_to_the_end(&run).await;
    }
    member.leave(back, &run)
}

impl Storm {
    /// Tries until the connection is back and has all that there was when it came.
    async fn come_back(&self, member: &mut Member, pass: &Pass, run: &Run) -> Result<()> {
        loop {
            let tried = timeout(PATIENCE, self.enter_again(member, pass, run)).await;
            match tried.unwrap_or(Err(ErrorKind::TimedOut.into())) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > run.stop + run.grace => return Err(error),
                Err(_) => {
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn enter_again(&self, member: &mut Member, pass: &Pass, run: &Run) -> Result<()> {
        let survivor = self.survivors[pass.index % self.survivors.len()];
        member.socket = self.world.open(pass.index, &pass.token, survivor).await?;
        let seat = member.seat().ok_or(ErrorKind::NotFound)?;
        seat.resumed = None;
        let (room, after) = (seat.room.id, seat.ledger.last());
        let enter = format!(r#"{{"Type":"enter","RoomID":{room},"After":{after}}}"#);
        member.socket.send(enter.as_bytes());
        loop {
            let seat = member.seat().ok_or(ErrorKind::NotFound)?;
            if seat.resumed.is_some_and(|head| seat.ledger.caught_up(head)) {
                return Ok(());
            }
            member.turn(run).await?;
        }
    }

    /// Notes that somebody who broke off at `since` has caught up.
    fn note(&self, since: Instant) {
        let took = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut caught_up = self
            .caught_up
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        caught_up.saturating_record(took.max(1));
        self.behind.fetch_sub(1, Ordering::Relaxed);
    }
}
