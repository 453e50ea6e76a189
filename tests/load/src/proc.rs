//! CPU time and memory of processes, from `/proc`.
//!
//! A process counts with its children, so that a database which forks one for each of
//! its clients is seen whole.

use std::io::{Error, ErrorKind, Result};
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

/// Linux reports CPU time in hundredths of a second on every platform we run on.
const TICK: Duration = Duration::from_millis(10);

/// A process to measure, written `NAME=PID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) pid: u32,
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reading {
    user: Duration,
    system: Duration,
    /// Of children that have ended.
    buried: Duration,
    private_kib: u64,
    /// Pages that other processes may have too.
    shared_kib: u64,
    peak_kib: u64,
}

/// What a process used during a run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Usage {
    pub(crate) name: String,
    pub(crate) user_seconds: f64,
    pub(crate) system_seconds: f64,
    pub(crate) resident_before_kib: u64,
    pub(crate) resident_kib: u64,
    pub(crate) peak_kib: u64,
}

/// Processes as they were when a measurement began.
pub(crate) struct Meter {
    processes: Vec<(Process, Reading)>,
    own: (Process, Reading),
}

impl Meter {
    /// Begins to measure `processes`, and the generator itself.
    pub(crate) fn start(processes: &[Process]) -> Result<Self> {
        let read = |process: &Process| Ok((process.clone(), process.read()?));
        let own = Process {
            name: "load".to_owned(),
            pid: std::process::id(),
        };
        let processes = processes.iter().map(read).collect::<Result<_>>()?;
        // Last here and first in `stop`: reading of many others takes a while itself.
        let reading = Reading::of(own.pid)?;
        Ok(Self {
            processes,
            own: (own, reading),
        })
    }

    /// What the processes, and the generator itself, have used since. A process that
    /// died meanwhile is left out.
    pub(crate) fn stop(self) -> Result<(Vec<Usage>, Usage)> {
        let (own, before) = self.own;
        // What was started for the run is no child to be counted here.
        let own = own.usage(before, Reading::of(own.pid)?);
        let others = self.processes.into_iter().filter_map(|(process, before)| {
            let after = process.read().ok()?;
            Some(process.usage(before, after))
        });
        Ok((others.collect(), own))
    }
}

/// Whether a process of that name serves connections.
fn is_gateway(name: &str) -> bool {
    name.starts_with("gateway") || name.starts_with("standalone")
}

impl Process {
    /// Whether it serves connections.
    pub(crate) fn is_gateway(&self) -> bool {
        is_gateway(&self.name)
    }

    /// Reads what the process and its children have used so far.
    pub(crate) fn read(&self) -> Result<Reading> {
        let named = |error: Error| {
            let what = format!("process {} ({}): {error}", self.name, self.pid);
            Error::new(error.kind(), what)
        };
        let mut all = Reading::of(self.pid).map_err(named)?;
        for child in children(self.pid) {
            // One may have ended just now; then it is among the buried the next time.
            if let Ok(child) = Reading::of(child) {
                all.add(child);
            }
        }
        Ok(all)
    }

    /// What the process used between `before` and `after`.
    fn usage(&self, before: Reading, after: Reading) -> Usage {
        let (user, system) = (after.user.as_secs_f64(), after.system.as_secs_f64());
        let buried = after.buried.as_secs_f64() - before.buried.as_secs_f64();
        Usage {
            name: self.name.clone(),
            // Children that ended took what they had used with them, so it may sink.
            user_seconds: (user - before.user.as_secs_f64() + buried).max(0.0),
            system_seconds: (system - before.system.as_secs_f64()).max(0.0),
            resident_before_kib: before.resident_kib(),
            resident_kib: after.resident_kib(),
            peak_kib: after.peak_kib.max(after.resident_kib()),
        }
    }
}

impl FromStr for Process {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, pid) = text.split_once('=').ok_or("expected NAME=PID")?;
        let pid = pid.parse().map_err(|error| format!("{pid}: {error}"))?;
        Ok(Self {
            name: name.to_owned(),
            pid,
        })
    }
}

