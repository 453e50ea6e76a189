//! Signals to processes that are not our children, and who their children are.

use std::fs;
use std::process::{Command, Stdio};

use super::{Error, Result};

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Kill,
    Stop,
    Continue,
}

/// Sends `signal` to each of `pids` that is still there.
pub(super) fn send(signal: Signal, pids: &[u32]) -> Result<()> {
    let name = match signal {
        Signal::Kill => "-KILL",
        Signal::Stop => "-STOP",
        Signal::Continue => "-CONT",
    };
    let there: Vec<_> = pids.iter().filter(|pid| alive(**pid)).collect();
    if there.is_empty() {
        return Ok(());
    }
    let mut command = Command::new("kill");
    command
        .arg(name)
        .args(there.iter().map(ToString::to_string));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = command
        .status()
        .map_err(|error| Error::Io("kill(1)", error))?;
    // One may have ended meanwhile.
    if status.success() || !there.iter().all(|pid| alive(**pid)) {
        return Ok(());
    }
    Err(Error::Program {
        program: "kill".to_owned(),
        reason: format!("{name} {there:?}: {status}"),
    })
}

/// Whether there is such a process, and no zombie.
pub(super) fn alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// The children of `pid`.
pub(super) fn children(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|child| stat(*child).is_some_and(|(_, parent)| parent == pid))
        .collect()
}

/// State and parent of a process. Its name, in parentheses, may hold anything.
fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}
