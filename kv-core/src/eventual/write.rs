//! Writes: the coordinator's log first, then the other owners, until W disks have it.
//!
//! The local copy counts as confirmed at once, because the answer depends on its log position and is
//! held in the outbox until that is durable; the messages to the other owners depend on it too.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use bytes::Bytes;

use super::operation::{Group, Intent, Operation, Phase, Writing};
use super::{Eventual, Ground, UNSYNCED_MAX, object_key, tell};
use crate::bugs::{Bug, planted};
use crate::codec;
use crate::disk::Disk;
use crate::error::RequestError;
use crate::event::EventKind;
use crate::hash;
use crate::id::{LogPosition, NodeId, PartitionId};
use crate::message::{Message, Refusal, Token};
use crate::ordered::Set;
use crate::request::{Basis, Reply};
use crate::settings::Setting;
use crate::storage::{Batch, StoreError, Unreadable};
use crate::version::{Context, Dot, Object, Sibling};

/// The most values that may stand beside each other under one key.
const SIBLINGS_MAX: usize = 100;

/// The most bytes of values that may stand beside each other, for they travel in one message. A single
/// value may have more.
const SIBLINGS_BYTES_MAX: usize = 16 << 20;

impl Eventual {
    /// Writes here and asks the other owners to. `seen` is what a read quorum held, if it was asked.
    pub(super) fn begin_write<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        token: Token,
        seen: Option<Context>,
    ) {
        let Some(operation) = self.operations.get(&token) else { return };
        let mut write_quorum = operation.write_quorum;
        if planted(Bug::SettingsReadTwice) {
            write_quorum = ground.settings.get(Setting::WriteQuorum);
        }
        let groups = groups(ground, operation.partition, write_quorum);
        let write = check_reachable(ground, &groups).and_then(|()| {
            let context = self.context(token, seen)?;
            self.write_here(ground, token, context)
        });
        let (object, dot, context, at) = match write {
            Ok(written) => written,
            Err(error) => return self.finish(ground, token, Err(error)),
        };
        let Some(operation) = self.operations.get_mut(&token) else { return };
        if !planted(Bug::WriteSentUnsynced) {
            operation.after = operation.after.max(at);
        }
        operation.receipt.acknowledged = alloc::vec![self.me];
        operation.receipt.asked = alloc::vec![self.me];
        let refused = Set::new();
        operation.phase = Phase::Write(Writing { object, dot, context, groups, refused });
        self.ask_writers(ground, token);
        self.check_write(ground, token);
    }

    /// A replica confirmed or refused to store an object.
    pub(super) fn on_stored<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        from: NodeId,
        token: Token,
        refused: Option<Refusal>,
    ) {
        let Some(operation) = self.operations.get_mut(&token) else { return };
        match (&mut operation.phase, refused) {
            (Phase::Write(_), None) => {
                let counts_twice = planted(Bug::DuplicateReplyCounts);
                if !operation.receipt.acknowledged.contains(&from) || counts_twice {
                    operation.receipt.acknowledged.push(from);
                }
                self.check_write(ground, token);
            }
            (Phase::Write(writing), Some(Refusal::Full | Refusal::Busy | Refusal::Unreadable)) => {
                writing.refused.insert(from);
                self.check_write(ground, token);
            }
            (Phase::Repair(repair), None) if !operation.answered => {
                repair.holders.insert(from);
                self.check_repair(ground, token);
            }
            // A stale epoch is mended by the layout that the replica sends along.
            (_, Some(_)) | (Phase::Read | Phase::Repair(_) | Phase::Forward { .. }, None) => {}
        }
    }

    /// The layout changed under a write: its quorums are those of now.
    pub(super) fn resend_write<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token) {
        let Some(operation) = self.operations.get_mut(&token) else { return };
        let groups = groups(ground, operation.partition, operation.write_quorum);
        if let Phase::Write(writing) = &mut operation.phase {
            writing.groups = groups;
            // What confirmed it may have lost its disk since and been taken in with a new one.
            let asked_in = operation.receipt.epoch;
            let members = &ground.layout.members;
            operation
                .receipt
                .acknowledged
                .retain(|node| members.get(node).is_none_or(|member| member.since <= asked_in));
            operation.receipt.epoch = ground.layout.epoch;
            self.ask_writers(ground, token);
            self.check_write(ground, token);
        }
    }

    /// What the write has seen.
    fn context(&self, token: Token, seen: Option<Context>) -> Result<Context, RequestError> {
        let Some(operation) = self.operations.get(&token) else { return Ok(Context::default()) };
        let context = match (&operation.intent, seen) {
            (_, Some(seen)) => seen,
            (Intent::Write { basis: Basis::Context(context), .. }, None) => context.clone(),
            (Intent::Write { .. } | Intent::Read | Intent::Restore, None) => Context::default(),
        };
        // A context that claims counters which were never used would make later writes look seen.
        let used = self.leases.used(operation.partition);
        if context.clock().counter_of(self.actor) > used || !context.is_of(&operation.key) {
            return Err(RequestError::Invalid(String::from(
                "the context was not made by this cluster for this key; nothing was changed, read the key again",
            )));
        }
        Ok(context)
    }

    /// Writes the operation's value into the local copy.
    fn write_here<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        token: Token,
        context: Context,
    ) -> Result<(Object, Dot, Context, LogPosition), RequestError> {
        let Some(operation) = self.operations.get(&token) else { return Err(RequestError::Busy) };
        let Operation {
            key, partition, intent: Intent::Write { value, .. }, clock_threshold, ..
        } = operation.as_ref()
        else {
            return Err(RequestError::Busy);
        };
        if ground.store.unsynced_bytes() > UNSYNCED_MAX {
            return Err(RequestError::Busy);
        }
        let found = match Self::load(ground, *partition, key) {
            Ok(found) => found,
            Err(fault) => {
                let key = key.clone();
                self.restore(ground, &key);
                return Err(unreadable(ground, &fault));
            }
        };
        let mut object = found.map(|(object, _)| object).unwrap_or_default();
        let mut batch = Batch::default();
        let counter = self.leases.next(*partition, &mut batch);
        let dot = Dot { actor: self.actor, counter };
        if object.clock().covers(dot) {
            return Err(RequestError::Conflict(String::from(
                "someone wrote this key with a context that claims writes which this node never made, so its writes would look seen; nothing was changed, write through another node",
            )));
        }
        let stamp = ground.clock.tick(ground.now.wall);
        object.write(context.clock(), dot, Sibling { stamp, value: value.clone() });
        let siblings = check_siblings(&object)?;
        let pruned = object.prune(*clock_threshold, dot);
        batch.put(object_key(*partition, key), codec::encode(&object));
        let at = ground.store.apply(&batch, ground.disk).map_err(|error| match error {
            StoreError::Full => RequestError::Full,
            StoreError::Busy => RequestError::Busy,
            StoreError::Failed(error) => RequestError::Unknown(format!("{error}")),
        })?;
        self.leases.confirm(*partition, counter);
        self.restoring.remove(key);
        let key_hash = hash::of(key);
        ground.out.event(EventKind::Stored { partition: *partition, key: key_hash, dot });
        if pruned > 0 {
            ground.out.event(EventKind::ClockPruned { key: key_hash, pairs: pruned });
        }
        let mut context = context;
        if siblings == 1 {
            // Beside unseen values the write's own dot would claim that its client saw them too.
            context = Context::of(key, object.clock().clone());
        }
        Ok((object, dot, context, at))
    }

    /// Sends the object to all writers that have not confirmed it.
    fn ask_writers<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token) {
        let Some(operation) = self.operations.get_mut(&token) else { return };
        let Phase::Write(writing) = &operation.phase else { return };
        for node in ground.layout.writers(operation.partition) {
            if operation.receipt.acknowledged.contains(&node) || node == self.me {
                continue;
            }
            if !operation.receipt.asked.contains(&node) {
                operation.receipt.asked.push(node);
            }
            let message = Message::Store {
                token,
                epoch: ground.layout.epoch,
                key: operation.key.clone(),
                object: writing.object.clone(),
            };
            let after = operation.after;
            ground.out.send(node, Some(operation.partition), after, message);
        }
    }

    /// Answers a write that has its quorums, or can no longer get them.
    fn check_write<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token) {
        let Some(operation) = self.operations.get(&token) else { return };
        let Phase::Write(writing) = &operation.phase else { return };
        let confirmed = |node: &NodeId| operation.receipt.acknowledged.contains(node);
        let count = |group: &Group| match planted(Bug::DuplicateReplyCounts) {
            true => operation.receipt.acknowledged.len() as u64,
            false => group.count(confirmed),
        };
        let short = u64::from(planted(Bug::QuorumOneShort));
        if writing.groups.iter().all(|group| count(group) + short >= group.need) {
            let reply = Reply::Written {
                dot: writing.dot,
                context: writing.context.clone(),
                siblings: u32::try_from(writing.object.siblings().count()).unwrap_or(u32::MAX),
                receipt: Box::new(operation.receipt.clone()),
            };
            self.finish(ground, token, Ok(reply));
        } else if writing
            .groups
            .iter()
            .any(|group| group.count(|node| !writing.refused.contains(node)) < group.need)
        {
            let words = "too many replicas refused the write, because their disks are full or they are busy";
            self.finish(ground, token, Err(RequestError::Unknown(String::from(words))));
        }
    }
}

