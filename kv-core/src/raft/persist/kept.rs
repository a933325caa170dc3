//! What a store knows of a group, asked piece by piece.
//!
//! [`super::Opened`] reads a group whole, to go on with it. This is for an observer who wants to know of
//! one thing whether it is there. What cannot be read counts as not there.

use serde::de::DeserializeOwned;

use super::{BASE, STATE, entry_key, key, one, parse_entry};
use crate::disk::Disk;
use crate::id::{GroupId, Index, Replica, Term};
use crate::message::raft::{EntryId, Membership};
use crate::storage::Store;

/// A group in a store.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a, D> {
    group: GroupId,
    store: &'a Store,
    disk: &'a D,
}

impl<'a, D: Disk> Kept<'a, D> {
    /// The group of this number.
    #[must_use]
    pub fn of(group: GroupId, store: &'a Store, disk: &'a D) -> Self {
        Self { group, store, disk }
    }

    /// Whether there is anything of it.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.base().is_some()
    }

    /// The term, and the vote in it; the first term if there is nothing.
    #[must_use]
    pub fn state(&self) -> (Term, Option<Replica>) {
        self.one(STATE).unwrap_or_default()
    }

    /// Whether an entry is in the log, or has been compacted.
    #[must_use]
    pub fn has(&self, id: EntryId) -> bool {
        self.is_behind(id.index) || self.entry(id.index) == Some(id)
    }

    /// Whether the log goes up to an entry, of whatever term.
    #[must_use]
    pub fn reaches(&self, index: Index) -> bool {
        self.is_behind(index) || self.entry(index).is_some()
    }

    fn is_behind(&self, index: Index) -> bool {
        index == Index(0) || self.base().is_some_and(|base| index <= base.index)
    }

    fn base(&self) -> Option<EntryId> {
        self.one::<(EntryId, Index, Membership)>(BASE).map(|(base, _, _)| base)
    }

    fn one<T: DeserializeOwned>(&self, kind: u8) -> Option<T> {
        one(self.store, self.disk, &key(self.group, kind), "what was asked for").ok().flatten()
    }

    fn entry(&self, index: Index) -> Option<EntryId> {
        let key = entry_key(self.group, index);
        let mut scan = self.store.scan_prefix(&key, &key);
        let item = scan.next(self.disk).ok()??;
        parse_entry(item.key, item.value).map(|entry| entry.id)
    }
}
