//! The hand-off of partitions: when owners change, every member sends the new owners what it has.
//!
//! A member walks through its objects in the order of its store, a batch at a time, and goes on when
//! every new owner in it has the batch on disk. Merging makes repeats and late batches harmless. At the
//! end the member has done its part of the move. Objects written meanwhile reach the new owners on their
//! own, because writes go to old and new owners.
//!
//! Left out: sending only differences, and removing what a member no longer owns.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Eventual, Ground, OBJECTS, parse_object_key, tell};
use crate::bugs::{Bug, planted};
use crate::codec;
use crate::disk::Disk;
use crate::event::EventKind;
use crate::id::{Epoch, LogPosition, NodeId};
use crate::message::{Message, Token};
use crate::ordered::Map;
use crate::ring::layout::Stage;
use crate::storage::{Batch, Item};
use crate::time::{Micros, Mono};
use crate::version::Object;

/// After how many bytes a batch is full.
const BATCH_BYTES: u64 = 256 << 10;

/// How many objects are looked at in one go, so that other work comes in between.
const BATCH_OBJECTS: usize = 512;

/// After what time a batch that was not confirmed is sent again.
const RESEND: Micros = Micros::from_millis(2_000);

/// This node's part of a stage of a move.
#[derive(Clone, Debug)]
pub(super) struct HandOff {
    since: Epoch,
    /// Where to go on in the store; none when everything was handed on.
    cursor: Option<Vec<u8>>,
    token: Token,
    /// What each new owner has not confirmed.
    awaited: Map<NodeId, Vec<(Bytes, Object)>>,
    after: LogPosition,
    /// When to send the next batch, or this one again.
    go_on_at: Mono,
    /// The objects could not be read at the last attempt.
    stuck: bool,
    sent: Map<NodeId, u64>,
}

impl HandOff {
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        (self.cursor.is_some() || !self.awaited.is_empty()).then_some(self.go_on_at)
    }
}

impl Eventual {
    /// The epoch of the stage that this node has done its part of, if it serves one.
    #[must_use]
    pub fn stage_done(&self) -> Option<Epoch> {
        let handoff = self.handoff.as_ref()?;
        (handoff.cursor.is_none() && handoff.awaited.is_empty()).then_some(handoff.since)
    }

    /// Begins, restarts or ends this node's part of a move, as the layout wants it.
    pub(super) fn follow_move<D: Disk>(&mut self, ground: &Ground<'_, D>) {
        let Some(moving) = &ground.layout.moving else {
            self.handoff = None;
            return;
        };
        if self.handoff.as_ref().is_some_and(|handoff| handoff.since == moving.since) {
            return;
        }
        let copies = moving.stage == Stage::Copy;
        self.handoff = Some(HandOff {
            since: moving.since,
            cursor: copies.then(|| OBJECTS.to_vec()),
            token: 0,
            awaited: Map::new(),
            after: LogPosition::START,
            go_on_at: ground.now.mono,
            stuck: false,
            sent: Map::new(),
        });
    }

    /// Sends the next batch, or the last one again if it was not confirmed for long.
    pub(super) fn repeat_handoff<D: Disk>(&mut self, ground: &mut Ground<'_, D>) {
        let Some(mut handoff) = self.handoff.take() else { return };
        if handoff.next_deadline().is_some_and(|at| at <= ground.now.mono) {
            if handoff.awaited.is_empty() {
                self.next_batch(ground, &mut handoff);
            }
            self.send_batch(ground, &mut handoff);
        }
        self.handoff = Some(handoff);
    }

    /// A member hands objects on to this node.
    pub(super) fn on_hand_off<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        from: NodeId,
        token: Token,
        epoch: Epoch,
        objects: &[(Bytes, Object)],
    ) {
        if epoch < ground.layout.epoch && ground.layout.moving.is_none() {
            return; // The move it belongs to is over.
        }
        let mut batch = Batch::default();
        let mut after = LogPosition::START;
        for (key, object) in objects {
            // Without an answer the sender tries again.
            let Ok(stands) = Self::merge_into(ground, key, object, &mut batch) else {
                return self.restore(ground, key);
            };
            after = after.max(stands.unwrap_or_default());
        }
        if !batch.is_empty() {
            // The same where there is no room.
            let Ok(at) = Self::write_kept(ground, &batch) else { return };
            if !planted(Bug::HandOffUnsynced) {
                after = after.max(at);
            }
            objects.iter().for_each(|(key, _)| self.void_restore(key));
        }
        ground.out.send(from, None, after, Message::HandedOff { token });
    }

    /// A new owner has the last batch on disk.
    pub(super) fn on_handed_off<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        from: NodeId,
        token: Token,
    ) {
        let Some(handoff) = &mut self.handoff else { return };
        if handoff.token != token {
            return;
        }
        if let Some(objects) = handoff.awaited.remove(&from) {
            *handoff.sent.entry(from).or_default() += objects.len() as u64;
        }
        if handoff.awaited.is_empty() {
            handoff.go_on_at = ground.now.mono;
        }
        if handoff.cursor.is_none() && handoff.awaited.is_empty() {
            for (to, objects) in core::mem::take(&mut handoff.sent) {
                ground.out.event(EventKind::HandedOff { to, objects });
            }
        }
    }

    /// Collects objects from the cursor on for the new owners that may lack them.
    fn next_batch<D: Disk>(&mut self, ground: &mut Ground<'_, D>, handoff: &mut HandOff) {
        let Some(cursor) = handoff.cursor.take() else { return };
        handoff.stuck = false;
        let (mut bytes, mut looked_at) = (0, 0);
        let mut scan = ground.store.scan_prefix(OBJECTS, &cursor);
        loop {
            let (place, value, at) = match scan.next(&*ground.disk) {
                Ok(Some(Item { key, value, at })) => (key, value, at),
                Ok(None) => break,
                Err(fault) => {
                    // Objects may be missing from here on, so this part is not done before it can be
                    // read again.
                    tell(ground.out, &fault);
                    handoff.awaited.clear();
                    handoff.cursor = Some(cursor);
                    handoff.stuck = true;
                    return;
                }
            };
            if bytes >= BATCH_BYTES || looked_at >= BATCH_OBJECTS {
                handoff.cursor = Some(place.to_vec());
                break;
            }
            looked_at += 1;
            let Some((partition, key)) = parse_object_key(place) else { continue };
            let owners = ground.layout.owners(partition);
            if ground.layout.old_owners(partition).is_none() && owners.contains(&self.me) {
                continue; // Its owners are the same as before.
            }
            let Ok(object) = codec::decode::<Object>(value) else { continue };
            handoff.after = handoff.after.max(at);
            for owner in owners.into_iter().filter(|owner| *owner != self.me) {
                bytes += value.len() as u64;
                let entry = (Bytes::copy_from_slice(key), object.clone());
                handoff.awaited.entry(owner).or_default().push(entry);
            }
        }
        handoff.token = self.new_token();
    }

    fn send_batch<D: Disk>(&mut self, ground: &mut Ground<'_, D>, handoff: &mut HandOff) {
        // Without anything to wait for there is more to look at, or it cannot be read just now.
        let at_once = handoff.awaited.is_empty() && !handoff.stuck;
        let pause = if at_once { Micros(0) } else { RESEND };
        handoff.go_on_at = ground.now.mono + pause;
        for (&node, objects) in &handoff.awaited {
            let message = Message::HandOff {
                token: handoff.token,
                epoch: ground.layout.epoch,
                objects: objects.clone(),
            };
            let after = handoff.after;
            ground.out.send(node, None, after, message);
        }
    }
}
