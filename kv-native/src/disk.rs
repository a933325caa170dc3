//! A node's files in a folder of the machine.
//!
//! [`FileDisk`] is a handle for one thread: the node's, or that of a job, which may wait for the device
//! ([`JobDisk`]). [`LogSync`] waits for it in place of the node, on a thread of its own. All of them
//! share what is open ([`folder`]), and the log has a buffer of its own ([`mod@file`]). A lock keeps a
//! second process out.
//!
//! Left out: caching of what was read (the operating system's is used, and the store has one), and
//! direct I/O.

mod file;
mod folder;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kv_core::disk::{Disk, DiskError, JobDisk};
use kv_core::id::{FileId, LogPosition};

use folder::Folder;
pub use folder::FolderError;

/// The files of one node.
#[derive(Debug)]
pub struct FileDisk {
    folder: Arc<Folder>,
}

impl FileDisk {
    /// Opens a data folder, making it if need be, and keeps every other process out.
    ///
    /// The process that wrote the files may have been killed before a sync. So the log counts as not
    /// durable, until it is synced; and a root, on whose word files will be removed, is made so at once.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let folder = Arc::new(Folder::open(path)?);
        for root in FileId::ROOTS {
            let Ok(file) = folder.file(root) else { continue };
            folder.sync(&file).map_err(|error| FolderError::Unusable {
                path: path.to_owned(),
                error: io::Error::other(error),
            })?;
        }
        Ok(Self { folder })
    }

    /// Opens a data folder to look into it. It must exist, nothing in it is changed, and no node can open
    /// it meanwhile.
    pub fn open_to_read(path: &Path) -> Result<impl Disk + use<>, FolderError> {
        Ok(Self { folder: Arc::new(Folder::open_to_read(path)?) })
    }

    /// Another handle to the same files, for jobs.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { folder: Arc::clone(&self.folder) }
    }

    /// What makes this folder's log durable.
    #[must_use]
    pub fn log_sync(&self) -> LogSync {
        LogSync { folder: Arc::clone(&self.folder), last: None }
    }
}

/// The name of a file in its folder.
#[must_use]
pub fn file_name(file: FileId) -> String {
    folder::name_of(file)
}

impl Disk for FileDisk {
    fn create(&mut self, file: FileId, room: u64) -> Result<(), DiskError> {
        self.folder.create(file, room)
    }

    fn append(&mut self, file: FileId, bytes: &[u8]) -> Result<(), DiskError> {
        let file = self.folder.file(file)?;
        file.write(file.len(), bytes)
    }

    fn write_at(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.folder.file(file)?.write(offset, bytes)
    }

    fn read_at(&self, file: FileId, offset: u64, length: u64) -> Result<Vec<u8>, DiskError> {
        self.folder.file(file)?.read(offset, length)
    }

    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        Ok(self.folder.file(file)?.len())
    }

    fn truncate(&mut self, file: FileId, length: u64) -> Result<(), DiskError> {
        self.folder.file(file)?.truncate(length)
    }

    fn remove(&mut self, file: FileId) -> Result<(), DiskError> {
        self.folder.remove(file)
    }

    fn list(&self) -> Result<Vec<FileId>, DiskError> {
        Ok(self.folder.list())
    }
}

impl JobDisk for FileDisk {
    fn sync(&mut self, file: FileId) -> Result<(), DiskError> {
        self.folder.sync(&*self.folder.file(file)?).map(drop)
    }
}

/// Waits for the device until a folder's log is durable.
///
/// Many who write and wait fall into two halves: one is being synced while the other writes, and each
/// sync covers half of what it could. So a sync first waits a little for those whom the one before it has
/// set free, if there were any: until as many writes have come as that covered, and at most an eighth of
/// the time it took. Who writes alone is not waited for.
#[derive(Debug)]
pub struct LogSync {
    folder: Arc<Folder>,
    last: Option<LastSync>,
}

