//! One room of ever more members at the same number of deliveries a second: what a
//! delivery costs the gateways, and how long the last receiver waits.

use std::io::Result;
use std::time::Duration;

use base::OsEntropy;
use clap::{Args, value_parser};

use super::Bench;
use super::traffic::{Load, Plan, Script};
use crate::report::Report;
use crate::world::World;

/// Between two sizes: what the gateways do about connections that ended counts for neither.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Args)]
pub(crate) struct FanOut {
    /// Connections in the room, one size after the other.
    #[arg(long, default_value = "10,100,1000,5000", value_delimiter = ',', value_parser = value_parser!(u16).range(1..))]
    members: Vec<u16>,
    /// Users that share the connections.
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u16).range(1..))]
    users: u16,
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u16).range(1..))]
    senders: u16,
    /// Deliveries offered per second, at every size.
    #[arg(long, default_value_t = 50_000, value_parser = value_parser!(u32).range(1..))]
    deliveries: u32,
    /// Messages per second, at most.
    #[arg(long, default_value_t = 5_000, value_parser = value_parser!(u32).range(1..))]
    rate_cap: u32,
    /// Length of a text.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(28..=2000))]
    bytes: u16,
}

impl FanOut {
    pub(super) async fn run(&self, bench: &mut Bench) -> Result<Report> {
        let settings = vec![
            ("users", self.users.into()),
            ("senders", self.senders.into()),
            ("deliveries", self.deliveries.into()),
            ("rate-cap", self.rate_cap.into()),
            ("bytes", self.bytes.into()),
        ];
        let mut report = Report::new("fan-out", settings);
        let world = World::new(&bench.system.urls(), &OsEntropy).await?;
        let most = self.members.iter().copied().max().unwrap_or(1);
        let users = world.users(self.users.min(most).into()).await?;
        let (mut first, mut dearest) = (None, 0.0_f64);
        for &members in &self.members {
            let plan = Plan {
                rooms: 1,
                members,
                senders: self.senders.min(members),
            };
            let rate = (self.deliveries / u32::from(members)).clamp(1, self.rate_cap);
            let name = format!("{members} members, {rate} messages/s");
            let script = Script::new(name, Load::Rate(rate), self.bytes, bench);
            let users = &users[..users.len().min(members.into())];
            let part = plan
                .play(&world, users, script, bench.system.processes())
                .await?;
            let cost = part.gateway_micros_per_delivery();
            dearest = dearest.max(cost / *first.get_or_insert(cost));
            report.figure(format!("gateway us/delivery at {members}"), cost);
            for (name, value) in part.figures() {
                if name.starts_with("last receiver") || name.starts_with("generator") {
                    report.figure(format!("{name} at {members}"), value);
                }
            }
            report.add(part);
            tokio::time::sleep(PAUSE).await;
        }
        if dearest > 0.0 {
            report.figure("us/delivery, dearest to first", dearest);
        }
        Ok(report)
    }
}
