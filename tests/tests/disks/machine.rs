//! A disk and its surroundings, as far as a test needs them.

use kv_core::disk::{DiskError, JobDisk};
use kv_core::id::LogPosition;
use kv_core::rng::Rng;
use kv_core::sim::disk::SimDisk;
use kv_native::disk::{FileDisk, LogSync};

/// A machine with a disk.
pub(crate) trait Machine {
    type Disk: JobDisk;

    /// The node's handle.
    fn disk(&mut self) -> &mut Self::Disk;

    /// The handle of its jobs.
    fn job_disk(&mut self) -> &mut Self::Disk;

    /// What the shell does when the node asks for a sync.
    fn sync_log(&mut self, upto: LogPosition) -> Result<(), DiskError>;

    /// The node dies, and its files are opened again.
    fn crash(&mut self);
}

impl Machine for SimDisk {
    type Disk = Self;

    fn disk(&mut self) -> &mut Self {
        self
    }

    fn job_disk(&mut self) -> &mut Self {
        self
    }

    fn sync_log(&mut self, upto: LogPosition) -> Result<(), DiskError> {
        self.sync_log(upto)
    }

    fn crash(&mut self) {
        self.crash(&mut Rng::new(self.operations()));
    }
}

/// A process with a temporary folder.
pub(crate) struct Process {
    /// None only between two processes.
    handles: Option<Handles>,
    folder: tempfile::TempDir,
}

struct Handles {
    node: FileDisk,
    job: FileDisk,
    sync: LogSync,
}

impl Process {
    pub(crate) fn new() -> Self {
        let mut process = Self { handles: None, folder: tempfile::tempdir().unwrap() };
        process.crash();
        process
    }

    fn handles(&mut self) -> &mut Handles {
        self.handles.as_mut().expect("the process runs")
    }
}

impl Machine for Process {
    type Disk = FileDisk;

    fn disk(&mut self) -> &mut FileDisk {
        &mut self.handles().node
    }

    fn job_disk(&mut self) -> &mut FileDisk {
        &mut self.handles().job
    }

    fn sync_log(&mut self, upto: LogPosition) -> Result<(), DiskError> {
        self.handles().sync.sync(upto).map(drop)
    }

    fn crash(&mut self) {
        // Only one process has the folder at a time.
        self.handles = None;
        let node = FileDisk::open(self.folder.path()).unwrap();
        self.handles = Some(Handles { job: node.another(), sync: node.log_sync(), node });
    }
}
