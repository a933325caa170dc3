//! The whole state of a shard on its way to a replica that lacks entries.
//!
//! The state is the range of the store that belongs to the shard, in the order of its keys, cut into
//! chunks. Whoever has applied the same entries makes the same chunks. The maker keeps a snapshot of its
//! store and where each chunk begins, not the chunks: one is read once to learn its hash, and again when
//! somebody needs it. The receiver has all chunks on disk before it begins with the first. Both go chunk
//! by chunk, so that a large shard holds up nothing else for long.

use alloc::vec::Vec;

use bytes::Bytes;

use super::Strong;
use super::held::Held;
use super::place;
use super::state::{NotApplied, State};
use crate::bugs::{Bug, planted};
use crate::codec;
use crate::disk::Disk;
use crate::hash;
use crate::id::{Index, ShardId};
use crate::storage::{Batch, Direction, Snapshot, Store, Unreadable};
use crate::time::{Micros, Mono};

/// How many bytes of keys and values a chunk has, about.
const CHUNK_BYTES: usize = 256 << 10;

/// How long a transfer waits that cannot go on.
const PAUSE: Micros = Micros::from_millis(100);

/// States on their way from here, and to here.
#[derive(Clone, Debug, Default)]
pub(super) struct Transfer {
    making: Option<Making>,
    made: Option<Made>,
    /// How many chunks of a received state are in the store.
    installed: u32,
    /// When it goes on.
    due: Mono,
}

/// A state whose hashes are being taken.
#[derive(Clone, Debug)]
struct Making {
    snapshot: Snapshot,
    at: Index,
    begins: Vec<Vec<u8>>,
    hashes: Vec<u64>,
}

/// A state that is offered to others.
#[derive(Clone, Debug)]
struct Made {
    /// The name of its manifest, once it has one.
    id: Option<u64>,
    at: Index,
    snapshot: Snapshot,
    begins: Vec<Vec<u8>>,
    hashes: Vec<u64>,
}

impl Transfer {
    /// Whether a received state has taken the place of a part of what was there.
    pub(super) fn is_half_way(&self) -> bool {
        self.installed > 0
    }

    pub(super) fn release(&mut self, store: &mut Store) {
        if let Some(making) = self.making.take() {
            store.release(making.snapshot);
        }
        if let Some(made) = self.made.take() {
            store.release(made.snapshot);
        }
    }
}

impl Strong {
    /// Begins to make a state as of what is applied, unless one is being made.
    pub fn begin_state(&mut self, shard: ShardId, at: Index, store: &mut Store) {
        let Some(held) = self.held.get_mut(&shard) else { return };
        if held.transfer.making.is_some() {
            return;
        }
        held.transfer.release(store);
        held.transfer.making = Some(Making {
            snapshot: store.snapshot(),
            at,
            begins: Vec::from([place::prefix(shard).to_vec()]),
            hashes: Vec::new(),
        });
        self.busy.insert(shard);
    }

    /// When a state that is being made or taken over goes on.
    pub(super) fn busy_at(&self) -> Option<Mono> {
        let held = self.busy.iter().filter_map(|shard| self.held.get(shard));
        held.map(|held| held.transfer.due.max(self.now)).min()
    }

    /// The disk refused a step: the next one is taken a while later, lest a node does nothing else.
    pub fn pause_transfer(&mut self, now: Mono, shard: ShardId) {
        if let Some(held) = self.held.get_mut(&shard) {
            held.transfer.due = now + PAUSE;
        }
    }

    /// Goes on with one chunk of each state that is being made.
    pub fn make_states(&mut self, store: &mut Store, disk: &impl Disk) {
        for shard in self.busy.iter().copied().collect::<Vec<_>>() {
            let Some(held) = self.held.get_mut(&shard) else { continue };
            if self.now < held.transfer.due {
                continue;
            }
            let Some(making) = &mut held.transfer.making else { continue };
            let Some(begin) = making.begins.last() else { continue };
            let (bytes, next) = match chunk(shard, &making.snapshot, begin, store, disk) {
                Ok(made) => made,
                Err(fault) => {
                    // It may only have gone astray, so it is tried again, if this node still leads then.
                    held.transfer.due = self.now + PAUSE;
                    self.unreadable.insert(shard, fault);
                    continue;
                }
            };
            making.hashes.push(hash::of(&bytes));
            if let Some(next) = next {
                making.begins.push(next);
            } else if let Some(Making { snapshot, at, begins, hashes }) =
                held.transfer.making.take()
            {
                held.transfer.made = Some(Made { id: None, at, snapshot, begins, hashes });
                self.busy.remove(&shard);
            }
        }
    }

    /// A state that is made and has no name yet: as of which entry, and the hashes of its chunks.
    #[must_use]
    pub fn made_state(&self, shard: ShardId) -> Option<(Index, &[u64])> {
        let made = self.held.get(&shard)?.transfer.made.as_ref()?;
        made.id.is_none().then_some((made.at, &made.hashes))
    }

