//! A client's TCP connection that ends politely.
//!
//! Closing a socket with unread input makes the kernel send a reset, which may
//! destroy an answer that the client has not read yet: it would see a broken
//! connection where we said 413. So a shutdown says that nothing more comes, then
//! reads on and throws away, a little while (RFC 9112, section 9.6).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

/// How long input is thrown away …
const LINGER: Duration = Duration::from_secs(2);
/// … and how much of it.
const LINGER_BYTES: usize = 32 << 20;

/// The connection, and its place among those that may be open.
pub(super) struct Lingering {
    stream: TcpStream,
    ending: Option<Box<Ending>>,
    _place: OwnedSemaphorePermit,
}

struct Ending {
    until: Pin<Box<Sleep>>,
    thrown_away: usize,
}

impl Lingering {
    pub(super) fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            ending: None,
            _place: place,
        }
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, ending, .. } = self.get_mut();
        if ending.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
        }
        let ending = ending.get_or_insert_with(|| {
            Box::new(Ending {
                until: Box::pin(sleep(LINGER)),
                thrown_away: 0,
            })
        });
        let mut bin = [0; 4096];
        while ending.thrown_away < LINGER_BYTES && ending.until.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut bin);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    ending.thrown_away += buffer.filled().len();
                }
                // The client has ended its side too, or is gone.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
