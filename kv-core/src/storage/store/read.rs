//! Looking a key up: memtable, then tables from the newest to the oldest.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::super::cache::Cache;
use super::super::filter;
use super::super::memtable::Memtable;
use super::super::root::{Root, Suspect};
use super::super::table::reader::{Found, Table, Unreadable};
use super::{Frozen, Snapshot, Store};
use crate::disk::Disk;
use crate::id::{FileId, LogPosition};
use crate::ordered::Map;

/// The tables that a root names, open.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    pub(super) root: Root,
    /// As in the root.
    pub(super) levels: Vec<Arc<Vec<Arc<Table>>>>,
}

/// What was counted since the store was opened.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// Bytes of batches as they were handed in.
    pub(super) user_bytes: u64,
    /// Bytes of tables that jobs wrote.
    pub(super) table_bytes: u64,
    /// Lookups in a table that its filter spared.
    pub(super) filtered: u64,
    /// Lookups that the filter let pass in vain.
    pub(super) false_positives: u64,
    /// Lookups that found a version.
    pub(super) found: u64,
}

/// The newest version that a reader sees: its revision and value, or none if the key is absent.
type Seen<'a> = Option<(u64, Value<'a>)>;

/// A value where it lies: in a memtable, or in a block.
enum Value<'a> {
    Borrowed(&'a [u8]),
    Shared(Bytes),
}

impl Value<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    fn into_shared(self) -> Bytes {
        match self {
            Self::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Store {
    /// The value of a key, and the position up to which the log must be durable before the value may
    /// be shown: [`LogPosition::START`] if it is so already.
    pub fn get(
        &mut self,
        key: &[u8],
        disk: &impl Disk,
    ) -> Result<Option<(Bytes, LogPosition)>, Unreadable> {
        self.read(key, u64::MAX, disk, |value| value.into_shared())
    }

    /// The same as [`Self::get`] of what is made of the value, which is not copied for it.
    pub fn get_with<R>(
        &mut self,
        key: &[u8],
        disk: &impl Disk,
        make: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<(R, LogPosition)>, Unreadable> {
        self.read(key, u64::MAX, disk, |value| make(value.bytes()))
    }

    /// The value of a key as a snapshot shows it.
    pub fn get_at(
        &mut self,
        snapshot: &Snapshot,
        key: &[u8],
        disk: &impl Disk,
    ) -> Result<Option<(Bytes, LogPosition)>, Unreadable> {
        self.read(key, snapshot.0, disk, |value| value.into_shared())
    }

    /// The value of a key, for an observer: nothing is counted and nothing cached.
    pub fn peek(&self, key: &[u8], disk: &impl Disk) -> Result<Option<Bytes>, Unreadable> {
        let Self { active, frozen, tables, .. } = self;
        let seen =
            look_up(active, frozen, tables, key, u64::MAX, None, &mut Counts::default(), disk)?;
        Ok(seen.map(|(_, value)| value.into_shared()))
    }

    fn read<R>(
        &mut self,
        key: &[u8],
        upto: u64,
        disk: &impl Disk,
        make: impl FnOnce(Value<'_>) -> R,
    ) -> Result<Option<(R, LogPosition)>, Unreadable> {
        let Self { active, frozen, tables, cache, counts, log, .. } = self;
        let seen = look_up(active, frozen, tables, key, upto, Some(cache), counts, disk)?;
        Ok(seen.map(|(revision, value)| (make(value), log.required(revision))))
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of a store, borrowed apart")]
fn look_up<'a>(
    active: &'a Memtable,
    frozen: &'a VecDeque<Frozen>,
    tables: &Tables,
    key: &[u8],
    upto: u64,
    cache: Option<&mut Cache>,
    counts: &mut Counts,
    disk: &impl Disk,
) -> Result<Seen<'a>, Unreadable> {
    let memtables = frozen.iter().rev().map(|frozen| frozen.memtable.as_ref());
    for memtable in core::iter::once(active).chain(memtables) {
        let removed = memtable.ranges().covering(key, upto);
        if let Some(version) = memtable.get(key, upto) {
            let value = version.value.filter(|_| removed < version.revision);
            return Ok(value.map(|value| (version.revision, Value::Borrowed(value))));
        }
        if removed > 0 {
            // Whatever is in older places is older than the removal.
            return Ok(None);
        }
    }
    let seen = tables.look_up(key, upto, cache, counts, disk)?;
    Ok(seen.map(|(revision, value)| (revision, Value::Shared(value))))
}

impl Tables {
    /// Opens the tables that a root names.
    pub(super) fn open(root: Root, disk: &impl Disk) -> Self {
        Self { root: Root::empty(), levels: Vec::new() }.replaced(root, disk)
    }

    /// Opens the tables of another root, as far as they are not open already.
    pub(super) fn replaced(&self, root: Root, disk: &impl Disk) -> Self {
        let mut open: Map<FileId, &Arc<Table>> = Map::new();
        open.extend(self.levels.iter().flat_map(|level| level.iter()).map(|t| (t.meta.file, t)));
        let levels = root.levels.iter().map(|level| {
            let tables = level.iter().map(|meta| match open.get(&meta.file) {
                Some(table) => Arc::clone(table),
                None => Arc::new(Table::open(meta.clone(), disk)),
            });
            Arc::new(tables.collect())
        });
        Self { levels: levels.collect(), root }
    }

    /// All tables that may hold the key, the newest first.
    fn spanning<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = &'a Arc<Table>> {
        let upper = self.levels.first().map(|level| level.as_slice()).unwrap_or_default();
        let deeper = self.levels.iter().skip(1).filter_map(move |level| {
            level.get(level.partition_point(|table| table.meta.properties.end <= key))
        });
        upper.iter().chain(deeper).filter(move |table| table.meta.properties.spans(key))
    }

    fn look_up(
        &self,
        key: &[u8],
        upto: u64,
        mut cache: Option<&mut Cache>,
        counts: &mut Counts,
        disk: &impl Disk,
    ) -> Result<Option<(u64, Bytes)>, Unreadable> {
        let hash = filter::hash(key);
        for table in self.spanning(key) {
            let removed = table.ranges()?.covering(key, upto);
            match table.find(key, hash, upto, cache.as_deref_mut(), disk)? {
                Found::Version(revision, value) => {
                    counts.found += 1;
                    self.trust(key, revision)?;
                    let value = value.filter(|_| removed <= revision);
                    return Ok(value.map(|value| (revision, value)));
                }
                Found::FalsePositive => counts.false_positives += 1,
                Found::Nothing => counts.filtered += 1,
            }
            if removed > 0 {
                self.trust(key, removed)?;
                return Ok(None);
            }
        }
        self.trust(key, 0)?;
        Ok(None)
    }

    /// Fails if a newer version of the key than this may have been lost.
    fn trust(&self, key: &[u8], revision: u64) -> Result<(), Unreadable> {
        let suspect = self.root.suspects.iter().find(|suspect| {
            suspect.start.as_ref() <= key
                && key < suspect.end.as_ref()
                && revision <= suspect.revision
        });
        suspect.map_or(Ok(()), |suspect| Err(suspect.fault()))
    }
}

impl Suspect {
    /// What a reader of these keys is told.
    pub(super) fn fault(&self) -> Unreadable {
        Unreadable { file: self.file, offset: self.offset, error: None }
    }
}
