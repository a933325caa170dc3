//! The links to other nodes, each kept over exactly one connection.
//!
//! A link belongs to two node ids. Both may dial, and one may dial again before the other has noticed
//! that the old connection is dead; then both sides must keep the same one. The rule, in
//! [`replaces`], looks only at what both know: who dialled, and which boot each end is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use kv_core::codec;
use kv_core::id::NodeId;
use kv_core::io::Input;
use kv_core::message::{Envelope, Hello, Lane};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use crate::transport::FRAME_BYTES_MAX;

/// How many bytes may wait on the bulk lane of one link.
const BULK_BYTES_MAX: u64 = 256 << 20;

/// Names a connection within the process.
pub(crate) type ConnectionId = u64;

/// One connection that has said its hello, as the driver sees it.
pub(crate) struct Connection {
    /// Which.
    pub(crate) id: ConnectionId,
    /// Who is at the other end.
    pub(crate) peer: Hello,
    /// Whether the other end dialled.
    pub(crate) dialled_by_peer: bool,
    /// Frames that must not wait behind large ones.
    pub(crate) urgent: mpsc::Sender<Bytes>,
    /// All other frames.
    pub(crate) bulk: mpsc::Sender<Bytes>,
    /// The bytes that wait on the bulk lane; the writer subtracts what it has sent.
    pub(crate) bulk_bytes: Arc<AtomicU64>,
    /// Dropped to end the connection at once.
    pub(crate) _open: oneshot::Sender<()>,
}

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the link now.
    Kept,
    /// Another one to the same process is; this one ends.
    Duplicate,
    /// There is a link to another node of the same name; this one ends.
    NameTaken,
}

/// All links of the node.
#[derive(Default)]
pub(crate) struct Links(BTreeMap<NodeId, Connection>);

impl Links {
    /// Takes a connection in, or refuses it. Returns what the node must hear.
    pub(crate) fn admit(&mut self, new: Connection, own: NodeId) -> (Verdict, Vec<Input>) {
        let mut inputs = Vec::new();
        if let Some(old) = self.0.get(&new.peer.node) {
            if new.peer.incarnation != old.peer.incarnation {
                return (Verdict::NameTaken, inputs);
            }
            if !replaces(&new, old, own) {
                debug!(peer = new.peer.name, "a second connection was closed");
                return (Verdict::Duplicate, inputs);
            }
            debug!(peer = new.peer.name, "a new connection takes the place of the old one");
            inputs.push(Input::Link { peer: old.peer.clone(), up: false });
        }
        inputs.push(Input::Link { peer: new.peer.clone(), up: true });
        self.0.insert(new.peer.node, new);
        (Verdict::Kept, inputs)
    }

    /// A connection has ended; if it was a link, the node must hear of it.
    pub(crate) fn remove(&mut self, connection: ConnectionId) -> Option<Input> {
        let peer = *self.0.iter().find(|(_, link)| link.id == connection)?.0;
        self.take_down(peer)
    }

    /// Ends the link to a node.
    pub(crate) fn take_down(&mut self, peer: NodeId) -> Option<Input> {
        let link = self.0.remove(&peer)?;
        Some(Input::Link { peer: link.peer, up: false })
    }

    /// Whether a connection is a link.
    pub(crate) fn is_current(&self, connection: ConnectionId) -> bool {
        self.0.values().any(|link| link.id == connection)
    }

    /// Queues a message. If its lane is full, the link is taken down rather than left with a hole, and
    /// the node must hear of that. Without a link the message is lost, as in any network.
    pub(crate) fn send(&mut self, lane: Lane, envelope: &Envelope) -> Option<Input> {
        let link = self.0.get(&envelope.to)?;
        match link.queue(lane, Bytes::from(codec::encode_frame(envelope))) {
            Ok(()) => None,
            Err(Overflow::Closed) => self.take_down(envelope.to),
            Err(Overflow::Full) => {
                warn!(
                    peer = link.peer.name,
                    ?lane,
                    "the link is taken down: the other node does not keep up; it is dialled again"
                );
                self.take_down(envelope.to)
            }
            Err(Overflow::TooLarge(bytes)) => {
                warn!(
                    peer = link.peer.name,
                    bytes,
                    "the link is taken down: a message is larger than {FRAME_BYTES_MAX} bytes; a key has too many or too large siblings, overwrite it"
                );
                self.take_down(envelope.to)
            }
        }
    }

    /// What the other ends have said of themselves.
    pub(crate) fn hellos(&self) -> BTreeMap<NodeId, Hello> {
        self.0.iter().map(|(node, link)| (*node, link.peer.clone())).collect()
    }
}

