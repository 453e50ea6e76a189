//! WebSocket text frames: what clients send ([`Command`]) and what the server sends
//! ([`ServerFrame`]). A frame is one JSON object whose `Type` says what it is.

mod command;
mod encode;
mod server;

pub use crate::event::{Event, EventKind};
pub use command::{Command, Framed, Refused};
pub use encode::{EventView, encode_event};
pub use server::{Entered, Fault, Hello, Left, Pong, Read, Sent, ServerFrame};

/// The first frame of every connection.
pub const HELLO: &str = r#"{"Type":"enter","RoomID":0}"#;
