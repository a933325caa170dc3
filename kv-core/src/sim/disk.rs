//! A disk in memory that forgets, and fails when it is told to.
//!
//! What was not synced is lost in a crash, but for sectors chosen at random ([`mod@file`]); a new file may be
//! missing then, and a removed one be back. Beyond that the disk does what real ones do: it fills up,
//! turns bits over, fails to sync or to read, reads at the wrong place, and loses power in the middle of things. Contents are
//! chunks that clones share, so copying a disk copies no data. Without faults it is also the disk of a
//! page, which has no other.
//!
//! Left out: time. How long syncs and jobs take is a matter of the world.

mod content;
mod file;

use alloc::vec::Vec;
use core::cell::Cell;

use content::Content;
use file::{File, SECTOR};

use crate::disk::{Disk, DiskError, JobDisk};
use crate::hash::Rolling;
use crate::id::{FileId, FileKind, LogPosition};
use crate::ordered::{Map, Set};
use crate::rng::Rng;

/// The files of one simulated node.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    files: Map<FileId, File>,
    /// Durable files that were removed, but not durably.
    ghosts: Map<FileId, Content>,
    /// Bytes of all files.
    used: u64,
    faults: Faults,
    operations: u64,
    /// How often what is durable may have changed.
    durable_version: u64,
    written: Rolling,
    harm: Harm,
}

/// What crashes did to writes that were not synced, up to now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Harm {
    /// How many writes they left in part.
    pub torn: u64,
    /// Of how many they left nothing.
    pub lost: u64,
}

/// What is wrong with a disk.
#[derive(Clone, Debug, Default)]
struct Faults {
    /// How many bytes of files it holds; any number if none.
    capacity: Option<u64>,
    /// After how many more operations the power fails; never if none.
    power: Option<u64>,
    /// The next sync fails.
    sync: bool,
    /// The next read of a table gives the bytes of another place.
    misread: Cell<bool>,
    /// Whether bits were turned over.
    flipped: bool,
    /// Sectors that cannot be read.
    unreadable: Set<(FileId, u64)>,
}

