//! The boundary of a node: what goes in and what comes out, as two enums.
//!
//! A shell calls [`Node::handle`](crate::node::Node::handle) with one [`Input`] and the time, then
//! drains [`Node::poll`](crate::node::Node::poll) to nothing. It delivers what comes out and waits for
//! the next input or for [`Node::next_deadline`](crate::node::Node::next_deadline). The journal of
//! `(now, input)`, with the answers of its disk, is a complete recording of a node.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::disk::DiskError;
use crate::error::RequestError;
use crate::event::Event;
use crate::id::{JobId, LogPosition, NodeId, RequestId};
use crate::message::{Envelope, Hello, Lane};
use crate::request::{Reply, Request};
use crate::storage::{Job, JobResult, StoreOptions};

/// What a node needs to open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The node's name; its [`NodeId`] follows from it.
    pub name: String,
    /// Where others reach it, as `HOST:PORT`.
    pub address: String,
    /// Entropy from the shell; all randomness of the node comes from it.
    pub entropy: u64,
    /// How many partitions a cluster founded by this node has: a power of two.
    pub partitions: u16,
    /// How many shards the strong keyspace of a cluster founded by this node has, from 1 on.
    pub shards: u32,
    /// How it finds its cluster when its data folder is new.
    pub founding: Founding,
    /// The sizes that its store goes by.
    pub storage: StoreOptions,
}

/// How a node with a new data folder finds its cluster. One that is a member already stays it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Founding {
    /// Found a cluster of one.
    Alone,
    /// Ask whoever is linked to be taken in.
    Join,
    /// A first membership is listed; the first of it founds the cluster, unless one that answers
    /// belongs to one already, and the others join.
    Listed {
        /// The nodes of the list, this one included, in its order.
        nodes: Vec<NodeId>,
    },
}

/// What can happen to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// A message arrived.
    Message(Box<Envelope>),
    /// A client asks for something.
    Request {
        /// Chosen by the shell, unique among open requests.
        id: RequestId,
        /// What.
        request: Box<Request>,
    },
    /// A client no longer waits. What was begun may still take effect.
    Cancel {
        /// Its request.
        id: RequestId,
    },
    /// A client can take so many more items of a long answer.
    Credit {
        /// Its request.
        id: RequestId,
        /// How many.
        items: u32,
    },
    /// A link to another node came up or went down. A link is made of two node ids, whoever dialled.
    Link {
        /// Who is at the other end.
        peer: Hello,
        /// Up, or down.
        up: bool,
    },
    /// The sync that was asked for has ended.
    Synced {
        /// Up to where the log is durable, if it succeeded.
        upto: LogPosition,
        /// How it ended.
        result: Result<(), DiskError>,
    },
    /// A job has ended.
    JobDone {
        /// Which.
        id: JobId,
        /// What came of it.
        result: Result<JobResult, DiskError>,
    },
    /// The deadline has passed.
    Timer,
}

/// What a node wants done. Whatever comes out may leave at once: it is already covered by the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Output {
    /// Send a message. If the lane is full, take the link down; never drop one and send the next.
    Send {
        /// The queue of the link.
        lane: Lane,
        /// To whom, and what.
        envelope: Box<Envelope>,
    },
    /// Answer a client.
    Reply {
        /// Its request.
        id: RequestId,
        /// The answer.
        result: Result<Reply, RequestError>,
        /// Whether more answers follow.
        more: bool,
    },
    /// Make the log durable up to this position, then say so. At most one is outstanding.
    Sync {
        /// Up to where.
        upto: LogPosition,
    },
    /// Do long work beside the node, then say so.
    Job {
        /// Returned with the result.
        id: JobId,
        /// What.
        job: Box<Job>,
    },
    /// Something happened.
    Event(Event),
}
