//! A store with tables in several levels, looked into whole and damaged.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::super::{Batch, Change, Store, StoreOptions};
use super::*;
use crate::disk::JobDisk;
use crate::sim::disk::SimDisk;

/// A store with tables in several levels and with a log, after a clean end.
fn stored() -> SimDisk {
    let options = StoreOptions {
        segment_bytes: 4_096,
        memtable_bytes: 2_048,
        table_bytes: 2_048,
        level_bytes: 4_096,
        block_bytes: 256,
        reserve_bytes: 1_024,
        ..StoreOptions::SIMULATED
    };
    let mut disk = SimDisk::default();
    let (mut store, _) = Store::open(options, &mut disk).unwrap();
    for number in 0..310_u64 {
        let mut batch = Batch::default();
        batch.put(format!("k{:03}", number * 7 % 200), format!("value {number}"));
        if number % 10 == 9 {
            batch.remove(format!("k{:03}", number * 3 % 200));
        }
        if number == 298 {
            batch.remove_range("k01", "k02");
        }
        store.apply(&batch, &mut disk).unwrap();
        settle(&mut store, &mut disk);
    }
    store.mark_durable(&mut disk).unwrap();
    settle(&mut store, &mut disk);
    disk
}

fn settle(store: &mut Store, disk: &mut SimDisk) {
    loop {
        disk.sync_log(store.end()).unwrap();
        store.synced(store.end());
        let Some((id, job)) = store.next_job() else { return };
        let result = job.run(disk);
        store.job_done(id, result, disk);
    }
}

fn verified(disk: &SimDisk) -> (Vec<FileReport>, Option<Flaw>) {
    let mut reports = Vec::new();
    let first = verify(disk, &mut |report| reports.push(report.clone())).unwrap();
    (reports, first)
}

fn dumped(disk: &SimDisk) -> (Vec<String>, u64) {
    let (mut lines, mut faults) = (Vec::new(), 0);
    let mut visit = |entry: Result<Entry<'_>, _>| {
        match entry {
            Ok(Entry { number, change: Change::Put { key, value } }) => {
                let [key, value] = [key, value].map(String::from_utf8_lossy);
                lines.push(format!("{key} = {value} at {number}"));
            }
            Ok(Entry { change, .. }) => lines.push(format!("{change:?}")),
            Err(_) => faults += 1,
        }
        ControlFlow::Continue(())
    };
    assert!(dump_log(disk, &mut visit).unwrap().is_continue());
    for table in inspect(disk).unwrap().levels.iter().flatten() {
        assert!(dump_table(table.file, disk, &mut visit).is_continue());
    }
    (lines, faults)
}

#[test]
fn a_store_shows_what_opening_it_finds() {
    let disk = stored();
    let before = disk.written();
    let found = inspect(&disk).unwrap();
    let SlotView::Whole(generation) = found.slots[0] else { panic!("{:?}", found.slots) };
    assert_eq!(found.slots[1], SlotView::Whole(generation));
    assert_eq!((found.strangers.len(), found.reserve), (0, 1_024));
    assert!(found.levels.iter().filter(|level| !level.is_empty()).count() >= 2);
    let log = found.log.unwrap();
    assert_eq!(log.cut, None);
    assert!(log.last_seq > 310 && log.segments.last().unwrap().bytes == log.end.offset);
    assert!(found.flushed_seq < log.last_seq);
    let batches: u64 = log.segments.iter().map(|segment| segment.batches).sum();
    assert_eq!(log.segments[0].first_seq + batches, log.last_seq + 1);
    assert_eq!(disk.written(), before);

    let (store, recovery) = Store::open(StoreOptions::SIMULATED, &mut disk.clone()).unwrap();
    let view = store.view();
    assert_eq!(recovery.records, batches);
    assert_eq!(view.memtable, log.memtable);
    assert_eq!(view.end, log.end);
    let tables = |levels: &[Vec<TableView>]| levels.concat();
    let levels: Vec<_> = view.levels.into_iter().map(|level| level.tables).collect();
    assert_eq!(tables(&levels), tables(&found.levels));
}

#[test]
fn a_dump_has_every_change() {
    let disk = stored();
    let (lines, faults) = dumped(&disk);
    assert_eq!(faults, 0);
    let newest = "k093 = value 299 at ";
    assert!(lines.iter().any(|line| line.starts_with(newest)), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("RemoveRange")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("Remove {")), "{lines:?}");

    let mut first = None;
    let stop = dump_log(&disk, &mut |entry| {
        assert_eq!(first.replace(entry.map(|entry| entry.number)), None, "it was to stop");
        ControlFlow::Break(())
    });
    assert_eq!(stop, Ok(ControlFlow::Break(())));
}

