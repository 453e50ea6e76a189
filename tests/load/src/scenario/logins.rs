//! Logins, and in turn with them bare password hashes on all cores: how much of what the
//! machine can hash becomes logins.

use std::io::{Error, Result};
use std::time::Duration;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base::OsEntropy;
use clap::{Args, value_parser};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Bench;
use super::calls::{self, Call};
use crate::report::{Latencies, Report, float};
use crate::world::{PASSWORD, World};

/// The cost of a hash in Parley: memory in KiB, passes, lanes.
const COST: (u32, u32, u32) = (12 * 1024, 3, 1);

#[derive(Debug, Clone, Args)]
pub(crate) struct Logins {
    /// Connections, each a user of its own.
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u16).range(1..))]
    connections: u16,
    /// How often logins and bare hashes take turns.
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u16).range(1..))]
    rounds: u16,
}

impl Logins {
    pub(super) async fn run(&self, bench: &mut Bench) -> Result<Report> {
        let cores = std::thread::available_parallelism()?.get();
        let settings = vec![
            ("connections", self.connections.into()),
            ("rounds", self.rounds.into()),
            ("cores", u64::try_from(cores).unwrap_or(u64::MAX)),
        ];
        let mut report = Report::new("logins", settings);
        let world = World::new(&bench.system.urls(), &OsEntropy).await?;
        let users = world.users(self.connections.into()).await?;
        let turn = bench.length / (2 * u32::from(self.rounds));
        let (mut hashes, mut logins, mut micros) = (0, 0, calls::histogram()?);
        for round in 1..=self.rounds {
            hashes += bare(cores, turn).await?;
            let callers = users.iter().enumerate().map(|(index, user)| {
                let call = Call {
                    method: "POST",
                    path: "/login".to_owned(),
                    token: None,
                    body: format!(r#"{{"Email":"{}","Password":"{PASSWORD}"}}"#, user.email),
                };
                (world.http(index), call)
            });
            let name = format!("round {round}");
            let processes = bench.system.processes();
            let calls = calls::run(&name, callers.collect(), turn, processes).await?;
            logins += calls.micros.len();
            micros.add(&calls.micros).map_err(Error::other)?;
            for (status, count) in &calls.refused {
                report.fault(format!("{count} answers with {status}"));
            }
            report.add(calls.part);
        }
        let seconds = turn.as_secs_f64() * f64::from(self.rounds);
        let cores = float(u64::try_from(cores).unwrap_or(u64::MAX));
        let (logins, hashes) = (float(logins) / seconds, float(hashes) / seconds);
        let latencies = Latencies::new(&micros);
        report.figure("logins/s", logins);
        report.figure("logins/s per core", logins / cores);
        report.figure("bare hashes/s", hashes);
        report.figure("bare hashes/s per core", hashes / cores);
        report.figure("logins to bare hashes", logins / hashes);
        report.figure("login p50 ms", latencies.p50);
        report.figure("login p99 ms", latencies.p99);
        Ok(report)
    }
}

/// Hashes for `length` on as many threads as there are cores; gives how many hashes were
/// ready by then.
pub(super) async fn bare(cores: usize, length: Duration) -> Result<u64> {
    let stop = Instant::now() + length;
    let mut tasks = JoinSet::new();
    for _ in 0..cores {
        tasks.spawn_blocking(move || hash_until(stop));
    }
    let mut hashes = 0;
    while let Some(joined) = tasks.join_next().await {
        hashes += joined.map_err(Error::other)??;
    }
    Ok(hashes)
}

fn hash_until(stop: Instant) -> Result<u64> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).map_err(Error::other)?;
    let mut blocks = vec![Block::new(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let (mut output, mut hashes) = ([0; 32], 0);
    loop {
        argon2
            .hash_password_into_with_memory(
                PASSWORD.as_bytes(),
                b"sixteen bytes of",
                &mut output,
                &mut blocks,
            )
            .map_err(Error::other)?;
        if Instant::now() > stop {
            return Ok(hashes);
        }
        hashes += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bare_hashes_are_counted() {
        assert!(bare(2, Duration::from_millis(500)).await.unwrap() >= 2);
    }
}
