//! The folder of a node: its lock, the names of its files, and which of them are there.
//!
//! All files are open while the folder is, in one table that every handle shares; so a file that one of
//! them removes is gone for all. That a file exists becomes durable with the folder. Its changes are
//! counted, and each file knows with which of them it came, so a sync can tell whether the folder has
//! to be synced too. No lock that is held while the device works is ever taken to create a file.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use kv_core::disk::DiskError;
use kv_core::id::{FileId, FileKind};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};

use super::file::{OpenFile, held, wait_for_device};

const LOCK_FILE: &str = "lock";

/// A data folder, open in this process alone.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    files: RwLock<BTreeMap<FileId, Arc<OpenFile>>>,
    /// How many files have come so far; what was found at first is the first of them.
    changes: AtomicU64,
    /// How many of these changes are durable, until the folder could not be synced.
    durable: Mutex<Result<u64, DiskError>>,
    /// Held, never read: the lock ends with the process. None in a copy that has no lock file.
    _lock: Option<File>,
}

impl Folder {
    /// Opens a folder with all its files, making it if need be.
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |error| FolderError::Unusable { path: path.to_owned(), error };
        make_folder(path).map_err(failed)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK_FILE))
            .map_err(failed)?;
        locked(path, lock.try_lock())?;
        let files = found(path, OpenOptions::new().read(true).write(true)).map_err(failed)?;
        Ok(Self::of(path, files, Some(lock)))
    }

    /// Opens a folder to look into its files, which cannot be written to then. Nodes are kept out, others
    /// who only look are not.
    pub(super) fn open_to_read(path: &Path) -> Result<Self, FolderError> {
        let failed = |error| FolderError::Unusable { path: path.to_owned(), error };
        let lock = match File::open(path.join(LOCK_FILE)) {
            Ok(lock) => {
                locked(path, lock.try_lock_shared())?;
                Some(lock)
            }
            Err(error) if is_absent(&error) => None,
            Err(error) => return Err(failed(error)),
        };
        match found(path, OpenOptions::new().read(true)) {
            Ok(files) if files.is_empty() => Err(FolderError::NoData(path.to_owned())),
            Ok(files) => Ok(Self::of(path, files, lock)),
            Err(error) if is_absent(&error) => Err(FolderError::NoData(path.to_owned())),
            Err(error) => Err(failed(error)),
        }
    }

    fn of(path: &Path, files: BTreeMap<FileId, Arc<OpenFile>>, lock: Option<File>) -> Self {
        Self {
            path: path.to_owned(),
            files: RwLock::new(files),
            changes: AtomicU64::new(FOUND),
            durable: Mutex::new(Ok(0)),
            _lock: lock,
        }
    }

    /// A file.
    pub(super) fn file(&self, file: FileId) -> Result<Arc<OpenFile>, DiskError> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        files.get(&file).map(Arc::clone).ok_or(DiskError::NotFound)
    }

    /// The ids of all files, in ascending order.
    pub(super) fn list(&self) -> Vec<FileId> {
        self.files.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// The log up to a segment. No other file is held on to: whoever lets go of a removed one last must
    /// wait until all of it is freed.
    pub(super) fn log(&self, upto: FileId) -> Vec<Arc<OpenFile>> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        files
            .range(..=upto)
            .filter(|(id, _)| is_log(**id))
            .map(|(_, file)| Arc::clone(file))
            .collect()
    }

    /// Makes a file of zeros, with room for them on the device; or no file, and an error.
    pub(super) fn create(&self, file: FileId, room: u64) -> Result<(), DiskError> {
        let path = self.path.join(name_of(file));
        let created = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let created = created.map_err(disk_error)?;
        if let Err(error) = allocate(&created, room) {
            // The first error is the one that tells; a file that stays is one that nothing names.
            drop(fs::remove_file(&path));
            return Err(disk_error(error));
        }
        let came = self.changes.fetch_add(1, Ordering::AcqRel) + 1;
        let opened = Arc::new(OpenFile::created(created, room, came, is_log(file)));
        self.files.write().unwrap_or_else(PoisonError::into_inner).insert(file, opened);
        Ok(())
    }

    /// Removes a file.
    pub(super) fn remove(&self, file: FileId) -> Result<(), DiskError> {
        // Not under the lock: to remove and to close a large file takes long.
        fs::remove_file(self.path.join(name_of(file))).map_err(disk_error)?;
        let removed = self.files.write().unwrap_or_else(PoisonError::into_inner).remove(&file);
        drop(removed);
        Ok(())
    }

    /// Makes a file durable: all that was written to it, and that it exists. Returns where what is
    /// durable of a log ends ([`OpenFile::sync`]).
    pub(super) fn sync(&self, file: &OpenFile) -> Result<u64, DiskError> {
        let end = file.sync()?;
        let mut durable = held(&self.durable);
        if durable.clone()? < file.came {
            let changes = self.changes.load(Ordering::Acquire);
            *durable = sync_folder(&self.path).map(|()| changes).map_err(disk_error);
        }
        durable.clone().map(|_| end)
    }
}

