//! The dialling side of links: every member without a link, and at first the addresses that were given.
//!
//! An address that does not answer is tried again after a pause that doubles up to [`PAUSE_MAX`], with
//! some randomness, so that nodes that started together do not knock together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::ready;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use kv_core::id::NodeId;
use kv_core::message::Hello;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tracing::{debug, info, warn};

use super::{FRAME_BYTES_MAX, Fault, Frame, Out, READ_BYTES, Transport};
use crate::driver::Facts;

/// How long a dial may take until the other end speaks WebSocket.
const DIAL_WAIT: Duration = Duration::from_secs(3);
/// The pause before the first dial of an address.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The pause after the first dial that fails.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long a link must have lasted before it is dialled again without a longer pause.
const SETTLED: Duration = Duration::from_secs(5);

/// Why dialling an address gave no link. Nothing was changed.
#[derive(Debug)]
pub(crate) enum DialError {
    /// No one answers.
    Unreachable(String),
    /// Someone answers, but not as a node that this one can be linked to.
    Refused(String),
    /// It is this node.
    Myself,
}

impl Transport {
    /// Dials an address and makes the connection a link, unless there is one to that node already.
    /// Returns who is there. If `expected` is given, only that node is linked to.
    pub(crate) async fn dial(
        &self,
        address: &str,
        expected: Option<NodeId>,
    ) -> Result<Hello, DialError> {
        let result = self.dial_once(address, expected).await;
        if result.is_err() {
            self.counters.dials_failed.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    async fn dial_once(&self, address: &str, expected: Option<NodeId>) -> Result<Hello, DialError> {
        let socket = match timeout(DIAL_WAIT, connect(address)).await {
            Ok(socket) => socket?,
            Err(_) => {
                let words = format!("{address} does not answer within {DIAL_WAIT:?}");
                return Err(DialError::Unreachable(words));
            }
        };
        let (sink, stream) = socket.split();
        let mut stream =
            stream.map(|message| message.map(frame).map_err(|error| super::fault(&error)));
        let mut sink = sink
            .sink_map_err(|error| error.to_string())
            .with(|out| ready(Ok::<_, String>(message(out))));
        let peer = match self.greet(address, &mut sink, &mut stream).await {
            Ok(peer) => peer,
            Err(Fault::Myself) => return Err(DialError::Myself),
            Err(fault @ Fault::Gone(_)) => {
                return Err(DialError::Unreachable(format!("{address} hung up: {fault}")));
            }
            Err(fault @ (Fault::Nonsense(_) | Fault::Refused(_))) => {
                return Err(DialError::Refused(format!("{address}: {fault}")));
            }
        };
        if expected.is_some_and(|expected| expected != peer.node) {
            let words = format!("{address} is node {:?} now, not the one it was", peer.name);
            return Err(DialError::Refused(words));
        }
        if let Some(running) = self.offer(&peer, false, &mut sink).await {
            let transport = self.clone();
            tokio::spawn(async move { transport.run(running, sink, stream).await });
        }
        Ok(peer)
    }
}

async fn connect(address: &str) -> Result<WebSocketStream<TcpStream>, DialError> {
    let unreachable =
        |error| DialError::Unreachable(format!("{address} cannot be reached: {error}"));
    let stream = TcpStream::connect(address).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX))
        .read_buffer_size(READ_BYTES);
    let url = format!("ws://{address}/ws/peer");
    match client_async_with_config(url, stream, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(error) => Err(DialError::Refused(format!(
            "{address} answers, but not as a kv node ({error}); check the address"
        ))),
    }
}

