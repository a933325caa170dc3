//! Reads the log back, and judges what is missing or bad: a torn end, or damage to durable data.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use super::batch;
use super::reader::{Item, RawBatch, Reader};
use super::record::{self, BLOCK, FORMAT, SegmentStart};
use super::store::Index;
use crate::disk::{Disk, DiskError};
use crate::id::{FileId, LogPosition};

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many batches were read back.
    pub records: u64,
    /// What was cut off the end, if anything was.
    pub cut: Option<Cut>,
}

/// The torn end of a log, cut off. Nothing that was durable was in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Where the log ends now.
    pub at: LogPosition,
    /// How many bytes there were behind that.
    pub bytes: u64,
}

/// Durable data is damaged: records are missing or bad that a later record proves to have been durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong in the first damaged place.
    pub fault: Fault,
    /// The first damaged place.
    pub at: LogPosition,
    /// The batches that are lost, as first and last of each gap, ascending. Empty if all of them can
    /// still be read, although a record between them cannot.
    pub lost: Vec<(u64, u64)>,
}

/// What can be wrong in a place of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is a record that is not whole, or not one at all.
    Bad,
    /// The segment ends here, too early.
    Short,
    /// The whole segment is missing.
    Missing,
}

/// Why a store was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The disk failed.
    Disk(DiskError),
    /// Durable data is damaged. Nothing on the disk was changed.
    Damaged(Damage),
    /// The log is of a format that this release does not know. Nothing on the disk was changed.
    Format {
        /// The segment that says so.
        segment: FileId,
        /// Its format.
        found: u32,
    },
}

impl From<DiskError> for OpenError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => {
                write!(f, "the log cannot be read: {error}; look after the disk, then start again")
            }
            Self::Damaged(damage) => write!(
                f,
                "{damage}. Nothing was changed. Put an undamaged copy of this file back; or move the \
                 data folder away and start the node with an empty one under the same name: the \
                 cluster then takes it in as a new incarnation, and the other replicas send it its data"
            ),
            Self::Format { segment, found } => write!(
                f,
                "segment {} of the log has format {found}, this release reads format {FORMAT}; \
                 nothing was changed, start the release that wrote it",
                segment.0
            ),
        }
    }
}

impl core::error::Error for OpenError {}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LogPosition { segment, offset } = self.at;
        match self.fault {
            Fault::Bad => {
                write!(f, "segment {} of the log is damaged at offset {offset}", segment.0)?
            }
            Fault::Short => {
                write!(f, "segment {} of the log ends too early, at {offset}", segment.0)?
            }
            Fault::Missing => write!(f, "segment {} of the log is missing", segment.0)?,
        }
        if self.lost.is_empty() {
            return f.write_str(", but every batch can still be read");
        }
        f.write_str(": durable batches are lost, namely")?;
        for (index, (first, last)) in self.lost.iter().take(GAPS_SHOWN).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma} {first}")?,
                false => write!(f, "{comma} {first} to {last}")?,
            }
        }
        match self.lost.len().checked_sub(GAPS_SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, " and {more} more gaps"),
        }
    }
}

/// How many gaps an error names.
const GAPS_SHOWN: usize = 8;

/// A log that was read back.
pub(super) struct Recovered {
    pub(super) index: Index,
    pub(super) recovery: Recovery,
    /// The segments with their bytes.
    pub(super) segments: BTreeMap<FileId, u64>,
    pub(super) end: LogPosition,
    /// Whether the last segment may grow. After a cut it may not: should the disk bring back what was
    /// cut off, then the next segment says that it is none of the log.
    pub(super) appendable: bool,
    pub(super) next_segment: u64,
    pub(super) last_seq: u64,
    pub(super) last_change_seq: u64,
    pub(super) said_durable_seq: u64,
    pub(super) durable_seq: u64,
}

/// Reads the whole log, and cuts off what was torn.
pub(super) fn recover(disk: &mut impl Disk) -> Result<Recovered, OpenError> {
    let chain = Chain::read(disk)?;
    let mut replay = Replay::default();
    for part in &chain.parts {
        replay.segment(part, disk)?;
    }
    let cut = match replay.fault.take() {
        None => None,
        Some(broken) if broken.before <= replay.durable_seq => {
            return Err(OpenError::Damaged(replay.damage(broken)));
        }
        Some(_) => Some(replay.end),
    };
    let bytes = chain.cut(replay.end, disk)?;
    let segments = chain.parts.iter().map(|part| (part.segment, part.bytes));
    let mut segments: BTreeMap<_, _> =
        segments.filter(|(segment, _)| *segment <= replay.end.segment).collect();
    if let Some(mut last) = segments.last_entry() {
        last.insert(replay.end.offset);
    }
    Ok(Recovered {
        index: replay.index,
        recovery: Recovery { records: replay.records, cut: cut.map(|at| Cut { at, bytes }) },
        appendable: cut.is_none() && !segments.is_empty(),
        segments,
        end: replay.end,
        next_segment: chain.last.0.saturating_add(1),
        last_seq: replay.last_seq,
        last_change_seq: replay.last_change_seq,
        said_durable_seq: replay.said_durable_seq,
        durable_seq: replay.durable_seq,
    })
}

/// Which files make up the log, found from the links between segments, from the last to the first.
struct Chain {
    parts: Vec<Part>,
    /// Files that an earlier recovery had cut off and that are still there, or there again.
    orphans: Vec<FileId>,
    /// The greatest file there is.
    last: FileId,
}

struct Part {
    segment: FileId,
    /// Its length on the disk.
    bytes: u64,
    /// Where it ends, if the next segment says so.
    linked_end: Option<u64>,
}

