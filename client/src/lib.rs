//! The Rust SDK of Parley: typed calls over HTTP ([`Api`]) and a connection with typed
//! frames ([`Socket`]).
//!
//! Every call has a deadline, and every refusal of the server is a
//! [`Refusal`] with its [`wire::Code`]. Nothing is retried behind the caller's back.
//!
//! ```no_run
//! # async fn example() -> Result<(), client::Error> {
//! let api = client::Api::new("http://127.0.0.1:8080")?;
//! api.register("ann", "ann@example.org", "correct horse").await?;
//! let ann = api.login("ann@example.org", "correct horse").await?;
//! let room = ann.create_room("hall", false).await?;
//! let mut socket = ann.connect().await?;
//! socket.enter(room).await?;
//! let sent = socket.say("hello").await?;
//! println!("message {} in room {}", sent.message_id, sent.room);
//! # Ok(())
//! # }
//! ```

mod api;
mod chat;
mod error;
mod socket;

pub use api::{Answer, Api};
pub use chat::{
    Chat, ChatBuilder, Events, Gone, Item, Position, Reset, Start, Status, Timings, Tokens,
};
pub use error::{Ended, Error, Refusal, Result};
pub use reqwest::Method;
pub use socket::{Raw, Socket, TokenIn};
pub use tokio_tungstenite::tungstenite::Message;
pub use wire;
