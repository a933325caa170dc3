//! Checks every checksum of a store that nobody has open.
//!
//! What counts as damage is what opening and reading count as such: a torn end of the log is none, for
//! nobody was promised anything of it, nor are files that belong to nothing.

use core::fmt;

use super::super::reader::{Item, Reader};
use super::super::recovery::{self, Cut, Damage, OpenError};
use super::super::root::{self, Root, Slot};
use super::super::table::reader::{Table, Unreadable};
use super::LogView;
use crate::disk::{Disk, DiskError};
use crate::id::{FileId, FileKind, LogPosition};
use crate::ordered::Set;

/// What came of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// Which.
    pub file: FileId,
    /// Its length; 0 if it is missing.
    pub bytes: u64,
    /// What was found.
    pub found: Checked,
}

/// What was found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Every checksum holds: of so many roots, batches of the log, or sections of a table.
    Whole(u64),
    /// The log ends in it, and what stands behind was being written when the node died. The next opening
    /// cuts that off.
    Torn(Cut),
    /// A slot of the root that was not written yet. The next installation writes it.
    Unwritten,
    /// It belongs to nothing, and the next opening removes it.
    Stranger,
    /// Room kept free, which has no checksum.
    Room,
    /// It is damaged.
    Flawed(Flaw),
}

/// A fault of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A slot of the root is not whole.
    Root(FileId),
    /// Durable data of the log is damaged.
    Log(Damage),
    /// A record is not whole, in a log of which another place was damaged first.
    Record(LogPosition),
    /// A table is damaged.
    Table(Unreadable),
    /// A table is missing.
    Missing(FileId),
    /// The file is of a format that this release does not know.
    Format(FileId, u32),
    /// The disk failed to read a file.
    Disk(FileId, DiskError),
}

impl Flaw {
    /// The file and the offset where it begins.
    #[must_use]
    pub fn place(&self) -> (FileId, u64) {
        match self {
            Self::Root(file)
            | Self::Missing(file)
            | Self::Format(file, _)
            | Self::Disk(file, _) => (*file, 0),
            Self::Log(Damage { at, .. }) | Self::Record(at) => (at.segment, at.offset),
            Self::Table(fault) => (fault.file, fault.offset),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(_) => f.write_str("the slot of the root is damaged or half-written"),
            Self::Log(damage) => write!(f, "{damage}"),
            Self::Record(_) => f.write_str("the record is damaged"),
            Self::Table(Unreadable { error: Some(error), .. }) => write!(f, "{error}"),
            Self::Table(_) => f.write_str("the table is damaged"),
            Self::Missing(_) => f.write_str("the table is missing"),
            Self::Format(_, format) => {
                write!(f, "its format {format} is of another release; verify with that one")
            }
            Self::Disk(_, error) => write!(f, "{error}"),
        }
    }
}

/// Checks every file: the roots, the log, the tables, each kind in the order of its numbers. Returns the
/// first fault. Fails if the disk cannot even tell what files there are.
pub fn verify(
    disk: &impl Disk,
    report: &mut impl FnMut(&FileReport),
) -> Result<Option<Flaw>, DiskError> {
    let mut first = None;
    let mut tell = |file, found| {
        if let Checked::Flawed(flaw) = &found {
            first.get_or_insert_with(|| flaw.clone());
        }
        report(&FileReport { file, bytes: disk.len(file).unwrap_or(0), found });
    };
    for slot in FileId::ROOTS {
        tell(slot, check_slot(slot, disk));
    }
    // Without a root there is no telling what else belongs to the store.
    let Ok(slots) = root::read(disk) else { return Ok(first) };
    let root = slots.root.unwrap_or_else(Root::empty);
    check_log(&root, disk, &mut tell)?;
    check_tables(&root, disk, &mut tell)?;
    if disk.len(FileId::RESERVE).is_ok() {
        tell(FileId::RESERVE, Checked::Room);
    }
    Ok(first)
}

