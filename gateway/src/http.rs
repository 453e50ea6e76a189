//! The gateway's HTTP side: what comes in is translated, a service is called, and
//! its answer is translated back. Invariant: whatever goes wrong, the client gets a
//! problem document and a request id.

mod accounts;
pub(crate) mod address;
mod body;
mod caller;
mod documents;
mod events;
mod headers;
mod health;
mod invites;
mod lingering;
mod messages;
mod observe;
mod path;
mod problem;
mod rooms;
mod route;
mod router;
mod server;
mod sessions;
mod upgrade;
mod web;

#[cfg(test)]
mod tests;

pub(crate) use documents::Documents;
pub(crate) use router::describe;
pub(crate) use server::{bind, serve};
