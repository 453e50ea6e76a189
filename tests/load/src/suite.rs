//! All scenarios on one system, against the goals.

use std::io::{Result, Write as _};
use std::time::Duration;

use clap::{Args, Parser};
use serde::Serialize;

use crate::goals::{GOALS, Judged};
use crate::report::{Report, plain};
use crate::scenario::{Bench, Scenario};
use crate::system::Shape;
use crate::table::Table;

/// Runs every scenario with its standard parameters.
#[derive(Debug, Clone, Args)]
pub(crate) struct All {
    /// Only these runs.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// With small numbers: shows that everything works, and nothing of how fast.
    #[arg(long)]
    brief: bool,
    /// The long run too.
    #[arg(long)]
    soak: bool,
}

/// A run of the suite: its name, its command line, and that of its brief form.
struct Planned(&'static str, &'static str, &'static str);

#[rustfmt::skip]
const RUNS: &[Planned] = &[
    Planned("bare", "bare", "bare --connections 10"),
    Planned("pipeline-256", "pipeline --window 256", "pipeline --window 32 --rooms 2 --members 3"),
    Planned("pipeline-8", "pipeline --window 8", "pipeline --rate 200 --rooms 2 --members 3"),
    Planned("hot-room", "hot-room", "hot-room --members 6 --senders 2 --window 8"),
    Planned("latency", "latency", "latency --rooms 2 --members 3"),
    Planned("idle", "idle --connections 1000,18000", "idle --connections 50,200 --users 10"),
    Planned("fan-out", "fan-out", "fan-out --members 5,50 --users 5 --deliveries 2000"),
    Planned("rooms-sweep", "rooms-sweep", "rooms-sweep --rooms 4,100 --rate 200 --window 16"),
    Planned("requests", "requests", "requests --connections 4 --rooms 2"),
    Planned("logins", "logins --seconds 12", "logins --connections 2 --rounds 1"),
    Planned("reconnect-storm", "reconnect-storm --seconds 20",
        "reconnect-storm --connections 40 --users 11 --rate 50 --seconds 3"),
    Planned("skipped", "skipped --seconds 20", "skipped --rooms 50 --rate 200 --quiet 1"),
    Planned("cold-start", "cold-start", "cold-start --starts 2"),
    Planned("history", "history", "history --events 300,3000 --table 10000 --pages 20"),
    Planned("soak", "soak", "soak --minutes 0.05 --warm-up 1 --every 1 --rate 100 --rooms 2 --members 3"),
];
/// The run that has to be asked for.
const LONG: &str = "soak";

/// What came of all.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    shape: Shape,
    brief: bool,
    runs: Vec<Done>,
    goals: Vec<Judged>,
}

#[derive(Debug, Serialize)]
struct Done {
    run: &'static str,
    /// Why it could not be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Report>,
}

/// A scenario with its time, as a command line says it.
#[derive(Debug, Parser)]
#[command(name = "load", no_binary_name = true)]
pub(crate) struct Line {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
    #[arg(long, global = true)]
    pub(crate) seconds: Option<u64>,
}

impl Line {
    /// Reads a command line.
    pub(crate) fn read(line: &str) -> Result<Self> {
        Self::try_parse_from(line.split_whitespace()).map_err(std::io::Error::other)
    }

    /// How long it takes, if it says nothing else.
    pub(crate) fn length(&self, usual: Duration) -> Duration {
        self.seconds.map_or(usual, Duration::from_secs)
    }
}