/// What the next sync learns from this one.
#[derive(Debug)]
struct LastSync {
    segment: FileId,
    /// How many writes there were when it began, and how many it covered.
    writes: u64,
    covered: u64,
    /// How many there were when it had ended.
    then: u64,
    took: Duration,
}

impl LogSync {
    /// No sync waits longer than this for others to write.
    const COMPANY_MAX: Duration = Duration::from_millis(1);

    /// Makes everything durable that was written to the log up to a position before this call. Returns
    /// up to where that is so, which may be further. After an error it is not known what is durable, and
    /// every later call fails as well.
    pub fn sync(&mut self, upto: LogPosition) -> Result<LogPosition, DiskError> {
        let files = self.folder.log(upto.segment);
        let Ok(newest) = self.folder.file(upto.segment) else {
            files.iter().try_for_each(|file| self.folder.sync(file).map(drop))?;
            return Ok(upto);
        };
        let last = self.last.take().filter(|last| last.segment == upto.segment);
        if let Some(last) = &last {
            newest.await_writes(last.then + last.covered, (last.took / 8).min(Self::COMPANY_MAX));
        }
        let (began, writes) = (Instant::now(), newest.writes());
        let mut durable = 0;
        for file in &files {
            // The newest comes last.
            durable = self.folder.sync(file)?;
        }
        self.last = Some(LastSync {
            segment: upto.segment,
            writes,
            // A file that was made anew counts from the beginning.
            covered: writes.saturating_sub(last.map_or(0, |last| last.writes)),
            then: newest.writes(),
            took: began.elapsed(),
        });
        Ok(LogPosition { offset: upto.offset.max(durable), ..upto })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const LOG: FileId = FileId::log(1);
    const ROOM: u64 = 1 << 20;

    fn disk() -> (tempfile::TempDir, PathBuf, FileDisk) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let disk = FileDisk::open(&path).unwrap();
        (folder, path, disk)
    }

    fn upto(segment: FileId) -> LogPosition {
        LogPosition { segment, offset: ROOM }
    }

    /// What another program sees in the file.
    fn outside(path: &Path) -> Vec<u8> {
        fs::read(path.join("0000000000000001.log")).unwrap()
    }

    /// One byte of it.
    fn outside_at(path: &Path, offset: u64) -> u8 {
        use std::os::unix::fs::FileExt;
        let mut byte = [0];
        let file = fs::File::open(path.join("0000000000000001.log")).unwrap();
        file.read_exact_at(&mut byte, offset).unwrap();
        byte[0]
    }

