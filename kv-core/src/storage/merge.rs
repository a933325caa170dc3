//! Merging: many sources of versions, each in order, as one.
//!
//! The sources that have a version left stand in the order of it; the first gives the next version, and
//! then takes its new place among the others. Versions stand by key ascending, then by revision
//! descending, and the other way around when going backward.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;

use bytes::Bytes;

use super::memtable::{Cursor, Memtable, Version};
use super::table::Properties;
use super::table::reader::{Table, Unreadable};
use super::table::walk::TableWalk;
use crate::disk::Disk;

/// Which way to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// By ascending keys.
    Forward,
    /// By descending keys.
    Backward,
}

/// Where a merge begins, and where its sources may stop.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) start: Bytes,
    /// None is behind all keys.
    pub(super) end: Option<Bytes>,
}

/// One source of versions in their order.
#[derive(Debug)]
pub(super) enum Source {
    Memory { table: Arc<Memtable>, at: Option<Cursor>, direction: Direction, entered: bool },
    Level(Box<LevelWalk>),
}

/// Tables that do not overlap, by key, as one source.
#[derive(Debug)]
pub(super) struct LevelWalk {
    tables: Arc<Vec<Arc<Table>>>,
    direction: Direction,
    bounds: Bounds,
    /// Whether everything will be read, so that reading ahead is never in vain.
    whole: bool,
    /// The table of `walk`, or the one to take up next.
    table: Option<usize>,
    walk: Option<TableWalk>,
}

/// Sources being merged.
#[derive(Debug)]
pub(super) struct Merge {
    sources: Vec<Source>,
    direction: Direction,
    /// Sources that have a version, in the order of it, the next one last.
    order: Vec<usize>,
    /// Sources that must go on before it is known where they stand.
    late: Vec<usize>,
}

impl Merge {
    /// A merge before its first version; call [`Self::settle`].
    pub(super) fn new(sources: Vec<Source>, direction: Direction) -> Self {
        let late = (0..sources.len()).collect();
        Self { sources, direction, order: Vec::new(), late }
    }

    /// The version that is next. None at the end.
    pub(super) fn current(&self) -> Option<Version<'_>> {
        self.sources[*self.order.last()?].current()
    }

    /// The value of the version that is next.
    pub(super) fn value(&self) -> Option<Bytes> {
        self.sources[*self.order.last()?].value()
    }

    /// Goes on by one version. After an error it can be tried again, or the block given up.
    pub(super) fn step(&mut self, disk: &impl Disk) -> Result<(), Unreadable> {
        let Some(&first) = self.order.last() else { return Ok(()) };
        if let Err(unreadable) = self.sources[first].step(disk) {
            self.order.pop();
            self.late.push(first);
            return Err(unreadable);
        }
        // Mostly the same source goes on.
        let next = self.order.len().checked_sub(2).map(|next| &self.sources[self.order[next]]);
        let stays = match (self.sources[first].current(), next.and_then(Source::current)) {
            (Some(version), Some(other)) => compare(&version, &other, self.direction).is_lt(),
            (version, _) => version.is_some(),
        };
        if !stays {
            self.order.pop();
            self.enter(first);
        }
        Ok(())
    }

    /// Finds out where all sources stand.
    pub(super) fn settle(&mut self, disk: &impl Disk) -> Result<(), Unreadable> {
        while let Some(&source) = self.late.last() {
            self.sources[source].step(disk)?;
            self.late.pop();
            self.enter(source);
        }
        Ok(())
    }

    /// After an error: gives up the block that could not be read. Returns the keys that were in it, from
    /// the first on and before the second.
    pub(super) fn skip(&mut self) -> Option<(Bytes, Bytes)> {
        match &mut self.sources[*self.late.last()?] {
            Source::Level(walk) => walk.skip(),
            Source::Memory { .. } => None,
        }
    }

    fn enter(&mut self, source: usize) {
        let Some(version) = self.sources[source].current() else { return };
        let mut at = self.order.len();
        while let Some(before) = at.checked_sub(1) {
            let other = self.sources[self.order[before]].current();
            if other.is_none_or(|other| compare(&version, &other, self.direction).is_lt()) {
                break;
            }
            at = before;
        }
        self.order.insert(at, source);
    }
}

