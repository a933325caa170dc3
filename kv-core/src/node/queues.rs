//! What waits in a node, and how much of it may: every queue that load or faults can fill has a bound.

use super::Node;
use crate::raft::Group;
use crate::{eventual, storage, strong};

/// Something that waits in a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// What, in words.
    pub name: &'static str,
    /// How much there is.
    pub length: usize,
    /// How much there may be.
    pub limit: usize,
    /// Whether nothing of it is left when nobody asks for anything any more.
    pub drains: bool,
}

/// More outputs than this never wait for one sync. Nothing enforces it: each operation has a few.
const HELD_MAX: usize = 10_000;

impl Node {
    /// How many entries of replicated logs it has in memory.
    #[must_use]
    pub fn log_entries(&self) -> u64 {
        let logs = self.groups.iter().map(Group::log);
        logs.map(|log| log.last().index.0 - log.base().index.0).sum()
    }

    /// All its queues.
    #[must_use]
    pub fn queues(&self) -> [Queue; 5] {
        let queue = |name, length, limit, drains| Queue { name, length, limit, drains };
        let [frozen, level_0] = self.store.waiting_for_jobs();
        [
            queue("operations", self.eventual.operations(), eventual::OPERATIONS_MAX, true),
            queue("strong operations", self.strong.operations(), strong::OPERATIONS_MAX, true),
            queue("outputs that wait for a sync", self.out.held() as usize, HELD_MAX, true),
            queue("memtables to be flushed", frozen, storage::FROZEN_MOST + 1, false),
            // What waits to be flushed comes on top.
            queue(
                "tables to be merged",
                level_0,
                storage::LEVEL_0_MAX + storage::FROZEN_MOST + 1,
                false,
            ),
        ]
    }
}
