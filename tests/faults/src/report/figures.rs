//! What is printed in the end, and written as JSON for whoever compares runs.

use std::collections::BTreeMap;
use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Happened, Report};
use crate::check::Kind;
use crate::ledger::seconds;
use crate::load::{Outage, Who};

/// The longest times without service that are told in full.
const WORST: usize = 5;

/// All figures of a run. Times are in seconds.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    command: String,
    seed: u64,
    cycles: usize,
    seconds: f64,
    checkpoints: u64,
    faults: BTreeMap<String, u64>,
    acknowledged: u64,
    delivered: u64,
    leaves: u64,
    lost: usize,
    doubled: usize,
    reordered: usize,
    leaked: usize,
    violations: BTreeMap<Kind, usize>,
    writers_without_answers: Times,
    readers_without_events: Times,
    worst: Vec<Worst>,
    back_after_a_kill: Times,
    well_after_a_cycle: Times,
    met: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Times {
    count: usize,
    p50: f64,
    p99: f64,
    max: f64,
}

#[derive(Debug, Clone, Serialize)]
struct Worst {
    #[serde(flatten)]
    outage: Outage,
    during: Vec<String>,
}

impl Times {
    fn of(micros: impl Iterator<Item = u64>) -> Self {
        // An hour at most, to three digits; both are within what it can hold.
        let Ok(mut histogram) = Histogram::<u64>::new_with_max(3_600_000_000, 3) else {
            return Self::default();
        };
        let (mut count, mut max) = (0, 0);
        for value in micros {
            histogram.saturating_record(value);
            count += 1;
            max = max.max(value);
        }
        let at = |quantile| seconds(histogram.value_at_quantile(quantile).min(max));
        Self {
            count,
            p50: at(0.5),
            p99: at(0.99),
            max: seconds(max),
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of them; p50 {:.2} s, p99 {:.2} s, longest {:.2} s",
            self.count, self.p50, self.p99, self.max
        )
    }
}

impl Report {
    /// All figures.
    pub fn figures(&self) -> Figures {
        let of = |who| {
            let outages = self.outages.iter().filter(move |outage| outage.who == who);
            Times::of(outages.map(|outage| outage.lasted))
        };
        let mut faults = BTreeMap::new();
        for fault in self.happened.iter().flat_map(|cycle| &cycle.cycle.faults) {
            let kind = format!("{} {}", fault.act.word(), fault.act.target());
            *faults.entry(kind).or_default() += 1;
        }
        Figures {
            command: self.command.clone(),
            seed: self.seed,
            cycles: self.happened.len(),
            seconds: seconds(self.lasted),
            checkpoints: self.checkpoints,
            faults,
            acknowledged: self.acknowledged,
            delivered: self.delivered,
            leaves: self.leaves,
            lost: self.count(&[Kind::Lost, Kind::StreamHole, Kind::Behind, Kind::Hole]),
            doubled: self.count(&[Kind::Doubled, Kind::StreamRepeat]),
            reordered: self.count(&[Kind::Reordered, Kind::StreamOrder, Kind::TimeBack]),
            leaked: self.count(&[Kind::Leak, Kind::OutsiderIn, Kind::NonMember]),
            violations: self.counted.clone(),
            writers_without_answers: of(Who::Writer),
            readers_without_events: of(Who::Reader),
            worst: self.worst(),
            back_after_a_kill: Times::of(self.catch_ups.iter().map(|back| back.took)),
            well_after_a_cycle: Times::of(
                self.happened.iter().map(|cycle| cycle.well - cycle.ended),
            ),
            met: self.met.clone(),
        }
    }

    fn worst(&self) -> Vec<Worst> {
        let mut worst = Vec::new();
        for who in [Who::Writer, Who::Reader] {
            let outages = self.outages.iter().filter(|outage| outage.who == who);
            let mut outages: Vec<_> = outages.collect();
            outages.sort_by_key(|outage| std::cmp::Reverse(outage.lasted));
            let mut told: Vec<Worst> = Vec::new();
            for outage in outages {
                let during = self.during(outage);
                // One a cycle: the others of the same one had the same trouble.
                if told.len() < WORST && !told.iter().any(|worst| worst.during == during) {
                    let outage = outage.clone();
                    told.push(Worst { outage, during });
                }
            }
            worst.extend(told);
        }
        worst
    }

    /// The faults that an outage touches.
    fn during(&self, outage: &Outage) -> Vec<String> {
        let touches = |cycle: &&Happened| {
            cycle.began <= outage.from + outage.lasted && outage.from <= cycle.well
        };
        let words = |cycle: &Happened| {
            let faults: Vec<_> = cycle.cycle.faults.iter().map(ToString::to_string).collect();
            format!("cycle {}: {}", cycle.cycle.number, faults.join(", "))
        };
        self.happened.iter().filter(touches).map(words).collect()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = f64_of(self.acknowledged) / self.seconds.max(1.0);
        writeln!(f, "{} cycles in {:.0} s", self.cycles, self.seconds)?;
        let mut words: BTreeMap<&str, u64> = BTreeMap::new();
        for (fault, count) in &self.faults {
            let word = fault.split(' ').next().unwrap_or_default();
            *words.entry(word).or_default() += count;
        }
        writeln!(f, "faults: {words:?}")?;
        writeln!(
            f,
            "acknowledged: {} ({rate:.0} a second); delivered: {}; leaves: {}; checkpoints: {}",
            self.acknowledged, self.delivered, self.leaves, self.checkpoints
        )?;
        writeln!(
            f,
            "lost: {}, doubled: {}, reordered: {}, leaked: {}; all violations: {:?}",
            self.lost, self.doubled, self.reordered, self.leaked, self.violations
        )?;
        writeln!(
            f,
            "writers without answers: {}",
            self.writers_without_answers
        )?;
        writeln!(f, "readers without events: {}", self.readers_without_events)?;
        for worst in &self.worst {
            let (who, lasted) = (&worst.outage.client, seconds(worst.outage.lasted));
            writeln!(f, "  {lasted:.1} s, {who}: {}", worst.during.join("; "))?;
        }
        writeln!(
            f,
            "gateway killed, client back with all: {}",
            self.back_after_a_kill
        )?;
        writeln!(
            f,
            "well after a cycle's faults: {}",
            self.well_after_a_cycle
        )?;
        writeln!(f, "met: {:?}", self.met)?;
        writeln!(f, "again: {}", self.command)
    }
}

/// Counts are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "a count of messages")]
fn f64_of(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::load::{self, Checked};
    use crate::options::Options;
    use crate::plan::Shape;
    use crate::rig::{Binaries, Profile, Settings};

    #[test]
    fn what_was_counted_is_what_is_printed() {
        let mut report = Report::new(&Options {
            cycles: 1,
            seed: 1,
            block: 1,
            verbose: false,
            load: load::Shape {
                rooms: 1,
                rate: 1,
                window: 1,
                seed: 1,
            },
            system: Shape::Embedded,
            settings: Settings {
                folder: PathBuf::new(),
                binaries: Binaries::Build(Profile::Debug),
            },
        });
        for _ in 0..2 {
            report.add(Checked {
                counted: BTreeMap::from([(Kind::Lost, 5_000), (Kind::Hole, 1)]),
                ..Checked::default()
            });
        }
        let figures = report.figures();
        assert_eq!(figures.lost, 10_002);
        assert_eq!(figures.violations[&Kind::Lost], 10_000);
    }
}
