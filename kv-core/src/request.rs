//! What clients can ask a node for, and what it answers.
//!
//! Every surface (HTTP, CLI, the page) translates onto these and has no logic of its own. A request
//! that a node cannot serve itself travels as it is to one that can.

pub mod strong;

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::id::{Epoch, NodeId};
use crate::settings::Setting;
use crate::time::{Micros, Stamp};
use crate::version::{Context, Dot};
use strong::{StrongReply, StrongRequest};

/// The fewest and the most bytes of a key.
pub const KEY_BYTES: core::ops::RangeInclusive<usize> = 1..=1_024;

/// What a client can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Read a key.
    Get {
        /// The key.
        key: Bytes,
        /// How.
        options: QuorumOptions,
    },
    /// Write a key.
    Put {
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
        /// What the write has seen.
        basis: Basis,
        /// How.
        options: QuorumOptions,
    },
    /// Delete a key.
    Delete {
        /// The key.
        key: Bytes,
        /// What the delete has seen.
        basis: Basis,
        /// How.
        options: QuorumOptions,
    },
    /// List the live keys that this very node holds, in their order. The answer comes in parts, as far
    /// as there is credit.
    ListLocal {
        /// Only keys that begin so.
        prefix: Bytes,
        /// How many keys the client can take at first.
        credit: u32,
    },
    /// Change settings, all or none.
    Set {
        /// To what.
        changes: Vec<(Setting, u64)>,
    },
    /// Make one cluster of this node's and that of a linked node.
    AddPeer {
        /// The linked node.
        peer: NodeId,
    },
    /// Let a member go.
    RemoveMember {
        /// Which.
        node: NodeId,
        /// Whether to do so even if a replicated log loses its majority by it.
        force: bool,
    },
    /// Something of the strong keyspace.
    Strong {
        /// What.
        request: StrongRequest,
        /// How long to wait; as the settings say if none.
        timeout: Option<Micros>,
    },
}

/// Options of one read or write; what is absent follows the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumOptions {
    /// R for this request.
    pub read_quorum: Option<u32>,
    /// W for this request.
    pub write_quorum: Option<u32>,
    /// How long to wait.
    pub timeout: Option<Micros>,
}

/// What a write has seen, and so replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// Nothing: it stands beside whatever is there.
    Nothing,
    /// What an earlier read or write returned.
    Context(Context),
    /// Whatever a read quorum holds now: read it first.
    ReadFirst,
}

/// The answer to a request that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To a get.
    Read {
        /// The values that no write has replaced, newest first; none if the key is absent.
        values: Vec<ReadValue>,
        /// For the next write of this key.
        context: Context,
        /// How the answer came about.
        receipt: Box<Receipt>,
    },
    /// To a put or delete: it is on a write quorum of disks.
    Written {
        /// The name of the write.
        dot: Dot,
        /// For the next write of this key.
        context: Context,
        /// How many values stand beside each other now.
        siblings: u32,
        /// How the answer came about.
        receipt: Box<Receipt>,
    },
    /// To a list: the next keys.
    Keys(Vec<Bytes>),
    /// To a request of the strong keyspace.
    Strong(StrongReply),
    /// To anything else: it is done.
    Done,
}

/// One value of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadValue {
    /// The write it came with.
    pub dot: Dot,
    /// When.
    pub stamp: Stamp,
    /// The value.
    pub value: Bytes,
}

/// How an answer came about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Who coordinated it.
    pub coordinator: NodeId,
    /// Who was asked.
    pub asked: Vec<NodeId>,
    /// Who answered in time. For a write: on whose disk it is.
    pub acknowledged: Vec<NodeId>,
    /// Replicas that a read found stale and mended.
    pub repaired: Vec<NodeId>,
    /// The layout it was done under.
    pub epoch: Epoch,
    /// The settings it was done under: their latest stamp.
    pub settings: Stamp,
}