fn check_slot(slot: FileId, disk: &impl Disk) -> Checked {
    match root::read_slot(slot, disk) {
        Ok(Slot::Whole(_)) => Checked::Whole(1),
        Ok(Slot::Missing) => Checked::Unwritten,
        Ok(Slot::Broken) => Checked::Flawed(Flaw::Root(slot)),
        Err(OpenError::Format { file, found }) => Checked::Flawed(Flaw::Format(file, found)),
        Err(OpenError::Disk(error)) => Checked::Flawed(Flaw::Disk(slot, error)),
        Err(OpenError::Damaged(_) | OpenError::RootDamaged) => Checked::Flawed(Flaw::Root(slot)),
    }
}

fn check_log(
    root: &Root,
    disk: &impl Disk,
    tell: &mut impl FnMut(FileId, Checked),
) -> Result<(), DiskError> {
    let mut files: Set<FileId> = super::files(disk, FileKind::Log)?.into_iter().collect();
    let judged = recovery::read(root, disk);
    let flaw = match &judged {
        Ok(_) => None,
        Err(OpenError::Damaged(damage)) => Some(Flaw::Log(damage.clone())),
        Err(OpenError::Format { file, found }) => Some(Flaw::Format(*file, *found)),
        Err(OpenError::RootDamaged) => None,
        Err(OpenError::Disk(error)) => Some(Flaw::Disk(root.log_start.0, error.clone())),
    };
    let view = judged.as_ref().ok().map(LogView::of);
    // A segment that is missing has a line too.
    files.extend(flaw.iter().map(|flaw| flaw.place().0));
    for file in files {
        let at_fault = flaw.as_ref().filter(|flaw| flaw.place().0 == file);
        let found = match (at_fault, &view) {
            _ if file < root.log_start.0 => Checked::Stranger,
            (Some(flaw), _) => Checked::Flawed(flaw.clone()),
            (None, Some(view)) => judge(file, view),
            (None, None) => read_through(file, disk),
        };
        tell(file, found);
    }
    Ok(())
}

/// What a log that can be opened says of one of its files.
fn judge(file: FileId, log: &LogView) -> Checked {
    let segment = log.segments.iter().find(|segment| segment.file == file);
    match (log.cut, segment) {
        (Some(cut), _) if cut.at.segment <= file => Checked::Torn(cut),
        (_, Some(segment)) => Checked::Whole(segment.batches),
        (_, None) => Checked::Stranger,
    }
}

/// Looks for damage in a segment without those around it.
fn read_through(segment: FileId, disk: &impl Disk) -> Checked {
    let failed = |error| Checked::Flawed(Flaw::Disk(segment, error));
    let length = match disk.len(segment) {
        Ok(length) => length,
        Err(error) => return failed(error),
    };
    let mut reader = Reader::new(segment, length);
    let mut batches = 0;
    loop {
        match reader.next(disk) {
            Ok(Item::Start { .. }) => {}
            Ok(Item::Batch(_)) => batches += 1,
            Ok(Item::End | Item::Bad { zeros: true, .. }) => return Checked::Whole(batches),
            Ok(Item::Bad { at, .. }) => {
                return Checked::Flawed(Flaw::Record(LogPosition { segment, offset: at }));
            }
            Err(error) => return failed(error),
        }
    }
}

fn check_tables(
    root: &Root,
    disk: &impl Disk,
    tell: &mut impl FnMut(FileId, Checked),
) -> Result<(), DiskError> {
    let present = super::files(disk, FileKind::Table)?;
    let mut files: Set<FileId> = present.iter().copied().collect();
    files.extend(root.tables().map(|(_, table)| table.file));
    for file in files {
        let named = root.tables().find(|(_, table)| table.file == file);
        let found = match named {
            Some(_) if !present.contains(&file) => Checked::Flawed(Flaw::Missing(file)),
            Some((_, meta)) => check_table(Ok(Table::open(meta.clone(), disk)), disk),
            // Nothing names it as a whole table any longer, yet what was lost with it is still missed.
            None if root.damaged.contains(&file) => check_table(Table::open_file(file, disk), disk),
            None => Checked::Stranger,
        };
        tell(file, found);
    }
    Ok(())
}

fn check_table(table: Result<Table, Unreadable>, disk: &impl Disk) -> Checked {
    /// The filter, the index, the properties and the footer.
    const AROUND: u64 = 4;
    match table.and_then(|table| table.verify(disk)) {
        Ok(blocks) => Checked::Whole(blocks + AROUND),
        Err(fault) => Checked::Flawed(Flaw::Table(fault)),
    }
}
