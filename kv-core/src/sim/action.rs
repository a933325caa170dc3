//! What can be done to a simulated world: everything that a person, a script or the nemesis may do.
//!
//! Actions are plain data, so a run travels with them ([`super::link`]). Whether one makes sense at its
//! moment is judged by the world when it is done ([`super::World::act`]).

pub mod command;
mod words;

use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::config::{LinkConfig, NetworkConfig, Workload};
use crate::id::FileId;
use crate::settings::Setting;
use crate::time::{Micros, Mono};

/// One thing done to the world. Nodes are counted from 0, as the page shows them from left to right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// A node loses power, in the middle of its jobs: of what was not synced its disk keeps any part.
    Crash {
        /// Which.
        node: u16,
    },
    /// A crashed node starts again from its disk.
    Restart {
        /// Which.
        node: u16,
    },
    /// A node's process is stopped: whatever reaches it waits, and its links stay.
    Pause {
        /// Which.
        node: u16,
    },
    /// A paused node goes on, with all that has waited, and with its deadlines late.
    Resume {
        /// Which.
        node: u16,
    },
    /// A node loses power and its disk, and stays down. Started again it is a new node of the old name.
    Wipe {
        /// Which.
        node: u16,
    },
    /// Messages from one node to another no longer arrive.
    Cut {
        /// From which.
        from: u16,
        /// To which.
        to: u16,
    },
    /// They arrive again.
    Mend {
        /// From which.
        from: u16,
        /// To which.
        to: u16,
    },
    /// Only nodes of one group reach each other.
    Partition {
        /// The number of the group of each node.
        groups: Vec<u8>,
    },
    /// All cuts and partitions end.
    Heal,
    /// The network changes for messages sent from now on.
    Network(NetworkConfig),
    /// One direction of a link goes by settings of its own, or again by those of the network.
    Link {
        /// From which node.
        from: u16,
        /// To which.
        to: u16,
        /// Its settings; none for those of the network.
        own: Option<LinkConfig>,
    },
    /// One message under way is lost.
    Lose {
        /// Its number ([`super::InFlight::number`]).
        message: u64,
    },
    /// One message under way is held up, and those behind it pass.
    Delay {
        /// Its number ([`super::InFlight::number`]).
        message: u64,
        /// By how much it arrives later.
        by: Micros,
    },
    /// Somebody changes settings on a node.
    Set {
        /// On which.
        node: u16,
        /// To what.
        changes: Vec<(Setting, u64)>,
    },
    /// A node's disk fills up: it takes so many more bytes, whatever is on it already.
    Fill {
        /// Whose.
        node: u16,
        /// How many.
        free: u64,
    },
    /// There is any amount of room on a node's disk again, and no sync or read of it fails.
    Free {
        /// Whose.
        node: u16,
    },
    /// From now on each sync and each job of a node takes so long.
    Slow {
        /// Whose.
        node: u16,
        /// How long.
        wait: Micros,
    },
    /// A bit of a file on a node's disk turns over, durably.
    Flip {
        /// Whose.
        node: u16,
        /// Which file.
        file: FileId,
        /// Which byte, counted from 0.
        offset: u64,
        /// Which bit of it, from 0 to 7.
        bit: u8,
    },
    /// A node's next sync fails, of its log or of a file of a job. What it should have made durable never
    /// will be.
    FailSync {
        /// Whose.
        node: u16,
    },
    /// The next time that a node reads a table it gets the bytes of another place.
    Misread {
        /// Whose.
        node: u16,
    },
    /// A node's clocks run too fast or too slow from now on.
    Drift {
        /// Whose.
        node: u16,
        /// By how much, in parts per million; negative for too slow.
        ppm: i32,
    },
    /// A node's civil time is set ahead or back.
    Jump {
        /// Whose.
        node: u16,
        /// By how much, in microseconds; negative for back.
        by: i64,
    },
    /// The generated clients change.
    Workload(Workload),
    /// A client asks a node for something.
    Client {
        /// As which of the generated ones; none for somebody else.
        client: Option<u16>,
        /// Which node.
        node: u16,
        /// What.
        operation: ClientOperation,
    },
}

/// What a client asks for in a simulated run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientOperation {
    /// Read a key.
    Get {
        /// The key.
        key: Bytes,
    },
    /// Write a key, replacing what a read quorum holds.
    Put {
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
    },
    /// Delete a key, replacing what a read quorum holds.
    Delete {
        /// The key.
        key: Bytes,
    },
    /// The same in the strong keyspace. Generated clients with an odd number name their writes.
    Strong(StrongOperation),
}

/// What a client asks of the strong keyspace in a simulated run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StrongOperation {
    /// Read a key.
    Get {
        /// The key.
        key: Bytes,
    },
    /// Write a key.
    Put {
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
    },
    /// Delete a key.
    Delete {
        /// The key.
        key: Bytes,
    },
}

impl ClientOperation {
    /// The key it is about.
    #[must_use]
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Get { key } | Self::Put { key, .. } | Self::Delete { key } => key,
            Self::Strong(
                StrongOperation::Get { key }
                | StrongOperation::Put { key, .. }
                | StrongOperation::Delete { key },
            ) => key,
        }
    }

    /// Whether it is one of the strong keyspace.
    #[must_use]
    pub fn is_strong(&self) -> bool {
        matches!(self, Self::Strong(_))
    }

    /// The same of the strong keyspace.
    #[must_use]
    pub fn in_strong(self) -> Self {
        Self::Strong(match self {
            Self::Get { key } => StrongOperation::Get { key },
            Self::Put { key, value } => StrongOperation::Put { key, value },
            Self::Delete { key } => StrongOperation::Delete { key },
            Self::Strong(operation) => operation,
        })
    }
}

/// An action and when it was done: after everything else that happened at or before that time, and
/// after the actions of that time that stand before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedAction {
    /// When.
    pub at: Mono,
    /// What.
    pub action: Action,
}
