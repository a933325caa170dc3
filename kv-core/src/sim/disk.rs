//! A disk that forgets: what was not synced is lost in a crash, but for a part chosen at random.
//!
//! Each file knows what of it is durable: nothing, its first so many bytes, or an older image of it
//! when durable bytes were overwritten, cut off or removed since. A crash leaves the durable bytes and
//! a random prefix of what follows them, each file on its own, so a later file can survive better than
//! an earlier one. Contents are chunks that clones share, so copying a disk copies no data.
//!
//! Left out: errors, damage and a limit of space.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::disk::{Disk, DiskError};
use crate::hash::Rolling;
use crate::id::{FileId, LogPosition};
use crate::rng::Rng;

/// The files of one simulated node.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    files: BTreeMap<FileId, File>,
    written: Rolling,
}

#[derive(Clone, Debug)]
struct File {
    /// What reading sees; none if the file was removed.
    now: Option<Content>,
    durable: Durable,
}

/// What a crash cannot take.
#[derive(Clone, Debug)]
enum Durable {
    /// Not even that the file exists.
    Nothing,
    /// The first so many bytes of what is there now.
    Prefix(u64),
    /// The file as it was before durable bytes of it changed; or, if that change has reached the
    /// device, the first so many bytes of what is there now.
    Image(Content, u64),
}

impl SimDisk {
    /// A hash of everything ever written, in its order.
    pub(super) fn written(&self) -> u64 {
        self.written.value()
    }

    /// Makes everything up to a position durable: earlier files whole, and of the file of the position
    /// as much as lies before it.
    pub(super) fn sync(&mut self, upto: LogPosition) {
        self.files.retain(|&id, file| {
            if id > upto.segment {
                return true;
            }
            let Some(now) = &file.now else { return false };
            let covered = if id < upto.segment { now.len } else { upto.offset.min(now.len) };
            let before = match file.durable {
                Durable::Prefix(length) => length,
                Durable::Nothing | Durable::Image(..) => 0,
            };
            file.durable = Durable::Prefix(covered.max(before));
            true
        });
    }

    /// Loses power.
    pub(super) fn crash(&mut self, rng: &mut Rng) {
        self.files.retain(|_, file| {
            // Both numbers are always drawn, so that one file's state does not disturb the next.
            let survives = rng.below(2) == 0;
            let part = rng.any();
            let kept = |length: u64, durable: u64| {
                let choices = u128::from(length - durable + 1);
                durable + ((u128::from(part) * choices) >> 64) as u64
            };
            match (&mut file.durable, &mut file.now) {
                (Durable::Nothing, Some(now)) if survives => now.truncate(kept(now.len, 0)),
                (Durable::Nothing, _) => return false,
                (Durable::Prefix(durable), Some(now)) => now.truncate(kept(now.len, *durable)),
                (Durable::Image(_, changed), Some(now)) if survives => {
                    now.truncate(kept(now.len, (*changed).min(now.len)));
                }
                (Durable::Image(..), None) if survives => return false,
                (Durable::Image(image, _), now) => *now = Some(image.clone()),
                (Durable::Prefix(_), None) => return false,
            }
            file.durable = Durable::Prefix(file.now.as_ref().map_or(0, |now| now.len));
            true
        });
    }

    fn content(&mut self, file: FileId) -> Result<&mut Content, DiskError> {
        self.files.get_mut(&file).and_then(|file| file.now.as_mut()).ok_or(DiskError::NotFound)
    }

    fn note(&mut self, what: u8, file: FileId, place: u64, bytes: &[u8]) {
        let mut head = [what; 17];
        head[1..9].copy_from_slice(&file.0.to_le_bytes());
        head[9..].copy_from_slice(&place.to_le_bytes());
        self.written.update(&head);
        self.written.update(bytes);
    }
}

impl File {
    /// Keeps the durable bytes apart if those from `from` on are about to change. Once the change is
    /// on the device, so are the first `changed` bytes of what is there then.
    fn before_change(&mut self, from: u64, changed: u64) {
        match (&mut self.durable, &self.now) {
            (Durable::Prefix(durable), Some(now)) if from < *durable => {
                let mut image = now.clone();
                image.truncate(*durable);
                self.durable = Durable::Image(image, changed);
            }
            (Durable::Image(_, before), _) => *before = changed.min(*before),
            (Durable::Prefix(_) | Durable::Nothing, _) => {}
        }
    }
}

