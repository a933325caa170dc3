//! A node's files in a folder of the machine.
//!
//! A file has a number for a name (`0000000000000001.log`). Writes go to the operating system and are
//! noted in a list of what is not yet durable; [`LogSync`] takes that list and waits for the device, on
//! a thread of its own. The existence of files counts as well: a sync that covers a new file also syncs
//! the folder. A lock keeps a second process out.
//!
//! Left out: caching (the operating system's is used) and direct I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kv_core::disk::{Disk, DiskError};
use kv_core::id::{FileId, LogPosition};

const LOCK_FILE: &str = "lock";

/// The files of one node.
#[derive(Debug)]
pub(crate) struct FileDisk {
    folder: Arc<Folder>,
    files: BTreeMap<FileId, OpenFile>,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    unsynced: Mutex<Unsynced>,
    /// Held, never read: the lock ends with the process.
    _lock: File,
}

/// What a crash of the machine would lose.
#[derive(Debug, Default)]
struct Unsynced {
    files: BTreeMap<FileId, Arc<File>>,
    /// Files came or went.
    folder: bool,
}

#[derive(Debug)]
struct OpenFile {
    file: Arc<File>,
    length: u64,
}

impl FileDisk {
    /// Opens a data folder, making it if need be, and keeps every other process out.
    pub(crate) fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |error| FolderError::Unusable { path: path.to_owned(), error };
        make_folder(path).map_err(failed)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK_FILE))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FolderError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let folder = Folder { path: path.to_owned(), unsynced: Mutex::default(), _lock: lock };
        let mut disk = Self { folder: Arc::new(folder), files: BTreeMap::new() };
        disk.distrust().map_err(|error| failed(io::Error::other(error)))?;
        Ok(disk)
    }

    /// Counts every file as not durable: the process that wrote it may have been killed before a sync.
    fn distrust(&mut self) -> Result<(), DiskError> {
        for file in self.list()? {
            let handle = Arc::clone(&self.opened(file)?.file);
            self.folder.unsynced().files.insert(file, handle);
        }
        self.folder.unsynced().folder = true;
        Ok(())
    }

    /// Another handle to the same folder, for jobs.
    pub(crate) fn another(&self) -> Self {
        Self { folder: Arc::clone(&self.folder), files: BTreeMap::new() }
    }

    /// What makes this folder's log durable.
    pub(crate) fn log_sync(&self) -> LogSync {
        LogSync { folder: Arc::clone(&self.folder) }
    }

    fn path(&self, file: FileId) -> PathBuf {
        self.folder.path.join(format!("{:016}.log", file.0))
    }

    fn opened(&mut self, file: FileId) -> Result<&mut OpenFile, DiskError> {
        if !self.files.contains_key(&file) {
            let opened = OpenOptions::new().read(true).write(true).open(self.path(file));
            let opened = OpenFile::new(opened.map_err(disk_error)?)?;
            self.files.insert(file, opened);
        }
        self.files.get_mut(&file).ok_or(DiskError::NotFound)
    }

    /// Writes at an offset and notes that the file is not durable, even if only a part was written.
    fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let opened = self.opened(file)?;
        let written = opened.file.write_all_at(bytes, offset);
        let handle = Arc::clone(&opened.file);
        match written {
            Ok(()) => opened.length = opened.length.max(offset + bytes.len() as u64),
            Err(_) => opened.length = handle.metadata().map_err(disk_error)?.len(),
        }
        self.folder.unsynced().files.insert(file, handle);
        written.map_err(disk_error)
    }
}

impl Disk for FileDisk {
    fn create(&mut self, file: FileId) -> Result<(), DiskError> {
        let created =
            OpenOptions::new().read(true).write(true).create_new(true).open(self.path(file));
        let opened = OpenFile::new(created.map_err(disk_error)?)?;
        let mut unsynced = self.folder.unsynced();
        unsynced.folder = true;
        unsynced.files.insert(file, Arc::clone(&opened.file));
        drop(unsynced);
        self.files.insert(file, opened);
        Ok(())
    }

    fn append(&mut self, file: FileId, bytes: &[u8]) -> Result<(), DiskError> {
        let end = self.opened(file)?.length;
        self.write(file, end, bytes)
    }

    fn write_at(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.write(file, offset, bytes)
    }

    fn read_at(&mut self, file: FileId, offset: u64, length: u64) -> Result<Vec<u8>, DiskError> {
        let opened = self.opened(file)?;
        if offset.checked_add(length).is_none_or(|end| end > opened.length) {
            return Err(DiskError::OutOfBounds);
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| DiskError::OutOfBounds)?];
        opened.file.read_exact_at(&mut bytes, offset).map_err(disk_error)?;
        Ok(bytes)
    }

    fn len(&mut self, file: FileId) -> Result<u64, DiskError> {
        Ok(self.opened(file)?.length)
    }

    fn truncate(&mut self, file: FileId, length: u64) -> Result<(), DiskError> {
        let opened = self.opened(file)?;
        opened.file.set_len(length).map_err(disk_error)?;
        opened.length = length;
        let handle = Arc::clone(&opened.file);
        self.folder.unsynced().files.insert(file, handle);
        Ok(())
    }

    fn remove(&mut self, file: FileId) -> Result<(), DiskError> {
        fs::remove_file(self.path(file)).map_err(disk_error)?;
        self.files.remove(&file);
        let mut unsynced = self.folder.unsynced();
        unsynced.folder = true;
        unsynced.files.remove(&file);
        Ok(())
    }

    fn list(&mut self) -> Result<Vec<FileId>, DiskError> {
        let mut files = BTreeSet::new();
        for entry in fs::read_dir(&self.folder.path).map_err(disk_error)? {
            files.extend(number_of(&entry.map_err(disk_error)?.file_name().to_string_lossy()));
        }
        Ok(files.into_iter().collect())
    }
}

