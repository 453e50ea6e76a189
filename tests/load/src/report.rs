//! What a run found, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::ledger::Counts;
use crate::proc::Usage;
use crate::room::Tally;

/// A finished run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    scenario: &'static str,
    settings: BTreeMap<&'static str, u64>,
    seconds: u64,
    sound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<Traffic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet: Option<Quiet>,
    /// Messages delivered per second of the gateways' CPU time.
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries_per_gateway_cpu_second: Option<f64>,
    processes: Vec<Usage>,
    /// The generator's own use.
    own: Usage,
}

/// What was sent and what became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Traffic {
    pub(crate) counts: Counts,
    /// Within the time of sending.
    acked_per_second: f64,
    deliveries_per_second: f64,
    /// Send to acknowledgement.
    ack: Latencies,
    /// Send to each receiver.
    delivery: Latencies,
    /// Send to the last receiver.
    last: Latencies,
    errors: BTreeMap<String, u64>,
}

/// Quantiles in milliseconds.
#[derive(Debug, Serialize)]
struct Latencies {
    p50: f64,
    p99: f64,
    max: f64,
}

/// What quiet connections cost.
#[derive(Debug, Serialize)]
pub(crate) struct Quiet {
    connections: u16,
    /// Growth of the gateways' memory over the number of connections; needs their pids.
    kib_per_connection: Option<f64>,
    /// Why connections ended before their time, and how many.
    pub(crate) ended: BTreeMap<String, u64>,
}

