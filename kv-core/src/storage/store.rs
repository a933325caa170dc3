//! The store: the log, memtables and tables as one ordered map of bytes.
//!
//! A batch goes to the log and to the memtable. A full memtable is frozen, flushed to a table by a job,
//! and named by the root once its part of the log is durable; then that part of the log goes. The store
//! never waits: it hands out jobs ([`Store::next_job`]) and goes on.

mod read;
mod scan;
mod view;
mod work;

pub use scan::{Item, Scan};
pub use view::{LevelView, StoreView, TableView};
pub use work::Outcome;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use self::read::{Counts, Tables};
use self::work::Work;
use super::batch::Batch;
use super::cache::Cache;
use super::log::{Log, StoreError, Unsynced};
use super::memtable::Memtable;
use super::options::StoreOptions;
use super::recovery::{self, OpenError, Recovery};
use super::root::{self, Flushed};
use crate::disk::{Disk, DiskError};
use crate::id::{FileId, FileKind, LogPosition};
use crate::ordered::Map;

/// All durable state of a node. `Clone` shares memtables, tables and blocks until one of the two
/// changes.
#[derive(Clone, Debug)]
pub struct Store {
    options: StoreOptions,
    log: Log,
    active: Arc<Memtable>,
    /// Memtables on their way to tables, oldest first.
    frozen: VecDeque<Frozen>,
    tables: Tables,
    /// The revision of the newest change.
    revision: u64,
    /// How far into each other log the active memtable goes.
    marks: Map<u64, u64>,
    /// The revisions that somebody may still read at, ascending, one for each.
    snapshots: Vec<u64>,
    cache: Cache,
    counts: Counts,
    work: Work,
    /// Whether room is kept free.
    reserved: bool,
    failure: Option<DiskError>,
}

/// A memtable that no longer changes.
#[derive(Clone, Debug)]
struct Frozen {
    memtable: Arc<Memtable>,
    /// What is in tables once it is.
    flushed: Flushed,
    /// Where the log must be durable before the root may name its table. Else, after a crash, there
    /// would be changes without those before them.
    end: LogPosition,
    state: FlushState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlushState {
    Waiting,
    Running,
    Written,
}

/// A state of the store that can be read for as long as it is held. Give it back with
/// [`Store::release`]; until then nothing that it shows is dropped. A clone is for a clone of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(u64);

/// How many memtables may wait before writes are refused.
const FROZEN_MAX: usize = 4;

/// How many may wait before also that is refused without which nobody could go on. One more may come of
/// [`Store::flush`].
pub const FROZEN_MOST: usize = 8;

/// How many tables level 0 may have before writes are refused.
pub const LEVEL_0_MAX: usize = 40;

impl Store {
    /// Opens a disk; an empty one is an empty store. A torn end of the log is cut off and reported.
    /// With any error nothing on the disk has changed, unless the disk failed while cutting. Files that
    /// belong to nothing are removed; if the slots of the root differ, once they say the same.
    ///
    /// What was read back may never have been synced, for the process that wrote it may have been
    /// killed. So nothing of the log counts as durable until the first [`Self::synced`], and the first
    /// sync must cover all log files there are. It is to be ordered at once, not with the first write:
    /// before it no root can be written, and there may be so much to merge that writes are refused.
    pub fn open(
        options: StoreOptions,
        disk: &mut impl Disk,
    ) -> Result<(Self, Recovery), OpenError> {
        let slots = root::read(&*disk)?;
        let never = slots.root.is_none();
        let mut root = slots.root.unwrap_or_else(root::Root::empty);
        let recovered = recovery::recover(&root, disk)?;
        let (mut strangers, next_table) = strangers(&root, never, &*disk)?;
        root.next_table = root.next_table.max(next_table);
        if slots.agree {
            for file in strangers.drain(..) {
                disk.remove(file)?;
            }
        }
        let unsynced = Unsynced {
            seq: recovered.last_seq,
            revisions: (root.revision + 1, recovered.revision),
            end: recovered.end,
            bytes: 0,
        };
        let log = Log {
            segment_bytes: options.segment_bytes,
            segments: recovered.segments,
            appendable: recovered.appendable,
            next_segment: recovered.next_segment,
            end: recovered.end,
            last_seq: recovered.last_seq,
            last_change_seq: recovered.last_change_seq,
            said_durable_seq: recovered.said_durable_seq,
            durable_seq: recovered.durable_seq,
            unsynced: VecDeque::from([unsynced]),
            ..Log::default()
        };
        let mut store = Self {
            options,
            log,
            active: Arc::new(recovered.memtable),
            frozen: VecDeque::new(),
            work: Work::new(&root, slots.agree, strangers),
            tables: Tables::open(root, &*disk),
            revision: recovered.revision,
            marks: Map::new(),
            snapshots: Vec::new(),
            cache: Cache::new(options.cache_bytes),
            counts: Counts::default(),
            reserved: true,
            failure: None,
        };
        store.reserve(disk).map_err(OpenError::Disk)?;
        if store.options.memtable_bytes / 16 < store.active.bytes() {
            // In a table it has a filter, and the next opening need not read it back.
            store.freeze();
        }
        Ok((store, recovered.recovery))
    }

