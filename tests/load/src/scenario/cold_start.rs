//! From starting standalone on an empty data directory until it is ready.

use std::io::{Error, ErrorKind, Result};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use tokio::time::{Instant, timeout};

use super::{Bench, calls};
use crate::report::{Latencies, Report};
use crate::system::{Running, binary};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(1);
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Args)]
pub(crate) struct ColdStart {
    /// The binary, if not that of the system under test.
    #[arg(long, value_name = "PATH")]
    standalone: Option<PathBuf>,
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    starts: u16,
}

impl ColdStart {
    pub(super) async fn run(&self, bench: &mut Bench) -> Result<Report> {
        let path = match &self.standalone {
            Some(path) => binary(Some(path.clone()))?,
            None => bench.system.standalone().map_or_else(|| binary(None), Ok)?,
        };
        let mut micros = calls::histogram()?;
        for _ in 0..self.starts {
            let begun = Instant::now();
            let running = Running::spawn(&path)?;
            timeout(DEADLINE, running.ready(PAUSE))
                .await
                .map_err(|_| Error::new(ErrorKind::TimedOut, "not ready in time"))??;
            let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            micros.saturating_record(took);
            running.end().await?;
        }
        let mut report = Report::new("cold-start", vec![("starts", self.starts.into())]);
        let latencies = Latencies::new(&micros);
        report.figure("ready p50 ms", latencies.p50);
        report.figure("ready max ms", latencies.max);
        Ok(report)
    }
}
