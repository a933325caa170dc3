//! What a person would look at when the attack is over: the nodes, and who was left waiting.

use alloc::format;
use alloc::string::String;

use bytes::Bytes;

use crate::id::{Index, ShardId};
use crate::node::{NodeView, Queue};
use crate::ordered::Map;
use crate::sim::{Action, OperationRecord, TimedAction, World};

/// Whether every node runs, is a member, and agrees with the others; else what is not so.
pub(super) fn whole(world: &World) -> Result<(), String> {
    for index in 0..world.nodes() {
        let name = format!("n{}", u32::from(index) + 1);
        let Some(node) = world.node(index) else {
            let why = world.failure(index).unwrap_or("it did not start");
            return Err(format!("{name} is down: {why}"));
        };
        if let Some(why) = node.halted() {
            return Err(format!("{name} has halted: {why}"));
        }
    }
    let mut first: Option<NodeView> = None;
    for index in 0..world.nodes() {
        let name = format!("n{}", u32::from(index) + 1);
        let Some(view) = world.view(index) else { continue };
        let Some(layout) = &view.layout else {
            return Err(format!("{name} is a member of no cluster"));
        };
        if layout.members.len() != usize::from(world.nodes()) || layout.moving.is_some() {
            return Err(format!(
                "{name} has a layout that is not whole: {} of {} members, {}",
                layout.members.len(),
                world.nodes(),
                if layout.moving.is_some() { "partitions moving" } else { "nothing moving" }
            ));
        }
        if let Some(first) = &first
            && (first.layout != view.layout || first.settings != view.settings)
        {
            let (at, first_at) = (layout.at.0, first.layout.as_ref().map_or(0, |it| it.at.0));
            return Err(format!(
                "{name} and n1 differ in layout, as of entries {at} and {first_at}, or in settings"
            ));
        }
        if let Some(peer) = view.peers.iter().find(|peer| !peer.alive || !peer.linked) {
            let other = (0..world.nodes()).find(|other| world.node_id(*other) == peer.node);
            let other = other.map_or(0, |other| u32::from(other) + 1);
            return Err(format!("{name} does not hear n{other}"));
        }
        settled(&view).map_err(|words| format!("{name} {words}"))?;
        first.get_or_insert(view);
    }
    Ok(())
}

/// Whether no request is open anywhere and nothing waits for a disk; else who waits.
pub(super) fn idle(world: &World) -> Result<(), String> {
    for index in 0..world.nodes() {
        let Some(view) = world.view(index) else { continue };
        let (requests, outputs) = (view.requests_open, view.outputs_held);
        if requests > 0 || outputs > 0 {
            let node = u32::from(index) + 1;
            return Err(format!(
                "n{node} still has {requests} requests and {outputs} held outputs"
            ));
        }
    }
    Ok(())
}

/// Whether every queue of every node is within its bound; else which is not.
pub(super) fn bounded(world: &World) -> Result<(), String> {
    queues(world, |queue| queue.length <= queue.limit)
}

/// Whether nothing is left in queues that are empty when nobody asks for anything; else what is.
pub(super) fn drained(world: &World) -> Result<(), String> {
    queues(world, |queue| queue.length == 0 || !queue.drains)
}

fn queues(world: &World, is_right: impl Fn(&Queue) -> bool) -> Result<(), String> {
    for index in 0..world.nodes() {
        let Some(node) = world.node(index) else { continue };
        if let Some(Queue { name, length, .. }) = node.queues().into_iter().find(|it| !is_right(it))
        {
            return Err(format!("n{} has {length} {name}", u32::from(index) + 1));
        }
    }
    Ok(())
}

/// Whether a node holds the shards that the layout places on it, and no others, each with a leader and the
/// voters of the layout; else what is not so.
fn settled(view: &NodeView) -> Result<(), String> {
    let Some(layout) = &view.layout else { return Ok(()) };
    for shard in (0..layout.shards.len() as u32).map(ShardId) {
        let group = view.groups.iter().find(|group| group.group == shard.group());
        let placed = layout.holders(shard).any(|node| node == view.node);
        let number = shard.0;
        match group {
            None if placed => return Err(format!("does not hold shard {number}")),
            Some(_) if !placed => return Err(format!("still holds shard {number}")),
            Some(group) if group.leader.is_none() => {
                return Err(format!("knows no leader of shard {number}"));
            }
            Some(group) => {
                let membership = &group.membership;
                if membership.is_joint() || membership.voters != layout.replicas_of(shard) {
                    return Err(format!("sees other voters of shard {number} than the layout"));
                }
            }
            None => {}
        }
    }
    Ok(())
}

/// Whether all who hold a shard and have applied the same have the same; else of which they do not.
pub(super) fn equal_shards(world: &World) -> Result<(), String> {
    let mut known: Map<(ShardId, Index), (u16, u64)> = Map::new();
    for node in 0..world.nodes() {
        for (shard, applied, digest) in world.shards(node) {
            let (first, expected) = *known.entry((shard, applied)).or_insert((node, digest));
            if digest != expected {
                return Err(format!(
                    "n{} and n{} differ in shard {} as of entry {}",
                    u32::from(first) + 1,
                    u32::from(node) + 1,
                    shard.0,
                    applied.0
                ));
            }
        }
    }
    Ok(())
}

/// Whether all who found a shard damaged have another state of it; else who has not.
pub(super) fn mended(world: &World) -> Result<(), String> {
    for index in 0..world.nodes() {
        let damaged = world.node(index).and_then(|node| node.damaged_shards().first().copied());
        if let Some(shard) = damaged {
            let node = u32::from(index) + 1;
            return Err(format!("n{node} has not mended shard {}", shard.0));
        }
    }
    Ok(())
}

/// Whether all owners of each key hold the same; else of which they do not.
pub(super) fn equal(world: &World, keys: &[Bytes]) -> Result<(), String> {
    let Some(layout) = world.view(0).and_then(|view| view.layout) else {
        return Ok(());
    };
    for key in keys {
        let owners = layout.owners(layout.ring.partition_of(key));
        // What is damaged on a disk may still be answered from memory, and is restored when it is not.
        let mut held = (0..world.nodes())
            .filter(|node| owners.contains(&world.node_id(*node)) && !world.is_lost(*node, key))
            .map(|node| (node, world.object(node, key).map(|object| object.digest())));
        let Some((one, digest)) = held.next() else { continue };
        if let Some((other, _)) = held.find(|(_, other)| *other != digest) {
            let (one, other) = (u32::from(one) + 1, u32::from(other) + 1);
            return Err(format!(
                "n{one} and n{other} hold different versions of {} after it was read",
                key.escape_ascii()
            ));
        }
    }
    Ok(())
}

/// Whether a node was paused while a client waited for it, so that it could not answer.
pub(super) fn could_not_answer(world: &World, record: &OperationRecord) -> bool {
    let end = record.outcome.as_ref().map_or_else(|| world.now(), |(at, _)| *at);
    let change = |timed: &TimedAction| match &timed.action {
        Action::Pause { node } => Some((timed.at, *node, true)),
        Action::Resume { node } | Action::Crash { node } | Action::Wipe { node } => {
            Some((timed.at, *node, false))
        }
        _ => None,
    };
    let mut paused = false;
    for (at, node, pauses) in world.actions().iter().filter_map(change) {
        if node != record.node || end < at {
            continue;
        }
        let before: bool = at < record.called;
        paused = if before { pauses } else { paused || pauses };
    }
    paused
}
