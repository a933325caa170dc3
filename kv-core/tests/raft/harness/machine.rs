//! The simplest state machine that tells any two histories apart.
//!
//! Its state is a hash over all entries it was given, in order, and the last command in each of a few
//! registers: enough that a whole state is several chunks long.

use std::collections::BTreeMap;

use bytes::Bytes;
use kv_core::codec;
use kv_core::hash;
use kv_core::id::{GroupId, Index};
use kv_core::message::raft::{Entry, Payload};
use serde::{Deserialize, Serialize};

/// How many registers there are.
const REGISTERS: u64 = 32;

/// What came of all entries up to one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The last entry it was given.
    pub(crate) index: Index,
    /// A hash over all of them.
    pub(crate) hash: u64,
    registers: BTreeMap<u64, Bytes>,
}

impl Machine {
    /// Takes the next entry.
    pub(crate) fn apply(&mut self, entry: &Entry) {
        assert_eq!(entry.id.index, self.index.next(), "entries come in order, each once");
        self.index = entry.id.index;
        self.hash = hash::of(&codec::encode(&(self.hash, entry)));
        if let Payload::Command(command) = &entry.payload {
            self.registers.insert(hash::of(command) % REGISTERS, command.clone());
        }
    }

    /// The whole state, in pieces of so many bytes. Equal states have equal pieces.
    pub(crate) fn chunks(&self, bytes: usize) -> Vec<Bytes> {
        codec::encode(self).chunks(bytes).map(Bytes::copy_from_slice).collect()
    }

    /// The state of these pieces.
    pub(crate) fn of_chunks(chunks: &[Bytes]) -> Option<Self> {
        codec::decode(&chunks.concat()).ok()
    }

    /// Where a group's machine stands in the store of its node.
    pub(crate) fn key(group: GroupId) -> Vec<u8> {
        [b"m", &group.0.to_be_bytes()[..]].concat()
    }
}
