//! Links between nodes: WebSockets that carry binary frames.
//!
//! Each side first says [`Hello`], then sends [`Envelope`]s, each one frame of
//! [`kv_core::codec::encode_frame`]. This file runs a connection, whoever dialled it; `accept.rs` and
//! `dial.rs` make them, and the driver decides which one is kept. A peer that breaks the rules loses its
//! connection; that is counted and logged, and nothing else happens.
//!
//! Left out: encryption and proof of who the peer is. A large frame is sent in one piece, so on a slow
//! line it holds up an urgent one for as long as its bytes take.

mod accept;
mod dial;

pub(crate) use accept::accept;
pub(crate) use dial::{DialError, keep_dialling};

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use kv_core::codec::{self, DecodeError};
use kv_core::message::{Envelope, Hello, Lane};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite;
use tracing::{debug, warn};

use crate::driver::{Arrival, Connection, ConnectionId, Control, Handle, Verdict};

/// The largest frame: the largest value that may be set, with room for its key and versions.
pub(crate) const FRAME_BYTES_MAX: usize = (64 << 20) + (8 << 20);
/// How much is read from a link at a time. All of it is cleared before each read, so it is just as much as
/// frames usually take.
const READ_BYTES: usize = 16 << 10;
/// How many bytes of frames from all peers may wait for the node.
const ARRIVED_BYTES_MAX: u32 = 256 << 20;
/// How many frames may wait on one lane of one link.
const LANE: usize = 16_384;
/// How often each side makes itself heard.
const PING_EVERY: Duration = Duration::from_secs(1);
/// After what silence a connection counts as dead. A frame must arrive whole within it.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Two nodes go by one name.
const SAME_NAME: &str = "another node has this name already; give each node a --name of its own";
/// How long the other side may take to say hello.
const HELLO_WAIT: Duration = Duration::from_secs(5);

/// Makes and runs connections for one node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Transport {
    handle: Handle,
    next_connection: Arc<AtomicU64>,
    room: Arc<Semaphore>,
    counters: Arc<Counters>,
}

/// What the transport counts since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Connections that became links.
    pub(crate) links: AtomicU64,
    /// Connections that were closed because the peer spoke nonsense.
    pub(crate) nonsense: AtomicU64,
    /// Dials that reached no node.
    pub(crate) dials_failed: AtomicU64,
}

/// What arrives on a socket, of either library.
enum Frame {
    Binary(Bytes),
    /// Only proof of life.
    Ping,
    Text,
    /// With the reason, if one is given.
    Close(String),
}

/// Why a connection is of no use.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// The peer closed it, the network broke, or it fell silent.
    Gone(String),
    /// The peer closed it for a reason.
    Refused(String),
    /// The peer is this node.
    Myself,
    /// The peer does not keep to the protocol.
    Nonsense(String),
}

impl Transport {
    /// The transport of the node behind the handle.
    pub(crate) fn new(handle: Handle) -> Self {
        Self {
            handle,
            next_connection: Arc::new(AtomicU64::new(1)),
            room: Arc::new(Semaphore::new(ARRIVED_BYTES_MAX as usize)),
            counters: Arc::default(),
        }
    }

    /// What it has counted.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Says hello and hears the peer's. `who` names the other end in log lines.
    async fn greet(
        &self,
        who: &str,
        sink: &mut (impl Sink<Out, Error = String> + Unpin),
        stream: &mut (impl Stream<Item = Result<Frame, Fault>> + Unpin),
    ) -> Result<Hello, Fault> {
        let own = self.handle.facts().hello.clone();
        let hello = Bytes::from(codec::encode_frame(&own));
        sink.send(Out::Binary(hello)).await.map_err(Fault::Gone)?;
        let first = timeout(HELLO_WAIT, next_binary(stream));
        let frame = first.await.map_err(|_| Fault::Gone("it said no hello".into()))??;
        let peer: Hello = codec::decode_frame(&frame).map_err(|error| nonsense("hello", error))?;
        if (peer.node, peer.incarnation) == (own.node, own.incarnation) {
            return Err(Fault::Myself);
        }
        if peer.node == own.node {
            // Said before the connection closes, so that both logs tell.
            let _ = sink.send(Out::Close(SAME_NAME)).await;
            return Err(Fault::Nonsense(SAME_NAME.into()));
        }
        debug!(who, peer = peer.name, "the other end has said hello");
        Ok(peer)
    }