impl SimDisk {
    /// Makes the log durable up to a position: earlier segments whole, and of the segment of the position
    /// what lies before it; and that they exist.
    pub fn sync_log(&mut self, upto: LogPosition) -> Result<(), DiskError> {
        self.operate()?;
        let covered = self
            .files
            .range(..=upto.segment)
            .filter(|(id, file)| id.kind() == Some(FileKind::Log) && !file.is_durable());
        for id in covered.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.sync_file(id, if id < upto.segment { u64::MAX } else { upto.offset })?;
        }
        Ok(())
    }

    /// Loses power, and comes back. Equal generators leave equal files.
    pub fn crash(&mut self, rng: &mut Rng) {
        self.durable_version += 1;
        let seed = rng.any();
        let before = core::mem::take(&mut self.files);
        let mut ghosts = core::mem::take(&mut self.ghosts);
        for (id, file) in before {
            // What becomes of one file does not disturb another.
            let mut rng = Rng::stream(seed, id.0);
            let ghost = ghosts.remove(&id);
            let is_kept = file.durable().is_some() || rng.below(2) == 0;
            let left = is_kept.then(|| file.crash(&mut rng));
            file.add_harm(left.as_ref(), &mut self.harm);
            if let Some(left) = left {
                self.files.insert(id, File::left(left));
            } else if let Some(ghost) = ghost.filter(|_| rng.below(2) == 0) {
                self.files.insert(id, File::left(ghost));
            }
        }
        for (id, ghost) in ghosts {
            if Rng::stream(seed, id.0).below(2) == 0 {
                self.files.insert(id, File::left(ghost));
            }
        }
        self.used = self.files.values().map(|file| file.now().len()).sum();
        self.faults.power = None;
        self.faults.sync = false;
        self.faults.misread.set(false);
    }

    /// Is replaced by a new one. What crashes did is still known.
    pub fn wipe(&mut self) {
        *self = Self { harm: self.harm, ..Self::default() };
    }

    /// What crashes did to it and to those it took the place of.
    #[must_use]
    pub fn harm(&self) -> Harm {
        self.harm
    }

    /// How many operations there were that change a file or sync one.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Another number whenever [`Self::durable`] is something else, as long as it is the same disk.
    #[must_use]
    pub fn durable_version(&self) -> u64 {
        self.durable_version
    }

    /// What a loss of power could not take from it, without the faults.
    #[must_use]
    pub fn durable(&self) -> Self {
        let kept = self.files.iter().filter_map(|(id, file)| Some((*id, file.durable()?.clone())));
        let files = self.ghosts.clone().into_iter().chain(kept);
        let files = files.map(|(id, content)| (id, File::left(content))).collect();
        let mut disk = Self { files, ..Self::default() };
        disk.used = disk.files.values().map(|file| file.now().len()).sum();
        disk
    }

    /// After so many more operations the power fails: nothing works from then on until
    /// [`Self::crash`] has shown what was lost.
    pub fn fail_power_after(&mut self, operations: u64) {
        self.faults.power = Some(operations);
    }

    /// Limits the bytes of all files together, or ends the limit. There may be more of them already.
    pub fn limit(&mut self, capacity: Option<u64>) {
        self.faults.capacity = capacity;
    }

    /// The limit, if there is one.
    #[must_use]
    pub fn capacity(&self) -> Option<u64> {
        self.faults.capacity
    }

    /// Bytes of all files together.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Turns a bit of a file over, where it is durable also there. Fails if the file does not reach there.
    pub fn flip(&mut self, file: FileId, offset: u64, bit: u8) -> Result<(), DiskError> {
        let file = self.files.get_mut(&file).ok_or(DiskError::NotFound)?;
        if offset >= file.now().len() {
            return Err(DiskError::OutOfBounds);
        }
        file.flip(offset, bit);
        self.durable_version += 1;
        self.faults.flipped = true;
        Ok(())
    }

    /// Whether bits of it were ever turned over.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.faults.flipped
    }

    /// The next sync fails. What it should have made durable never will be, though later syncs succeed:
    /// operating systems take what they could not write for clean.
    pub fn fail_next_sync(&mut self) {
        self.faults.sync = true;
    }

    /// The sector around this offset of a file can no longer be read, until the file is removed.
    pub fn fail_reads(&mut self, file: FileId, offset: u64) {
        self.faults.unreadable.insert((file, offset / SECTOR));
    }

    /// The next read of a table gives the bytes of another place: of another table, if one reaches so
    /// far, as then everything around them looks right too. The read after it is whole again.
    pub fn misread_next_table(&mut self) {
        self.faults.misread.set(true);
    }

    /// Ends the limit, and calls off a sync or a read that was to fail next.
    pub fn mend(&mut self) {
        self.faults.capacity = None;
        self.faults.sync = false;
        self.faults.misread.set(false);
    }

    /// Whether there are tables.
    #[must_use]
    pub fn has_tables(&self) -> bool {
        self.files.keys().any(|file| file.kind() == Some(FileKind::Table))
    }

    /// A hash of everything ever written, in its order.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.value()
    }

    /// As many bytes from the wrong place: from the same one of the next table that reaches so far, else
    /// from the beginning or the end of the table itself.
    fn misread(&self, file: FileId, offset: u64, length: u64) -> Option<Vec<u8>> {
        let tables = || self.files.iter().filter(|(id, _)| id.kind() == Some(FileKind::Table));
        let behind = tables().filter(|(id, _)| **id > file);
        let mut others = behind.chain(tables().filter(|(id, _)| **id < file));
        others.find_map(|(_, other)| other.now().read_at(offset, length)).or_else(|| {
            let own = self.files.get(&file)?.now();
            let end = own.len().checked_sub(length)?;
            let place = if offset == 0 { end } else { 0 };
            own.read_at(place, length)
        })
    }

    fn sync_file(&mut self, id: FileId, upto: u64) -> Result<(), DiskError> {
        let file = self.files.get_mut(&id).ok_or(DiskError::NotFound)?;
        self.durable_version += 1;
        if core::mem::take(&mut self.faults.sync) {
            file.forget();
            return Err(DiskError::Io("the device could not write".into()));
        }
        if file.durable().is_none() {
            // The folder is synced for it, and so all of its changes are.
            self.ghosts.clear();
        }
        file.sync(upto);
        Ok(())
    }

    /// Counts an operation that is about to be done, if there is power for it.
    fn operate(&mut self) -> Result<(), DiskError> {
        self.powered()?;
        self.operations += 1;
        if let Some(left) = &mut self.faults.power {
            *left -= 1;
        }
        Ok(())
    }

    fn powered(&self) -> Result<(), DiskError> {
        match self.faults.power {
            Some(0) => Err(DiskError::Io("the power is gone".into())),
            Some(_) | None => Ok(()),
        }
    }

    fn file(&self, file: FileId) -> Result<&File, DiskError> {
        self.powered()?;
        self.files.get(&file).ok_or(DiskError::NotFound)
    }

    /// How many of so many more bytes there is room for.
    fn room(&self, bytes: u64) -> u64 {
        let free = self.faults.capacity.map(|capacity| capacity.saturating_sub(self.used));
        free.map_or(bytes, |free| free.min(bytes))
    }

    fn write(&mut self, id: FileId, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let length = self.file(id)?.now().len();
        if bytes.is_empty() {
            return Ok(());
        }
        let end = offset.checked_add(bytes.len() as u64).ok_or(DiskError::OutOfBounds)?;
        let growth = end.saturating_sub(length);
        let room = self.room(growth);
        self.operate()?;
        // Bytes for which there is no room are at the end of those to be written.
        let fitting = (bytes.len() as u64).saturating_sub(growth - room) as usize;
        if fitting > 0 || room == growth {
            self.used += room;
            if let Some(file) = self.files.get_mut(&id) {
                file.write_at(offset, &bytes[..fitting]);
            }
        }
        self.note(3, id, offset, &bytes[..fitting]);
        if room == growth { Ok(()) } else { Err(DiskError::Full) }
    }

    fn note(&mut self, what: u8, file: FileId, place: u64, bytes: &[u8]) {
        self.written.take(&(what, file, place));
        self.written.update(bytes);
    }
}