    /// Appends the batch as one record, then applies it. Returns where it ends: it is durable when the
    /// log is durable up to there. With any error neither memory nor the log has changed, except that
    /// after [`StoreError::Failed`] the disk may hold a part of it. An empty batch does nothing.
    pub fn apply(
        &mut self,
        batch: &Batch,
        disk: &mut impl Disk,
    ) -> Result<LogPosition, StoreError> {
        if batch.is_empty() {
            return Ok(self.log.end);
        }
        self.admit(disk)?;
        self.apply_always(batch, disk)
    }

    /// The same for a batch without which nobody could even read: it is not refused because there is
    /// little room, or much to do. Only where jobs have stood still for so long that memory would run out
    /// ([`FROZEN_MOST`]) it is.
    pub fn apply_always(
        &mut self,
        batch: &Batch,
        disk: &mut impl Disk,
    ) -> Result<LogPosition, StoreError> {
        if FROZEN_MOST <= self.frozen.len() {
            return Err(self.overloaded());
        }
        let at = self.append(batch, disk)?;
        self.enter(batch);
        self.counts.user_bytes += batch.payload().len() as u64;
        Ok(at)
    }

    /// Applies a batch without logging it: state that another durable log, known by `stream`, can
    /// rebuild. `position` is how far into that log the state now goes. After a crash all unlogged
    /// batches of a stream up to some position are there and none behind it; that position is
    /// [`Self::mark`]. It may be shown at once, for the other log answers for it.
    pub fn apply_unlogged(
        &mut self,
        batch: &Batch,
        stream: u64,
        position: u64,
        disk: &mut impl Disk,
    ) -> Result<(), StoreError> {
        self.admit(disk)?;
        self.marks.insert(stream, position);
        self.enter(batch);
        self.counts.user_bytes += batch.payload().len() as u64;
        Ok(())
    }

    /// How far into another log the state goes that a crash cannot take: what lies behind must be
    /// applied again after opening, and what lies before may be dropped from that log.
    #[must_use]
    pub fn mark(&self, stream: u64) -> Option<u64> {
        self.tables.root.marks.get(&stream).copied()
    }

    /// Has the memtable written to a table soon, however small it is.
    pub fn flush(&mut self) {
        if !self.active.is_empty() || !self.marks.is_empty() {
            self.freeze();
        }
    }

    /// Merges everything into one level, in jobs that follow.
    pub fn compact_everything(&mut self) {
        self.flush();
        self.work.everything = true;
        self.work.compacted = false;
    }

    /// The store as it is now, to be read later.
    pub fn snapshot(&mut self) -> Snapshot {
        self.snapshots.push(self.revision);
        Snapshot(self.revision)
    }

    /// Gives a snapshot back.
    pub fn release(&mut self, snapshot: Snapshot) {
        if let Ok(at) = self.snapshots.binary_search(&snapshot.0) {
            self.snapshots.remove(at);
            self.work.compacted = false;
        }
    }

    /// Where the log ends.
    #[must_use]
    pub fn end(&self) -> LogPosition {
        self.log.end
    }

    /// Up to where the log is known to be durable.
    #[must_use]
    pub fn durable(&self) -> LogPosition {
        self.log.durable
    }

    /// How many bytes were appended that are not known to be durable.
    #[must_use]
    pub fn unsynced_bytes(&self) -> u64 {
        self.log.unsynced_bytes
    }

    /// The log is durable up to here.
    pub fn synced(&mut self, upto: LogPosition) {
        self.log.synced(upto);
    }

    /// Appends a record that says that everything before it is durable, if all of it is and no record
    /// says so yet. It should be synced like any other. To be called when there is nothing else to do
    /// and before stopping: from then on no damage to the log can pass for a torn end.
    pub fn mark_durable(
        &mut self,
        disk: &mut impl Disk,
    ) -> Result<Option<LogPosition>, StoreError> {
        if !self.log.needs_marker() {
            return Ok(None);
        }
        self.append(&Batch::default(), disk).map(Some)
    }

