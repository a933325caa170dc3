//! One open file, and the buffer in front of a log segment.
//!
//! A log grows by many small records. Those that follow each other are gathered in memory and go to the
//! operating system when there are enough of them, when the file is read, and when it is synced. There
//! are two locks: `pending` is held only to copy memory, so whoever appends does not wait while another
//! thread writes out under `writing`. Only bytes within the room that a file was created with are
//! gathered: those cannot fail for want of it later.
//!
//! Whoever is about to sync can wait for more writes to come ([`OpenFile::await_writes`]).
//!
//! A sync is cheaper if all it covers replaces bytes that were written before: then the file system has
//! nothing to record. So a small sync of a log first writes zeros some way ahead, for the next ones.

use std::fs::File;
use std::io;
use std::mem;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use kv_core::disk::DiskError;

use super::folder::disk_error;

/// When so many bytes are gathered, they go out.
const GATHERED: usize = 64 * 1_024;
/// How far ahead of the end of a log zeros are written.
const AHEAD: u64 = 256 * 1_024;
/// A sync of more bytes than this is not made faster by zeros.
const SMALL: u64 = AHEAD / 4;

/// An open file, shared by all who use it.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: File,
    /// Its length in bytes.
    length: AtomicU64,
    /// The change of the folder that it came with.
    pub(super) came: u64,
    /// Whether something was written since the last sync began.
    dirty: AtomicBool,
    /// The end of what was written to the log that is known to be durable.
    durable: AtomicU64,
    /// Why nothing is known of what is on the device.
    failed: OnceLock<DiskError>,
    /// Stands in front of a log segment.
    buffer: Option<Buffer>,
}

#[derive(Debug)]
struct Buffer {
    pending: Mutex<Pending>,
    writing: Mutex<Writing>,
    /// Somebody waits for so many writes, and there are.
    enough: Condvar,
}

/// Bytes that follow each other.
#[derive(Debug, Default)]
struct Pending {
    offset: u64,
    bytes: Vec<u8>,
    /// How many writes there ever were.
    writes: u64,
    /// Where the last of them ended.
    end: u64,
    /// For how many writes somebody waits.
    awaited: u64,
}

/// How far a log segment was written.
#[derive(Debug, Default)]
struct Writing {
    /// The other half of the buffer, empty while nobody writes out.
    spare: Vec<u8>,
    /// The end of what was written.
    end: u64,
    /// The end of that and of the zeros ahead of it.
    zeros: u64,
    /// How many bytes were written since the last sync.
    unsynced: u64,
}