impl Disk for SimDisk {
    fn create(&mut self, file: FileId) -> Result<(), DiskError> {
        let entry = self.files.entry(file).or_insert(File { now: None, durable: Durable::Nothing });
        if entry.now.is_some() {
            return Err(DiskError::Exists);
        }
        entry.now = Some(Content::default());
        self.note(1, file, 0, &[]);
        Ok(())
    }

    fn append(&mut self, file: FileId, bytes: &[u8]) -> Result<(), DiskError> {
        self.content(file)?.append(bytes);
        self.note(2, file, 0, bytes);
        Ok(())
    }

    fn write_at(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.content(file)?;
        if let Some(file) = self.files.get_mut(&file) {
            file.before_change(offset, u64::MAX);
        }
        self.content(file)?.write_at(offset, bytes);
        self.note(3, file, offset, bytes);
        Ok(())
    }

    fn read_at(&mut self, file: FileId, offset: u64, length: u64) -> Result<Vec<u8>, DiskError> {
        self.content(file)?.read_at(offset, length).ok_or(DiskError::OutOfBounds)
    }

    fn len(&mut self, file: FileId) -> Result<u64, DiskError> {
        Ok(self.content(file)?.len)
    }

    fn truncate(&mut self, file: FileId, length: u64) -> Result<(), DiskError> {
        if length > self.content(file)?.len {
            return Err(DiskError::OutOfBounds);
        }
        if let Some(file) = self.files.get_mut(&file) {
            file.before_change(length, length);
        }
        self.content(file)?.truncate(length);
        self.note(4, file, length, &[]);
        Ok(())
    }

    fn remove(&mut self, file: FileId) -> Result<(), DiskError> {
        self.content(file)?;
        if let Some(entry) = self.files.get_mut(&file) {
            entry.before_change(0, 0);
            entry.now = None;
            if matches!(entry.durable, Durable::Nothing) {
                self.files.remove(&file);
            }
        }
        self.note(5, file, 0, &[]);
        Ok(())
    }

    fn list(&mut self) -> Result<Vec<FileId>, DiskError> {
        Ok(self.files.iter().filter(|(_, file)| file.now.is_some()).map(|(id, _)| *id).collect())
    }
}

/// Bytes of one file in chunks of [`Content::CHUNK`] bytes, the last one shorter.
#[derive(Clone, Debug, Default)]
struct Content {
    chunks: Vec<Arc<Vec<u8>>>,
    len: u64,
}

impl Content {
    const CHUNK: usize = 4_096;

