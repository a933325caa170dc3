//! The end of the log that is being written: appending, and what is durable.

use alloc::collections::{BTreeMap, VecDeque};
use core::fmt;

use super::batch::Batch;
use super::record::{FORMAT, SegmentStart, Writer};
use crate::disk::{Disk, DiskError};
use crate::id::{FileId, LogPosition};

/// Why a batch was not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// There is no room. Nothing changed and reading goes on; the next batch is tried as any other.
    Full,
    /// The disk failed. The log on the disk may now differ from what is in memory: the node must stop
    /// and be opened again. Every further batch gets the same answer.
    Failed(DiskError),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str(
                "the disk is full; nothing was changed, free some space on it and try again",
            ),
            Self::Failed(error) => write!(
                f,
                "the log cannot be written ({error}); look after the disk, then start the node again"
            ),
        }
    }
}

impl core::error::Error for StoreError {}

/// A commit log that is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// After how many bytes a segment is full.
    pub(super) segment_bytes: u64,
    /// All segments with their bytes.
    pub(super) segments: BTreeMap<FileId, u64>,
    /// Whether the next batch may go into the last segment.
    pub(super) appendable: bool,
    /// The number of the next segment. None is used twice, whether its file came to be or not.
    pub(super) next_segment: u64,
    /// Where the log ends.
    pub(super) end: LogPosition,
    /// The newest batch.
    pub(super) last_seq: u64,
    /// The newest batch that changes something.
    pub(super) last_change_seq: u64,
    /// What the newest record says is durable.
    pub(super) said_durable_seq: u64,
    /// The newest batch that is durable.
    pub(super) durable_seq: u64,
    /// Up to where the log is known to be durable.
    pub(super) durable: LogPosition,
    /// Batches that are not, oldest first.
    pub(super) unsynced: VecDeque<Unsynced>,
    /// What they take in the log.
    pub(super) unsynced_bytes: u64,
    /// Full segments that nobody has read since, oldest first.
    pub(super) unverified: VecDeque<(FileId, u64)>,
    /// Whether there was no room for the last batch.
    pub(super) full: bool,
    /// Why nothing can be appended any more.
    pub(super) failed: Option<DiskError>,
}

/// A batch that is not known to be durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsynced {
    pub(super) seq: u64,
    pub(super) end: LogPosition,
    /// What it added to the log.
    pub(super) bytes: u64,
}

impl Log {
    /// Appends a batch, if need be to a new segment. Where it ends is the new end of the log.
    pub(super) fn append(
        &mut self,
        batch: &Batch,
        disk: &mut impl Disk,
    ) -> Result<LogPosition, StoreError> {
        if let Some(error) = &self.failed {
            return Err(StoreError::Failed(error.clone()));
        }
        let appended = if self.appendable && self.end.offset < self.segment_bytes {
            self.append_here(batch, disk)
        } else {
            self.append_to_new_segment(batch, disk)
        };
        match &appended {
            Ok(_) => self.full = false,
            Err(StoreError::Full) => self.full = true,
            Err(StoreError::Failed(error)) => self.failed = Some(error.clone()),
        }
        appended
    }

    /// Whether a marker would say more than the newest record does.
    pub(super) fn needs_marker(&self) -> bool {
        self.durable_seq == self.last_seq && self.said_durable_seq < self.last_change_seq
    }

    /// Everything up to here is durable.
    pub(super) fn synced(&mut self, upto: LogPosition) {
        self.durable = self.durable.max(upto.min(self.end));
        while let Some(oldest) = self.unsynced.pop_front_if(|oldest| oldest.end <= self.durable) {
            self.durable_seq = oldest.seq;
            self.unsynced_bytes -= oldest.bytes;
        }
    }

    fn append_here(
        &mut self,
        batch: &Batch,
        disk: &mut impl Disk,
    ) -> Result<LogPosition, StoreError> {
        let LogPosition { segment, offset } = self.end;
        let mut writer = Writer::new(segment, offset);
        writer.batch(self.last_seq + 1, self.durable_seq, &batch.encode());
        match disk.append(segment, writer.bytes()) {
            Ok(()) => Ok(self.appended(&writer, batch)),
            // What was written of it must go, or the next batch would stand behind it.
            Err(DiskError::Full) => Err(match disk.truncate(segment, offset) {
                Ok(()) => StoreError::Full,
                Err(error) => StoreError::Failed(error),
            }),
            Err(error) => Err(StoreError::Failed(error)),
        }
    }

    fn append_to_new_segment(
        &mut self,
        batch: &Batch,
        disk: &mut impl Disk,
    ) -> Result<LogPosition, StoreError> {
        let segment = FileId(self.next_segment);
        self.next_segment = self.next_segment.saturating_add(1);
        let seq = self.last_seq + 1;
        let mut writer = Writer::new(segment, 0);
        writer.segment(seq, self.durable_seq, &SegmentStart { format: FORMAT, previous: self.end });
        writer.batch(seq, self.durable_seq, &batch.encode());
        match disk.create(segment) {
            Ok(()) => {}
            Err(DiskError::Full) => return Err(StoreError::Full),
            Err(error) => return Err(StoreError::Failed(error)),
        }
        match disk.append(segment, writer.bytes()) {
            Ok(()) => {
                if let Some((&full, &bytes)) = self.segments.last_key_value() {
                    self.unverified.push_back((full, bytes));
                }
                self.appendable = true;
                Ok(self.appended(&writer, batch))
            }
            Err(DiskError::Full) => Err(match disk.remove(segment) {
                Ok(()) => StoreError::Full,
                Err(error) => StoreError::Failed(error),
            }),
            Err(error) => Err(StoreError::Failed(error)),
        }
    }

    fn appended(&mut self, writer: &Writer, batch: &Batch) -> LogPosition {
        self.last_seq += 1;
        if !batch.is_empty() {
            self.last_change_seq = self.last_seq;
        }
        self.said_durable_seq = self.durable_seq;
        self.end = LogPosition { segment: writer.segment_id(), offset: writer.end() };
        self.segments.insert(self.end.segment, self.end.offset);
        let bytes = writer.bytes().len() as u64;
        self.unsynced.push_back(Unsynced { seq: self.last_seq, end: self.end, bytes });
        self.unsynced_bytes += bytes;
        self.end
    }
}
