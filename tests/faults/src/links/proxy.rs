//! One proxy: hands each connection to its process, or holds it, or resets it, as the
//! link of its caller says at the moment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::State;
use super::caller::{Pids, caller_of};
use crate::plan::Process;

const BUFFER: usize = 32 * 1024;
/// A frozen process's kernel still takes connections; nobody else is slow on one machine.
const CONNECTING: Duration = Duration::from_secs(5);

/// The link of each caller; `None` is whoever is no process of the system.
type Doors = Vec<(Option<Process>, watch::Receiver<State>)>;

/// Serves until it is dropped, and its connections with it.
pub(super) async fn serve(
    listener: TcpListener,
    upstream: SocketAddr,
    doors: Doors,
    pids: Arc<dyn Pids>,
) {
    let doors = Arc::new(doors);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, peer)) = accepted {
                    let (doors, pids) = (Arc::clone(&doors), Arc::clone(&pids));
                    connections.spawn(connection(client, peer, upstream, doors, pids));
                }
            }
            // So that what has ended does not gather.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(
    mut client: TcpStream,
    peer: SocketAddr,
    upstream: SocketAddr,
    doors: Arc<Doors>,
    pids: Arc<dyn Pids>,
) {
    let mut server = None;
    let opened = open(&client, peer, upstream, &doors, &*pids).await;
    let ended_well = match opened {
        Some((stream, state)) => pump_both(&mut client, server.insert(stream), state).await,
        None => false,
    };
    if !ended_well {
        // The next thing that either hears is a reset.
        for stream in [Some(client), server].into_iter().flatten() {
            let _ = stream.set_zero_linger();
        }
    }
}

/// The connection to the process, once the caller's link lets it through.
async fn open(
    client: &TcpStream,
    peer: SocketAddr,
    upstream: SocketAddr,
    doors: &Doors,
    pids: &dyn Pids,
) -> Option<(TcpStream, watch::Receiver<State>)> {
    client.set_nodelay(true).ok()?;
    let mut state = door_of(client, peer, doors, pids).await?;
    // Whoever is cut off does not get as far as the process.
    let now = *state.wait_for(|state| *state != State::Silent).await.ok()?;
    if now == State::Reset {
        return None;
    }
    let server = timeout(CONNECTING, TcpStream::connect(upstream)).await;
    let server = server.ok()?.ok()?;
    server.set_nodelay(true).ok()?;
    Some((server, state))
}

async fn door_of(
    client: &TcpStream,
    peer: SocketAddr,
    doors: &Doors,
    pids: &dyn Pids,
) -> Option<watch::Receiver<State>> {
    let state_of = |who| {
        doors
            .iter()
            .find(|(from, _)| *from == who)
            .map(|(_, state)| state.clone())
    };
    let candidates: Vec<_> = doors.iter().filter_map(|(from, _)| *from).collect();
    if candidates.is_empty() {
        return state_of(None);
    }
    let local = client.local_addr().ok()?;
    state_of(Some(caller_of(peer, local, &candidates, pids).await?))
}

/// Ends well when both sides have said goodbye.
async fn pump_both(
    client: &mut TcpStream,
    server: &mut TcpStream,
    state: watch::Receiver<State>,
) -> bool {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let mut reset = state.clone();
    let both = async {
        tokio::try_join!(
            pump(from_client, to_server, state.clone()),
            pump(from_server, to_client, state.clone()),
        )
    };
    tokio::select! {
        ended = both => ended.is_ok(),
        // An error says that the links are gone: the end as well.
        _ = reset.wait_for(|state| *state == State::Reset) => false,
    }
}

/// Passes on what comes, and the goodbye.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut state: watch::Receiver<State>,
) -> Result<(), ()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await.map_err(drop)?;
        let open = state.wait_for(|state| *state == State::Open).await;
        drop(open.map_err(drop)?);
        if read == 0 {
            return to.shutdown().await.map_err(drop);
        }
        to.write_all(&buffer[..read]).await.map_err(drop)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Pids for Nobody {
        fn pid(&self, _: Process) -> Option<u32> {
            None
        }
    }

    struct Line {
        client: TcpStream,
        server: TcpStream,
        state: watch::Sender<State>,
        proxy: SocketAddr,
        _serving: JoinSet<()>,
    }

    async fn line() -> Line {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (state, door) = watch::channel(State::Open);
        let proxy = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(serve(
            listener,
            upstream.local_addr().unwrap(),
            vec![(None, door)],
            Arc::new(Nobody),
        ));
        let client = TcpStream::connect(proxy).await.unwrap();
        let (server, _) = upstream.accept().await.unwrap();
        Line {
            client,
            server,
            state,
            proxy,
            _serving: serving,
        }
    }

    async fn reads(stream: &mut TcpStream) -> std::io::Result<u8> {
        timeout(Duration::from_secs(5), stream.read_u8())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn what_is_sent_in_silence_arrives_after_it() {
        let mut line = line().await;
        line.client.write_u8(1).await.unwrap();
        assert_eq!(reads(&mut line.server).await.unwrap(), 1);
        line.state.send_replace(State::Silent);
        line.client.write_u8(2).await.unwrap();
        let silent = timeout(Duration::from_millis(200), line.server.read_u8()).await;
        assert!(silent.is_err());
        line.state.send_replace(State::Open);
        assert_eq!(reads(&mut line.server).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_reset_ends_connections_and_refuses_new_ones() {
        let mut line = line().await;
        line.state.send_replace(State::Reset);
        assert!(reads(&mut line.client).await.is_err());
        assert!(reads(&mut line.server).await.is_err());
        let mut again = TcpStream::connect(line.proxy).await.unwrap();
        assert!(reads(&mut again).await.is_err());
    }

    #[tokio::test]
    async fn a_goodbye_is_passed_on_and_an_answer_comes_back() {
        let mut line = line().await;
        line.client.shutdown().await.unwrap();
        let mut rest = Vec::new();
        line.server.read_to_end(&mut rest).await.unwrap();
        line.server.write_u8(3).await.unwrap();
        assert_eq!(reads(&mut line.client).await.unwrap(), 3);
    }
}
