//! Restoring: what a damaged disk lost of a key is got back from the other replicas.
//!
//! A replica that cannot read what it holds under a key asks all the others that count for reads, and
//! when every one of them has answered it writes what they hold together. Only all of them know as much
//! as it knew itself, whatever the quorums were. It refuses to store the key meanwhile, so nothing that it
//! confirms can be missing from their answers; if it could read the key again in between and has written
//! it, what was asked for is void. Whoever asked it for the key waits for the end, or for its own.
//!
//! Left out: keys that nobody asks for. They stay suspect until somebody does.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::operation::{Intent, Operation, Origin, Phase};
use super::{Eventual, Ground, object_key};
use crate::codec;
use crate::disk::Disk;
use crate::event::EventKind;
use crate::hash;
use crate::id::{Epoch, NodeId};
use crate::message::Token;
use crate::request::{QuorumOptions, Request};
use crate::storage::Batch;
use crate::version::Object;

/// A key that is being restored.
#[derive(Clone, Debug)]
pub(super) struct Restoring {
    /// The operation that asks the others.
    pub(super) token: Token,
    /// Who wants to be shown the key, with the epoch of the question.
    askers: Vec<(NodeId, Token, Epoch)>,
}

/// The most keys that are restored at a time.
const RESTORING_MAX: usize = 64;

/// The most that wait for one of them.
const ASKERS_MAX: usize = 64;

impl Eventual {
    /// This node cannot read a key of which it is a replica: gets it back, if that is not under way.
    pub(super) fn restore<D: Disk>(&mut self, ground: &mut Ground<'_, D>, key: &Bytes) {
        if self.restoring.contains_key(key) || self.restoring.len() >= RESTORING_MAX {
            return;
        }
        let request = Request::Get { key: key.clone(), options: QuorumOptions::default() };
        let Ok(mut operation) = Operation::new(ground, self.me, Origin::Nobody, &request) else {
            return;
        };
        operation.intent = Intent::Restore;
        let token = self.new_token();
        self.restoring.insert(key.clone(), Restoring { token, askers: Vec::new() });
        self.deadlines.insert((operation.deadline, token));
        self.operations.insert(token, Box::new(operation));
        self.begin_read(ground, token);
    }

    /// A coordinator wants to be shown a key that is being restored. Returns whether it will be.
    pub(super) fn wait_for_restore(
        &mut self,
        key: &Bytes,
        from: NodeId,
        token: Token,
        epoch: Epoch,
    ) -> bool {
        let Some(restoring) = self.restoring.get_mut(key) else { return false };
        let waits = restoring.askers.len() < ASKERS_MAX;
        if waits {
            restoring.askers.push((from, token, epoch));
        }
        waits
    }

    /// This node has written a key: what others answered before may lack that.
    pub(super) fn void_restore(&mut self, key: &Bytes) {
        self.restoring.remove(key);
    }

    /// All others have answered: this is what they hold together.
    pub(super) fn end_restore<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        token: Token,
        merged: &Object,
    ) {
        let Some(operation) = self.operations.get(&token) else { return };
        let (key, partition) = (operation.key.clone(), operation.partition);
        let mine = self.restoring.get(&key).filter(|restoring| restoring.token == token);
        let askers = mine.map(|restoring| restoring.askers.clone());
        self.forget(token);
        let Some(askers) = askers else { return };
        let kept = match Self::load(ground, partition, &key) {
            Ok(_) => self.keep(ground, &key, merged),
            Err(_) => {
                let (mut batch, place) = (Batch::default(), object_key(partition, &key));
                match *merged == Object::default() {
                    // Written down as well, for what cannot be read is not known to be absent.
                    true => batch.remove(place),
                    false => batch.put(place, codec::encode(merged)),
                }
                ground.out.event(EventKind::Repaired { replica: self.me, key: hash::of(&key) });
                Self::write_kept(ground, &batch)
            }
        };
        if kept.is_err() {
            return; // There is no room; whoever asks again begins anew.
        }
        for (from, token, epoch) in askers {
            self.on_fetch(ground, from, token, epoch, &key);
        }
        self.show_restored(ground, &key);
    }

    /// Goes on with the reads of this node that lack its own copy of a key.
    fn show_restored<D: Disk>(&mut self, ground: &mut Ground<'_, D>, key: &Bytes) {
        let lacks = |operation: &Operation| {
            operation.key == *key
                && !operation.answered
                && matches!(operation.phase, Phase::Read)
                && !matches!(operation.intent, Intent::Restore)
                && operation.asked().any(|node| node == self.me)
                && !operation.answers.contains(self.me)
        };
        let lacking = self.operations.iter().filter(|(_, operation)| lacks(operation));
        for token in lacking.map(|(token, _)| *token).collect::<Vec<_>>() {
            let Some(operation) = self.operations.get_mut(&token) else { continue };
            let Ok(found) = Self::load(ground, operation.partition, key) else { return };
            if let Some((_, at)) = &found {
                operation.after = operation.after.max(*at);
            }
            operation.answers.insert(self.me, found.map(|(object, _)| object));
            self.check_read(ground, token);
        }
    }
}
