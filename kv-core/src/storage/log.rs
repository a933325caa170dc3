//! The end of the log that is being written: appending, and what is durable.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use super::batch::Batch;
use super::record::{FORMAT, SegmentStart, Writer};
use crate::disk::{Disk, DiskError};
use crate::id::{FileId, LogPosition};
use crate::ordered::Map;

/// Why a batch was not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// There is no room. Nothing changed and reading goes on; the next batch is tried as any other.
    Full,
    /// What was written waits for tables to be written. Nothing changed; try again in a moment.
    Busy,
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
            Self::Busy => f.write_str(
                "the disk does not keep up with what is written; nothing was changed, try again",
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
    /// What a segment holds, unless one batch needs more.
    pub(super) segment_bytes: u64,
    /// All segments that are needed.
    pub(super) segments: Map<FileId, Segment>,
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
    /// Everything ever appended, in bytes.
    pub(super) appended_bytes: u64,
    /// Memory for the next record.
    pub(super) buffer: Vec<u8>,
}

/// A segment of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Where its last record ends.
    pub(super) bytes: u64,
    /// How large its file was made.
    pub(super) room: u64,
    /// The number of its first batch.
    pub(super) first_seq: u64,
}

/// A batch that is not known to be durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsynced {
    pub(super) seq: u64,
    /// Its revisions, from the first to the last; none are older than the batch before.
    pub(super) revisions: (u64, u64),
    pub(super) end: LogPosition,
    /// What it added to the log.
    pub(super) bytes: u64,
}

impl Log {
    /// Appends a batch of these revisions, if need be to a new segment. Where it ends is the new end of
    /// the log.
    pub(super) fn append(
        &mut self,
        batch: &Batch,
        revisions: (u64, u64),
        disk: &mut impl Disk,
    ) -> Result<LogPosition, StoreError> {
        if let Some(error) = &self.failed {
            return Err(StoreError::Failed(error.clone()));
        }
        let buffer = core::mem::take(&mut self.buffer);
        let LogPosition { segment, offset } = self.end;
        let mut writer = Writer::new(segment, offset, buffer);
        writer.batch(self.last_seq + 1, self.durable_seq, batch);
        let room = self.segments.get(&segment).map_or(0, |segment| segment.room);
        let appended = if self.appendable && writer.end() <= room {
            disk.write_at(segment, offset, writer.bytes()).map_err(StoreError::Failed)
        } else {
            writer = self.restarted(batch, writer.into_buffer());
            self.begin_segment(&writer, disk)
        };
        match &appended {
            Ok(()) => self.appended(&writer, batch, revisions),
            Err(StoreError::Failed(error)) => self.failed = Some(error.clone()),
            Err(_) => {}
        }
        self.full = appended == Err(StoreError::Full);
        self.buffer = writer.into_buffer();
        appended.map(|()| self.end)
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

    /// Where the log must be durable before what was written at this revision may be shown.
    pub(super) fn required(&self, revision: u64) -> LogPosition {
        if self.unsynced.front().is_none_or(|oldest| revision < oldest.revisions.0) {
            return LogPosition::START;
        }
        let at = self.unsynced.partition_point(|batch| batch.revisions.1 < revision);
        match self.unsynced.get(at) {
            Some(batch) if batch.revisions.0 <= revision => batch.end,
            _ => LogPosition::START,
        }
    }

    /// The segment in which the log ends, and its first batch; none if there is no segment.
    pub(super) fn last_segment(&self) -> Option<(FileId, u64)> {
        let (file, segment) = self.segments.last_key_value()?;
        Some((*file, segment.first_seq))
    }

    /// Forgets the segments before this one, and names them.
    pub(super) fn release(&mut self, first: FileId) -> Vec<FileId> {
        let needed = self.segments.split_off(&first);
        let gone = core::mem::replace(&mut self.segments, needed);
        self.unverified.retain(|(segment, _)| first <= *segment);
        gone.into_keys().collect()
    }

    /// The batch as the first of a new segment.
    fn restarted(&mut self, batch: &Batch, buffer: Vec<u8>) -> Writer {
        let segment = FileId::log(self.next_segment);
        self.next_segment = self.next_segment.saturating_add(1);
        let seq = self.last_seq + 1;
        let mut writer = Writer::new(segment, 0, buffer);
        writer.segment(seq, self.durable_seq, &SegmentStart { format: FORMAT, previous: self.end });
        writer.batch(seq, self.durable_seq, batch);
        writer
    }

    fn begin_segment(&mut self, writer: &Writer, disk: &mut impl Disk) -> Result<(), StoreError> {
        let (segment, room) = (writer.segment_id(), self.segment_bytes.max(writer.end()));
        match disk.create(segment, room) {
            Ok(()) => {}
            Err(DiskError::Full) => return Err(StoreError::Full),
            Err(error) => return Err(StoreError::Failed(error)),
        }
        disk.write_at(segment, 0, writer.bytes()).map_err(StoreError::Failed)?;
        if let Some((&full, &Segment { bytes, .. })) = self.segments.last_key_value() {
            self.unverified.push_back((full, bytes));
        }
        self.segments.insert(segment, Segment { bytes: 0, room, first_seq: self.last_seq + 1 });
        self.appendable = true;
        Ok(())
    }

    fn appended(&mut self, writer: &Writer, batch: &Batch, revisions: (u64, u64)) {
        self.last_seq += 1;
        if !batch.is_empty() {
            self.last_change_seq = self.last_seq;
        }
        self.said_durable_seq = self.durable_seq;
        self.end = LogPosition { segment: writer.segment_id(), offset: writer.end() };
        if let Some(segment) = self.segments.get_mut(&self.end.segment) {
            segment.bytes = self.end.offset;
        }
        let bytes = writer.bytes().len() as u64;
        self.unsynced.push_back(Unsynced { seq: self.last_seq, revisions, end: self.end, bytes });
        self.unsynced_bytes += bytes;
        self.appended_bytes += bytes;
    }
}
