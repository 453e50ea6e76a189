//! Traffic for long, at half of what the system can do: does memory grow?

use std::io::Result;
use std::time::Duration;

use base::OsEntropy;
use clap::{Args, value_parser};
use tokio::time::{Instant, sleep};

use super::Bench;
use super::traffic::{Load, Plan, Script};
use crate::proc::Process;
use crate::regression::slope;
use crate::report::{Report, float};
use crate::world::World;

/// How long the most is measured of which half is offered, and with how many messages a
/// sender unanswered.
const SATURATION: (Duration, u16) = (Duration::from_secs(10), 256);

#[derive(Debug, Clone, Args)]
pub(crate) struct Soak {
    /// How long.
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// What memory did in the first seconds does not count.
    #[arg(long, default_value_t = 120)]
    warm_up: u32,
    /// Seconds between two looks at memory.
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    every: u32,
    /// Messages per second in all; half of what the system can do, when it is not given.
    #[arg(long, value_parser = value_parser!(u32).range(1..))]
    rate: Option<u32>,
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    rooms: u16,
    /// Members of a room, each a user of its own.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    members: u16,
    /// Length of a text.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(28..=2000))]
    bytes: u16,
}

/// A process's memory over time: seconds and KiB.
type Samples = Vec<(f64, f64)>;

impl Soak {
    pub(super) async fn run(&self, bench: &mut Bench) -> Result<Report> {
        let plan = Plan {
            rooms: self.rooms,
            members: self.members,
            senders: 1,
        };
        let world = World::new(&bench.system.urls(), &OsEntropy).await?;
        let users = usize::from(self.rooms) * usize::from(self.members);
        let users = world.users(users).await?;
        let script = |name, load, length| Script {
            length,
            ..Script::new(name, load, self.bytes, bench)
        };
        let processes = bench.system.processes();
        let mut parts = Vec::new();
        let rate = if let Some(rate) = self.rate {
            rate
        } else {
            let (length, window) = SATURATION;
            let script = script("saturation", Load::Window(window), length);
            let part = plan.play(&world, &users, script, processes).await?;
            let most = part
                .traffic
                .as_ref()
                .map(|traffic| traffic.acked_per_second);
            parts.push(part);
            half(most.unwrap_or(0.0))
        };

        let length = Duration::from_secs_f64(self.minutes * 60.0);
        let script = script("soak", Load::Rate(rate), length);
        let (part, samples) = tokio::join!(
            plan.play(&world, &users, script, processes),
            watch(processes, length, Duration::from_secs(self.every.into())),
        );
        let mut settings = plan.settings();
        settings.extend([("bytes", self.bytes.into()), ("rate", rate.into())]);
        let mut report = Report::of("soak", settings, part?);
        for part in parts {
            report.add(part);
        }
        self.judge(processes, samples, &mut report);
        Ok(report)
    }

    /// Adds what memory did after the warm-up.
    fn judge(&self, processes: &[Process], samples: Vec<Samples>, report: &mut Report) {
        let mut worst = f64::NAN;
        for (process, samples) in processes.iter().zip(samples) {
            let warm = |&(at, _): &(f64, f64)| at >= f64::from(self.warm_up);
            let samples: Samples = samples.into_iter().filter(warm).collect();
            let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
                continue;
            };
            let name = &process.name;
            report.figure(format!("{name} MiB after warm-up"), first.1 / 1024.0);
            report.figure(format!("{name} MiB in the end"), last.1 / 1024.0);
            let Some(slope) = slope(&samples) else {
                continue;
            };
            report.figure(format!("{name} MiB/hour"), slope * 3600.0 / 1024.0);
            // Processes of others: what they do with memory is their own.
            if !registry::backends().any(|backend| backend.name == name) {
                let growth = slope * (last.0 - first.0) / first.1;
                worst = worst.max(growth * 100.0);
            }
        }
        report.figure("growth of memory, % in the run", worst);
    }
}

/// Looks at the memory of `processes` for `length`.
async fn watch(processes: &[Process], length: Duration, every: Duration) -> Vec<Samples> {
    let begun = Instant::now();
    let mut all = vec![Samples::new(); processes.len()];
    while begun.elapsed() < length {
        let at = begun.elapsed().as_secs_f64();
        for (process, samples) in processes.iter().zip(&mut all) {
            if let Ok(reading) = process.read() {
                samples.push((at, float(reading.resident_kib())));
            }
        }
        sleep(every).await;
    }
    all
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate of messages is positive and far below 2^32"
)]
fn half(rate: f64) -> u32 {
    ((rate / 2.0) as u32).max(1)
}
