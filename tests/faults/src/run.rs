//! Cycle after cycle under load; after each block of them a checkpoint.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use client::wire::RoomId;
use tokio::time::Instant;

use crate::check::{Kind, Violation};
use crate::ledger::seconds;
use crate::load::{Block, Shared, Users};
use crate::options::Options;
use crate::plan::{Cycle, Plan};
use crate::report::{Happened, Report};
use crate::rig::{self, Needs, Rig};

/// How long the system may take to go on by itself after a fault.
const RECOVERY: Duration = Duration::from_mins(1);
/// Violations of a checkpoint that are told at once, most; the evidence has all of them.
const TOLD: usize = 10;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system could not be started or broken as planned.
    #[error(transparent)]
    Rig(#[from] rig::Error),
    /// The load could not be made.
    #[error("the load: {0}")]
    Load(#[from] client::Error),
}

/// Runs it. `say` gets a line for people now and then.
///
/// # Errors
/// When the run could not be made; a broken promise is no error.
pub async fn run(options: &Options, say: impl Fn(&str)) -> Result<Report, Error> {
    say("starting the system");
    let mut rig = Rig::start(options.system, &options.settings).await?;
    let gateways = rig.gateways();
    let users = Users::register(&gateways).await?;
    let mut run = Run {
        options,
        shared: Shared::new(gateways.len()),
        rig: &rig,
        users,
        report: Report::new(options),
        say: &say,
    };
    let ended = run.cycles().await;
    if let Err(Error::Load(error)) = &ended
        && error.refusal().is_some()
    {
        // Whole again, a system does not refuse what everyone may ask of it.
        run.not_recovered(&format!("the load cannot be made: {error:?}"));
    }
    let mut report = run.finish();
    if !report.sound() || ended.is_err() {
        report.state = Some(PathBuf::from(rig.keep_state()));
    }
    if let Err(error) = ended {
        if report.sound() {
            say(&format!("state and logs: {:?}", report.state));
            return Err(error);
        }
        // What was found before counts more.
        say(&format!("ended early: {error}"));
    }
    Ok(report)
}

struct Run<'a, S> {
    options: &'a Options,
    shared: Arc<Shared>,
    rig: &'a Rig,
    users: Users,
    report: Report,
    say: &'a S,
}

impl<S: Fn(&str)> Run<'_, S> {
    async fn cycles(&mut self) -> Result<(), Error> {
        let mut plan = Plan::new(self.options.seed, self.options.system);
        let mut done = 0;
        while done < self.options.cycles {
            let block = self.options.block.min(self.options.cycles - done);
            let goes_on = self
                .block(done / self.options.block, plan.by_ref(), block)
                .await?;
            done += block;
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    /// Whether the run may go on.
    async fn block(&mut self, number: u64, plan: &mut Plan, cycles: u64) -> Result<bool, Error> {
        let mut load = Block::start(&self.shared, &self.users, self.options.load, number).await?;
        let mut goes_on = self.goes_on(&mut load).await;
        for cycle in plan.take(usize::try_from(cycles).unwrap_or(usize::MAX)) {
            if !goes_on {
                break;
            }
            goes_on = self.cycle(cycle, &mut load).await?;
        }
        let began = self.shared.now();
        // What a checkpoint asks is no fault's business.
        goes_on &= self.is_ready(Needs::Whole).await?;
        let checked = load.check().await?;
        for violation in checked.violations.iter().take(TOLD) {
            (self.say)(&format!("{violation:?}"));
        }
        self.report.add(checked);
        (self.say)(&self.report.line(self.shared.now(), began));
        Ok(goes_on)
    }

    async fn cycle(&mut self, cycle: Cycle, load: &mut Block) -> Result<bool, Error> {
        let (began, had) = (self.shared.now(), load.acknowledged());
        let performed = match self.perform(&cycle).await {
            Err(error @ rig::Error::Program { .. }) => {
                self.not_recovered(&error.to_string());
                false
            }
            performed => performed.map(|()| true)?,
        };
        let ended = self.shared.now();
        let goes_on = performed && self.is_ready(Needs::Ready).await? && self.goes_on(load).await;
        load.calm();
        let well = self.shared.now();
        if self.options.verbose {
            let faults: Vec<_> = cycle.faults.iter().map(ToString::to_string).collect();
            (self.say)(&format!(
                "cycle {}: {}; faults {:.1} s, well after {:.1} s, {} acknowledged",
                cycle.number,
                faults.join(", "),
                seconds(ended - began),
                seconds(well - ended),
                load.acknowledged() - had,
            ));
        }
        self.report.happened.push(Happened {
            cycle,
            began,
            ended,
            well,
        });
        Ok(goes_on)
    }

    /// All faults of a cycle side by side.
    async fn perform(&self, cycle: &Cycle) -> Result<(), rig::Error> {
        let perform = |fault| {
            self.rig
                .perform(fault, |process| self.shared.note_kill(process))
        };
        match &cycle.faults[..] {
            [first, second] => tokio::try_join!(perform(first), perform(second)).map(drop),
            faults => {
                for fault in faults {
                    perform(fault).await?;
                }
                Ok(())
            }
        }
    }

    async fn is_ready(&mut self, needs: Needs) -> Result<bool, Error> {
        match self.rig.ready(needs).await {
            Err(rig::Error::NotReady { process, answer }) => {
                let words = format!("{process} is not ready in time: {answer}");
                self.not_recovered(&words);
                Ok(false)
            }
            ready => Ok(ready.map(|()| true)?),
        }
    }

    async fn goes_on(&mut self, load: &mut Block) -> bool {
        match load.all_go_on(Instant::now() + RECOVERY).await {
            Ok(()) => true,
            Err(writer) => {
                self.not_recovered(&format!("{writer} has no answer to anything in time"));
                false
            }
        }
    }

    fn not_recovered(&mut self, words: &str) {
        let at = seconds(self.shared.now());
        let words = format!("{words}, at {at:.1} s");
        self.report.violated(Violation {
            kind: Kind::NotRecovered,
            room: None::<RoomId>,
            seqs: Vec::new(),
            nonces: Vec::new(),
            words,
        });
    }

    fn finish(mut self) -> Report {
        self.report.lasted = self.shared.now();
        self.report
    }
}