    thread_local! {
        /// What this thread has waited for on the device: inode numbers.
        static WAITED: RefCell<BTreeSet<u64>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn waiting_for(file: &fs::File) {
        let inode = file.metadata().unwrap().ino();
        WAITED.with_borrow_mut(|waited| waited.insert(inode));
    }

    /// Whether the device was waited for on behalf of these files and folders and of no others, since
    /// this was asked last.
    #[track_caller]
    fn assert_waited_for(paths: &[&Path]) {
        let inodes = paths.iter().map(|path| fs::metadata(path).unwrap().ino()).collect();
        assert_eq!(WAITED.take(), inodes, "{paths:?}");
    }

    /// No crash of the machine can be tried here. So this is about what the device is waited for.
    #[test]
    fn a_sync_waits_for_each_file_it_covers_and_for_the_folder_of_a_new_one() {
        let (above, path, mut disk) = disk();
        let named = |file| path.join(file_name(file));
        assert_waited_for(&[above.path(), &above.path().join("a")]);
        let mut sync = disk.log_sync();
        let (second, table, root) = (FileId::log(2), FileId::table(1), FileId::ROOTS[0]);
        for log in [LOG, second] {
            disk.create(log, ROOM).unwrap();
            disk.write_at(log, 0, b"record").unwrap();
        }
        assert_waited_for(&[]);
        sync.sync(upto(second)).unwrap();
        assert_waited_for(&[&named(LOG), &named(second), &path]);
        sync.sync(upto(second)).unwrap();
        assert_waited_for(&[]);
        for record in 0..3 {
            disk.write_at(LOG, 6 + record * 6, b"record").unwrap();
            sync.sync(upto(second)).unwrap();
            assert_waited_for(&[&named(LOG)]);
        }
        for file in [table, root] {
            disk.create(file, 0).unwrap();
            disk.sync(file).unwrap();
            assert_waited_for(&[&named(file), &path]);
            disk.append(file, b"more").unwrap();
            disk.sync(file).unwrap();
            assert_waited_for(&[&named(file)]);
        }
        // Whoever wrote what is found may have been killed before a sync.
        drop((disk, sync));
        let mut disk = FileDisk::open(&path).unwrap();
        assert_waited_for(&[&named(root), &path]);
        disk.log_sync().sync(upto(second)).unwrap();
        assert_waited_for(&[&named(LOG), &named(second)]);
        disk.sync(table).unwrap();
        assert_waited_for(&[&named(table)]);
    }

    #[test]
    fn files_keep_what_is_written_and_are_listed_by_kind_and_number() {
        let (_folder, path, mut disk) = disk();
        let (ten, two) = (FileId::table(10), FileId::table(2));
        for file in [FileId::RESERVE, FileId::ROOTS[1], ten, two, LOG] {
            disk.create(file, 0).unwrap();
            assert_eq!(disk.create(file, 0), Err(DiskError::Exists));
        }
        fs::write(path.join("notes.log"), "not the node's").unwrap();
        let all = Ok(vec![LOG, two, ten, FileId::ROOTS[1], FileId::RESERVE]);
        assert_eq!(disk.list(), all);

        disk.append(two, b"hello ").unwrap();
        disk.append(two, b"world").unwrap();
        disk.write_at(two, 0, b"H").unwrap();
        assert_eq!(disk.another().read_at(two, 0, 11), Ok(b"Hello world".to_vec()));
        disk.truncate(two, 5).unwrap();
        disk.append(two, b"!").unwrap();
        drop(disk);
        let disk = FileDisk::open(&path).unwrap();
        assert_eq!(disk.list(), all);
        assert_eq!(disk.read_at(two, 4, 2), Ok(b"o!".to_vec()));
        assert_eq!(disk.len(two), Ok(6));
    }

    #[test]
    fn reading_past_the_end_or_nowhere_is_an_error() {
        let (_folder, _path, mut disk) = disk();
        disk.create(LOG, 0).unwrap();
        disk.append(LOG, b"abc").unwrap();
        assert_eq!(disk.read_at(LOG, 1, 3), Err(DiskError::OutOfBounds));
        assert_eq!(disk.read_at(LOG, u64::MAX, 2), Err(DiskError::OutOfBounds));
        assert_eq!(disk.truncate(LOG, 4), Err(DiskError::OutOfBounds));
        let mut job = disk.another();
        job.remove(LOG).unwrap();
        assert_eq!(disk.len(LOG), Err(DiskError::NotFound), "gone for every handle");
        assert_eq!(job.remove(LOG), Err(DiskError::NotFound));
        assert_eq!(job.sync(LOG), Err(DiskError::NotFound));
    }

    #[test]
    fn a_file_has_its_room_from_the_beginning_and_no_file_is_left_without() {
        let (_folder, path, mut disk) = disk();
        disk.create(LOG, ROOM).unwrap();
        assert_eq!(disk.len(LOG), Ok(ROOM));
        assert_eq!(disk.read_at(LOG, ROOM - 3, 3), Ok(vec![0; 3]));
        let blocks = fs::metadata(path.join("0000000000000001.log")).unwrap().blocks();
        assert!(blocks * 512 >= ROOM, "{blocks} blocks are not enough");

        let error = disk.create(FileId::table(1), 1 << 45).unwrap_err();
        assert!(matches!(error, DiskError::Full | DiskError::Io(_)), "{error}");
        assert_eq!(disk.list(), Ok(vec![LOG]));
        disk.create(FileId::table(1), 0).unwrap();
    }

    #[test]
    fn a_log_is_gathered_until_it_is_read_or_synced_or_enough() {
        let (_folder, path, mut disk) = disk();
        disk.create(LOG, ROOM).unwrap();
        let mut sync = disk.log_sync();
        let mut model = vec![0; ROOM as usize];
        let mut put = |disk: &mut FileDisk, offset: usize, bytes: &[u8]| {
            disk.write_at(LOG, offset as u64, bytes).unwrap();
            model[offset..offset + bytes.len()].copy_from_slice(bytes);
            model.clone()
        };
        put(&mut disk, 0, b"one ");
        let written = put(&mut disk, 4, b"two");
        assert!(outside(&path) != written, "it is still in memory");
        assert_eq!(disk.read_at(LOG, 0, 7), Ok(b"one two".to_vec()));
        assert!(outside(&path) == written);

        let written = put(&mut disk, 7, b" three");
        assert!(outside(&path) != written);
        sync.sync(upto(LOG)).unwrap();
        assert!(outside(&path) == written);

        put(&mut disk, 13, &[4; 60_000]);
        let written = put(&mut disk, 60_013, &[5; 60_000]);
        assert!(outside(&path) == written, "these were enough");
        put(&mut disk, 120_013, &[6; 10]);
        let written = put(&mut disk, 120_015, b"elsewhere");
        assert!(outside(&path) == written, "what does not follow goes out in its order");
        let written = put(&mut disk, 300_000, &[7; 200_000]);
        assert!(outside(&path) == written, "what is large goes out at once");
        disk.append(LOG, b"beyond the room").unwrap();
        assert!(outside(&path).ends_with(b"beyond the room"));
        assert!(disk.read_at(LOG, 0, ROOM) == Ok(written));
    }

    #[test]
    fn zeros_ahead_of_a_log_change_nothing_that_is_read() {
        let (_folder, path, mut disk) = disk();
        disk.create(LOG, ROOM).unwrap();
        let mut sync = disk.log_sync();
        let mut model = vec![0; ROOM as usize];
        let mut end = 0;
        while end + 5_000 <= model.len() {
            let record = vec![(end % 251) as u8 + 1; 1 + end * 7 % 5_000];
            disk.write_at(LOG, end as u64, &record).unwrap();
            model[end..end + record.len()].copy_from_slice(&record);
            end += record.len();
            if end % 3 == 0 {
                sync.sync(upto(LOG)).unwrap();
                assert!(outside(&path) == model, "at {end}");
            }
        }
        disk.truncate(LOG, 1_000).unwrap();
        disk.write_at(LOG, 2_000, b"x").unwrap();
        sync.sync(upto(LOG)).unwrap();
        model.truncate(1_000);
        model.resize(2_000, 0);
        model.push(b'x');
        assert!(outside(&path) == model);
    }

    #[test]
    fn others_read_at_once_what_is_written_while_a_third_syncs() {
        let (_folder, _path, mut disk) = disk();
        disk.create(LOG, ROOM).unwrap();
        let (reader, mut sync) = (disk.another(), disk.log_sync());
        let (all, written) = (100_000, AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while written.load(Ordering::Acquire) < all {
                    sync.sync(upto(LOG)).unwrap();
                }
            });
            scope.spawn(|| {
                let mut count = 0;
                while count < all {
                    count = written.load(Ordering::Acquire);
                    let read = reader.read_at(LOG, 0, count * 8).unwrap();
                    for (number, record) in (0_u64..).zip(read.chunks(8)) {
                        assert_eq!(record, (!number).to_le_bytes());
                    }
                }
            });
            for number in 0..all {
                disk.write_at(LOG, number * 8, &(!number).to_le_bytes()).unwrap();
                written.store(number + 1, Ordering::Release);
            }
        });
    }

    #[test]
    fn a_sync_tells_how_far_the_log_is_durable_and_never_further() {
        let (_folder, path, mut disk) = disk();
        disk.create(LOG, ROOM).unwrap();
        let mut sync = disk.log_sync();
        assert_eq!(sync.sync(LogPosition { segment: LOG, offset: 5 }).unwrap().offset, 5);
        let (all, written) = (20_000, AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut durable = 0;
                while durable < all * 8 {
                    let before = written.load(Ordering::Acquire) * 8;
                    let asked = LogPosition { segment: LOG, offset: before };
                    durable = sync.sync(asked).unwrap().offset;
                    assert!(before <= durable && durable.is_multiple_of(8));
                    let there = outside(&path);
                    for (number, record) in (0_u64..).zip(there[..durable as usize].chunks(8)) {
                        assert_eq!(record, (!number).to_le_bytes());
                    }
                }
            });
            for number in 0..all {
                disk.write_at(LOG, number * 8, &(!number).to_le_bytes()).unwrap();
                written.store(number + 1, Ordering::Release);
            }
        });
        // Where another segment ends says nothing of one that is not there.
        let beyond = LogPosition { segment: FileId::log(9), offset: 1 };
        assert_eq!(sync.sync(beyond), Ok(beyond));
        // What was there before it was opened has no end that is known.
        drop((disk, sync));
        let mut sync = FileDisk::open(&path).unwrap().log_sync();
        assert_eq!(sync.sync(LogPosition { segment: LOG, offset: 3 }).unwrap().offset, 3);
    }

    #[test]
    fn zeros_ahead_of_a_log_never_fall_on_what_is_written_meanwhile() {
        let (_folder, path, mut disk) = disk();
        let room = 1 << 25;
        disk.create(LOG, room).unwrap();
        let mut sync = disk.log_sync();
        let mut end = 0;
        std::thread::scope(|scope| {
            let written = Arc::new(());
            let writes = Arc::downgrade(&written);
            scope.spawn(move || {
                while writes.strong_count() > 0 {
                    sync.sync(upto(LOG)).unwrap();
                }
            });
            // A small record lets the next sync write zeros; a large one goes out at once.
            while end + 200_040 <= room {
                disk.write_at(LOG, end, &[7; 40]).unwrap();
                while outside_at(&path, end) != 7 {}
                disk.write_at(LOG, end + 40, &[7; 200_000]).unwrap();
                end += 200_040;
            }
            drop(written);
        });
        let all = disk.read_at(LOG, 0, end).unwrap();
        assert_eq!(all.iter().position(|byte| *byte != 7), None);
    }

    #[test]
    fn a_folder_is_opened_once_and_an_unusable_one_says_so() {
        let (_folder, path, disk) = disk();
        let words = FileDisk::open(&path).unwrap_err().to_string();
        assert!(words.contains("in use by another kv process"), "{words}");
        let words = FileDisk::open_to_read(&path).map(drop).unwrap_err().to_string();
        assert!(words.contains("in use by another kv process"), "{words}");
        drop(disk);
        let mut disk = FileDisk::open(&path).unwrap();
        let table = FileId::table(1);
        disk.create(LOG, 3).unwrap();
        disk.create(table, 3).unwrap();
        drop(disk);

        let looks =
            [FileDisk::open_to_read(&path).unwrap(), FileDisk::open_to_read(&path).unwrap()];
        assert_eq!(looks.map(|mut look| look.write_at(table, 0, b"x").is_err()), [true; 2]);
        let nowhere = path.join("nowhere");
        for none in [&nowhere, path.parent().unwrap(), &path.join("0000000000000001.log")] {
            let words = FileDisk::open_to_read(none).map(drop).unwrap_err().to_string();
            assert!(words.contains("is no data folder"), "{words}");
        }
        assert!(!nowhere.exists());

        let file = path.join("file");
        fs::write(&file, "").unwrap();
        let words = FileDisk::open(&file.join("data")).unwrap_err().to_string();
        assert!(words.contains("cannot be used"), "{words}");
    }
}
