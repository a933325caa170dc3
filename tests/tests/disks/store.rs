//! Scripts of a store on a disk, each played on each disk, with one transcript for all; and both disks
//! hold the same bytes then.
//!
//! They are below `scripts/stores/`. A store begins small, so that a short script has every part of it.
//!
//! | command | what |
//! | --- | --- |
//! | `put KEY VALUE`, `remove KEY`, `remove-range START END` | one batch each |
//! | `fill PREFIX count=100 bytes=50` | so many batches, each of one key |
//! | `get KEY`, `scan`, `scan START END`, `scan-back START END` | what is there; `snapshot=NAME` as it was then |
//! | `count PREFIX` | how many keys there are that begin so |
//! | `snapshot NAME`, `release NAME` | a state that can be read later |
//! | `sync` | the log becomes durable |
//! | `work` | all jobs are done, one after the other, and the log is synced where they wait for it |
//! | `flush`, `compact` | the memtable is to go to a table, everything is to be merged; `work` does it |
//! | `mark` | what an idle node does |
//! | `crash` | the node dies, and the store is opened again |
//! | `flip FILE at=7` | a bit turns over |
//! | `view`, `files` | the shape of the store, and the files on the disk |

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;

use goldenscript::{Command, Context, Runner};
use kv_core::disk::{Disk, JobDisk};
use kv_core::hash;
use kv_core::id::{FileId, LogPosition};
use kv_core::sim::disk::SimDisk;
use kv_core::storage::{Batch, Direction, Outcome, Snapshot, Store, StoreOptions};

use crate::machine::{Machine, Process};
use crate::play::{file_named, play_all, shown};

#[test]
fn every_disk_carries_the_same_store() {
    play_all("stores", |script| {
        let (mut simulated, mut real) =
            (Stage::new(SimDisk::default()), Stage::new(Process::new()));
        let played = (
            goldenscript::generate(&mut simulated, script),
            goldenscript::generate(&mut real, script),
        );
        // While a store is not opened, its disk may hold what it had removed.
        let opened = simulated.opened;
        let (simulated, real) = (simulated.contents(), real.contents());
        assert!(simulated == real || !opened, "{simulated:?}, not {real:?}");
        played
    });
}

/// A script being played.
struct Stage<M> {
    machine: M,
    store: Store,
    snapshots: BTreeMap<String, Snapshot>,
    opened: bool,
}

type Told = Result<String, Box<dyn Error>>;

impl<M: Machine> Runner for Stage<M> {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Told {
        let mut args = command.consume_args();
        let mut words = Vec::new();
        while let Some(word) = args.next_pos() {
            words.push(word);
        }
        let then = args.take_key("snapshot");
        let mut number = |key| args.take_key(key).map(str::parse::<u64>).transpose();
        let (at, count, bytes) = (number("at")?, number("count")?, number("bytes")?);
        args.reject_next()?;
        let nothing = Ok(String::new());
        match (command.name.as_str(), words.as_slice()) {
            ("get", [key]) => self.get(key, then),
            ("scan", []) => self.scan("", None, then, Direction::Forward),
            ("scan", [start, end]) => self.scan(start, Some(end), then, Direction::Forward),
            ("scan-back", []) => self.scan("", None, then, Direction::Backward),
            ("scan-back", [start, end]) => self.scan(start, Some(end), then, Direction::Backward),
            ("count", [prefix]) => self.count(prefix),
            ("put", [key, value]) => self.apply(|batch| batch.put(key, value)),
            ("remove", [key]) => self.apply(|batch| batch.remove(key)),
            ("remove-range", [start, end]) => self.apply(|batch| batch.remove_range(start, end)),
            ("fill", [prefix]) => self.fill(prefix, count.unwrap_or(1), bytes.unwrap_or(1)),
            ("sync", []) => self.sync().and(nothing),
            ("work", []) => self.work(),
            ("crash", []) => self.crash(),
            ("flip", [file]) => self.flip(file_named(file)?, at.unwrap_or(0)),
            ("view", []) => Ok(self.view()),
            ("files", []) => self.files(),
            ("flush", []) => {
                self.store.flush();
                nothing
            }
            ("compact", []) => {
                self.store.compact_everything();
                nothing
            }
            ("mark", []) => {
                self.store.mark_durable(self.machine.disk())?;
                nothing
            }
            ("snapshot", [name]) => {
                let snapshot = self.store.snapshot();
                self.snapshots.insert((*name).to_owned(), snapshot);
                nothing
            }
            ("release", [name]) => {
                let snapshot = self.snapshots.remove(*name);
                self.store.release(snapshot.ok_or("there is no such snapshot")?);
                nothing
            }
            (name, _) => Err(format!("there is no such command: {name}").into()),
        }
    }
}