    /// Offers a connection to the driver and, if it becomes the link, returns what runs it.
    async fn offer(
        &self,
        peer: &Hello,
        dialled_by_peer: bool,
        sink: &mut (impl Sink<Out, Error = String> + Unpin),
    ) -> Option<Running> {
        let id = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let (urgent, urgent_out) = mpsc::channel(LANE);
        let (bulk, bulk_out) = mpsc::channel(LANE);
        let (open, closed) = oneshot::channel();
        let bulk_bytes = Arc::new(AtomicU64::new(0));
        let (verdict, said) = oneshot::channel();
        let connection = Connection {
            id,
            peer: peer.clone(),
            dialled_by_peer,
            urgent,
            bulk,
            bulk_bytes: Arc::clone(&bulk_bytes),
            _open: open,
        };
        self.handle.arrived(true, Arrival::Connected { connection, verdict }).await;
        match said.await {
            Ok(Verdict::Kept) => {
                self.counters.links.fetch_add(1, Ordering::Relaxed);
                let lanes = Lanes { urgent: urgent_out, bulk: bulk_out, bulk_bytes };
                Some(Running { id, peer: peer.clone(), lanes, closed })
            }
            Ok(Verdict::NameTaken) => {
                let fault = Fault::Nonsense(SAME_NAME.into());
                self.report(&peer.address, &fault);
                // If the other end has gone meanwhile, it needs no reason.
                let _ = sink.send(Out::Close(SAME_NAME)).await;
                None
            }
            Ok(Verdict::Duplicate) | Err(_) => None,
        }
    }

    /// Runs a link until either side ends it.
    async fn run(
        &self,
        running: Running,
        sink: impl Sink<Out, Error = String> + Unpin,
        stream: impl Stream<Item = Result<Frame, Fault>> + Unpin,
    ) {
        let Running { id, peer, lanes, closed } = running;
        let fault = tokio::select! {
            fault = self.read(id, &peer, stream) => fault,
            fault = write(lanes, sink) => fault,
            _ = closed => Fault::Gone("it was taken down".into()),
        };
        self.handle.control(Control::Disconnected(id));
        self.report(&peer.name, &fault);
    }

    /// Takes frames in until something is wrong, which is returned.
    async fn read(
        &self,
        connection: ConnectionId,
        peer: &Hello,
        mut stream: impl Stream<Item = Result<Frame, Fault>> + Unpin,
    ) -> Fault {
        loop {
            let frame = match next_binary(&mut stream).await {
                Ok(frame) => frame,
                Err(fault) => return fault,
            };
            let envelope: Box<Envelope> = match codec::decode_frame(&frame) {
                Ok(envelope) => envelope,
                Err(error) => return nonsense("message", error),
            };
            if envelope.from != peer.node {
                return Fault::Nonsense("it sent a message in the name of another node".into());
            }
            let urgent = envelope.message.lane() == Lane::Urgent;
            let room = match u32::try_from(frame.len()) {
                // While there is no room, nothing more is read, and the peer's lanes fill up instead.
                Ok(bytes) if !urgent => Arc::clone(&self.room).acquire_many_owned(bytes).await.ok(),
                _ => None,
            };
            self.handle.arrived(urgent, Arrival::Message { connection, envelope, room }).await;
        }
    }

