//! Reads a full segment through, so that damage is found while other nodes still hold a copy.

use super::batch;
use super::reader::{Item, Reader};
use super::record::FORMAT;
use crate::disk::{Disk, DiskError};
use crate::id::FileId;
use crate::io::JobResult;

/// Checks every record of a segment of this length; this is
/// [`Job::VerifySegment`](crate::io::Job::VerifySegment). It only reads, so it may run beside the node.
pub fn verify_segment(
    disk: &mut impl Disk,
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
                    && batch::decode(&found.payload, found.changes).is_some();
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
