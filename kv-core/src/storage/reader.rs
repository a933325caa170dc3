//! Reads one segment from its beginning to its end, block by block, and goes on behind what is bad.
//!
//! Behind a bad record the next one is searched at every place where one may begin. A place counts only
//! if the checksum holds, which includes the place itself. So a damaged length hides nothing that
//! follows, and nothing is guessed.

use alloc::vec::Vec;

use super::record::{self, ALIGNMENT, BLOCK, Header, Kind, RECORD_MIN, SegmentStart};
use crate::disk::{Disk, DiskError};
use crate::id::FileId;

/// What comes next in a segment.
#[derive(Debug)]
pub(super) enum Item {
    /// Its beginning: the first item, if nothing is wrong.
    Start {
        start: SegmentStart,
        /// The number of the first batch of the segment.
        seq: u64,
        /// Where the record ends.
        end: u64,
    },
    /// A whole batch.
    Batch(RawBatch),
    /// Something that is neither. Reading goes on behind it.
    Bad {
        /// Where it begins.
        at: u64,
        /// Whether there are only zeros from there to the end of the segment.
        zeros: bool,
    },
    /// There is no more.
    End,
}

/// A batch with its changes still encoded.
#[derive(Debug)]
pub(super) struct RawBatch {
    pub(super) seq: u64,
    pub(super) durable_seq: u64,
    /// How many changes there should be.
    pub(super) changes: u64,
    pub(super) payload: Vec<u8>,
    /// Where its first fragment begins.
    pub(super) start: u64,
    /// Where its last fragment ends.
    pub(super) end: u64,
}

/// A place in a segment that is being read. Holds a block and the batch being put together.
pub(super) struct Reader {
    segment: FileId,
    /// Where the segment ends: at its last byte, or where the next segment says.
    limit: u64,
    offset: u64,
    block: Vec<u8>,
    /// Where `block` was read, or `u64::MAX` if it was not.
    block_start: u64,
    durable_seq: u64,
}

impl Reader {
    /// At the beginning of a segment of `limit` bytes.
    pub(super) fn new(segment: FileId, limit: u64) -> Self {
        Self { segment, limit, offset: 0, block: Vec::new(), block_start: u64::MAX, durable_seq: 0 }
    }

    /// The greatest `durable_seq` of all records read so far, parts of lost batches included.
    pub(super) fn durable_seq(&self) -> u64 {
        self.durable_seq
    }

    /// What comes next.
    pub(super) fn next(&mut self, disk: &impl Disk) -> Result<Item, DiskError> {
        let mut open: Option<RawBatch> = None;
        loop {
            if !self.skip_empty_rest() {
                return Ok(match open {
                    Some(batch) => Item::Bad { at: batch.start, zeros: false },
                    None => Item::End,
                });
            }
            let start = open.as_ref().map_or(self.offset, |batch| batch.start);
            let Some((header, payload)) = self.record(disk)? else {
                let zeros = self.search(disk)?;
                return Ok(Item::Bad { at: start, zeros: zeros && open.is_none() });
            };
            self.durable_seq = self.durable_seq.max(header.durable_seq);
            let end = self.offset + payload.length;
            let payload = &self.block[payload.range];
            match (header.kind, &mut open) {
                (Kind::Segment, None) => {
                    self.offset = end;
                    return Ok(match SegmentStart::decode(payload) {
                        Some(segment) => Item::Start { start: segment, seq: header.seq, end },
                        None => Item::Bad { at: start, zeros: false },
                    });
                }
                (Kind::Full | Kind::First, None) => open = Some(RawBatch::begin(&header, start)),
                (Kind::Middle | Kind::Last, Some(batch)) if batch.seq == header.seq => {}
                // A part without the parts before it.
                (Kind::Middle | Kind::Last, None) => {
                    self.offset = end;
                    return Ok(Item::Bad { at: start, zeros: false });
                }
                // A batch without the parts behind it. This record is looked at again.
                (_, Some(_)) => return Ok(Item::Bad { at: start, zeros: false }),
            }
            self.offset = end;
            if let Some(mut batch) = open.take() {
                batch.add(&header, payload, end);
                match header.kind {
                    Kind::Full | Kind::Last => return Ok(Item::Batch(batch)),
                    Kind::First | Kind::Middle | Kind::Segment => open = Some(batch),
                }
            }
        }
    }

    /// Steps over the rest of a block that is too short for a record. False at the end of the segment.
    fn skip_empty_rest(&mut self) -> bool {
        let rest = BLOCK - self.offset % BLOCK;
        if rest < RECORD_MIN {
            self.offset = self.offset.saturating_add(rest);
        }
        self.offset < self.limit
    }

