//! What the store has done beside itself: which jobs are due, and what follows from their results.
//!
//! ```text
//! frozen memtable ── Flush ──▶ table ──┐
//!                                      ├─▶ edit ── Install ──▶ root ── Remove ──▶ files are gone
//! tables ────────── Compact ─▶ tables ─┘
//! ```
//!
//! At most one job of each kind runs. An edit takes effect when both slots of the root are durable;
//! until then everything is read where it was.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::super::compaction::{self, Compaction, Pick};
use super::super::job::{Job, JobResult};
use super::super::root::{Edit, LEVELS, Root, Suspect};
use super::super::table::TableMeta;
use super::{FlushState, Store};
use crate::disk::{Disk, DiskError};
use crate::id::{FileId, JobId, LogPosition};
use crate::ordered::Map;

/// Jobs under way, and what waits for them.
#[derive(Clone, Debug)]
pub(super) struct Work {
    jobs: u64,
    running: Map<JobId, Running>,
    pending: VecDeque<Pending>,
    /// Whether a compaction is under way, from its choice until the root names its tables.
    compacting: bool,
    /// Files that nothing names any longer.
    garbage: Vec<FileId>,
    next_table: u64,
    generation: u64,
    /// The slots differ: the root must be written even if nothing changes.
    repair_slots: bool,
    /// Merge everything into one level.
    pub(super) everything: bool,
    /// There was nothing to compact when it was looked at last, and no table has come since.
    pub(super) compacted: bool,
    /// The table that was read through last, and whether the next one is due.
    scrub: (FileId, bool),
    /// There was no room for a job; nothing is begun before somebody says that there may be.
    pub(super) starved: bool,
    /// There was no room for a compaction; it is begun again when somebody says that there may be. It
    /// never gets the room that is kept free, for it may need far more.
    pub(super) compaction_starved: bool,
    /// Strangers to the newer of two slots that differ. They go when both say the same.
    strangers: Vec<FileId>,
}

#[derive(Clone, Debug)]
enum Running {
    Flush,
    Compact(Compaction),
    Install { root: Root, edits: usize, garbage: Vec<FileId> },
    Remove,
    Verify(FileId),
}

#[derive(Clone, Debug)]
struct Pending {
    edit: Edit,
    /// Where the log must be durable first.
    after: LogPosition,
    compaction: bool,
}

/// What came of a job that others may want to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A memtable went to a table of so many bytes.
    Flushed {
        /// Bytes of the table.
        bytes: u64,
    },
    /// Tables were merged.
    Compacted {
        /// The level of the outputs.
        level: u64,
        /// Tables and bytes that were read.
        read: (u64, u64),
        /// Tables and bytes that were written.
        written: (u64, u64),
        /// Keys that could not be read, and are not known any more.
        lost: Vec<Suspect>,
    },
    /// A file was read through.
    Verified {
        /// Which.
        file: FileId,
        /// How many whole records or blocks there are.
        records: u64,
        /// Where it is damaged, if it is.
        damaged_at: Option<u64>,
    },
    /// A file could not be read through.
    Unverified {
        /// Which.
        file: FileId,
    },
}

impl Store {
    /// A job to be done, if one is due. To be asked until there is none, after anything that happened.
    /// Several may be under way; each ends with [`Self::job_done`].
    pub fn next_job(&mut self) -> Option<(JobId, Job)> {
        if self.failure.is_some() || self.rests() {
            return None;
        }
        let (job, running) = self
            .install()
            .or_else(|| self.flush_frozen())
            .or_else(|| self.remove_garbage())
            .or_else(|| self.compact())
            .or_else(|| self.verify())?;
        self.work.jobs += 1;
        let id = JobId(self.work.jobs);
        self.work.running.insert(id, running);
        Some((id, job))
    }

