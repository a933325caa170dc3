//! Damage to durable data is named, never passed over: not one wrong value, not one record fewer
//! without a word. Here every byte of a small store is damaged in turn; [`crate::log_damage`] looks at
//! the log alone.

use kv_core::disk::{Disk, DiskError};
use kv_core::id::{FileId, FileKind};
use kv_core::rng::Rng;
use kv_core::sim::disk::SimDisk;
use kv_core::storage::{
    Direction, Job, JobResult, OpenError, Outcome, Store, StoreError, StoreOptions, Suspect,
    TableMeta, Unreadable,
};

use crate::history::{
    Change, Contents, Entry, History, SMALL, Step, any_changes, contents_of, entries,
};
use crate::image::{Image, disk_of, image_of};

/// What came of reading a damaged store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// Every answer was right.
    Right,
    /// The answers that were given were right, and the others were errors that name the place.
    Named,
    /// Something was wrong or missing without a word.
    Silent,
}

/// A closed store with tables in three levels, some of them compressed, and batches in the log alone. What
/// lies under a removed range need not be readable, so there may be none of them.
fn closed_store(with_ranges: bool) -> (Image, Contents) {
    let mut rng = Rng::new(5);
    let mut history = History::new(SMALL);
    let levels = |history: &History| {
        history.store.view().levels.iter().filter(|level| !level.tables.is_empty()).count()
    };
    while levels(&history) < 3 || history.store.view().memtable.0 < 5 {
        let number = history.batches();
        let wide = Change::Put(format!("k{:03}", number % 400).into(), vec![number as u8; 30]);
        let mut changes = [any_changes(&mut rng, 'k'), vec![wide]].concat();
        changes.retain(|change| with_ranges || !matches!(change, Change::RemoveRange(..)));
        let step = Step::Batch(changes);
        if history.step(&step) == Err(StoreError::Busy) || number.is_multiple_of(9) {
            history.settle();
        }
        history.contents.drain(..history.contents.len() - 1);
        history.contents.resize(number + 2, Contents::new());
        history.contents.swap(0, number + 1);
    }
    history.settle();
    history.close();
    let compressed = |level: usize| !history.store.view().levels[level].tables.is_empty();
    assert!(compressed(2) || compressed(3), "there are compressed blocks");
    assert_eq!(history.read().as_ref(), Ok(&history.expected()));
    (image_of(&history.disk), history.expected())
}

/// Reads everything in every way.
fn judge(store: &mut Store, disk: &SimDisk, expected: &Contents, damaged: FileId) -> Verdict {
    let mut verdict = Verdict::Right;
    let mut note = |right: Result<bool, Unreadable>| {
        verdict = verdict.max(match right {
            Ok(true) => Verdict::Right,
            Ok(false) => Verdict::Silent,
            Err(unreadable) if unreadable.file == damaged => Verdict::Named,
            Err(_) => Verdict::Silent,
        });
    };
    let absent = [&b"k"[..], b"k40", b"k999", b"z"];
    for key in expected.keys().map(Vec::as_slice).chain(absent) {
        let found = store.get(key, disk);
        note(
            found.map(|found| found.map(|(value, _)| value.to_vec()).as_ref() == expected.get(key)),
        );
    }
    for direction in [Direction::Forward, Direction::Backward] {
        let scanned = entries(store.scan(b"", None, direction), disk);
        note(scanned.map(|entries| entries.into_iter().collect::<Contents>() == *expected));
    }
    verdict
}

/// Opens a store whose byte was changed, and reads everything.
fn verdict_of(disk: &mut SimDisk, expected: &Contents, file: FileId, offset: u64) -> Verdict {
    match Store::open(SMALL, disk) {
        Ok((mut store, _)) => judge(&mut store, disk, expected, file),
        Err(OpenError::Damaged(damage)) => {
            match damage.at.segment == file && damage.at.offset <= offset {
                true => Verdict::Named,
                false => Verdict::Silent,
            }
        }
        Err(_) => Verdict::Silent,
    }
}

/// Merges all tables, opens again, and reads everything.
fn verdict_after_compaction(disk: SimDisk, expected: &Contents, file: FileId) -> Verdict {
    let mut disk = disk;
    let (mut store, _) = Store::open(SMALL, &mut disk).unwrap();
    store.compact_everything();
    work(&mut store, &mut disk);
    let (mut store, _) = Store::open(SMALL, &mut disk).unwrap();
    judge(&mut store, &disk, expected, file)
}