impl All {
    /// Runs what is wanted, and shows what was found on the way.
    pub(crate) async fn run(&self, bench: &mut Bench) -> Result<Outcome> {
        let shape = bench.system.shape();
        let usual = if self.brief {
            Duration::from_secs(1)
        } else {
            bench.length
        };
        let mut outcome = Outcome {
            shape,
            brief: self.brief,
            runs: Vec::new(),
            goals: Vec::new(),
        };
        for Planned(name, full, brief) in RUNS {
            let line = Line::read(if self.brief { brief } else { full })?;
            if !self.wants(name) || !line.scenario.fits(shape) {
                continue;
            }
            bench.length = line.length(usual);
            let done = match renew_and_run(&line.scenario, bench).await {
                Ok(report) => {
                    writeln!(std::io::stdout().lock(), "{name}: {report}")?;
                    Done {
                        run: name,
                        error: None,
                        report: Some(report),
                    }
                }
                Err(error) => {
                    writeln!(std::io::stderr(), "{name}: {error}")?;
                    Done {
                        run: name,
                        error: Some(error.to_string()),
                        report: None,
                    }
                }
            };
            outcome.judge(&done);
            outcome.runs.push(done);
        }
        Ok(outcome)
    }

    fn wants(&self, name: &str) -> bool {
        if self.only.is_empty() {
            name != LONG || self.soak || self.brief
        } else {
            let scenario = |only: &String| name == only || name.starts_with(&format!("{only}-"));
            self.only.iter().any(scenario)
        }
    }
}

/// A single process starts anew for each scenario; the distributed system is left as it
/// is, for bringing it up takes longer than most scenarios.
async fn renew_and_run(scenario: &Scenario, bench: &mut Bench) -> Result<Report> {
    if bench.system.shape() == Shape::Embedded {
        let only = bench
            .system
            .gateways()
            .first()
            .map(|only| only.name.clone());
        bench.system.renew(&only.unwrap_or_default()).await?;
    }
    scenario.run(bench).await
}

impl Outcome {
    fn judge(&mut self, done: &Done) {
        if let (Some(report), false) = (&done.report, self.brief) {
            let goals = GOALS.iter().filter(|goal| goal.run == done.run);
            for goal in goals {
                let judged = goal.judge(self.shape, report.figures());
                self.goals
                    .extend(judged.map(|judged| judged.of_run(report.sound())));
            }
        }
    }

    /// Whether all runs were made and nothing was lost, doubled or disordered in any.
    pub(crate) fn sound(&self) -> bool {
        let sound = |done: &Done| done.report.as_ref().is_some_and(Report::sound);
        !self.runs.is_empty() && self.runs.iter().all(sound)
    }

    /// Whether all goals were met.
    pub(crate) fn met(&self) -> bool {
        self.goals.iter().all(|goal| goal.met)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = Table::default();
        if !self.goals.is_empty() {
            table.row(["", "what", "figure", "goal", "met"]);
        }
        for Judged {
            what,
            figure,
            goal,
            met,
        } in &self.goals
        {
            table.row([
                "",
                what,
                &plain(*figure),
                goal,
                if *met { "yes" } else { "NO" },
            ]);
        }
        write!(f, "{table}")?;
        for done in &self.runs {
            if let Some(error) = &done.error {
                writeln!(f, "  {} could not be run: {error}", done.run)?;
            } else if !done.report.as_ref().is_some_and(Report::sound) {
                writeln!(f, "  {} is NOT SOUND", done.run)?;
            }
        }
        writeln!(
            f,
            "{}",
            if self.sound() {
                "all sound"
            } else {
                "NOT SOUND"
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_of_the_suite_can_be_read() {
        for Planned(name, full, brief) in RUNS {
            for line in [full, brief] {
                assert!(Line::read(line).is_ok(), "{name}: {line}");
            }
        }
    }

    #[test]
    fn every_goal_is_one_of_a_run() {
        for goal in GOALS {
            let known = RUNS.iter().any(|Planned(name, ..)| *name == goal.run);
            assert!(known, "{}", goal.run);
        }
    }

    #[test]
    fn runs_are_chosen_by_their_own_or_their_scenarios_name() {
        let all = |only: &[&str]| All {
            only: only.iter().map(ToString::to_string).collect(),
            brief: false,
            soak: false,
        };
        assert!(all(&["pipeline"]).wants("pipeline-8"));
        assert!(!all(&["pipeline-256"]).wants("pipeline-8"));
        assert!(all(&["soak"]).wants("soak") && !all(&[]).wants("soak"));
    }
}
