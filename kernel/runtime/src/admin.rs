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

use crate::{Health, Lifecycle};

/// Serves the admin port until the process stops.
///
/// # Errors
/// When the address cannot be listened on.
pub(crate) async fn serve(
    listen: SocketAddr,
    metrics: PrometheusHandle,
    lifecycle: &Lifecycle,
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
    let router = axum::Router::new()
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(move || async move { metrics.render() }))
        .with_state(lifecycle.health().clone());
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
async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let missing = health.missing();
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
