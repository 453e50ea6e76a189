//! Many senders in one large room: how fast one room's order can be decided and told.

use std::io::Result;

use clap::{Args, value_parser};

use super::traffic::{Load, Plan};
use super::{Bench, pipeline};
use crate::report::Report;

#[derive(Debug, Clone, Args)]
pub(crate) struct HotRoom {
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u16).range(1..))]
    members: u16,
    /// How many of the members send.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    senders: u16,
    /// Unanswered messages of a sender.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(1..))]
    window: u16,
    /// Length of a text.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(28..=2000))]
    bytes: u16,
}

impl HotRoom {
    pub(super) async fn run(&self, bench: &mut Bench) -> Result<Report> {
        let plan = Plan {
            rooms: 1,
            members: self.members,
            senders: self.senders.min(self.members),
        };
        let load = Load::Window(self.window);
        pipeline::run("hot-room", plan, load, self.bytes, bench).await
    }
}
