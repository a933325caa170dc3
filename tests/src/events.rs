//! A stream of server-sent events, read one by one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::process::{NodeProcess, PATIENCE};

/// A stream that was opened. Dropping it closes the connection.
pub struct Events {
    /// The status of the answer.
    pub status: u16,
    lines: BufReader<TcpStream>,
}

/// One event.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// Where to go on behind it.
    pub id: String,
    /// Its name; empty if it has none.
    pub name: String,
    /// What it says.
    pub data: Value,
}

impl Events {
    /// Opens a stream.
    ///
    /// # Panics
    ///
    /// If the node does not answer.
    pub fn open(node: &NodeProcess, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(&node.address).expect("the node listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        // In HTTP/1.0 the end of the answer is that of the connection, and there are no chunks.
        let mut request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n", node.address);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).expect("it can be sent");
        let mut events = Self { status: 0, lines: BufReader::new(stream) };
        let first = events.line().expect("an answer");
        events.status =
            first.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        while events.line().is_some_and(|line| !line.is_empty()) {}
        events
    }

    /// The next event that says something.
    ///
    /// # Panics
    ///
    /// If the stream ends before.
    pub fn told(&mut self) -> Event {
        loop {
            let event = self.next().expect("the stream goes on");
            if !event.data.is_null() {
                return event;
            }
        }
    }

    /// A line without its end; none at the end of the stream, or if nothing comes for too long.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
        }
    }
}

impl Iterator for Events {
    type Item = Event;

    /// The next event, even if it says nothing but where to go on; none at the end of the stream.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("id", id)) => event.id = id.into(),
                Some(("event", name)) => event.name = name.into(),
                Some(("data", data)) => event.data = serde_json::from_str(data).expect("JSON"),
                _ if line.is_empty() => return Some(event),
                _ => {}
            }
        }
    }
}