    /// The record at the current place, if there is a whole one that may stand there.
    fn record(&mut self, disk: &impl Disk) -> Result<Option<(Header, Place)>, DiskError> {
        let start = self.offset - self.offset % BLOCK;
        if self.block_start != start {
            self.block = disk.read_at(self.segment, start, BLOCK.min(self.limit - start))?;
            self.block_start = start;
        }
        let from = (self.offset - start) as usize;
        let Some(bytes) = self.block.get(from..) else { return Ok(None) };
        let Some(found) = record::parse(self.segment, self.offset, bytes) else { return Ok(None) };
        // A segment begins with its start, and with no other record.
        if (self.offset == 0) != (found.header.kind == Kind::Segment) {
            return Ok(None);
        }
        let payload = from + record::HEADER as usize;
        let range = payload..payload + found.payload.len();
        Ok(Some((found.header, Place { range, length: found.length })))
    }

    /// Goes on to the next record behind the current place, or to the end of the segment. Tells whether
    /// all bytes from here to there were zero.
    fn search(&mut self, disk: &impl Disk) -> Result<bool, DiskError> {
        let mut zeros = true;
        loop {
            let from = (self.offset - self.block_start) as usize;
            let rest = self.block.get(from..).unwrap_or_default();
            let blank = leading_zeros(rest);
            // Nothing begins among zeros, unless its header reaches beyond them.
            let reach = if blank == rest.len() { 0 } else { record::HEADER };
            let step = (blank as u64).saturating_sub(reach).next_multiple_of(ALIGNMENT);
            let step = step.max(ALIGNMENT);
            zeros &= blank as u64 >= step.min(rest.len() as u64);
            self.offset = self.offset.saturating_add(step);
            if !self.skip_empty_rest() {
                return Ok(zeros);
            }
            if self.record(disk)?.is_some() {
                return Ok(false);
            }
        }
    }
}

/// How many zeros there are before anything else, counted in a way that takes many at once.
fn leading_zeros(bytes: &[u8]) -> usize {
    let (chunks, rest) = bytes.as_chunks::<32>();
    let zeros = |bytes: &[u8]| bytes.iter().take_while(|byte| **byte == 0).count();
    match chunks.iter().position(|chunk| *chunk != [0; 32]) {
        Some(place) => place * 32 + zeros(&chunks[place]),
        None => chunks.len() * 32 + zeros(rest),
    }
}

/// Where in the block a payload stands, and the length of its record.
struct Place {
    range: core::ops::Range<usize>,
    length: u64,
}

impl RawBatch {
    fn begin(header: &Header, start: u64) -> Self {
        let payload = Vec::new();
        Self {
            seq: header.seq,
            durable_seq: header.durable_seq,
            changes: 0,
            payload,
            start,
            end: start,
        }
    }

    fn add(&mut self, header: &Header, payload: &[u8], end: u64) {
        self.changes += u64::from(header.changes);
        self.payload.extend_from_slice(payload);
        self.end = end;
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::Batch;
    use super::super::record::Writer;
    use super::*;
    use crate::rng::Rng;
    use crate::sim::disk::SimDisk;

    const SEGMENT: FileId = FileId::log(1);

    /// Where records begin, if each place is tried.
    fn tried(bytes: &[u8]) -> Vec<u64> {
        let (mut places, mut at) = (Vec::new(), ALIGNMENT);
        while at < bytes.len() as u64 {
            let end = (at - at % BLOCK + BLOCK).min(bytes.len() as u64);
            let found = record::parse(SEGMENT, at, &bytes[at as usize..end as usize]);
            places.extend(found.map(|_| at));
            at += found.map_or(ALIGNMENT, |found| found.length);
            if BLOCK - at % BLOCK < RECORD_MIN {
                at = at.next_multiple_of(BLOCK);
            }
        }
        places
    }

    #[test]
    fn every_record_among_zeros_and_garbage_is_found() {
        let mut found = 0;
        for seed in 0..300 {
            let mut rng = Rng::new(seed);
            let mut bytes = alloc::vec![0; rng.between(100, 3 * BLOCK) as usize];
            for number in 1..=rng.below(20) {
                let at = rng.below(bytes.len() as u64) / ALIGNMENT * ALIGNMENT;
                // A checksum begins with a zero now and then, and so does the record.
                let mut writer = Writer::new(SEGMENT, at, Vec::new());
                let mut batch = Batch::default();
                batch.put([1], alloc::vec![7; rng.below(60) as usize]);
                writer.batch(number, 0, &batch);
                let place = bytes.get_mut(at as usize..at as usize + writer.bytes().len());
                if let Some(place) = place.filter(|_| at % BLOCK + 200 < BLOCK) {
                    place.copy_from_slice(writer.bytes());
                }
                let garbage = rng.below(bytes.len() as u64) as usize;
                bytes[garbage] = rng.below(3) as u8;
            }
            let mut disk = SimDisk::default();
            disk.create(SEGMENT, 0).unwrap();
            disk.append(SEGMENT, &bytes).unwrap();
            let mut reader = Reader::new(SEGMENT, bytes.len() as u64);
            let mut places = Vec::new();
            loop {
                match reader.next(&disk).unwrap() {
                    Item::Batch(batch) => places.push(batch.start),
                    Item::Bad { .. } => {}
                    Item::Start { .. } => unreachable!("there is none"),
                    Item::End => break,
                }
            }
            assert_eq!(places, tried(&bytes), "seed {seed}");
            found += places.len();
        }
        assert!(found > 1_000, "{found}");
    }
}
