//! The threads beside a node: one waits for the device, one does jobs.
//!
//! Both take orders over a channel and report to the driver as inputs. They end when the driver drops
//! its side. A failed sync is reported once and never tried again.

use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread;

use kv_core::disk::DiskError;
use kv_core::id::{JobId, LogPosition};
use kv_core::io::{Input, Job, JobResult};
use kv_core::storage::verify_segment;

use crate::disk::FileDisk;

/// The driver's side of the threads.
pub(crate) struct Workers {
    syncs: Sender<LogPosition>,
    jobs: Sender<(JobId, Job)>,
}

impl Workers {
    /// Starts the threads. `report` takes their results to the node and tells whether it still lives.
    pub(crate) fn start(
        disk: &FileDisk,
        report: impl Fn(Input) -> bool + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (syncs, orders) = mpsc::channel();
        let log = disk.log_sync();
        let tell = report.clone();
        thread::Builder::new().name("kv-sync".into()).spawn(move || {
            for upto in orders {
                if !tell(Input::Synced { upto, result: log.sync(upto) }) {
                    break;
                }
            }
        })?;
        let (jobs, orders) = mpsc::channel();
        let mut disk = disk.another();
        thread::Builder::new().name("kv-jobs".into()).spawn(move || {
            for (id, job) in orders {
                let result = run(&job, &mut disk);
                if !report(Input::JobDone { id, result }) {
                    break;
                }
            }
        })?;
        Ok(Self { syncs, jobs })
    }

    /// Makes the log durable up to a position. Once a sync has failed the thread still answers, so
    /// sending fails only while the process ends.
    pub(crate) fn sync(&self, upto: LogPosition) {
        let _ = self.syncs.send(upto);
    }

    /// Does a job.
    pub(crate) fn job(&self, id: JobId, job: Job) {
        let _ = self.jobs.send((id, job));
    }
}

fn run(job: &Job, disk: &mut FileDisk) -> Result<JobResult, DiskError> {
    match *job {
        Job::VerifySegment { segment, length } => verify_segment(disk, segment, length),
    }
}
