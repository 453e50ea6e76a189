//! Which fault comes when: the seed and the shape of the system determine all of it,
//! whatever the system does meanwhile.

use std::time::Duration;

use serde::Serialize;

use crate::random::Random;

/// How long a frozen process stands still, at least and at most.
const FREEZE: (u64, u64) = (1_000, 10_000);
/// How long a link stays cut.
const CUT: (u64, u64) = (500, 8_000);
/// How long a killed or ended process stays away before it is started again.
const AWAY: (u64, u64) = (0, 1_000);
/// How long a cycle's load runs before its fault.
const LEAD: (u64, u64) = (0, 700);
/// Cycles in a hundred that have two faults at once.
const TWO_AT_ONCE: u64 = 20;

/// One process of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Process {
    /// A gateway, counted from 1.
    Gateway(usize),
    /// A replica of message-service, counted from 1.
    Message(usize),
    /// A process that has no replicas, by its name in `deploy/services`.
    Single(&'static str),
    /// All of Parley in one process.
    Standalone,
}

impl Process {
    /// session-service
    pub const SESSION: Self = Self::Single("session");
    /// rooms-service
    pub const ROOMS: Self = Self::Single("rooms");
    /// The database.
    pub const POSTGRES: Self = Self::Single("postgres");
    /// The bus.
    pub const KAFKA: Self = Self::Single("kafka");

    /// Every process without replicas, in the order of `deploy/services`.
    pub(crate) fn singles() -> impl Iterator<Item = Self> {
        let entries = registry::entries().iter();
        let singles = entries.filter(|entry| entry.most == 1);
        singles.map(|entry| Self::Single(entry.name))
    }
}

impl std::fmt::Display for Process {
    /// The name that `deploy/dev/up` knows it by.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gateway(number) => write!(f, "gateway-{number}"),
            Self::Message(number) => write!(f, "message-{number}"),
            Self::Single(name) => f.write_str(name),
            Self::Standalone => f.write_str("standalone"),
        }
    }
}

/// A way between two processes, from the one that connects. `None`: our own clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link {
    /// Who connects.
    pub from: Option<Process>,
    /// To whom.
    pub to: Process,
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.from {
            Some(from) => write!(f, "{from}->{}", self.to),
            None => write!(f, "clients->{}", self.to),
        }
    }
}

/// What happens to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// SIGKILL, and started again.
    Kill(Process),
    /// SIGSTOP, then SIGCONT.
    Freeze(Process),
    /// Told to end, and started again.
    Restart(Process),
    /// Nothing goes through, and nobody is told.
    Silence(Link),
    /// Connections are reset, new ones too.
    Reset(Link),
}

impl Act {
    /// The word for reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::Freeze(_) => "freeze",
            Self::Restart(_) => "restart",
            Self::Silence(_) => "silence",
            Self::Reset(_) => "reset",
        }
    }

    /// What it is done to.
    pub fn target(self) -> String {
        match self {
            Self::Kill(process) | Self::Freeze(process) | Self::Restart(process) => {
                process.to_string()
            }
            Self::Silence(link) | Self::Reset(link) => link.to_string(),
        }
    }

    fn touches(self, process: Process) -> bool {
        match self {
            Self::Kill(own) | Self::Freeze(own) | Self::Restart(own) => own == process,
            Self::Silence(link) | Self::Reset(link) => {
                link.to == process || link.from == Some(process)
            }
        }
    }

    fn apart_from(self, other: Self) -> bool {
        match self {
            Self::Kill(own) | Self::Freeze(own) | Self::Restart(own) => !other.touches(own),
            Self::Silence(link) | Self::Reset(link) => {
                !other.touches(link.to) && !link.from.is_some_and(|from| other.touches(from))
            }
        }
    }
}

/// One fault of a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub act: Act,
    /// How far into the cycle.
    pub after: Duration,
    /// How long; for processes that are started again, how long before that.
    pub lasts: Duration,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (word, target) = (self.act.word(), self.act.target());
        let (after, lasts) = (self.after.as_secs_f64(), self.lasts.as_secs_f64());
        write!(f, "{word} {target} at {after:.1} s for {lasts:.1} s")
    }
}

impl Serialize for Fault {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One cycle: its number from 1, and one fault or two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cycle {
    /// From 1.
    pub number: u64,
    /// What happens in it.
    pub faults: Vec<Fault>,
}

/// What there is to break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Services, databases and brokers.
    Distributed {
        /// Gateway processes.
        gateways: usize,
        /// message-service replicas.
        messages: usize,
    },
    /// One process.
    Embedded,
}

