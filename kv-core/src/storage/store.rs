//! The store: the log and the index over it.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use bytes::Bytes;

use super::batch::{Batch, Change};
use super::log::{Log, StoreError, Unsynced};
use super::recovery::{self, OpenError, Recovery};
use crate::disk::{Disk, DiskError};
use crate::id::{FileId, LogPosition};

/// All durable state of a node. `Clone` shares the index until one of the two changes.
#[derive(Clone, Debug)]
pub struct Store {
    index: Arc<Index>,
    log: Log,
    failure: Option<DiskError>,
}

/// The newest value of every key.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    entries: BTreeMap<Bytes, Entry>,
    /// Of all keys and values.
    bytes: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    value: Bytes,
    /// Where the record it came with ends.
    at: LogPosition,
}

/// The store in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreView {
    /// How many keys there are.
    pub keys: u64,
    /// Bytes of all keys and values.
    pub bytes: u64,
    /// The segments of the log with their bytes, oldest first.
    pub segments: Vec<(FileId, u64)>,
    /// Where the log ends.
    pub end: LogPosition,
    /// Up to where it is known to be durable.
    pub durable: LogPosition,
    /// Bytes behind that.
    pub unsynced_bytes: u64,
    /// Whether there was no room for the last batch.
    pub full: bool,
}

impl Store {
    /// Opens a disk; an empty one is an empty store. A torn end of the log is cut off and reported.
    /// With any error nothing on the disk has changed, unless the disk failed while cutting.
    ///
    /// What was read back may never have been synced, for the process that wrote it may have been
    /// killed. So nothing counts as durable until the first [`Self::synced`], and the first sync must
    /// cover all files there are.
    pub fn open(segment_bytes: u64, disk: &mut impl Disk) -> Result<(Self, Recovery), OpenError> {
        let recovered = recovery::recover(disk)?;
        let unsynced = Unsynced { seq: recovered.last_seq, end: recovered.end, bytes: 0 };
        let log = Log {
            segment_bytes,
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
        Ok((Self { index: Arc::new(recovered.index), log, failure: None }, recovered.recovery))
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
        let at = self.append(batch, disk)?;
        let index = Arc::make_mut(&mut self.index);
        for change in batch.changes() {
            index.apply(change.clone(), at);
        }
        Ok(at)
    }

    /// The value of a key, and the position up to which the log must be durable before the value may
    /// be shown: [`LogPosition::START`] if it is so already.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<(Bytes, LogPosition)> {
        let entry = self.index.entries.get(key)?;
        Some((entry.value.clone(), self.required(entry)))
    }

    /// The entries whose keys begin with `prefix` and are not less than `start`, in ascending order.
    pub fn scan<'a>(
        &'a self,
        prefix: &[u8],
        start: &[u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a Bytes, LogPosition)> + use<'a> {
        let prefix = prefix.to_vec();
        let from = Bound::Included(start.max(&prefix));
        self.index
            .entries
            .range::<[u8], _>((from, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(&prefix))
            .map(|(key, entry)| (key.as_ref(), &entry.value, self.required(entry)))
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

    /// Why the log can no longer be trusted, after a [`StoreError::Failed`]. The node must halt.
    #[must_use]
    pub fn failure(&self) -> Option<&DiskError> {
        self.failure.as_ref()
    }

    /// A segment that is full and durable and was not handed out here before, with its bytes.
    pub fn next_to_verify(&mut self) -> Option<(FileId, u64)> {
        let durable = self.log.durable;
        self.log.unverified.pop_front_if(|(segment, bytes)| {
            LogPosition { segment: *segment, offset: *bytes } <= durable
        })
    }

    /// Whether there was no room for the last batch. The next one is tried all the same.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.log.full
    }

    /// The store in numbers.
    #[must_use]
    pub fn view(&self) -> StoreView {
        StoreView {
            keys: self.index.entries.len() as u64,
            bytes: self.index.bytes,
            segments: self.log.segments.iter().map(|(file, bytes)| (*file, *bytes)).collect(),
            end: self.end(),
            durable: self.durable(),
            unsynced_bytes: self.unsynced_bytes(),
            full: self.is_full(),
        }
    }

    fn append(&mut self, batch: &Batch, disk: &mut impl Disk) -> Result<LogPosition, StoreError> {
        self.log.append(batch, disk).inspect_err(|error| {
            if let StoreError::Failed(failure) = error {
                self.failure = Some(failure.clone());
            }
        })
    }

    fn required(&self, entry: &Entry) -> LogPosition {
        if entry.at <= self.log.durable { LogPosition::START } else { entry.at }
    }
}

impl Index {
    /// Applies a change of a batch that ends at this position.
    pub(super) fn apply(&mut self, change: Change, at: LogPosition) {
        let key_bytes = change.key.len() as u64;
        let replaced = match change.value {
            Some(value) => {
                self.bytes += key_bytes + value.len() as u64;
                self.entries.insert(change.key, Entry { value, at })
            }
            None => self.entries.remove(&change.key),
        };
        if let Some(entry) = replaced {
            self.bytes -= key_bytes + entry.value.len() as u64;
        }
    }
}
