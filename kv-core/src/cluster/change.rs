//! Changes of a layout, as pure functions: the layout before and a command give the layout after.
//!
//! A change of owners never happens at once. It starts a move (or gives one that still copies a new
//! target), and reports of the members carry the move on; [`crate::ring::layout`] tells why. While a
//! move switches over, a change of members only alters the list of members, and the next move follows.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use crate::error::RequestError;
use crate::id::{ClusterId, Epoch, Index, NodeId, ShardId};
use crate::message::ClusterCommand;
use crate::ordered::{Map, Set};
use crate::ring::Ring;
use crate::ring::layout::{Layout, Member, Move, SHARDS, Shard, Stage};
use crate::settings::Setting;

/// The most members of a cluster.
pub const MEMBERS_MAX: usize = 200;

/// The entry of the metadata group that stands for the founding. It was never in a log, so nobody can
/// take the log from its beginning: who joins takes over the state.
pub const FIRST: Index = Index(1);

/// The fewest and the most bytes of a node's name.
pub const NAME_BYTES: core::ops::RangeInclusive<usize> = 1..=64;

/// The most bytes of a member's address.
const ADDRESS_BYTES_MAX: usize = 256;

/// The first layout of a cluster: its founder alone.
#[must_use]
pub fn found(
    cluster: ClusterId,
    founder: NodeId,
    member: Member,
    partitions: u16,
    replicas: u64,
    shards: u32,
) -> Layout {
    let shard = Shard { replicas: [founder].into(), since: Epoch(1), settled: true };
    Layout {
        cluster,
        epoch: Epoch(1),
        at: FIRST,
        founder,
        ring: Ring::new(partitions, &[founder].into()),
        members: [(founder, Member { since: Epoch(1), ..member })].into(),
        replicas,
        ring_epoch: Epoch(1),
        moving: None,
        shards: vec![shard; shards.min(*SHARDS.end()) as usize],
    }
}

/// Whether a command changes a layout at all. An error says why it is refused.
pub fn changes(layout: &Layout, command: &ClusterCommand) -> Result<bool, RequestError> {
    match command {
        ClusterCommand::AddMember { name, incarnation, address } => {
            let node = NodeId::of_name(name);
            if layout.is_member(node, *incarnation) {
                return Ok(false);
            }
            check_newcomer(layout, node, name, address).map(|()| true)
        }
        ClusterCommand::SetAddress { node, address } => {
            let other = |member: &Member| member.address != *address;
            Ok(layout.members.get(node).is_some_and(other) && address.len() <= ADDRESS_BYTES_MAX)
        }
        ClusterCommand::RemoveMember { node, force } => {
            check_removal(layout, *node, *force).map(|()| true)
        }
        ClusterCommand::SetReplicas(replicas) => {
            Setting::Replicas.check(*replicas).map_err(RequestError::Invalid)?;
            let other = layout.replicas != *replicas;
            if other && stage(layout) == Some(Stage::Switch) {
                return Err(RequestError::Unavailable(String::from(
                    "partitions are just finishing a move; nothing was changed, try again shortly",
                )));
            }
            Ok(other)
        }
        ClusterCommand::MoveDone { node, since } => {
            let noted = |moving: &Move| moving.done.contains(node) && !is_done(layout, moving);
            let moving = layout.moving.as_ref().filter(|moving| moving.since == *since);
            Ok(layout.members.contains_key(node) && moving.is_some_and(|moving| !noted(moving)))
        }
        ClusterCommand::ShardSettled { shard, since } => {
            let shard = layout.shards.get(shard.0 as usize);
            Ok(shard.is_some_and(|shard| shard.since == *since && !shard.settled))
        }
    }
}

