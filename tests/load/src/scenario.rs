//! The scenarios by name. Each turns its options into a plan; `traffic` and `idle` run it.

mod idle;
pub(crate) mod traffic;

use std::io::Result;
use std::time::Duration;

use clap::{Args, Subcommand, value_parser};

use crate::cli::Options;
use crate::proc::{Process, Reading, Usage};
use crate::report::Report;
use traffic::{Load, Plan};

/// How long outstanding answers and deliveries are waited for.
const GRACE: Duration = Duration::from_secs(10);

/// What to run.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Scenario {
    /// Closed loop: one sender in each room keeps a window of unanswered messages.
    Pipeline(Pipeline),
    /// Closed loop: many senders in one large room.
    HotRoom(HotRoom),
    /// Open loop: few messages at fixed times; how long until the last receiver has one.
    Latency(Latency),
    /// Quiet connections in rooms; what one costs in memory.
    Idle(Idle),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Pipeline {
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    rooms: u16,
    /// Members of a room, each a user of its own.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    members: u16,
    /// Unanswered messages of a sender.
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u16).range(1..))]
    window: u16,
    /// Length of a text.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(28..=2000))]
    bytes: u16,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct HotRoom {
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u16).range(1..))]
    members: u16,
    /// How many of the members send.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    senders: u16,
    /// Unanswered messages of a sender.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(1..))]
    window: u16,
    /// Length of a text.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(28..=2000))]
    bytes: u16,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Latency {
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    rooms: u16,
    /// Members of a room, each a user of its own.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    members: u16,
    /// Messages per second, over all rooms.
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u32).range(1..))]
    rate: u32,
    /// Length of a text.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(28..=2000))]
    bytes: u16,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Idle {
    #[arg(long, default_value_t = 5000, value_parser = value_parser!(u16).range(1..))]
    connections: u16,
    /// Users that share the connections.
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u16).range(10..))]
    users: u16,
    /// Connections in a room.
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u16).range(1..))]
    room: u16,
}

/// Runs the scenario that the command line names.
pub(crate) async fn run(options: &Options) -> Result<Report> {
    let plan = match &options.scenario {
        Scenario::Idle(idle) => return idle::run(idle, options).await,
        Scenario::Pipeline(wanted) => wanted.plan(),
        Scenario::HotRoom(wanted) => wanted.plan(),
        Scenario::Latency(wanted) => wanted.plan(),
    };
    traffic::run(&plan, options, GRACE).await
}

impl Pipeline {
    pub(crate) fn plan(&self) -> Plan {
        Plan {
            name: "pipeline",
            rooms: self.rooms,
            members: self.members,
            senders: 1,
            bytes: self.bytes,
            load: Load::Window(self.window),
        }
    }
}

impl HotRoom {
    fn plan(&self) -> Plan {
        Plan {
            name: "hot-room",
            rooms: 1,
            members: self.members,
            senders: self.senders.min(self.members),
            bytes: self.bytes,
            load: Load::Window(self.window),
        }
    }
}

impl Latency {
    fn plan(&self) -> Plan {
        Plan {
            name: "latency",
            rooms: self.rooms,
            members: self.members,
            senders: 1,
            bytes: self.bytes,
            load: Load::Rate(self.rate),
        }
    }
}

/// The processes under measurement, as they were when it began.
struct Meter {
    processes: Vec<(Process, Reading)>,
    own: (Process, Reading),
}

impl Meter {
    fn start(processes: &[Process]) -> Result<Self> {
        let read = |process: &Process| Ok((process.clone(), process.read()?));
        Ok(Self {
            processes: processes.iter().map(read).collect::<Result<_>>()?,
            own: read(&Process::own())?,
        })
    }

    /// What the processes, and the generator itself, have used since. A process that
    /// died meanwhile is left out.
    fn stop(self) -> Result<(Vec<Usage>, Usage)> {
        let used = |(process, before): (Process, Reading)| {
            process.read().map(|after| process.usage(before, after))
        };
        let others = self
            .processes
            .into_iter()
            .filter_map(|process| used(process).ok());
        Ok((others.collect(), used(self.own)?))
    }
}