/// Runs jobs until none is due.
fn work(store: &mut Store, disk: &mut SimDisk) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let end = store.end();
    disk.sync_log(end).unwrap();
    store.synced(end);
    while let Some((id, job)) = store.next_job() {
        let result = job.run(disk);
        outcomes.extend(store.job_done(id, result, disk));
    }
    outcomes
}

#[test]
fn every_flipped_byte_of_a_closed_store_is_harmless_or_named() {
    let (flips, named) = flip_each_byte(true);
    assert!(named > 6_000 && flips - named < flips / 8, "{named} of {flips}");
}

#[test]
fn every_flipped_byte_of_a_table_is_named_where_no_removed_range_hides_it() {
    let (flips, named) = flip_each_byte(false);
    assert!(flips > 3_000 && named == flips, "every byte of a table matters: {named} of {flips}");
}

/// Damages every byte of a closed store in turn. Returns how many of those were in tables, and how many of
/// them were named.
fn flip_each_byte(with_ranges: bool) -> (u64, u64) {
    let (image, expected) = closed_store(with_ranges);
    let disk = disk_of(&image);
    let mut named = std::collections::BTreeMap::new();
    for (&file, bytes) in &image {
        if file.kind() == Some(FileKind::Reserve) {
            continue;
        }
        for offset in 0..bytes.len() as u64 {
            let bits =
                if offset % 61 == 0 { 0..8 } else { (offset % 8) as u8..(offset % 8) as u8 + 1 };
            for bit in bits {
                let mut damaged = disk.clone();
                damaged.flip(file, offset, bit).unwrap();
                let unread = damaged.clone();
                let verdict = verdict_of(&mut damaged, &expected, file, offset);
                let context = format!("{file}, offset {offset}, bit {bit}");
                assert_ne!(verdict, Verdict::Silent, "{context}");
                if file.kind() == Some(FileKind::Table) && offset % 29 == 0 {
                    let merged = verdict_after_compaction(unread, &expected, file);
                    assert_eq!(merged, verdict, "{context}, then a compaction");
                }
                let count: &mut (u64, u64) = named.entry(file.kind()).or_default();
                count.0 += 1;
                count.1 += u64::from(verdict == Verdict::Named);
            }
        }
    }
    assert_eq!(named[&Some(FileKind::Root)].1, 0, "one slot is enough");
    assert!(named[&Some(FileKind::Log)].1 > 500);
    named[&Some(FileKind::Table)]
}

/// The case in which logs that cut at the first bad record silently lose the other 990.
#[test]
fn a_flipped_byte_in_record_10_of_1000_is_named() {
    let mut history = History::new(StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::SERVER });
    for number in 1..=1_000 {
        history.put(&format!("key{number}"), "value");
        history.sync();
    }
    let expected = history.expected();
    let (start, end) = (history.ends[9], history.ends[10]);
    for offset in start.offset..end.offset {
        let mut disk = history.disk.clone();
        disk.flip(start.segment, offset, 2).unwrap();
        let verdict = verdict_of(&mut disk, &expected, start.segment, offset);
        assert_eq!(verdict, Verdict::Named, "offset {offset}");
        let error = Store::open(history.options, &mut disk).unwrap_err().to_string();
        assert!(error.contains(&format!("offset {}", start.offset)), "{error}");
        assert!(error.contains("namely 10."), "{error}");
    }
    // A log that is cut there by a recovery that knows no better: this is what the test must notice.
    let mut cut = history.disk.clone();
    cut.truncate(start.segment, start.offset).unwrap();
    let (_, recovery) = Store::open(history.options, &mut cut.clone()).unwrap();
    assert_eq!(recovery.records, 9);
    assert_eq!(verdict_of(&mut cut, &expected, start.segment, start.offset), Verdict::Silent);
}

/// Tables with so many keys in blocks of their own, and one file of them.
fn store_with_tables(keys: u64) -> History {
    let mut history = History::new(StoreOptions { memtable_bytes: 1 << 20, ..SMALL });
    for number in 0..keys {
        history.put(&format!("k{number:02}"), vec![number as u8; 150]);
    }
    history.step(&Step::Flush).unwrap();
    history.settle();
    history
}

fn deepest_table(history: &History) -> FileId {
    let view = history.store.view();
    let tables = view.levels.iter().rev().find_map(|level| level.tables.first());
    tables.expect("there is a table").file
}

