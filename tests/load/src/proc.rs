//! CPU time and memory of processes, from `/proc`.

use std::io::{Error, ErrorKind, Result};
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

/// Linux reports CPU time in hundredths of a second on every platform we run on.
const TICK: Duration = Duration::from_millis(10);

/// A process to measure, written `NAME=PID`.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    name: String,
    /// A number, or `self`.
    pid: String,
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reading {
    user: Duration,
    system: Duration,
    resident_kib: u64,
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

impl Process {
    /// The generator's own process.
    pub(crate) fn own() -> Self {
        Self {
            name: "load".to_owned(),
            pid: "self".to_owned(),
        }
    }

    /// Reads what the process has used so far.
    pub(crate) fn read(&self) -> Result<Reading> {
        let file = |name: &str| {
            std::fs::read_to_string(format!("/proc/{}/{name}", self.pid)).map_err(|error| {
                Error::new(
                    error.kind(),
                    format!("process {} ({}): {error}", self.name, self.pid),
                )
            })
        };
        Reading::parse(&file("stat")?, &file("status")?)
            .ok_or_else(|| Error::new(ErrorKind::InvalidData, "/proc looks unfamiliar"))
    }

    /// What the process used between `before` and `after`.
    pub(crate) fn usage(&self, before: Reading, after: Reading) -> Usage {
        Usage {
            name: self.name.clone(),
            user_seconds: after.user.saturating_sub(before.user).as_secs_f64(),
            system_seconds: after.system.saturating_sub(before.system).as_secs_f64(),
            resident_before_kib: before.resident_kib,
            resident_kib: after.resident_kib,
            peak_kib: after.peak_kib,
        }
    }
}

impl FromStr for Process {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, pid) = text.split_once('=').ok_or("expected NAME=PID")?;
        pid.parse::<u32>()
            .map_err(|error| format!("{pid}: {error}"))?;
        Ok(Self {
            name: name.to_owned(),
            pid: pid.to_owned(),
        })
    }
}

impl Reading {
    /// See proc(5): fields 14 and 15 of `stat`, `VmRSS` and `VmHWM` of `status`.
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
            resident_kib: memory("VmRSS:")?,
            peak_kib: memory("VmHWM:")?,
        })
    }
}

impl Usage {
    /// User and system time.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.user_seconds + self.system_seconds
    }

    /// Whether it serves connections.
    pub(crate) fn is_gateway(&self) -> bool {
        self.name.starts_with("gateway") || self.name.starts_with("standalone")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_and_status_are_understood() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 3 0 100";
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let expected = Reading {
            user: Duration::from_millis(2500),
            system: Duration::from_millis(500),
            resident_kib: 1024,
            peak_kib: 2048,
        };
        assert_eq!(Reading::parse(stat, status), Some(expected));
        assert!(Process::own().read().is_ok());
    }

    #[test]
    fn a_process_is_written_name_and_pid() {
        assert!("gateway-1=12".parse::<Process>().is_ok());
        assert!("12".parse::<Process>().is_err());
        assert!("x=../1".parse::<Process>().is_err());
    }
}
