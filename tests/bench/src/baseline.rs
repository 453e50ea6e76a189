//! What the cases cost when it was last agreed to, and what is said of a change.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A case may cost so many percent more before it fails; so many less are told of.
pub(crate) const TOLERANCE: u64 = 10;

/// Counts by the names of the cases, and what they were counted with.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baseline {
    /// The compiler: another one makes other instructions.
    pub(crate) compiler: String,
    /// The counts.
    pub(crate) instructions: BTreeMap<String, u64>,
}

/// What is to be said of a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Within the tolerance.
    Same,
    /// Better: the baseline should know.
    Cheaper,
    /// Fails.
    Dearer,
    /// The baseline does not have it; fails.
    Unknown,
}

impl Verdict {
    /// Of a count beside the one in the baseline.
    pub(crate) fn of(count: u64, before: Option<u64>) -> Self {
        let Some(before) = before else {
            return Self::Unknown;
        };
        let (count, before) = (u128::from(count) * 100, u128::from(before));
        if count > before * u128::from(100 + TOLERANCE) {
            Self::Dearer
        } else if count < before * u128::from(100 - TOLERANCE) {
            Self::Cheaper
        } else {
            Self::Same
        }
    }

    /// Whether it fails.
    pub(crate) fn fails(self) -> bool {
        matches!(self, Self::Dearer | Self::Unknown)
    }

    /// In a word or two.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::Cheaper => "cheaper: update the baseline",
            Self::Dearer => "DEARER",
            Self::Unknown => "NOT IN THE BASELINE",
        }
    }
}

impl Baseline {
    /// Reads it.
    ///
    /// # Errors
    /// When it is not to be had, or is none; in words.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| said(&error))?;
        serde_json::from_str(&text).map_err(|error| said(&error))
    }

    /// Writes it, one case a line.
    ///
    /// # Errors
    /// When it cannot be written; in words.
    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let mut text = serde_json::to_string_pretty(self).map_err(|error| said(&error))?;
        text.push('\n');
        std::fs::write(path, text).map_err(|error| said(&error))
    }

    /// What it has that is not counted any more.
    pub(crate) fn missing_in(&self, counts: &BTreeMap<String, u64>) -> Vec<&str> {
        let names = self.instructions.keys();
        let gone = names.filter(|name| !counts.contains_key(*name));
        gone.map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_more_is_let_pass_and_one_instruction_beyond_is_not() {
        assert_eq!(Verdict::of(1_100, Some(1_000)), Verdict::Same);
        assert_eq!(Verdict::of(1_101, Some(1_000)), Verdict::Dearer);
        assert_eq!(Verdict::of(900, Some(1_000)), Verdict::Same);
        assert_eq!(Verdict::of(899, Some(1_000)), Verdict::Cheaper);
        assert!(Verdict::Dearer.fails() && !Verdict::Cheaper.fails());
    }

    #[test]
    fn a_case_without_a_baseline_fails_and_so_does_a_baseline_without_a_case() {
        assert!(Verdict::of(1, None).fails());
        let instructions = BTreeMap::from([("gone".to_owned(), 1), ("here".to_owned(), 1)]);
        let baseline = Baseline {
            instructions,
            ..Baseline::default()
        };
        let counts = BTreeMap::from([("here".to_owned(), 1)]);
        assert_eq!(baseline.missing_in(&counts), ["gone"]);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.json");
        let baseline = Baseline {
            compiler: "rustc".into(),
            instructions: BTreeMap::from([("a case".to_owned(), 7)]),
        };
        baseline.write(&path).unwrap();
        assert_eq!(Baseline::read(&path), Ok(baseline));
    }
}
