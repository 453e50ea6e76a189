//! WebSocket (RFC 6455), the client's side, by hand.
//!
//! Cheap on purpose: the masking key is zero, which the RFC does not forbid a client
//! that has no one to protect, so a payload is sent as it is; bytes are read into the
//! stack and frames are handed out in place, so a quiet connection owns no buffer.

use std::io::{Error, ErrorKind, Result};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use crate::http;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// As much as one read takes; bursts larger than that take more reads.
const READ: usize = 16 * 1024;
/// A server frame over this is taken for broken framing.
const LONGEST: usize = 1 << 20;

/// One frame as the server sent it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
}

/// Splits the first frame off `bytes`: the frame and its length on the wire,
/// `None` while it is incomplete.
///
/// # Errors
/// Masked, fragmented, extended and huge frames: no server of ours sends them.
pub(crate) fn split(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>> {
    let [head, size, ..] = *bytes else {
        return Ok(None);
    };
    if head & 0xf0 != 0x80 || size & 0x80 != 0 {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "masked, fragmented or extended frame",
        ));
    }
    // RFC 6455, 5.2: the length itself, or 126 or 127 and then 2 or 8 bytes of it.
    let start = match size {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let length = match bytes.get(2..start) {
        Some([]) => usize::from(size),
        Some(long) => long
            .iter()
            .fold(0, |sum: usize, &byte| sum << 8 | usize::from(byte)),
        None => return Ok(None),
    };
    if length > LONGEST {
        return Err(Error::new(ErrorKind::InvalidData, "frame too long"));
    }
    let frame = bytes.get(start..start + length);
    Ok(frame.map(|payload| {
        (
            Frame {
                opcode: head & 0x0f,
                payload,
            },
            start + length,
        )
    }))
}

/// Appends a client frame of at most 65,535 bytes: masked, with key zero.
pub(crate) fn push(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match u8::try_from(payload.len()) {
        Ok(short) if short < 126 => out.push(0x80 | short),
        _ => {
            let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
            out.push(0xfe);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// An open WebSocket connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    /// The beginning of a frame whose end has not come yet.
    rest: Vec<u8>,
    /// Frames not yet written, from `written` on.
    out: Vec<u8>,
    written: usize,
}

impl Socket {
    /// Connects and upgrades with `token`, from the address `source` if one is given.
    pub(crate) async fn open(
        gateway: SocketAddr,
        source: Option<IpAddr>,
        token: &str,
    ) -> Result<Self> {
        let socket = if gateway.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        if let Some(source) = source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let mut stream = socket.connect(gateway).await?;
        stream.set_nodelay(true)?;
        let rest = http::upgrade(&mut stream, gateway, token).await?;
        Ok(Self {
            stream,
            rest,
            out: Vec::new(),
            written: 0,
        })
    }

    /// Queues a text frame; the next `turn` writes it.
    pub(crate) fn send(&mut self, text: &[u8]) {
        push(&mut self.out, TEXT, text);
    }

    /// Says goodbye, if the socket has room for it, and hangs up.
    pub(crate) fn close(mut self) {
        push(&mut self.out, CLOSE, &1000_u16.to_be_bytes());
        let _ = self.stream.try_write(&self.out[self.written..]);
    }

    /// Writes what is queued and waits for bytes, then gives every whole text frame
    /// to `take`. Answers pings. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// The end of the connection, with the server's close code if it named one.
    pub(crate) async fn turn(&mut self, mut take: impl FnMut(&[u8])) -> Result<()> {
        std::future::poll_fn(|context| self.poll_turn(context, &mut take)).await
    }

    fn poll_turn(
        &mut self,
        context: &mut Context<'_>,
        take: &mut impl FnMut(&[u8]),
    ) -> Poll<Result<()>> {
        self.flush(context)?;
        if !self.rest.is_empty() {
            // What came with the answer to the upgrade, or the head of a frame.
            let rest = std::mem::take(&mut self.rest);
            let used = self.deliver(&rest, take)?;
            self.rest = rest;
            self.rest.drain(..used);
            if used > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        let mut room = [const { MaybeUninit::<u8>::uninit() }; READ];
        let mut read = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
        let bytes = read.filled();
        if bytes.is_empty() {
            return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
        }
        if self.rest.is_empty() {
            let used = self.deliver(bytes, take)?;
            self.rest.extend_from_slice(&bytes[used..]);
        } else {
            let mut rest = std::mem::take(&mut self.rest);
            rest.extend_from_slice(bytes);
            let used = self.deliver(&rest, take)?;
            // A fresh vector: the connection goes back to owning next to nothing.
            self.rest = rest[used..].to_vec();
        }
        self.flush(context)?;
        Poll::Ready(Ok(()))
    }

    /// Handles the whole frames at the beginning of `bytes` and says how long they are.
    fn deliver(&mut self, bytes: &[u8], take: &mut impl FnMut(&[u8])) -> Result<usize> {
        let mut used = 0;
        while let Some((frame, length)) = split(&bytes[used..])? {
            used += length;
            match (frame.opcode, frame.payload) {
                (TEXT, text) => take(text),
                (PING, payload) => push(&mut self.out, PONG, payload),
                (CLOSE, [a, b, ..]) => {
                    let code = u16::from_be_bytes([*a, *b]);
                    return Err(Error::other(format!("closed with {code}")));
                }
                (CLOSE, _) => return Err(Error::other("closed")),
                _ => {}
            }
        }
        Ok(used)
    }

    /// Writes as much as the kernel takes.
    fn flush(&mut self, context: &mut Context<'_>) -> Result<()> {
        while self.written < self.out.len() {
            let waiting = &self.out[self.written..];
            match Pin::new(&mut self.stream).poll_write(context, waiting) {
                Poll::Ready(written) => self.written += written?,
                Poll::Pending => return Ok(()),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server's frame: no mask.
    fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80 | opcode];
        match payload.len() {
            short @ 0..126 => bytes.push(u8::try_from(short).unwrap()),
            long @ 126..65_536 => {
                bytes.push(126);
                bytes.extend(u16::try_from(long).unwrap().to_be_bytes());
            }
            huge => {
                bytes.push(127);
                bytes.extend((huge as u64).to_be_bytes());
            }
        }
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn a_frame_of_any_length_is_read_whole_or_not_at_all() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload = vec![b'x'; length];
            let mut bytes = frame(TEXT, &payload);
            for cut in [0, 1, 2, 3, 9, bytes.len() - 1] {
                if cut < bytes.len() {
                    assert_eq!(split(&bytes[..cut]).unwrap(), None, "{cut} of {length}");
                }
            }
            let whole = bytes.len();
            bytes.extend(b"next");
            let (frame, used) = split(&bytes).unwrap().unwrap();
            assert_eq!(
                (frame.opcode, frame.payload, used),
                (TEXT, &payload[..], whole)
            );
        }
    }

    #[test]
    fn masked_fragmented_and_huge_frames_are_refused() {
        assert!(split(&[0x81, 0x80]).is_err());
        assert!(split(&[0x01, 0x00]).is_err());
        assert!(split(&[0xc1, 0x00]).is_err());
        assert!(split(&[0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn a_client_frame_is_masked_with_key_zero() {
        let mut out = Vec::new();
        push(&mut out, TEXT, b"hello");
        assert_eq!(out, b"\x81\x85\0\0\0\0hello");
        out.clear();
        push(&mut out, TEXT, &[b'x'; 300]);
        assert_eq!(out[..8], [0x81, 0xfe, 1, 44, 0, 0, 0, 0]);
        assert_eq!(out.len(), 308);
    }
}