/// From both ends a scan shows all keys up to those that are suspect, and then says so.
fn scans_end_at_the_loss(store: &Store, disk: &SimDisk, loss: &Suspect) {
    for direction in [Direction::Forward, Direction::Backward] {
        let mut scan = store.scan(b"", None, direction);
        let mut passed = 0;
        let fault = loop {
            match scan.next(disk) {
                Ok(item) => {
                    let key = item.expect("it comes to what is suspect").key;
                    let forward = direction == Direction::Forward;
                    assert!(
                        if forward { key < &loss.start[..] } else { &loss.end[..] <= key },
                        "{key:?}"
                    );
                    passed += 1;
                }
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault.file, loss.file);
        assert!(passed > 2, "{passed} keys stand before the loss");
    }
}

/// Another replica knows the values: they are written again, and known at once.
fn write_again<'a>(
    store: &mut Store,
    disk: &mut SimDisk,
    lost: impl Iterator<Item = (&'a Vec<u8>, &'a Vec<u8>)>,
) {
    for (key, value) in lost {
        let mut batch = kv_core::storage::Batch::default();
        batch.put(key, value);
        store.apply(&batch, disk).unwrap();
        let found = store.get(key, disk).unwrap().map(|(value, _)| value.to_vec());
        assert_eq!(found.as_ref(), Some(value), "what is newer than the loss is known");
    }
}

#[test]
fn what_a_compaction_cannot_read_is_suspect_until_it_is_trusted_again() {
    let mut history = store_with_tables(20);
    let table = deepest_table(&history);
    history.disk.flip(table, 700, 3).unwrap();
    history.put("k00", "newer");
    // Of these two the damaged block has an older version.
    let known = [&b"k04"[..], b"k05"];
    history.put("k04", "newer, too");
    history.step(&Step::Batch(vec![Change::Remove(b"k05".to_vec())])).unwrap();
    history.step(&Step::Everything).unwrap();
    history.settle();
    let suspects = history.store.view().suspects;
    assert_eq!(suspects.len(), 1);
    assert_eq!(suspects[0].file, table);
    assert!(suspects[0].offset <= 700);
    let lost = history
        .outcomes
        .iter()
        .any(|outcome| matches!(outcome, Outcome::Compacted { lost, .. } if *lost == suspects));
    assert!(lost, "the node is told");
    assert!(history.disk.len(table).is_ok(), "the damaged file is kept to be looked into");

    let (start, end) = (suspects[0].start.clone(), suspects[0].end.clone());
    let expected = history.expected();
    let is_suspect = |key: &[u8]| start.as_ref() <= key && key < end.as_ref();
    assert!(known.iter().all(|key| is_suspect(key)));
    let count = expected.keys().filter(|key| is_suspect(key)).count();
    assert!((2..5).contains(&count), "{count} of 20 keys are suspect");
    let mut disk = history.disk.clone();
    let (mut store, _) = Store::open(history.options, &mut disk).unwrap();
    assert_eq!(store.view().suspects, suspects, "they survive opening again");
    assert!(disk.len(table).is_ok(), "and so does the damaged file");
    assert_eq!(store.get(b"k05", &disk), Ok(None), "its removal is newer than the loss");
    for (key, value) in &expected {
        match store.get(key, &disk) {
            Ok(found) => {
                assert!(!is_suspect(key) || known.contains(&&key[..]));
                assert_eq!(found.map(|(value, _)| value.to_vec()).as_ref(), Some(value));
            }
            Err(unreadable) => {
                assert!(is_suspect(key));
                assert_eq!((unreadable.file, unreadable.error), (table, None));
            }
        }
    }
    scans_end_at_the_loss(&store, &disk, &suspects[0]);

    write_again(&mut store, &mut disk, expected.iter().filter(|(key, _)| is_suspect(key)));
    store.compact_everything();
    work(&mut store, &mut disk);
    assert_eq!(store.get(b"k05", &disk), Ok(None), "and so after the next merge");
    for (key, value) in &expected {
        let found = store.get(key, &disk).unwrap().map(|(value, _)| value.to_vec());
        assert_eq!(found.as_ref(), Some(value), "and so after the next merge");
    }
    assert!(store.misses(b"", &end) && !store.misses(&end, b"z"));
    store.trust(&start, b"k05");
    work(&mut store, &mut disk);
    assert_eq!(store.view().suspects, suspects, "a part of them is not all");
    store.trust(&start, &end);
    work(&mut store, &mut disk);
    assert!(store.view().suspects.is_empty());
    assert!(disk.len(table).is_err(), "the damaged file is gone");
    assert_eq!(contents_of(&store, &disk).as_ref(), Ok(&expected));
    disk.crash(&mut Rng::new(1));
    let (store, _) = Store::open(history.options, &mut disk).unwrap();
    assert!(store.view().suspects.is_empty());
    assert_eq!(contents_of(&store, &disk).as_ref(), Ok(&expected));
}

