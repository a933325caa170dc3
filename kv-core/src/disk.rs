//! The disk a node writes to, as a synchronous trait without a sync.
//!
//! Files have ids, not names. Writing may buffer, and reading sees what was written at once; whether it
//! survives a crash is told by an event of its own ([`Output::Sync`](crate::io::Output::Sync) asks,
//! [`Input::Synced`](crate::io::Input::Synced) answers), because waiting for a device must not hold up
//! the node. That event speaks of log files only: it covers their bytes up to a position, and that they
//! exist. All other files are written by jobs, which may wait, and so have a disk that can
//! ([`JobDisk`]).
//!
//! Left out: renaming, which nothing needs.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::id::FileId;

/// Files of one node.
pub trait Disk {
    /// Makes a file of `room` bytes, all zero, for which there is room on the device from then on:
    /// writing within them does not fail for want of it. Fails with [`DiskError::Exists`] if it is
    /// there already, and with [`DiskError::Full`] if there is no room; then no file is left.
    fn create(&mut self, file: FileId, room: u64) -> Result<(), DiskError>;

    /// Adds bytes at the end. When it fails, a part of them may have been added.
    fn append(&mut self, file: FileId, bytes: &[u8]) -> Result<(), DiskError>;

    /// Replaces bytes at an offset, growing the file if needed. When it fails, a part of them may have
    /// been replaced.
    fn write_at(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Reads exactly `length` bytes at an offset; fewer there is [`DiskError::OutOfBounds`].
    fn read_at(&self, file: FileId, offset: u64, length: u64) -> Result<Vec<u8>, DiskError>;

    /// The length of a file in bytes.
    fn len(&self, file: FileId) -> Result<u64, DiskError>;

    /// Shortens a file to `length` bytes.
    fn truncate(&mut self, file: FileId, length: u64) -> Result<(), DiskError>;

    /// Removes a file. A crash may bring it back.
    fn remove(&mut self, file: FileId) -> Result<(), DiskError>;

    /// All files, in ascending order.
    fn list(&self) -> Result<Vec<FileId>, DiskError>;
}

/// The disk of a job: the same files, and it can wait for the device.
pub trait JobDisk: Disk {
    /// Makes durable that a file exists and all that was written to it. After an error nothing is known
    /// of the file, and a second attempt would prove nothing.
    fn sync(&mut self, file: FileId) -> Result<(), DiskError>;
}

/// Why a disk did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskError {
    /// There is no room. Reading goes on; writing may succeed later.
    Full,
    /// There is no such file.
    NotFound,
    /// There is such a file already.
    Exists,
    /// The file is shorter than the read.
    OutOfBounds,
    /// The device or the operating system failed, in its own words.
    Io(String),
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the disk is full"),
            Self::NotFound => f.write_str("the file does not exist"),
            Self::Exists => f.write_str("the file exists already"),
            Self::OutOfBounds => f.write_str("the file is shorter than expected"),
            Self::Io(words) => write!(f, "the disk failed: {words}"),
        }
    }
}

impl core::error::Error for DiskError {}
