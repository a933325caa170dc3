//! kv over HTTP/1.1: `/v1/strong/keys/KEY` on a connection that is kept. One write and usually one read of
//! the socket per request, and as little of the protocol as kv's answers use.

use std::io::Write;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATH: &str = "/v1/strong/keys/";

pub(super) struct Client {
    stream: TcpStream,
    host: String,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Client {
    pub(super) async fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (request, answer) = (Vec::with_capacity(1_024), Vec::with_capacity(4_096));
        Ok(Self { stream, host: address.to_owned(), request, answer })
    }

    pub(super) async fn put(&mut self, key: &str, value: &[u8]) -> Result<()> {
        self.request.clear();
        let (host, length) = (&self.host, value.len());
        write!(
            self.request,
            "PUT {PATH}{key} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n"
        )?;
        self.request.extend_from_slice(value);
        self.call(200).await.map(drop)
    }

    /// The size of the value.
    pub(super) async fn read(&mut self, key: &str) -> Result<usize> {
        self.request.clear();
        let host = &self.host;
        write!(self.request, "GET {PATH}{key} HTTP/1.1\r\nhost: {host}\r\n\r\n")?;
        self.call(200).await
    }

    /// Sends the request and reads the answer to its end; returns the size of the body.
    async fn call(&mut self, expected: u16) -> Result<usize> {
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        let (body, status) = loop {
            self.more().await?;
            if let Some(end) = head_end(&self.answer) {
                let (status, length) = head(&self.answer[..end])?;
                while self.answer.len() < end + length {
                    self.more().await?;
                }
                break (end..end + length, status);
            }
        };
        if status != expected {
            bail!("status {status}: {}", String::from_utf8_lossy(&self.answer[body]));
        }
        Ok(body.len())
    }

    async fn more(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.answer).await? {
            0 => bail!("the node has closed the connection"),
            _ => Ok(()),
        }
    }
}

/// Where the head ends, once it is there.
fn head_end(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|window| window == b"\r\n\r\n").map(|start| start + 4)
}

/// The status and the length of the body.
fn head(head: &[u8]) -> Result<(u16, usize)> {
    let head = std::str::from_utf8(head).context("a head is text")?;
    let mut lines = head.split("\r\n");
    let status =
        lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|it| it.parse().ok());
    let status = status.context("an answer begins with a status")?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|(_, length)| length.trim().parse().ok());
    length.map(|length| (status, length)).context("an answer tells the length of its body")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_status_and_length() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nkv-revision: 7\r\n\r\nhello world.";
        let end = head_end(answer).unwrap();
        assert_eq!(head(&answer[..end]).unwrap(), (200, 12));
        assert_eq!(&answer[end..], b"hello world.");
        assert_eq!(head_end(&answer[..end - 1]), None);
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
