//! Long work beside the node, with everything decided: a job is a description of it.
//!
//! A shell runs [`Job::run`] on another thread with a disk of its own, and reports what came of it. Jobs
//! read immutable files and write files that nothing names yet, so nobody waits for them, and a crash in
//! the middle leaves files that the next opening removes. Run again, a job writes the same bytes.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};

use super::compaction::{self, Compaction};
use super::memtable::Memtable;
use super::options::TableForm;
use super::root::{self, Suspect};
use super::table::TableMeta;
use super::verify;
use crate::disk::{DiskError, JobDisk};
use crate::id::FileId;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Job {
    /// Write a memtable to a table.
    Flush {
        /// The memtable, which no longer changes.
        #[serde(serialize_with = "pointed_to")]
        memtable: Arc<Memtable>,
        /// The file to write.
        table: FileId,
        /// How.
        form: TableForm,
        /// The revisions that somebody may still read at, ascending.
        snapshots: Vec<u64>,
    },
    /// Merge tables into tables of the next level.
    Compact(Compaction),
    /// Name the tables that make up the store from now on.
    Install {
        /// The payload of both slots.
        root: Bytes,
    },
    /// Remove files that nothing names any longer.
    Remove {
        /// Which.
        files: Vec<FileId>,
    },
    /// Read a full log segment through and check every checksum.
    VerifySegment {
        /// Its file.
        segment: FileId,
        /// Where it ends.
        length: u64,
    },
    /// Read a table through and check every checksum.
    VerifyTable {
        /// Which.
        table: TableMeta,
    },
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobResult {
    /// Of [`Job::Flush`]: the table, if there was anything to write.
    Flushed(Option<Box<TableMeta>>),
    /// Of [`Job::Compact`].
    Compacted {
        /// The tables that replace the inputs.
        tables: Vec<TableMeta>,
        /// What of the inputs could not be read.
        lost: Vec<Suspect>,
    },
    /// Of [`Job::Install`].
    Installed,
    /// Of [`Job::Remove`].
    Removed,
    /// Of [`Job::VerifySegment`] and [`Job::VerifyTable`].
    Verified {
        /// How many whole records or blocks there are.
        records: u64,
        /// Where the first damage begins, if there is any.
        damaged_at: Option<u64>,
    },
}

impl Job {
    /// Does it. An error other than [`DiskError::Full`] means that the disk cannot be trusted.
    pub fn run(&self, disk: &mut impl JobDisk) -> Result<JobResult, DiskError> {
        match self {
            Self::Flush { memtable, table, form, snapshots } => {
                compaction::flush(memtable, *table, *form, snapshots, disk)
                    .map(|table| JobResult::Flushed(table.map(Box::new)))
            }
            Self::Compact(compaction) => compaction.run(disk),
            Self::Install { root } => root::install(root, disk).map(|()| JobResult::Installed),
            Self::Remove { files } => {
                // What cannot be removed now is removed on opening.
                for file in files {
                    let _ = disk.remove(*file);
                }
                Ok(JobResult::Removed)
            }
            Self::VerifySegment { segment, length } => {
                verify::verify_segment(disk, *segment, *length)
            }
            Self::VerifyTable { table } => Ok(verify::verify_table(disk, table)),
        }
    }

    /// Whether others should not have to wait for it: it may take seconds.
    #[must_use]
    pub fn is_long(&self) -> bool {
        match self {
            Self::Compact(_) | Self::VerifySegment { .. } | Self::VerifyTable { .. } => true,
            Self::Flush { .. } | Self::Install { .. } | Self::Remove { .. } => false,
        }
    }
}

fn pointed_to<S: Serializer>(memtable: &Arc<Memtable>, to: S) -> Result<S::Ok, S::Error> {
    memtable.as_ref().serialize(to)
}
