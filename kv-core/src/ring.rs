//! Where keys live: the hash space in Q equal partitions, each claimed by one member.
//!
//! A key falls into the partition named by the top bits of its hash; its replicas are the first N
//! different members met when walking the ring from that partition on (DeCandia et al., "Dynamo",
//! 2007, section 6.2, strategy 3). A [`Ring`] is a pure function of the members and the ring before:
//! equal inputs give equal bytes, and a change moves no more partitions than balance demands.
//!
//! The layout of a whole cluster, with a move under way, is in [`layout`]. Left out: weights and zones.

pub mod layout;

use alloc::vec::Vec;
use core::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::hash;
use crate::id::{NodeId, PartitionId};
use crate::ordered::{self, Map, Set};

/// The fewest and the most partitions of a cluster; their number is a power of two.
pub const PARTITIONS: core::ops::RangeInclusive<u16> = 8..=4096;

/// Who claimed each partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ring(Vec<NodeId>);

impl Ring {
    /// The ring of these members, dealt out in turn. `partitions` is a power of two of [`PARTITIONS`].
    #[must_use]
    pub fn new(partitions: u16, members: &Set<NodeId>) -> Self {
        debug_assert!(partitions.is_power_of_two() && PARTITIONS.contains(&partitions));
        let turn = members.iter().copied().cycle();
        Self(turn.take(usize::from(partitions)).collect())
    }

    /// The ring of other members that differs the least from this one: each member claims
    /// floor(Q/n) or ceil(Q/n) partitions, and what a staying member keeps, it keeps.
    #[must_use]
    pub fn with_members(&self, members: &Set<NodeId>) -> Self {
        let mut owners: Vec<Option<NodeId>> =
            self.0.iter().map(|owner| members.contains(owner).then_some(*owner)).collect();
        let quota = self.quotas(members, &owners);
        release_excess(&mut owners, &quota);
        for (&member, &wanted) in &quota {
            while count(&owners, Some(member)) < wanted {
                let Some(index) = best_free(&owners, member) else { break };
                owners[index] = Some(member);
            }
        }
        Self(owners.into_iter().flatten().collect())
    }

    /// How many partitions each member should have; those that have most now get the larger share.
    fn quotas(&self, members: &Set<NodeId>, owners: &[Option<NodeId>]) -> Map<NodeId, usize> {
        let mut by_claim: Vec<NodeId> = members.iter().copied().collect();
        ordered::sort_by_key(&mut by_claim, |member| {
            (Reverse(count(owners, Some(*member))), *member)
        });
        let share = self.0.len() / members.len().max(1);
        let larger = self.0.len() % members.len().max(1);
        let mut quotas = Map::new();
        for (rank, member) in by_claim.into_iter().enumerate() {
            quotas.insert(member, share + usize::from(rank < larger));
        }
        quotas
    }

    /// How many partitions there are (Q).
    #[must_use]
    pub fn partitions(&self) -> u16 {
        self.0.len() as u16
    }

    /// The partition of a key.
    #[must_use]
    pub fn partition_of(&self, key: &[u8]) -> PartitionId {
        PartitionId(partition_of(key, self.partitions()))
    }

    /// Who claimed a partition.
    #[must_use]
    pub fn claimant(&self, partition: PartitionId) -> Option<NodeId> {
        self.0.get(usize::from(partition.0)).copied()
    }

    /// The first `replicas` different members from this partition on, wrapping around; all members if
    /// there are fewer.
    #[must_use]
    pub fn preference_list(&self, partition: PartitionId, replicas: u64) -> Vec<NodeId> {
        let start = usize::from(partition.0).min(self.0.len());
        let mut list = Vec::with_capacity(replicas.min(self.0.len() as u64) as usize);
        for owner in self.0[start..].iter().chain(&self.0[..start]) {
            if list.len() as u64 >= replicas {
                break;
            }
            if !list.contains(owner) {
                list.push(*owner);
            }
        }
        list
    }
}

/// The number of the partition of a key among so many.
#[must_use]
pub fn partition_of(key: &[u8], partitions: u16) -> u16 {
    let bits = partitions.max(1).ilog2();
    if bits == 0 { 0 } else { (hash::of(key) >> (64 - bits)) as u16 }
}

fn count(owners: &[Option<NodeId>], claimant: Option<NodeId>) -> usize {
    owners.iter().filter(|owner| **owner == claimant).count()
}