/// A removal that may have been lost must not bring back what it removed.
#[test]
fn nothing_removed_returns_because_its_removal_was_lost() {
    for seed in 0..30 {
        let mut rng = Rng::new(seed);
        let mut history = store_with_tables(20);
        history.step(&Step::Everything).unwrap();
        history.settle();
        for _ in 0..12 {
            history.step(&Step::Batch(any_changes(&mut rng, 'k'))).unwrap();
        }
        history.step(&Step::Flush).unwrap();
        history.settle();
        let newest = history.store.view().levels[0].tables[0].clone();
        let offset = rng.below(newest.bytes);
        history.disk.flip(newest.file, offset, rng.below(8) as u8).unwrap();
        let expected = history.expected();
        let disk = history.disk.clone();
        let verdict = verdict_after_compaction(disk, &expected, newest.file);
        assert_eq!(verdict, Verdict::Named, "seed {seed}, offset {offset}");
    }
}

/// What a newer removal hides need not be readable, wherever that has got to.
#[test]
fn damage_under_a_removed_range_is_passed_over() {
    let whole = store_with_tables(20);
    let table = deepest_table(&whole);
    let range = (&b"k03"[..], &b"k15"[..]);
    let shown = |history: &History| -> Result<Vec<Entry>, Unreadable> {
        let scan = |way| entries(history.store.scan(range.0, Some(range.1), way), &history.disk);
        let mut backward = scan(Direction::Backward)?;
        backward.reverse();
        assert_eq!(scan(Direction::Forward).as_ref(), Ok(&backward), "both ways show the same");
        Ok(backward)
    };
    for offset in (0..whole.disk.len(table).unwrap()).step_by(61) {
        let mut history = store_with_tables(20);
        history
            .step(&Step::Batch(vec![
                Change::RemoveRange(range.0.to_vec(), range.1.to_vec()),
                Change::Put(b"k07".to_vec(), b"new".to_vec()),
            ]))
            .unwrap();
        history.disk.flip(table, offset, 3).unwrap();
        assert!(
            !history.store.shows(table, range.0, range.1) && history.store.shows(table, b"a", b"z")
        );
        let expected = Ok(vec![(b"k07".to_vec(), b"new".to_vec())]);
        assert_eq!(shown(&history), expected, "in memory, offset {offset}");
        history.step(&Step::Flush).unwrap();
        history.settle();
        assert_eq!(shown(&history), expected, "in tables, offset {offset}");
        history.step(&Step::Everything).unwrap();
        history.settle();
        assert_eq!(shown(&history), expected, "merged, offset {offset}");
        history.sync();
        let (store, _) = Store::open(history.options, &mut history.disk).unwrap();
        history.store = store;
        assert_eq!(shown(&history), expected, "opened again, offset {offset}");
        assert_eq!(history.get(b"k08"), Ok(None), "offset {offset}");
        assert!(!history.store.misses(range.0, range.1), "offset {offset}");
    }
}

/// What a snapshot of before the removal still sees is missed.
#[test]
fn damage_that_a_snapshot_sees_is_named() {
    let mut history = store_with_tables(20);
    let table = deepest_table(&history);
    let snapshot = history.store.snapshot();
    history.disk.flip(table, 700, 3).unwrap();
    history.step(&Step::Batch(vec![Change::RemoveRange(b"k".to_vec(), b"l".to_vec())])).unwrap();
    let seen = |history: &History| {
        let scan = history.store.scan_at(&snapshot, b"", None, Direction::Forward);
        (entries(scan, &history.disk).is_err(), contents_of(&history.store, &history.disk))
    };
    assert_eq!(seen(&history), (true, Ok(Contents::new())));
    history.step(&Step::Everything).unwrap();
    history.settle();
    assert_eq!(history.store.view().suspects.len(), 1);
    assert_eq!(seen(&history), (true, Ok(Contents::new())));
}

