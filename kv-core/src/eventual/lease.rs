//! Durable counter leases: where the counters of dots come from.
//!
//! A dot must never name two writes, not even when a crash takes back a write that others may have
//! heard of. So counters of one incarnation and partition are handed out in leases: before one is used,
//! a record in the log says that all up to its end may be in use. After a restart counting begins behind
//! that end; what was left of the lease is void. A new lease is written in the same batch as the first
//! write that needs it, and nothing of that batch leaves before it is durable.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::bugs::{Bug, planted};
use crate::codec;
use crate::disk::Disk;
use crate::id::PartitionId;
use crate::storage::{Batch, Store, Unreadable};

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
    pub(super) fn next(
        &mut self,
        store: &mut Store,
        disk: &impl Disk,
        partition: PartitionId,
        batch: &mut Batch,
    ) -> Result<u64, Unreadable> {
        let lease = self.lease(store, disk, partition)?;
        let counter = lease.used + 1;
        if counter > lease.end {
            batch.put(lease_key(partition), codec::encode(&(lease.end + LEASE)));
        }
        Ok(counter)
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
    pub(super) fn used(
        &mut self,
        store: &mut Store,
        disk: &impl Disk,
        partition: PartitionId,
    ) -> Result<u64, Unreadable> {
        Ok(self.lease(store, disk, partition)?.used)
    }

    fn lease(
        &mut self,
        store: &mut Store,
        disk: &impl Disk,
        partition: PartitionId,
    ) -> Result<Lease, Unreadable> {
        if let Some(lease) = self.0.get(&partition) {
            return Ok(*lease);
        }
        let stored = store.get(&lease_key(partition), disk)?;
        let end = stored.and_then(|(bytes, _)| codec::decode(&bytes).ok()).unwrap_or(0);
        let mut lease = Lease { used: end, end };
        if planted(Bug::DotsRestart) {
            lease.used = end.saturating_sub(LEASE);
        }
        self.0.insert(partition, lease);
        Ok(lease)
    }
}

fn lease_key(partition: PartitionId) -> Vec<u8> {
    let mut key = alloc::vec![b'l'];
    key.extend_from_slice(&partition.0.to_be_bytes());
    key
}

/// The partition whose lease stands in this place of the store.
#[must_use]
pub fn parse_lease_key(bytes: &[u8]) -> Option<PartitionId> {
    match bytes {
        [b'l', high, low] => Some(PartitionId(u16::from_be_bytes([*high, *low]))),
        _ => None,
    }
}