enum Overflow {
    Full,
    TooLarge(usize),
    Closed,
}

impl Connection {
    fn queue(&self, lane: Lane, frame: Bytes) -> Result<(), Overflow> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(Overflow::TooLarge(frame.len()));
        }
        let bytes = frame.len() as u64;
        let queue = match lane {
            Lane::Urgent => &self.urgent,
            Lane::Bulk => {
                if self.bulk_bytes.fetch_add(bytes, Ordering::Relaxed) > BULK_BYTES_MAX {
                    return Err(Overflow::Full);
                }
                &self.bulk
            }
        };
        queue.try_send(frame).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Overflow::Full,
            mpsc::error::TrySendError::Closed(_) => Overflow::Closed,
        })
    }
}

/// Whether a new connection takes the place of the old one to the same data folder.
///
/// If the other end has started again, the old one is dead. If the same side dialled both, it has given
/// the old one up. Else both dialled at once, and both keep what the smaller id dialled.
fn replaces(new: &Connection, old: &Connection, own: NodeId) -> bool {
    let started_again = new.peer.boot != old.peer.boot;
    let peer_is_smaller = new.peer.node < own;
    started_again
        || new.dialled_by_peer == old.dialled_by_peer
        || new.dialled_by_peer == peer_is_smaller
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv_core::id::{BootCount, Incarnation, MessageId};
    use kv_core::message::Message;

    fn connection(id: ConnectionId, peer: u64, boot: u64, dialled_by_peer: bool) -> Connection {
        let peer = Hello {
            node: NodeId(peer),
            name: format!("n{peer}"),
            address: String::new(),
            incarnation: Incarnation(peer),
            boot: BootCount(boot),
            cluster: None,
        };
        let (urgent, _) = mpsc::channel(1);
        let (bulk, _) = mpsc::channel(1);
        let (open, _) = oneshot::channel();
        Connection {
            id,
            peer,
            dialled_by_peer,
            urgent,
            bulk,
            bulk_bytes: Arc::default(),
            _open: open,
        }
    }

    #[test]
    fn both_ends_keep_the_same_one_of_two_crossing_connections() {
        for first in [false, true] {
            // Nodes 1 and 2 have dialled each other; each end sees the two in either order.
            let kept_by = |own: u64, first: bool| {
                let (peer, mut links) = (3 - own, Links::default());
                let own = NodeId(own);
                // A connection is named by who dialled it.
                let new = |by_peer: bool| {
                    connection(if by_peer { peer } else { own.0 }, peer, 1, by_peer)
                };
                links.admit(new(first), own);
                links.admit(new(!first), own);
                links.0[&NodeId(peer)].id
            };
            assert_eq!([kept_by(1, first), kept_by(2, first), kept_by(2, !first)], [1; 3]);
        }
    }

    #[test]
    fn a_node_that_started_again_gets_a_new_link_in_place_of_the_old() {
        let mut links = Links::default();
        links.admit(connection(1, 9, 1, false), NodeId(1));
        let (verdict, inputs) = links.admit(connection(2, 9, 2, true), NodeId(1));
        assert_eq!(verdict, Verdict::Kept);
        let ups: Vec<bool> =
            inputs.iter().map(|input| matches!(input, Input::Link { up: true, .. })).collect();
        assert_eq!(ups, [false, true]);
        assert!(links.remove(1).is_none());
        assert!(links.remove(2).is_some());
    }

    #[test]
    fn a_second_node_of_a_name_does_not_disturb_the_first() {
        let mut links = Links::default();
        links.admit(connection(1, 9, 1, false), NodeId(1));
        let mut intruder = connection(2, 9, 5, true);
        intruder.peer.incarnation = Incarnation(77);
        let (verdict, inputs) = links.admit(intruder, NodeId(1));
        assert_eq!((verdict, inputs), (Verdict::NameTaken, Vec::new()));
        assert!(links.is_current(1));
    }

    #[test]
    fn a_lane_that_overflows_takes_the_link_down() {
        let mut links = Links::default();
        let (urgent, _kept) = mpsc::channel(1);
        links.admit(Connection { urgent, ..connection(1, 2, 1, false) }, NodeId(1));
        let envelope = Envelope {
            id: MessageId(1),
            cluster: None,
            from: NodeId(1),
            incarnation: Incarnation(1),
            to: NodeId(2),
            message: Message::HandedOff { token: 1 },
        };
        assert_eq!(links.send(Lane::Urgent, &envelope), None);
        assert!(matches!(links.send(Lane::Urgent, &envelope), Some(Input::Link { up: false, .. })));
        assert!(links.hellos().is_empty());
    }
}
