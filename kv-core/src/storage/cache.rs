//! The block cache: blocks that were read lately, up to a number of bytes.
//!
//! Eviction is CLOCK: a hand goes around, gives each block that was used since its last visit another
//! round, and takes the first that was not. What is cached follows only from what was asked, so it is
//! the same on every machine.

use alloc::vec::Vec;

use hashbrown::HashTable;

use super::table::block::Block;
use crate::id::FileId;

/// Blocks in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    limit: u64,
    bytes: u64,
    /// Where in the ring each block is. Nothing ever goes through it in its order.
    places: HashTable<usize>,
    ring: Vec<Kept>,
    hand: usize,
    hits: u64,
    misses: u64,
}

#[derive(Clone, Debug)]
struct Kept {
    key: (FileId, u64),
    block: Block,
    used: bool,
}

impl Cache {
    /// An empty cache that keeps at most so many bytes.
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, ..Self::default() }
    }

    /// The block at this place of a file, from memory or by `read`.
    pub(super) fn block<E>(
        &mut self,
        file: FileId,
        offset: u64,
        read: impl FnOnce() -> Result<Block, E>,
    ) -> Result<Block, E> {
        let at = self.places.find(hash((file, offset)), |at| self.ring[*at].key == (file, offset));
        if let Some(kept) = at.and_then(|at| self.ring.get_mut(*at)) {
            self.hits += 1;
            kept.used = true;
            return Ok(kept.block.clone());
        }
        self.misses += 1;
        let block = read()?;
        self.keep((file, offset), block.clone());
        Ok(block)
    }

    /// How many bytes there are, how many lookups were answered from memory, and how many were not.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        (self.bytes, self.hits, self.misses)
    }

    fn keep(&mut self, key: (FileId, u64), block: Block) {
        let size = size(&block);
        // One block does not push out half of all others.
        if self.limit / 2 < size {
            return;
        }
        while self.limit < self.bytes + size {
            self.evict();
        }
        self.bytes += size;
        let at = self.ring.len();
        self.ring.push(Kept { key, block, used: false });
        self.places.insert_unique(hash(key), at, |at| hash(self.ring[*at].key));
    }

    fn evict(&mut self) {
        if self.ring.len() <= self.hand {
            self.hand = 0;
        }
        let Some(kept) = self.ring.get_mut(self.hand) else { return };
        if core::mem::take(&mut kept.used) {
            self.hand += 1;
            return;
        }
        let hand = self.hand;
        if let Ok(place) = self.places.find_entry(hash(kept.key), |at| *at == hand) {
            place.remove();
        }
        let gone = self.ring.swap_remove(hand);
        self.bytes -= size(&gone.block);
        if let Some(moved) = self.ring.get(hand) {
            let last = self.ring.len();
            if let Some(at) = self.places.find_mut(hash(moved.key), |at| *at == last) {
                *at = hand;
            }
        }
    }
}

fn hash((file, offset): (FileId, u64)) -> u64 {
    // The product spreads neighbours over all bits; its high bits are the best.
    (file.0.rotate_left(40) ^ offset).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_right(23)
}

fn size(block: &Block) -> u64 {
    block.bytes().len() as u64
}
