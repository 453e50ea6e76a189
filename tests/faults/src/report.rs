//! Figures of a run, and the evidence of what was found.

mod figures;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::check::{Kind, Violation};
use crate::ledger::{Micros, seconds};
use crate::load::{CatchUp, Checked, Outage};
use crate::options::Options;
use crate::plan::{Cycle, Shape};
pub use figures::Figures;

/// A cycle as it was.
#[derive(Debug, Clone, Serialize)]
pub struct Happened {
    /// What was planned.
    #[serde(flatten)]
    pub cycle: Cycle,
    /// When it began.
    pub began: Micros,
    /// When its faults had ended.
    pub ended: Micros,
    /// When every process was ready and every writer had answers again.
    pub well: Micros,
}

/// All that a run showed.
#[derive(Debug)]
pub struct Report {
    command: String,
    seed: u64,
    /// Every cycle, in order.
    pub happened: Vec<Happened>,
    acknowledged: u64,
    delivered: u64,
    leaves: u64,
    checkpoints: u64,
    /// How long the run took.
    pub lasted: Micros,
    /// What was wrong.
    pub violations: Vec<Violation>,
    /// How many violations there are of each kind, with those that were not kept.
    counted: BTreeMap<Kind, usize>,
    outages: Vec<Outage>,
    catch_ups: Vec<CatchUp>,
    met: BTreeMap<String, u64>,
    /// Where data and logs of the system are, when they were kept.
    pub state: Option<PathBuf>,
}

impl Report {
    /// Of a run that begins.
    pub fn new(options: &Options) -> Self {
        let embedded = if options.system == Shape::Embedded {
            " --embedded"
        } else {
            ""
        };
        let command = format!(
            "cargo run --profile dist -p faults -- --cycles {} --seed {}{embedded} \
             --checkpoint {} --rate {} --rooms {} --window {}",
            options.cycles,
            options.seed,
            options.block,
            options.load.rate,
            options.load.rooms,
            options.load.window
        );
        Self {
            command,
            seed: options.seed,
            happened: Vec::new(),
            acknowledged: 0,
            delivered: 0,
            leaves: 0,
            checkpoints: 0,
            lasted: 0,
            violations: Vec::new(),
            counted: BTreeMap::new(),
            outages: Vec::new(),
            catch_ups: Vec::new(),
            met: BTreeMap::new(),
            state: None,
        }
    }

    /// Adds what a checkpoint found.
    pub fn add(&mut self, checked: Checked) {
        self.checkpoints += 1;
        self.acknowledged += checked.acknowledged;
        self.delivered += checked.delivered;
        self.leaves += checked.leaves;
        self.violations.extend(checked.violations);
        for (kind, count) in checked.counted {
            *self.counted.entry(kind).or_default() += count;
        }
        self.outages.extend(checked.outages);
        self.catch_ups.extend(checked.catch_ups);
        for (what, count) in checked.met {
            *self.met.entry(what).or_default() += count;
        }
    }

    /// Adds what was found between checkpoints.
    pub fn violated(&mut self, violation: Violation) {
        *self.counted.entry(violation.kind).or_default() += 1;
        self.violations.push(violation);
    }

    /// Whether every promise was kept.
    pub fn sound(&self) -> bool {
        self.violations.is_empty()
    }

    /// One line on how it stands after a checkpoint.
    pub fn line(&self, now: Micros, began: Micros) -> String {
        format!(
            "{:.0} s: {} cycles, {} acknowledged, {} delivered, {} violations (checked in {:.1} s)",
            seconds(now),
            self.happened.len(),
            self.acknowledged,
            self.delivered,
            self.counted.values().sum::<usize>(),
            seconds(now - began),
        )
    }

    fn count(&self, kinds: &[Kind]) -> usize {
        kinds.iter().filter_map(|kind| self.counted.get(kind)).sum()
    }

    /// Writes what was found, with the faults and the times without service, to `file`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_evidence(&self, file: &Path) -> io::Result<()> {
        #[derive(Serialize)]
        struct Evidence<'a> {
            command: &'a str,
            state: Option<&'a PathBuf>,
            violations: &'a [Violation],
            cycles: &'a [Happened],
            outages: &'a [Outage],
        }
        let evidence = Evidence {
            command: &self.command,
            state: self.state.as_ref(),
            violations: &self.violations,
            cycles: &self.happened,
            outages: &self.outages,
        };
        let json = serde_json::to_string_pretty(&evidence).map_err(io::Error::other)?;
        std::fs::write(file, json + "\n")
    }
}