fn compare(a: &Version<'_>, b: &Version<'_>, direction: Direction) -> Ordering {
    let forward = a.key.cmp(b.key).then(b.revision.cmp(&a.revision));
    match direction {
        Direction::Forward => forward,
        Direction::Backward => forward.reverse(),
    }
}

impl Source {
    /// A memtable before its first version within the bounds.
    pub(super) fn memory(table: Arc<Memtable>, bounds: &Bounds, direction: Direction) -> Self {
        let at = match (direction, &bounds.end) {
            (Direction::Forward, _) => table.seek(&bounds.start, u64::MAX),
            (Direction::Backward, Some(end)) => table.seek(end, u64::MAX),
            (Direction::Backward, None) => table.end(),
        };
        Self::Memory { table, at: Some(at), direction, entered: false }
    }

    /// Tables that do not overlap, by key, before their first version within the bounds.
    pub(super) fn level(
        tables: Arc<Vec<Arc<Table>>>,
        bounds: &Bounds,
        direction: Direction,
        whole: bool,
    ) -> Self {
        let table = match (direction, &bounds.end) {
            (Direction::Forward, _) => {
                Some(tables.partition_point(|table| table.meta.properties.end <= bounds.start))
            }
            (Direction::Backward, Some(end)) => {
                tables.partition_point(|table| table.meta.properties.first < *end).checked_sub(1)
            }
            (Direction::Backward, None) => tables.len().checked_sub(1),
        };
        let bounds = bounds.clone();
        let walk = LevelWalk { tables, direction, bounds, whole, table, walk: None };
        Self::Level(Box::new(walk))
    }

    fn current(&self) -> Option<Version<'_>> {
        match self {
            Self::Memory { table, at, .. } => table.at((*at)?),
            Self::Level(level) => level.walk.as_ref()?.current(),
        }
    }

    fn value(&self) -> Option<Bytes> {
        match self {
            Self::Memory { table, at, .. } => table.at((*at)?)?.value.map(Bytes::copy_from_slice),
            Self::Level(level) => level.walk.as_ref()?.value(),
        }
    }

    /// Goes to the next version; at first to the first one.
    fn step(&mut self, disk: &impl Disk) -> Result<(), Unreadable> {
        match self {
            Self::Memory { table, at, direction, entered } => {
                let first = !core::mem::replace(entered, true);
                *at = match direction {
                    Direction::Forward if first => *at,
                    Direction::Forward => at.map(|at| table.next(at)),
                    Direction::Backward => at.and_then(|at| table.previous(at)),
                };
                Ok(())
            }
            Self::Level(level) => level.step(disk),
        }
    }
}

impl LevelWalk {
    fn step(&mut self, disk: &impl Disk) -> Result<(), Unreadable> {
        match &mut self.walk {
            Some(walk) => walk.step(disk)?,
            None => self.take_up(disk)?,
        }
        while self.walk.as_ref().is_some_and(|walk| walk.current().is_none()) {
            self.next_table();
            self.take_up(disk)?;
        }
        Ok(())
    }

    fn next_table(&mut self) {
        self.walk = None;
        self.table = self.table.and_then(|table| match self.direction {
            Direction::Forward => table.checked_add(1),
            Direction::Backward => table.checked_sub(1),
        });
    }

    /// Enters the table that is next, if there is one.
    fn take_up(&mut self, disk: &impl Disk) -> Result<(), Unreadable> {
        let table = self.table.and_then(|table| self.tables.get(table));
        // What lies behind the bounds need not be read, nor be whole.
        let Some(table) = table.filter(|table| self.is_within(&table.meta.properties)) else {
            return Ok(());
        };
        let (walk, entered) = match self.direction {
            Direction::Forward => TableWalk::forward(table, &self.bounds.start, self.whole, disk),
            Direction::Backward => TableWalk::backward(table, self.bounds.end.as_deref(), disk),
        };
        self.walk = Some(walk);
        entered
    }

    fn is_within(&self, table: &Properties) -> bool {
        self.bounds.start < table.end
            && self.bounds.end.as_ref().is_none_or(|end| table.first < *end)
    }

    fn skip(&mut self) -> Option<(Bytes, Bytes)> {
        let table = self.tables.get(self.table?)?;
        let lost = self.walk.as_mut()?.skip();
        if table.fault().is_some() {
            self.next_table();
        }
        Some(lost)
    }
}
