//! A way to a service that a scenario can cut, as a broken network does it: nothing goes
//! through any more, and nobody is told.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Carries connections to another address, as long as it is not cut.
pub(crate) struct Relay {
    address: SocketAddr,
    is_whole: watch::Sender<bool>,
    is_used: watch::Receiver<bool>,
    _tasks: JoinSet<()>,
}

impl Relay {
    pub(crate) async fn to(target: String) -> Self {
        Self::at("127.0.0.1:0", target).await
    }

    /// A relay that is reached at `address`.
    pub(crate) async fn at(address: &str, target: String) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_whole, way) = watch::channel(true);
        let (used, is_used) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                used.send_replace(true);
                while connections.try_join_next().is_some() {}
                connections.spawn(carry(near, target.clone(), way.clone()));
            }
        });
        Self {
            address,
            is_whole,
            is_used,
            _tasks: tasks,
        }
    }

    /// Waits until somebody has connected.
    pub(crate) async fn used(&mut self) {
        self.is_used.wait_for(|used| *used).await.unwrap();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn cut(&self) {
        self.is_whole.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.is_whole.send_replace(true);
    }
}

/// What is in a connection when it is cut is lost; one that is made meanwhile waits.
async fn carry(mut near: TcpStream, target: String, mut way: watch::Receiver<bool>) {
    let _ = way.wait_for(|whole| *whole).await;
    let Ok(mut far) = TcpStream::connect(target).await else {
        return;
    };
    let cut = async {
        let _ = way.wait_for(|whole| !whole).await;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => return,
        () = cut => {}
    }
    let _ = way.wait_for(|whole| *whole).await;
}
