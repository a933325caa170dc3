//! Going through a range of keys, forward or backward.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::super::merge::{Bounds, Direction, Merge, Source};
use super::super::ranges::{self, Ranges};
use super::super::table::reader::{Table, Unreadable};
use super::{Snapshot, Store};
use crate::disk::Disk;
use crate::id::{FileId, LogPosition};

/// A place in a range of keys. It shows the store as it was when the scan began.
#[derive(Debug)]
pub struct Scan<'a> {
    store: &'a Store,
    merge: Merge,
    direction: Direction,
    bounds: Bounds,
    upto: u64,
    /// The removed ranges of all sources that have any.
    ranges: Vec<&'a Ranges>,
    /// The key that was looked at last.
    key: Vec<u8>,
    /// Going backward, its value: it is found only when it has been passed.
    value: Option<Bytes>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was looked at.
    Fresh,
    /// `key` was looked at, and all before it.
    Under,
    Done,
}

/// A key that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// Up to where the log must be durable before it may be shown.
    pub at: LogPosition,
}

impl Store {
    /// The keys from `start` on and before `end`; to the last if there is no `end`.
    #[must_use]
    pub fn scan(&self, start: &[u8], end: Option<&[u8]>, direction: Direction) -> Scan<'_> {
        self.scan_upto(u64::MAX, start, end, direction)
    }

    /// The keys that begin with `prefix` and are not less than `start`, ascending.
    #[must_use]
    pub fn scan_prefix(&self, prefix: &[u8], start: &[u8]) -> Scan<'_> {
        let end = behind_prefix(prefix);
        self.scan(start.max(prefix), end.as_deref(), Direction::Forward)
    }

    /// A range of keys as a snapshot shows it.
    #[must_use]
    pub fn scan_at(
        &self,
        snapshot: &Snapshot,
        start: &[u8],
        end: Option<&[u8]>,
        direction: Direction,
    ) -> Scan<'_> {
        self.scan_upto(snapshot.0, start, end, direction)
    }

    /// Whether something of a table counts, of the keys from `start` on and before `end`: no newer removal
    /// hides all of it.
    #[must_use]
    pub fn shows(&self, file: FileId, start: &[u8], end: &[u8]) -> bool {
        let table = self.open_tables().find(|table| table.meta.file == file);
        table.map(|table| &table.meta.properties).is_some_and(|table| {
            let span = (start.max(&table.first), end.min(&table.end));
            let removed: Vec<&Ranges> = self.removed().collect();
            table.overlaps(start, end) && !ranges::cover(removed, span, table.newest + 1, u64::MAX)
        })
    }

    /// Whether something may have been lost of the keys from `start` on and before `end`: some of them are
    /// suspect, and no newer removal hides that.
    #[must_use]
    pub fn misses(&self, start: &[u8], end: &[u8]) -> bool {
        self.tables.root.suspects.iter().any(|suspect| {
            let (first, last) = (start.max(&suspect.start), end.min(&suspect.end));
            let removed: Vec<&Ranges> = self.removed().collect();
            let after = suspect.revision.saturating_add(1);
            first < last && !ranges::cover(removed, (first, last), after, u64::MAX)
        })
    }

    fn open_tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.levels.iter().flat_map(|level| level.iter())
    }

    /// The removed ranges of all memtables and tables that have any.
    fn removed(&self) -> impl Iterator<Item = &Ranges> {
        let frozen = self.frozen.iter().rev().map(|frozen| &frozen.memtable);
        core::iter::once(&self.active)
            .chain(frozen)
            .map(|memtable| memtable.ranges())
            .chain(self.open_tables().filter_map(|table| table.ranges().ok()))
            .filter(|ranges| !ranges.is_empty())
    }

    fn scan_upto(
        &self,
        upto: u64,
        start: &[u8],
        end: Option<&[u8]>,
        direction: Direction,
    ) -> Scan<'_> {
        let start = Bytes::copy_from_slice(start);
        let bounds = Bounds { start, end: end.map(Bytes::copy_from_slice) };
        let memtables =
            || core::iter::once(&self.active).chain(self.frozen.iter().rev().map(|f| &f.memtable));
        let mut sources: Vec<Source> = memtables()
            .filter(|memtable| memtable.entries() > 0)
            .map(|memtable| Source::memory(Arc::clone(memtable), &bounds, direction))
            .collect();
        let [upper, deeper @ ..] = &self.tables.levels[..] else { unreachable!("seven levels") };
        let runs = upper.iter().map(|table| Arc::new(alloc::vec![Arc::clone(table)]));
        let runs = runs.chain(deeper.iter().filter(|level| !level.is_empty()).map(Arc::clone));
        sources.extend(runs.map(|run| Source::level(run, &bounds, direction, false)));
        Scan {
            store: self,
            merge: Merge::new(sources, direction),
            direction,
            bounds,
            upto,
            ranges: self.removed().collect(),
            key: Vec::new(),
            value: None,
            state: State::Fresh,
        }
    }
}

