//! Proxies between the processes of a system: one before each process that others are
//! cut off from. What a link does is decided by who connects, which the kernel tells
//! (`caller`), so every process knows its peer under one and the same address: replicas
//! are chosen by address, and all callers must choose alike.

mod caller;
mod proxy;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::plan::{Link, Process};
pub(crate) use caller::Pids;

/// The ports that proxies listen on: below those that the kernel gives to outgoing
/// connections, and where `deploy/dev/up` has none.
const PORTS: std::ops::Range<u16> = 14_000..21_000;

/// What goes through a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Everything.
    Open,
    /// Nothing, and nobody is told.
    Silent,
    /// Connections are reset.
    Reset,
}

/// The links of a system. Their proxies end when it is dropped.
pub(crate) struct Links {
    states: HashMap<Link, watch::Sender<State>>,
    ports: HashMap<Process, u16>,
    proxies: Option<Runtime>,
}

impl Drop for Links {
    fn drop(&mut self) {
        if let Some(proxies) = self.proxies.take() {
            proxies.shutdown_background();
        }
    }
}

impl Links {
    /// Opens a proxy before each process that `links` lead to; where the process itself
    /// listens is told by `port_of`.
    ///
    /// # Errors
    /// When no port is free.
    pub(crate) fn open(
        links: &[Link],
        port_of: impl Fn(Process) -> u16,
        pids: &Arc<dyn Pids>,
    ) -> io::Result<Self> {
        let mut states = HashMap::new();
        let mut doors: HashMap<Process, Vec<_>> = HashMap::new();
        for link in links {
            let (tell, state) = watch::channel(State::Open);
            states.insert(*link, tell);
            doors.entry(link.to).or_default().push((link.from, state));
        }
        // A thread of their own: where processors are scarce, the clients' work must not make
        // the system's own ways slow.
        let proxies = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("proxies")
            .enable_all()
            .build()?;
        let handle = proxies.handle().clone();
        let mut links = Self {
            states,
            ports: HashMap::new(),
            proxies: Some(proxies),
        };
        for (to, doors) in doors {
            let listener = any_port()?;
            links.ports.insert(to, listener.local_addr()?.port());
            listener.set_nonblocking(true)?;
            let listener = {
                let _inside = handle.enter();
                TcpListener::from_std(listener)?
            };
            let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, port_of(to)));
            handle.spawn(proxy::serve(listener, upstream, doors, Arc::clone(pids)));
        }
        Ok(links)
    }

    /// Where the proxy before `process` listens.
    pub(crate) fn port(&self, process: Process) -> Option<u16> {
        self.ports.get(&process).copied()
    }

    /// Changes what goes through `link`.
    pub(crate) fn set(&self, link: Link, state: State) {
        if let Some(tell) = self.states.get(&link) {
            tell.send_replace(state);
        }
    }
}

/// A listener on a port of [`PORTS`] that is free.
fn any_port() -> io::Result<std::net::TcpListener> {
    let span = u32::from(PORTS.end - PORTS.start);
    // Two rigs that start at once begin their search apart from each other.
    let start = std::process::id().wrapping_mul(97) % span;
    for step in 0..span {
        let port = PORTS.start + u16::try_from((start + step) % span).unwrap_or(0);
        if let Ok(listener) = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Ok(listener);
        }
    }
    Err(io::Error::other(
        "no port is free from 14000 to 21000 on 127.0.0.1",
    ))
}