    /// A job has ended.
    pub fn job_done(
        &mut self,
        id: JobId,
        result: Result<JobResult, DiskError>,
        disk: &mut impl Disk,
    ) -> Option<Outcome> {
        match (self.work.running.remove(&id)?, result) {
            (Running::Flush, Ok(JobResult::Flushed(table))) => {
                Some(self.flushed(table.map(|table| *table)))
            }
            (Running::Compact(from), Ok(JobResult::Compacted { tables, lost })) => {
                Some(self.compacted(&from, tables, lost))
            }
            (Running::Install { root, edits, garbage }, Ok(JobResult::Installed)) => {
                self.publish(root, edits, garbage, &*disk);
                None
            }
            // It was no longer needed and may have been removed while it was read.
            (Running::Verify(file), _) if !self.needs(file) => None,
            (Running::Verify(file), Ok(JobResult::Verified { records, damaged_at })) => {
                Some(Outcome::Verified { file, records, damaged_at })
            }
            (Running::Verify(file), Err(_)) => Some(Outcome::Unverified { file }),
            // What could not be removed is removed on opening.
            (Running::Remove, _) => None,
            (Running::Compact(_), Err(DiskError::Full)) => {
                self.work.compacting = false;
                self.work.compaction_starved = true;
                None
            }
            (running, Err(DiskError::Full)) => {
                self.undone(&running);
                self.starve(disk);
                None
            }
            (_, Err(error)) => {
                self.fail(error);
                None
            }
            (_, Ok(_)) => None,
        }
    }

    /// Whether something waits for room.
    #[must_use]
    pub fn wants_retry(&self) -> bool {
        self.is_full() || self.work.starved || self.work.compaction_starved
    }

    /// There may be room again. To be called now and then while [`Self::wants_retry`].
    pub fn retry(&mut self, disk: &mut impl Disk) {
        self.work.starved = false;
        self.work.compaction_starved = false;
        self.log.full = false;
        if !self.reserved
            && let Err(error) = self.reserve(disk)
        {
            self.fail(error);
        }
    }

    /// Has the next table read through, one after the other and then from the first again. To be called
    /// now and then, so that damage is found while other nodes still hold a copy.
    pub fn scrub(&mut self) {
        self.work.scrub.1 = true;
    }