/// The change with which all files came that were there when the folder was opened.
const FOUND: u64 = 1;

fn locked(path: &Path, attempt: Result<(), TryLockError>) -> Result<(), FolderError> {
    attempt.map_err(|error| match error {
        TryLockError::WouldBlock => FolderError::InUse(path.to_owned()),
        TryLockError::Error(error) => FolderError::Unusable { path: path.to_owned(), error },
    })
}

/// Whether there is no such file, or no such folder to look for it.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Opens all files of the node in a folder. Others are left alone.
fn found(folder: &Path, how: &OpenOptions) -> io::Result<BTreeMap<FileId, Arc<OpenFile>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(id) = id_of(&entry.file_name().to_string_lossy()) {
            let file = how.open(entry.path())?;
            files.insert(id, Arc::new(OpenFile::found(file, FOUND, is_log(id))?));
        }
    }
    Ok(files)
}

/// Gives a new file its length and the device's promise of room for it.
fn allocate(file: &File, room: u64) -> io::Result<()> {
    if room == 0 {
        return Ok(());
    }
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, room)) {
        Ok(()) => file.set_len(room),
        // This file system cannot promise room, so it is taken.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => write_zeros(file, room),
        Err(error) => Err(error.into()),
    }
}

fn write_zeros(mut file: &File, mut length: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    while length > 0 {
        let part = usize::try_from(length).map_or(zeros.len(), |left| left.min(zeros.len()));
        file.write_all(&zeros[..part])?;
        length -= part as u64;
    }
    Ok(())
}

fn is_log(file: FileId) -> bool {
    file.kind() == Some(FileKind::Log)
}

/// The name of a file: `0000000000000001.log`, `0000000000000002.sst`, `0.root`, `reserve`.
pub(super) fn name_of(file: FileId) -> String {
    let number = file.number();
    match file.kind() {
        Some(FileKind::Log) => format!("{number:016}.log"),
        Some(FileKind::Table) => format!("{number:016}.sst"),
        Some(FileKind::Root) => format!("{number}.root"),
        Some(FileKind::Reserve) => "reserve".to_owned(),
        None => format!("{}.file", file.0),
    }
}

/// The file of this name; none for a name that no file of a node has.
fn id_of(name: &str) -> Option<FileId> {
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    let number = || stem.parse().ok().filter(|number| *number < FileId::NUMBERS);
    let file = match (stem, ending) {
        ("0", "root") => FileId::ROOTS[0],
        ("1", "root") => FileId::ROOTS[1],
        ("reserve", "") => FileId::RESERVE,
        (_, "log") => FileId::log(number()?),
        (_, "sst") => FileId::table(number()?),
        _ => return None,
    };
    (name_of(file) == name).then_some(file)
}

/// Makes a folder with all above it; each new one exists durably when this returns.
fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_folder(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !path.is_dir() => Err(error),
        _ => sync_folder(parent),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    wait_for_device(&File::open(path)?, File::sync_all)
}

/// What an error of the operating system means to a node.
pub(super) fn disk_error(error: io::Error) -> DiskError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskError::Full,
        ErrorKind::NotFound => DiskError::NotFound,
        ErrorKind::AlreadyExists => DiskError::Exists,
        ErrorKind::UnexpectedEof => DiskError::OutOfBounds,
        _ => DiskError::Io(error.to_string()),
    }
}

/// Why a data folder cannot be used. Nothing in it was changed.
#[derive(Debug)]
pub enum FolderError {
    /// Another process has it.
    InUse(PathBuf),
    /// There is no file of a node in it.
    NoData(PathBuf),
    /// The operating system refuses.
    Unusable {
        /// Which folder.
        path: PathBuf,
        /// Its words.
        error: io::Error,
    },
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => write!(
                f,
                "the data folder {} is in use by another kv process; stop that one, or give a node another folder with --data DIR",
                path.display()
            ),
            Self::NoData(path) => write!(
                f,
                "{} is no data folder: there is no file of a node in it; name the folder that kv node was given with --data",
                path.display()
            ),
            Self::Unusable { path, error } => write!(
                f,
                "the data folder {} cannot be used: {error}; make it writable, or choose another with --data DIR",
                path.display()
            ),
        }
    }
}

impl std::error::Error for FolderError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_name_and_no_other_name_is_taken_for_one() {
        let files = [
            (FileId::log(1), "0000000000000001.log"),
            (FileId::table(FileId::NUMBERS - 1), "0281474976710655.sst"),
            (FileId::ROOTS[0], "0.root"),
            (FileId::ROOTS[1], "1.root"),
            (FileId::RESERVE, "reserve"),
        ];
        for (file, name) in files {
            assert_eq!((name_of(file).as_str(), id_of(name)), (name, Some(file)));
        }
        let foreign =
            ["1.log", "+000000000000001.log", "0281474976710656.sst", "2.root", "reserve."];
        for name in foreign.into_iter().chain(["", "lock", "notes.log", "9999999999999999.log"]) {
            assert_eq!(id_of(name), None, "{name}");
        }
    }
}
