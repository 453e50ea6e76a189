//! What the cases cost when it was last agreed to, and what is said of a change.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Percent that a case may cost more than the baseline before it fails. A case that costs so
/// much less is reported. Counts of one program repeat within 0.05 %.
pub(crate) const TOLERANCE: u64 = 1;
/// A case off the path of a plain message, whose count changes by 3 to 5 % with how the
/// compiler inlines, whatever was changed.
const VARYING: &str = "parse 100 messages with escapes";
/// Its own tolerance, in percent.
const VARYING_TOLERANCE: u64 = 6;

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
    /// Judges the count of the case `name` beside the one in the baseline.
    pub(crate) fn of(name: &str, count: u64, before: Option<u64>) -> Self {
        let tolerance = if name == VARYING {
            VARYING_TOLERANCE
        } else {
            TOLERANCE
        };
        let Some(before) = before else {
            return Self::Unknown;
        };
        let (count, before) = (u128::from(count) * 100, u128::from(before));
        if count > before * u128::from(100 + tolerance) {
            Self::Dearer
        } else if count < before * u128::from(100 - tolerance) {
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
    fn one_percent_more_passes_and_one_instruction_beyond_fails() {
        assert_eq!(Verdict::of("a case", 10_100, Some(10_000)), Verdict::Same);
        assert_eq!(Verdict::of("a case", 10_101, Some(10_000)), Verdict::Dearer);
        assert_eq!(Verdict::of("a case", 9_900, Some(10_000)), Verdict::Same);
        assert_eq!(Verdict::of("a case", 9_899, Some(10_000)), Verdict::Cheaper);
        let varying = |count| Verdict::of(VARYING, count, Some(10_000));
        assert_eq!(varying(10_600), Verdict::Same);
        assert_eq!(varying(10_601), Verdict::Dearer);
        assert!(Verdict::Dearer.fails() && !Verdict::Cheaper.fails());
    }

    #[test]
    fn a_case_without_a_baseline_fails_and_so_does_a_baseline_without_a_case() {
        assert!(Verdict::of("a case", 1, None).fails());
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