impl OpenFile {
    /// A file that was there before. Nobody knows what of it is durable, nor where it was written.
    pub(super) fn found(file: File, came: u64, is_log: bool) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let writing = Writing { end: length, zeros: length, ..Writing::default() };
        Ok(Self::new(file, length, came, is_log.then_some(writing)))
    }

    /// A new file of so many bytes, which nobody has written to.
    pub(super) fn created(file: File, length: u64, came: u64, is_log: bool) -> Self {
        Self::new(file, length, came, is_log.then(Writing::default))
    }

    fn new(file: File, length: u64, came: u64, writing: Option<Writing>) -> Self {
        let buffer = |writing| Buffer {
            pending: Mutex::default(),
            writing: Mutex::new(writing),
            enough: Condvar::new(),
        };
        Self {
            file,
            length: AtomicU64::new(length),
            came,
            dirty: AtomicBool::new(true),
            durable: AtomicU64::new(0),
            failed: OnceLock::new(),
            buffer: writing.map(buffer),
        }
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// Replaces bytes at an offset.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let end = offset.checked_add(bytes.len() as u64).ok_or(DiskError::OutOfBounds)?;
        let gathered = match &self.buffer {
            Some(buffer) if end <= self.len() => buffer.gather(offset, bytes),
            _ => Gathered::None,
        };
        let written = match gathered {
            Gathered::Few => Ok(()),
            Gathered::Enough => self.write_out().map(drop),
            Gathered::None => self.write_through(offset, bytes),
        };
        self.dirty.store(true, Ordering::Release);
        written
    }

    /// Reads exactly `length` bytes.
    pub(super) fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, DiskError> {
        if offset.checked_add(length).is_none_or(|end| end > self.len()) {
            return Err(DiskError::OutOfBounds);
        }
        self.write_out()?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| DiskError::OutOfBounds)?];
        self.file.read_exact_at(&mut bytes, offset).map_err(disk_error)?;
        Ok(bytes)
    }

    /// Shortens it.
    pub(super) fn truncate(&self, length: u64) -> Result<(), DiskError> {
        if length > self.len() {
            return Err(DiskError::OutOfBounds);
        }
        self.write_out()?;
        self.dirty.store(true, Ordering::Release);
        self.file.set_len(length).map_err(disk_error)?;
        self.length.store(length, Ordering::Release);
        Ok(())
    }

    /// Makes durable what was written before this call. After an error nothing is known of the file: the
    /// operating system may have dropped what it could not write. So every later call fails as well.
    /// Returns where what is durable of a log ends, as far as it was written since it was opened.
    pub(super) fn sync(&self) -> Result<u64, DiskError> {
        if self.dirty.swap(false, Ordering::AcqRel) {
            let end = self.write_out()?;
            let synced =
                self.write_zeros().and_then(|()| wait_for_device(&self.file, File::sync_data));
            synced.map_err(|error| self.fail(error))?;
            self.durable.fetch_max(end, Ordering::AcqRel);
        }
        let durable = self.durable.load(Ordering::Acquire);
        self.failed.get().map_or(Ok(durable), |error| Err(error.clone()))
    }

    /// How many writes to the log there ever were.
    pub(super) fn writes(&self) -> u64 {
        self.buffer.as_ref().map_or(0, |buffer| held(&buffer.pending).writes)
    }

    /// Waits until there were so many writes to the log, but no longer than this.
    pub(super) fn await_writes(&self, writes: u64, at_most: Duration) {
        let Some(buffer) = &self.buffer else { return };
        let mut pending = held(&buffer.pending);
        pending.awaited = writes;
        let few = |pending: &mut Pending| pending.writes < writes;
        let waited = buffer.enough.wait_timeout_while(pending, at_most, few);
        waited.unwrap_or_else(PoisonError::into_inner).0.awaited = 0;
    }

    /// Hands what was gathered to the operating system. Returns where what was written by then ends.
    fn write_out(&self) -> Result<u64, DiskError> {
        let Some(buffer) = &self.buffer else { return Ok(0) };
        self.write_gathered(buffer, &mut held(&buffer.writing))
    }

    /// The same under the lock. It was accepted before, so whatever hinders that now, even want of room,
    /// is a failure of the device.
    fn write_gathered(&self, buffer: &Buffer, writing: &mut Writing) -> Result<u64, DiskError> {
        let mut pending = held(&buffer.pending);
        let (offset, end) = (pending.offset, pending.end);
        mem::swap(&mut pending.bytes, &mut writing.spare);
        drop(pending);
        let written = self.file.write_all_at(&writing.spare, offset);
        let bytes = writing.spare.len() as u64;
        writing.wrote(offset, bytes);
        writing.spare.clear();
        written.map(|()| end).map_err(|error| self.fail(error))
    }

    /// Writes at once.
    fn write_through(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        // Held to the end, or a sync would take these bytes for room and write its zeros over them.
        let mut writing = self.buffer.as_ref().map(|buffer| (buffer, held(&buffer.writing)));
        if let Some((buffer, writing)) = &mut writing {
            // What was gathered came before, and may be of the same place.
            self.write_gathered(buffer, writing)?;
        }
        let written = self.file.write_all_at(bytes, offset).map_err(disk_error);
        let end = match written {
            Ok(()) => offset + bytes.len() as u64,
            // A part of them may be there.
            Err(_) => self.file.metadata().map_err(disk_error)?.len(),
        };
        self.length.fetch_max(end, Ordering::AcqRel);
        if let Some((buffer, writing)) = &mut writing {
            writing.wrote(offset, bytes.len() as u64);
            if written.is_ok() {
                buffer.wrote(&mut held(&buffer.pending), end);
            }
        }
        written
    }

    /// Writes zeros ahead of the end, if there are none and the sync is a small one.
    fn write_zeros(&self) -> io::Result<()> {
        let Some(buffer) = &self.buffer else { return Ok(()) };
        let mut writing = held(&buffer.writing);
        let unsynced = mem::take(&mut writing.unsynced);
        let end = writing.end.saturating_add(AHEAD).min(self.len());
        if unsynced <= SMALL && writing.zeros <= writing.end && writing.end < end {
            let zeros = vec![0; (end - writing.end) as usize];
            self.file.write_all_at(&zeros, writing.end)?;
            writing.zeros = end;
        }
        Ok(())
    }

    fn fail(&self, error: io::Error) -> DiskError {
        self.failed.get_or_init(|| DiskError::Io(error.to_string())).clone()
    }
}

/// What became of bytes that were to be gathered.
enum Gathered {
    /// They were.
    Few,
    /// They were, and all should go out now.
    Enough,
    /// They do not follow what was gathered before, or need no company.
    None,
}

impl Buffer {
    fn gather(&self, offset: u64, bytes: &[u8]) -> Gathered {
        let mut pending = held(&self.pending);
        if pending.bytes.is_empty() {
            pending.offset = offset;
        }
        let end = pending.offset + pending.bytes.len() as u64;
        if end != offset || bytes.len() >= GATHERED {
            return Gathered::None;
        }
        pending.bytes.extend_from_slice(bytes);
        self.wrote(&mut pending, offset + bytes.len() as u64);
        if pending.bytes.len() < GATHERED { Gathered::Few } else { Gathered::Enough }
    }

    /// Something was written that ends here.
    fn wrote(&self, pending: &mut Pending, end: u64) {
        pending.writes += 1;
        pending.end = end;
        if pending.awaited == pending.writes {
            self.enough.notify_one();
        }
    }
}

impl Writing {
    fn wrote(&mut self, offset: u64, bytes: u64) {
        self.unsynced += bytes;
        if bytes > 0 {
            self.end = self.end.max(offset + bytes);
        }
    }
}

/// Locks. What is locked here is changed in steps that cannot panic, so it is whole in any case.
pub(super) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until a file, or a folder, is on the device.
pub(super) fn wait_for_device(file: &File, sync: fn(&File) -> io::Result<()>) -> io::Result<()> {
    #[cfg(test)]
    super::tests::waiting_for(file);
    sync(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failed_sync_every_later_one_fails_alike() {
        // The first of these cannot be synced; the second is full, which shows only then.
        for (device, is_log) in [("/dev/null", false), ("/dev/full", true)] {
            let device = File::options().write(true).open(device).unwrap();
            let file = OpenFile::created(device, 100, 1, is_log);
            file.write(0, b"record").unwrap();
            let failed = file.sync();
            assert!(matches!(failed, Err(DiskError::Io(_))), "{failed:?}");
            assert_eq!(file.sync(), failed);
        }
    }
}
