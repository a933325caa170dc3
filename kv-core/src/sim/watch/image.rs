//! What a loss of power would leave of a node, opened once and looked at until its disk has more.

use super::super::disk::SimDisk;
use crate::eventual::Eventual;
use crate::id::{GroupId, PartitionId};
use crate::raft::Kept;
use crate::ring::partition_of;
use crate::storage::{Store, StoreOptions};
use crate::version::Object;

/// The durable part of a disk, with the store on it.
#[derive(Clone, Debug)]
pub(super) struct Image {
    version: u64,
    disk: SimDisk,
    /// None if it cannot be opened.
    store: Option<Store>,
}

impl Image {
    /// What is durable on a disk now.
    pub(super) fn of(disk: &SimDisk) -> Self {
        let version = disk.durable_version();
        let mut disk = disk.durable();
        let store = Store::open(StoreOptions::SIMULATED, &mut disk).ok().map(|(store, _)| store);
        Self { version, disk, store }
    }

    /// Whether this is what is durable on the disk it was taken of.
    pub(super) fn is_of(&self, disk: &SimDisk) -> bool {
        self.version == disk.durable_version()
    }

    /// What is there under a key of the eventual keyspace.
    pub(super) fn object(&self, partitions: u16, key: &[u8]) -> Option<Object> {
        let partition = PartitionId(partition_of(key, partitions));
        Eventual::peek(self.store.as_ref()?, &self.disk, partition, key)
    }

    /// What is there of a Raft group; none if the disk cannot be opened.
    pub(super) fn group(&self, group: GroupId) -> Option<Kept<'_, SimDisk>> {
        Some(Kept::of(group, self.store.as_ref()?, &self.disk))
    }
}
