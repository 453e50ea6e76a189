//! What clients see of Parley, as scenarios. Each runs against a system embedded in
//! this process and, with the feature `distributed`, against a running distributed one.
//!
//! A scenario is a sentence about behaviour: it asserts on what a client sees and on
//! nothing else. It makes its own users and rooms, so that scenarios run side by side
//! on one system. It waits for what it expects, with a deadline, and never for time
//! to pass, unless the passing of time is what it is about.
#![cfg(test)]

#[macro_use]
mod harness;

mod accounts;
mod bad_connections;
mod bad_fields;
mod bad_frames;
mod bad_input;
mod bad_tokens;
mod chat;
mod conventions;
mod directory;
mod documents;
mod full_disk;
mod invitations;
mod kicks;
mod limits;
mod membership;
mod messages;
mod nonces;
mod original;
mod people;
mod promises;
mod reading;
#[cfg(feature = "distributed")]
mod resilience;
mod restarts;
mod restore;
mod resume;
mod rooms;
mod sessions;
