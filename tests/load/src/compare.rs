//! Two builds on the same scenarios in turn, so that what else goes on on the machine
//! strikes both alike: A B A B …, each time on a system of its own.

use std::collections::BTreeMap;
use std::io::{Result, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use serde::Serialize;

use crate::bars::Bar;
use crate::interrupt::interrupted;
use crate::report::{Report, plain};
use crate::scenario::{Bench, GRACE};
use crate::suite::Line;
use crate::system::{System, Wanted};
use crate::table::Table;

/// Runs scenarios on two builds in turn.
#[derive(Debug, Clone, Args)]
pub(crate) struct Compare {
    /// A target directory, or a folder with the binaries.
    a: PathBuf,
    b: PathBuf,
    /// Scenarios, each with its options if it has any: "pipeline --window 256"
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u16).range(1..))]
    rounds: u16,
    /// Hold B to the bars: exit with 3 where it lost more against A than it may.
    #[arg(long)]
    hold: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    sound: bool,
    /// Whether bars are judged.
    hold: bool,
    comparisons: Vec<Comparison>,
}

/// One figure of one scenario.
#[derive(Debug, Serialize)]
struct Comparison {
    scenario: String,
    figure: String,
    a: f64,
    b: f64,
    /// Of each round, B to A.
    ratios: Vec<f64>,
    /// The bound on the median ratio, where the figure has one.
    #[serde(skip)]
    bar: Option<Bar>,
}

impl Compare {
    /// Runs all rounds; `wanted` says what kind of system.
    pub(crate) async fn run(&self, wanted: &Wanted, length: Duration) -> Result<Outcome> {
        let lines: Vec<Line> = self
            .scenarios
            .iter()
            .map(|scenario| Line::read(scenario))
            .collect::<Result<_>>()?;
        let mut outcome = Outcome {
            sound: true,
            hold: self.hold,
            comparisons: Vec::new(),
        };
        for (line, scenario) in lines.iter().zip(&self.scenarios) {
            let (mut a, mut b) = (Vec::new(), Vec::new());
            for round in 1..=self.rounds {
                for (name, build, reports) in [("A", &self.a, &mut a), ("B", &self.b, &mut b)] {
                    let wanted = wanted.of_build(build.clone());
                    let report = once(line, &wanted, line.length(length)).await?;
                    let mut err = std::io::stderr().lock();
                    writeln!(err, "{scenario}, round {round} of {name}:\n{report}")?;
                    outcome.sound &= report.sound();
                    reports.push(report);
                }
            }
            outcome.comparisons.extend(compare(scenario, &a, &b));
        }
        Ok(outcome)
    }
}

/// Runs a scenario on a system that is started for it.
async fn once(line: &Line, wanted: &Wanted, length: Duration) -> Result<Report> {
    let mut bench = Bench {
        system: System::start_apart(wanted).await?,
        length,
        grace: GRACE,
    };
    let report = tokio::select! {
        report = line.scenario.run(&mut bench) => report,
        error = interrupted() => Err(error),
    };
    bench.system.stop().await?;
    report
}

/// Sets the figures of each round against each other.
fn compare(scenario: &str, a: &[Report], b: &[Report]) -> Vec<Comparison> {
    let mut found: BTreeMap<&str, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    let mut order = Vec::new();
    for (a, b) in a.iter().zip(b) {
        for (name, value) in a.figures().iter() {
            let Some(other) = b.figures().get(name) else {
                continue;
            };
            let values = found.entry(name).or_insert_with(|| {
                order.push(name);
                Default::default()
            });
            values.0.push(value);
            values.1.push(other);
        }
    }
    let comparison = |name: &str| {
        let (a, b) = found.remove(name)?;
        let ratios: Vec<f64> = a.iter().zip(&b).map(|(a, b)| b / a).collect();
        let told = ratios.iter().all(|ratio| ratio.is_finite());
        told.then(|| Comparison {
            scenario: scenario.to_owned(),
            figure: name.to_owned(),
            a: median(&a),
            b: median(&b),
            ratios,
            bar: Bar::find(scenario, name),
        })
    };
    order.into_iter().filter_map(comparison).collect()
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.as_slice() {
        [] => f64::NAN,
        all if all.len() % 2 == 1 => all[middle],
        all => f64::midpoint(all[middle - 1], all[middle]),
    }
}

