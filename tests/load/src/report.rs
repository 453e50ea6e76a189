//! What a run found, as text and as JSON.
//!
//! A run is made of parts, each a stretch with its own traffic and its own use of CPU and
//! memory. Its figures are what goals and comparisons look at.

mod part;

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result};

use serde::{Serialize, Serializer};

#[cfg(test)]
use crate::ledger::Counts;
use crate::table::Table;
pub(crate) use part::{Latencies, Part, Traffic};

/// A finished run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) scenario: &'static str,
    settings: BTreeMap<&'static str, u64>,
    sound: bool,
    figures: Figures,
    /// What went wrong, beside what the ledgers of the parts say, and how often.
    faults: BTreeMap<String, u64>,
    parts: Vec<Part>,
}

/// Numbers by name, in the order they were found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Figures(Vec<(String, f64)>);

impl Report {
    /// The report of a run that has not begun: sound, and empty.
    pub(crate) fn new(scenario: &'static str, settings: Vec<(&'static str, u64)>) -> Self {
        Self {
            scenario,
            settings: settings.into_iter().collect(),
            sound: true,
            figures: Figures::default(),
            faults: BTreeMap::new(),
            parts: Vec::new(),
        }
    }

    /// The report of a run with one part, whose figures are those of the run.
    pub(crate) fn of(
        scenario: &'static str,
        settings: Vec<(&'static str, u64)>,
        part: Part,
    ) -> Self {
        let mut report = Self::new(scenario, settings);
        for (name, value) in part.figures() {
            report.figure(name, value);
        }
        report.add(part);
        report
    }

    /// Adds a stretch of the run. It is sound if nothing was lost, doubled or disordered.
    pub(crate) fn add(&mut self, part: Part) {
        self.sound &= part.sound();
        self.parts.push(part);
    }

    /// Adds a number. One that cannot be told is left out.
    pub(crate) fn figure(&mut self, name: impl Into<String>, value: f64) {
        if value.is_finite() {
            self.figures.0.push((name.into(), value));
        }
    }

    /// Notes that something went wrong, which makes the run unsound.
    pub(crate) fn fault(&mut self, what: impl Into<String>) {
        self.sound = false;
        *self.faults.entry(what.into()).or_default() += 1;
    }

    /// Whether nothing was lost, doubled, disordered or cut off.
    pub(crate) fn sound(&self) -> bool {
        self.sound
    }

    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// What was counted in the first part, if there was traffic.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> Option<&Counts> {
        let traffic = self.parts.first()?.traffic.as_ref()?;
        Some(&traffic.counts)
    }
}

impl Figures {
    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| *value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.scenario)?;
        for (name, value) in &self.settings {
            write!(f, " {name}={value}")?;
        }
        writeln!(f)?;
        for part in &self.parts {
            write!(f, "{part}")?;
        }
        let mut table = Table::default();
        for (name, value) in self.figures.iter() {
            table.row(["", name, &plain(value)]);
        }
        write!(f, "{table}")?;
        for (what, count) in &self.faults {
            writeln!(f, "  {count} x {what}")?;
        }
        writeln!(f, "{}", if self.sound { "sound" } else { "NOT SOUND" })
    }
}

/// A number with as many digits as are worth reading.
pub(crate) fn plain(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
