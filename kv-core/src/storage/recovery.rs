//! Reads the log back, and judges what is missing or bad: a torn end, or damage to durable data.

use alloc::vec::Vec;
use core::fmt;

use super::batch::{Change, Changes};
use super::log::Segment;
use super::memtable::Memtable;
use super::reader::{Item, RawBatch, Reader};
use super::record::{self, BLOCK, FORMAT, SegmentStart};
use super::root::Root;
use crate::bugs::{Bug, planted};
use crate::disk::{Disk, DiskError};
use crate::id::{FileId, FileKind, LogPosition};
use crate::ordered::Map;

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
    /// Both slots of the root are damaged. Nothing on the disk was changed.
    RootDamaged,
    /// A file is of a format that this release does not know. Nothing on the disk was changed.
    Format {
        /// The file that says so.
        file: FileId,
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
            Self::Damaged(damage) => write!(f, "{damage}. Nothing was changed. {ADVICE}"),
            Self::RootDamaged => {
                write!(f, "both copies of the root are damaged. Nothing was changed. {ADVICE}")
            }
            Self::Format { file, found } => write!(
                f,
                "{file} has format {found}, this release reads format {FORMAT}; \
                 nothing was changed, start the release that wrote it"
            ),
        }
    }
}

impl core::error::Error for OpenError {}

const ADVICE: &str = "Put an undamaged copy of the file back; or move the data folder away and start \
     the node with an empty one under the same name: the cluster then takes it in as a new \
     incarnation, and the other replicas send it its data";

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
    /// What is in no table.
    pub(super) memtable: Memtable,
    /// The newest revision.
    pub(super) revision: u64,
    pub(super) recovery: Recovery,
    pub(super) segments: Map<FileId, Segment>,
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

/// A log that was read and judged. Nothing on the disk has changed.
pub(super) struct Reading {
    chain: Chain,
    replay: Replay,
    /// Its torn end, which is to be cut off.
    pub(super) cut: Option<Cut>,
}

/// Reads the log from where the root says.
pub(super) fn read(root: &Root, disk: &impl Disk) -> Result<Reading, OpenError> {
    let chain = Chain::read(root.log_start.0, disk)?;
    let mut replay = Replay::new(root);
    for part in &chain.parts {
        replay.segment(part, disk)?;
    }
    replay.expect_flushed(root);
    let cut = match replay.fault.take() {
        None => None,
        Some(broken) if broken.before <= replay.durable_seq && !planted(Bug::DamageCutOff) => {
            return Err(OpenError::Damaged(replay.damage(broken)));
        }
        Some(_) => Some(Cut { at: replay.end, bytes: chain.bytes_behind(replay.end, disk)? }),
    };
    replay.segments.retain(|segment, _| *segment <= replay.end.segment);
    if let Some(last) = replay.segments.values_mut().next_back() {
        last.bytes = replay.end.offset;
    }
    Ok(Reading { chain, replay, cut })
}

/// Reads the log from where the root says, and cuts off what was torn.
pub(super) fn recover(root: &Root, disk: &mut impl Disk) -> Result<Recovered, OpenError> {
    let Reading { chain, replay, cut } = read(root, &*disk)?;
    chain.cut(replay.end, cut.is_some(), disk)?;
    Ok(Recovered {
        memtable: replay.memtable,
        revision: replay.revision,
        recovery: Recovery { records: replay.records, cut },
        appendable: cut.is_none() && !replay.segments.is_empty(),
        segments: replay.segments,
        end: replay.end,
        next_segment: chain.last.number().max(root.log_start.0.number()).saturating_add(1),
        last_seq: replay.last_seq,
        last_change_seq: replay.last_change_seq,
        said_durable_seq: replay.said_durable_seq,
        durable_seq: replay.durable_seq,
    })
}

impl Reading {
    /// The segments of the log, oldest first.
    pub(super) fn segments(&self) -> impl Iterator<Item = (FileId, &Segment)> {
        self.replay.segments.iter().map(|(file, segment)| (*file, segment))
    }

    /// Where it ends, what of it is in no table, and its newest batch.
    pub(super) fn end(&self) -> (LogPosition, &Memtable, u64) {
        (self.replay.end, &self.replay.memtable, self.replay.last_seq)
    }

    /// Files behind its beginning that are none of it.
    pub(super) fn orphans(&self) -> &[FileId] {
        &self.chain.orphans
    }
}

/// Which files make up the log, found from the links between segments, from the last to the first.
pub(super) struct Chain {
    pub(super) parts: Vec<Part>,
    /// Files that an earlier recovery had cut off and that are still there, or there again.
    orphans: Vec<FileId>,
    /// The greatest file there is that a store may have made.
    last: FileId,
}

pub(super) struct Part {
    pub(super) segment: FileId,
    /// Its length on the disk.
    bytes: u64,
    /// Where it ends, if the next segment says so.
    linked_end: Option<u64>,
}

