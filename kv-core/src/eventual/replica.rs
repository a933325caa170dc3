//! The part of an owner: to keep what coordinators send, and to show what it has.
//!
//! A replica merges whatever arrives into its copy and confirms once the log is durable up to it. It
//! refuses messages of an epoch before its own and sends its layout along, so that quorums of different
//! epochs never pass each other by.

use alloc::borrow::Cow;
use alloc::boxed::Box;

use bytes::Bytes;

use super::{Eventual, Ground, UNSYNCED_MAX, object_key};
use crate::bugs::{Bug, planted};
use crate::codec;
use crate::disk::Disk;
use crate::event::EventKind;
use crate::hash;
use crate::id::{Epoch, LogPosition, NodeId};
use crate::message::{Message, Refusal, Token};
use crate::storage::{Batch, StoreError};
use crate::version::Object;

impl Eventual {
    pub(super) fn on_store<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        from: NodeId,
        token: Token,
        epoch: Epoch,
        key: &Bytes,
        object: &Object,
    ) {
        let partition = ground.layout.ring.partition_of(key);
        let kept = if refuses_epoch(ground, from, epoch) {
            Err(Refusal::StaleEpoch)
        } else {
            self.keep(ground, key, object)
        };
        let (refused, after) = match kept {
            Ok(_) if planted(Bug::AcknowledgeBeforeSync) => (None, LogPosition::START),
            Ok(at) => (None, at),
            Err(refusal) => (Some(refusal), LogPosition::START),
        };
        ground.out.send(from, Some(partition), after, Message::Stored { token, refused });
    }

    pub(super) fn on_fetch<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        from: NodeId,
        token: Token,
        epoch: Epoch,
        key: &Bytes,
    ) {
        let partition = ground.layout.ring.partition_of(key);
        let (object, after) = if refuses_epoch(ground, from, epoch) {
            (Err(Refusal::StaleEpoch), LogPosition::START)
        } else {
            match Self::load(ground, partition, key) {
                Ok(Some((object, _))) if planted(Bug::ReadOfUnsynced) => {
                    (Ok(Some(object)), LogPosition::START)
                }
                Ok(Some((object, at))) => (Ok(Some(object)), at),
                Ok(None) => (Ok(None), LogPosition::START),
                Err(_) => {
                    self.restore(ground, key);
                    if self.wait_for_restore(key, from, token, epoch) {
                        return;
                    }
                    (Err(Refusal::Unreadable), LogPosition::START)
                }
            }
        };
        ground.out.send(from, Some(partition), after, Message::Fetched { token, object });
    }

    /// Merges an object into the local copy. Returns the log position the copy depends on.
    pub(super) fn keep<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        key: &Bytes,
        object: &Object,
    ) -> Result<LogPosition, Refusal> {
        let mut batch = Batch::default();
        match Self::merge_into(ground, key, object, &mut batch) {
            Ok(Some(at)) => return Ok(at),
            Ok(None) => {}
            Err(refusal) => {
                self.restore(ground, key);
                return Err(refusal);
            }
        }
        let at = Self::write_kept(ground, &batch)?;
        self.void_restore(key);
        Ok(at)
    }

    /// Adds the merged copy to a batch, or says where the copy stands that has it all already.
    pub(super) fn merge_into<D: Disk>(
        ground: &mut Ground<'_, D>,
        key: &Bytes,
        object: &Object,
        batch: &mut Batch,
    ) -> Result<Option<LogPosition>, Refusal> {
        let partition = ground.layout.ring.partition_of(key);
        // What cannot be read must not be replaced: it may hold what no other replica has.
        let mine = Self::load(ground, partition, key).map_err(|_| Refusal::Unreadable)?;
        let merged = match mine {
            Some((mut mine, at)) => match mine.merge(object) {
                true => Cow::Owned(mine),
                false => return Ok(Some(at)),
            },
            None => Cow::Borrowed(object),
        };
        let newest = object.siblings().max_by_key(|(dot, sibling)| (sibling.stamp, *dot));
        if let Some((dot, sibling)) = newest {
            ground.clock.follow(sibling.stamp, ground.now.wall);
            ground.out.event(EventKind::Stored { partition, key: hash::of(key), dot });
        }
        batch.put(object_key(partition, key), codec::encode(merged.as_ref()));
        Ok(None)
    }

    pub(super) fn write_kept<D: Disk>(
        ground: &mut Ground<'_, D>,
        batch: &Batch,
    ) -> Result<LogPosition, Refusal> {
        if ground.store.unsynced_bytes() > UNSYNCED_MAX {
            return Err(Refusal::Busy);
        }
        ground.store.apply(batch, ground.disk).map_err(|error| match error {
            StoreError::Busy => Refusal::Busy,
            // After a failed write the node halts, so this answer never leaves.
            StoreError::Full | StoreError::Failed(_) => Refusal::Full,
        })
    }
}

/// Whether a message is of an epoch before this node's; then its sender is told the layout.
fn refuses_epoch<D>(ground: &mut Ground<'_, D>, from: NodeId, epoch: Epoch) -> bool {
    let stale = epoch < ground.layout.epoch;
    if stale {
        let layout = Box::new(ground.layout.clone());
        ground.out.send(from, None, LogPosition::START, Message::Adopt(layout));
    }
    stale
}
