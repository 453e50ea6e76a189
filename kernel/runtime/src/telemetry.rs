//! Logs and metrics of a process.

use base::Error;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::config::{Log, LogFormat};
use crate::levels;

/// Upper bounds of the buckets of every `…_seconds` histogram.
const SECONDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// Starts logging to standard error.
///
/// # Errors
/// When the level cannot be read, or logging was started before.
pub fn start_logs(log: &Log) -> base::Result<()> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(levels::filter(&log.level)?)
        .with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Pretty => builder.with_target(false).try_init(),
    };
    started.map_err(Error::internal)
}

/// Starts collecting metrics; the handle renders them.
///
/// # Errors
/// When metrics were started before.
pub fn start_metrics() -> base::Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(Error::internal)
}
