//! HTTP and WebSocket by hand, for what no client library would send.

use std::time::Duration;

use client::Api;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Nothing takes longer than this to be noticed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A bare connection to a gateway.
pub(crate) async fn dial(api: &Api) -> TcpStream {
    TcpStream::connect(api.base().trim_start_matches("http://"))
        .await
        .unwrap()
}

/// Reads until the server ends the connection, in whatever way.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end too; what came before it counts.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("an end in time");
    bytes
}

/// The status of an answer's first line.
pub(crate) fn status(answer: &[u8]) -> u16 {
    let line = String::from_utf8_lossy(&answer[..answer.len().min(64)]).into_owned();
    line.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| {
            panic!("no status line: {line:?}");
        })
}

/// What a frame holds (RFC 6455, section 5.2).
pub(crate) mod opcode {
    pub(crate) const CONTINUATION: u8 = 0x0;
    pub(crate) const TEXT: u8 = 0x1;
    pub(crate) const BINARY: u8 = 0x2;
    pub(crate) const CLOSE: u8 = 0x8;
    pub(crate) const PING: u8 = 0x9;
    pub(crate) const PONG: u8 = 0xa;
}

/// A frame to be sent, right or wrong.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// The first byte's upper half: FIN and the reserved bits.
    pub(crate) flags: u8,
    pub(crate) opcode: u8,
    pub(crate) masked: bool,
    pub(crate) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    const FIN: u8 = 0x80;

    /// A whole frame, as it should be.
    pub(crate) fn whole(opcode: u8, payload: &'a [u8]) -> Self {
        Self {
            flags: Self::FIN,
            opcode,
            masked: true,
            payload,
        }
    }

    /// A part of a message with more to come.
    pub(crate) fn part(opcode: u8, payload: &'a [u8]) -> Self {
        Self {
            flags: 0,
            opcode,
            masked: true,
            payload,
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
        let mut bytes = vec![self.flags | self.opcode];
        let masked = if self.masked { 0x80 } else { 0 };
        match self.payload.len() {
            short @ 0..=0x7d => bytes.push(masked | u8::try_from(short).unwrap()),
            middle @ 0x7e..=0xffff => {
                bytes.push(masked | 0x7e);
                bytes.extend(u16::try_from(middle).unwrap().to_be_bytes());
            }
            long => {
                bytes.push(masked | 0x7f);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        if self.masked {
            bytes.extend(MASK);
            let veiled = self.payload.iter().zip(MASK.iter().cycle());
            bytes.extend(veiled.map(|(byte, mask)| byte ^ mask));
        } else {
            bytes.extend(self.payload);
        }
        bytes
    }
}

/// A WebSocket by hand.
pub(crate) struct RawSocket {
    stream: TcpStream,
}

impl RawSocket {
    /// Upgrades a connection as the holder of `api`'s token and reads the first frame.
    pub(crate) async fn open(api: &Api) -> Self {
        Self::upgrade(dial(api).await, api).await
    }

    /// As [`RawSocket::open`], with as little room as the kernel gives for what is not
    /// read yet.
    pub(crate) async fn open_narrow(api: &Api) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(1).unwrap();
        let address = api.base().trim_start_matches("http://").parse().unwrap();
        Self::upgrade(socket.connect(address).await.unwrap(), api).await
    }

    async fn upgrade(mut stream: TcpStream, api: &Api) -> Self {
        let host = api.base().trim_start_matches("http://");
        let token = api.token().unwrap_or_default();
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Authorization: {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert_eq!(status(&head), 101, "{}", String::from_utf8_lossy(&head));
        let mut socket = Self { stream };
        let first = socket.read().await.unwrap();
        assert_eq!(
            first,
            (opcode::TEXT, client::wire::frame::HELLO.as_bytes().to_vec())
        );
        socket
    }

    pub(crate) async fn send(&mut self, frame: Frame<'_>) {
        self.send_bytes(&frame.bytes()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.send(Frame::whole(opcode::TEXT, text.as_bytes())).await;
    }

    /// Sends bytes, unless the server has ended the connection.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.takes(bytes).await;
    }

    /// Sends bytes; says whether all of them were taken.
    pub(crate) async fn takes(&mut self, bytes: &[u8]) -> bool {
        timeout(PATIENCE, self.stream.write_all(bytes))
            .await
            .expect("room to write")
            .is_ok()
    }

    /// The next frame's opcode and payload; `None` when the connection has ended.
    pub(crate) async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        timeout(PATIENCE, self.read_frame())
            .await
            .expect("a frame in time")
            .ok()
    }

    async fn read_frame(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let opcode = self.stream.read_u8().await? & 0x0f;
        let length = match self.stream.read_u8().await? {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).await?;
        Ok((opcode, payload))
    }

    /// The next text frame; control frames before it are passed over.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            let (opcode, payload) = self.read().await.expect("a text frame, not the end");
            if opcode == opcode::TEXT {
                return String::from_utf8(payload).unwrap();
            }
            assert!(
                matches!(opcode, opcode::PING | opcode::PONG),
                "opcode {opcode}"
            );
        }
    }

    /// Reads on until the connection has ended, and tells the close code, if the server
    /// sent one.
    pub(crate) async fn end(&mut self) -> Option<u16> {
        while let Some((opcode, payload)) = self.read().await {
            if opcode == opcode::CLOSE {
                return payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
        }
        None
    }
}
