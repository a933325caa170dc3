//! A record of the log: its header, its checksum, and how a batch is split where blocks end.

use alloc::vec::Vec;

use super::batch::{Batch, Changes};
use crate::id::{FileId, LogPosition};

/// Bytes of a block. Every block begins with a header.
pub(super) const BLOCK: u64 = 32 * 1024;

/// Bytes of the smallest record: a header and its padding. A shorter rest of a block stays empty.
pub(super) const RECORD_MIN: u64 = 32;

/// Records begin and end at multiples of this.
pub(super) const ALIGNMENT: u64 = 8;

/// Bytes of a header.
pub(super) const HEADER: u64 = 28;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole batch. One without changes is a marker: it only carries `durable_seq`.
    Full,
    /// The first part of a batch.
    First,
    /// A part of a batch between others.
    Middle,
    /// The last part of a batch.
    Last,
    /// The beginning of a segment; its `seq` is that of the segment's first batch.
    Segment,
}

impl Kind {
    fn of_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Full),
            2 => Some(Self::First),
            3 => Some(Self::Middle),
            4 => Some(Self::Last),
            5 => Some(Self::Segment),
            _ => None,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Full => 1,
            Self::First => 2,
            Self::Middle => 3,
            Self::Last => 4,
            Self::Segment => 5,
        }
    }
}

/// The header of a record, but for what follows from its place and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Which batch it is, or is a part of; at least 1.
    pub(super) seq: u64,
    pub(super) kind: Kind,
    /// How many changes begin in this record.
    pub(super) changes: u16,
    /// The newest batch known to be durable when the record was made; older than `seq`.
    pub(super) durable_seq: u64,
}

/// A record that was found whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) header: Header,
    pub(super) payload: &'a [u8],
    /// Its bytes with header and padding.
    pub(super) length: u64,
}

/// The record at this place, if there is a whole one. `bytes` reach from there to the end of the block
/// or of the file. The checksum comes last, because a search tries many places in vain.
pub(super) fn parse(segment: FileId, offset: u64, bytes: &[u8]) -> Option<Record<'_>> {
    let payload_length = u64::from(u32::from_le_bytes(array(bytes, 4)?));
    let header = Header {
        seq: u64::from_le_bytes(array(bytes, 8)?),
        kind: Kind::of_byte(*bytes.get(16)?)?,
        changes: u16::from_le_bytes(array(bytes, 18)?),
        durable_seq: u64::from_le_bytes(array(bytes, 20)?),
    };
    // No batch can follow the last number there is, so it stands for none.
    let plausible =
        header.durable_seq < header.seq && header.seq < u64::MAX && bytes.get(17) == Some(&0);
    let length = (HEADER + payload_length).next_multiple_of(ALIGNMENT);
    let record = bytes.get(..usize::try_from(length).ok()?)?;
    if !plausible || checksum(segment, offset, record.get(4..)?).to_le_bytes() != array(bytes, 0)? {
        return None;
    }
    let payload = record.get(HEADER as usize..(HEADER + payload_length) as usize)?;
    Some(Record { header, payload, length })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn checksum(segment: FileId, offset: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment.0.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// Bytes to append to a segment at an offset.
pub(super) struct Writer {
    segment: FileId,
    offset: u64,
    bytes: Vec<u8>,
}

impl Writer {
    /// Nothing yet. The offset is where a record ended, or zero. `buffer` is memory to be used again.
    pub(super) fn new(segment: FileId, offset: u64, mut buffer: Vec<u8>) -> Self {
        debug_assert!(offset.is_multiple_of(ALIGNMENT));
        buffer.clear();
        Self { segment, offset, bytes: buffer }
    }

    /// The memory, to be used again.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Where the next byte would go.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// Where the bytes belong.
    pub(super) fn segment_id(&self) -> FileId {
        self.segment
    }

    /// What was written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a batch, in as many fragments as blocks demand.
    pub(super) fn batch(&mut self, seq: u64, durable_seq: u64, batch: &Batch) {
        let payload = batch.payload();
        let length = payload.len();
        let mut changes = batch.changes();
        let (mut from, mut begun) = (0, 0);
        loop {
            let mut rest = BLOCK - self.end() % BLOCK;
            if rest < RECORD_MIN {
                self.bytes.resize(self.bytes.len() + rest as usize, 0);
                rest = BLOCK;
            }
            let to = length.min(from + (rest - HEADER) as usize);
            let kind = match (from == 0, to == length) {
                (true, true) => Kind::Full,
                (true, false) => Kind::First,
                (false, false) => Kind::Middle,
                (false, true) => Kind::Last,
            };
            let before = begun;
            begun = match to == length {
                true => batch.len(),
                false => begun + begin_before(&mut changes, length, to),
            };
            // A change takes two bytes or more, so a block holds fewer than 2^16 of them.
            let header = Header { seq, kind, changes: (begun - before) as u16, durable_seq };
            self.record(header, &payload[from..to]);
            if to == length {
                return;
            }
            from = to;
        }
    }

    /// Adds the beginning of a segment.
    pub(super) fn segment(&mut self, seq: u64, durable_seq: u64, start: &SegmentStart) {
        let header = Header { seq, kind: Kind::Segment, changes: 0, durable_seq };
        self.record(header, &start.encode());
    }

    fn record(&mut self, header: Header, payload: &[u8]) {
        debug_assert!(header.durable_seq < header.seq, "a record cannot vouch for itself");
        let offset = self.end();
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        // A fragment is shorter than a block.
        self.bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&header.seq.to_le_bytes());
        self.bytes.extend_from_slice(&[header.kind.byte(), 0]);
        self.bytes.extend_from_slice(&header.changes.to_le_bytes());
        self.bytes.extend_from_slice(&header.durable_seq.to_le_bytes());
        self.bytes.extend_from_slice(payload);
        let length = (self.bytes.len() - start).next_multiple_of(ALIGNMENT as usize);
        self.bytes.resize(start + length, 0);
        let sum = checksum(self.segment, offset, &self.bytes[start + 4..]);
        self.bytes[start..start + 4].copy_from_slice(&sum.to_le_bytes());
    }
}

