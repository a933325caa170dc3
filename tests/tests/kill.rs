//! `kill -9` two hundred times: a store on real files holds the batches that were acknowledged, and of
//! those that were not, the first so many.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use kv_core::disk::Disk as _;
use kv_core::id::{FileId, FileKind};
use kv_core::rng::Rng;
use kv_core::storage::Store;
use kv_native::disk::FileDisk;
use kv_tests::batches::{self, Contents, OPTIONS};

const KILLS: u64 = 200;

/// Runs a writer, kills it when it has acknowledged so many times, and returns the last batch it had
/// acknowledged by then.
fn write_until_killed(folder: &Path, acknowledgements: u64) -> Option<u64> {
    let mut writer = Command::new(env!("CARGO_BIN_EXE_kv-writer"))
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the writer starts");
    let mut lines = BufReader::new(writer.stdout.take().expect("it is piped"));
    let mut last = None;
    let mut read = |line: &mut String| {
        line.clear();
        lines.read_line(line).expect("a pipe can be read");
        if let Some(number) = line.strip_suffix('\n') {
            last = Some(number.parse().expect("a writer prints numbers"));
        }
        !line.is_empty()
    };
    let mut line = String::new();
    for _ in 0..acknowledgements {
        assert!(read(&mut line), "the writer ended by itself");
    }
    writer.kill().expect("it runs");
    // What it printed before it died was acknowledged.
    while read(&mut line) {}
    writer.wait().expect("it was killed");
    last
}

#[test]
fn two_hundred_kills_take_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut rng = Rng::new(1);
    let mut expected = Contents::new();
    let (mut count, mut tables, mut unacknowledged) = (0, None, 0);
    for kill in 0..KILLS {
        let acknowledged = write_until_killed(folder.path(), rng.below(12)).unwrap_or(count);
        let mut disk = FileDisk::open(folder.path()).expect("the lock of the dead is free");
        let (mut store, recovery) =
            Store::open(OPTIONS, &mut disk).unwrap_or_else(|error| panic!("kill {kill}: {error}"));
        let found = batches::count(&mut store, &disk);
        assert!(acknowledged <= found, "kill {kill}: {found} of {acknowledged}, {recovery:?}");
        for number in count + 1..=found {
            batches::apply(number, &mut expected);
        }
        assert!(batches::contents(&store, &disk) == expected, "kill {kill}: after {found} batches");
        (count, unacknowledged) = (found, unacknowledged + found - acknowledged);
        let files = disk.list().expect("the folder can be read");
        tables =
            tables.max(files.into_iter().filter(|it| it.kind() == Some(FileKind::Table)).max());
    }
    // Tables are numbered one after the other.
    let tables = tables.map_or(0, FileId::number);
    println!(
        "{count} batches, {unacknowledged} found that were not acknowledged, tables up to {tables}"
    );
    assert!(count > 2_000 && tables > 100, "there was no load: {count} batches, {tables} tables");
}
