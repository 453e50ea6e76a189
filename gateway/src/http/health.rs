//! What the public may know of this process: that it lives, whether it is ready, and
//! its version. What exactly is missing only the admin port tells.

use axum::Json;
use axum::extract::State;
use base::{Code, Error};
use http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::schema::{Object, Type};

use super::caller::Guest;
use super::problem::Failure;
use super::route::{JSON, Rights, Route, content, string};
use crate::Gateway;

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    let flag = |name: &'static str| {
        Object::builder()
            .property(name, Object::with_type(Type::Boolean))
            .required(name)
            .build()
    };
    let named = Object::builder()
        .property("Name", string())
        .property("Version", string())
        .required("Name")
        .required("Version");
    let parley = json!({ "Name": "parley", "Version": env!("CARGO_PKG_VERSION") });
    vec![
        Route::get("/health/live", Rights::Anybody, live)
            .named("live", "Ask whether it lives")
            .asks_nobody()
            .answers_as(
                StatusCode::OK,
                "It lives.",
                JSON,
                content(flag("Live"), json!({ "Live": true })),
            ),
        Route::get("/health/ready", Rights::Anybody, ready)
            .named("ready", "Ask whether it is ready")
            .asks_nobody()
            .answers_as(
                StatusCode::OK,
                "It is ready.",
                JSON,
                content(flag("Ready"), json!({ "Ready": true })),
            )
            .refuses(Code::Unavailable, "not ready"),
        Route::get("/version", Rights::Anybody, version)
            .named("version", "Ask which version runs")
            .asks_nobody()
            .answers_as(StatusCode::OK, "The version.", JSON, content(named, parley)),
    ]
}

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
