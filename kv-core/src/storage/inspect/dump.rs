//! Every entry of a file, for people.

use alloc::sync::Arc;
use core::ops::ControlFlow;

use super::super::batch::{Change, Changes};
use super::super::reader::{Item, Reader};
use super::super::recovery::{Chain, OpenError};
use super::super::root::{self, Root};
use super::super::table::reader::{Table, Unreadable};
use super::super::table::walk::TableWalk;
use crate::disk::Disk;
use crate::id::FileId;

/// One entry of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// In the log the number of its batch, in a table its revision: of two changes of a key, the
    /// greater one counts.
    pub number: u64,
    /// What it does.
    pub change: Change<'a>,
}

/// What is told of each entry, or of a place that cannot be read, and whether to go on.
pub trait Visitor: FnMut(Result<Entry<'_>, Unreadable>) -> ControlFlow<()> {}

impl<T: FnMut(Result<Entry<'_>, Unreadable>) -> ControlFlow<()>> Visitor for T {}

/// Tells all versions of a table by key, then its removed ranges. Goes on behind blocks that cannot be
/// read.
pub fn dump_table(file: FileId, disk: &impl Disk, visit: &mut impl Visitor) -> ControlFlow<()> {
    let table = match Table::open_file(file, disk) {
        Ok(table) => Arc::new(table),
        Err(fault) => return visit(Err(fault)),
    };
    let (mut walk, mut entered) = TableWalk::forward(&table, &[], true, disk);
    loop {
        if let Err(fault) = entered {
            visit(Err(fault))?;
            walk.skip();
        } else if let Some(version) = walk.current() {
            let key = version.key;
            let change = match version.value {
                Some(value) => Change::Put { key, value },
                None => Change::Remove { key },
            };
            visit(Ok(Entry { number: version.revision, change }))?;
        } else {
            break;
        }
        entered = walk.step(disk);
    }
    let Ok(ranges) = table.ranges() else { return ControlFlow::Continue(()) };
    for piece in ranges.pieces() {
        for number in &piece.revisions {
            let change = Change::RemoveRange { start: &piece.start, end: &piece.end };
            visit(Ok(Entry { number: *number, change }))?;
        }
    }
    ControlFlow::Continue(())
}

/// Tells all changes of the log that are in no table, oldest first. Goes on behind records that cannot
/// be read. Fails if the disk does, or if there is no telling where the log begins.
pub fn dump_log(disk: &impl Disk, visit: &mut impl Visitor) -> Result<ControlFlow<()>, OpenError> {
    let root = root::read(disk)?.root.unwrap_or_else(Root::empty);
    for part in &Chain::read(root.log_start.0, disk)?.parts {
        let mut reader = Reader::new(part.segment, part.limit());
        loop {
            let told = match reader.next(disk)? {
                Item::Start { .. } => continue,
                Item::End | Item::Bad { zeros: true, .. } => break,
                Item::Bad { at, .. } => {
                    visit(Err(Unreadable { file: part.segment, offset: at, error: None }))
                }
                Item::Batch(batch) if batch.seq <= root.flushed_seq => continue,
                Item::Batch(batch) => Changes::decode(&batch.payload, batch.changes)
                    .into_iter()
                    .flatten()
                    .try_for_each(|change| visit(Ok(Entry { number: batch.seq, change }))),
            };
            if told.is_break() {
                return Ok(told);
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}