impl<M: Machine> Stage<M> {
    fn new(mut machine: M) -> Self {
        let (store, _) = Store::open(StoreOptions::SIMULATED, machine.disk()).unwrap();
        Self { machine, store, snapshots: BTreeMap::new(), opened: true }
    }

    /// All files with the hashes of their bytes.
    fn contents(&mut self) -> BTreeMap<FileId, u64> {
        let disk = self.machine.disk();
        let bytes = |file: FileId| disk.read_at(file, 0, disk.len(file).unwrap()).unwrap();
        disk.list().unwrap().into_iter().map(|file| (file, hash::of(&bytes(file)))).collect()
    }

    fn apply(&mut self, change: impl FnOnce(&mut Batch)) -> Told {
        let mut batch = Batch::default();
        change(&mut batch);
        let applied = self.store.apply(&batch, self.machine.disk());
        Ok(applied.map_or_else(|error| format!("error: {error}"), |_| String::new()))
    }

    fn fill(&mut self, prefix: &str, count: u64, bytes: u64) -> Told {
        for number in 0..count {
            // Half of a value is easy to compress.
            let noise = (0..bytes / 2).map(|at| letter(number << 32 | at));
            let mut value: Vec<u8> = noise.collect();
            value.resize(bytes as usize, b'x');
            let told = self.apply(|batch| batch.put(format!("{prefix}{number:05}"), value))?;
            if !told.is_empty() {
                return Ok(format!("after {number}: {told}"));
            }
        }
        Ok(String::new())
    }

    fn get(&mut self, key: &str, then: Option<&str>) -> Told {
        let disk = &*self.machine.disk();
        let found = match then {
            Some(name) => {
                let snapshot = self.snapshots.get(name).ok_or("there is no such snapshot")?;
                self.store.get_at(snapshot, key.as_bytes(), disk)
            }
            None => self.store.get(key.as_bytes(), disk),
        };
        Ok(match found {
            Ok(Some((value, at))) => entry(key, &value, at),
            Ok(None) => format!("{key} is absent"),
            Err(fault) => format!("error: {fault}"),
        })
    }

    fn scan(
        &mut self,
        start: &str,
        end: Option<&str>,
        then: Option<&str>,
        direction: Direction,
    ) -> Told {
        let (start, end) = (start.as_bytes(), end.map(str::as_bytes));
        let mut scan = match then {
            Some(name) => {
                let snapshot = self.snapshots.get(name).ok_or("there is no such snapshot")?;
                self.store.scan_at(snapshot, start, end, direction)
            }
            None => self.store.scan(start, end, direction),
        };
        let mut lines = Vec::new();
        loop {
            match scan.next(&*self.machine.disk()) {
                Ok(Some(item)) => {
                    lines.push(entry(&String::from_utf8_lossy(item.key), item.value, item.at));
                }
                Ok(None) => return Ok(lines.join("\n")),
                Err(fault) => {
                    lines.push(format!("error: {fault}"));
                    return Ok(lines.join("\n"));
                }
            }
        }
    }

    fn count(&mut self, prefix: &str) -> Told {
        let mut scan = self.store.scan_prefix(prefix.as_bytes(), b"");
        let mut count = 0;
        loop {
            match scan.next(&*self.machine.disk()) {
                Ok(Some(_)) => count += 1,
                Ok(None) => return Ok(format!("{count} keys")),
                Err(fault) => return Ok(format!("{count} keys, then: {fault}")),
            }
        }
    }

    fn sync(&mut self) -> Result<(), Box<dyn Error>> {
        let end = self.store.end();
        self.machine.sync_log(end)?;
        self.store.synced(end);
        Ok(())
    }

