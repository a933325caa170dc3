//! The threads beside a node: one waits for the device, one does short jobs, one does long ones.
//!
//! A flush must not wait for a compaction, or what is written would pile up in memory. All take orders
//! over a channel and report to the driver as inputs. They end when the driver drops its side. A failed sync is reported once and never tried again.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Sender};
use std::thread;

use kv_core::disk::DiskError;
use kv_core::id::{JobId, LogPosition};
use kv_core::io::Input;
use kv_core::storage::Job;

use crate::disk::FileDisk;

/// The driver's side of the threads.
#[derive(Debug)]
pub struct Workers {
    syncs: Sender<LogPosition>,
    short_jobs: Sender<(JobId, Job)>,
    long_jobs: Sender<(JobId, Job)>,
}

impl Workers {
    /// Starts the threads. `report` takes their results to the node and tells whether it still lives.
    pub fn start(
        disk: &FileDisk,
        report: impl Fn(Input) -> bool + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (syncs, orders) = mpsc::channel();
        let mut log = disk.log_sync();
        let tell = report.clone();
        thread::Builder::new().name("kv-sync".into()).spawn(move || {
            for upto in orders {
                let synced = unless_panicked(|| log.sync(upto));
                let upto = *synced.as_ref().unwrap_or(&upto);
                if !tell(Input::Synced { upto, result: synced.map(drop) }) {
                    break;
                }
            }
        })?;
        let short_jobs = worker("kv-jobs", disk.another(), report.clone())?;
        let long_jobs = worker("kv-long-jobs", disk.another(), report)?;
        Ok(Self { syncs, short_jobs, long_jobs })
    }

    /// Makes the log durable up to a position. Once a sync has failed the thread still answers, so
    /// sending fails only while the process ends.
    pub fn sync(&self, upto: LogPosition) {
        let _ = self.syncs.send(upto);
    }

    /// Does a job.
    pub fn job(&self, id: JobId, job: Job) {
        let jobs = if job.is_long() { &self.long_jobs } else { &self.short_jobs };
        let _ = jobs.send((id, job));
    }
}

/// A panic leaves its work half done and nobody to report it, so the node is told and stops.
fn unless_panicked<T>(work: impl FnOnce() -> Result<T, DiskError>) -> Result<T, DiskError> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(DiskError::Io(String::from("work on the disk has panicked; this is a fault of kv")))
    })
}

/// Starts a thread that does jobs, one after the other.
fn worker(
    name: &str,
    mut disk: FileDisk,
    report: impl Fn(Input) -> bool + Send + 'static,
) -> io::Result<Sender<(JobId, Job)>> {
    let (jobs, orders) = mpsc::channel::<(JobId, Job)>();
    thread::Builder::new().name(name.into()).spawn(move || {
        for (id, job) in orders {
            let result = unless_panicked(|| job.run(&mut disk));
            // The memtable of a flush is large; it is given up here and not by the node.
            drop(job);
            if !report(Input::JobDone { id, result }) {
                break;
            }
        }
    })?;
    Ok(jobs)
}