impl Scan<'_> {
    /// The next key that is there. After an error the scan is over: keys may be missing from here on.
    pub fn next(&mut self, disk: &impl Disk) -> Result<Option<Item<'_>>, Unreadable> {
        if self.state == State::Done {
            return Ok(None);
        }
        let found = match self.direction {
            Direction::Forward => self.find_forward(disk),
            Direction::Backward => self.find_backward(disk),
        };
        let found = found.and_then(|found| self.trust(found.is_some()).map(|()| found));
        if !matches!(found, Ok(Some(_))) {
            self.state = State::Done;
        }
        let Some(revision) = found? else { return Ok(None) };
        let value = match &self.value {
            Some(value) => Some(value.as_ref()),
            None => self.merge.current().and_then(|version| version.value),
        };
        let at = self.store.log.required(revision);
        Ok(value.map(|value| Item { key: &self.key, value, at }))
    }

    /// The first version of each key that is not too new decides.
    fn find_forward(&mut self, disk: &impl Disk) -> Result<Option<u64>, Unreadable> {
        match self.state {
            State::Fresh => self.move_on(disk, Merge::settle)?,
            _ => self.move_on(disk, Merge::step)?,
        }
        while let Some(version) = self.merge.current() {
            if self.bounds.end.as_ref().is_some_and(|end| end.as_ref() <= version.key) {
                break;
            }
            let passed = self.state == State::Under && self.key == version.key;
            if version.revision <= self.upto && !passed {
                self.key.clear();
                self.key.extend_from_slice(version.key);
                self.state = State::Under;
                let revision = version.revision;
                if version.value.is_some() && !self.is_removed(revision) {
                    return Ok(Some(revision));
                }
            }
            self.move_on(disk, Merge::step)?;
        }
        Ok(None)
    }

    /// Goes on, and over what cannot be read where a newer removal hides all of it.
    fn move_on<D: Disk>(
        &mut self,
        disk: &D,
        step: impl FnOnce(&mut Merge, &D) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let mut moved = step(&mut self.merge, disk);
        while let Err(unreadable) = moved {
            let table = self.store.open_tables().find(|table| table.meta.file == unreadable.file);
            let lost = self.merge.skip().zip(table);
            let hidden = lost.is_some_and(|((start, end), table)| {
                self.hides(&start, &end, table.meta.properties.newest)
            });
            if !hidden {
                return Err(unreadable);
            }
            moved = self.merge.settle(disk);
        }
        Ok(())
    }

    /// Whether newer removals hide all keys from the first on and before the second up to a revision, as
    /// far as they are gone through here.
    fn hides(&self, start: &Bytes, end: &Bytes, revision: u64) -> bool {
        let start = start.max(&self.bounds.start);
        let end = self.bounds.end.as_ref().map_or(end, |bound| bound.min(end));
        let removed = self.ranges.iter().copied();
        ranges::cover(removed, (start, end), revision.saturating_add(1), self.upto)
    }

    /// Versions come from old to new, so the last of each key that is not too new decides.
    fn find_backward(&mut self, disk: &impl Disk) -> Result<Option<u64>, Unreadable> {
        if self.state == State::Fresh {
            self.move_on(disk, Merge::settle)?;
            self.state = State::Under;
        }
        while let Some(version) = self.merge.current() {
            if version.key < self.bounds.start.as_ref() {
                break;
            }
            self.key.clear();
            self.key.extend_from_slice(version.key);
            let mut decides = None;
            while let Some(version) = self.merge.current().filter(|v| v.key == self.key) {
                if version.revision <= self.upto {
                    decides = Some((version.revision, self.merge.value()));
                }
                self.move_on(disk, Merge::step)?;
            }
            if let Some((revision, Some(value))) = decides
                && !self.is_removed(revision)
            {
                self.value = Some(value);
                return Ok(Some(revision));
            }
        }
        Ok(None)
    }

    /// Whether a removed range hides this version of the key.
    fn is_removed(&self, revision: u64) -> bool {
        !self.ranges.is_empty()
            && self.ranges.iter().any(|ranges| revision < ranges.covering(&self.key, self.upto))
    }

    /// Fails if the scan has come to keys of which some may have been lost.
    fn trust(&self, found: bool) -> Result<(), Unreadable> {
        if self.store.tables.root.suspects.is_empty() {
            return Ok(());
        }
        let Bounds { start, end } = &self.bounds;
        let reached = self.store.tables.root.suspects.iter().find(|suspect| {
            let within =
                *start < suspect.end && end.as_ref().is_none_or(|end| suspect.start < *end);
            let reached = match self.direction {
                _ if !found => true,
                Direction::Forward => suspect.start.as_ref() <= &self.key[..],
                Direction::Backward => &self.key[..] < suspect.end.as_ref(),
            };
            within && reached && !self.hides(&suspect.start, &suspect.end, suspect.revision)
        });
        reached.map_or(Ok(()), |suspect| Err(suspect.fault()))
    }
}

/// The smallest key behind all that begin with a prefix; none if there is no such key.
fn behind_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}
