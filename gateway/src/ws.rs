//! Live connections.
//!
//! A connection is one task: it reads a frame, does what it says, writes what
//! waits. Its frames take effect in the order they were sent, and nothing is read
//! while its answers cannot be written, so a client that does not read stops
//! itself and nobody else.

mod ahead;
mod answer;
mod connection;
mod end;
mod entering;

use base::{SessionId, Uid};
use runtime::RequestId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::Gateway;
use ahead::ReadAhead;
use connection::Connection;
#[cfg(test)]
pub(crate) use end::close_codes;

/// Bytes of a connection's read buffer, which it always has: most are quiet, and who is not
/// is read ahead of it.
const READ_BUFFER: usize = 128;
/// Bytes gathered before they are written.
const WRITE_BUFFER: usize = 16 * 1024;

/// Whose connection it is.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    /// The user.
    pub(crate) uid: Uid,
    /// His session, with which the connection ends.
    pub(crate) session: SessionId,
    /// The request that opened it.
    pub(crate) request_id: RequestId,
}

/// What a connection runs over.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Runs a connection to its end.
pub(crate) async fn serve(gateway: Gateway, io: impl Wire, who: Who) {
    let mut config = WebSocketConfig::default();
    config.read_buffer_size = READ_BUFFER;
    config.write_buffer_size = WRITE_BUFFER;
    config.max_write_buffer_size = 1 << 20;
    config.max_message_size = Some(base::limits::FRAME_BYTES);
    config.max_frame_size = Some(base::limits::FRAME_BYTES);
    let io = ReadAhead::new(io);
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    metrics::gauge!("parley_connections").increment(1.0);
    Connection::new(gateway, socket, who).run().await;
    metrics::gauge!("parley_connections").decrement(1.0);
}