    /// Counts and logs why a connection ended.
    fn report(&self, who: &str, fault: &Fault) {
        match fault {
            Fault::Gone(_) | Fault::Myself => debug!(who, "connection ended: {fault}"),
            Fault::Refused(_) => warn!(who, "connection closed: {fault}"),
            Fault::Nonsense(_) => {
                self.counters.nonsense.fetch_add(1, Ordering::Relaxed);
                warn!(who, "connection closed: {fault}");
            }
        }
    }
}

/// A connection that has become a link.
struct Running {
    id: ConnectionId,
    peer: Hello,
    lanes: Lanes,
    closed: oneshot::Receiver<()>,
}

/// What waits to be sent on a link.
struct Lanes {
    urgent: mpsc::Receiver<Bytes>,
    bulk: mpsc::Receiver<Bytes>,
    bulk_bytes: Arc<AtomicU64>,
}

/// What is sent on a socket.
enum Out {
    Binary(Bytes),
    Ping,
    Close(&'static str),
}

/// Sends what waits, urgent frames first, and flushes when nothing waits.
async fn write(mut lanes: Lanes, mut sink: impl Sink<Out, Error = String> + Unpin) -> Fault {
    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unflushed = false;
    loop {
        let next = tokio::select! {
            biased;
            frame = lanes.urgent.recv() => frame.map(Out::Binary),
            _ = ping.tick() => Some(Out::Ping),
            frame = lanes.bulk.recv() => frame.map(|frame| {
                lanes.bulk_bytes.fetch_sub(frame.len() as u64, Ordering::Relaxed);
                Out::Binary(frame)
            }),
            () = std::future::ready(()), if unflushed => {
                unflushed = false;
                match sink.flush().await {
                    Ok(()) => continue,
                    Err(words) => return Fault::Gone(words),
                }
            }
        };
        let Some(out) = next else { return Fault::Gone("it was taken down".into()) };
        if let Err(words) = sink.feed(out).await {
            return Fault::Gone(words);
        }
        unflushed = true;
    }
}

/// The next binary frame. Pings only prove that the peer lives.
async fn next_binary(
    stream: &mut (impl Stream<Item = Result<Frame, Fault>> + Unpin),
) -> Result<Bytes, Fault> {
    loop {
        let silence = |_| Fault::Gone(format!("nothing was heard for {SILENCE_MAX:?}"));
        match timeout(SILENCE_MAX, stream.next()).await.map_err(silence)? {
            Some(Ok(Frame::Binary(bytes))) => return Ok(bytes),
            Some(Ok(Frame::Ping)) => {}
            Some(Ok(Frame::Text)) => {
                return Err(Fault::Nonsense("it sent text; is it a kv node?".into()));
            }
            Some(Ok(Frame::Close(reason))) if !reason.is_empty() => {
                return Err(Fault::Refused(reason));
            }
            Some(Ok(Frame::Close(_))) | None => {
                return Err(Fault::Gone("the peer closed it".into()));
            }
            Some(Err(fault)) => return Err(fault),
        }
    }
}

/// What an error of a socket says of the peer.
fn fault(error: &tungstenite::Error) -> Fault {
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    match error {
        tungstenite::Error::Protocol(ResetWithoutClosingHandshake) => {
            Fault::Gone(error.to_string())
        }
        tungstenite::Error::Protocol(_)
        | tungstenite::Error::Capacity(_)
        | tungstenite::Error::Utf8(_) => Fault::Nonsense(error.to_string()),
        _ => Fault::Gone(error.to_string()),
    }
}

fn nonsense(what: &str, error: DecodeError) -> Fault {
    Fault::Nonsense(format!("its {what} cannot be read: {error}"))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(words) => f.write_str(words),
            Self::Refused(words) => write!(f, "the other end says: {words}"),
            Self::Myself => f.write_str("this node has dialled itself"),
            Self::Nonsense(words) => write!(
                f,
                "{words}; nothing was changed (only kv nodes of one release may speak to /ws/peer)"
            ),
        }
    }
}
