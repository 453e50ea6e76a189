//! One way to call a service, wherever it runs.
//!
//! [`Channel::remote`] goes over HTTP/2; [`Channel::in_process`] calls the
//! service's own routes, each call on its own task. Callers cannot tell: both keep
//! the law in this module's tests.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use base::Error;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderValue, header};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tower::{Layer, Service};

use crate::config::{Address, Secret, Tls};
use crate::guard::{Guard, Guarded};
use crate::{Lifecycle, status};

/// What a call may fail with before there is a gRPC status.
type Broken = Box<dyn std::error::Error + Send + Sync>;

/// How long a connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection whose peer is frozen is given up after these two together.
const KEEP_ALIVE: Duration = Duration::from_millis(500);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// A way to a service; cheap to clone.
#[derive(Clone)]
pub struct Channel {
    link: Link,
    authorization: HeaderValue,
}

#[derive(Clone)]
enum Link {
    Remote(tonic::transport::Channel),
    InProcess {
        routes: Guarded<Routes>,
        tasks: TaskTracker,
    },
}

impl Channel {
    /// A channel over the network, which connects when it is first used and again
    /// whenever it must.
    ///
    /// # Errors
    /// When the address or the certificates cannot be used.
    pub fn remote(address: &Address, token: &Secret, tls: &Tls) -> base::Result<Self> {
        Self::over_network(address, &address.to_string(), token, tls)
    }

    /// The same, to one of the addresses that the host's name stands for.
    ///
    /// # Errors
    /// As [`Channel::remote`].
    pub(crate) fn remote_at(
        name: &Address,
        address: SocketAddr,
        token: &Secret,
        tls: &Tls,
    ) -> base::Result<Self> {
        Self::over_network(name, &address.to_string(), token, tls)
    }

    fn over_network(name: &Address, at: &str, token: &Secret, tls: &Tls) -> base::Result<Self> {
        let scheme = if tls.enabled() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{at}"))
            .map_err(|_| Error::invalid("address", format!("{at} is no host:port")))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        if let Some(ca) = tls.read_ca()? {
            let tls = ClientTlsConfig::new()
                .ca_certificate(Certificate::from_pem(ca))
                .domain_name(name.host());
            endpoint = endpoint.tls_config(tls).map_err(Error::internal)?;
        }
        Ok(Self {
            link: Link::Remote(endpoint.connect_lazy()),
            authorization: bearer(token)?,
        })
    }

    /// A channel to routes in this process.
    ///
    /// # Errors
    /// When the token cannot stand in a header.
    pub fn in_process(routes: Routes, token: &Secret, lifecycle: &Lifecycle) -> base::Result<Self> {
        let routes = Guard::new(token).layer(routes.prepare());
        let link = Link::InProcess {
            routes,
            tasks: lifecycle.tasks(),
        };
        Ok(Self {
            link,
            authorization: bearer(token)?,
        })
    }
}

fn bearer(token: &Secret) -> base::Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
        .map_err(|_| Error::invalid("service_token", "must be printable ASCII"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Body>;
    type Error = Broken;
    type Future = BoxFuture<'static, Result<Self::Response, Broken>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match &mut self.link {
            Link::Remote(channel) => channel.poll_ready(cx).map_err(Into::into),
            Link::InProcess { routes, .. } => routes.poll_ready(cx).map_err(never),
        }
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, self.authorization.clone());
        match &mut self.link {
            Link::Remote(channel) => channel
                .call(request)
                .map(|got| got.map_err(Into::into))
                .boxed(),
            Link::InProcess { routes, tasks } => {
                let task = AbortOnDropHandle::new(tasks.spawn(routes.call(request)));
                async move {
                    match task.await {
                        Ok(Ok(response)) => Ok(response),
                        Ok(Err(error)) => Err(never(error)),
                        Err(_) => {
                            let error = Error::internal("an in-process call did not finish");
                            Ok(status::to_status(&error).into_http())
                        }
                    }
                }
                .boxed()
            }
        }
    }
}

fn never(infallible: Infallible) -> Broken {
    match infallible {}
}

#[cfg(test)]
#[path = "channel_laws.rs"]
mod laws;
