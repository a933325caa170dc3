//! Flush and compaction: versions from memtables and tables into new tables, without what nobody can
//! see any longer.
//!
//! Compaction is leveled (O'Neil et al., "The Log-Structured Merge-Tree", 1996, as LevelDB does it).
//! Level 0 holds flushed memtables, which overlap; each deeper level holds tables that do not, ten times
//! as much as the one above. [`pick()`] chooses what to merge next, from the list of tables alone.
//!
//! Of a key the newest version stays, and for each snapshot the newest that it sees. A removal, and a
//! removed range, stay until they reach the last level that has anything of their keys; there nothing
//! older can exist. What cannot be read is reported as lost and never passed over in silence.

mod pick;
mod retain;

pub(super) use pick::{Pick, covered, level_target, pick};

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use self::retain::Retain;
use super::job::JobResult;
use super::memtable::Memtable;
use super::merge::{Bounds, Direction, Merge, Source};
use super::options::TableForm;
use super::ranges::{Ranges, cover};
use super::root::Suspect;
use super::table::TableMeta;
use super::table::reader::{Table, Unreadable};
use super::table::writer::TableWriter;
use crate::disk::{DiskError, JobDisk};
use crate::id::FileId;

/// Tables to merge into one level, with everything decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compaction {
    /// Runs of tables: within a run they do not overlap and stand by key.
    pub(super) runs: Vec<Vec<TableMeta>>,
    /// The level of the outputs.
    pub(super) level: u64,
    /// Whether nothing older than the inputs exists in their span.
    pub(super) last: bool,
    /// The number of the first table to write, and how many there may be.
    pub(super) tables: (u64, u64),
    /// After how many bytes the next table begins.
    pub(super) table_bytes: u64,
    pub(super) form: TableForm,
    /// The revisions that somebody may still read at, ascending.
    pub(super) snapshots: Vec<u64>,
}

/// Where merged versions go.
struct Outputs {
    form: TableForm,
    next: u64,
    /// The number of the last table there may be.
    last: u64,
    table_bytes: u64,
    writer: Option<TableWriter>,
    /// Where the table being written begins.
    start: Bytes,
    ranges: Ranges,
    done: Vec<TableMeta>,
}

/// Writes a memtable to a table; this is [`super::Job::Flush`].
pub(super) fn flush(
    memtable: &Arc<Memtable>,
    table: FileId,
    form: TableForm,
    snapshots: &[u64],
    disk: &mut impl JobDisk,
) -> Result<Option<TableMeta>, DiskError> {
    let bounds = Bounds { start: Bytes::new(), end: None };
    let source = Source::memory(Arc::clone(memtable), &bounds, Direction::Forward);
    let mut merge = Merge::new(alloc::vec![source], Direction::Forward);
    let ranges = memtable.ranges().clone();
    let mut retain = Retain::new(snapshots.to_vec(), ranges.clone(), false);
    let mut outputs = Outputs::new(form, (table.number(), 1), u64::MAX, ranges);
    // A memtable can always be read.
    let _ = merge.settle(&*disk);
    let written = loop {
        let Some(version) = merge.current() else { break outputs.finish(disk) };
        if let Some(kept) = retain.keep(version)
            && let Err(error) = outputs.add(kept, disk)
        {
            break Err(error);
        }
        let _ = merge.step(&*disk);
    };
    match written {
        Ok(tables) => Ok(tables.into_iter().next()),
        Err(error) => Err(outputs.abandon(error, table.number(), disk)),
    }
}

