//! What waits for the node.

use kv_core::error::RequestError;
use kv_core::id::{NodeId, RequestId};
use kv_core::io::Input;
use kv_core::message::Envelope;
use kv_core::node::NodeView;
use kv_core::request::{Reply, Request};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::links::{Connection, ConnectionId, Verdict};

/// What does not wait in line.
pub(crate) enum Control {
    /// A sync or job has ended, or a client withdraws or has room.
    Input(Input),
    /// A connection has ended.
    Disconnected(ConnectionId),
    /// A link is of no use.
    Unlink(NodeId),
    /// Someone wants to see the node.
    View(oneshot::Sender<NodeView>),
    /// End when what is open is done.
    Stop,
}

/// What comes from other nodes.
pub(crate) enum Arrival {
    /// A connection has said its hello.
    Connected {
        /// It.
        connection: Connection,
        /// Told whether to go on.
        verdict: oneshot::Sender<Verdict>,
    },
    /// A message.
    Message {
        /// On which connection.
        connection: ConnectionId,
        /// It.
        envelope: Box<Envelope>,
        /// Its share of the bytes that may wait; given back when it is handled.
        room: Option<OwnedSemaphorePermit>,
    },
}

/// What a client asks.
pub(super) struct ClientRequest {
    /// Its number.
    pub(super) id: RequestId,
    /// It.
    pub(super) request: Request,
    /// Where the answer goes.
    pub(super) answers: Answers,
}

/// A part of an answer, and whether more follow.
pub(crate) type Answer = (Result<Reply, RequestError>, bool);

/// Where the answer to a request goes. Nearly all are answered once, and a channel for many parts takes
/// kilobytes.
pub(super) enum Answers {
    /// All at once.
    Whole(oneshot::Sender<Result<Reply, RequestError>>),
    /// In parts.
    Parts(UnboundedSender<Answer>),
}

impl Answers {
    /// Whether the client has gone.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Whole(answer) => answer.is_closed(),
            Self::Parts(parts) => parts.is_closed(),
        }
    }

    /// A part that is not the last. A client that has gone withdraws its request by itself.
    pub(super) fn part(&self, result: Result<Reply, RequestError>) {
        if let Self::Parts(parts) = self {
            let _ = parts.send((result, true));
        }
    }

    /// The answer, or its last part.
    pub(super) fn last(self, result: Result<Reply, RequestError>) {
        match self {
            Self::Whole(answer) => drop(answer.send(result)),
            Self::Parts(parts) => drop(parts.send((result, false))),
        }
    }
}

/// The receiving ends of the queues.
pub(super) struct Queues {
    pub(super) control: UnboundedReceiver<Control>,
    pub(super) urgent: Receiver<Arrival>,
    pub(super) bulk: Receiver<Arrival>,
    pub(super) clients: Receiver<ClientRequest>,
}