/// How many more changes of a payload of this length begin before a place in it.
fn begin_before(changes: &mut Changes<'_>, length: usize, place: usize) -> u64 {
    let mut count = 0;
    while length - changes.rest() < place && changes.next().is_some() {
        count += 1;
    }
    count
}

/// The payload of the first record of a segment: `magic | format u32 | segment u64 | offset u64`.
/// A later format may change everything but this record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentStart {
    /// The version of the log format.
    pub(super) format: u32,
    /// Where the log ended when this segment was begun.
    pub(super) previous: LogPosition,
}

/// The version of the log format that is written, and the only one that is read.
pub(super) const FORMAT: u32 = 1;

const MAGIC: &[u8; 8] = b"kv log\r\n";

impl SegmentStart {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.format.to_le_bytes());
        bytes.extend_from_slice(&self.previous.segment.0.to_le_bytes());
        bytes.extend_from_slice(&self.previous.offset.to_le_bytes());
        bytes
    }

    /// The beginning of a segment in these bytes. What a later format adds behind it is not looked at.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(MAGIC)?;
        Some(Self {
            format: u32::from_le_bytes(array(bytes, 0)?),
            previous: LogPosition {
                segment: FileId(u64::from_le_bytes(array(bytes, 4)?)),
                offset: u64::from_le_bytes(array(bytes, 12)?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn written(segment: FileId, offset: u64, length: usize) -> Vec<u8> {
        let mut writer = Writer::new(segment, offset, Vec::new());
        let mut batch = Batch::default();
        // A put takes a byte for its kind, one for an empty key and the length of the value.
        let head = if length < 130 { 3 } else { 5 };
        batch.put("", vec![7; length - head]);
        assert_eq!(batch.payload().len(), length);
        writer.batch(3, 2, &batch);
        writer.bytes().to_vec()
    }

    #[test]
    fn a_record_is_one_only_in_its_place() {
        let bytes = written(FileId(4), 64, 10);
        let record = parse(FileId(4), 64, &bytes).expect("it is whole");
        let header = Header { seq: 3, kind: Kind::Full, changes: 1, durable_seq: 2 };
        assert_eq!(record, Record { header, payload: &[1, 0, 7, 7, 7, 7, 7, 7, 7, 7], length: 40 });
        assert_eq!(parse(FileId(4), 72, &bytes), None, "another offset");
        assert_eq!(parse(FileId(5), 64, &bytes), None, "another segment");
        for length in 0..bytes.len() {
            assert_eq!(parse(FileId(4), 64, &bytes[..length]), None, "{length} bytes of it");
        }
    }

    #[test]
    fn a_batch_begins_behind_a_rest_that_is_too_short_for_a_header() {
        let offset = BLOCK - ALIGNMENT;
        let bytes = written(FileId(4), offset, 10);
        assert_eq!(bytes[..8], [0; 8]);
        assert!(parse(FileId(4), BLOCK, &bytes[8..]).is_some());
    }

    #[test]
    fn a_batch_of_exactly_the_rest_of_a_block_is_one_record() {
        let length = (BLOCK - HEADER) as usize;
        assert_eq!(written(FileId(4), 0, length).len() as u64, BLOCK);
        assert_eq!(written(FileId(4), 0, length + 1).len() as u64, BLOCK + RECORD_MIN);
    }
}
