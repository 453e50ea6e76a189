//! What a gateway pays for records of rooms that nobody there watches: all clients are on
//! one gateway, and another one is measured.

use std::io::{Error, Result};
use std::time::Duration;

use base::OsEntropy;
use clap::{Args, value_parser};

use super::traffic::{Load, Script};
use super::{Bench, crowd};
use crate::http::Http;
use crate::proc::Process;
use crate::report::{Report, float};
use crate::system::Gateway;
use crate::world::World;

#[derive(Debug, Clone, Args)]
pub(crate) struct Skipped {
    /// Rooms of two members: so many that hardly two messages share a record.
    #[arg(long, default_value_t = 2_000, value_parser = value_parser!(u16).range(1..))]
    rooms: u16,
    /// Messages per second in all.
    #[arg(long, default_value_t = 5_000, value_parser = value_parser!(u32).range(1..))]
    rate: u32,
    /// For how many seconds the gateway is watched before, with no traffic.
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u16).range(1..))]
    quiet: u16,
    /// Length of a text.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(28..=2000))]
    bytes: u16,
}

impl Skipped {
    pub(super) async fn run(&self, bench: &mut Bench) -> Result<Report> {
        let [busy, watched, ..] = bench.system.gateways() else {
            return Err(Error::other("skipped needs a second gateway"));
        };
        let processes = bench.system.processes();
        let process = processes
            .iter()
            .find(|process| process.name == watched.name);
        let process = process.ok_or_else(|| Error::other("skipped needs the gateways' pids"))?;
        // Not even one for HTTP goes to the other gateway.
        let world = World::new(std::slice::from_ref(&busy.url), &OsEntropy).await?;
        let rooms = usize::from(self.rooms);
        let users = world.users(2 * crowd::pairs(rooms)).await?;
        let ids = crowd::rooms(&world, &users, rooms).await?;

        let quiet = Duration::from_secs(self.quiet.into());
        let idle = cpu_over(process, quiet).await?.div_f64(quiet.as_secs_f64());
        let script = Script::new("", Load::Rate(self.rate), self.bytes, bench);
        let before = records(watched).await;
        let (started, used) = (tokio::time::Instant::now(), process.read()?.cpu());
        let part = crowd::play(&world, &users, &ids, Some(0), script, processes).await?;
        let used = process.read()?.cpu().saturating_sub(used);
        let took = started.elapsed();
        let after = records(watched).await;

        let settings = vec![
            ("rooms", self.rooms.into()),
            ("rate", self.rate.into()),
            ("bytes", self.bytes.into()),
        ];
        let acked = part
            .traffic
            .as_ref()
            .map_or(0, |traffic| traffic.counts.acked);
        let mut report = Report::of("skipped", settings, part);
        // A counter shows up when it first counts.
        let counted = after.map(|after| after - before.unwrap_or(0.0));
        let records = counted.unwrap_or(float(acked));
        let extra = used.as_secs_f64() - idle.as_secs_f64() * took.as_secs_f64();
        report.figure("idle gateway ms/s", idle.as_secs_f64() * 1e3);
        report.figure("records", records);
        report.figure("messages/record", float(acked) / records);
        report.figure("us/skipped record", extra * 1e6 / records);
        Ok(report)
    }
}

/// CPU time of `process` over the next `time`.
async fn cpu_over(process: &Process, time: Duration) -> Result<Duration> {
    let before = process.read()?.cpu();
    tokio::time::sleep(time).await;
    Ok(process.read()?.cpu().saturating_sub(before))
}

/// How many records a gateway has read of which it wanted nothing, if it counts them.
async fn records(gateway: &Gateway) -> Option<f64> {
    let admin = gateway.admin.as_ref()?.parse().ok()?;
    let metrics = Http::new(admin).call(("GET", "/metrics"), None, "").await;
    count(&String::from_utf8(metrics.ok()?).ok()?)
}

fn count(metrics: &str) -> Option<f64> {
    let wanted = |line: &&str| {
        line.starts_with("parley_bus_records_total{") && line.contains(r#"wanted="false""#)
    };
    let lines = metrics.lines().filter(wanted);
    let values: Vec<f64> = lines
        .filter_map(|line| line.rsplit_once(' ')?.1.parse().ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_nobody_wanted_are_added_up() {
        let metrics = "# TYPE parley_bus_records_total counter\n\
            parley_bus_records_total{wanted=\"true\"} 5\n\
            parley_bus_records_total{part=\"0\",wanted=\"false\"} 7\n\
            parley_bus_records_total{part=\"1\",wanted=\"false\"} 8\n";
        assert!((count(metrics).unwrap() - 15.0).abs() < 1e-9);
        assert_eq!(count("parley_else 3\n"), None);
    }
}