    fn work(&mut self) -> Told {
        let mut lines = Vec::new();
        loop {
            while let Some((id, job)) = self.store.next_job() {
                let result = job.run(self.machine.job_disk());
                let outcome = self.store.job_done(id, result, self.machine.disk());
                lines.extend(outcome.map(|outcome| told(&outcome)));
            }
            if self.store.is_settled() && self.store.durable() == self.store.end() {
                return Ok(lines.join("\n"));
            }
            self.sync()?;
        }
    }

    fn crash(&mut self) -> Told {
        self.machine.crash();
        self.snapshots.clear();
        self.opened = false;
        let opened = Store::open(StoreOptions::SIMULATED, self.machine.disk());
        Ok(match opened {
            Ok((store, recovery)) => {
                self.store = store;
                self.opened = true;
                let cut = recovery.cut.map(|cut| format!(", cut at {}", place(cut.at)));
                format!("{} batches read back{}", recovery.records, cut.unwrap_or_default())
            }
            Err(error) => format!("error: {error}"),
        })
    }

    fn flip(&mut self, file: FileId, at: u64) -> Told {
        let disk = self.machine.disk();
        let byte = disk.read_at(file, at, 1)?[0];
        disk.write_at(file, at, &[byte ^ 0x10])?;
        disk.sync(file)?;
        Ok(String::new())
    }

    fn view(&self) -> String {
        let view = self.store.view();
        let mut text = String::new();
        let (versions, bytes) = view.memtable;
        let _ = writeln!(text, "memtable: {versions} versions in {bytes} bytes");
        if view.frozen.0 > 0 {
            let _ =
                writeln!(text, "frozen memtables: {} of {} bytes", view.frozen.0, view.frozen.1);
        }
        // No bytes of tables: they change with every stroke at their form.
        for (number, level) in view.levels.iter().enumerate() {
            if let (Some(first), Some(last)) = (level.tables.first(), level.tables.last()) {
                let versions: u64 = level.tables.iter().map(|table| table.versions).sum();
                let names = match level.tables.len() {
                    1 => first.file.to_string(),
                    _ => format!("{} to {}", first.file, last.file),
                };
                let _ = writeln!(text, "level {number}: {names}, {versions} versions");
            }
        }
        let log: Vec<_> =
            view.segments.iter().map(|(file, bytes)| format!("{file} to {bytes}")).collect();
        let durable = if view.durable == view.end { "" } else { ", not all of it durable" };
        let _ = writeln!(text, "log: {}{durable}", log.join(", "));
        for suspect in &view.suspects {
            let (start, end) =
                (String::from_utf8_lossy(&suspect.start), String::from_utf8_lossy(&suspect.end));
            let _ = writeln!(
                text,
                "suspect: {start} to {}, for {} at {}",
                end.trim_end_matches('\0'),
                suspect.file,
                suspect.offset
            );
        }
        text
    }

    fn files(&mut self) -> Told {
        let files = self.machine.disk().list()?;
        Ok(files.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }
}

/// One of 26 letters, with no rule to be seen.
fn letter(number: u64) -> u8 {
    b'a' + (hash::of(&number.to_le_bytes()) % 26) as u8
}

fn entry(key: &str, value: &[u8], at: LogPosition) -> String {
    let durable = if at == LogPosition::START { "" } else { ", not durable" };
    format!("{key} = {}{durable}", shown(value))
}

fn place(at: LogPosition) -> String {
    format!("{} of {}", at.offset, at.segment)
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Flushed { .. } => "flushed".into(),
        Outcome::Compacted { level, read, written, lost } => format!(
            "merged {} tables into {} in level {level}{}",
            read.0,
            written.0,
            if lost.is_empty() { "" } else { ", not all of which could be read" },
        ),
        Outcome::Verified { file, records, damaged_at: None } => {
            format!("verified {file}: {records} records")
        }
        Outcome::Verified { file, damaged_at: Some(at), .. } => {
            format!("verified {file}: damaged at {at}")
        }
        Outcome::Unverified { file } => format!("{file} cannot be read"),
    }
}
