//! Reads: ask all readers, wait for R, merge, mend those that were behind.
//!
//! With blocking repair an answer waits until what it shows stands on a read quorum, so that of two
//! reads in a row the second never shows less (as long as 2R > N). Readers that answer later are
//! compared too, and mended without anyone waiting.
//!
//! While a partition moves, reads count the owners of one side, and the next one may count those of the
//! other. So both sides are asked, and what is shown stands on a quorum of each.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use super::operation::{Group, Intent, Operation, Phase, Repair};
use super::{Eventual, Ground};
use crate::disk::Disk;
use crate::error::RequestError;
use crate::event::EventKind;
use crate::hash;
use crate::id::{LogPosition, NodeId};
use crate::message::{Message, Refusal, Token};
use crate::ordered::{self, Set};
use crate::pairs::Pairs;
use crate::request::{ReadValue, Reply};
use crate::version::{Context, Object};

/// The token of a repair that no one waits for.
pub(super) const UNAWAITED: Token = 0;

impl Eventual {
    /// Asks all readers of now, this node among them if it is one.
    pub(super) fn begin_read<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token) {
        let Some(operation) = self.operations.get_mut(&token) else { return };
        let mut readers = ground.layout.readers(operation.partition);
        let mut others = ground.layout.other_readers(operation.partition);
        let need = ground.layout.read_need(operation.read_quorum, operation.write_quorum);
        let mut need = need.min(readers.len() as u64);
        if let Intent::Restore = operation.intent {
            readers.retain(|node| *node != self.me);
            (others, need) = (None, readers.len() as u64);
        }
        operation.readers_needed = need;
        let reachable =
            readers.iter().filter(|node| ground.reachable.contains(node)).count() as u64;
        operation.answers.clear();
        operation.receipt.repaired.clear();
        operation.phase = Phase::Read;
        operation.receipt.epoch = ground.layout.epoch;
        operation.receipt.asked.clone_from(&readers);
        operation.readers = readers;
        operation.others = others.map(|nodes| {
            let need = operation.read_quorum.min(nodes.len() as u64);
            Group { nodes, need }
        });
        if reachable < need || need == 0 {
            let error = RequestError::Unavailable(format!(
                "{reachable} of {} replicas can be reached and the read needs {need}; nothing was changed, try again later or lower read_quorum",
                operation.readers.len()
            ));
            return self.finish(ground, token, Err(error));
        }
        let (mut local, mut lost) = (None, None);
        for node in operation.asked() {
            if node == self.me {
                match Self::load(ground, operation.partition, &operation.key) {
                    Ok(found) => local = Some(found),
                    // What this node cannot read, the others must know.
                    Err(_) => lost = Some(operation.key.clone()),
                }
                continue;
            }
            let epoch = ground.layout.epoch;
            let message = Message::Fetch { token, epoch, key: operation.key.clone() };
            ground.out.send(node, Some(operation.partition), LogPosition::START, message);
        }
        if let Some(key) = lost {
            return self.restore(ground, &key);
        }
        if let Some(found) = local {
            if let Some((_, at)) = &found {
                operation.after = operation.after.max(*at);
            }
            operation.answers.insert(self.me, found.map(|(object, _)| object));
            self.check_read(ground, token);
        }
    }

    /// A reader answered.
    pub(super) fn on_fetched<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        from: NodeId,
        token: Token,
        object: Result<Option<Object>, Refusal>,
    ) {
        let Some(operation) = self.operations.get_mut(&token) else { return };
        let asked = operation.asked().any(|node| node == from);
        // A reader that knows a later layout sends it along, and the read begins again under it.
        let (Ok(object), true) = (object, asked) else { return };
        let holds =
            matches!(&operation.phase, Phase::Repair(repair) if has(&object, &repair.merged));
        operation.answers.insert(from, object);
        if operation.answered {
            if !operation.awaits_readers(ground.reachable) {
                self.mend_late(ground, token);
                self.forget(token);
            }
            return;
        }
        match &mut operation.phase {
            Phase::Read => self.check_read(ground, token),
            Phase::Repair(repair) if holds => {
                repair.holders.insert(from);
                self.check_repair(ground, token);
            }
            Phase::Repair(repair) if !operation.receipt.repaired.contains(&from) => {
                let merged = repair.merged.clone();
                operation.receipt.repaired.push(from);
                self.mend(ground, token, token, from, &merged);
                self.check_repair(ground, token);
            }
            Phase::Repair(_) | Phase::Write(_) | Phase::Forward { .. } => {}
        }
    }

    /// Goes on once R readers have answered: to the answer, a repair, or the write that follows.
    pub(super) fn check_read<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token) {
        let Some(operation) = self.operations.get_mut(&token) else { return };
        if operation.readers_heard() < operation.readers_needed {
            return;
        }
        operation.receipt.acknowledged = operation.answers.keys().collect();
        let merged = merge_all(operation.answers.values());
        if let Intent::Restore = operation.intent {
            return self.end_restore(ground, token, &merged);
        }
        if let Intent::Write { .. } = operation.intent {
            let seen = Context::of(&operation.key, merged.clock().clone());
            return self.begin_write(ground, token, Some(seen));
        }
        let stale = stale_among(&operation.answers, &merged);
        // A read quorum has answered, so where nobody is behind only the other owners may lack it.
        let heard =
            |group: &Group| group.need <= group.count(|node| operation.answers.contains(*node));
        let stands =
            operation.others.as_ref().is_none_or(heard) || merged.is_level_with(&Object::default());
        if (stale.is_empty() && stands) || !operation.blocking_repair {
            return self.answer_read(ground, token, &merged);
        }
        let fresh = |node: &NodeId| !stale.contains(node);
        let mut holders = Set::new();
        holders.extend(operation.answers.keys().filter(fresh));
        let readers = Group { nodes: operation.readers.clone(), need: operation.readers_needed };
        let groups = [Some(readers), operation.others.clone()].into_iter().flatten().collect();
        operation.phase = Phase::Repair(Repair { merged: merged.clone(), holders, groups });
        operation.receipt.repaired.clone_from(&stale);
        for node in stale {
            self.mend(ground, token, token, node, &merged);
        }
        self.check_repair(ground, token);
    }

    /// Answers once what was found stands on enough replicas.
    pub(super) fn check_repair<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token) {
        let Some(operation) = self.operations.get(&token) else { return };
        let Phase::Repair(repair) = &operation.phase else { return };
        if repair.lacking().is_none() {
            let merged = repair.merged.clone();
            self.answer_read(ground, token, &merged);
        }
    }

    /// Compares all answers once more when no more are awaited, and mends who is behind.
    pub(super) fn mend_late<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token) {
        let Some(operation) = self.operations.get(&token) else { return };
        if are_level(operation.answers.values()) {
            return;
        }
        let merged = merge_all(operation.answers.values());
        let mended = |node: &&NodeId| !operation.receipt.repaired.contains(node);
        let stale = stale_among(&operation.answers, &merged);
        for node in stale.iter().filter(mended).copied().collect::<Vec<_>>() {
            self.mend(ground, token, UNAWAITED, node, &merged);
        }
    }

    fn answer_read<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token, merged: &Object) {
        let Some(operation) = self.operations.get(&token) else { return };
        let mut values: Vec<ReadValue> = merged
            .siblings()
            .filter_map(|(dot, sibling)| {
                let value = sibling.value.clone()?;
                Some(ReadValue { dot, stamp: sibling.stamp, value })
            })
            .collect();
        // No two have one dot.
        ordered::sort_by_key(&mut values, |value| core::cmp::Reverse((value.stamp, value.dot)));
        let receipt = Box::new(operation.receipt.clone());
        let context = Context::of(&operation.key, merged.clock().clone());
        if !operation.awaits_readers(ground.reachable) {
            self.mend_late(ground, token);
        }
        self.finish(ground, token, Ok(Reply::Read { values, context, receipt }));
    }

    /// Sends a replica what it missed; the answer comes back under `reply_token`.
    fn mend<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        token: Token,
        reply_token: Token,
        node: NodeId,
        merged: &Object,
    ) {
        let Some(operation) = self.operations.get(&token) else { return };
        let (key, partition) = (operation.key.clone(), operation.partition);
        ground.out.event(EventKind::Repaired { replica: node, key: hash::of(&key) });
        if node != self.me {
            let after = operation.after;
            let epoch = ground.layout.epoch;
            let object = merged.clone();
            let message = Message::Store { token: reply_token, epoch, key, object };
            ground.out.send(node, Some(partition), after, message);
            return;
        }
        let kept = self.keep(ground, &key, merged);
        if let (Ok(at), Some(operation)) = (kept, self.operations.get_mut(&token)) {
            operation.after = operation.after.max(at);
            if let Phase::Repair(repair) = &mut operation.phase {
                repair.holders.insert(node);
            }
        }
    }
}

