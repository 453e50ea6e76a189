//! What a message's way is made of, each step done bare, with nothing of Parley in it: the
//! limits of the machine, to set the system's figures beside.
//!
//! One thing is measured at a time, and none beside the system's own work.

#[cfg(feature = "distributed")]
mod bus;
mod disk;
mod log;
mod sockets;

use std::io::{Error, Result};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use hdrhistogram::Histogram;

use super::{Bench, calls, logins};
use crate::report::{Latencies, Report, float};
use crate::system::Database;
use log::Log;

/// What is synced at once: a commit's page, and many.
const SYNCED: [usize; 2] = [4, 64];
/// Rows of one statement.
const BATCHES: [usize; 3] = [1, 64, 256];

#[derive(Debug, Clone, Args)]
pub(crate) struct Bare {
    /// Where files are written, if not where a system of the generator's own keeps its data.
    #[arg(long, value_name = "PATH")]
    directory: Option<PathBuf>,
    /// The database, if it is not that of a system of the generator's own.
    #[arg(
        long,
        value_name = "URL",
        env = "PARLEY_TEST_POSTGRES",
        hide_env_values = true
    )]
    postgres: Option<String>,
    /// The bus, if it is not that of a system of the generator's own.
    #[cfg(feature = "distributed")]
    #[arg(long, value_name = "HOST:PORT", env = "PARLEY_TEST_KAFKA")]
    kafka: Option<String>,
    /// Connections to which a frame is written.
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u16).range(1..))]
    connections: u16,
}

/// How long things took that were done one after the other.
struct Times {
    micros: Histogram<u64>,
    spent: Duration,
}

/// How long each is measured.
#[derive(Clone, Copy)]
struct Lengths {
    /// What is done a thousand times in no time.
    brief: Duration,
    /// What is done 50 times a second, or takes a while to be in full swing.
    long: Duration,
}

impl Bare {
    pub(super) async fn run(&self, bench: &mut Bench) -> Result<Report> {
        let settings = vec![("connections", self.connections.into())];
        let mut report = Report::new("bare", settings);
        let lengths = Lengths {
            brief: bench.length / 8,
            long: bench.length.mul_f64(0.4),
        };
        self.disk(bench, lengths, &mut report).await?;
        self.postgres(bench, lengths, &mut report).await?;
        self.sqlite(bench, lengths, &mut report).await?;
        #[cfg(feature = "distributed")]
        self.kafka(bench, lengths, &mut report).await?;
        self.sockets(lengths, &mut report).await?;
        hashes(lengths, &mut report).await?;
        Ok(report)
    }

    async fn disk(&self, bench: &Bench, lengths: Lengths, report: &mut Report) -> Result<()> {
        for kib in SYNCED {
            let directory = self.directory(bench);
            let syncing = move || disk::sync(&directory, kib * 1024, lengths.brief);
            let times = blocking(syncing).await?;
            let Latencies { p50, p99, .. } = times.latencies();
            report.figure(format!("fsync of {kib} KiB, p50 ms"), p50);
            report.figure(format!("fsync of {kib} KiB, p99 ms"), p99);
            report.figure(format!("fsyncs/s of {kib} KiB"), times.per_second());
        }
        Ok(())
    }

    async fn postgres(&self, bench: &Bench, lengths: Lengths, report: &mut Report) -> Result<()> {
        let known = match bench.system.database()? {
            Some(Database::Postgres(url)) => Some(url),
            Some(Database::Sqlite(_)) | None => None,
        };
        let Some(url) = self.postgres.clone().or(known) else {
            return Ok(());
        };
        let mut log = Log::postgres(&url).await?;
        let inserted = insert("PostgreSQL", &mut log, lengths, report).await;
        log.remove().await?;
        inserted
    }

    async fn sqlite(&self, bench: &Bench, lengths: Lengths, report: &mut Report) -> Result<()> {
        let folder = tempfile::tempdir_in(self.directory(bench))?;
        let mut log = Log::sqlite(&folder.path().join("bare.db")).await?;
        let inserted = insert("SQLite", &mut log, lengths, report).await;
        log.remove().await?;
        inserted
    }

    #[cfg(feature = "distributed")]
    async fn kafka(&self, bench: &Bench, lengths: Lengths, report: &mut Report) -> Result<()> {
        let brokers = self.kafka.clone().or_else(|| bench.system.kafka());
        let Some(brokers) = brokers else {
            return Ok(());
        };
        let (lone, crowded) = bus::carry(&brokers, lengths.long).await?;
        let Latencies { p50, p99, .. } = lone;
        report.figure("Kafka, a record alone, p50 ms", p50);
        report.figure("Kafka, a record alone, p99 ms", p99);
        report.figure("Kafka records/s", crowded);
        Ok(())
    }

    async fn sockets(&self, lengths: Lengths, report: &mut Report) -> Result<()> {
        let connections = self.connections;
        let fanning = move || sockets::fan_out(connections, lengths.brief);
        let cost = blocking(fanning).await?;
        report.figure("socket write, us CPU", cost.write);
        report.figure("socket read, us CPU", cost.read);
        let there_and_back = blocking(move || sockets::ping_pong(lengths.long)).await?;
        let Latencies { p50, p99, .. } = there_and_back.latencies();
        report.figure("waking up and back, p50 us", p50 * 1e3);
        report.figure("waking up and back, p99 us", p99 * 1e3);
        Ok(())
    }

    /// Where files are written that are gone afterwards.
    fn directory(&self, bench: &Bench) -> PathBuf {
        let given = self.directory.clone();
        let known = given.or_else(|| bench.system.data());
        known.unwrap_or_else(std::env::temp_dir)
    }
}

/// Fills a log with batches of all sizes, one after the other.
async fn insert(name: &str, log: &mut Log, lengths: Lengths, report: &mut Report) -> Result<()> {
    for batch in BATCHES {
        let times = log.fill(batch, lengths.brief).await?;
        let rows = u64::try_from(batch).map_or(f64::NAN, float);
        let p50 = times.latencies().p50;
        report.figure(format!("{name}, insert of {batch}, p50 ms"), p50);
        let rate = times.per_second() * rows;
        report.figure(format!("{name} rows/s by {batch}"), rate);
    }
    Ok(())
}

async fn hashes(lengths: Lengths, report: &mut Report) -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    let hashes = logins::bare(cores, lengths.brief).await?;
    let cores = u64::try_from(cores).map_or(f64::NAN, float);
    let rate = float(hashes) / lengths.brief.as_secs_f64();
    report.figure("argon2id hashes/s per core", rate / cores);
    Ok(())
}

/// Does what blocks elsewhere.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(Error::other)?
}

impl Times {
    fn new() -> Result<Self> {
        Ok(Self {
            micros: calls::histogram()?,
            spent: Duration::ZERO,
        })
    }

    fn note(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.saturating_record(micros.max(1));
        self.spent += took;
    }

    fn latencies(&self) -> Latencies {
        Latencies::new(&self.micros)
    }

    /// How often it could be done, one time after the other.
    fn per_second(&self) -> f64 {
        float(self.micros.len()) / self.spent.as_secs_f64()
    }
}