impl Reading {
    fn of(pid: u32) -> Result<Self> {
        let file = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
        Self::parse(&file("stat")?, &file("status")?)
            .ok_or_else(|| Error::new(ErrorKind::InvalidData, "/proc looks unfamiliar"))
    }

    /// See proc(5): fields 14 to 17 of `stat`; `RssAnon`, `RssFile`, `RssShmem` and
    /// `VmHWM` of `status`.
    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The second field is the command in brackets and may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u32>().ok();
        let memory = |key: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Self {
            user: TICK * ticks()?,
            system: TICK * ticks()?,
            buried: TICK * ticks()? + TICK * ticks()?,
            private_kib: memory("RssAnon:")?,
            shared_kib: memory("RssFile:")? + memory("RssShmem:")?,
            peak_kib: memory("VmHWM:")?,
        })
    }

    /// Adds a child's. What it shares it shares with its parent and siblings: once is enough.
    fn add(&mut self, child: Self) {
        self.user += child.user;
        self.system += child.system;
        self.buried += child.buried;
        self.private_kib += child.private_kib;
        self.shared_kib = self.shared_kib.max(child.shared_kib);
        self.peak_kib = self.peak_kib.max(child.peak_kib);
    }

    /// Physical memory in use.
    pub(crate) fn resident_kib(self) -> u64 {
        self.private_kib + self.shared_kib
    }

    /// User and system time, of ended children too.
    pub(crate) fn cpu(self) -> Duration {
        self.user + self.system + self.buried
    }
}

/// The children of a process's main thread, who forks where anyone does.
fn children(pid: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let listed = listed.unwrap_or_default();
    let pids = listed.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.collect()
}

impl Usage {
    /// User and system time.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.user_seconds + self.system_seconds
    }

    /// Whether a message passes it on its way to the log and to its receivers.
    pub(crate) fn is_on_path(&self) -> bool {
        self.is_gateway() || self.name.starts_with("message") || self.name == "postgres"
    }

    /// Whether it serves connections.
    pub(crate) fn is_gateway(&self) -> bool {
        is_gateway(&self.name)
    }
}

/// The gateways among `processes`; all of them if none goes by that name.
pub(crate) fn gateways(processes: &[Usage]) -> impl Iterator<Item = &Usage> {
    let any = processes.iter().any(Usage::is_gateway);
    processes
        .iter()
        .filter(move |usage| usage.is_gateway() || !any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_and_status_are_understood() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 50 3 4 20 0 3 0 100";
        let status = "VmHWM:\t 2048 kB\nRssAnon:\t 1000 kB\nRssFile:\t 20 kB\nRssShmem:\t4 kB\n";
        let expected = Reading {
            user: Duration::from_millis(2500),
            system: Duration::from_millis(500),
            buried: Duration::from_millis(70),
            private_kib: 1000,
            shared_kib: 24,
            peak_kib: 2048,
        };
        let reading = Reading::parse(stat, status).unwrap();
        assert_eq!(reading, expected);
        assert_eq!(reading.resident_kib(), 1024);
        assert!(Meter::start(&[]).unwrap().stop().is_ok());
    }

    #[test]
    fn a_child_adds_its_time_and_its_private_memory() {
        let stat = "1 (x) S 1 2 3 4 5 6 7 8 9 10 100 100 0 0 20";
        let status = "VmHWM:\t9 kB\nRssAnon:\t5 kB\nRssFile:\t3 kB\nRssShmem:\t0 kB\n";
        let one = Reading::parse(stat, status).unwrap();
        let mut both = one;
        both.add(one);
        assert_eq!(both.cpu(), Duration::from_secs(4));
        assert_eq!(both.resident_kib(), 13);
    }

    #[test]
    fn a_process_is_written_name_and_pid() {
        assert!("gateway-1=12".parse::<Process>().is_ok());
        assert!("12".parse::<Process>().is_err());
        assert!("x=../1".parse::<Process>().is_err());
    }
}
