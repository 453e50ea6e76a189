//! What is to be reached: numbers for a machine with 2 cores, on which the load generator
//! and the databases run beside the system.

use serde::Serialize;

use crate::report::{Figures, plain};
use crate::system::Shape;

/// A number that a run is to reach.
#[derive(Debug)]
pub(crate) struct Goal {
    /// The run, as the suite names it.
    pub(crate) run: &'static str,
    /// Which of its figures.
    figure: &'static str,
    distributed: Bound,
    embedded: Bound,
    /// Another figure of the same run that must be reached too, or this one does not count.
    provided: Option<(&'static str, Bound)>,
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    None,
    AtLeast(f64),
    AtMost(f64),
}

/// What became of a goal.
#[derive(Debug, Serialize)]
pub(crate) struct Judged {
    pub(crate) what: String,
    pub(crate) figure: f64,
    pub(crate) goal: String,
    pub(crate) met: bool,
}

/// Throughput counts only where messages still arrive in time.
const IN_TIME: Option<(&str, Bound)> = Some(("receiver p99 ms", AtMost(250.0)));

use Bound::{AtLeast, AtMost};

/// All goals, in the order of the suite.
#[rustfmt::skip]
pub(crate) const GOALS: &[Goal] = &[
    goal("pipeline-256", "acked/s", AtLeast(20_000.0), AtLeast(30_000.0)).provided(IN_TIME),
    goal("pipeline-8", "acked/s", AtLeast(6_000.0), AtLeast(12_000.0)).provided(IN_TIME),
    both("hot-room", "acked/s", AtLeast(4_000.0)).provided(IN_TIME),
    both("hot-room", "deliveries per gateway CPU second", AtLeast(500_000.0)),
    goal("latency", "last receiver p50 ms", AtMost(2.5), AtMost(1.0)),
    goal("latency", "last receiver p99 ms", AtMost(6.0), AtMost(3.0)),
    both("idle", "KiB/connection at 1000", AtMost(5.0)),
    both("idle", "KiB/connection at 18000", AtMost(5.0)),
    both("idle", "KiB/connection, last to first", AtMost(1.25)),
    both("fan-out", "us/delivery, dearest to first", AtMost(1.5)),
    both("fan-out", "last receiver p99 ms at 5000", AtMost(60.0)),
    both("rooms-sweep", "us/message, last to first", AtMost(2.5)),
    both("rooms-sweep", "acked/s, last to first", AtLeast(0.4)),
    both("requests", "/profile requests/s", AtLeast(5_000.0)),
    both("requests", "/profile gateway us/request", AtMost(60.0)),
    both("requests", "/rooms requests/s", AtLeast(5_000.0)),
    both("requests", "/rooms gateway us/request", AtMost(60.0)),
    both("logins", "logins/s per core", AtLeast(70.0)),
    both("logins", "logins to bare hashes", AtLeast(0.9)),
    both("reconnect-storm", "all caught up s", AtMost(5.0)),
    both("reconnect-storm", "live receiver p99 ms", AtMost(250.0)),
    goal("skipped", "us/skipped record", AtMost(1.5), Bound::None),
    goal("cold-start", "ready p50 ms", Bound::None, AtMost(100.0)),
    both("history", "p50, slowest to smallest room", AtMost(2.0)),
    both("soak", "growth of memory, % in the run", AtMost(5.0)),
];

/// A goal that is the same for all.
const fn both(run: &'static str, figure: &'static str, bound: Bound) -> Goal {
    goal(run, figure, bound, bound)
}

const fn goal(
    run: &'static str,
    figure: &'static str,
    distributed: Bound,
    embedded: Bound,
) -> Goal {
    Goal {
        run,
        figure,
        distributed,
        embedded,
        provided: None,
    }
}

impl Goal {
    const fn provided(self, provided: Option<(&'static str, Bound)>) -> Self {
        Self { provided, ..self }
    }

    /// Judges the figures of its run; `None` where nothing is asked of a system of `shape`.
    pub(crate) fn judge(&self, shape: Shape, figures: &Figures) -> Option<Judged> {
        let bound = match shape {
            Shape::Distributed => self.distributed,
            Shape::Embedded => self.embedded,
        };
        let mut goal = bound.written()?;
        let figure = figures.get(self.figure).unwrap_or(f64::NAN);
        let mut met = bound.holds(figure);
        if let Some((name, provided)) = self.provided
            && !provided.holds(figures.get(name).unwrap_or(f64::NAN))
        {
            met = false;
            let written = provided.written().unwrap_or_default();
            goal = format!("{goal}, while {name} {written}");
        }
        Some(Judged {
            what: format!("{}: {}", self.run, self.figure),
            figure,
            goal,
            met,
        })
    }
}

impl Judged {
    /// The same, knowing whether its run was sound: speed that loses messages is none.
    pub(crate) fn of_run(self, sound: bool) -> Self {
        if sound {
            return self;
        }
        Self {
            goal: format!("{}, sound", self.goal),
            met: false,
            ..self
        }
    }
}

impl Bound {
    /// Whether it is reached. A figure that is not there reaches nothing.
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::None => true,
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }

    fn written(self) -> Option<String> {
        match self {
            Self::None => None,
            Self::AtLeast(least) => Some(format!(">= {}", plain(least))),
            Self::AtMost(most) => Some(format!("<= {}", plain(most))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    fn judged(goal: &Goal, shape: Shape, figures: &[(&str, f64)]) -> Option<bool> {
        let mut report = Report::new("x", Vec::new());
        for (name, value) in figures {
            report.figure(*name, *value);
        }
        goal.judge(shape, report.figures()).map(|judged| judged.met)
    }

    #[test]
    fn a_goal_depends_on_the_shape() {
        let goal = goal("x", "rate", AtLeast(20.0), AtMost(30.0));
        let judge = |shape, value| judged(&goal, shape, &[("rate", value)]);
        assert_eq!(judge(Shape::Distributed, 20.0), Some(true));
        assert_eq!(judge(Shape::Distributed, 19.9), Some(false));
        assert_eq!(judge(Shape::Embedded, 30.1), Some(false));
        let none = super::goal("x", "rate", Bound::None, AtMost(1.0));
        assert_eq!(judged(&none, Shape::Distributed, &[("rate", 5.0)]), None);
    }

    #[test]
    fn throughput_counts_only_while_messages_arrive_in_time() {
        let goal = both("x", "rate", AtLeast(20.0)).provided(IN_TIME);
        let judge = |p99| {
            let figures = [("rate", 50.0), ("receiver p99 ms", p99)];
            judged(&goal, Shape::Embedded, &figures)
        };
        assert_eq!((judge(250.0), judge(251.0)), (Some(true), Some(false)));
    }

    #[test]
    fn a_run_that_is_not_sound_reaches_nothing() {
        let mut report = Report::new("x", Vec::new());
        report.figure("rate", 25.0);
        let goal = both("x", "rate", AtLeast(20.0));
        let judge = || goal.judge(Shape::Embedded, report.figures()).unwrap();
        assert!(judge().of_run(true).met && !judge().of_run(false).met);
    }

    #[test]
    fn a_figure_that_is_absent_reaches_nothing() {
        let goal = both("x", "rate", AtMost(20.0));
        assert_eq!(judged(&goal, Shape::Embedded, &[]), Some(false));
    }
}