/// The layout after a command, if that changes anything. Equal epochs mean that nothing changed which others
/// must know.
pub fn apply(before: &Layout, command: &ClusterCommand) -> Result<Option<Layout>, RequestError> {
    if !changes(before, command)? {
        return Ok(None);
    }
    let mut layout = before.clone();
    let next = Epoch(before.epoch.0 + 1);
    match command {
        ClusterCommand::AddMember { name, incarnation, address } => {
            let (name, address) = (name.clone(), address.clone());
            let node = NodeId::of_name(&name);
            let member = Member { name, incarnation: *incarnation, address, since: next };
            layout.members.insert(node, member);
            move_partitions(&mut layout, next);
            place_shards(&mut layout, before);
        }
        ClusterCommand::SetAddress { node, address } => {
            if let Some(member) = layout.members.get_mut(node) {
                member.address.clone_from(address);
            }
        }
        ClusterCommand::RemoveMember { node, .. } => {
            layout.members.remove(node);
            move_partitions(&mut layout, next);
            place_shards(&mut layout, before);
        }
        ClusterCommand::SetReplicas(replicas) => {
            move_partitions(&mut layout, next);
            layout.replicas = *replicas;
            place_shards(&mut layout, before);
        }
        ClusterCommand::MoveDone { node, .. } => {
            if !note_done(&mut layout, *node) {
                return Ok(Some(layout));
            }
            finish_stage(&mut layout, next);
        }
        ClusterCommand::ShardSettled { shard, .. } => {
            if let Some(shard) = layout.shards.get_mut(shard.0 as usize) {
                shard.settled = true;
            }
            return Ok(Some(layout));
        }
    }
    layout.epoch = next;
    Ok(Some(layout))
}

fn check_newcomer(
    layout: &Layout,
    node: NodeId,
    name: &str,
    address: &str,
) -> Result<(), RequestError> {
    if !NAME_BYTES.contains(&name.len()) || address.len() > ADDRESS_BYTES_MAX {
        return Err(RequestError::Invalid(String::from(
            "the name or the address of the new node is too long; nothing was changed",
        )));
    }
    if layout.members.len() >= MEMBERS_MAX && !layout.members.contains_key(&node) {
        return Err(RequestError::Conflict(format!(
            "the cluster has {MEMBERS_MAX} members, which is the most it can have; remove one first"
        )));
    }
    Ok(())
}

fn check_removal(layout: &Layout, node: NodeId, force: bool) -> Result<(), RequestError> {
    if !layout.members.contains_key(&node) {
        return Err(RequestError::Invalid(String::from(
            "there is no such member; nothing was changed",
        )));
    }
    if layout.members.len() == 1 {
        return Err(RequestError::Conflict(String::from(
            "it is the only member and cannot be removed; nothing was changed",
        )));
    }
    if let Some(shard) = layout.unsettled().filter(|_| !force) {
        return Err(RequestError::Unavailable(format!(
            "shard {} of the strong keyspace is on its way to other members and may need those it was on; nothing was changed, try again shortly, or force it",
            shard.0
        )));
    }
    Ok(())
}

fn stage(layout: &Layout) -> Option<Stage> {
    layout.moving.as_ref().map(|moving| moving.stage)
}

/// Points the ring at the present members and begins to copy, unless a move is switching over.
fn move_partitions(layout: &mut Layout, next: Epoch) {
    if stage(layout) == Some(Stage::Switch) {
        return;
    }
    let members: Set<NodeId> = layout.members.keys().copied().collect();
    let target = layout.ring.with_members(&members);
    let before = core::mem::replace(&mut layout.ring, target);
    let before_epoch = core::mem::replace(&mut layout.ring_epoch, next);
    let moving = layout.moving.get_or_insert(Move {
        ring: before,
        replicas: layout.replicas,
        ring_epoch: before_epoch,
        stage: Stage::Copy,
        since: next,
        done: Set::new(),
    });
    moving.since = next;
    moving.done.clear();
}

/// Places each shard on so many members as there are replicas. Who has one keeps it, as long as it is a
/// member; who is needed in addition is the member with the fewest shards, and who is one too many the one
/// with the most.
fn place_shards(layout: &mut Layout, before: &Layout) {
    let members: Set<NodeId> = layout.members.keys().copied().collect();
    let wanted = usize::try_from(layout.replicas).unwrap_or(usize::MAX).min(members.len());
    let mut load: Map<NodeId, u64> = members.iter().map(|node| (*node, 0)).collect();
    for shard in &mut layout.shards {
        shard.replicas.retain(|node| members.contains(node));
        for node in &shard.replicas {
            *load.entry(*node).or_default() += 1;
        }
    }
    let load_of = |load: &Map<NodeId, u64>, node: &NodeId| load.get(node).copied();
    for shard in &mut layout.shards {
        while wanted < shard.replicas.len() {
            let most = shard.replicas.iter().max_by_key(|node| (load_of(&load, node), **node));
            let Some(most) = most.copied() else { break };
            shard.replicas.remove(&most);
            *load.entry(most).or_default() -= 1;
        }
        while shard.replicas.len() < wanted {
            let free = members.difference(&shard.replicas);
            let fewest = free.min_by_key(|node| (load_of(&load, node), **node));
            let Some(fewest) = fewest.copied() else { break };
            shard.replicas.insert(fewest);
            *load.entry(fewest).or_default() += 1;
        }
    }
    for number in 0..layout.shards.len() {
        let id = ShardId(number as u32);
        let stays = layout.replicas_of(id) == before.replicas_of(id);
        if let Some(shard) = layout.shards.get_mut(number).filter(|_| !stays) {
            shard.since = Epoch(before.epoch.0 + 1);
            shard.settled = false;
        }
    }
}