impl Disk for SimDisk {
    fn create(&mut self, file: FileId, room: u64) -> Result<(), DiskError> {
        self.operate()?;
        if self.files.contains_key(&file) {
            return Err(DiskError::Exists);
        }
        if self.room(room) < room {
            return Err(DiskError::Full);
        }
        self.used += room;
        self.files.insert(file, File::new(room));
        self.note(1, file, room, &[]);
        Ok(())
    }

    fn append(&mut self, file: FileId, bytes: &[u8]) -> Result<(), DiskError> {
        let end = self.len(file)?;
        self.write(file, end, bytes)
    }

    fn write_at(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.write(file, offset, bytes)
    }

    fn read_at(&self, file: FileId, offset: u64, length: u64) -> Result<Vec<u8>, DiskError> {
        let bytes = self.file(file)?.now().read_at(offset, length).ok_or(DiskError::OutOfBounds)?;
        let sectors = (file, offset / SECTOR)..(file, (offset + length).div_ceil(SECTOR));
        if !bytes.is_empty() && self.faults.unreadable.range(sectors).next().is_some() {
            return Err(DiskError::Io("the device could not read".into()));
        }
        if file.kind() == Some(FileKind::Table) && self.faults.misread.take() {
            return Ok(self.misread(file, offset, length).unwrap_or(bytes));
        }
        Ok(bytes)
    }

    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        Ok(self.file(file)?.now().len())
    }

    fn truncate(&mut self, file: FileId, length: u64) -> Result<(), DiskError> {
        self.operate()?;
        let entry = self.files.get_mut(&file).ok_or(DiskError::NotFound)?;
        let before = entry.now().len();
        if length > before {
            return Err(DiskError::OutOfBounds);
        }
        entry.truncate(length);
        self.used -= before - length;
        self.note(4, file, length, &[]);
        Ok(())
    }

    fn remove(&mut self, file: FileId) -> Result<(), DiskError> {
        self.operate()?;
        let removed = self.files.remove(&file).ok_or(DiskError::NotFound)?;
        self.used -= removed.now().len();
        if let Some(durable) = removed.durable() {
            self.ghosts.insert(file, durable.clone());
            self.durable_version += 1;
        }
        self.faults.unreadable.retain(|(of, _)| *of != file);
        self.note(5, file, 0, &[]);
        Ok(())
    }

    fn list(&self) -> Result<Vec<FileId>, DiskError> {
        self.powered()?;
        Ok(self.files.keys().copied().collect())
    }
}

