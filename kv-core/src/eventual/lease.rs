//! Durable counter leases: where the counters of dots come from.
//!
//! A dot must never name two writes, not even when a crash takes back a write that others may have
//! heard of. So counters of one incarnation and partition are handed out in leases: before one is used,
//! a record in the log says that all up to its end may be in use. After a restart counting begins behind
//! that end; what was left of the lease is void. A new lease is written in the same batch as the first
//! write that needs it, and nothing of that batch leaves before it is durable.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::codec;
use crate::id::PartitionId;
use crate::storage::{Batch, Store};

/// How many counters one lease has.
const LEASE: u64 = 1_024;

/// The leases of one node, read from the store when first needed.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases(BTreeMap<PartitionId, Lease>);

#[derive(Clone, Copy, Debug)]
struct Lease {
    /// The last counter that was used, or may have been.
    used: u64,
    /// The last counter that may be used.
    end: u64,
}

impl Leases {
    /// The next counter of a partition, which the caller confirms with [`Self::confirm`] once `batch`,
    /// to which a new lease is added if needed, is in the log.
    pub(super) fn next(&mut self, store: &Store, partition: PartitionId, batch: &mut Batch) -> u64 {
        let lease = self.lease(store, partition);
        let counter = lease.used + 1;
        if counter > lease.end {
            batch.put(lease_key(partition), codec::encode(&(lease.end + LEASE)));
        }
        counter
    }

    /// The counter is used and the batch is in the log.
    pub(super) fn confirm(&mut self, partition: PartitionId, counter: u64) {
        if let Some(lease) = self.0.get_mut(&partition) {
            debug_assert!(counter == lease.used + 1, "counters are used one after the other");
            lease.used = counter;
            if counter > lease.end {
                lease.end += LEASE;
            }
        }
    }

    /// The last counter of a partition that was used, or may have been.
    pub(super) fn used(&mut self, store: &Store, partition: PartitionId) -> u64 {
        self.lease(store, partition).used
    }

    fn lease(&mut self, store: &Store, partition: PartitionId) -> Lease {
        *self.0.entry(partition).or_insert_with(|| {
            let stored = store.get(&lease_key(partition));
            let end = stored.and_then(|(bytes, _)| codec::decode(&bytes).ok()).unwrap_or(0);
            Lease { used: end, end }
        })
    }
}

fn lease_key(partition: PartitionId) -> Vec<u8> {
    let mut key = alloc::vec![b'l'];
    key.extend_from_slice(&partition.0.to_be_bytes());
    key
}