    fn append(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.chunks.last().is_none_or(|chunk| chunk.len() == Self::CHUNK) {
                self.chunks.push(Arc::default());
            }
            let Some(last) = self.chunks.last_mut() else { return };
            let (fits, rest) = bytes.split_at(bytes.len().min(Self::CHUNK - last.len()));
            Arc::make_mut(last).extend_from_slice(fits);
            bytes = rest;
        }
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) {
        while self.len < offset {
            let missing = (offset - self.len).min(Self::CHUNK as u64) as usize;
            self.append(&[0; Self::CHUNK][..missing]);
        }
        let inside = ((self.len - offset) as usize).min(bytes.len());
        for (place, byte) in (offset as usize..).zip(&bytes[..inside]) {
            Arc::make_mut(&mut self.chunks[place / Self::CHUNK])[place % Self::CHUNK] = *byte;
        }
        self.append(&bytes[inside..]);
    }

    fn read_at(&self, offset: u64, length: u64) -> Option<Vec<u8>> {
        let end = offset.checked_add(length).filter(|end| *end <= self.len)?;
        let (mut place, end) = (offset as usize, end as usize);
        let mut bytes = Vec::with_capacity(end - place);
        while place < end {
            let within = place % Self::CHUNK;
            let stop = (within + end - place).min(Self::CHUNK);
            bytes.extend_from_slice(&self.chunks[place / Self::CHUNK][within..stop]);
            place += stop - within;
        }
        Some(bytes)
    }

    fn truncate(&mut self, length: u64) {
        if length >= self.len {
            return;
        }
        self.len = length;
        self.chunks.truncate((length as usize).div_ceil(Self::CHUNK));
        let within = length as usize % Self::CHUNK;
        if within > 0
            && let Some(last) = self.chunks.last_mut()
        {
            Arc::make_mut(last).truncate(within);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: FileId = FileId(1);

    fn upto(segment: FileId, offset: u64) -> LogPosition {
        LogPosition { segment, offset }
    }

    fn whole(disk: &mut SimDisk, file: FileId) -> Vec<u8> {
        let length = disk.len(file).unwrap();
        disk.read_at(file, 0, length).unwrap()
    }

    #[test]
    fn a_file_behaves_like_a_vector_of_bytes() {
        let mut rng = Rng::new(5);
        let mut disk = SimDisk::default();
        disk.create(LOG).unwrap();
        let mut model: Vec<u8> = Vec::new();
        for round in 0..300_u64 {
            let bytes = alloc::vec![round as u8; rng.below(6_000) as usize];
            let at = rng.below(model.len() as u64 + 1);
            match rng.below(4) {
                0 => {
                    disk.truncate(LOG, at).unwrap();
                    model.truncate(at as usize);
                }
                1 => {
                    let at = at + rng.below(100);
                    disk.write_at(LOG, at, &bytes).unwrap();
                    let end = at as usize + bytes.len();
                    model.resize(model.len().max(end), 0);
                    model[at as usize..end].copy_from_slice(&bytes);
                }
                _ => {
                    disk.append(LOG, &bytes).unwrap();
                    model.extend_from_slice(&bytes);
                }
            }
            let (start, length) = (at.min(model.len() as u64), rng.below(9_000));
            let end = (start + length).min(model.len() as u64);
            let read = disk.read_at(LOG, start, end - start).unwrap();
            assert_eq!(read, model[start as usize..end as usize]);
        }
        assert_eq!(whole(&mut disk, LOG), model);
        let length = model.len() as u64;
        assert_eq!(disk.read_at(LOG, length, 1), Err(DiskError::OutOfBounds));
        assert_eq!(disk.read_at(LOG, u64::MAX, 2), Err(DiskError::OutOfBounds));
        assert_eq!(disk.truncate(LOG, length + 1), Err(DiskError::OutOfBounds));
    }

    #[test]
    fn what_is_missing_or_there_already_is_an_error() {
        let mut disk = SimDisk::default();
        disk.create(LOG).unwrap();
        assert_eq!(disk.create(LOG), Err(DiskError::Exists));
        assert_eq!(disk.append(FileId(2), b"x"), Err(DiskError::NotFound));
        disk.remove(LOG).unwrap();
        assert_eq!(disk.remove(LOG), Err(DiskError::NotFound));
        assert_eq!(disk.list(), Ok(Vec::new()));
    }

    #[test]
    fn a_crash_leaves_what_was_synced_and_a_prefix_of_the_rest() {
        let mut lengths = BTreeMap::new();
        for seed in 0..200 {
            let mut disk = SimDisk::default();
            disk.create(LOG).unwrap();
            disk.append(LOG, b"durable").unwrap();
            disk.sync(upto(LOG, 7));
            disk.append(LOG, b"lost").unwrap();
            disk.crash(&mut Rng::new(seed));
            let left = whole(&mut disk, LOG);
            assert!(left.len() >= 7 && b"durablelost".starts_with(&left));
            *lengths.entry(left.len()).or_insert(0) += 1;
            // A second crash takes nothing more: what survived one is durable.
            disk.crash(&mut Rng::new(seed + 1));
            assert_eq!(whole(&mut disk, LOG), left);
        }
        assert_eq!(lengths.len(), 5, "every length happens: {lengths:?}");
    }

    #[test]
    fn a_sync_covers_earlier_files_whole_and_no_byte_behind_its_position() {
        let later = FileId(2);
        for seed in 0..50 {
            let mut disk = SimDisk::default();
            for file in [LOG, later, FileId(3)] {
                disk.create(file).unwrap();
                disk.append(file, b"abcd").unwrap();
            }
            disk.sync(upto(later, 2));
            disk.crash(&mut Rng::new(seed));
            assert_eq!(whole(&mut disk, LOG), b"abcd");
            assert!(disk.len(later).unwrap() >= 2);
        }
    }

    #[test]
    fn durable_bytes_that_were_cut_off_can_come_back_until_the_next_sync() {
        let mut seen = BTreeMap::new();
        for seed in 0..50 {
            let mut disk = SimDisk::default();
            disk.create(LOG).unwrap();
            disk.append(LOG, b"old tail").unwrap();
            disk.sync(upto(LOG, 8));
            disk.truncate(LOG, 3).unwrap();
            disk.append(LOG, b" new").unwrap();
            let mut synced = disk.clone();
            disk.crash(&mut Rng::new(seed));
            *seen.entry(whole(&mut disk, LOG)).or_insert(0) += 1;
            synced.sync(upto(LOG, 7));
            synced.crash(&mut Rng::new(seed));
            assert_eq!(whole(&mut synced, LOG), b"old new");
        }
        let possible = [&b"old"[..], b"old ", b"old n", b"old ne", b"old new", b"old tail"];
        assert!(seen.keys().eq(possible), "{seen:?}");
    }
}