impl JobDisk for SimDisk {
    fn sync(&mut self, file: FileId) -> Result<(), DiskError> {
        self.operate()?;
        self.sync_file(file, u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: FileId = FileId::log(1);
    const TABLE: FileId = FileId::table(1);

    fn upto(offset: u64) -> LogPosition {
        LogPosition { segment: LOG, offset }
    }

    fn whole(disk: &SimDisk, file: FileId) -> Option<Vec<u8>> {
        disk.len(file).ok().map(|length| disk.read_at(file, 0, length).unwrap())
    }

    /// What crashes leave of a file, and how often. What survived one crash survives the next.
    fn left_of(disk: &SimDisk, file: FileId) -> Map<Option<Vec<u8>>, u32> {
        let mut left = Map::new();
        for seed in 0..600 {
            let mut disk = disk.clone();
            disk.crash(&mut Rng::new(seed));
            let now = whole(&disk, file);
            assert_eq!(disk.used(), disk.files.values().map(|file| file.now().len()).sum());
            disk.crash(&mut Rng::new(seed + 1));
            assert_eq!(whole(&disk, file), now);
            *left.entry(now).or_insert(0) += 1;
        }
        left
    }

    /// Of so many sectors each is filled with one byte.
    fn sectors(bytes: &[u8]) -> Vec<u8> {
        bytes.iter().flat_map(|byte| [*byte; SECTOR as usize]).collect()
    }

    #[test]
    fn writes_that_a_crash_takes_in_part_or_whole_are_counted() {
        let mut disk = SimDisk::default();
        disk.create(LOG, 3 * SECTOR).unwrap();
        disk.sync(LOG).unwrap();
        disk.crash(&mut Rng::new(0));
        assert_eq!(disk.harm(), Harm::default(), "everything was synced");
        // Of the first write nothing is missed: the second one took its place.
        disk.write_at(LOG, 0, &sectors(b"xyz")).unwrap();
        disk.write_at(LOG, 0, &sectors(b"abc")).unwrap();
        let (wanted, mut kinds) = (sectors(b"abc"), Set::new());
        for seed in 0..200 {
            let mut disk = disk.clone();
            disk.crash(&mut Rng::new(seed));
            let left = whole(&disk, LOG).unwrap();
            let pairs = wanted.chunks(SECTOR as usize).zip(left.chunks(SECTOR as usize));
            let kept = pairs.filter(|(wanted, found)| wanted == found).count();
            let harm = match kept {
                3 => Harm::default(),
                0 => Harm { torn: 0, lost: 2 },
                _ => Harm { torn: 2, lost: 0 },
            };
            assert_eq!(disk.harm(), harm, "seed {seed}");
            disk.wipe();
            assert_eq!((disk.harm(), disk.used()), (harm, 0));
            kinds.insert(kept);
        }
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        let mut new = SimDisk::default();
        new.create(LOG, 0).unwrap();
        new.append(LOG, b"never there").unwrap();
        let gone = (0..50).find_map(|seed| {
            let mut disk = new.clone();
            disk.crash(&mut Rng::new(seed));
            whole(&disk, LOG).is_none().then_some(disk.harm())
        });
        assert_eq!(gone, Some(Harm { torn: 0, lost: 1 }));
    }

    #[test]
    fn what_is_missing_or_there_already_is_an_error() {
        let mut disk = SimDisk::default();
        disk.create(LOG, 3).unwrap();
        assert_eq!(disk.create(LOG, 0), Err(DiskError::Exists));
        assert_eq!(disk.append(TABLE, b"x"), Err(DiskError::NotFound));
        assert_eq!(disk.sync(TABLE), Err(DiskError::NotFound));
        assert_eq!(disk.read_at(LOG, 1, 3), Err(DiskError::OutOfBounds));
        assert_eq!(disk.read_at(LOG, u64::MAX, 2), Err(DiskError::OutOfBounds));
        assert_eq!(disk.truncate(LOG, 4), Err(DiskError::OutOfBounds));
        disk.remove(LOG).unwrap();
        assert_eq!(disk.remove(LOG), Err(DiskError::NotFound));
        assert_eq!(disk.list(), Ok(Vec::new()));
    }

    #[test]
    fn a_crash_keeps_any_set_of_the_sectors_that_were_not_synced() {
        let mut disk = SimDisk::default();
        disk.create(LOG, 4 * SECTOR).unwrap();
        disk.write_at(LOG, 0, &sectors(b"abcd")).unwrap();
        disk.sync_log(upto(4 * SECTOR)).unwrap();
        disk.write_at(LOG, SECTOR, &sectors(b"BCD")).unwrap();
        let left = left_of(&disk, LOG);
        let possible = ["abcd", "abcD", "abCd", "abCD", "aBcd", "aBcD", "aBCd", "aBCD"];
        for possible in possible {
            assert!(left.contains_key(&Some(sectors(possible.as_bytes()))), "{possible}");
        }
        assert_eq!(left.len(), possible.len());
    }

    #[test]
    fn a_sector_may_have_reached_the_device_between_two_writes_to_it() {
        let mut disk = SimDisk::default();
        disk.create(LOG, 8).unwrap();
        disk.sync_log(upto(0)).unwrap();
        disk.write_at(LOG, 0, b"one").unwrap();
        disk.write_at(LOG, 3, b"two").unwrap();
        let left = left_of(&disk, LOG);
        let possible = [&b"\0\0\0\0\0\0\0\0"[..], b"one\0\0\0\0\0", b"onetwo\0\0"];
        assert!(left.keys().flatten().eq(possible), "{left:?}");
    }

    #[test]
    fn growth_that_was_not_synced_is_zeros_or_missing() {
        let mut disk = SimDisk::default();
        disk.create(LOG, 0).unwrap();
        disk.append(LOG, b"durable").unwrap();
        disk.sync_log(upto(7)).unwrap();
        disk.append(LOG, b"lost").unwrap();
        let left = left_of(&disk, LOG);
        for left in left.keys().flatten() {
            let (durable, behind) = left.split_at(7);
            assert_eq!(durable, b"durable");
            let lost = behind.iter().all(|byte| *byte == 0);
            assert!(lost || b"lost".starts_with(behind), "{behind:?}");
        }
        assert_eq!(left.len(), 9, "every length, with zeros and without");
    }

    #[test]
    fn a_sync_of_the_log_covers_every_byte_before_its_position_and_no_table() {
        let later = FileId::log(2);
        let mut disk = SimDisk::default();
        for file in [LOG, later, FileId::log(3), TABLE] {
            disk.create(file, 0).unwrap();
            disk.append(file, b"abcd").unwrap();
        }
        disk.sync_log(LogPosition { segment: later, offset: 2 }).unwrap();
        assert_eq!(left_of(&disk, LOG).len(), 1);
        let left = left_of(&disk, later);
        assert!(left.keys().all(|left| left.as_ref().unwrap().starts_with(b"ab")));
        assert_eq!(left.len(), 5, "abcd, and two lengths with zeros or without: {left:?}");
        assert!(left_of(&disk, FileId::log(3)).len() > 1);
        assert!(left_of(&disk, TABLE).contains_key(&None));
        disk.sync(TABLE).unwrap();
        assert_eq!(left_of(&disk, TABLE).len(), 1);
    }

    #[test]
    fn a_new_file_may_be_missing_and_a_removed_one_be_back() {
        let mut disk = SimDisk::default();
        disk.create(TABLE, 0).unwrap();
        disk.append(TABLE, b"old").unwrap();
        assert!(left_of(&disk, TABLE).contains_key(&None));
        disk.sync(TABLE).unwrap();
        disk.remove(TABLE).unwrap();
        assert!(left_of(&disk, TABLE).into_keys().eq([None, Some(b"old".to_vec())]));
        disk.create(TABLE, 0).unwrap();
        disk.append(TABLE, b"new").unwrap();
        let left = left_of(&disk, TABLE);
        for possible in [None, Some(b"old".to_vec()), Some(b"new".to_vec())] {
            assert!(left.contains_key(&possible), "{possible:?}");
        }
        let other = FileId::table(2);
        disk.remove(TABLE).unwrap();
        disk.create(other, 0).unwrap();
        disk.sync(other).unwrap();
        assert!(left_of(&disk, TABLE).into_keys().eq([None]), "the folder was synced");
    }

    #[test]
    fn durable_bytes_that_were_cut_off_can_come_back_until_the_next_sync() {
        let mut disk = SimDisk::default();
        disk.create(LOG, 0).unwrap();
        disk.append(LOG, b"old tail").unwrap();
        disk.sync_log(upto(8)).unwrap();
        disk.truncate(LOG, 3).unwrap();
        disk.append(LOG, b" new").unwrap();
        let left = left_of(&disk, LOG);
        for possible in [&b"old tail"[..], b"old", b"old new"] {
            assert!(left.contains_key(&Some(possible.to_vec())), "{left:?}");
        }
        assert!(!left.contains_key(&Some(b"old tai".to_vec())), "cut off, then lost: {left:?}");
        disk.sync_log(upto(7)).unwrap();
        assert!(left_of(&disk, LOG).into_keys().eq([Some(b"old new".to_vec())]));
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_goes_on_when_there_is_room() {
        let mut disk = SimDisk::default();
        disk.limit(Some(10));
        disk.create(LOG, 6).unwrap();
        assert_eq!(disk.create(TABLE, 5), Err(DiskError::Full));
        disk.create(TABLE, 0).unwrap();
        assert_eq!(disk.append(TABLE, b"table"), Err(DiskError::Full));
        assert_eq!(whole(&disk, TABLE), Some(b"tabl".to_vec()));
        disk.write_at(LOG, 2, b"room").unwrap();
        assert_eq!(disk.write_at(LOG, 3, b"more"), Err(DiskError::Full));
        assert_eq!(whole(&disk, LOG), Some(b"\0\0rmor".to_vec()));
        assert_eq!(disk.used(), 10);
        disk.truncate(TABLE, 1).unwrap();
        disk.append(TABLE, b"hat").unwrap();
        disk.remove(TABLE).unwrap();
        disk.append(LOG, b"room").unwrap();
        disk.limit(None);
        disk.append(LOG, b"more").unwrap();
        assert_eq!((disk.used(), disk.len(LOG)), (14, Ok(14)));
    }

    #[test]
    fn without_power_nothing_works_until_the_crash() {
        let gone = || DiskError::Io("the power is gone".into());
        let mut disk = SimDisk::default();
        disk.create(LOG, 8).unwrap();
        disk.fail_power_after(2);
        disk.write_at(LOG, 0, b"one").unwrap();
        disk.sync_log(upto(3)).unwrap();
        assert_eq!(disk.operations(), 3);
        assert_eq!(disk.write_at(LOG, 3, b"two"), Err(gone()));
        assert_eq!(disk.sync_log(upto(6)), Err(gone()));
        assert_eq!(disk.read_at(LOG, 0, 1), Err(gone()));
        assert_eq!((disk.list(), disk.len(LOG)), (Err(gone()), Err(gone())));
        assert_eq!(disk.operations(), 3, "none of these was done");
        disk.crash(&mut Rng::new(1));
        assert_eq!(whole(&disk, LOG), Some(b"one\0\0\0\0\0".to_vec()));
    }

    #[test]
    fn what_a_failed_sync_should_have_covered_is_never_durable() {
        let mut disk = SimDisk::default();
        disk.create(LOG, 6).unwrap();
        disk.sync_log(upto(0)).unwrap();
        disk.write_at(LOG, 0, b"one").unwrap();
        disk.fail_next_sync();
        assert!(disk.sync_log(upto(3)).is_err());
        disk.write_at(LOG, 3, b"two").unwrap();
        disk.sync_log(upto(6)).unwrap();
        assert_eq!(whole(&disk, LOG), Some(b"onetwo".to_vec()));
        assert!(left_of(&disk, LOG).into_keys().eq([Some(b"\0\0\0two".to_vec())]));
    }

    #[test]
    fn bits_turn_over_and_sectors_become_unreadable() {
        let mut disk = SimDisk::default();
        disk.create(TABLE, 0).unwrap();
        disk.append(TABLE, &sectors(b"abc")).unwrap();
        disk.sync(TABLE).unwrap();
        disk.flip(TABLE, SECTOR, 0).unwrap();
        assert_eq!(disk.flip(TABLE, 3 * SECTOR, 0), Err(DiskError::OutOfBounds));
        assert_eq!(disk.flip(LOG, 0, 0), Err(DiskError::NotFound));
        disk.crash(&mut Rng::new(1));
        assert_eq!(disk.read_at(TABLE, SECTOR, 2), Ok(b"cb".to_vec()));

        disk.fail_reads(TABLE, SECTOR + 100);
        assert!(matches!(disk.read_at(TABLE, SECTOR - 1, 2), Err(DiskError::Io(_))));
        assert!(matches!(disk.read_at(TABLE, 2 * SECTOR - 1, 1), Err(DiskError::Io(_))));
        assert_eq!(disk.read_at(TABLE, 0, SECTOR), Ok(sectors(b"a")));
        assert_eq!(disk.read_at(TABLE, 2 * SECTOR, SECTOR), Ok(sectors(b"c")));
    }

    #[test]
    fn what_is_durable_changes_only_with_its_version() {
        for seed in 0..200 {
            let (mut rng, mut disk) = (Rng::new(seed), SimDisk::default());
            let contents = |disk: &SimDisk| {
                let files = disk.durable().files;
                let whole = |file: &File| file.now().read_at(0, file.now().len());
                files.iter().map(|(id, file)| (*id, whole(file))).collect::<Vec<_>>()
            };
            let (mut version, mut before) = (disk.durable_version(), contents(&disk));
            for _ in 0..100 {
                let file = if rng.below(2) == 0 { LOG } else { FileId::table(rng.below(3)) };
                // What is not possible is refused.
                drop(match rng.below(9) {
                    0 => disk.create(file, rng.below(3) * SECTOR),
                    1 | 2 => disk.append(file, &sectors(b"ab")),
                    3 => disk.write_at(file, 0, b"begin"),
                    4 => disk.truncate(file, SECTOR),
                    5 => disk.sync(file),
                    6 => disk.sync_log(upto(rng.below(4) * SECTOR)),
                    7 => disk.remove(file),
                    _ => disk.flip(file, 3, 1),
                });
                if rng.below(20) == 0 {
                    disk.crash(&mut rng);
                }
                let now = contents(&disk);
                assert!(now == before || disk.durable_version() > version, "seed {seed}");
                (version, before) = (disk.durable_version(), now);
            }
        }
    }
}