/// Notes the report of a member; says whether the stage is complete with it.
fn note_done(layout: &mut Layout, node: NodeId) -> bool {
    if let Some(moving) = &mut layout.moving {
        moving.done.insert(node);
    }
    layout.moving.as_ref().is_some_and(|moving| is_done(layout, moving))
}

/// Whether all members have done their part. The one that was waited for may have been removed; then the
/// next report of any other carries the move on.
fn is_done(layout: &Layout, moving: &Move) -> bool {
    layout.members.keys().all(|member| moving.done.contains(member))
}

fn finish_stage(layout: &mut Layout, next: Epoch) {
    let Some(moving) = &mut layout.moving else { return };
    match moving.stage {
        Stage::Copy => {
            moving.stage = Stage::Switch;
            moving.since = next;
            moving.done.clear();
        }
        Stage::Switch => {
            layout.moving = None;
            if !ring_fits_members(layout) {
                move_partitions(layout, next);
            }
        }
    }
}

/// Whether each member claims its part of the ring and has been in since the ring began to fill.
fn ring_fits_members(layout: &Layout) -> bool {
    let members: Set<NodeId> = layout.members.keys().copied().collect();
    layout.members.values().all(|member| member.since <= layout.ring_epoch)
        && layout.ring.with_members(&members) == layout.ring
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use super::*;
    use crate::id::{Incarnation, PartitionId};

    fn add(name: &str, incarnation: u64) -> ClusterCommand {
        ClusterCommand::AddMember {
            name: name.to_string(),
            incarnation: Incarnation(incarnation),
            address: String::new(),
        }
    }

    fn founded() -> Layout {
        let member = Member {
            name: "n1".to_string(),
            incarnation: Incarnation(1),
            address: String::new(),
            since: Epoch(0),
        };
        found(ClusterId(1), NodeId::of_name("n1"), member, 8, 3, 2)
    }

    fn after(layout: &Layout, command: &ClusterCommand) -> Layout {
        apply(layout, command).unwrap().unwrap_or_else(|| layout.clone())
    }

    /// All members report until nothing moves any more; returns all layouts on the way.
    fn settle(layout: Layout) -> Vec<Layout> {
        let mut steps = alloc::vec![layout];
        while let Some(moving) = steps.last().and_then(|layout| layout.moving.clone()) {
            let mut layout = steps[steps.len() - 1].clone();
            for node in layout.members.clone().into_keys() {
                layout = after(&layout, &ClusterCommand::MoveDone { node, since: moving.since });
            }
            assert!(layout.epoch > steps[steps.len() - 1].epoch);
            steps.push(layout);
        }
        steps
    }

    fn settled(layout: Layout) -> Layout {
        settle(layout).pop().unwrap()
    }

    #[test]
    fn a_cluster_grows_and_every_step_of_the_move_reads_where_writes_go() {
        let mut layout = founded();
        for (name, incarnation) in [("n2", 2), ("n3", 3), ("n4", 4)] {
            let steps = settle(after(&layout, &add(name, incarnation)));
            for pair in steps.windows(2) {
                for partition in (0..8).map(PartitionId) {
                    let writers = pair[1].writers(partition);
                    assert!(pair[0].readers(partition).iter().all(|node| writers.contains(node)));
                    let writers = pair[0].writers(partition);
                    assert!(pair[1].readers(partition).iter().all(|node| writers.contains(node)));
                }
            }
            layout = steps.into_iter().next_back().unwrap();
        }
        assert_eq!(layout.members.len(), 4);
        assert_eq!(layout.owners(PartitionId(0)).len(), 3);
    }

    #[test]
    fn reads_count_old_owners_until_the_copy_is_done() {
        let moving = after(&founded(), &add("n2", 2));
        let n1 = NodeId::of_name("n1");
        for partition in (0..8).map(PartitionId) {
            assert_eq!(moving.readers(partition), [n1]);
            assert_eq!(moving.writers(partition).len(), 2);
        }
    }

    #[test]
    fn members_that_come_while_a_move_switches_over_get_a_move_of_their_own() {
        let copying = after(&founded(), &add("n2", 2));
        let since = copying.moving.as_ref().unwrap().since;
        let mut layout = copying;
        for node in [NodeId::of_name("n1"), NodeId::of_name("n2")] {
            layout = after(&layout, &ClusterCommand::MoveDone { node, since });
        }
        assert_eq!(stage(&layout), Some(Stage::Switch));
        let ring = layout.ring.clone();
        layout = after(&layout, &add("n3", 3));
        assert_eq!(layout.ring, ring);
        layout = settled(layout);
        assert_eq!(layout.owners(PartitionId(3)).len(), 3);
        assert!(ring_fits_members(&layout));
    }

    #[test]
    fn a_wiped_member_is_taken_in_again_and_does_not_count_as_a_reader_until_it_is_filled() {
        let mut layout = settled(after(&founded(), &add("n2", 2)));
        layout = settled(after(&layout, &add("n3", 3)));
        let n3 = NodeId::of_name("n3");
        let replaced = after(&layout, &add("n3", 33));
        for partition in (0..8).map(PartitionId) {
            assert!(!replaced.readers(partition).contains(&n3));
            assert!(replaced.writers(partition).contains(&n3));
        }
        let done = settled(replaced);
        assert!(done.readers(PartitionId(0)).contains(&n3));
    }

    #[test]
    fn an_owner_wiped_while_a_move_switches_over_counts_for_reads_as_little_as_for_writes() {
        let mut layout = settled(after(&founded(), &add("n2", 2)));
        layout = after(&layout, &add("n3", 3));
        let since = layout.moving.as_ref().unwrap().since;
        for node in layout.members.clone().into_keys() {
            layout = after(&layout, &ClusterCommand::MoveDone { node, since });
        }
        assert_eq!(stage(&layout), Some(Stage::Switch));
        layout = after(&layout, &add("n3", 33));
        for partition in (0..8).map(PartitionId) {
            assert_eq!(layout.filled_owners(partition), layout.readers(partition));
            assert_eq!(layout.readers(partition).len(), 2);
            assert!(layout.writers(partition).contains(&NodeId::of_name("n3")));
        }
    }

    #[test]
    fn late_and_foreign_reports_change_nothing() {
        let layout = after(&founded(), &add("n2", 2));
        let n1 = NodeId::of_name("n1");
        for (node, since) in [(n1, Epoch(1)), (NodeId(99), Epoch(2)), (n1, Epoch(2))] {
            let next = after(&layout, &ClusterCommand::MoveDone { node, since });
            assert_eq!(next.epoch, layout.epoch);
        }
    }

    #[test]
    fn a_member_that_a_shard_may_still_need_goes_only_by_force() {
        let mut layout = after(&founded(), &add("n2", 2));
        let settle = |shard, since| ClusterCommand::ShardSettled { shard: ShardId(shard), since };
        let remove = |force| ClusterCommand::RemoveMember { node: NodeId::of_name("n1"), force };
        let refused = apply(&layout, &remove(false)).unwrap_err();
        assert!(refused.to_string().contains("shard 0"), "{refused}");
        assert!(apply(&layout, &remove(true)).unwrap().is_some());
        let since = layout.epoch;
        layout = after(&layout, &settle(0, since));
        layout = after(&layout, &settle(1, Epoch(1)));
        layout = after(&layout, &settle(7, since));
        let refused = apply(&layout, &remove(false)).unwrap_err();
        assert!(refused.to_string().contains("shard 1"), "a report of before counts for nothing");
        layout = after(&layout, &settle(1, since));
        assert_eq!(layout.epoch, since, "reports are no new epoch");
        layout = after(&layout, &remove(false));
        assert_eq!(layout.unsettled(), Some(ShardId(0)), "they go on to who is left");
        let wiped = after(&after(&founded(), &add("n2", 2)), &add("n2", 3));
        assert_eq!(wiped.shards[0].since, wiped.epoch, "an empty folder has no shard");
    }

    #[test]
    fn what_would_break_the_cluster_is_refused_in_words() {
        let layout = founded();
        let words = |command| apply(&layout, &command).unwrap_err().to_string();
        let remove = |node| ClusterCommand::RemoveMember { node, force: false };
        let only = NodeId::of_name("n1");
        assert!(words(remove(only)).contains("cannot be removed"));
        assert!(words(remove(NodeId(9))).contains("no such member"));
        assert!(words(ClusterCommand::SetReplicas(0)).contains("from 1 to 9"));
    }
}
