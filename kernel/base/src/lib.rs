//! What every part of Parley speaks of: ids, limits, texts that cannot be wrong,
//! the closed vocabulary of error codes, time and randomness as arguments.
//!
//! Nothing here does I/O or knows of any protocol.

mod code;
mod entropy;
mod error;
mod ids;
mod laws;
pub mod limits;
#[cfg(feature = "schema")]
mod schema;
mod text;
mod time;

pub use code::Code;
pub use entropy::{Entropy, OsEntropy};
pub use error::{Error, Result};
pub use ids::{ChangeNo, Epoch, MAX_ID, RoomId, Seq, SessionId, Uid};
pub use text::{Email, MessageText, Nonce, Password, RoomName, Username};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
