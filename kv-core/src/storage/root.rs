//! The root: what belongs to the store, in two slots.
//!
//! Both slots hold all of it. An installation writes one, waits for the device, then writes the other:
//! at any moment one is whole, and once both are, damage to either changes nothing. On opening the
//! whole slot of the greater generation counts. Only after an installation may what it no longer names
//! be removed. A file that is in neither slot nor in the log belongs to nobody.
//!
//! ```text
//! slot = magic | format u32 | length u64 | checksum u64 | payload
//! ```
//!
//! Left out: a list of edits. A root names some thousands of tables at most, and is written anew at each
//! change in the background.

use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::recovery::OpenError;
use super::table::TableMeta;
use super::table::section::checksum;
use crate::codec;
use crate::disk::{Disk, DiskError, JobDisk};
use crate::id::{FileId, FileKind};
use crate::ordered::Map;

/// What belongs to a store beside its log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Root {
    /// Grows with every installation.
    pub(super) generation: u64,
    /// The tables: those of level 0 newest first, those of deeper ones by key.
    pub(super) levels: Vec<Vec<TableMeta>>,
    /// The number of the next table.
    pub(super) next_table: u64,
    /// The first segment of the log that is needed, and the number of its first batch.
    pub(super) log_start: (FileId, u64),
    /// The newest batch of the log that is in tables; so are all before it.
    pub(super) flushed_seq: u64,
    /// The newest revision in any table.
    pub(super) revision: u64,
    /// How far into each other log the tables go; see [`super::Store::apply_unlogged`].
    pub(super) marks: Map<u64, u64>,
    /// What was lost.
    pub(super) suspects: Vec<Suspect>,
    /// Damaged files that are kept for whoever wants to look into them.
    pub(super) damaged: Vec<FileId>,
}

/// Keys whose versions up to a revision may be lost, because a table was damaged. Their values are not
/// known until another replica tells them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// From this key on.
    pub start: Bytes,
    /// Before this key.
    pub end: Bytes,
    /// Up to this revision.
    pub revision: u64,
    /// The damaged file.
    pub file: FileId,
    /// Where in it.
    pub offset: u64,
}

/// A change of the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Edit {
    /// Tables that are no longer needed.
    pub(super) remove: Vec<FileId>,
    /// Tables that are new in a level.
    pub(super) add: Vec<(u64, TableMeta)>,
    pub(super) lost: Vec<Suspect>,
    /// Keys that were repaired.
    pub(super) trusted: Option<(Bytes, Bytes)>,
    pub(super) flushed: Option<Flushed>,
}

/// What is in tables after a flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flushed {
    pub(super) log_start: (FileId, u64),
    pub(super) seq: u64,
    pub(super) revision: u64,
    pub(super) marks: Map<u64, u64>,
}

/// How many levels there are.
pub(super) const LEVELS: usize = 7;

/// The version of the format that is written, and the only one that is read.
const FORMAT: u32 = 1;

const MAGIC: &[u8; 8] = b"kv root\n";

const HEADER: u64 = 28;

impl Root {
    /// The root of an empty store.
    pub(super) fn empty() -> Self {
        Self {
            levels: alloc::vec![Vec::new(); LEVELS],
            next_table: 1,
            log_start: (FileId::log(0), 1),
            ..Self::default()
        }
    }

    /// Whether a store may go on from here.
    fn is_sound(&self) -> bool {
        let (segment, _) = self.log_start;
        self.levels.len() == LEVELS
            && self.next_table < FileId::FOREIGN
            && segment.kind() == Some(FileKind::Log)
            && segment.number() < FileId::FOREIGN
    }

    /// All tables with their levels.
    pub(super) fn tables(&self) -> impl Iterator<Item = (usize, &TableMeta)> {
        self.levels
            .iter()
            .enumerate()
            .flat_map(|(level, tables)| tables.iter().map(move |table| (level, table)))
    }

    /// Whether a file belongs to the store. `installed` tells whether any slot holds this root.
    pub(super) fn owns(&self, file: FileId, installed: bool) -> bool {
        match file.kind() {
            Some(FileKind::Log) => self.log_start.0 <= file,
            Some(FileKind::Table) => {
                self.damaged.contains(&file) || self.tables().any(|(_, table)| table.file == file)
            }
            // The first installation may have been cut short; its slot is no slot yet.
            Some(FileKind::Root) => installed,
            Some(FileKind::Reserve) | None => true,
        }
    }