/// The number in the name of a file of the node; none for any other file, which is left alone.
fn number_of(name: &str) -> Option<FileId> {
    let digits = name.strip_suffix(".log")?;
    let all_digits = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok().map(FileId)).flatten()
}

/// Waits for the device until a folder's log is durable.
#[derive(Debug)]
pub(crate) struct LogSync {
    folder: Arc<Folder>,
}

impl LogSync {
    /// Makes everything durable that was written up to a position before this call. After an error it
    /// is not known what is durable: the operating system may have dropped what it could not write, so
    /// a second attempt would prove nothing.
    pub(crate) fn sync(&self, upto: LogPosition) -> Result<(), DiskError> {
        let (files, folder) = {
            let mut unsynced = self.folder.unsynced();
            let later = unsynced.files.split_off(&FileId(upto.segment.0.saturating_add(1)));
            let files = std::mem::replace(&mut unsynced.files, later);
            (files, std::mem::take(&mut unsynced.folder))
        };
        for file in files.values() {
            file.sync_data().map_err(disk_error)?;
        }
        if folder {
            sync_folder(&self.folder.path).map_err(disk_error)?;
        }
        Ok(())
    }
}

impl Folder {
    fn unsynced(&self) -> MutexGuard<'_, Unsynced> {
        // Every change of the list is one insert or remove, so it is whole even after a panic.
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenFile {
    fn new(file: File) -> Result<Self, DiskError> {
        let length = file.metadata().map_err(disk_error)?.len();
        Ok(Self { file: Arc::new(file), length })
    }
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
    File::open(path)?.sync_all()
}

fn disk_error(error: io::Error) -> DiskError {
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
pub(crate) enum FolderError {
    /// Another process has it.
    InUse(PathBuf),
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
                "the data folder {} is in use by another kv process; stop that one, or give this node a folder of its own with --data DIR",
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

    fn disk() -> (tempfile::TempDir, FileDisk) {
        let folder = tempfile::tempdir().unwrap();
        let disk = FileDisk::open(&folder.path().join("a/b")).unwrap();
        (folder, disk)
    }

    #[test]
    fn files_keep_what_is_written_and_are_listed_by_number() {
        let (_folder, mut disk) = disk();
        disk.create(FileId(10)).unwrap();
        disk.create(FileId(2)).unwrap();
        assert_eq!(disk.create(FileId(2)), Err(DiskError::Exists));
        fs::write(disk.folder.path.join("notes.log"), "not the node's").unwrap();
        assert_eq!(disk.list(), Ok(vec![FileId(2), FileId(10)]));

        disk.append(FileId(2), b"hello ").unwrap();
        disk.append(FileId(2), b"world").unwrap();
        disk.write_at(FileId(2), 0, b"H").unwrap();
        assert_eq!(disk.another().read_at(FileId(2), 0, 11), Ok(b"Hello world".to_vec()));
        disk.truncate(FileId(2), 5).unwrap();
        disk.append(FileId(2), b"!").unwrap();
        assert_eq!(disk.read_at(FileId(2), 4, 2), Ok(b"o!".to_vec()));
        assert_eq!(disk.len(FileId(2)), Ok(6));
    }

    #[test]
    fn reading_past_the_end_or_nowhere_is_an_error() {
        let (_folder, mut disk) = disk();
        disk.create(FileId(1)).unwrap();
        disk.append(FileId(1), b"abc").unwrap();
        assert_eq!(disk.read_at(FileId(1), 1, 3), Err(DiskError::OutOfBounds));
        assert_eq!(disk.read_at(FileId(1), u64::MAX, 2), Err(DiskError::OutOfBounds));
        disk.remove(FileId(1)).unwrap();
        assert_eq!(disk.len(FileId(1)), Err(DiskError::NotFound));
    }

    #[test]
    fn a_sync_takes_what_was_written_up_to_its_position() {
        let (_folder, mut disk) = disk();
        let sync = disk.log_sync();
        for file in [1, 2] {
            disk.create(FileId(file)).unwrap();
            disk.append(FileId(file), b"x").unwrap();
        }
        sync.sync(LogPosition { segment: FileId(1), offset: 1 }).unwrap();
        let unsynced = disk.folder.unsynced();
        assert_eq!(unsynced.files.keys().collect::<Vec<_>>(), [&FileId(2)]);
        assert!(!unsynced.folder);
    }

    #[test]
    fn the_first_sync_covers_what_an_earlier_process_wrote() {
        let (_folder, mut disk) = disk();
        disk.create(FileId(1)).unwrap();
        let path = disk.folder.path.clone();
        drop(disk);
        let disk = FileDisk::open(&path).unwrap();
        let unsynced = disk.folder.unsynced();
        assert!(unsynced.folder && unsynced.files.contains_key(&FileId(1)));
    }

    #[test]
    fn a_folder_is_opened_once_and_an_unusable_one_says_so() {
        let (_folder, disk) = disk();
        let path = disk.folder.path.clone();
        let words = FileDisk::open(&path).unwrap_err().to_string();
        assert!(words.contains("in use by another kv process"), "{words}");
        drop(disk);
        FileDisk::open(&path).unwrap();

        let file = path.join("file");
        fs::write(&file, "").unwrap();
        let words = FileDisk::open(&file.join("data")).unwrap_err().to_string();
        assert!(words.contains("cannot be used"), "{words}");
    }
}
