//! Connections that sit in rooms and say nothing; what one costs in memory.
//!
//! All sit on one gateway that was just started, where it is ours to start: memory left
//! over from an earlier run would hide the growth.

use std::io::{Error, Result};

use base::OsEntropy;
use clap::{Args, value_parser};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::Bench;
use crate::proc::{Meter, Usage, gateways};
use crate::report::{Part, Report, float};
use crate::world::{User, World};
use crate::ws::Socket;

/// Members of a room. They share its connections, so that setting up stays short.
const MEMBERS: u16 = 10;

#[derive(Debug, Clone, Args)]
pub(crate) struct Idle {
    /// How many; several numbers make a sweep.
    #[arg(long, default_value = "5000", value_delimiter = ',', value_parser = value_parser!(u16).range(1..))]
    connections: Vec<u16>,
    /// Users that share the connections.
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u16).range(10..))]
    users: u16,
    /// Connections in a room.
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u16).range(1..))]
    room: u16,
}

impl Idle {
    pub(super) async fn run(&self, bench: &mut Bench) -> Result<Report> {
        let settings = vec![("users", self.users.into()), ("room", self.room.into())];
        let mut report = Report::new("idle", settings);
        let mut costs = Vec::new();
        for &connections in &self.connections {
            let name = bench
                .system
                .gateways()
                .first()
                .map(|first| first.name.clone());
            let name = name.unwrap_or_default();
            bench.system.renew(&name).await?;
            let (part, ended) = self.sit(connections, bench).await?;
            for error in ended {
                report.fault(error.to_string());
            }
            if !part.processes.is_empty() {
                let own = bench.system.is_own();
                let growth: f64 = gateways(&part.processes)
                    .filter(|usage| !own || usage.name == name)
                    .map(growth)
                    .sum();
                let cost = growth / f64::from(connections);
                report.figure(format!("KiB/connection at {connections}"), cost);
                costs.push(cost);
            }
            report.add(part);
        }
        if let [first, .., last] = costs[..] {
            report.figure("KiB/connection, last to first", last / first);
        }
        Ok(report)
    }

    /// Opens the connections and holds them; gives why some ended too early.
    async fn sit(&self, connections: u16, bench: &Bench) -> Result<(Part, Vec<Error>)> {
        let world = World::new(&bench.system.urls(), &OsEntropy).await?;
        let users = world.users(self.users.into()).await?;
        let member = |room: usize, seat: usize| -> &User {
            let members = usize::from(MEMBERS);
            &users[(room * members + seat % members) % users.len()]
        };
        let rooms = usize::from(connections.div_ceil(self.room));
        let members: Vec<Vec<&User>> = (0..rooms)
            .map(|room| (0..MEMBERS.into()).map(|seat| member(room, seat)).collect())
            .collect();
        let ids = world.rooms(&members).await?;
        let seats = (0..usize::from(connections)).map(|seat| {
            let room = seat / usize::from(self.room);
            (member(room, seat), ids[room])
        });
        let mut places = world.round_robin(seats);
        if bench.system.is_own() {
            for place in &mut places {
                place.gateway = 0;
            }
        }

        let meter = Meter::start(bench.system.processes())?;
        let opened = world.enter(&places).await?;
        let stop = Instant::now() + bench.length;
        let mut tasks = JoinSet::new();
        for (socket, _) in opened {
            tasks.spawn(hold(socket, stop));
        }
        // Held until the memory has been read.
        let (mut held, mut ended) = (Vec::new(), Vec::new());
        while let Some(joined) = tasks.join_next().await {
            match joined.map_err(Error::other)? {
                Ok(socket) => held.push(socket),
                Err(error) => ended.push(error),
            }
        }
        let (processes, own) = meter.stop()?;
        held.into_iter().for_each(Socket::close);
        let part = Part {
            name: format!("{connections} connections"),
            seconds: bench.length.as_secs_f64(),
            traffic: None,
            processes,
            own,
        };
        Ok((part, ended))
    }
}

/// Growth of a process in KiB.
fn growth(usage: &Usage) -> f64 {
    float(usage.resident_kib) - float(usage.resident_before_kib)
}

/// Answers pings until `stop`, and gives the socket back if it is still open.
async fn hold(mut socket: Socket, stop: Instant) -> Result<Socket> {
    loop {
        match timeout_at(stop, socket.turn(|_| {})).await {
            Ok(turn) => turn?,
            Err(_) => return Ok(socket),
        }
    }
}