/// Takes partitions from members above their quota: first those with a neighbour of the same claimant,
/// for they put replicas on fewer nodes, and among them those furthest from what is free already, so
/// that a newcomer's partitions lie apart.
fn release_excess(owners: &mut [Option<NodeId>], quota: &Map<NodeId, usize>) {
    for (&member, &wanted) in quota {
        while count(owners, Some(member)) > wanted {
            let index = (0..owners.len())
                .filter(|&index| owners[index] == Some(member))
                .min_by_key(|&index| {
                    let crowded = distance(owners, index, Some(member)).min(SPREAD);
                    (crowded, Reverse(distance(owners, index, None)), index)
                });
            let Some(index) = index else { break };
            owners[index] = None;
        }
    }
}

/// How many partitions in a row should have different claimants, as far as that can be had.
const SPREAD: usize = 3;

/// The free partition furthest from those the member has.
fn best_free(owners: &[Option<NodeId>], member: NodeId) -> Option<usize> {
    (0..owners.len())
        .filter(|&index| owners[index].is_none())
        .max_by_key(|&index| (distance(owners, index, Some(member)), Reverse(index)))
}

/// Steps from a partition to the nearest other one of the claimant, either way round.
fn distance(owners: &[Option<NodeId>], index: usize, claimant: Option<NodeId>) -> usize {
    let partitions = owners.len();
    (1..=partitions / 2)
        .find(|step| {
            owners[(index + step) % partitions] == claimant
                || owners[(index + partitions - step) % partitions] == claimant
        })
        .unwrap_or(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn members(ids: impl IntoIterator<Item = u64>) -> Set<NodeId> {
        ids.into_iter().map(NodeId).collect()
    }

    fn check(ring: &Ring, members: &Set<NodeId>) {
        let partitions = usize::from(ring.partitions());
        for member in members {
            let claimed = ring.0.iter().filter(|owner| *owner == member).count();
            let share = partitions / members.len();
            assert!((share..=share + 1).contains(&claimed), "{claimed} of {partitions}");
        }
        for partition in 0..ring.partitions() {
            let list = ring.preference_list(PartitionId(partition), 3);
            let different: Set<NodeId> = list.iter().copied().collect();
            assert_eq!(different.len(), list.len());
            assert_eq!(list.len(), members.len().min(3));
            assert!(different.is_subset(members));
        }
    }

    #[test]
    fn rings_stay_balanced_and_lists_different_while_members_come_and_go() {
        let mut rng = Rng::new(3);
        for partitions in [8, 64, 256] {
            let mut current = members([1]);
            let mut ring = Ring::new(partitions, &current);
            for _ in 0..60 {
                let node = NodeId(rng.between(1, 8));
                if current.len() > 1 && current.contains(&node) {
                    current.remove(&node);
                } else {
                    current.insert(node);
                }
                ring = ring.with_members(&current);
                check(&ring, &current);
            }
        }
    }

    #[test]
    fn a_new_member_receives_partitions_and_nobody_else_does() {
        let mut current = members([1, 2, 3]);
        let before = Ring::new(64, &current);
        current.insert(NodeId(4));
        let after = before.with_members(&current);
        let moved: Vec<(&NodeId, &NodeId)> =
            before.0.iter().zip(&after.0).filter(|(old, new)| old != new).collect();
        assert_eq!(moved.len(), 16);
        assert!(moved.iter().all(|(_, new)| **new == NodeId(4)));
    }

    #[test]
    fn neighbours_have_different_claimants_after_a_cluster_has_grown_node_by_node() {
        for (nodes, partitions, at_least) in [(5, 64, 56), (5, 256, 224), (9, 256, 256)] {
            let mut ring = Ring::new(partitions, &members([1]));
            for last in 2..=nodes {
                ring = ring.with_members(&members(1..=last));
            }
            let lists = (0..partitions).map(|partition| {
                let at = |step| ring.claimant(PartitionId((partition + step) % partitions));
                at(0) != at(1) && at(1) != at(2) && at(0) != at(2)
            });
            let apart = lists.filter(|apart| *apart).count();
            assert!(apart >= at_least, "{apart} of {partitions} with {nodes} nodes");
        }
    }

    #[test]
    fn a_key_falls_into_the_partition_of_its_top_bits() {
        assert_eq!(partition_of(b"foo", 1), 0);
        let in_8 = partition_of(b"foo", 8);
        assert_eq!(partition_of(b"foo", 64) >> 3, in_8);
    }
}