/// The cycles that a seed determines, without an end.
#[derive(Debug, Clone)]
pub struct Plan {
    random: Random,
    acts: Vec<Act>,
    number: u64,
    shape: Shape,
}

impl Plan {
    /// The plan of `seed` for a system of this shape.
    pub fn new(seed: u64, shape: Shape) -> Self {
        Self {
            random: Random::of_part(seed, 0),
            acts: acts(shape),
            number: 0,
            shape,
        }
    }

    fn fault(&mut self) -> Fault {
        let act = *self.random.pick(&self.acts);
        let (least, most) = match act {
            Act::Kill(_) | Act::Restart(_) => AWAY,
            Act::Freeze(_) => FREEZE,
            Act::Silence(_) | Act::Reset(_) => CUT,
        };
        // Mostly short, so that there are many; all lengths occur.
        let lasts = (0..3).map(|_| self.random.between(least, most)).min();
        let lead = match self.shape {
            Shape::Embedded => (LEAD.0, LEAD.1 * 3),
            Shape::Distributed { .. } => LEAD,
        };
        Fault {
            act,
            after: Duration::from_millis(self.random.between(lead.0, lead.1)),
            lasts: Duration::from_millis(lasts.unwrap_or(least)),
        }
    }
}

impl Iterator for Plan {
    type Item = Cycle;

    fn next(&mut self) -> Option<Cycle> {
        self.number += 1;
        let mut faults = vec![self.fault()];
        if self.shape != Shape::Embedded && self.random.chance(TWO_AT_ONCE) {
            let second = self.fault();
            if second.act.apart_from(faults[0].act) {
                faults.push(second);
            }
        }
        Some(Cycle {
            number: self.number,
            faults,
        })
    }
}

/// The links that a proxy stands in.
pub fn links(gateways: usize, messages: usize) -> Vec<Link> {
    let link = |from, to| Link { from, to };
    let mut links = Vec::new();
    for gateway in (1..=gateways).map(Process::Gateway) {
        links.push(link(None, gateway));
        links.push(link(Some(gateway), Process::SESSION));
        links.push(link(Some(gateway), Process::KAFKA));
        for message in (1..=messages).map(Process::Message) {
            links.push(link(Some(gateway), message));
        }
    }
    for message in (1..=messages).map(Process::Message) {
        links.push(link(Some(message), Process::POSTGRES));
        links.push(link(Some(message), Process::KAFKA));
        links.push(link(Some(Process::ROOMS), message));
    }
    links
}

/// Everything that can happen. What stands here twice happens twice as often: the
/// processes that messages go through.
fn acts(shape: Shape) -> Vec<Act> {
    let Shape::Distributed { gateways, messages } = shape else {
        return vec![Act::Kill(Process::Standalone)];
    };
    let mut busy: Vec<_> = (1..=gateways).map(Process::Gateway).collect();
    busy.extend((1..=messages).map(Process::Message));
    let mut processes = busy.repeat(2);
    processes.extend(Process::singles());
    let mut acts = Vec::new();
    for process in processes {
        acts.extend([
            Act::Kill(process),
            Act::Freeze(process),
            Act::Restart(process),
        ]);
    }
    for link in links(gateways, messages) {
        acts.extend([Act::Silence(link), Act::Reset(link)]);
    }
    acts
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SHAPE: Shape = Shape::Distributed {
        gateways: 2,
        messages: 2,
    };

    #[test]
    fn a_seed_gives_the_same_plan_again_and_another_one_another() {
        let plan = |seed| Plan::new(seed, SHAPE).take(200).collect::<Vec<_>>();
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn everything_that_can_happen_happens_in_a_thousand_cycles() {
        let happened: HashSet<_> = Plan::new(7, SHAPE)
            .take(1_000)
            .flat_map(|cycle| cycle.faults)
            .map(|fault| (fault.act.word(), fault.act.target()))
            .collect();
        for act in acts(SHAPE) {
            assert!(happened.contains(&(act.word(), act.target())), "{act:?}");
        }
    }

    #[test]
    fn two_at_once_have_no_process_in_common_and_last_as_long_as_they_may() {
        let mut pairs = 0;
        for cycle in Plan::new(1, SHAPE).take(2_000) {
            if let [first, second] = &cycle.faults[..] {
                assert!(first.act.apart_from(second.act), "{cycle:?}");
                pairs += 1;
            }
            for fault in cycle.faults {
                assert!(fault.lasts <= Duration::from_secs(10), "{fault}");
                if matches!(fault.act, Act::Freeze(_)) {
                    assert!(fault.lasts >= Duration::from_secs(1), "{fault}");
                }
            }
        }
        assert!(pairs > 200, "{pairs}");
    }
}
