//! Why a connection ends, as the client is told: a close code and words. An end without
//! a close frame means the same as 4008.

use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::outbound::Ending;

/// The close code and the words.
pub(super) struct End(CloseCode, &'static str);

impl End {
    /// The client ended it, or is gone.
    pub(super) const GONE: Self = Self(CloseCode::Normal, "");
    /// The process drains.
    pub(super) const GOING_AWAY: Self = Self(CloseCode::Away, "going away; reconnect and resume");
    /// A log that the connection follows has a new life.
    pub(super) const RESTORED: Self = Self(
        CloseCode::Away,
        "the log was restored from a backup; reconnect and resume",
    );
    /// Nothing was heard of the client.
    pub(super) const SILENT: Self = Self(
        CloseCode::Library(4008),
        "silent for too long; reconnect and resume",
    );
    /// What is for the client waits for too long.
    pub(super) const TOO_SLOW: Self = Self(
        CloseCode::Library(4008),
        "too slow a reader; reconnect and resume",
    );
    /// Its session has ended.
    pub(super) const SESSION: Self = Self(CloseCode::Library(4001), "the session has ended");
    /// The client does not hear that it is too much.
    pub(super) const FLOODING: Self = Self(CloseCode::Library(4029), "far too many frames");
    /// Frames are text.
    pub(super) const BINARY: Self = Self(CloseCode::Unsupported, "text frames only");

    /// The close code that RFC 6455, section 7.4.1, gives what went wrong.
    pub(super) fn broken(error: &SocketError) -> Self {
        match error {
            SocketError::Capacity(_) => Self(CloseCode::Size, "a frame has 32 KiB at most"),
            SocketError::Utf8(_) => Self(CloseCode::Invalid, "text must be UTF-8"),
            SocketError::Protocol(_) => Self(CloseCode::Protocol, "broken framing"),
            _ => Self::GONE,
        }
    }

    /// The frame that says so.
    pub(super) fn frame(self) -> CloseFrame {
        CloseFrame {
            code: self.0,
            reason: self.1.into(),
        }
    }
}

impl From<Ending> for End {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Slow => Self::TOO_SLOW,
            Ending::Session => Self::SESSION,
            Ending::Restored => Self::RESTORED,
        }
    }
}

/// The close code of every end there is.
#[cfg(test)]
pub(crate) fn close_codes() -> Vec<u16> {
    use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};

    let too_long = CapacityError::MessageTooLong {
        size: 1,
        max_size: 0,
    };
    let broken = [
        SocketError::Capacity(too_long),
        SocketError::Utf8(String::new()),
        SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake),
    ];
    let ends = [
        End::GONE,
        End::GOING_AWAY,
        End::RESTORED,
        End::SILENT,
        End::TOO_SLOW,
        End::SESSION,
        End::FLOODING,
        End::BINARY,
    ];
    let ends = ends.into_iter().chain(broken.iter().map(End::broken));
    ends.map(|end| end.0.into()).collect()
}