impl Compaction {
    /// The files it reads.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &TableMeta> {
        self.runs.iter().flatten()
    }

    /// Merges; this is [`super::Job::Compact`].
    pub(super) fn run(&self, disk: &mut impl JobDisk) -> Result<JobResult, DiskError> {
        let mut ranges = Ranges::default();
        let mut sources = Vec::new();
        let bounds = Bounds { start: Bytes::new(), end: None };
        for run in &self.runs {
            let open = |meta: &TableMeta| Arc::new(Table::open(meta.clone(), &*disk));
            let tables: Arc<Vec<_>> = Arc::new(run.iter().map(open).collect());
            for table in tables.iter() {
                // One that cannot be read is found out when its turn comes.
                if let Ok(removed) = table.ranges() {
                    ranges.add_all(removed, &self.snapshots);
                }
            }
            sources.push(Source::level(tables, &bounds, Direction::Forward, true));
        }
        let mut kept_ranges = ranges.clone();
        if self.last {
            kept_ranges.drop_upto(self.snapshots.first().copied().unwrap_or(u64::MAX));
        }
        let mut outputs = Outputs::new(self.form, self.tables, self.table_bytes, kept_ranges);
        let retain = Retain::new(self.snapshots.clone(), ranges.clone(), self.last);
        let mut merge = Merge::new(sources, Direction::Forward);
        match self.merge(&mut merge, retain, &ranges, &mut outputs, disk) {
            // Among keys that are suspect from now on, what is newer than the loss must stay
            // recognisable: once more, with all revisions and removals.
            Ok(lost) if self.last && !lost.is_empty() => {
                for table in &outputs.done {
                    disk.remove(table.file)?;
                }
                Self { last: false, ..self.clone() }.run(disk)
            }
            Ok(lost) => Ok(JobResult::Compacted { tables: outputs.done, lost }),
            Err(error) => Err(outputs.abandon(error, self.tables.0, disk)),
        }
    }

    fn merge(
        &self,
        merge: &mut Merge,
        mut retain: Retain,
        removed: &Ranges,
        outputs: &mut Outputs,
        disk: &mut impl JobDisk,
    ) -> Result<Vec<Suspect>, DiskError> {
        // What nobody can see is not lost.
        let seen = self.snapshots.first().copied().unwrap_or(u64::MAX);
        let hidden = |lost: &Suspect| {
            cover([removed], (&lost.start, &lost.end), lost.revision.saturating_add(1), seen)
        };
        let mut lost = Vec::new();
        let mut moved = merge.settle(&*disk);
        loop {
            while let Err(unreadable) = moved {
                let suspect = self.lose(merge, unreadable)?;
                if !hidden(&suspect) {
                    join(&mut lost, suspect);
                }
                moved = merge.settle(&*disk);
            }
            let Some(version) = merge.current() else { break };
            if let Some(kept) = retain.keep(version) {
                outputs.add(kept, disk)?;
            }
            moved = merge.step(&*disk);
        }
        outputs.done = outputs.finish(disk)?;
        Ok(lost)
    }

    /// Gives up a block that cannot be read.
    fn lose(&self, merge: &mut Merge, unreadable: Unreadable) -> Result<Suspect, DiskError> {
        let Unreadable { file, offset, error } = unreadable;
        let table = self.inputs().find(|table| table.file == file);
        match (merge.skip(), table) {
            (Some((start, end)), Some(table)) => {
                Ok(Suspect { start, end, revision: table.properties.newest, file, offset })
            }
            _ => Err(error.unwrap_or(DiskError::NotFound)),
        }
    }
}

/// Adds what was lost; neighbours of one table are one.
fn join(lost: &mut Vec<Suspect>, suspect: Suspect) {
    let last = lost.iter_mut().rfind(|last| last.file == suspect.file);
    match last.filter(|last| suspect.start <= last.end) {
        Some(last) => last.end = suspect.end,
        None => lost.push(suspect),
    }
}

impl Outputs {
    fn new(form: TableForm, tables: (u64, u64), table_bytes: u64, ranges: Ranges) -> Self {
        let (next, last) = (tables.0, tables.0 + tables.1 - 1);
        let (writer, done) = (None, Vec::new());
        Self { form, next, last, table_bytes, writer, start: Bytes::new(), ranges, done }
    }

    fn add(
        &mut self,
        version: super::memtable::Version<'_>,
        disk: &mut impl JobDisk,
    ) -> Result<(), DiskError> {
        let full = self.writer.as_ref().is_some_and(|writer| {
            // All versions of one key stay together, or two tables of a level would overlap.
            writer.bytes() >= self.table_bytes
                && self.next <= self.last
                && !writer.ends_with(version.key)
        });
        if full {
            let here = Bytes::copy_from_slice(version.key);
            self.end_table(Some(here), disk)?;
        }
        if self.writer.is_none() {
            self.writer = Some(TableWriter::create(FileId::table(self.next), self.form, disk)?);
            self.next += 1;
        }
        match &mut self.writer {
            Some(writer) => writer.add(version, disk),
            None => Ok(()),
        }
    }

    /// Ends the last table. The removed ranges need one even if there are no versions.
    fn finish(&mut self, disk: &mut impl JobDisk) -> Result<Vec<TableMeta>, DiskError> {
        if self.writer.is_none() && !self.ranges.within(&self.start, None).is_empty() {
            self.writer = Some(TableWriter::create(FileId::table(self.next), self.form, disk)?);
            self.next += 1;
        }
        self.end_table(None, disk)?;
        Ok(core::mem::take(&mut self.done))
    }

    /// Ends a table before this key, with its part of the removed ranges.
    fn end_table(&mut self, end: Option<Bytes>, disk: &mut impl JobDisk) -> Result<(), DiskError> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let ranges = self.ranges.within(&self.start, end.as_ref());
        self.done.extend(writer.finish(ranges, disk)?);
        self.start = end.unwrap_or_default();
        Ok(())
    }

    /// Removes what was written, as far as the disk lets it. What is left is removed on opening.
    fn abandon(&mut self, error: DiskError, first: u64, disk: &mut impl JobDisk) -> DiskError {
        for number in first..self.next.max(first + 1) {
            let _ = disk.remove(FileId::table(number));
        }
        error
    }
}
