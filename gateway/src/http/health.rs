//! What the public may know of this process: that it lives, whether it is ready, and
//! its version. What exactly is missing only the admin port tells.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::caller::Guest;
use crate::Gateway;

/// `GET /health/live`
pub(super) async fn live(_: Guest) -> Json<Value> {
    Json(json!({ "live": true }))
}

/// `GET /health/ready`: 200, or 503 while a part is missing or the process ends.
pub(super) async fn ready(State(gateway): State<Gateway>, _: Guest) -> (StatusCode, Json<Value>) {
    let lifecycle = &gateway.lifecycle;
    let ready = lifecycle.health().ready() && !lifecycle.draining().is_cancelled();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({ "ready": ready })))
}

/// `GET /version`
pub(super) async fn version(_: Guest) -> Json<Value> {
    Json(json!({ "Name": "parley", "Version": env!("CARGO_PKG_VERSION") }))
}
