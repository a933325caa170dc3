//! Scripts of single operations, each played on each disk, with one transcript for all.
//!
//! They are below `scripts/disks/`.
//!
//! | command | what |
//! | --- | --- |
//! | `create FILE room=100`, `append FILE TEXT`, `write FILE at=7 TEXT` | files and their bytes; `times=1000` repeats the text |
//! | `truncate FILE 3`, `remove FILE` | the end of them |
//! | `read FILE at=7 length=3`, `length FILE`, `list` | what is there; bytes that are zero are shown as dots, long runs as `.*100` |
//! | `sync FILE`, `sync-log FILE 7` | as a job does, and as a shell does for the log |
//! | `crash` | the node dies, and the files are opened again |
//!
//! Files are named `log-1`, `table-2`, `root-0`, `reserve`. A command with the prefix `job:` uses
//! the handle of a job.

use std::error::Error;

use goldenscript::{Command, Context, Runner};
use kv_core::disk::{Disk, DiskError, JobDisk};
use kv_core::id::{FileId, LogPosition};
use kv_core::sim::disk::SimDisk;

use crate::machine::{Machine, Process};
use crate::play::{file_named, play_all, shown};

#[test]
fn every_disk_plays_the_scripts_alike() {
    play_all("disks", |script| {
        let simulated = goldenscript::generate(&mut Stage(SimDisk::default()), script);
        (simulated, goldenscript::generate(&mut Stage(Process::new()), script))
    });
}

/// A script being played.
struct Stage<M>(M);

type Told = Result<String, Box<dyn Error>>;

impl<M: Machine> Runner for Stage<M> {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Told {
        let mut args = command.consume_args();
        let mut words = Vec::new();
        while let Some(word) = args.next_pos() {
            words.push(word);
        }
        let mut number = |key| args.take_key(key).map(str::parse::<u64>).transpose();
        let (at, length) = (number("at")?, number("length")?);
        let times = number("times")?.unwrap_or(1) as usize;
        let room = number("room")?.unwrap_or(0);
        args.reject_next()?;
        match (command.name.as_str(), words.as_slice()) {
            ("crash", []) => {
                self.0.crash();
                return Ok(String::new());
            }
            ("sync-log", [file, offset]) => {
                let upto = LogPosition { segment: file_named(file)?, offset: offset.parse()? };
                return Ok(told(self.0.sync_log(upto)));
            }
            _ => {}
        }
        let disk = match context.prefix.as_deref() {
            Some("job") => self.0.job_disk(),
            _ => self.0.disk(),
        };
        let told = match (command.name.as_str(), words.as_slice(), at) {
            ("create", [file], _) => told(disk.create(file_named(file)?, room)),
            ("append", [file, text], _) => {
                told(disk.append(file_named(file)?, text.repeat(times).as_bytes()))
            }
            ("write", [file, text], Some(at)) => {
                told(disk.write_at(file_named(file)?, at, text.repeat(times).as_bytes()))
            }
            ("truncate", [file, length], _) => {
                told(disk.truncate(file_named(file)?, length.parse()?))
            }
            ("remove", [file], _) => told(disk.remove(file_named(file)?)),
            ("sync", [file], _) => told(disk.sync(file_named(file)?)),
            ("length", [file], _) => match disk.len(file_named(file)?) {
                Ok(length) => format!("{length} bytes"),
                Err(error) => words_of(&error),
            },
            ("read", [file], at) => read(disk, file_named(file)?, at.unwrap_or(0), length),
            ("list", [], _) => {
                let files = disk.list()?;
                let names: Vec<_> = files.iter().map(ToString::to_string).collect();
                names.join(", ")
            }
            (name, ..) => return Err(format!("there is no such command: {name}").into()),
        };
        Ok(told)
    }
}

/// The bytes of a file from an offset on: so many, or all.
fn read(disk: &impl Disk, file: FileId, at: u64, length: Option<u64>) -> String {
    let length = length.map_or_else(|| disk.len(file).map(|end| end.saturating_sub(at)), Ok);
    match length.and_then(|length| disk.read_at(file, at, length)) {
        Ok(bytes) => shown(&bytes),
        Err(error) => words_of(&error),
    }
}

fn told(result: Result<(), DiskError>) -> String {
    result.map_or_else(|error| words_of(&error), |()| String::new())
}

fn words_of(error: &DiskError) -> String {
    format!("error: {error}")
}
