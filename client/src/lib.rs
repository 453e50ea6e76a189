//! The Rust SDK of Parley.
//!
//! A [`Chat`] is what a client is written with: it stays connected, follows rooms without
//! a gap, and sends messages until they are answered, whatever happens to connections,
//! servers and tokens meanwhile. Below it are its parts, for who wants them bare:
//! [`Api`], typed calls over HTTP, and [`Socket`], one connection with typed frames.
//!
//! # A client
//!
//! ```no_run
//! # async fn example() -> Result<(), client::Error> {
//! use client::{Api, Chat, Item, Start};
//!
//! let api = Api::new("http://127.0.0.1:8080")?;
//! let login = api.login_by_name("ann", "correct horse").await?;
//! let (chat, mut events) = Chat::builder("http://127.0.0.1:8080", login)
//!     .gateway("http://127.0.0.1:8081") // another address of the same system
//!     .start()?;
//!
//! let room = chat.api().create_room("hall", false).await?;
//! chat.subscribe(room, Start::Beginning).await?;
//! let sent = chat.send(room, "hello").await?;
//! println!("message {} is durable", sent.message_id);
//!
//! while let Some(item) = events.next().await {
//!     match item {
//!         Item::Event { event, position } => println!("{position:?}: {}", event.text),
//!         Item::Reset(reset) => println!("begin afresh in room {}", reset.room),
//!         Item::Gone { room, why } => println!("no longer in room {room}: {why:?}"),
//!         Item::Ended(why) => println!("{why}"),
//!         _ => {} // what a later version knows
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `examples/bot.rs` is a whole program: a bot that loses nothing when the server or the
//! bot itself is killed.
//!
//! # What is guaranteed
//!
//! - **Events.** Of each room, [`Events`] yields event n + 1 directly after event n, each
//!   once and in order, also those of kinds that this version does not know
//!   ([`Item::Unknown`]). After a cut the room is resumed where it was; what is more than
//!   a replay gives is read page by page; a hole, which no server should make, is not
//!   passed over but resumed from. The one exception is said: [`Item::Reset`], when the
//!   log itself is another (restored from a backup) or what would follow is deleted.
//! - **Messages.** [`Chat::send`] resends with the same nonce after every failure that may
//!   pass, over any number of connections, until there is an answer; then the message is
//!   in the log once, or refused. The messages of a room keep their order: each waits for
//!   the answer of the one before. Rooms do not wait for each other.
//! - **Restarts of the client.** Each item carries its [`Position`]. Who stores that of
//!   the last item he has dealt with, and the tokens of [`Chat::tokens`], goes on there
//!   with [`Start::After`]. A message under a nonce of one's own ([`Chat::send_as`]) is
//!   in the log once even if the client died before it saw the answer.
//! - **Memory.** Every queue is bounded. Who does not take events makes the SDK stop
//!   reading, and the server with it; only if someone waits for an answer it reads on, and
//!   what finds no place then is read from the log later. So one may `await` a
//!   [`Chat::send`] in the loop that takes the events. Who sends too much waits.
//! - **Connections.** After an end without a word, close code 1001 or 4008, or
//!   [`Timings::silence`], the next address is tried: after 1001 at once, else after a
//!   pause that doubles, is jittered, and heeds `Retry-After` up to five minutes. 4029
//!   (flooding) means a long pause.
//! - **Tokens.** The pair is replaced before it ends, and when it is refused, with a key
//!   that makes a lost answer harmless for a minute. No token is printed or logged.
//! - **The end.** Close code 4001, or a refresh token that is refused, ends everything
//!   with [`Ended::Session`]: only a new login helps. Dropping the last [`Chat`] stops all
//!   at once, [`Chat::close`] says goodbye first. No task outlives either.
//!
//! # What is not
//!
//! - Nothing is said about the order of events of different rooms.
//! - A message whose future is dropped, or that ends in [`Error::Ended`], may be in the
//!   log or not. The same text under the same nonce finds out.
//! - Nonces are kept by the server for 24 h at least. A send that is stuck longer than
//!   that may be in the log twice.
//! - An item counts as taken when [`Events`] has yielded it; who dies before dealing with
//!   it must have stored the position before it, not its own.
//! - A user follows 200 rooms at most with one chat; with two, more.
//! - [`Api`] and [`Socket`] do everything once. Nothing is retried behind their caller's
//!   back; every call has a deadline, and a refusal is a [`Refusal`] with its
//!   [`wire::Code`].
//!
//! # Features
//!
//! `tls`: `https` and `wss` addresses, by rustls on ring. Certificates are checked as the
//! system does, or by a `rustls::ClientConfig` of one's own (`ChatBuilder::tls`).

mod api;
mod chat;
mod error;
mod socket;
mod tls;

pub use api::{Answer, Api};
pub use chat::{
    Chat, ChatBuilder, Events, Gone, Item, Position, Reset, Start, Status, Timings, Tokens,
};
pub use error::{Ended, Error, Refusal, Result};
pub use reqwest::Method;
#[cfg(feature = "tls")]
pub use rustls;
pub use socket::{Socket, TokenIn};
pub use tls::Raw;
pub use tokio_tungstenite::tungstenite::Message;
pub use wire;