#[test]
fn a_flipped_bit_is_found_in_its_place_in_every_file() {
    let whole = stored();
    let (reports, first) = verified(&whole);
    assert_eq!(first, None, "{reports:?}");
    let of_kind = |kind| reports.iter().find(|report| report.file.kind() == Some(kind)).unwrap();
    let flipped = |file: FileId, offset: u64| {
        let mut disk = whole.clone();
        disk.flip(file, offset, 3).unwrap();
        let (_, first) = verified(&disk);
        first.unwrap_or_else(|| panic!("{file} at {offset} is not seen"))
    };
    for slot in FileId::ROOTS {
        assert_eq!(flipped(slot, 40).place(), (slot, 0));
    }
    let table = of_kind(FileKind::Table).file;
    assert_eq!(flipped(table, 10).place(), (table, 0));
    let second = flipped(table, 400).place();
    assert!(second.0 == table && 0 < second.1 && second.1 <= 400, "{second:?}");
    let log = inspect(&whole).unwrap().log.unwrap();
    let segment = log.segments[0].file;
    assert_eq!(flipped(segment, 5).place(), (segment, 0));
    let record = flipped(segment, 150).place();
    assert!(record.0 == segment && 48 < record.1 && record.1 <= 150, "{record:?}");
    let flaw = flipped(segment, 150);
    assert!(format!("{flaw}").contains("durable batches are lost"), "{flaw}");
}

#[test]
fn a_file_that_is_missing_has_a_line_of_its_own() {
    let whole = stored();
    let (reports, _) = verified(&whole);
    for report in reports.iter().filter(|report| report.file.kind() == Some(FileKind::Table)) {
        let mut disk = whole.clone();
        disk.remove(report.file).unwrap();
        let (reports, first) = verified(&disk);
        assert_eq!(first, Some(Flaw::Missing(report.file)));
        assert!(reports.iter().any(|other| other.file == report.file && other.bytes == 0));
    }
    let mut disk = whole.clone();
    let segment = inspect(&whole).unwrap().log.unwrap().segments[0].file;
    disk.remove(segment).unwrap();
    assert_eq!(verified(&disk).1.map(|flaw| flaw.place().0), Some(segment));
}

#[test]
fn what_no_one_was_promised_is_no_fault() {
    let mut disk = stored();
    let log = inspect(&disk).unwrap().log.unwrap();
    // The last record is the marker: nothing vouches for it.
    disk.flip(log.end.segment, log.end.offset - 4, 0).unwrap();
    disk.create(FileId::table(9_999), 70).unwrap();
    disk.sync(FileId::table(9_999)).unwrap();
    let (reports, first) = verified(&disk);
    assert_eq!(first, None);
    assert!(reports.iter().any(|report| matches!(report.found, Checked::Torn(_))), "{reports:?}");
    let stranger = reports.iter().find(|report| report.file == FileId::table(9_999)).unwrap();
    assert_eq!(stranger.found, Checked::Stranger);
    assert_eq!(inspect(&disk).unwrap().strangers, [(FileId::table(9_999), 70)]);
    assert!(Store::open(StoreOptions::SIMULATED, &mut disk).unwrap().1.cut.is_some());

    let mut disk = stored();
    disk.remove(FileId::ROOTS[1]).unwrap();
    assert_eq!(verified(&disk).1, None, "the other slot says it all");
    disk.remove(FileId::ROOTS[0]).unwrap();
    assert!(verified(&disk).1.is_some(), "without roots the log is too short");
    assert_eq!(verified(&SimDisk::default()).1, None);
}

#[test]
fn a_dump_goes_on_behind_damage() {
    let whole = stored();
    let all = dumped(&whole).0.len();
    let table = inspect(&whole).unwrap().levels.iter().flatten().next().unwrap().file;
    let mut disk = whole.clone();
    disk.flip(table, 10, 0).unwrap();
    let segment = inspect(&whole).unwrap().log.unwrap().end.segment;
    disk.flip(segment, 100, 0).unwrap();
    let (lines, faults) = dumped(&disk);
    assert!(lines.len() < all && all / 2 < lines.len(), "{} of {all}", lines.len());
    assert!((1..=2).contains(&faults), "{faults}");
}