impl Operation {
    /// All that are asked, each once.
    pub(super) fn asked(&self) -> impl Iterator<Item = NodeId> {
        let others = self.others.iter().flat_map(|group| &group.nodes);
        let others = others.filter(|node| !self.readers.contains(node));
        self.readers.iter().chain(others).copied()
    }

    /// How many of those that count have answered.
    fn readers_heard(&self) -> u64 {
        self.readers.iter().filter(|node| self.answers.contains(**node)).count() as u64
    }
}

fn merge_all<'a>(answers: impl Iterator<Item = &'a Option<Object>>) -> Object {
    let mut answers = answers.flatten();
    let mut merged = answers.next().cloned().unwrap_or_default();
    for object in answers {
        merged.merge(object);
    }
    merged
}

/// Whether a replica's copy lacks nothing of the merged one. Nothing is as good as an empty object.
fn has(copy: &Option<Object>, merged: &Object) -> bool {
    copy.as_ref().map_or_else(
        || merged.is_level_with(&Object::default()),
        |object| object.is_level_with(merged),
    )
}

/// Whether no replica's copy lacks anything that another has.
fn are_level<'a>(mut answers: impl Iterator<Item = &'a Option<Object>>) -> bool {
    match answers.next() {
        Some(Some(first)) => answers.all(|copy| has(copy, first)),
        Some(None) => answers.all(|copy| has(copy, &Object::default())),
        None => true,
    }
}

/// The replicas whose copy lacks something of the merged one.
fn stale_among(answers: &Pairs<NodeId, Option<Object>>, merged: &Object) -> Vec<NodeId> {
    let stale = answers.iter().filter(|(_, copy)| !has(copy, merged));
    stale.map(|(node, _)| node).collect()
}
