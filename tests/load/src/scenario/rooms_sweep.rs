//! The same traffic over few rooms and over many: what a message costs, and how many a
//! second there can be.

use std::io::Result;

use base::OsEntropy;
use clap::{Args, value_parser};

use super::traffic::{Load, Script};
use super::{Bench, crowd};
use crate::report::Report;
use crate::world::World;

#[derive(Debug, Clone, Args)]
pub(crate) struct RoomsSweep {
    /// Rooms of two members, one number after the other.
    #[arg(long, default_value = "10,10000", value_delimiter = ',', value_parser = value_parser!(u32).range(1..))]
    rooms: Vec<u32>,
    /// Messages per second in all, where the cost is measured.
    #[arg(long, default_value_t = 5_000, value_parser = value_parser!(u32).range(1..))]
    rate: u32,
    /// Unanswered messages in all, where the most is measured.
    #[arg(long, default_value_t = 512, value_parser = value_parser!(u16).range(1..))]
    window: u16,
    /// Length of a text.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(28..=2000))]
    bytes: u16,
}

impl RoomsSweep {
    pub(super) async fn run(&self, bench: &mut Bench) -> Result<Report> {
        let settings = vec![
            ("rate", self.rate.into()),
            ("window", self.window.into()),
            ("bytes", self.bytes.into()),
        ];
        let mut report = Report::new("rooms-sweep", settings);
        let world = World::new(&bench.system.urls(), &OsEntropy).await?;
        let sizes = self
            .rooms
            .iter()
            .filter_map(|&rooms| usize::try_from(rooms).ok());
        let sizes: Vec<usize> = sizes.collect();
        let pairs = sizes.iter().map(|&rooms| crowd::pairs(rooms)).max();
        let users = world.users(2 * pairs.unwrap_or(0)).await?;
        let mut found = Vec::new();
        for rooms in sizes {
            let ids = crowd::rooms(&world, &users, rooms).await?;
            let pairs = u16::try_from(crowd::pairs(rooms)).unwrap_or(u16::MAX);
            let window = Load::Window((self.window / pairs).max(1));
            let mut parts = Vec::new();
            for (what, load) in [
                (format!("{} messages/s", self.rate), Load::Rate(self.rate)),
                (format!("{} unanswered", self.window), window),
            ] {
                let name = format!("{rooms} rooms, {what}");
                let script = Script::new(name, load, self.bytes, bench);
                let processes = bench.system.processes();
                parts.push(crowd::play(&world, &users, &ids, None, script, processes).await?);
            }
            let [cost, most] = &parts[..] else { continue };
            let acked = most
                .traffic
                .as_ref()
                .map(|traffic| traffic.acked_per_second);
            let figures = (cost.system_micros_per_message(), acked.unwrap_or(0.0));
            report.figure(format!("system us/message at {rooms}"), figures.0);
            report.figure(format!("acked/s at {rooms}"), figures.1);
            for (name, value) in cost.figures() {
                if name.starts_with("receiver p") || name.starts_with("generator") {
                    report.figure(format!("{name} at {rooms}"), value);
                }
            }
            found.push(figures);
            for part in parts {
                report.add(part);
            }
        }
        if let [first, .., last] = found[..] {
            report.figure("us/message, last to first", last.0 / first.0);
            report.figure("acked/s, last to first", last.1 / first.1);
        }
        Ok(report)
    }
}