#[test]
fn a_table_that_is_missing_or_another_one_is_named() {
    let mut history = store_with_tables(20);
    let table = deepest_table(&history);
    let expected = history.expected();
    let mut missing = history.disk.clone();
    missing.remove(table).unwrap();
    assert_eq!(verdict_of(&mut missing, &expected, table, 0), Verdict::Named);
    let mut short = history.disk.clone();
    short.truncate(table, 1_000).unwrap();
    assert_eq!(verdict_of(&mut short, &expected, table, 0), Verdict::Named);

    history.put("k00", "newer");
    history.step(&Step::Everything).unwrap();
    history.settle();
    let (other, image) = (deepest_table(&history), image_of(&history.disk));
    let mut swapped = image_of(&missing);
    swapped.insert(table, image[&other].clone());
    assert_eq!(verdict_of(&mut disk_of(&swapped), &expected, table, 0), Verdict::Named);
}

/// What somebody has put into the folder is removed, and the store does not count on from it.
#[test]
fn files_of_the_greatest_numbers_there_are_do_no_harm() {
    let mut history = store_with_tables(20);
    for stray in [FileId::log(FileId::NUMBERS - 1), FileId::table(FileId::NUMBERS - 1)] {
        history.disk.create(stray, 0).unwrap();
        history.disk.append(stray, b"stray").unwrap();
        history.reopen();
        assert_eq!(history.disk.len(stray), Err(DiskError::NotFound));
        history.put("k00", vec![1; 3_000]);
        history.step(&Step::Everything).unwrap();
        history.settle();
        history.reopen();
    }
}

#[test]
fn a_damaged_root_slot_is_written_anew_and_two_are_an_error() {
    let history = store_with_tables(20);
    let [first, second] = FileId::ROOTS;
    for (damaged, other) in [(first, second), (second, first)] {
        let mut disk = history.disk.clone();
        disk.flip(damaged, 40, 0).unwrap();
        let (mut store, _) = Store::open(history.options, &mut disk).unwrap();
        work(&mut store, &mut disk);
        disk.flip(other, 40, 0).unwrap();
        let (store, _) = Store::open(history.options, &mut disk).unwrap();
        assert_eq!(contents_of(&store, &disk).as_ref(), Ok(&history.expected()));
        disk.flip(damaged, 40, 0).unwrap();
        let before = image_of(&disk);
        let error = Store::open(history.options, &mut disk).unwrap_err();
        assert_eq!(error, OpenError::RootDamaged);
        assert!(error.to_string().contains("Nothing was changed"));
        assert_eq!(image_of(&disk), before);
    }
}

/// Flushes what a history holds by hand, so that its table is known.
fn flushed_table(history: &mut History) -> TableMeta {
    history.store.flush();
    let (_, job) = history.store.next_job().expect("a flush is due");
    match job.run(&mut history.disk) {
        Ok(JobResult::Flushed(Some(table))) => *table,
        other => panic!("{other:?}"),
    }
}

#[test]
fn verifying_a_table_names_the_section_of_its_first_damage() {
    let mut history = History::new(StoreOptions { memtable_bytes: 1 << 20, ..SMALL });
    for number in 0..20 {
        history.put(&format!("k{number:02}"), vec![number as u8; 150]);
    }
    let table = flushed_table(&mut history);
    let verify = |disk: &mut SimDisk| match (Job::VerifyTable { table: table.clone() }).run(disk) {
        Ok(JobResult::Verified { records, damaged_at }) => (records, damaged_at),
        other => panic!("{other:?}"),
    };
    assert_eq!(verify(&mut history.disk), (10, None), "two keys make a block");
    let mut places = std::collections::BTreeSet::new();
    for offset in 0..table.bytes {
        let mut disk = history.disk.clone();
        disk.flip(table.file, offset, (offset % 8) as u8).unwrap();
        let (_, damaged_at) = verify(&mut disk);
        let place = damaged_at.unwrap_or_else(|| panic!("offset {offset} was passed over"));
        assert!(place <= offset && offset - place < 450, "{place} for {offset}");
        places.insert(place);
        // Of two damages the first is named, or the one without which nothing can be read.
        disk.flip(table.file, table.bytes - 1, 0).unwrap();
        assert!(verify(&mut disk).1.is_some() || offset == table.bytes - 1);
    }
    assert_eq!(places.len(), 10 + 4, "blocks, filter, index, properties and footer");
}