/// Holds links to the other members and, while there are none, to the nodes at `seeds`. Never returns.
pub(crate) async fn keep_dialling(transport: Transport, seeds: Vec<String>) {
    let mut facts = transport.handle.facts_watch();
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    let mut dials = JoinSet::new();
    loop {
        let now = Instant::now();
        let wanted = wanted(&facts.borrow_and_update(), &seeds, &places);
        places.retain(|address, place| wanted.contains_key(address) || place.is_remembered(now));
        for (address, expected) in wanted {
            let place = places
                .entry(address.clone())
                .or_insert_with(|| Place::new(seeds.contains(&address)));
            if place.busy || place.next > now || place.hopeless {
                continue;
            }
            place.busy = true;
            let transport = transport.clone();
            dials.spawn(async move {
                let result = transport.dial(&address, expected).await;
                (address, result)
            });
        }
        let next = places.values().filter(|place| !place.busy && place.next > now);
        let next = next.map(|place| place.next).min().unwrap_or_else(|| now + PAUSE_MAX);
        tokio::select! {
            changed = facts.changed() => if changed.is_err() { return },
            Some(Ok((address, result))) = dials.join_next() => {
                if let Some(place) = places.get_mut(&address) {
                    place.dialled(result);
                }
            }
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// The addresses to dial, with whom to expect there if that is known.
fn wanted(
    facts: &Facts,
    seeds: &[String],
    places: &BTreeMap<String, Place>,
) -> BTreeMap<String, Option<NodeId>> {
    let mut wanted = BTreeMap::new();
    // A member that reaches no other may find them where it found them at first.
    if facts.layout.is_none() || facts.linked.is_empty() {
        let linked: BTreeSet<&str> =
            facts.linked.values().map(|hello| hello.address.as_str()).collect();
        for seed in seeds {
            let found = places.get(seed).and_then(|place| place.node);
            let is_linked = linked.contains(seed.as_str())
                || found.is_some_and(|node| facts.linked.contains_key(&node));
            if !is_linked {
                wanted.insert(seed.clone(), None);
            }
        }
    }
    for (node, address) in &facts.addresses {
        if !facts.linked.contains_key(node) {
            wanted.insert(address.clone(), Some(*node));
        }
    }
    wanted
}

/// What is known of an address.
struct Place {
    /// Given at the start, so what was found there is kept in mind.
    is_seed: bool,
    /// A dial is under way.
    busy: bool,
    /// No dial will ever make a link.
    hopeless: bool,
    /// When to dial again.
    next: Instant,
    /// The pause after the next failure.
    pause: Duration,
    /// Who answered last.
    node: Option<NodeId>,
    /// When.
    linked: Option<Instant>,
}

impl Place {
    fn new(is_seed: bool) -> Self {
        // Nodes that start together do not dial each other at the very same moment.
        let next = Instant::now() + with_jitter(FIRST_PAUSE);
        Self {
            is_seed,
            busy: false,
            hopeless: false,
            next,
            pause: PAUSE_MIN,
            node: None,
            linked: None,
        }
    }

    /// Whether what is known of it still matters while no one wants to dial it.
    fn is_remembered(&self, now: Instant) -> bool {
        self.busy || self.is_seed || self.linked.is_some_and(|linked| now - linked <= SETTLED)
    }

    fn dialled(&mut self, result: Result<Hello, DialError>) {
        self.busy = false;
        let first = self.pause == PAUSE_MIN;
        let now = Instant::now();
        self.next = now + with_jitter(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        match result {
            Ok(hello) => {
                self.node = Some(hello.node);
                // A link that breaks at once again is no success.
                if self.linked.is_none_or(|before| now - before > SETTLED) {
                    self.pause = PAUSE_MIN;
                }
                self.linked = Some(now);
            }
            Err(DialError::Myself) => self.hopeless = true,
            Err(DialError::Unreachable(words)) if first => info!("{words}; trying on"),
            Err(DialError::Refused(words)) if first => warn!("{words}; trying on"),
            Err(DialError::Unreachable(words) | DialError::Refused(words)) => debug!("{words}"),
        }
    }
}

/// Between three and five quarters of a pause.
fn with_jitter(pause: Duration) -> Duration {
    // Without entropy the nodes merely knock together.
    let random = getrandom::u32().unwrap_or_default();
    pause * 3 / 4 + pause / 2 * (random % 1_000) / 1_000
}

fn message(out: Out) -> Message {
    match out {
        Out::Binary(bytes) => Message::Binary(bytes),
        Out::Ping => Message::Ping(Bytes::new()),
        Out::Close(reason) => {
            Message::Close(Some(CloseFrame { code: CloseCode::Policy, reason: reason.into() }))
        }
    }
}

fn frame(message: Message) -> Frame {
    match message {
        Message::Binary(bytes) => Frame::Binary(bytes),
        Message::Text(_) => Frame::Text,
        Message::Close(frame) => {
            Frame::Close(frame.map(|frame| frame.reason.to_string()).unwrap_or_default())
        }
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Frame::Ping,
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(words) | Self::Refused(words) => f.write_str(words),
            Self::Myself => f.write_str("this is the node itself"),
        }
    }
}
