//! One sender in each room, everyone listens: throughput, or latency at a rate.

use std::io::Result;

use base::OsEntropy;
use clap::{Args, value_parser};

use super::Bench;
use super::traffic::{Load, Plan, Script};
use crate::report::Report;
use crate::world::World;

#[derive(Debug, Clone, Args)]
pub(crate) struct Pipeline {
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    rooms: u16,
    /// Members of a room, each a user of its own.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    members: u16,
    /// Unanswered messages of a sender.
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u16).range(1..))]
    window: u16,
    /// Messages per second over all rooms, whatever is unanswered.
    #[arg(long, conflicts_with = "window", value_parser = value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Length of a text.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(28..=2000))]
    bytes: u16,
}

impl Pipeline {
    pub(super) async fn run(&self, bench: &mut Bench) -> Result<Report> {
        let plan = Plan {
            rooms: self.rooms,
            members: self.members,
            senders: 1,
        };
        let load = self.rate.map_or(Load::Window(self.window), Load::Rate);
        run("pipeline", plan, load, self.bytes, bench).await
    }
}

/// Runs one stretch of `load` on rooms all of whose members are users of their own.
pub(super) async fn run(
    name: &'static str,
    plan: Plan,
    load: Load,
    bytes: u16,
    bench: &Bench,
) -> Result<Report> {
    let world = World::new(&bench.system.urls(), &OsEntropy).await?;
    let users = usize::from(plan.rooms) * usize::from(plan.members);
    let users = world.users(users).await?;
    let script = Script::new("", load, bytes, bench);
    let part = plan
        .play(&world, &users, script, bench.system.processes())
        .await?;
    let mut settings = plan.settings();
    settings.extend([("bytes", bytes.into()), load.setting()]);
    Ok(Report::of(name, settings, part))
}
