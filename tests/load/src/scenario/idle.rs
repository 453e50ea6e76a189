//! Connections that sit in rooms and say nothing; what one costs in memory.

use std::io::{Error, Result};
use std::time::Duration;

use base::OsEntropy;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::{Idle, Meter};
use crate::cli::Options;
use crate::report::{Quiet, Report};
use crate::world::{User, World};
use crate::ws::Socket;

/// Members of a room. They share its connections, so that setting up stays short.
const MEMBERS: u16 = 10;

/// Runs the scenario.
pub(crate) async fn run(plan: &Idle, options: &Options) -> Result<Report> {
    let world = World::new(&options.gateways, &OsEntropy).await?;
    let users = world.users(plan.users.into()).await?;
    let rooms = usize::from(plan.connections.div_ceil(plan.room));
    let member = |room: usize, seat: usize| -> &User {
        let members = usize::from(MEMBERS);
        &users[(room * members + seat % members) % users.len()]
    };
    let members: Vec<Vec<&User>> = (0..rooms)
        .map(|room| {
            (0..usize::from(MEMBERS))
                .map(|seat| member(room, seat))
                .collect()
        })
        .collect();
    let ids = world.rooms(&members).await?;
    let seats: Vec<(&User, u64)> = (0..usize::from(plan.connections))
        .map(|seat| {
            let room = seat / usize::from(plan.room);
            (member(room, seat), ids[room])
        })
        .collect();

    let meter = Meter::start(&options.pids)?;
    let connections = world.enter(&seats).await?;
    let stop = Instant::now() + Duration::from_secs(options.seconds);
    let mut tasks = JoinSet::new();
    for (socket, _) in connections {
        tasks.spawn(hold(socket, stop));
    }
    let mut quiet = Quiet::new(plan.connections);
    // Held until the memory has been read.
    let mut held = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        match joined.map_err(Error::other)? {
            Ok(socket) => held.push(socket),
            Err(error) => *quiet.ended.entry(error.to_string()).or_default() += 1,
        }
    }
    let (processes, own) = meter.stop()?;
    held.into_iter().for_each(Socket::close);
    let settings = vec![
        ("connections", plan.connections.into()),
        ("users", plan.users.into()),
        ("room", plan.room.into()),
    ];
    Ok(Report::quiet(
        settings,
        options.seconds,
        quiet,
        processes,
        own,
    ))
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
