//! The layout of a cluster: its members, who owns which partition, and a move under way.
//!
//! A [`Layout`] is plain data with an epoch. Only the [`crate::cluster`] machine makes new ones; all
//! others read them. A change of owners is a [`Move`] in two stages, each of which ends when every
//! member has reported that it knows the epoch and has done its part:
//!
//! | stage | writes need a quorum of | reads count | a member reports when |
//! | --- | --- | --- | --- |
//! | [`Stage::Copy`] | old and new owners | old owners | it handed on what it had |
//! | [`Stage::Switch`] | old and new owners | new owners | it knows the epoch |
//!
//! Neighbouring epochs always share the owners that reads count, so nodes that are one epoch apart
//! never miss each other's quorums; a replica refuses messages of an epoch before its own.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{PARTITIONS, Ring};
use crate::hash;
use crate::id::{
    ClusterId, Epoch, GroupId, Incarnation, Index, NodeId, PartitionId, Replica, ShardId,
};
use crate::ordered::{Map, Set};
use crate::settings::Setting;

/// No cluster lives to see it, and counting on from it cannot overflow.
const EPOCH_MAX: Epoch = Epoch(u64::MAX >> 1);

/// One member of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name, chosen by whoever started it, unique in the cluster.
    pub name: String,
    /// The data folder that was taken in. Another one under the same name is another member.
    pub incarnation: Incarnation,
    /// Where other nodes reach it, as `HOST:PORT`.
    pub address: String,
    /// The epoch in which it was taken in.
    pub since: Epoch,
}

/// How far a move has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Members hand on what they have to the new owners.
    Copy,
    /// The new owners have everything; reads go over to them.
    Switch,
}

/// A move of partitions under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The ring before.
    pub ring: Ring,
    /// The number of replicas before.
    pub replicas: u64,
    /// The [`Layout::ring_epoch`] of that ring.
    pub ring_epoch: Epoch,
    /// How far it has come.
    pub stage: Stage,
    /// The epoch in which this stage began. Members report for it.
    pub since: Epoch,
    /// The members that have done their part of this stage.
    pub done: Set<NodeId>,
}

/// Who is in a cluster and who owns what, as of one epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Which cluster it is.
    pub cluster: ClusterId,
    /// The version of this layout. Greater replaces smaller.
    pub epoch: Epoch,
    /// The entry of the metadata group that made it so. What the layout says changes with its epoch, but
    /// for the reports of a move, which are noted by entries of their own.
    pub at: Index,
    /// The node that founded the cluster. It has no part that others could not have.
    pub founder: NodeId,
    /// All members.
    pub members: Map<NodeId, Member>,
    /// N.
    pub replicas: u64,
    /// Who claims which partition.
    pub ring: Ring,
    /// The epoch in which this ring began to fill. A member taken in later holds nothing of it yet.
    pub ring_epoch: Epoch,
    /// What partitions move away from, until they have arrived.
    pub moving: Option<Move>,
    /// The shards of the strong keyspace, in their order. There are as many as at the founding.
    pub shards: Vec<Shard>,
}

/// One shard of the strong keyspace: a replicated log on some members. Each shard has an equal part of the
/// hash space.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Where it is to be, and who is to vote in it. Its leader brings that about.
    pub replicas: Set<NodeId>,
    /// The epoch since which it is to be there.
    pub since: Epoch,
    /// Whether its leader has reported that these vote in it and nobody else does. Until then it may need
    /// those who had it before.
    pub settled: bool,
}

/// The fewest and the most shards of a cluster.
pub const SHARDS: core::ops::RangeInclusive<u32> = 1..=1_024;

impl ShardId {
    /// The Raft group of the shard; the metadata group comes before all of them.
    #[must_use]
    pub const fn group(self) -> GroupId {
        GroupId(self.0 as u64 + 1)
    }

    /// The shard of a Raft group, if it is one of a shard.
    #[must_use]
    pub fn of_group(group: GroupId) -> Option<Self> {
        u32::try_from(group.0.checked_sub(1)?).ok().map(Self)
    }
}

impl Layout {
    /// The owners of a partition, first the one that prefers to coordinate its writes.
    #[must_use]
    pub fn owners(&self, partition: PartitionId) -> Vec<NodeId> {
        let mut owners = self.ring.preference_list(partition, self.replicas);
        owners.retain(|node| self.members.contains_key(node));
        owners
    }

    /// The owners a partition moves away from, while it does: those that are still members with the
    /// folder they had then. Nothing if they are the same as [`Self::owners`].
    #[must_use]
    pub fn old_owners(&self, partition: PartitionId) -> Option<Vec<NodeId>> {
        let moving = self.moving.as_ref()?;
        let mut old = moving.ring.preference_list(partition, moving.replicas);
        old.retain(|node| self.holds_since(*node, moving.ring_epoch));
        let new = self.owners(partition);
        let same = old.len() == new.len() && old.iter().all(|node| new.contains(node));
        (!same && !old.is_empty()).then_some(old)
    }

