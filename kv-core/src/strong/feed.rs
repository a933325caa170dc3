//! The latest changes of a shard, for those who watch it.
//!
//! Every replica keeps what its shard has last gone through, as far as it fits. Who watches names the
//! revision behind which it wants to hear of changes; where those are no longer kept, it has to look at
//! everything once more.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec::Vec;

use crate::error::RequestError;
use crate::id::Index;
use crate::request::strong::KeyChange;

/// How many bytes of changes a shard keeps, about.
const BYTES_MAX: u64 = 4 << 20;

/// What a change takes beside its key and value.
const CHANGE_BYTES: u64 = 96;

/// The latest changes, in their order.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    /// The last revision of which nothing is kept.
    floor: Index,
    changes: VecDeque<KeyChange>,
    bytes: u64,
}

impl Feed {
    /// Nothing is known of what happened up to this revision.
    pub(super) fn behind(floor: Index) -> Self {
        Self { floor, changes: VecDeque::new(), bytes: 0 }
    }

    /// Takes in what one entry has changed.
    pub(super) fn push(&mut self, changes: Vec<KeyChange>) {
        for change in changes {
            self.bytes += bytes_of(&change);
            self.changes.push_back(change);
        }
        while BYTES_MAX < self.bytes
            && let Some(oldest) = self.changes.front().map(|change| change.revision)
        {
            while let Some(change) = self.changes.pop_front_if(|change| change.revision == oldest) {
                self.bytes -= bytes_of(&change);
            }
            self.floor = oldest;
        }
    }

    /// The changes behind a revision of keys that begin so: about so many, and all of each revision.
    pub(super) fn since(
        &self,
        after: Index,
        prefix: &[u8],
        limit: u32,
    ) -> Result<Vec<KeyChange>, RequestError> {
        if after < self.floor {
            return Err(RequestError::Conflict(format!(
                "changes up to revision {} are no longer kept here, and {} is before that; read what is there now, then watch from the revision of that answer",
                self.floor.0, after.0
            )));
        }
        let first = self.changes.partition_point(|change| change.revision <= after);
        let mut found: Vec<KeyChange> = Vec::new();
        for change in self.changes.range(first..) {
            let begins = found.last().is_none_or(|last| last.revision < change.revision);
            if begins && limit as usize <= found.len() {
                break;
            }
            if change.key.starts_with(prefix) {
                found.push(change.clone());
            }
        }
        Ok(found)
    }
}

fn bytes_of(change: &KeyChange) -> u64 {
    let value = change.record.as_ref().map_or(0, |record| record.value.len());
    CHANGE_BYTES + (change.key.len() + value) as u64
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::request::strong::Record;

    fn change(revision: u64, key: &str, bytes: usize) -> KeyChange {
        let revision = Index(revision);
        let record = Record { revision, value: alloc::vec![0; bytes].into(), expires: None };
        KeyChange { revision, key: Bytes::copy_from_slice(key.as_bytes()), record: Some(record) }
    }

    fn revisions(feed: &Feed, after: u64, prefix: &str, limit: u32) -> Vec<u64> {
        let found = feed.since(Index(after), prefix.as_bytes(), limit).unwrap();
        found.into_iter().map(|change| change.revision.0).collect()
    }

    #[test]
    fn changes_behind_a_revision_are_found_and_those_of_one_revision_stay_together() {
        let mut feed = Feed::behind(Index(4));
        feed.push(Vec::from([change(5, "a", 1)]));
        feed.push(Vec::from([change(7, "a", 1), change(7, "b", 1)]));
        feed.push(Vec::from([change(9, "b", 1)]));
        assert_eq!(revisions(&feed, 4, "", 10), [5, 7, 7, 9]);
        assert_eq!(revisions(&feed, 5, "b", 10), [7, 9]);
        assert_eq!(revisions(&feed, 5, "", 1), [7, 7]);
        assert_eq!(revisions(&feed, 9, "", 10), [0; 0]);
        assert!(feed.since(Index(3), b"", 10).is_err());
    }

    #[test]
    fn the_oldest_changes_make_room() {
        let mut feed = Feed::behind(Index(0));
        for revision in 1..=9 {
            feed.push(Vec::from([change(revision, "k", 1 << 20)]));
        }
        assert!(feed.bytes <= BYTES_MAX);
        assert!(feed.since(Index(1), b"", 10).is_err());
        assert_eq!(revisions(&feed, 6, "", 10), [7, 8, 9]);
    }
}