    /// Why the disk can no longer be trusted. The node must halt.
    #[must_use]
    pub fn failure(&self) -> Option<&DiskError> {
        self.failure.as_ref()
    }

    /// Whether writes are refused because there is no room. Each is tried all the same.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.log.full || !self.reserved || (self.is_crowded() && self.work.compaction_starved)
    }

    /// How many memtables wait to be flushed, and how many tables of level 0 to be merged.
    pub(crate) fn waiting_for_jobs(&self) -> [usize; 2] {
        [self.frozen.len(), self.tables.root.levels[0].len()]
    }

    /// Whether level 0 has so many tables that a compaction must come first.
    fn is_crowded(&self) -> bool {
        LEVEL_0_MAX <= self.tables.root.levels[0].len()
    }

    /// Whether this write may be taken.
    fn admit(&mut self, disk: &mut impl Disk) -> Result<(), StoreError> {
        if let Some(error) = &self.failure {
            return Err(StoreError::Failed(error.clone()));
        }
        if FROZEN_MAX <= self.frozen.len() || self.is_crowded() {
            return Err(self.overloaded());
        }
        if !self.reserved {
            self.reserve(disk).map_err(|error| self.fail(error))?;
        }
        if self.reserved { Ok(()) } else { Err(StoreError::Full) }
    }

    /// Why a write is refused that jobs would have to make room for.
    fn overloaded(&self) -> StoreError {
        // A disk that has no room for tables does not become free by itself.
        if self.is_full() { StoreError::Full } else { StoreError::Busy }
    }

    fn append(&mut self, batch: &Batch, disk: &mut impl Disk) -> Result<LogPosition, StoreError> {
        let revisions = (self.revision + 1, self.revision + batch.len());
        self.log.append(batch, revisions, disk).inspect_err(|error| {
            if let StoreError::Failed(failure) = error {
                self.failure = Some(failure.clone());
            }
        })
    }

    /// Applies a batch to the memtable.
    fn enter(&mut self, batch: &Batch) {
        let active = Arc::make_mut(&mut self.active);
        recovery::apply(batch.changes(), active, &mut self.revision, &self.snapshots);
        if self.options.memtable_bytes <= active.bytes() {
            self.freeze();
        }
    }

    fn freeze(&mut self) {
        let flushed = Flushed {
            log_start: self.log.last_segment().unwrap_or(self.tables.root.log_start),
            seq: self.log.last_seq,
            revision: self.revision,
            marks: core::mem::take(&mut self.marks),
        };
        let memtable = core::mem::take(&mut self.active);
        let (end, state) = (self.log.end, FlushState::Waiting);
        self.frozen.push_back(Frozen { memtable, flushed, end, state });
    }

    /// Takes up the room that is kept free, if there is enough and nothing else needs it.
    fn reserve(&mut self, disk: &mut impl Disk) -> Result<(), DiskError> {
        // After a crash it may be there and shorter.
        let found = disk.len(FileId::RESERVE).unwrap_or(0);
        if self.options.reserve_bytes <= found {
            self.reserved();
            return Ok(());
        }
        self.reserved = false;
        if !self.frozen.is_empty() {
            return Ok(());
        }
        match disk.remove(FileId::RESERVE) {
            Ok(()) | Err(DiskError::NotFound) => {}
            Err(error) => return Err(error),
        }
        match disk.create(FileId::RESERVE, self.options.reserve_bytes) {
            Ok(()) => self.reserved(),
            Err(DiskError::Full) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The room that is kept free is there, so jobs can be begun: they will be given it.
    fn reserved(&mut self) {
        self.reserved = true;
        self.work.starved = false;
    }

    fn fail(&mut self, error: DiskError) -> StoreError {
        self.failure.get_or_insert_with(|| error.clone());
        StoreError::Failed(error)
    }
}

/// The files that belong to nothing: parts of tables whose job was interrupted, and segments of the log
/// that were no longer needed. Also the number behind the last table there was.
fn strangers(
    root: &root::Root,
    never: bool,
    disk: &impl Disk,
) -> Result<(Vec<FileId>, u64), DiskError> {
    let files = disk.list()?;
    let tables = files.iter().filter(|file| file.kind() == Some(FileKind::Table));
    let numbers = tables.map(|table| table.number()).filter(|number| *number < FileId::FOREIGN);
    let next = numbers.max().map_or(0, |last| last + 1);
    Ok((files.into_iter().filter(|file| !root.owns(*file, !never)).collect(), next))
}
