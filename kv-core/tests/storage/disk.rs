//! A disk in memory that tears, fills up and breaks when told to.

use std::collections::BTreeMap;

use kv_core::disk::{Disk, DiskError};
use kv_core::id::FileId;
use kv_core::rng::Rng;

/// Bytes that a device writes at once.
const SECTOR: usize = 512;

/// Files, and how much of each would survive a loss of power.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestDisk {
    pub(crate) files: BTreeMap<FileId, Vec<u8>>,
    pub(crate) synced: BTreeMap<FileId, usize>,
    /// How many more bytes can be added; no limit if none.
    pub(crate) room: Option<usize>,
    /// How many more times something can be changed before the device fails; no limit if none.
    pub(crate) changes_left: Option<u64>,
    /// Whether shortening and removing files fails.
    pub(crate) stuck: bool,
}

impl TestDisk {
    /// Makes everything durable.
    pub(crate) fn sync(&mut self) {
        self.synced = self.files.iter().map(|(file, bytes)| (*file, bytes.len())).collect();
    }

    /// All bytes of all files that are not durable, in the order of the log.
    pub(crate) fn unsynced_len(&self) -> usize {
        self.files.iter().map(|(file, bytes)| bytes.len() - self.synced_len(*file)).sum()
    }

    /// The disk after a crash that the first `kept` unsynced bytes survive. Of a file that gets none
    /// the name survives, if `names` do.
    pub(crate) fn crash_after(&self, mut kept: usize, names: bool) -> Self {
        let mut after = Self::default();
        for (file, bytes) in &self.files {
            let synced = self.synced_len(*file);
            let take = kept.min(bytes.len() - synced);
            kept -= take;
            if self.synced.contains_key(file) || take > 0 || names {
                after.files.insert(*file, bytes[..synced + take].to_vec());
            }
        }
        after.sync();
        after
    }

    /// The disk after a crash in which every unsynced sector is new, empty or garbage on its own, and
    /// every file ends anywhere behind what was synced.
    pub(crate) fn crash_torn(&self, rng: &mut Rng) -> Self {
        let mut after = Self::default();
        for (file, bytes) in &self.files {
            let synced = self.synced_len(*file);
            let mut bytes = bytes.clone();
            for start in (0..bytes.len()).step_by(SECTOR) {
                let sector = start.max(synced)..bytes.len().min(start + SECTOR).max(synced);
                match rng.below(4) {
                    0 => bytes[sector].fill(0),
                    1 => bytes[sector].iter_mut().for_each(|byte| *byte = rng.any() as u8),
                    _ => {}
                }
            }
            if rng.below(3) == 0 {
                bytes.truncate(rng.between(synced as u64, bytes.len() as u64) as usize);
            }
            if self.synced.contains_key(file) || rng.below(4) > 0 {
                after.files.insert(*file, bytes);
            }
        }
        after.sync();
        after
    }

    fn synced_len(&self, file: FileId) -> usize {
        self.synced.get(&file).copied().unwrap_or(0)
    }

    fn bytes(&mut self, file: FileId) -> Result<&mut Vec<u8>, DiskError> {
        self.files.get_mut(&file).ok_or(DiskError::NotFound)
    }

    fn change(&mut self) -> Result<(), DiskError> {
        match &mut self.changes_left {
            Some(0) => Err(DiskError::Io("the power is gone".into())),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Disk for TestDisk {
    fn create(&mut self, file: FileId) -> Result<(), DiskError> {
        self.change()?;
        match self.files.insert(file, Vec::new()) {
            None => Ok(()),
            Some(_) => Err(DiskError::Exists),
        }
    }

    fn append(&mut self, file: FileId, bytes: &[u8]) -> Result<(), DiskError> {
        self.change()?;
        let fitting = bytes.len().min(self.room.unwrap_or(usize::MAX));
        self.room = self.room.map(|room| room - fitting);
        self.bytes(file)?.extend_from_slice(&bytes[..fitting]);
        if fitting == bytes.len() { Ok(()) } else { Err(DiskError::Full) }
    }

    fn write_at(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.change()?;
        let end = offset as usize + bytes.len();
        let all = self.bytes(file)?;
        all.resize(all.len().max(end), 0);
        all[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&mut self, file: FileId, offset: u64, length: u64) -> Result<Vec<u8>, DiskError> {
        let range = offset as usize..(offset + length) as usize;
        self.bytes(file)?.get(range).map(<[u8]>::to_vec).ok_or(DiskError::OutOfBounds)
    }

    fn len(&mut self, file: FileId) -> Result<u64, DiskError> {
        Ok(self.bytes(file)?.len() as u64)
    }

    fn truncate(&mut self, file: FileId, length: u64) -> Result<(), DiskError> {
        self.change()?;
        if self.stuck {
            return Err(DiskError::Io("stuck".into()));
        }
        let bytes = self.bytes(file)?;
        let freed = bytes.len() - length as usize;
        bytes.truncate(length as usize);
        self.room = self.room.map(|room| room + freed);
        Ok(())
    }

    fn remove(&mut self, file: FileId) -> Result<(), DiskError> {
        self.change()?;
        if self.stuck {
            return Err(DiskError::Io("stuck".into()));
        }
        let bytes = self.files.remove(&file).ok_or(DiskError::NotFound)?;
        self.room = self.room.map(|room| room + bytes.len());
        Ok(())
    }

    fn list(&mut self) -> Result<Vec<FileId>, DiskError> {
        Ok(self.files.keys().copied().collect())
    }
}
