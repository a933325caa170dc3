//! Looks into the files of a store without opening it: nothing is changed, not even mended.
//!
//! A disk is only read here, which `&impl Disk` says. So a store that does not open can be looked into
//! too, and one that does opens afterwards as if nobody had looked.
//!
//! Left out: repair. What is damaged here is whole on another replica.

mod dump;
mod verify;

use alloc::vec::Vec;

use super::recovery::{self, Cut, OpenError, Reading};
use super::root::{self, Root, Slot, Suspect};
use super::store::TableView;
use super::table::reader::Table;
use crate::disk::{Disk, DiskError};
use crate::id::{FileId, FileKind, LogPosition};
use crate::ordered::Map;

pub use dump::{Entry, dump_log, dump_table};
pub use verify::{Checked, FileReport, Flaw, verify};

/// What the files of a store say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The two slots of the root.
    pub slots: [SlotView; 2],
    /// The tables of each level: of level 0 the newest first, of others by key.
    pub levels: Vec<Vec<TableView>>,
    /// The newest batch of the log that is in tables; so are all before it.
    pub flushed_seq: u64,
    /// The log, or why it cannot be read.
    pub log: Result<LogView, OpenError>,
    /// How far into each other log the tables go.
    pub marks: Map<u64, u64>,
    /// Keys of which something was lost.
    pub suspects: Vec<Suspect>,
    /// Damaged files that are kept for whoever wants to look into them.
    pub damaged: Vec<FileId>,
    /// Files that belong to nothing, with their bytes. The next opening removes them.
    pub strangers: Vec<(FileId, u64)>,
    /// Bytes of the room that is kept free.
    pub reserve: u64,
}

/// One slot of the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotView {
    /// There is no such file.
    Missing,
    /// It is damaged, or the node died while writing it.
    Broken,
    /// It is whole and has this generation. The greater one counts.
    Whole(u64),
}

/// The log as opening would read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogView {
    /// Its segments, oldest first.
    pub segments: Vec<SegmentView>,
    /// Where it ends.
    pub end: LogPosition,
    /// Its newest batch.
    pub last_seq: u64,
    /// Versions that are in no table, and bytes of their keys and values.
    pub memtable: (u64, u64),
    /// Its torn end, which opening would cut off.
    pub cut: Option<Cut>,
}

/// One segment of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentView {
    /// Its file.
    pub file: FileId,
    /// Where its last record ends.
    pub bytes: u64,
    /// How large its file is.
    pub room: u64,
    /// The number of its first batch.
    pub first_seq: u64,
    /// How many batches it has.
    pub batches: u64,
}

/// Looks into a store. Fails if the disk does, or if no root can be read.
pub fn inspect(disk: &impl Disk) -> Result<Inspection, OpenError> {
    let slots = root::read(disk)?;
    let installed = slots.root.is_some();
    let root = slots.root.unwrap_or_else(Root::empty);
    let log = recovery::read(&root, disk);
    let orphans = log.as_ref().map(Reading::orphans).unwrap_or_default();
    let mut strangers = Vec::new();
    for file in disk.list()? {
        if !root.owns(file, installed) || orphans.contains(&file) {
            strangers.push((file, disk.len(file)?));
        }
    }
    let table = |meta| TableView::of(&Table::open(meta, disk));
    Ok(Inspection {
        slots: slot_views(disk)?,
        levels: root
            .levels
            .iter()
            .map(|level| level.iter().cloned().map(table).collect())
            .collect(),
        flushed_seq: root.flushed_seq,
        log: log.map(|reading| LogView::of(&reading)),
        marks: root.marks,
        suspects: root.suspects,
        damaged: root.damaged,
        strangers,
        reserve: match disk.len(FileId::RESERVE) {
            Err(DiskError::NotFound) => 0,
            length => length?,
        },
    })
}

fn slot_views(disk: &impl Disk) -> Result<[SlotView; 2], OpenError> {
    let view = |slot| {
        Ok::<_, OpenError>(match root::read_slot(slot, disk)? {
            Slot::Missing => SlotView::Missing,
            Slot::Broken => SlotView::Broken,
            Slot::Whole(root) => SlotView::Whole(root.generation),
        })
    };
    let [first, second] = FileId::ROOTS;
    Ok([view(first)?, view(second)?])
}

impl LogView {
    fn of(reading: &Reading) -> Self {
        let (end, memtable, last_seq) = reading.end();
        let mut segments: Vec<SegmentView> = Vec::new();
        for (file, segment) in reading.segments() {
            if let Some(before) = segments.last_mut() {
                before.batches = segment.first_seq - before.first_seq;
            }
            segments.push(SegmentView {
                file,
                bytes: segment.bytes,
                room: segment.room,
                first_seq: segment.first_seq,
                batches: (last_seq + 1).saturating_sub(segment.first_seq),
            });
        }
        let memtable = (memtable.entries(), memtable.bytes());
        Self { segments, end, last_seq, memtable, cut: reading.cut }
    }
}

/// The files of this kind, in ascending order.
fn files(disk: &impl Disk, kind: FileKind) -> Result<Vec<FileId>, DiskError> {
    let mut files = disk.list()?;
    files.retain(|file| file.kind() == Some(kind));
    Ok(files)
}

#[cfg(test)]
mod tests;
