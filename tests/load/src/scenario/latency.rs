//! Few messages at fixed times: how long it takes when there is no haste.

use std::io::Result;

use clap::{Args, value_parser};

use super::traffic::{Load, Plan};
use super::{Bench, pipeline};
use crate::report::Report;

#[derive(Debug, Clone, Args)]
pub(crate) struct Latency {
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    rooms: u16,
    /// Members of a room, each a user of its own.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    members: u16,
    /// Messages per second, over all rooms.
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u32).range(1..))]
    rate: u32,
    /// Length of a text.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(28..=2000))]
    bytes: u16,
}

impl Latency {
    pub(super) async fn run(&self, bench: &mut Bench) -> Result<Report> {
        let plan = Plan {
            rooms: self.rooms,
            members: self.members,
            senders: 1,
        };
        let load = Load::Rate(self.rate);
        pipeline::run("latency", plan, load, self.bytes, bench).await
    }
}