impl Outcome {
    /// Whether nothing was lost, doubled or disordered in any run.
    pub(crate) fn sound(&self) -> bool {
        self.sound
    }

    /// Whether every figure with a bar reached it. Always true where bars are not judged.
    pub(crate) fn held(&self) -> bool {
        !self.hold || self.comparisons.iter().all(Comparison::held)
    }
}

impl Comparison {
    fn held(&self) -> bool {
        self.bar.is_none_or(|bar| bar.holds(median(&self.ratios)))
    }

    /// The bar and whether it was reached, for the table.
    fn verdict(&self) -> String {
        match self.bar {
            None => String::new(),
            Some(bar) if self.held() => format!("{bar}  held"),
            Some(bar) => format!("{bar}  MISSED"),
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = Table::default();
        let bar = if self.hold { "bar" } else { "" };
        table.row(["", "figure", "A", "B", "B/A", "least", "most", bar]);
        let mut scenario = "";
        for comparison in &self.comparisons {
            if scenario != comparison.scenario {
                scenario = &comparison.scenario;
                table.row(["", scenario]);
            }
            let ratios = &comparison.ratios;
            let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
            let most = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let ratio = |value: f64| format!("{value:.3}");
            table.row([
                "",
                &format!("  {}", comparison.figure),
                &plain(comparison.a),
                &plain(comparison.b),
                &ratio(median(ratios)),
                &ratio(least),
                &ratio(most),
                &if self.hold {
                    comparison.verdict()
                } else {
                    String::new()
                },
            ]);
        }
        write!(f, "{table}")?;
        writeln!(f, "{}", if self.sound { "all sound" } else { "NOT SOUND" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(figures: &[(&str, f64)]) -> Report {
        let mut report = Report::new("x", Vec::new());
        for (name, value) in figures {
            report.figure(*name, *value);
        }
        report
    }

    #[test]
    fn figures_are_set_against_each_other_round_by_round() {
        let a = [
            report(&[("rate", 10.0), ("only a", 1.0)]),
            report(&[("rate", 20.0)]),
        ];
        let b = [report(&[("rate", 20.0)]), report(&[("rate", 30.0)])];
        let [found] = &compare("x", &a, &b)[..] else {
            panic!("one figure is known to both");
        };
        assert_eq!(found.figure, "rate");
        assert_eq!(found.ratios, [2.0, 1.5]);
        assert_eq!(found.bar, None);
        let close = |x: f64, y: f64| (x - y).abs() < 1e-9;
        assert!(close(found.a, 15.0) && close(found.b, 25.0));
        assert!(close(median(&[3.0, 1.0, 2.0]), 2.0));
    }

    #[test]
    fn a_figure_below_its_bar_fails_a_comparison_that_holds_to_bars() {
        let of = |rates: [f64; 3]| rates.map(|rate| report(&[("acked/s", rate)]));
        let outcome = |hold, rates| Outcome {
            sound: true,
            hold,
            comparisons: compare("pipeline --window 8", &of([10.0; 3]), &of(rates)),
        };
        // The median counts: one slow round does not fail it, two do.
        assert!(outcome(true, [5.0, 9.6, 12.0]).held());
        assert!(!outcome(true, [5.0, 9.4, 12.0]).held());
        assert!(outcome(false, [5.0, 9.4, 12.0]).held());
        assert!(outcome(true, [9.4; 3]).to_string().contains("MISSED"));
    }
}
