//! Serves a service's routes over gRPC.

use std::net::SocketAddr;
use std::time::Duration;

use base::Error;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic_health::ServingStatus;

use crate::config::{Secret, Tls};
use crate::{Guard, Health, Lifecycle};

/// How often the gRPC health service learns what [`Health`] knows.
const HEALTH_PERIOD: Duration = Duration::from_millis(500);

/// Serves `routes` on `listen` behind a [`Guard`], with `grpc.health.v1` beside
/// them, until the process drains and what was taken in is answered.
///
/// # Errors
/// When the address cannot be listened on or a certificate cannot be read.
pub async fn serve(
    listen: SocketAddr,
    routes: Routes,
    token: &Secret,
    tls: &Tls,
    lifecycle: &Lifecycle,
) -> base::Result<()> {
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| Error::invalid("listen", format!("cannot listen on {listen}: {error}")))?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    if let Some((certificate, key)) = tls.read_identity()? {
        let identity = Identity::from_pem(certificate, key);
        server = server
            .tls_config(ServerTlsConfig::new().identity(identity))
            .map_err(Error::internal)?;
    }
    let (reporter, health) = tonic_health::server::health_reporter();
    let report = follow(lifecycle.health().clone(), reporter);
    let stopping = lifecycle.stopping().clone();
    lifecycle.spawn("grpc-health", async move {
        stopping.run_until_cancelled(report).await;
    });
    let drained = lifecycle.draining().clone().cancelled_owned();
    let serving = server
        .layer(Guard::new(token))
        .add_routes(routes.add_service(health))
        .serve_with_incoming_shutdown(incoming, drained);
    let stopping = lifecycle.stopping().clone();
    lifecycle.spawn_draining("grpc", async move {
        if let Some(Err(error)) = stopping.run_until_cancelled(serving).await {
            tracing::error!(%error, "the gRPC server ended");
        }
    });
    Ok(())
}

/// Tells the gRPC health service, again and again, whether the process is ready.
async fn follow(health: Health, reporter: tonic_health::server::HealthReporter) {
    let mut tick = tokio::time::interval(HEALTH_PERIOD);
    loop {
        tick.tick().await;
        let status = if health.ready() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        reporter.set_service_status("", status).await;
    }
}