/// How many values stand beside each other, if those are not too many.
fn check_siblings(object: &Object) -> Result<usize, RequestError> {
    let siblings = object.siblings().count();
    let bytes: usize =
        object.siblings().map(|(_, sibling)| sibling.value.as_ref().map_or(0, Bytes::len)).sum();
    if siblings > SIBLINGS_MAX || (siblings > 1 && bytes > SIBLINGS_BYTES_MAX) {
        return Err(RequestError::Conflict(format!(
            "{} values stand beside each other under this key and another would be too many or too much; nothing was changed, read it and write with the context you get",
            siblings - 1
        )));
    }
    Ok(siblings)
}

/// The nodes that must confirm a write, and how many of them.
fn groups<D>(
    ground: &Ground<'_, D>,
    partition: PartitionId,
    write_quorum: u64,
) -> alloc::vec::Vec<Group> {
    let owners = Some(ground.layout.filled_owners(partition));
    [owners, ground.layout.old_owners(partition)]
        .into_iter()
        .flatten()
        .map(|nodes| Group { need: write_quorum.min(nodes.len() as u64), nodes })
        .collect()
}

/// Refuses a write that cannot succeed before anything has changed.
fn check_reachable<D>(ground: &Ground<'_, D>, groups: &[Group]) -> Result<(), RequestError> {
    for group in groups {
        let reachable = group.count(|node| ground.reachable.contains(node));
        if reachable < group.need {
            return Err(RequestError::Unavailable(format!(
                "{reachable} of {} replicas can be reached and the write needs {}; nothing was changed, try again later or lower write_quorum",
                group.nodes.len(),
                group.need
            )));
        }
    }
    Ok(())
}

/// The refusal of a write because what is there cannot be read.
fn unreadable<D>(ground: &mut Ground<'_, D>, fault: &Unreadable) -> RequestError {
    tell(ground.out, fault);
    RequestError::Unavailable(format!("{fault}; nothing was changed, write through another node"))
}
