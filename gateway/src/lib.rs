//! The public face of Parley: HTTP and WebSockets on one port.
//!
//! It keeps nothing that matters. What a client asks for it asks of the services,
//! and what happens in rooms it hears from the bus and the message-service.

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod config;
#[cfg(test)]
mod fakes;
mod fanout;
mod http;
mod limits;
mod nonces;
mod outbound;
mod ports;
mod posts;
mod reading;
mod resume;
mod sessions;
#[cfg(test)]
mod simulation;
mod verdicts;
mod ws;

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, OsEntropy, SystemClock};
use runtime::{Call, Lifecycle, RequestId};

pub use config::{Config, Cors, Http, Limits as LimitsConfig, Network, Rate, Services, WebSocket};
pub use ports::Ports;

use fanout::Fanout;
use http::Documents;
use limits::Limits;
use nonces::Nonces;
use posts::Posts;
use sessions::Sessions;
use verdicts::Verdicts;

/// How long a gateway that starts waits for the bus. Without it the logs are read,
/// which is slower; so a bus that is down does not keep a gateway from serving.
const BUS_PATIENCE: Duration = Duration::from_secs(5);

/// Binds the public port and serves it until the process drains; returns the address
/// that it is bound to. The first connection is accepted when the bus is being read,
/// so that none is served late for want of it.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn start(
    config: Config,
    ports: Ports,
    lifecycle: &Lifecycle,
) -> base::Result<SocketAddr> {
    let gateway = Gateway::new(config, ports, lifecycle);
    let listener = http::bind(&gateway.config.http).await?;
    if tokio::time::timeout(BUS_PATIENCE, gateway.fanout.tail_open())
        .await
        .is_err()
    {
        tracing::warn!("the bus is not there yet; going on without, slower");
    }
    http::serve(listener, gateway)
}

/// What all requests and connections share; cheap to clone.
#[derive(Clone)]
pub(crate) struct Gateway(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) ports: Ports,
    pub(crate) sessions: Sessions,
    pub(crate) verdicts: Verdicts,
    pub(crate) limits: Limits,
    pub(crate) fanout: Fanout,
    pub(crate) posts: Posts,
    pub(crate) nonces: Nonces,
    pub(crate) documents: Documents,
    pub(crate) lifecycle: Lifecycle,
    entropy: Arc<dyn Entropy>,
}

impl Deref for Gateway {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Gateway {
    pub(crate) fn new(config: Config, ports: Ports, lifecycle: &Lifecycle) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let sessions = Sessions::start(ports.sessions.clone(), lifecycle);
        let verdicts = Verdicts::new(ports.sessions.clone(), sessions.clone(), clock);
        let limits = Limits::new(&config.limits);
        let fanout = Fanout::start(&ports, lifecycle);
        let outgoing = Posts::start(ports.messages.clone(), &fanout, lifecycle);
        let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
        Self(Arc::new(Shared {
            config,
            ports,
            sessions,
            verdicts,
            limits,
            fanout,
            posts: outgoing,
            nonces: Nonces::new(&random_name(entropy.as_ref())),
            documents: http::describe(),
            lifecycle: lifecycle.clone(),
            entropy,
        }))
    }

    /// A request id of ours.
    pub(crate) fn new_request_id(&self) -> RequestId {
        // 32 hexadecimal digits are a sane id; the fallback never shows.
        RequestId::parse(&random_name(self.entropy.as_ref()))
            .unwrap_or_else(|| Call::own("nameless").request_id().clone())
    }

    /// A call that a client's request leads to.
    pub(crate) fn call(&self, id: RequestId) -> Call {
        Call::new(id, self.config.http.request_timeout.0)
    }
}

/// 128 random bits in hexadecimal, for whatever needs a name that nobody else has.
fn random_name(entropy: &dyn Entropy) -> String {
    let mut bits = [0; 16];
    if let Err(error) = entropy.fill(&mut bits) {
        tracing::error!(%error, "no randomness");
    }
    format!("{:032x}", u128::from_be_bytes(bits))
}