impl Report {
    /// The report of a run with traffic.
    pub(crate) fn traffic(
        scenario: &'static str,
        settings: Vec<(&'static str, u64)>,
        seconds: u64,
        traffic: Traffic,
        processes: Vec<Usage>,
        own: Usage,
    ) -> Self {
        let cpu: f64 = gateways(&processes).map(Usage::cpu_seconds).sum();
        let delivered = float(traffic.counts.delivered);
        Self {
            scenario,
            settings: settings.into_iter().collect(),
            seconds,
            // A run in which nothing was acknowledged has shown nothing.
            sound: traffic.counts.sound() && traffic.counts.acked > 0,
            traffic: Some(traffic),
            quiet: None,
            deliveries_per_gateway_cpu_second: (cpu > 0.0).then(|| delivered / cpu),
            processes,
            own,
        }
    }

    /// The report of a run without.
    pub(crate) fn quiet(
        settings: Vec<(&'static str, u64)>,
        seconds: u64,
        mut quiet: Quiet,
        processes: Vec<Usage>,
        own: Usage,
    ) -> Self {
        if !processes.is_empty() {
            let growth: f64 = gateways(&processes)
                .map(|usage| float(usage.resident_kib) - float(usage.resident_before_kib))
                .sum();
            quiet.kib_per_connection = Some(growth / f64::from(quiet.connections));
        }
        Self {
            scenario: "idle",
            settings: settings.into_iter().collect(),
            seconds,
            sound: quiet.ended.is_empty(),
            traffic: None,
            quiet: Some(quiet),
            deliveries_per_gateway_cpu_second: None,
            processes,
            own,
        }
    }

    /// Whether nothing was lost, doubled, disordered or cut off.
    pub(crate) fn sound(&self) -> bool {
        self.sound
    }

    /// What was counted, if there was traffic.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> Option<&Counts> {
        self.traffic.as_ref().map(|traffic| &traffic.counts)
    }
}

impl Traffic {
    /// Sums up a run that sent for `seconds`.
    pub(crate) fn new(counts: Counts, tally: &Tally, seconds: u64) -> Self {
        Self {
            counts,
            acked_per_second: float(tally.acked_in_time) / float(seconds),
            deliveries_per_second: float(tally.delivered_in_time) / float(seconds),
            ack: Latencies::new(&tally.ack),
            delivery: Latencies::new(&tally.delivery),
            last: Latencies::new(&tally.last),
            errors: tally.errors.clone(),
        }
    }
}

impl Latencies {
    fn new(micros: &Histogram<u64>) -> Self {
        let millis = |micros| float(micros) / 1000.0;
        Self {
            p50: millis(micros.value_at_quantile(0.5)),
            p99: millis(micros.value_at_quantile(0.99)),
            max: millis(micros.max()),
        }
    }
}

impl Quiet {
    pub(crate) fn new(connections: u16) -> Self {
        Self {
            connections,
            kib_per_connection: None,
            ended: BTreeMap::new(),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.scenario)?;
        for (name, value) in &self.settings {
            write!(f, " {name}={value}")?;
        }
        writeln!(f, " seconds={}", self.seconds)?;
        if let Some(traffic) = &self.traffic {
            write!(f, "{traffic}")?;
        }
        if let Some(quiet) = &self.quiet {
            let ended: u64 = quiet.ended.values().sum();
            writeln!(
                f,
                "  connections {} of which ended {ended}",
                quiet.connections
            )?;
            write_errors(f, &quiet.ended)?;
            if let Some(kib) = quiet.kib_per_connection {
                writeln!(f, "  gateway memory a connection {kib:.2} KiB")?;
            }
        }
        self.write_processes(f)?;
        writeln!(f, "{}", if self.sound { "sound" } else { "NOT SOUND" })
    }
}

impl Report {
    fn write_processes(&self, f: &mut Formatter<'_>) -> Result {
        let acked = self
            .traffic
            .as_ref()
            .map_or(0, |traffic| traffic.counts.acked);
        let delivered = self
            .traffic
            .as_ref()
            .map_or(0, |traffic| traffic.counts.delivered);
        writeln!(
            f,
            "  {:<14}{:>9}{:>9}{:>12}{:>13}{:>10}{:>10}",
            "process", "user s", "sys s", "us/message", "us/delivery", "RSS MiB", "peak MiB"
        )?;
        for usage in self.processes.iter().chain([&self.own]) {
            let each = |count: u64| {
                if count == 0 {
                    0.0
                } else {
                    usage.cpu_seconds() * 1e6 / float(count)
                }
            };
            writeln!(
                f,
                "  {:<14}{:>9.2}{:>9.2}{:>12.2}{:>13.3}{:>10.1}{:>10.1}",
                usage.name,
                usage.user_seconds,
                usage.system_seconds,
                each(acked),
                each(delivered),
                float(usage.resident_kib) / 1024.0,
                float(usage.peak_kib) / 1024.0,
            )?;
        }
        if let Some(deliveries) = self.deliveries_per_gateway_cpu_second {
            writeln!(f, "  deliveries per gateway CPU second {deliveries:.0}")?;
        }
        Ok(())
    }
}

impl Display for Traffic {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let counts = &self.counts;
        writeln!(
            f,
            "  acked      {:>10}  {:>10.0}/s",
            counts.acked, self.acked_per_second
        )?;
        writeln!(
            f,
            "  delivered  {:>10}  {:>10.0}/s  expected {}",
            counts.delivered, self.deliveries_per_second, counts.expected
        )?;
        writeln!(
            f,
            "  duplicated {}  missing {}  disordered {}  mismatched {}  errors {}",
            counts.duplicated,
            counts.missing,
            counts.disordered,
            counts.mismatched,
            self.errors.values().sum::<u64>(),
        )?;
        write_errors(f, &self.errors)?;
        writeln!(
            f,
            "  {:<22}{:>9}{:>9}{:>9}",
            "latency, ms", "p50", "p99", "max"
        )?;
        for (name, Latencies { p50, p99, max }) in [
            ("send to ack", &self.ack),
            ("send to receiver", &self.delivery),
            ("send to last receiver", &self.last),
        ] {
            writeln!(f, "  {name:<22}{p50:>9.2}{p99:>9.2}{max:>9.2}")?;
        }
        Ok(())
    }
}

fn write_errors(f: &mut Formatter<'_>, errors: &BTreeMap<String, u64>) -> Result {
    for (what, count) in errors {
        writeln!(f, "    {count} x {what}")?;
    }
    Ok(())
}

/// The gateways among `processes`; all of them if none goes by that name.
fn gateways(processes: &[Usage]) -> impl Iterator<Item = &Usage> {
    let any = processes.iter().any(Usage::is_gateway);
    processes
        .iter()
        .filter(move |usage| usage.is_gateway() || !any)
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}
