//! Watches that no message says more than its sender's disk.
//!
//! A replica that confirms a write, or shows a value, promises that no loss of power will make it forget
//! that. When such a message leaves, the watch takes what no crash could take from the sender's disk,
//! opens a store on it and looks. It knows the promise of a message and nothing of how a node keeps it.
//! Only messages of senders that have something to lose are looked at, and of those some.

use alloc::format;

use bytes::Bytes;

use super::config::Chance;
use super::disk::SimDisk;
use crate::check::{Objection, Promise};
use crate::eventual::Eventual;
use crate::id::PartitionId;
use crate::message::{Message, Token};
use crate::ordered::Map;
use crate::ring::partition_of;
use crate::rng::{Ratio, Rng};
use crate::storage::{Store, StoreOptions};
use crate::time::Mono;
use crate::version::Object;

/// The watch of one world.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    rng: Rng,
    partitions: u16,
    /// What nodes were asked and have not answered: who, by whom, under which token.
    asked: Map<(u16, u16, Token), Asked>,
    objection: Option<Objection>,
}

#[derive(Clone, Debug)]
struct Asked {
    key: Bytes,
    /// What is to be stored; none if something is to be shown.
    object: Option<Object>,
}

/// How many of the messages are looked at.
const LOOKED_AT: Ratio = Ratio { numerator: 1, denominator: 4 };

/// Questions that were lost are forgotten when there are so many.
const ASKED_MAX: usize = 4_096;

impl Watch {
    pub(super) fn new(seed: u64, partitions: u16) -> Self {
        let rng = Chance::Watch.generator(seed);
        Self { rng, partitions, asked: Map::new(), objection: None }
    }

    /// The first message that said too much.
    pub(super) fn objection(&self) -> Option<&Objection> {
        self.objection.as_ref()
    }

    /// A message leaves a node with this disk.
    pub(super) fn sent(
        &mut self,
        now: Mono,
        (from, to): (u16, u16),
        message: &Message,
        disk: &SimDisk,
    ) {
        match message {
            Message::Fetch { token, key, .. } => self.ask((to, from, *token), key, None),
            Message::Store { token, key, object, .. } => {
                self.ask((to, from, *token), key, Some(object.clone()));
            }
            Message::Fetched { token, object: Ok(Some(object)) } => {
                let Some(asked) = self.asked.remove(&(from, to, *token)) else { return };
                self.look(now, from, "shows", &asked.key, object, disk);
            }
            Message::Stored { token, refused: None } => {
                let Some(asked) = self.asked.remove(&(from, to, *token)) else { return };
                let Some(object) = asked.object else { return };
                self.look(now, from, "confirms", &asked.key, &object, disk);
            }
            _ => {}
        }
    }

    fn ask(&mut self, asked: (u16, u16, Token), key: &Bytes, object: Option<Object>) {
        // Token 0 stands for any number of repairs that nobody waits for.
        if asked.2 == 0 {
            return;
        }
        if self.asked.len() >= ASKED_MAX {
            self.asked.clear();
        }
        self.asked.insert(asked, Asked { key: key.clone(), object });
    }

    fn look(
        &mut self,
        now: Mono,
        node: u16,
        does: &str,
        key: &Bytes,
        object: &Object,
        disk: &SimDisk,
    ) {
        // Drawn for each, so that what is looked at does not depend on what disks hold.
        let chosen = self.rng.chance(LOOKED_AT);
        if !chosen || self.objection.is_some() || disk.is_log_durable() {
            return;
        }
        if disk.is_damaged() {
            // Not finding it there would prove nothing: a node may still have it in memory.
            return;
        }
        let held = durable_object(disk, self.partitions, key);
        let covers = |held: Object| object.siblings().all(|(dot, _)| held.clock().covers(dot));
        if held.is_some_and(covers) {
            return;
        }
        let name = u32::from(node) + 1;
        let key = key.escape_ascii();
        let words = format!(
            "n{name} {does} a version of {key} at {} µs that a loss of power could still take from its disk",
            now.0
        );
        self.objection = Some(Objection::new(Promise::DurableBeforeSaid, [].into(), now, words));
    }
}

/// What a node would find under a key if the power failed now and took all that it may take.
fn durable_object(disk: &SimDisk, partitions: u16, key: &[u8]) -> Option<Object> {
    let mut disk = disk.durable();
    let (store, _) = Store::open(StoreOptions::SIMULATED, &mut disk).ok()?;
    let partition = PartitionId(partition_of(key, partitions));
    Eventual::peek(&store, &disk, partition, key)
}