    /// The nodes whose answers count for a read of a partition.
    #[must_use]
    pub fn readers(&self, partition: PartitionId) -> Vec<NodeId> {
        let copying = self.moving.as_ref().is_some_and(|moving| moving.stage == Stage::Copy);
        if copying && let Some(old) = self.old_owners(partition) {
            return old;
        }
        self.filled_owners(partition)
    }

    /// While a partition moves, the owners that count for writes of it and not for reads now: those before
    /// or those after. Nodes may be a stage apart, so what a read shows must stand on a quorum of these
    /// too, or it might be gone when they are asked.
    #[must_use]
    pub fn other_readers(&self, partition: PartitionId) -> Option<Vec<NodeId>> {
        let old = self.old_owners(partition)?;
        match self.moving.as_ref()?.stage {
            Stage::Copy => Some(self.filled_owners(partition)),
            Stage::Switch => Some(old),
        }
    }

    /// The owners that hold what the ring gave them, or are just getting it: all but those whose folder
    /// was replaced too late. Those are written to, but count for nothing.
    #[must_use]
    pub fn filled_owners(&self, partition: PartitionId) -> Vec<NodeId> {
        let mut owners = self.ring.preference_list(partition, self.replicas);
        owners.retain(|node| self.holds_since(*node, self.ring_epoch));
        owners
    }

    /// All nodes that a write of a partition goes to, each once.
    #[must_use]
    pub fn writers(&self, partition: PartitionId) -> Vec<NodeId> {
        let mut all = self.owners(partition);
        for node in self.old_owners(partition).unwrap_or_default() {
            if !all.contains(&node) {
                all.push(node);
            }
        }
        all
    }

    /// How many of [`Self::readers`] must answer for quorums of so many. While partitions move to fewer
    /// replicas the owners of before count, and among these more must answer to meet every write.
    #[must_use]
    pub fn read_need(&self, read_quorum: u64, write_quorum: u64) -> u64 {
        let copying = self.moving.as_ref().filter(|moving| moving.stage == Stage::Copy);
        let before = copying.map_or(0, |moving| moving.replicas);
        let meets = read_quorum + write_quorum > self.replicas;
        if meets && before > self.replicas {
            read_quorum.max((before + 1).saturating_sub(write_quorum))
        } else {
            read_quorum
        }
    }

    /// Whether a member has been in since the epoch, so that it holds what that ring gave it.
    fn holds_since(&self, node: NodeId, epoch: Epoch) -> bool {
        self.members.get(&node).is_some_and(|member| member.since <= epoch)
    }

    /// Whether this node, with this data folder, is a member.
    #[must_use]
    pub fn is_member(&self, node: NodeId, incarnation: Incarnation) -> bool {
        self.members.get(&node).is_some_and(|member| member.incarnation == incarnation)
    }

    /// The shard of a key of the strong keyspace; none if there are no shards.
    #[must_use]
    pub fn shard_of(&self, key: &[u8]) -> Option<ShardId> {
        let shards = u128::try_from(self.shards.len()).ok().filter(|shards| *shards > 0)?;
        Some(ShardId(((u128::from(hash::of(key)) * shards) >> 64) as u32))
    }

    /// Who is to hold a shard; nobody if there is no such shard.
    pub fn holders(&self, shard: ShardId) -> impl Iterator<Item = NodeId> + '_ {
        let shard = self.shards.get(shard.0 as usize);
        shard.into_iter().flat_map(|shard| &shard.replicas).copied()
    }

    /// The same with their data folders.
    #[must_use]
    pub fn replicas_of(&self, shard: ShardId) -> Set<Replica> {
        let replica = |node: NodeId| {
            let member = self.members.get(&node)?;
            Some(Replica { node, incarnation: member.incarnation })
        };
        self.holders(shard).filter_map(replica).collect()
    }

    /// A shard that is not yet where it is to be, if there is one.
    #[must_use]
    pub fn unsettled(&self) -> Option<ShardId> {
        let number = self.shards.iter().position(|shard| !shard.settled)?;
        u32::try_from(number).ok().map(ShardId)
    }

    /// The name of a member, or its id where it is none.
    #[must_use]
    pub fn name_of(&self, node: NodeId) -> String {
        use alloc::string::ToString;
        self.members.get(&node).map_or_else(|| node.to_string(), |member| member.name.clone())
    }

    /// Whether the layout holds together, so that one that arrived from elsewhere can be trusted not to
    /// break anything.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let rings = [Some(&self.ring), self.moving.as_ref().map(|moving| &moving.ring)];
        let sound = |ring: &Ring| {
            ring.partitions().is_power_of_two()
                && PARTITIONS.contains(&ring.partitions())
                && ring.partitions() == self.ring.partitions()
        };
        rings.into_iter().flatten().all(sound)
            && self.epoch <= EPOCH_MAX
            && Setting::Replicas.check(self.replicas).is_ok()
            && !self.members.is_empty()
            && SHARDS.contains(&(self.shards.len() as u32))
    }
}
