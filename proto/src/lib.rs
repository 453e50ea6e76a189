//! The gRPC contract between Parley's services, compiled from the `.proto` files
//! beside this crate. The files carry the documentation; changes are additive.
#![expect(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code, fenced off here"
)]

/// Accounts.
pub mod user {
    tonic::include_proto!("parley.user.v1");
}

/// Sessions and tokens.
pub mod session {
    tonic::include_proto!("parley.session.v1");
}

/// Rooms and membership.
pub mod rooms {
    tonic::include_proto!("parley.rooms.v1");
}

/// Event logs.
pub mod message {
    tonic::include_proto!("parley.message.v1");
}
