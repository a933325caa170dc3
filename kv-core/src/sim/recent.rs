//! The latest entries of an endless log, in chunks that clones share.
//!
//! A world is cloned for every moment one may go back to, and its logs are its largest part. A full
//! chunk is never copied unless an entry in it changes.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Entries to a chunk.
const CHUNK: u64 = 64;

#[derive(Clone, Debug)]
pub(super) struct Recent<T> {
    chunks: VecDeque<Arc<Vec<T>>>,
    /// The index of the first entry that is still there.
    first: u64,
    /// The index of the next entry.
    end: u64,
    /// At least so many entries are kept.
    keep: u64,
}

impl<T: Clone> Recent<T> {
    /// An empty log that keeps at least the latest `keep` entries.
    pub(super) fn keeping(keep: u64) -> Self {
        Self { chunks: VecDeque::new(), first: 0, end: 0, keep }
    }

    pub(super) fn push(&mut self, entry: T) {
        if self.end.is_multiple_of(CHUNK) {
            self.chunks.push_back(Arc::new(Vec::with_capacity(CHUNK as usize)));
        }
        if let Some(chunk) = self.chunks.back_mut() {
            Arc::make_mut(chunk).push(entry);
        }
        self.end += 1;
        if self.end - self.first >= self.keep + CHUNK {
            self.chunks.pop_front();
            self.first += CHUNK;
        }
    }

    /// How many entries were ever pushed: the index of the next one.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The entry of this index, if it is still there.
    pub(super) fn get_mut(&mut self, index: u64) -> Option<&mut T> {
        let place = index.checked_sub(self.first)?;
        let chunk = self.chunks.get_mut((place / CHUNK) as usize)?;
        Arc::make_mut(chunk).get_mut((place % CHUNK) as usize)
    }

    /// The entries from an index on that are still there.
    pub(super) fn since(&self, index: u64) -> impl Iterator<Item = &T> {
        let place = index.saturating_sub(self.first);
        let (chunk, within) = ((place / CHUNK) as usize, (place % CHUNK) as usize);
        self.chunks.iter().skip(chunk).flat_map(|chunk| chunk.iter()).skip(within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_entries_stay_and_are_found_by_index() {
        let mut recent = Recent::keeping(100);
        for index in 0..1_000_u64 {
            recent.push(index);
            assert!(recent.end() - recent.first <= 100 + CHUNK);
            assert!(recent.end() < 100 || recent.end() - recent.first >= 100);
        }
        assert!(recent.since(900).copied().eq(900..1_000));
        assert!(recent.since(990).copied().eq(990..1_000));
        assert_eq!(recent.since(1_000).count(), 0);
        assert_eq!(recent.since(0).next(), Some(&recent.first));
        assert_eq!(recent.get_mut(0), None);
        assert_eq!(recent.get_mut(1_000), None);
    }

    #[test]
    fn a_changed_entry_does_not_change_in_a_clone() {
        let mut recent = Recent::keeping(100);
        recent.push(1);
        let before = recent.clone();
        *recent.get_mut(0).unwrap() = 2;
        recent.push(3);
        assert!(before.since(0).eq(&[1]));
        assert!(recent.since(0).eq(&[2, 3]));
    }
}
