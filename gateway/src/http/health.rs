//! What the public may know of this process: that it lives, whether it is ready, and
//! its version. What exactly is missing only the admin port tells.

use axum::Json;
use axum::extract::State;
use base::Error;
use serde_json::{Value, json};

use super::caller::Guest;
use super::problem::Failure;
use crate::Gateway;

/// `GET /health/live`
pub(super) async fn live(_: Guest) -> Json<Value> {
    Json(json!({ "Live": true }))
}

/// `GET /health/ready`: 200, or 503 while a part is missing or the process ends.
pub(super) async fn ready(
    State(gateway): State<Gateway>,
    _: Guest,
) -> Result<Json<Value>, Failure> {
    if gateway.lifecycle.health().ready() {
        Ok(Json(json!({ "Ready": true })))
    } else {
        let error = Error::unavailable("not ready", "the admin port says what is missing");
        Err(error.into())
    }
}

/// `GET /version`
pub(super) async fn version(_: Guest) -> Json<Value> {
    Json(json!({ "Name": "parley", "Version": env!("CARGO_PKG_VERSION") }))
}
