//! What a build may lose against the baseline: bounds on the median ratio of a figure.
//!
//! A single round on a shared machine lies anywhere between 0.8 and 1.3, so a bar judges
//! the median of all rounds.

use Bar::{AtLeast, AtMost};

/// The smallest median that counts as "no slower".
const NO_SLOWER: f64 = 0.95;
/// The largest median that counts as "no dearer" for CPU a message.
const NO_DEARER: f64 = 1.03;

/// A bound on a median ratio, B to A.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    /// For rates.
    AtLeast(f64),
    /// For latencies, memory and CPU.
    AtMost(f64),
}

/// Scenario, figure and bar. A figure also stands for its variants "FIGURE at N".
const BARS: &[(&str, &str, Bar)] = &[
    ("pipeline", "acked/s", AtLeast(NO_SLOWER)),
    ("pipeline", "path us/message", AtMost(NO_DEARER)),
    ("hot-room", "acked/s", AtLeast(NO_SLOWER)),
    ("latency", "last receiver p50 ms", AtMost(1.0 / NO_SLOWER)),
    ("fan-out", "gateway us/delivery", AtMost(1.0 / NO_SLOWER)),
    ("rooms-sweep", "acked/s", AtLeast(NO_SLOWER)),
    ("idle", "KiB/connection", AtMost(1.0 / NO_SLOWER)),
    ("requests", "/profile requests/s", AtLeast(NO_SLOWER)),
    ("requests", "/rooms requests/s", AtLeast(NO_SLOWER)),
    ("logins", "logins to bare hashes", AtLeast(NO_SLOWER)),
];

impl Bar {
    /// The bar for `figure` of the run `line` ("pipeline --window 8"), if it has one.
    pub(crate) fn find(line: &str, figure: &str) -> Option<Self> {
        let scenario = line.split_whitespace().next()?;
        let (figure, _) = figure.split_once(" at ").unwrap_or((figure, ""));
        let found = BARS
            .iter()
            .find(|(of, name, _)| *of == scenario && *name == figure);
        found.map(|(_, _, bar)| *bar)
    }

    /// Whether a median ratio reaches it.
    pub(crate) fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(least) => ratio >= least,
            Self::AtMost(most) => ratio <= most,
        }
    }
}

impl std::fmt::Display for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least:.3}"),
            Self::AtMost(most) => write!(f, "<= {most:.3}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_belongs_to_a_scenario_and_to_every_variant_of_its_figure() {
        let window = Bar::find("pipeline --window 8", "acked/s").unwrap();
        assert!(window.holds(0.95) && !window.holds(0.949));
        let sweep = Bar::find("rooms-sweep", "acked/s at 10000").unwrap();
        assert_eq!(sweep, window);
        let path = Bar::find("pipeline", "path us/message").unwrap();
        assert!(path.holds(1.03) && !path.holds(1.031));
        assert_eq!(Bar::find("pipeline", "ack p99 ms"), None);
        assert_eq!(Bar::find("latency", "acked/s"), None);
    }
}