    /// Whether no job is under way and none is due. One that is due only when the log is durable further
    /// counts.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let work = &self.work;
        work.running.is_empty() && work.pending.is_empty() && self.frozen.is_empty()
    }

    /// Says that the keys from `start` on and before `end` were repaired: all that was lost of them was
    /// written again.
    pub fn trust(&mut self, start: &[u8], end: &[u8]) {
        let trusted = Some((start.to_vec().into(), end.to_vec().into()));
        self.work.pending.push_back(Pending {
            edit: Edit { trusted, ..Edit::default() },
            after: self.log.end,
            compaction: false,
        });
    }

    /// Whether there is nothing that a job could be about, as there is after almost any input.
    fn rests(&self) -> bool {
        let work = &self.work;
        let installs = !work.pending.is_empty() || work.repair_slots;
        let verifies = !self.log.unverified.is_empty() || work.scrub.1;
        let removes = !work.garbage.is_empty();
        !(installs || verifies || removes || work.may_compact()) && self.frozen.is_empty()
    }

    fn install(&mut self) -> Option<(Job, Running)> {
        let work = &mut self.work;
        let installing = |running: &Running| matches!(running, Running::Install { .. });
        let durable = self.log.durable;
        let edits = work.pending.iter().take_while(|pending| pending.after <= durable).count();
        let due = edits > 0 || work.repair_slots;
        if !due || work.starved || work.running.values().any(installing) {
            return None;
        }
        let mut root = self.tables.root.clone();
        let mut garbage = work.strangers.clone();
        for pending in work.pending.iter().take(edits) {
            root.apply(pending.edit.clone(), &mut garbage);
        }
        work.generation += 1;
        root.generation = work.generation;
        root.next_table = work.next_table;
        let job = Job::Install { root: root.encode() };
        Some((job, Running::Install { root, edits, garbage }))
    }

    fn flush_frozen(&mut self) -> Option<(Job, Running)> {
        if self.work.starved || self.frozen.iter().any(|frozen| frozen.state == FlushState::Running)
        {
            return None;
        }
        let waiting = |frozen: &&mut super::Frozen| frozen.state == FlushState::Waiting;
        let frozen = self.frozen.iter_mut().find(waiting)?;
        frozen.state = FlushState::Running;
        let job = Job::Flush {
            memtable: alloc::sync::Arc::clone(&frozen.memtable),
            table: FileId::table(self.work.next_table),
            form: self.options.form(0),
            snapshots: self.snapshots.clone(),
        };
        self.work.next_table += 1;
        Some((job, Running::Flush))
    }

    fn remove_garbage(&mut self) -> Option<(Job, Running)> {
        let removing = self.work.running.values().any(|r| matches!(r, Running::Remove));
        if self.work.garbage.is_empty() || removing {
            return None;
        }
        let files = core::mem::take(&mut self.work.garbage);
        Some((Job::Remove { files }, Running::Remove))
    }

    fn compact(&mut self) -> Option<(Job, Running)> {
        if !self.work.may_compact() {
            return None;
        }
        let covered = self.covered();
        if !covered.is_empty() {
            self.edit_tables(Edit { remove: covered, ..Edit::default() });
            return self.install();
        }
        // What is written goes to tables first, or not everything would be merged.
        let everything = self.work.everything && self.frozen.is_empty();
        let root = &self.tables.root;
        match compaction::pick(root, &self.options, everything) {
            None => {
                self.work.compacted = everything == self.work.everything;
                self.work.everything &= !everything;
                None
            }
            Some(Pick::Move { table, level }) => {
                let (remove, add) = (alloc::vec![table.file], alloc::vec![(level as u64, table)]);
                self.edit_tables(Edit { remove, add, ..Edit::default() });
                self.install()
            }
            Some(Pick::Merge { runs, level, last }) => {
                // While keys are suspect, what is newer than the loss must stay recognisable.
                let last = last && root.suspects.is_empty();
                let bytes: u64 = runs.iter().flatten().map(|table| table.bytes).sum();
                let tables = bytes / self.options.table_bytes.max(1) + 2;
                let compaction = Compaction {
                    runs,
                    level: level as u64,
                    last,
                    tables: (self.work.next_table, tables),
                    table_bytes: self.options.table_bytes,
                    // Whoever wants everything merged wants it as small as the last level.
                    form: self.options.form(if everything {
                        LEVELS as u64 - 1
                    } else {
                        level as u64
                    }),
                    snapshots: self.snapshots.clone(),
                };
                self.work.next_table += tables;
                self.work.compacting = true;
                Some((Job::Compact(compaction.clone()), Running::Compact(compaction)))
            }
        }
    }

    /// Tables of which nobody can see anything any more, because newer ranges were removed over them.
    fn covered(&self) -> Vec<FileId> {
        if !self.snapshots.is_empty() {
            return Vec::new();
        }
        let tables = || self.tables.levels.iter().enumerate();
        let with_ranges: Vec<_> = tables()
            .flat_map(|(level, tables)| tables.iter().map(move |table| (level, table)))
            .filter(|(_, table)| table.meta.properties.ranges > 0)
            .collect();
        if with_ranges.is_empty() {
            return Vec::new();
        }
        compaction::covered(&self.tables.root, |own, table| {
            let properties = &table.properties;
            with_ranges.iter().any(|(level, other)| {
                *level < own
                    && other.ranges().is_ok_and(|ranges| {
                        ranges.cover(&properties.first, &properties.end, properties.newest + 1)
                    })
            })
        })
    }

    fn verify(&mut self) -> Option<(Job, Running)> {
        if self.work.running.values().any(|r| matches!(r, Running::Verify(_))) {
            return None;
        }
        let durable = self.log.durable;
        let segment = self.log.unverified.pop_front_if(|(segment, bytes)| {
            LogPosition { segment: *segment, offset: *bytes } <= durable
        });
        if let Some((segment, length)) = segment {
            return Some((Job::VerifySegment { segment, length }, Running::Verify(segment)));
        }
        let (last, due) = &mut self.work.scrub;
        if !core::mem::take(due) {
            return None;
        }
        let tables = || self.tables.root.tables().map(|(_, table)| table);
        let next = tables().filter(|table| *last < table.file).min_by_key(|table| table.file);
        let table = next.or_else(|| tables().min_by_key(|table| table.file))?.clone();
        *last = table.file;
        let file = table.file;
        Some((Job::VerifyTable { table }, Running::Verify(file)))
    }

    fn edit_tables(&mut self, edit: Edit) {
        self.work.compacting = true;
        let after = LogPosition::START;
        self.work.pending.push_back(Pending { edit, after, compaction: true });
    }

    fn flushed(&mut self, table: Option<TableMeta>) -> Outcome {
        let bytes = table.as_ref().map_or(0, |table| table.bytes);
        self.counts.table_bytes += bytes;
        let running = |frozen: &&mut super::Frozen| frozen.state == FlushState::Running;
        if let Some(frozen) = self.frozen.iter_mut().find(running) {
            frozen.state = FlushState::Written;
            self.work.pending.push_back(Pending {
                edit: Edit {
                    add: table.into_iter().map(|table| (0, table)).collect(),
                    flushed: Some(frozen.flushed.clone()),
                    ..Edit::default()
                },
                after: frozen.end,
                compaction: false,
            });
        }
        Outcome::Flushed { bytes }
    }

    fn compacted(
        &mut self,
        from: &Compaction,
        tables: Vec<TableMeta>,
        lost: Vec<Suspect>,
    ) -> Outcome {
        let sum = |tables: &mut dyn Iterator<Item = &TableMeta>| {
            tables.fold((0, 0), |(count, bytes), table| (count + 1, bytes + table.bytes))
        };
        let (read, written) = (sum(&mut from.inputs()), sum(&mut tables.iter()));
        self.counts.table_bytes += written.1;
        self.edit_tables(Edit {
            remove: from.inputs().map(|table| table.file).collect(),
            add: tables.into_iter().map(|table| (from.level, table)).collect(),
            lost: lost.clone(),
            ..Edit::default()
        });
        Outcome::Compacted { level: from.level, read, written, lost }
    }

    /// Whether a segment or a table still belongs to the store.
    fn needs(&self, file: FileId) -> bool {
        self.log.segments.contains_key(&file)
            || self.tables.root.tables().any(|(_, table)| table.file == file)
    }

    /// Both slots of the root are durable: from now on it is read by this root.
    fn publish(&mut self, root: Root, edits: usize, garbage: Vec<FileId>, disk: &impl Disk) {
        for pending in self.work.pending.drain(..edits) {
            if pending.edit.flushed.is_some() {
                self.frozen.pop_front();
            }
            if pending.compaction {
                self.work.compacting = false;
            }
        }
        self.work.repair_slots = false;
        self.work.compacted = false;
        self.work.strangers.clear();
        self.work.garbage.extend(garbage);
        self.work.garbage.extend(self.log.release(root.log_start.0));
        self.tables = self.tables.replaced(root, disk);
    }

    /// A job had no room, and will be begun again: what made it due still does, but for a flush.
    fn undone(&mut self, running: &Running) {
        let flushed = |frozen: &&mut super::Frozen| {
            matches!(running, Running::Flush) && frozen.state == FlushState::Running
        };
        if let Some(frozen) = self.frozen.iter_mut().find(flushed) {
            frozen.state = FlushState::Waiting;
        }
    }

    /// Gives the reserve to the jobs; if they have it already they wait.
    fn starve(&mut self, disk: &mut impl Disk) {
        let released = self.reserved && disk.remove(FileId::RESERVE).is_ok();
        self.reserved = false;
        self.work.starved = !released;
    }
}

impl Work {
    /// Nothing under way.
    pub(super) fn new(root: &Root, slots_agree: bool, strangers: Vec<FileId>) -> Self {
        Self {
            jobs: 0,
            running: Map::new(),
            pending: VecDeque::new(),
            compacting: false,
            garbage: Vec::new(),
            next_table: root.next_table,
            generation: root.generation,
            repair_slots: !slots_agree,
            everything: false,
            compacted: false,
            scrub: (FileId::table(0), false),
            starved: false,
            compaction_starved: false,
            strangers,
        }
    }

    fn may_compact(&self) -> bool {
        !(self.compacted || self.compacting || self.starved || self.compaction_starved)
    }

    pub(super) fn running(&self) -> u64 {
        self.running.len() as u64
    }
}
