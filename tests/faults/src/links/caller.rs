//! Which process made a connection of this machine: `/proc/net/tcp` tells the socket
//! (proc(5)), and `/proc/PID/fd` who holds it.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::sleep;

use crate::plan::Process;

/// A process that has just started connects before its pid is written down.
const TRIES: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(25);

/// Tells the pid that a process of the system has now.
pub(crate) trait Pids: Send + Sync {
    /// `None` when it has not been started.
    fn pid(&self, process: Process) -> Option<u32>;
}

/// Who of `candidates` connected from `peer` to `local`; `None` when it was none of
/// them, or when it has gone since.
pub(super) async fn caller_of(
    peer: SocketAddr,
    local: SocketAddr,
    candidates: &[Process],
    pids: &dyn Pids,
) -> Option<Process> {
    for _ in 0..TRIES {
        let inode = inode_of(peer, local)?;
        let holds = |process: &Process| pids.pid(*process).is_some_and(|pid| has(pid, inode));
        if let Some(process) = candidates.iter().copied().find(holds) {
            return Some(process);
        }
        sleep(BETWEEN).await;
    }
    None
}

/// The socket whose own end is `own` and whose other end is `other`.
fn inode_of(own: SocketAddr, other: SocketAddr) -> Option<u64> {
    let (own, other) = (in_hex(own)?, in_hex(other)?);
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let same = fields.next()? == own && fields.next()? == other;
        // After the state: queues, timer, retransmits, uid, timeout.
        let inode = fields.nth(6)?.parse().ok()?;
        (same && inode != 0).then_some(inode)
    })
}

/// As the kernel prints it: the address as a number of this machine, then the port.
fn in_hex(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else {
        return None;
    };
    let ip = u32::from_ne_bytes(address.ip().octets());
    Some(format!("{ip:08X}:{:04X}", address.port()))
}

fn has(pid: u32, inode: u64) -> bool {
    let wanted = format!("socket:[{inode}]");
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    files
        .flatten()
        .any(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str()))
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    struct Own;

    impl Pids for Own {
        fn pid(&self, process: Process) -> Option<u32> {
            (process == Process::ROOMS).then(std::process::id)
        }
    }

    #[tokio::test]
    async fn the_process_that_connected_is_named_and_no_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = listener.local_addr().unwrap();
        let _client = TcpStream::connect(local).await.unwrap();
        let (_server, peer) = listener.accept().await.unwrap();
        let candidates = [Process::SESSION, Process::ROOMS];
        let caller = caller_of(peer, local, &candidates, &Own).await;
        assert_eq!(caller, Some(Process::ROOMS));
        assert_eq!(caller_of(peer, local, &candidates[..1], &Own).await, None);
    }
}
