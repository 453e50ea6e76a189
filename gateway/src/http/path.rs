//! The variable segments of paths, as extractors.

use axum::extract::{FromRequestParts, Path};
use base::{RoomId, SessionId, Uid};
use http::request::Parts;

use super::problem::Failure;
use crate::Gateway;

/// The room that a path names.
pub(super) struct RoomPath(pub(super) RoomId);

/// The code that a path has; it is a secret.
pub(super) struct CodePath(pub(super) String);

/// The user that a path names.
pub(super) struct UserPath(pub(super) Uid);

/// The session that a path names.
pub(super) struct SessionPath(pub(super) SessionId);

impl FromRequestParts<Gateway> for SessionPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        Ok(Self(wire::session_id(&segment(parts, gateway).await)?))
    }
}

impl FromRequestParts<Gateway> for CodePath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        Ok(Self(segment(parts, gateway).await))
    }
}

impl FromRequestParts<Gateway> for RoomPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        Ok(Self(wire::room_id(&segment(parts, gateway).await)?))
    }
}

impl FromRequestParts<Gateway> for UserPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        Ok(Self(wire::uid(&segment(parts, gateway).await)?))
    }
}

/// The one variable segment of a path; empty, and so no id or code, when it is not UTF-8.
async fn segment(parts: &mut Parts, gateway: &Gateway) -> String {
    let path = Path::<String>::from_request_parts(parts, gateway).await;
    path.map(|Path(segment)| segment).unwrap_or_default()
}