    /// The state that was made goes by this name, or nobody wants it any more.
    pub fn name_state(&mut self, shard: ShardId, id: Option<u64>, store: &mut Store) {
        let Some(held) = self.held.get_mut(&shard) else { return };
        match (&mut held.transfer.made, id) {
            (Some(made), Some(id)) => made.id = Some(id),
            _ => held.transfer.release(store),
        }
    }

    /// A chunk of the state of this name, if it is there and can be read.
    pub fn state_chunk(
        &self,
        shard: ShardId,
        id: u64,
        number: u32,
        store: &Store,
        disk: &impl Disk,
    ) -> Option<Bytes> {
        let made = self.held.get(&shard)?.transfer.made.as_ref()?;
        let begin = made.begins.get(number as usize).filter(|_| made.id == Some(id))?;
        chunk(shard, &made.snapshot, begin, store, disk).ok().map(|(bytes, _)| bytes)
    }

    /// Lets a state go that nobody needs.
    pub fn drop_state(&mut self, shard: ShardId, store: &mut Store) {
        if let Some(held) = self.held.get_mut(&shard)
            && held.transfer.making.is_none()
        {
            held.transfer.release(store);
        }
    }

    /// Whether a state is being made or waits to be named.
    #[must_use]
    pub fn has_state(&self, shard: ShardId) -> bool {
        let transfer = self.held.get(&shard).map(|held| &held.transfer);
        transfer.is_some_and(|transfer| transfer.making.is_some() || transfer.made.is_some())
    }

    /// The shards whose state is on its way, step by step.
    pub fn busy(&self) -> impl Iterator<Item = ShardId> + '_ {
        self.busy.iter().copied()
    }

    /// Which chunk of a received state comes next.
    #[must_use]
    pub fn next_to_install(&self, shard: ShardId) -> u32 {
        self.held.get(&shard).map_or(0, |held| held.transfer.installed)
    }

    /// Another state is about to take the place of this one, counted under a name of its own: until it is
    /// whole, nothing says that it is.
    pub fn begin_install(&mut self, shard: ShardId, stream: u64) {
        let Some(held) = self.held.get_mut(&shard) else { return };
        held.state = State::empty(shard, stream);
        held.damaged = true;
        self.expiring.remove(&shard);
    }

    /// Takes over the next chunk of a received state, the first in place of all that is there. With the
    /// last one the state is as of `last`. After a crash on the way all of it is taken over again.
    pub fn install_chunk(
        &mut self,
        shard: ShardId,
        bytes: &[u8],
        last: Option<Index>,
        store: &mut Store,
        disk: &mut impl Disk,
    ) -> Result<(), NotApplied> {
        let Some(held) = self.held.get_mut(&shard) else { return Ok(()) };
        let mut batch = Batch::default();
        if held.transfer.installed == 0 {
            batch.remove_range(place::prefix(shard), place::end(shard));
        }
        // The hash of the chunk is that of the manifest, so it is as the leader made it.
        let entries: Vec<(&[u8], &[u8])> = codec::decode_borrowed(bytes).unwrap_or_default();
        for (key, value) in entries {
            if planted(Bug::SessionsNotInState) && key.first() == Some(&place::SESSIONS) {
                continue;
            }
            let mut place = place::prefix(shard).to_vec();
            place.extend_from_slice(key);
            batch.put(place, value);
        }
        let upto = last.unwrap_or_else(|| held.state.applied());
        store
            .apply_unlogged(&batch, held.state.stream(), upto.0, disk)
            .map_err(NotApplied::Refused)?;
        held.transfer.installed += 1;
        let Some(last) = last else {
            self.busy.insert(shard);
            return Ok(());
        };
        held.transfer.installed = 0;
        self.busy.remove(&shard);
        held.begin_again(shard, last, store, &*disk)?;
        // The chunks it came in can go once it is in tables.
        store.flush();
        Ok(())
    }
}

impl Held {
    /// Goes on from a state that took the place of this one.
    fn begin_again(
        &mut self,
        shard: ShardId,
        last: Index,
        store: &Store,
        disk: &impl Disk,
    ) -> Result<(), Unreadable> {
        let fresh = Self::open(shard, self.state.stream(), store, disk)?;
        self.state = fresh.state;
        self.state.pass(last);
        self.damaged = false;
        self.feed = super::feed::Feed::behind(last);
        Ok(())
    }
}

/// A chunk, and where the next one begins.
fn chunk(
    shard: ShardId,
    snapshot: &Snapshot,
    begin: &[u8],
    store: &Store,
    disk: &impl Disk,
) -> Result<(Bytes, Option<Vec<u8>>), Unreadable> {
    let end = place::end(shard);
    let prefix = place::prefix(shard).len();
    let mut scan = store.scan_at(snapshot, begin, Some(&end), Direction::Forward);
    let mut entries: Vec<(Bytes, Bytes)> = Vec::new();
    let mut bytes = 0;
    let mut next = None;
    while let Some(item) = scan.next(disk)? {
        if CHUNK_BYTES <= bytes {
            next = Some(item.key.to_vec());
            break;
        }
        bytes += item.key.len() + item.value.len();
        let key = item.key.get(prefix..).unwrap_or_default();
        entries.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(item.value)));
    }
    Ok((Bytes::from(codec::encode(&entries)), next))
}
