//! The public contract of Parley as types: request and response bodies, problem
//! documents, WebSocket frames. The gateway and the client SDK share it, so that
//! what one writes the other reads.
//!
//! Nothing here does I/O. What comes from outside is parsed into types that cannot
//! hold a wrong value ([`request`], [`frame::Command`]); what goes out is plain data
//! in the documented spelling ([`response`], [`frame::ServerFrame`]).

pub mod event;
pub mod frame;
pub mod json;
mod path;
mod problem;
pub mod request;
pub mod response;

pub use base::{
    Clock, Code, Email, Epoch, Error, MAX_ID, MessageText, Nonce, Password, Result, RoomId,
    RoomName, Seq, SessionId, SystemClock, Timestamp, Uid, Username, limits,
};
pub use path::{room_id, session_id, uid};
pub use problem::{PROBLEM_JSON, Problem};
