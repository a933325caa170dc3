//! What stands in the log of a shard.

use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::id::Index;
use crate::request::strong::WriteOperation;
use crate::time::Wall;

/// An entry of the log of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Command {
    /// The civil time of the leader. The clock of the log is the latest of all stamps so far, so it is the
    /// same on every replica and never goes back.
    pub(super) stamp: Wall,
    /// What to do.
    pub(super) change: Change,
}

/// What an entry does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Change {
    /// Change keys, all or none.
    Write {
        /// At least one, no two of one key.
        operations: Vec<WriteOperation>,
        /// Its name, if it has one.
        name: Option<WriteName>,
    },
    /// Open a session. Its name is the index of this entry.
    OpenSession,
    /// Nothing but the time: something is due.
    Tick,
}

/// The name of a write in its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WriteName {
    /// The session.
    pub(super) session: Index,
    /// The number of the write in it.
    pub(super) seq: u64,
    /// The client has the answers up to here.
    pub(super) acknowledged: u64,
}

impl Command {
    pub(super) fn encode(&self) -> Bytes {
        Bytes::from(codec::encode(self))
    }

    /// None for what another release wrote; all replicas of this one pass over it.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        codec::decode(bytes).ok()
    }
}
