//! A connection as the rest of the gateway sees it: a bounded queue of frames, and a reason
//! to end.
//!
//! The fan-out, the sessions and the answers to posts write here. It imports none of them,
//! nor the connection that takes the frames out (`ws`).

mod link;
mod queue;

pub(crate) use link::{Link, Outlet, UnderWay};
pub(crate) use queue::{Ending, Next};
