//! Reads files through, so that damage is found while other nodes still hold a copy.

use super::batch::Changes;
use super::job::JobResult;
use super::reader::{Item, Reader};
use super::record::FORMAT;
use super::table::TableMeta;
use super::table::reader::Table;
use crate::disk::{Disk, DiskError};
use crate::id::FileId;

/// Checks every section of a table; this is [`super::Job::VerifyTable`].
pub(super) fn verify_table(disk: &impl Disk, table: &TableMeta) -> JobResult {
    match Table::open(table.clone(), disk).verify(disk) {
        Ok(records) => JobResult::Verified { records, damaged_at: None },
        Err(fault) => JobResult::Verified { records: 0, damaged_at: Some(fault.offset) },
    }
}

/// Checks every record of a segment up to this length; this is
/// [`Job::VerifySegment`](super::Job::VerifySegment).
pub fn verify_segment(
    disk: &impl Disk,
    segment: FileId,
    length: u64,
) -> Result<JobResult, DiskError> {
    let present = disk.len(segment)?;
    let mut reader = Reader::new(segment, present.min(length));
    let mut records = 0;
    let mut expected = None;
    loop {
        let damaged_at = match reader.next(disk)? {
            Item::Start { start, seq, .. } => {
                expected = Some(seq);
                (start.format != FORMAT).then_some(0)
            }
            Item::Batch(found) => {
                let whole = expected == Some(found.seq)
                    && Changes::decode(&found.payload, found.changes).is_some();
                records += u64::from(whole);
                expected = Some(found.seq + 1);
                (!whole).then_some(found.start)
            }
            Item::Bad { at, .. } => Some(at),
            Item::End => {
                let damaged_at = (present < length).then_some(present);
                return Ok(JobResult::Verified { records, damaged_at });
            }
        };
        if damaged_at.is_some() {
            return Ok(JobResult::Verified { records, damaged_at });
        }
    }
}
