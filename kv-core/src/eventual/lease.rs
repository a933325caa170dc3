//! Durable counter leases: where the counters of dots come from.
//!
//! A dot must never name two writes, not even when a crash takes back a write that others may have
//! heard of. So counters of one incarnation and partition are handed out in leases: before one is used,
//! a record in the log says that all up to its end may be in use. After a restart counting begins behind
//! that end; what was left of the lease is void. A new lease is written in the same batch as the first
//! write that needs it, and nothing of that batch leaves before it is durable.

use alloc::vec::Vec;

use crate::bugs::{Bug, planted};
use crate::codec;
use crate::disk::Disk;
use crate::id::PartitionId;
use crate::ordered::Map;
use crate::storage::{Batch, Store, Unreadable};

/// How many counters one lease has.
const LEASE: u64 = 1_024;

/// The leases of one node.
#[derive(Clone, Debug, Default)]
pub struct Leases(Map<PartitionId, Lease>);

#[derive(Clone, Copy, Debug, Default)]
struct Lease {
    /// The last counter that was used, or may have been.
    used: u64,
    /// The last counter that may be used.
    end: u64,
}

impl Leases {
    /// Reads all leases of a node that is being opened. None if what stands in the place of one is none:
    /// whoever counted from the beginning then would use dots again.
    pub fn read(store: &Store, disk: &impl Disk) -> Result<Option<Self>, Unreadable> {
        let mut leases = Self::default();
        let mut scan = store.scan_prefix(LEASES, &[]);
        while let Some(item) = scan.next(disk)? {
            let (Some(partition), Ok(end)) = (parse_lease_key(item.key), codec::decode(item.value))
            else {
                return Ok(None);
            };
            let behind = if planted(Bug::DotsRestart) { LEASE } else { 0 };
            leases.0.insert(partition, Lease { used: u64::saturating_sub(end, behind), end });
        }
        Ok(Some(leases))
    }

    /// The next counter of a partition, which the caller confirms with [`Self::confirm`] once `batch`,
    /// to which a new lease is added if needed, is in the log.
    pub(super) fn next(&self, partition: PartitionId, batch: &mut Batch) -> u64 {
        let lease = self.lease(partition);
        let counter = lease.used + 1;
        if counter > lease.end {
            batch.put(lease_key(partition), codec::encode(&(lease.end + LEASE)));
        }
        counter
    }

    /// The counter is used and the batch is in the log.
    pub(super) fn confirm(&mut self, partition: PartitionId, counter: u64) {
        let lease = self.0.entry(partition).or_default();
        debug_assert!(counter == lease.used + 1, "counters are used one after the other");
        lease.used = counter;
        if counter > lease.end {
            lease.end += LEASE;
        }
    }

    /// The last counter of a partition that was used, or may have been.
    pub(super) fn used(&self, partition: PartitionId) -> u64 {
        self.lease(partition).used
    }

    fn lease(&self, partition: PartitionId) -> Lease {
        self.0.get(&partition).copied().unwrap_or_default()
    }
}

/// What the places of leases in the store begin with.
const LEASES: &[u8; 1] = b"l";

fn lease_key(partition: PartitionId) -> Vec<u8> {
    let mut key = LEASES.to_vec();
    key.extend_from_slice(&partition.0.to_be_bytes());
    key
}

/// The partition whose lease stands in this place of the store.
#[must_use]
pub fn parse_lease_key(bytes: &[u8]) -> Option<PartitionId> {
    match bytes {
        [first, high, low] if [*first] == *LEASES => {
            Some(PartitionId(u16::from_be_bytes([*high, *low])))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::disk::SimDisk;
    use crate::storage::StoreOptions;

    #[test]
    fn counting_begins_behind_what_may_have_been_used() {
        let mut disk = SimDisk::default();
        let (mut store, _) = Store::open(StoreOptions::SIMULATED, &mut disk).unwrap();
        for boot in 0..3 {
            let mut leases = Leases::read(&store, &disk).unwrap().unwrap();
            assert_eq!(leases.used(PartitionId(7)), boot * LEASE);
            for counter in boot * LEASE + 1..=boot * LEASE + 3 {
                let mut batch = Batch::default();
                assert_eq!(leases.next(PartitionId(7), &mut batch), counter);
                assert_eq!(batch.is_empty(), counter > boot * LEASE + 1, "one for many");
                store.apply(&batch, &mut disk).unwrap();
                leases.confirm(PartitionId(7), counter);
                assert_eq!(leases.used(PartitionId(7)), counter);
            }
            assert_eq!(leases.used(PartitionId(6)), 0);
        }
    }

    #[test]
    fn what_is_no_lease_is_not_taken_for_none() {
        for (key, value) in [(lease_key(PartitionId(7)), &b"\xff"[..]), (b"lx".to_vec(), b"\x01")] {
            let mut disk = SimDisk::default();
            let (mut store, _) = Store::open(StoreOptions::SIMULATED, &mut disk).unwrap();
            let mut batch = Batch::default();
            batch.put(&key, value);
            store.apply(&batch, &mut disk).unwrap();
            assert!(Leases::read(&store, &disk).unwrap().is_none(), "{key:?}");
        }
    }
}