#[test]
fn scrubbing_reads_one_table_after_the_other_and_then_begins_again() {
    let mut history = History::new(StoreOptions { compressed_from: 7, ..SMALL });
    for number in 0..40 {
        history.put(&format!("k{number:02}"), vec![number; 150]);
        history.settle();
    }
    let view = history.store.view();
    let tables = view.levels.iter().flat_map(|level| &level.tables).map(|table| table.file);
    let tables: std::collections::BTreeSet<_> = tables.collect();
    assert!(tables.len() > 2);
    let History { store, disk, .. } = &mut history;
    for _ in 0..2 {
        for table in &tables {
            store.scrub();
            let (id, job) = store.next_job().expect("a table is due");
            let outcome = store.job_done(id, job.run(disk), disk);
            let whole = matches!(outcome, Some(Outcome::Verified { file, damaged_at: None, .. })
                if file == *table);
            assert!(whole, "{table}: {outcome:?}");
            assert_eq!(store.next_job(), None, "one at a time");
        }
    }
}

#[test]
fn a_disk_that_cannot_read_says_so_and_nothing_is_taken_for_absent() {
    let mut history = store_with_tables(20);
    let table = deepest_table(&history);
    let mut disk = history.disk.clone();
    let (mut store, _) = Store::open(history.options, &mut disk).unwrap();
    disk.fail_reads(table, 600);
    let failed = |error: &DiskError| matches!(error, DiskError::Io(_));
    let mut errors = 0;
    for (key, value) in &history.expected() {
        match store.get(key, &disk) {
            Ok(found) => assert_eq!(found.map(|(value, _)| value.to_vec()).as_ref(), Some(value)),
            Err(unreadable) => {
                assert!(unreadable.file == table && unreadable.error.as_ref().is_some_and(failed));
                errors += 1;
            }
        }
    }
    assert!((1..10).contains(&errors), "{errors} of 20 keys");
    assert!(contents_of(&store, &disk).is_err());
    store.compact_everything();
    let mut batch = kv_core::storage::Batch::default();
    batch.put("other", "1");
    store.apply(&batch, &mut disk).unwrap();
    store.flush();
    work(&mut store, &mut disk);
    assert_eq!(store.failure(), None, "a compaction goes around it");
    assert!(!store.view().suspects.is_empty());

    let log = history.store.end().segment;
    history.put("k", "in the log");
    history.disk.fail_reads(log.max(history.store.end().segment), 0);
    let error = Store::open(history.options, &mut history.disk).unwrap_err();
    assert!(matches!(&error, OpenError::Disk(error) if failed(error)), "{error}");
}

#[test]
fn a_failed_sync_of_a_job_stops_the_store_for_good() {
    for job in 0..2 {
        let mut history = store_with_tables(20);
        history.put("k00", "newer");
        history.step(&Step::Flush).unwrap();
        history.sync();
        if job == 1 {
            // The second job is the installation of what the first has written.
            history.step(&Step::Run(0)).unwrap();
            history.step(&Step::Tell(0)).unwrap();
        }
        history.disk.fail_next_sync();
        history.step(&Step::Run(0)).unwrap();
        history.step(&Step::Tell(0)).unwrap();
        assert!(matches!(history.store.failure(), Some(DiskError::Io(_))), "job {job}");
        let refused = history.step(&Step::Batch(vec![Change::Remove(b"k01".to_vec())]));
        assert!(matches!(refused, Err(StoreError::Failed(DiskError::Io(_)))));
        assert!(!history.is_busy() && history.store.next_job().is_none());
        assert_eq!(history.read().as_ref(), Ok(&history.expected()), "reads go on");
        for seed in 0..20 {
            let mut disk = history.disk.clone();
            disk.crash(&mut Rng::new(seed));
            let (store, _) = Store::open(history.options, &mut disk).unwrap();
            assert_eq!(contents_of(&store, &disk).as_ref(), Ok(&history.expected()));
        }
    }
}

#[test]
fn a_failed_sync_of_the_log_proves_nothing_of_what_came_before() {
    let mut history = History::new(SMALL);
    history.put("a", "1");
    history.sync();
    history.put("b", "2");
    history.disk.fail_next_sync();
    assert!(matches!(history.step(&Step::Sync), Err(StoreError::Failed(_))));
    assert_eq!(history.synced, 1);
    let mut lost = 0;
    for seed in 0..20 {
        let mut disk = history.disk.clone();
        disk.crash(&mut Rng::new(seed));
        let (store, _) = Store::open(history.options, &mut disk).unwrap();
        let found = contents_of(&store, &disk).unwrap();
        assert!(history.contents[1..].contains(&found));
        lost += u64::from(found.len() == 1);
    }
    assert!(lost > 0);
}
