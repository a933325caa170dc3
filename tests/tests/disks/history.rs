//! A long random history leaves the same files on each disk, and every answer on the way is the same.

use std::fmt::Debug;

use kv_core::disk::{Disk, DiskError, JobDisk};
use kv_core::hash;
use kv_core::id::{FileId, LogPosition};
use kv_core::rng::Rng;
use kv_core::sim::disk::SimDisk;

use crate::machine::{Machine, Process};

#[test]
fn every_disk_lives_through_the_same_history_alike() {
    for seed in 0..5 {
        let mut simulated = History::new(seed, SimDisk::default());
        let mut real = History::new(seed, Process::new());
        for step in 0..400 {
            let (expected, found) = (simulated.step(), real.step());
            assert!(expected == found, "seed {seed}, step {step}: {expected:?}, not {found:?}");
        }
        assert!(simulated.contents() == real.contents(), "seed {seed}");
    }
}

/// A few files of each kind; those of a kind are written as a store writes them, and otherwise too.
const FILES: [FileId; 7] = [
    FileId::log(1),
    FileId::log(2),
    FileId::log(3),
    FileId::table(1),
    FileId::table(2),
    FileId::ROOTS[0],
    FileId::RESERVE,
];

struct History<M> {
    rng: Rng,
    machine: M,
    /// Where the next record of a log goes that follows the last one.
    end: u64,
    crashes: u64,
}

impl<M: Machine> History<M> {
    fn new(seed: u64, machine: M) -> Self {
        Self { rng: Rng::new(seed), machine, end: 0, crashes: 0 }
    }

    /// Does something, and tells what came of it.
    fn step(&mut self) -> String {
        let file = FILES[self.rng.below(FILES.len() as u64) as usize];
        let (at, room) = (self.rng.below(150_000), self.rng.below(150_000));
        let short = self.rng.below(400);
        let long = [short, short, short, short * 300][self.rng.below(4) as usize];
        let record = vec![self.rng.below(255) as u8 + 1; long as usize];
        let choice = self.rng.below(40);
        let disk = match self.rng.below(2) {
            0 => self.machine.disk(),
            _ => self.machine.job_disk(),
        };
        match choice {
            0..=3 => told("create", disk.create(file, room)),
            4..=6 => told("append", disk.append(file, &record)),
            7..=10 => told("write", disk.write_at(file, at, &record)),
            11..=24 => {
                let at = self.end;
                self.end = (at + long) % 140_000;
                told("follow", self.machine.disk().write_at(FILES[0], at, &record))
            }
            25..=28 => told("read", disk.read_at(file, at, long).map(|bytes| hash::of(&bytes))),
            29 => told("length", disk.len(file)),
            30 => told("truncate", disk.truncate(file, at)),
            31 => told("remove", disk.remove(file)),
            32 => told("list", disk.list()),
            33 => told("sync", disk.sync(file)),
            34..=38 => {
                let upto = LogPosition { segment: FILES[short as usize % 3], offset: at };
                told("sync log", self.machine.sync_log(upto))
            }
            _ => {
                self.sync_all();
                self.machine.crash();
                told("crash", Ok(self.contents()))
            }
        }
    }

    fn sync_all(&mut self) {
        let everything = LogPosition { segment: FILES[2], offset: u64::MAX };
        self.machine.sync_log(everything).unwrap();
        for file in self.machine.disk().list().unwrap() {
            self.machine.job_disk().sync(file).unwrap();
        }
        // What was removed stays so once a new file is durable.
        self.crashes += 1;
        let new = FileId::table(100 + self.crashes);
        self.machine.disk().create(new, 0).unwrap();
        self.machine.job_disk().sync(new).unwrap();
    }

    /// All files with their bytes.
    fn contents(&mut self) -> Vec<(FileId, Vec<u8>)> {
        let disk = self.machine.disk();
        let content =
            |file: FileId| (file, disk.read_at(file, 0, disk.len(file).unwrap()).unwrap());
        disk.list().unwrap().into_iter().map(content).collect()
    }
}

fn told(what: &str, result: Result<impl Debug, DiskError>) -> String {
    format!("{what} {result:?}")
}
