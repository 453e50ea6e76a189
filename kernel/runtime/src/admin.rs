//! The admin port of every process: liveness, readiness, metrics.
//!
//! It is for operators: keep it off public networks.

use std::net::SocketAddr;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Health, Lifecycle};

/// Serves the admin port until the process stops. The process is not ready before `started`
/// fires: until then there may be parts of it that nobody has named yet.
///
/// # Errors
/// When the address cannot be listened on.
pub(crate) async fn serve(
    listen: SocketAddr,
    metrics: PrometheusHandle,
    lifecycle: &Lifecycle,
    started: CancellationToken,
) -> base::Result<()> {
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        base::Error::invalid(
            "admin.listen",
            format!("cannot listen on {listen}: {error}"),
        )
    })?;
    let upkeep = metrics.clone();
    let stopping = lifecycle.stopping().clone();
    lifecycle.spawn("metrics-upkeep", async move {
        let mut tick = tokio::time::interval(std::time::Duration::from_secs(5));
        while stopping.run_until_cancelled(tick.tick()).await.is_some() {
            upkeep.run_upkeep();
        }
    });
    let health = lifecycle.health().clone();
    let router = axum::Router::new()
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(move || async move { metrics.render() }))
        .with_state((health, started));
    let stopping = lifecycle.stopping().clone().cancelled_owned();
    lifecycle.spawn("admin", async move {
        if let Err(error) = axum::serve(listener, router)
            .with_graceful_shutdown(stopping)
            .await
        {
            tracing::error!(%error, "the admin port ended");
        }
    });
    Ok(())
}

/// 200, or 503 with what is missing and why; beside it what the process does without.
async fn ready(State((health, started)): State<(Health, CancellationToken)>) -> impl IntoResponse {
    let mut missing = health.missing();
    if !started.is_cancelled() {
        missing.insert("start".to_owned(), "not finished".to_owned());
    }
    let status = if missing.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(serde_json::json!({
            "Ready": missing.is_empty(),
            "Missing": missing,
            "Degraded": health.degraded(),
        })),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_not_ready_before_all_of_it_has_begun() {
        let (health, started) = (Health::default(), CancellationToken::new());
        let asked = async || {
            let state = State((health.clone(), started.clone()));
            ready(state).await.into_response().status()
        };
        assert_eq!(asked().await, StatusCode::SERVICE_UNAVAILABLE);
        let part = health.part("store");
        started.cancel();
        assert_eq!(asked().await, StatusCode::SERVICE_UNAVAILABLE);
        part.up();
        assert_eq!(asked().await, StatusCode::OK);
    }
}
