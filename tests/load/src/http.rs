//! HTTP/1.1 by hand, as much of it as setting up a run takes.
//!
//! A connection is kept and reused; every call ends within `DEADLINE`.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

const DEADLINE: Duration = Duration::from_secs(30);
/// How often a server that has no room just now is asked again.
const TRIES: u32 = 20;
/// A connection that was idle for longer may be about to be closed by the server.
const KEPT: Duration = Duration::from_secs(3);
const LONGEST_HEAD: usize = 16 * 1024;

/// One connection to a gateway, made when it is first needed.
#[derive(Debug)]
pub(crate) struct Http {
    gateway: SocketAddr,
    /// With the time of its last answer.
    stream: Option<(TcpStream, Instant)>,
}

/// What the server said.
#[derive(Debug)]
struct Answer {
    status: u16,
    retry_after: Option<u64>,
    body: Vec<u8>,
}

impl Http {
    pub(crate) fn new(gateway: SocketAddr) -> Self {
        Self {
            gateway,
            stream: None,
        }
    }

    /// Sends `body` and gives the answer's body, which must come with a status of 2xx.
    /// 429 and 503 are tried again after the time the server names.
    pub(crate) async fn call(
        &mut self,
        (method, path): (&str, &str),
        token: Option<&str>,
        body: &str,
    ) -> Result<Vec<u8>> {
        let request = self.request((method, path), token, body);
        for _ in 0..TRIES {
            let answer = timeout(DEADLINE, self.exchange(request.as_bytes())).await??;
            match answer.status {
                200..=299 => return Ok(answer.body),
                429 | 503 => {
                    let pause = answer.retry_after.unwrap_or(1).clamp(1, 5);
                    sleep(Duration::from_secs(pause)).await;
                }
                status => {
                    let body = String::from_utf8_lossy(&answer.body);
                    return Err(Error::other(format!("{method} {path}: {status} {body}")));
                }
            }
        }
        Err(Error::other(format!(
            "{method} {path}: the server stays too busy"
        )))
    }

    /// Sends a request once, and gives the status and the body of the answer.
    pub(crate) async fn ask(
        &mut self,
        what: (&str, &str),
        token: Option<&str>,
        body: &str,
    ) -> Result<(u16, Vec<u8>)> {
        let request = self.request(what, token, body);
        let answer = timeout(DEADLINE, self.exchange(request.as_bytes())).await??;
        Ok((answer.status, answer.body))
    }

    fn request(&self, (method, path): (&str, &str), token: Option<&str>, body: &str) -> String {
        let authorization = token.map_or_else(String::new, |token| {
            format!("Authorization: Bearer {token}\r\n")
        });
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{authorization}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.gateway,
            body.len(),
        )
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        // Taken, and put back only when all went well: a failure drops the connection.
        let mut stream = match self.stream.take() {
            Some((stream, since)) if since.elapsed() < KEPT => stream,
            _ => connect(self.gateway).await?,
        };
        stream.write_all(request).await?;
        let mut rest = Vec::new();
        let head = read_head(&mut stream, &mut rest).await?;
        let length = match header(&head, "content-length") {
            Some(length) => Some(length.parse().map_err(Error::other)?),
            None => None,
        };
        let body = match length {
            Some(length) => take(&mut stream, &mut rest, length).await?,
            None if header(&head, "transfer-encoding").is_some() => {
                read_chunks(&mut stream, &mut rest).await?
            }
            None => Vec::new(),
        };
        if !header(&head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.stream = Some((stream, Instant::now()));
        }
        let retry_after = header(&head, "retry-after").and_then(|value| value.parse().ok());
        Ok(Answer {
            status: status(&head)?,
            retry_after,
            body,
        })
    }
}

/// Asks for `/ws` on `stream`; gives the bytes that came after the server's consent.
pub(crate) async fn upgrade(
    stream: &mut TcpStream,
    gateway: SocketAddr,
    token: &str,
) -> Result<Vec<u8>> {
    // The key is RFC 6455's own example; the answer to it proves nothing we need.
    let request = format!(
        "GET /ws?token={token} HTTP/1.1\r\nHost: {gateway}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut rest = Vec::new();
    let head = timeout(DEADLINE, async {
        stream.write_all(request.as_bytes()).await?;
        read_head(stream, &mut rest).await
    });
    match status(&head.await??)? {
        101 => Ok(rest),
        status => Err(Error::other(format!("GET /ws: {status}"))),
    }
}

async fn connect(gateway: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(gateway).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads up to the empty line; what follows it stays in `rest`.
async fn read_head(stream: &mut TcpStream, rest: &mut Vec<u8>) -> Result<String> {
    loop {
        if let Some(end) = find(rest, b"\r\n\r\n") {
            let head: Vec<u8> = rest.drain(..end + 4).collect();
            return String::from_utf8(head).map_err(Error::other);
        }
        if rest.len() > LONGEST_HEAD {
            return Err(Error::new(ErrorKind::InvalidData, "endless head"));
        }
        more(stream, rest).await?;
    }
}

/// RFC 9112, 7.1, without trailers.
async fn read_chunks(stream: &mut TcpStream, rest: &mut Vec<u8>) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = loop {
            match find(rest, b"\r\n") {
                Some(end) => break end,
                None => more(stream, rest).await?,
            }
        };
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(Error::other)?;
        rest.drain(..end + 2);
        body.extend(take(stream, rest, size).await?);
        take(stream, rest, 2).await?;
        if size == 0 {
            return Ok(body);
        }
    }
}

async fn take(stream: &mut TcpStream, rest: &mut Vec<u8>, length: usize) -> Result<Vec<u8>> {
    while rest.len() < length {
        more(stream, rest).await?;
    }
    Ok(rest.drain(..length).collect())
}

async fn more(stream: &mut TcpStream, rest: &mut Vec<u8>) -> Result<()> {
    rest.reserve(1024);
    match stream.read_buf(rest).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
}

fn status(head: &str) -> Result<u16> {
    let code = head.split(' ').nth(1).unwrap_or_default();
    code.get(..3)
        .unwrap_or_default()
        .parse()
        .map_err(Error::other)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn answers_with_a_length_and_in_chunks_are_read_over_one_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut http = Http::new(listener.local_addr().unwrap());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in [
                "HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\n{\"UID\":1}",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                 4\r\n{\"a\"\r\n3;x=y\r\n:1}\r\n0\r\n\r\n",
                "HTTP/1.1 409 Conflict\r\nContent-Length: 5\r\n\r\ntaken",
            ] {
                let mut request = Vec::new();
                let head = read_head(&mut stream, &mut request).await.unwrap();
                assert!(head.starts_with("POST /x HTTP/1.1\r\n"));
                assert_eq!(header(&head, "authorization"), Some("Bearer t"));
                take(&mut stream, &mut request, 2).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let client = async {
            let mut call = async || http.call(("POST", "/x"), Some("t"), "{}").await;
            assert_eq!(call().await.unwrap(), b"{\"UID\":1}");
            assert_eq!(call().await.unwrap(), b"{\"a\":1}");
            assert_eq!(call().await.unwrap_err().to_string(), "POST /x: 409 taken");
        };
        tokio::join!(server, client);
    }
}