impl Chain {
    /// The segments from `first` on. Those before it are in tables whole.
    pub(super) fn read(first: FileId, disk: &impl Disk) -> Result<Self, OpenError> {
        let mut files = disk.list()?;
        files.retain(|file| file.kind() == Some(FileKind::Log) && first <= *file);
        let own = |file: &&FileId| file.number() < FileId::FOREIGN;
        let last = files.iter().rfind(own).copied().unwrap_or_default();
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

    /// How many bytes were written behind a place of the log. Room that still is as it was made does not
    /// count.
    fn bytes_behind(&self, end: LogPosition, disk: &impl Disk) -> Result<u64, DiskError> {
        let mut bytes = 0;
        for part in self.parts.iter().filter(|part| end.segment <= part.segment) {
            let from = if part.segment == end.segment { end.offset } else { 0 };
            bytes += part.written(disk)?.saturating_sub(from);
        }
        Ok(bytes)
    }

    /// Removes what is none of the log, and segments behind its end: if it is not torn there, nothing
    /// was ever written to them. Of the segment in which it ends only a torn rest goes; room that was
    /// never written to is for what comes.
    fn cut(&self, end: LogPosition, torn: bool, disk: &mut impl Disk) -> Result<(), DiskError> {
        for orphan in &self.orphans {
            disk.remove(*orphan)?;
        }
        for part in &self.parts {
            if end.segment < part.segment {
                disk.remove(part.segment)?;
            } else if torn && part.segment == end.segment && end.offset < part.bytes {
                let whole_blocks = planted(Bug::RecoveryCutsAcknowledged);
                let length = if whole_blocks { end.offset / BLOCK * BLOCK } else { end.offset };
                disk.truncate(part.segment, length)?;
            }
        }
        Ok(())
    }
}

impl Part {
    /// Behind its last byte that is not zero.
    fn written(&self, disk: &impl Disk) -> Result<u64, DiskError> {
        let mut end = self.bytes;
        while end > 0 {
            let start = (end - 1) / BLOCK * BLOCK;
            let block = disk.read_at(self.segment, start, end - start)?;
            if let Some(last) = block.iter().rposition(|byte| *byte != 0) {
                return Ok(start + last as u64 + 1);
            }
            end = start;
        }
        Ok(0)
    }

    /// Where it ends at the latest.
    pub(super) fn limit(&self) -> u64 {
        self.linked_end.map_or(self.bytes, |end| end.min(self.bytes))
    }
}

/// The beginning of a segment, if it is whole.
fn read_start(
    segment: FileId,
    bytes: u64,
    disk: &impl Disk,
) -> Result<Option<SegmentStart>, OpenError> {
    let block = disk.read_at(segment, 0, bytes.min(BLOCK))?;
    let Some(found) = record::parse(segment, 0, &block) else { return Ok(None) };
    let start = (found.header.kind == record::Kind::Segment)
        .then(|| SegmentStart::decode(found.payload))
        .flatten();
    match start {
        Some(start) if start.format != FORMAT => {
            Err(OpenError::Format { file: segment, found: start.format })
        }
        start => Ok(start),
    }
}

/// The log as far as it was read.
struct Replay {
    memtable: Memtable,
    /// The newest revision. Revisions begin anew behind those in tables.
    revision: u64,
    /// Batches up to this one are in tables.
    flushed_seq: u64,
    segments: Map<FileId, Segment>,
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

/// Adds the changes of a batch to a memtable, each at a revision of its own.
pub(super) fn apply(
    changes: Changes<'_>,
    memtable: &mut Memtable,
    revision: &mut u64,
    snapshots: &[u64],
) {
    for change in changes {
        *revision += 1;
        match change {
            Change::Put { key, value } => memtable.insert(key, *revision, Some(value)),
            Change::Remove { key } => memtable.insert(key, *revision, None),
            Change::RemoveRange { start, end } => {
                memtable.remove_range(start, end, *revision, snapshots);
            }
        }
    }
}

struct Broken {
    fault: Fault,
    at: LogPosition,
    /// The batch that should come next.
    before: u64,
}

impl Replay {
    fn new(root: &Root) -> Self {
        let before = root.log_start.1.saturating_sub(1);
        Self {
            memtable: Memtable::default(),
            revision: root.revision,
            flushed_seq: root.flushed_seq,
            segments: Map::new(),
            records: 0,
            end: LogPosition::START,
            last_seq: before,
            last_change_seq: before,
            said_durable_seq: 0,
            // Only what is durable goes to tables.
            durable_seq: root.flushed_seq,
            fault: None,
            passed: before,
            lost: Vec::new(),
        }
    }

    /// What is in tables was in the log, and the log begins with it.
    fn expect_flushed(&mut self, root: &Root) {
        if self.last_seq < root.flushed_seq && self.fault.is_none() {
            let (segment, _) = root.log_start;
            match self.end == LogPosition::START {
                true => self.broken(Fault::Missing, LogPosition { segment, offset: 0 }),
                false => self.broken(Fault::Short, self.end),
            }
        }
    }

    fn segment(&mut self, part: &Part, disk: &impl Disk) -> Result<(), DiskError> {
        let segment = part.segment;
        let end = part.limit();
        let mut reader = Reader::new(segment, end);
        loop {
            match reader.next(disk)? {
                Item::Start { start, seq, end: at } => {
                    let (bytes, room) = (end, part.bytes);
                    self.segments.insert(segment, Segment { bytes, room, first_seq: seq });
                    self.start(segment, start, seq, at);
                }
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
        let Some(changes) = Changes::decode(&batch.payload, batch.changes) else {
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
        if batch.changes > 0 {
            self.last_change_seq = batch.seq;
        }
        if self.flushed_seq < batch.seq {
            apply(changes, &mut self.memtable, &mut self.revision, &[]);
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
