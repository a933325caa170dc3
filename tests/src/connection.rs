//! HTTP/1.1 on a connection that is kept, for clients whose history is judged: it never sends a request
//! twice by itself, and tells one that surely never arrived from one that has got no answer.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a connection or an answer may take.
const WAIT: Duration = Duration::from_secs(3);

/// What became of a request.
#[derive(Debug)]
pub enum Sent {
    /// It was answered.
    Answered(Response),
    /// Nobody has got it.
    Never,
    /// It may have been carried out or not, now or later.
    Lost,
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The entity tag, or nothing.
    pub tag: String,
    /// The body as text.
    pub body: String,
}

/// A connection to an address, made when it is needed.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    /// One that is not open yet.
    ///
    /// # Panics
    ///
    /// If it is no address of the form `127.0.0.1:80`.
    pub fn new(address: &str) -> Self {
        Self { address: address.parse().expect("an address with a port"), stream: None }
    }

    /// Sends a request and waits for its answer.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: &str,
    ) -> Sent {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => match connect(self.address) {
                Ok(stream) => stream,
                Err(_) => return Sent::Never,
            },
        };
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n",
            self.address,
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body);
        // Even what cannot be written to its end may have arrived in part.
        let answer =
            stream.get_mut().write_all(request.as_bytes()).and_then(|()| receive(&mut stream));
        match answer {
            Ok(response) => {
                self.stream = Some(stream);
                Sent::Answered(response)
            }
            Err(_) => Sent::Lost,
        }
    }
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&address, WAIT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    Ok(BufReader::new(stream))
}

fn receive(stream: &mut BufReader<TcpStream>) -> io::Result<Response> {
    let nonsense = || io::Error::from(io::ErrorKind::InvalidData);
    let mut line = String::new();
    let mut next = |stream: &mut BufReader<TcpStream>| {
        line.clear();
        match stream.read_line(&mut line)? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            _ => Ok(line.trim_end().to_owned()),
        }
    };
    let first = next(stream)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (mut length, mut tag) = (None, String::new());
    loop {
        let header = next(stream)?;
        let Some((name, value)) = header.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok(),
            "etag" => value.trim().clone_into(&mut tag),
            _ => {}
        }
    }
    let mut body = vec![0; length.ok_or_else(nonsense)?];
    stream.read_exact(&mut body)?;
    let body = String::from_utf8(body).map_err(|_| nonsense())?;
    Ok(Response { status: status.ok_or_else(nonsense)?, tag, body })
}
