//! The public port: accepts connections, as many as may be, and serves HTTP/1.1 on
//! each. Draining stops accepting, finishes the requests under way and ends the rest.
//!
//! WebSockets of this port are upgrades of HTTP/1.1 connections, so there is no
//! HTTP/2 here: a proxy that speaks it to clients speaks 1.1 to us.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use base::Error;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::lingering::Lingering;
use super::observe::Peer;
use super::router;
use crate::{Gateway, config};

/// Bytes of a connection's read buffer, and so of a request's head, most.
const BUFFER_BYTES: usize = 16 * 1024;
/// How long to wait when the system has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds the public port.
///
/// # Errors
/// When the address cannot be listened on.
pub(crate) async fn bind(config: &config::Http) -> base::Result<TcpListener> {
    let listen = config.listen;
    TcpListener::bind(listen).await.map_err(|error| {
        Error::invalid("http.listen", format!("cannot listen on {listen}: {error}"))
    })
}

/// Serves the port from here on; returns the address that it is bound to.
///
/// # Errors
/// When the system does not tell the address.
pub(crate) fn serve(listener: TcpListener, gateway: Gateway) -> base::Result<SocketAddr> {
    let address = listener
        .local_addr()
        .map_err(|error| Error::invalid("http.listen", error))?;
    let lifecycle = gateway.lifecycle.clone();
    lifecycle.spawn_draining("http", async move {
        let stopping = gateway.lifecycle.stopping().clone();
        stopping
            .run_until_cancelled(accept_all(listener, gateway))
            .await;
    });
    Ok(address)
}

async fn accept_all(listener: TcpListener, gateway: Gateway) {
    let app = router::build(gateway.clone());
    let draining = gateway.lifecycle.draining().clone();
    let places = Arc::new(Semaphore::new(
        gateway
            .config
            .http
            .max_connections
            .min(Semaphore::MAX_PERMITS),
    ));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            // The semaphore is never closed, so there is always a place in the end.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        tokio::select! {
            () = draining.cancelled() => break,
            Some(ended) = connections.join_next() => log_panic(ended),
            (accepted, place) = next => match (accepted, place) {
                (Ok((stream, peer)), Some(place)) => {
                    // Without it, small answers wait for the client's acknowledgements.
                    let _ = stream.set_nodelay(true);
                    let io = Lingering::new(stream, place);
                    connections.spawn(connection(io, peer, app.clone(), gateway.clone()));
                }
                (Err(error), _) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (Ok(_), None) => {}
            },
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        log_panic(ended);
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

/// Serves one connection to its end, or to its upgrade.
async fn connection(io: Lingering, peer: SocketAddr, app: Router, gateway: Gateway) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer.ip()));
        let mut app = app.clone();
        async move { app.call(request).await }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        // Who has said all may still listen.
        .half_close(true)
        .header_read_timeout(gateway.config.http.header_timeout.0)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let draining: CancellationToken = gateway.lifecycle.draining().clone();
    let outcome = tokio::select! {
        outcome = serving.as_mut() => outcome,
        () = draining.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = outcome {
        // A client's doing: it went away, was too slow, or spoke no HTTP.
        metrics::counter!("parley_http_connections_broken_total").increment(1);
        tracing::debug!(%error, "a connection broke");
    }
}