    /// Applies a change. Files that it makes superfluous are added to `garbage`.
    pub(super) fn apply(&mut self, edit: Edit, garbage: &mut Vec<FileId>) {
        for level in &mut self.levels {
            level.retain(|table| !edit.remove.contains(&table.file));
        }
        let moved = |file: &FileId| edit.add.iter().any(|(_, table)| table.file == *file);
        for file in edit.remove.iter().filter(|file| !moved(file)) {
            match edit.lost.iter().any(|suspect| suspect.file == *file) {
                true => self.damaged.push(*file),
                false => garbage.push(*file),
            }
        }
        for (level, table) in edit.add {
            let Some(tables) = self.levels.get_mut(level as usize) else { continue };
            let at = match level {
                0 => 0,
                _ => {
                    tables.partition_point(|other| other.properties.first < table.properties.first)
                }
            };
            tables.insert(at, table);
        }
        self.suspects.extend(edit.lost);
        if let Some((start, end)) = edit.trusted {
            self.suspects.retain(|suspect| suspect.start < start || end < suspect.end);
            let suspects = &self.suspects;
            let (kept, gone) = self
                .damaged
                .iter()
                .partition(|file| suspects.iter().any(|suspect| suspect.file == **file));
            self.damaged = kept;
            garbage.extend::<Vec<FileId>>(gone);
        }
        if let Some(flushed) = edit.flushed {
            self.log_start = flushed.log_start;
            self.flushed_seq = flushed.seq;
            self.revision = flushed.revision;
            self.marks.extend(flushed.marks);
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        Bytes::from(codec::encode(self))
    }
}

/// What the slots of a disk say.
pub(super) struct Slots {
    /// The root; none if the store has never installed one.
    pub(super) root: Option<Root>,
    /// Whether both slots say the same.
    pub(super) agree: bool,
}

/// Reads both slots.
pub(super) fn read(disk: &impl Disk) -> Result<Slots, OpenError> {
    let [a, b] = FileId::ROOTS.map(|slot| read_slot(slot, disk));
    let (a, b) = (a?, b?);
    match (a, b) {
        (Slot::Whole(a), Slot::Whole(b)) => {
            let agree = a == b;
            let newer = if a.generation < b.generation { b } else { a };
            Ok(Slots { root: Some(*newer), agree })
        }
        (Slot::Whole(root), _) | (_, Slot::Whole(root)) => {
            Ok(Slots { root: Some(*root), agree: false })
        }
        // The second slot is written only when the first is durable.
        (Slot::Broken, Slot::Broken) => Err(OpenError::RootDamaged),
        _ => Ok(Slots { root: None, agree: true }),
    }
}

/// Writes both slots, one after the other; this is [`super::Job::Install`]. A slot that alone holds the
/// newest root is the second: whoever opened the store was told what it says.
pub(super) fn install(payload: &[u8], disk: &mut impl JobDisk) -> Result<(), DiskError> {
    let mut slots = FileId::ROOTS;
    let generation = |slot: FileId| match read_slot(slot, &*disk) {
        Ok(Slot::Whole(root)) => Some(root.generation),
        _ => None,
    };
    if generation(slots[1]) < generation(slots[0]) {
        slots.reverse();
    }
    for slot in slots {
        match disk.len(slot) {
            Err(DiskError::NotFound) => disk.create(slot, 0)?,
            found => found.map(drop)?,
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&checksum(slot, u64::from(FORMAT), payload).to_le_bytes());
        bytes.extend_from_slice(payload);
        disk.write_at(slot, 0, &bytes)?;
        disk.sync(slot)?;
    }
    Ok(())
}

/// What one slot holds.
pub(super) enum Slot {
    /// There is no such file.
    Missing,
    /// It is damaged, or was being written.
    Broken,
    Whole(alloc::boxed::Box<Root>),
}

pub(super) fn read_slot(slot: FileId, disk: &impl Disk) -> Result<Slot, OpenError> {
    let length = match disk.len(slot) {
        Ok(length) => length,
        Err(DiskError::NotFound) => return Ok(Slot::Missing),
        Err(error) => return Err(OpenError::Disk(error)),
    };
    let bytes = disk.read_at(slot, 0, length)?;
    Ok(match parse(slot, &bytes)? {
        Some(root) => Slot::Whole(alloc::boxed::Box::new(root)),
        None => Slot::Broken,
    })
}

/// The root in the bytes of a slot. A later format may change everything behind the header.
fn parse(slot: FileId, bytes: &[u8]) -> Result<Option<Root>, OpenError> {
    let parts = || {
        let (header, rest) = bytes.split_at_checked(HEADER as usize)?;
        let format = u32::from_le_bytes(*header[8..].first_chunk()?);
        let length = u64::from_le_bytes(*header[12..].first_chunk()?);
        let sum = u64::from_le_bytes(*header[20..].first_chunk()?);
        let payload = rest.get(..usize::try_from(length).ok()?)?;
        let whole = header.starts_with(MAGIC) && checksum(slot, u64::from(format), payload) == sum;
        whole.then_some((format, payload))
    };
    let Some((format, payload)) = parts() else { return Ok(None) };
    if format != FORMAT {
        return Err(OpenError::Format { file: slot, found: format });
    }
    let root = codec::decode::<Root>(payload).ok();
    Ok(root.filter(Root::is_sound))
}