impl Chain {
    fn read(disk: &mut impl Disk) -> Result<Self, OpenError> {
        let files = disk.list()?;
        let last = files.last().copied().unwrap_or_default();
        let mut chain = Self { parts: Vec::new(), orphans: Vec::new(), last };
        let mut next: Option<LogPosition> = None;
        for segment in files.into_iter().rev() {
            if next.is_some_and(|previous| previous.segment < segment) {
                chain.orphans.push(segment);
                continue;
            }
            let bytes = disk.len(segment)?;
            let linked_end =
                next.filter(|previous| previous.segment == segment).map(|previous| previous.offset);
            chain.parts.push(Part { segment, bytes, linked_end });
            next = read_start(segment, bytes, disk)?.map(|start| start.previous);
        }
        chain.parts.reverse();
        Ok(chain)
    }

    /// Makes the log end at `end`. Returns how many bytes that took away.
    fn cut(&self, end: LogPosition, disk: &mut impl Disk) -> Result<u64, DiskError> {
        for orphan in &self.orphans {
            disk.remove(*orphan)?;
        }
        let mut bytes = 0;
        for part in &self.parts {
            if end.segment < part.segment {
                disk.remove(part.segment)?;
                bytes += part.bytes;
            } else if part.segment == end.segment && end.offset < part.bytes {
                disk.truncate(part.segment, end.offset)?;
                bytes += part.bytes - end.offset;
            }
        }
        Ok(bytes)
    }
}

/// The beginning of a segment, if it is whole.
fn read_start(
    segment: FileId,
    bytes: u64,
    disk: &mut impl Disk,
) -> Result<Option<SegmentStart>, OpenError> {
    let block = disk.read_at(segment, 0, bytes.min(BLOCK))?;
    let Some(found) = record::parse(segment, 0, &block) else { return Ok(None) };
    let start = (found.header.kind == record::Kind::Segment)
        .then(|| SegmentStart::decode(found.payload))
        .flatten();
    match start {
        Some(start) if start.format != FORMAT => {
            Err(OpenError::Format { segment, found: start.format })
        }
        start => Ok(start),
    }
}

/// The log as far as it was read.
#[derive(Default)]
struct Replay {
    index: Index,
    records: u64,
    /// Where the last good record ends that has no fault before it.
    end: LogPosition,
    last_seq: u64,
    last_change_seq: u64,
    said_durable_seq: u64,
    /// D: the newest batch that any record says is durable.
    durable_seq: u64,
    /// The first fault. From there on only `durable_seq` and `lost` matter.
    fault: Option<Broken>,
    /// The newest batch that was seen or that is lost.
    passed: u64,
    lost: Vec<(u64, u64)>,
}

struct Broken {
    fault: Fault,
    at: LogPosition,
    /// The batch that should come next.
    before: u64,
}

impl Replay {
    fn segment(&mut self, part: &Part, disk: &mut impl Disk) -> Result<(), DiskError> {
        let segment = part.segment;
        let end = part.linked_end.map_or(part.bytes, |end| end.min(part.bytes));
        let mut reader = Reader::new(segment, end);
        loop {
            match reader.next(disk)? {
                Item::Start { start, seq, end } => self.start(segment, start, seq, end),
                Item::Batch(batch) => self.batch(segment, &batch),
                // Room that was never written to. Should the segment end too early by that, the next one
                // tells.
                Item::Bad { zeros: true, .. } => return Ok(()),
                Item::Bad { at, .. } => {
                    self.broken(Fault::Bad, LogPosition { segment, offset: at })
                }
                Item::End => return Ok(()),
            }
            self.durable_seq = self.durable_seq.max(reader.durable_seq());
        }
    }

    fn start(&mut self, segment: FileId, start: SegmentStart, seq: u64, end: u64) {
        let previous = start.previous;
        if seq != self.last_seq + 1 {
            match previous.segment == self.end.segment {
                true => self.broken(Fault::Short, self.end),
                false => self
                    .broken(Fault::Missing, LogPosition { segment: previous.segment, offset: 0 }),
            }
        }
        self.pass(seq - 1);
        if self.fault.is_none() {
            self.end = LogPosition { segment, offset: end };
        }
    }

    fn batch(&mut self, segment: FileId, batch: &RawBatch) {
        let at = LogPosition { segment, offset: batch.start };
        if batch.seq != self.last_seq + 1 {
            self.broken(Fault::Bad, at);
        }
        let Some(changes) = batch::decode(&batch.payload, batch.changes) else {
            return self.broken(Fault::Bad, at);
        };
        self.pass(batch.seq - 1);
        self.passed = self.passed.max(batch.seq);
        if self.fault.is_some() {
            return;
        }
        self.records += 1;
        self.end = LogPosition { segment, offset: batch.end };
        self.last_seq = batch.seq;
        self.said_durable_seq = batch.durable_seq;
        if !changes.is_empty() {
            self.last_change_seq = batch.seq;
        }
        for change in changes {
            self.index.apply(change, self.end);
        }
    }

    /// Notes that something is wrong here. Only the first fault decides.
    fn broken(&mut self, fault: Fault, at: LogPosition) {
        let before = self.last_seq + 1;
        self.fault.get_or_insert(Broken { fault, at, before });
    }

    /// All batches up to this one have been read or are lost.
    fn pass(&mut self, seq: u64) {
        if self.passed < seq {
            self.lost.push((self.passed + 1, seq));
            self.passed = seq;
        }
    }

    /// What is lost of the durable batches.
    fn damage(mut self, broken: Broken) -> Damage {
        self.pass(self.durable_seq);
        let lost = self.lost.into_iter().filter(|(first, _)| *first <= self.durable_seq);
        let lost = lost.map(|(first, last)| (first, last.min(self.durable_seq))).collect();
        Damage { fault: broken.fault, at: broken.at, lost }
    }
}
