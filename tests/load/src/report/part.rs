//! A stretch of a run.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::float;
use crate::ledger::Counts;
use crate::proc::{Usage, gateways};
use crate::room::Tally;
use crate::table::Table;

/// A stretch of a run: what was sent in it, if anything was, and what it took.
#[derive(Debug, Serialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// How long was sent, or kept quiet.
    pub(crate) seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traffic: Option<Traffic>,
    pub(crate) processes: Vec<Usage>,
    /// The generator's own use.
    pub(crate) own: Usage,
}

/// What was sent and what became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Traffic {
    pub(crate) counts: Counts,
    /// Within the time of sending.
    pub(crate) acked_per_second: f64,
    deliveries_per_second: f64,
    /// Send to acknowledgement.
    ack: Latencies,
    /// Send to each receiver.
    delivery: Latencies,
    /// Send to the last receiver.
    pub(crate) last: Latencies,
    /// Send to each receiver that was watched, in the time of interest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) live: Option<Latencies>,
    errors: BTreeMap<String, u64>,
}

/// Quantiles in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latencies {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Part {
    /// Whether nothing was lost, doubled or disordered. A stretch in which nothing was
    /// acknowledged has shown nothing.
    pub(super) fn sound(&self) -> bool {
        self.traffic
            .as_ref()
            .is_none_or(|traffic| traffic.counts.sound() && traffic.counts.acked > 0)
    }

    /// Its numbers by name.
    pub(crate) fn figures(&self) -> Vec<(&'static str, f64)> {
        let Some(traffic) = &self.traffic else {
            return Vec::new();
        };
        vec![
            ("acked/s", traffic.acked_per_second),
            ("deliveries/s", traffic.deliveries_per_second),
            ("ack p50 ms", traffic.ack.p50),
            ("ack p99 ms", traffic.ack.p99),
            ("receiver p50 ms", traffic.delivery.p50),
            ("receiver p99 ms", traffic.delivery.p99),
            ("last receiver p50 ms", traffic.last.p50),
            ("last receiver p99 ms", traffic.last.p99),
            ("system us/message", self.system_micros_per_message()),
            ("path us/message", self.path_micros_per_message()),
            ("gateway us/delivery", self.gateway_micros_per_delivery()),
            (
                "deliveries per gateway CPU second",
                1e6 / self.gateway_micros_per_delivery(),
            ),
            ("generator us/delivery", self.own_micros_per_delivery()),
        ]
    }

    /// CPU time of all processes but the generator's over the messages acknowledged.
    pub(crate) fn system_micros_per_message(&self) -> f64 {
        let cpu: f64 = self.processes.iter().map(Usage::cpu_seconds).sum();
        measured(cpu) * 1e6 / float(self.counts().acked)
    }

    /// CPU time of what a message passes before it is acknowledged and delivered (gateways,
    /// message-service, its database) over the messages acknowledged.
    fn path_micros_per_message(&self) -> f64 {
        let path = self.processes.iter().filter(|usage| usage.is_on_path());
        let cpu: f64 = path.map(Usage::cpu_seconds).sum();
        measured(cpu) * 1e6 / float(self.counts().acked)
    }

    /// CPU time of the gateways over the messages delivered.
    pub(crate) fn gateway_micros_per_delivery(&self) -> f64 {
        measured(self.gateway_seconds()) * 1e6 / float(self.counts().delivered)
    }

    /// CPU time of the gateways.
    pub(crate) fn gateway_seconds(&self) -> f64 {
        gateways(&self.processes).map(Usage::cpu_seconds).sum()
    }

    fn own_micros_per_delivery(&self) -> f64 {
        self.own.cpu_seconds() * 1e6 / float(self.counts().delivered)
    }

    fn counts(&self) -> Counts {
        let counts = self.traffic.as_ref().map(|traffic| traffic.counts.clone());
        counts.unwrap_or_default()
    }
}

impl Traffic {
    /// Sums up a run that sent for `seconds`.
    pub(crate) fn new(counts: Counts, tally: &Tally, seconds: f64) -> Self {
        Self {
            counts,
            acked_per_second: float(tally.acked_in_time) / seconds,
            deliveries_per_second: float(tally.delivered_in_time) / seconds,
            ack: Latencies::new(&tally.ack),
            delivery: Latencies::new(&tally.delivery),
            last: Latencies::new(&tally.last),
            live: (!tally.live.is_empty()).then(|| Latencies::new(&tally.live)),
            errors: tally.errors.clone(),
        }
    }
}

impl Latencies {
    /// Of a histogram of microseconds.
    pub(crate) fn new(micros: &Histogram<u64>) -> Self {
        let millis = |micros| float(micros) / 1000.0;
        Self {
            p50: millis(micros.value_at_quantile(0.5)),
            p99: millis(micros.value_at_quantile(0.99)),
            max: millis(micros.max()),
        }
    }
}

impl Display for Part {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.name.is_empty() {
            writeln!(f, "  {} s", self.seconds)?;
        } else {
            writeln!(f, "  {}, {} s", self.name, self.seconds)?;
        }
        if let Some(traffic) = &self.traffic {
            write!(f, "{traffic}")?;
        }
        let counts = self.counts();
        let mut table = Table::default();
        table.row([
            "",
            "process",
            "user s",
            "sys s",
            "us/message",
            "us/delivery",
            "RSS MiB",
            "peak MiB",
        ]);
        for usage in self.processes.iter().chain([&self.own]) {
            let each = |count: u64| match count {
                0 => "-".to_owned(),
                count => format!("{:.3}", usage.cpu_seconds() * 1e6 / float(count)),
            };
            let mib = |kib: u64| format!("{:.1}", float(kib) / 1024.0);
            table.row([
                "",
                &usage.name,
                &format!("{:.2}", usage.user_seconds),
                &format!("{:.2}", usage.system_seconds),
                &each(counts.acked),
                &each(counts.delivered),
                &mib(usage.resident_kib),
                &mib(usage.peak_kib),
            ]);
        }
        write!(f, "{table}")
    }
}

impl Display for Traffic {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let counts = &self.counts;
        writeln!(
            f,
            "  sent {}  acked {}  delivered {} of {}",
            counts.sent, counts.acked, counts.delivered, counts.expected
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
        for (what, count) in &self.errors {
            writeln!(f, "    {count} x {what}")?;
        }
        let mut table = Table::default();
        table.row(["", "latency, ms", "p50", "p99", "max"]);
        let live = self.live.as_ref().map(|live| ("send to the watched", live));
        let all = [
            ("send to ack", &self.ack),
            ("send to receiver", &self.delivery),
            ("send to last receiver", &self.last),
        ];
        for (name, Latencies { p50, p99, max }) in all.into_iter().chain(live) {
            let millis = |value: &f64| format!("{value:.2}");
            table.row(["", name, &millis(p50), &millis(p99), &millis(max)]);
        }
        write!(f, "{table}")
    }
}

/// CPU time too short to be measured, or that of no process, is unknown rather than none.
fn measured(seconds: f64) -> f64 {
    if seconds > 0.0 { seconds } else { f64::NAN }
}
