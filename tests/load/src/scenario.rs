//! The scenarios by name, a file each. What several are made of is in `traffic` (rooms
//! with senders), `crowd` (many rooms on few connections) and `calls` (plain HTTP).

mod bare;
mod calls;
mod cold_start;
mod crowd;
mod fan_out;
mod history;
mod hot_room;
mod idle;
mod latency;
mod logins;
mod pipeline;
mod reconnect_storm;
mod requests;
mod rooms_sweep;
mod skipped;
mod soak;
mod traffic;

use std::io::Result;
use std::time::Duration;

use clap::Subcommand;

use crate::report::Report;
use crate::system::{Shape, System};

/// How long outstanding answers and deliveries are waited for.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// What to run.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Scenario {
    /// What a message's way is made of, without Parley: disk, database, bus, sockets, hashes.
    Bare(bare::Bare),
    /// One sender in each room, in a closed loop or at a rate.
    Pipeline(pipeline::Pipeline),
    /// Closed loop: many senders in one large room.
    HotRoom(hot_room::HotRoom),
    /// Open loop: few messages at fixed times; how long until the last receiver has one.
    Latency(latency::Latency),
    /// Quiet connections in rooms; what one costs in memory.
    Idle(idle::Idle),
    /// One room of ever more members; what a delivery costs, and how long the last waits.
    FanOut(fan_out::FanOut),
    /// All connections of a gateway break at once, under live traffic.
    ReconnectStorm(reconnect_storm::ReconnectStorm),
    /// Pages of histories of different lengths.
    History(history::History),
    /// The same traffic over few rooms and over many.
    RoomsSweep(rooms_sweep::RoomsSweep),
    /// Traffic for long; does memory grow?
    Soak(soak::Soak),
    /// Closed loop: plain GETs.
    Requests(requests::Requests),
    /// Closed loop: logins, beside as many bare hashes.
    Logins(logins::Logins),
    /// From starting standalone on nothing until it is ready.
    ColdStart(cold_start::ColdStart),
    /// What a gateway pays for records of rooms that nobody there watches.
    Skipped(skipped::Skipped),
}

/// What a scenario runs on.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) system: System,
    /// How long to send, or to keep quiet.
    pub(crate) length: Duration,
    /// What is outstanding in the end is waited for up to this long.
    pub(crate) grace: Duration,
}

impl Scenario {
    /// Runs it.
    pub(crate) async fn run(&self, bench: &mut Bench) -> Result<Report> {
        match self {
            Self::Bare(bare) => bare.run(bench).await,
            Self::Pipeline(pipeline) => pipeline.run(bench).await,
            Self::HotRoom(hot_room) => hot_room.run(bench).await,
            Self::Latency(latency) => latency.run(bench).await,
            Self::Idle(idle) => idle.run(bench).await,
            Self::FanOut(fan_out) => fan_out.run(bench).await,
            Self::ReconnectStorm(storm) => storm.run(bench).await,
            Self::History(history) => history.run(bench).await,
            Self::RoomsSweep(sweep) => sweep.run(bench).await,
            Self::Soak(soak) => soak.run(bench).await,
            Self::Requests(requests) => requests.run(bench).await,
            Self::Logins(logins) => logins.run(bench).await,
            Self::ColdStart(cold_start) => cold_start.run(bench).await,
            Self::Skipped(skipped) => skipped.run(bench).await,
        }
    }

    /// Whether it means anything on a system of `shape`.
    pub(crate) fn fits(&self, shape: Shape) -> bool {
        match self {
            Self::ColdStart(_) => shape == Shape::Embedded,
            Self::Skipped(_) => shape == Shape::Distributed,
            _ => true,
        }
    }
}
