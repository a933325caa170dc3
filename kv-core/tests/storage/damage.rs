//! Damage to durable data is named, never passed over: not one wrong value, not one record fewer
//! without a word.

use kv_core::disk::DiskError;
use kv_core::id::{FileId, LogPosition};
use kv_core::io::JobResult;
use kv_core::rng::Rng;
use kv_core::storage::{Damage, Fault, OpenError, Store, verify_segment};

use crate::disk::TestDisk;
use crate::history::{History, SEGMENT_BYTES, contents_of, open};

/// A closed log of several segments.
fn closed_history(segment_bytes: u64, batches: u64) -> History {
    let mut rng = Rng::new(3);
    let mut history = History::new(segment_bytes);
    for _ in 0..batches {
        history.apply_any(&mut rng);
    }
    history.close();
    history
}

/// Opens a damaged disk that must be refused unchanged.
fn damage(disk: &mut TestDisk) -> Damage {
    let before = disk.files.clone();
    let Err(OpenError::Damaged(damage)) = open(disk) else { panic!("damage was not noticed") };
    assert_eq!(disk.files, before, "a refused disk is left alone");
    damage
}

fn at(segment: u64, offset: u64) -> LogPosition {
    LogPosition { segment: FileId(segment), offset }
}

fn flip(disk: &mut TestDisk, at: LogPosition, mask: u8) {
    disk.files.get_mut(&at.segment).unwrap()[at.offset as usize] ^= mask;
}

/// Flips a byte and opens: the answer is the right one, or names a place at or before the byte.
fn assert_flip_is_noticed(history: &History, place: LogPosition, mask: u8) -> bool {
    let mut disk = history.disk.clone();
    flip(&mut disk, place, mask);
    let damaged = disk.files.clone();
    match open(&mut disk) {
        Ok((store, _)) => {
            assert_eq!(contents_of(&store), history.contents[history.batches()], "{place:?}");
            false
        }
        Err(OpenError::Damaged(damage)) => {
            assert_eq!(damage.at.segment, place.segment, "{damage}");
            assert!(damage.at.offset <= place.offset, "{damage}");
            assert_eq!(disk.files, damaged, "{damage}");
            true
        }
        Err(other) => panic!("{place:?}: {other}"),
    }
}

#[test]
fn every_flipped_byte_of_a_closed_log_is_harmless_or_named() {
    let history = closed_history(SEGMENT_BYTES, 24);
    let (mut named, mut harmless) = (0, 0);
    for (&segment, bytes) in &history.disk.files {
        for offset in 0..bytes.len() as u64 {
            for mask in [0x01, 0x80, 0xff] {
                let place = LogPosition { segment, offset };
                match assert_flip_is_noticed(&history, place, mask) {
                    true => named += 1,
                    false => harmless += 1,
                }
            }
        }
    }
    // Only the marker at the end of the log can go without loss.
    assert_eq!(harmless, 3 * 32);
    assert!(named > 3 * 2_000, "{named}");
}

#[test]
fn flipped_bytes_around_the_ends_of_blocks_are_harmless_or_named() {
    let mut history = History::new(1 << 20);
    for batch in 0_u8..40 {
        history.put(&format!("k{batch}"), vec![batch; 3_333]);
    }
    history.put("big", vec![1; 70_000]);
    history.close();
    let length = history.disk.files[&FileId(1)].len() as u64;
    let near_block_end = |offset: &u64| (offset + 80) % 32_768 < 160 || offset.is_multiple_of(211);
    for offset in (0..length).filter(near_block_end) {
        assert_flip_is_noticed(&history, at(1, offset), 0x10);
    }
}

/// The case in which logs that cut at the first bad record silently lose the other 990.
#[test]
fn a_flipped_byte_in_record_10_of_1000_names_batch_10() {
    let mut marked = History::new(1 << 20);
    let mut synced_one_by_one = History::new(1 << 20);
    for number in 1..=1_000 {
        marked.put(&format!("key{number}"), "value");
        synced_one_by_one.put(&format!("key{number}"), "value");
        synced_one_by_one.sync();
    }
    marked.close();
    for history in [marked, synced_one_by_one] {
        for offset in history.ends[9].offset..history.ends[10].offset {
            let mut disk = history.disk.clone();
            flip(&mut disk, at(1, offset), 0x04);
            let expected = Damage { fault: Fault::Bad, at: history.ends[9], lost: vec![(10, 10)] };
            assert_eq!(damage(&mut disk), expected);
        }
    }
}

/// What no record vouches for may be a torn end, so it is cut; but not without a word.
#[test]
fn damage_that_nothing_proves_is_cut_and_reported() {
    let mut history = History::new(1 << 20);
    for number in 1..=20 {
        history.put(&format!("key{number}"), "value");
    }
    history.sync();
    let length = history.disk.files[&FileId(1)].len() as u64;
    flip(&mut history.disk, history.ends[9], 0x04);
    let (store, recovery) = open(&mut history.disk).unwrap();
    assert_eq!(contents_of(&store), history.contents[9]);
    let cut = recovery.cut.expect("the cut is reported");
    assert_eq!((cut.at, cut.bytes), (history.ends[9], length - history.ends[9].offset));
}

#[test]
fn every_gap_is_named() {
    let mut history = closed_history(1 << 20, 30);
    for batch in [4, 5, 17] {
        let place = history.ends[batch];
        flip(&mut history.disk, place, 0x40);
    }
    let damage = damage(&mut history.disk);
    assert_eq!(damage.lost, [(5, 6), (18, 18)]);
    assert_eq!(
        damage.to_string(),
        format!(
            "segment 1 of the log is damaged at offset {}: durable batches are lost, namely 5 to 6, 18",
            history.ends[4].offset
        )
    );
    let words = OpenError::Damaged(damage).to_string();
    assert!(words.contains("Nothing was changed") && words.contains("an empty one"), "{words}");
}

#[test]
fn a_wiped_block_loses_its_batches_and_no_other() {
    let mut history = History::new(1 << 20);
    for number in 0..1_000 {
        history.put(&format!("key{number:04}"), vec![9; 100]);
    }
    history.close();
    history.disk.files.get_mut(&FileId(1)).unwrap()[32_768..65_536].fill(0);
    let first = history.ends.iter().position(|end| end.offset > 32_768).unwrap() as u64;
    let last = history.ends.iter().position(|end| end.offset > 65_536).unwrap() as u64;
    let damage = damage(&mut history.disk);
    // The batch that lies across the end of the block is lost as well.
    assert_eq!(damage.lost, [(first, last)]);
}

#[test]
fn a_missing_segment_is_named() {
    let history = closed_history(SEGMENT_BYTES, 24);
    let batches_of = |segment: u64| {
        let inside = |end: &LogPosition| end.segment == FileId(segment);
        let first = history.ends.iter().position(inside).unwrap() as u64;
        (first, history.ends.iter().rposition(inside).unwrap() as u64)
    };
    for segment in [1, 3] {
        let mut disk = history.disk.clone();
        disk.files.remove(&FileId(segment));
        let expected =
            Damage { fault: Fault::Missing, at: at(segment, 0), lost: vec![batches_of(segment)] };
        assert_eq!(damage(&mut disk), expected);
    }
}

#[test]
fn a_segment_that_is_too_short_is_named() {
    let history = closed_history(SEGMENT_BYTES, 24);
    let last = history.ends.iter().rposition(|end| end.segment == FileId(2)).unwrap();
    let mut disk = history.disk.clone();
    disk.files.get_mut(&FileId(2)).unwrap().truncate(history.ends[last - 1].offset as usize);
    let lost = vec![(last as u64, last as u64)];
    assert_eq!(damage(&mut disk), Damage { fault: Fault::Short, at: history.ends[last - 1], lost });
}

/// Bytes of a log that ended up in another place of it are not taken for what belongs there.
#[test]
fn misplaced_bytes_are_noticed() {
    let history = closed_history(SEGMENT_BYTES, 24);
    let mut swapped = history.disk.clone();
    let second = swapped.files[&FileId(2)].clone();
    let third = swapped.files.insert(FileId(3), second).unwrap();
    swapped.files.insert(FileId(2), third);
    assert_eq!(damage(&mut swapped).at, at(2, 0));

    let mut moved = History::new(1 << 20);
    for number in 1..=9 {
        moved.put(&format!("key{number}"), "value");
    }
    moved.close();
    let [from, behind, to] = [3, 4, 6].map(|batch| moved.ends[batch].offset as usize);
    moved.disk.files.get_mut(&FileId(1)).unwrap().copy_within(from..behind, to);
    assert_eq!(damage(&mut moved.disk).lost, [(7, 7)]);
}

#[test]
fn a_later_format_is_refused_by_its_number() {
    let mut history = closed_history(1 << 20, 3);
    let bytes = history.disk.files.get_mut(&FileId(1)).unwrap();
    bytes[36..40].copy_from_slice(&2_u32.to_le_bytes());
    seal(1, 0, &mut bytes[..56]);
    let before = history.disk.files.clone();
    let error = open(&mut history.disk).unwrap_err();
    assert_eq!(error, OpenError::Format { segment: FileId(1), found: 2 });
    assert_eq!(history.disk.files, before);
}

/// Gives a record the checksum of what it holds.
fn seal(segment: u64, offset: u64, record: &mut [u8]) {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(&record[4..]);
    record[..4].copy_from_slice(&hasher.finalize().to_le_bytes());
}

#[test]
fn a_part_of_another_batch_completes_none() {
    let mut history = History::new(1 << 20);
    history.put("a", vec![1; 40_000]);
    history.put("b", "2");
    history.close();
    let bytes = history.disk.files.get_mut(&FileId(1)).unwrap();
    let end = history.ends[1].offset as usize;
    bytes[32_768 + 8] += 1;
    seal(1, 32_768, &mut bytes[32_768..end]);
    assert_eq!(damage(&mut history.disk).lost, [(1, 1)]);
}

#[test]
fn the_changes_of_a_batch_are_counted() {
    let mut history = History::new(1 << 20);
    history.put("a", "1");
    history.close();
    let bytes = history.disk.files.get_mut(&FileId(1)).unwrap();
    bytes[56 + 18] += 1;
    seal(1, 56, &mut bytes[56..history.ends[1].offset as usize]);
    assert_eq!(damage(&mut history.disk).lost, [(1, 1)]);
}

#[test]
fn a_segment_that_ends_in_zeros_is_named() {
    let history = closed_history(SEGMENT_BYTES, 24);
    let last = history.ends.iter().rposition(|end| end.segment == FileId(2)).unwrap();
    let mut disk = history.disk.clone();
    let from = history.ends[last - 1];
    disk.files.get_mut(&FileId(2)).unwrap()[from.offset as usize..].fill(0);
    let lost = vec![(last as u64, last as u64)];
    assert_eq!(damage(&mut disk), Damage { fault: Fault::Short, at: from, lost });
}

/// Records that say anything at all under a checksum that holds: opening ends, one way or the other.
#[test]
fn forged_records_do_no_harm() {
    let history = closed_history(SEGMENT_BYTES, 24);
    let mut rng = Rng::new(11);
    let mut opened = 0;
    for _ in 0..20_000 {
        let mut disk = history.disk.clone();
        for _ in 0..rng.between(1, 3) {
            let batch = rng.below(history.batches() as u64) as usize;
            let (start, end) = (history.ends[batch], history.ends[batch + 1]);
            if start.segment != end.segment {
                continue;
            }
            let bytes = disk.files.get_mut(&start.segment).unwrap();
            let record = &mut bytes[start.offset as usize..end.offset as usize];
            for _ in 0..rng.between(1, 3) {
                let byte = rng.between(4, record.len() as u64 - 1) as usize;
                record[byte] = [0, 1, 2, 0x7f, 0x80, 0xff, rng.any() as u8][rng.below(7) as usize];
            }
            seal(start.segment.0, start.offset, record);
        }
        if let Ok((mut store, _)) = open(&mut disk) {
            let mut batch = kv_core::storage::Batch::default();
            batch.put("still", "alive");
            store.apply(&batch, &mut disk).unwrap();
            let (reopened, _) = open(&mut disk).unwrap();
            assert_eq!(contents_of(&reopened), contents_of(&store));
            opened += 1;
        }
    }
    assert!(opened > 1_000, "{opened}");
}

#[test]
fn a_folder_of_garbage_is_cut_or_refused() {
    let mut rng = Rng::new(12);
    for _ in 0..300 {
        let mut disk = TestDisk::default();
        for _ in 0..rng.between(1, 4) {
            let most = if rng.below(9) == 0 { 100_000 } else { 200 };
            let length = rng.below(most);
            let file = FileId([0, 1, 2, 7, u64::MAX][rng.below(5) as usize]);
            disk.files.insert(file, (0..length).map(|_| rng.any() as u8).collect());
        }
        let bytes: usize = disk.files.values().map(Vec::len).sum();
        let (store, recovery) = open(&mut disk).unwrap();
        assert_eq!(store.view().keys, 0);
        assert_eq!(recovery.cut.map_or(0, |cut| cut.bytes), bytes as u64);
    }
}

#[test]
fn full_segments_are_handed_out_once_and_verified() {
    let mut history = closed_history(SEGMENT_BYTES, 24);
    let segments = history.store.view().segments;
    let mut records = 0;
    for &(segment, bytes) in &segments[..segments.len() - 1] {
        assert_eq!(history.store.next_to_verify(), Some((segment, bytes)));
        match verify_segment(&mut history.disk, segment, bytes) {
            Ok(JobResult::Verified { records: found, damaged_at: None }) => records += found,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(history.store.next_to_verify(), None, "the last one still grows");
    let (last, bytes) = segments[segments.len() - 1];
    let Ok(JobResult::Verified { records: found, .. }) =
        verify_segment(&mut history.disk, last, bytes)
    else {
        panic!("the last segment can be read")
    };
    assert_eq!(records + found, history.batches() as u64 + 1, "all batches and the marker");
}

#[test]
fn a_segment_is_handed_out_for_verifying_only_when_it_is_durable() {
    let mut history = History::new(SEGMENT_BYTES);
    for number in 0..12 {
        history.put(&format!("key{number}"), vec![0; 60]);
    }
    assert!(history.store.view().segments.len() > 2);
    assert_eq!(history.store.next_to_verify(), None);
    history.sync();
    assert!(history.store.next_to_verify().is_some());
}

#[test]
fn verifying_names_the_first_damaged_record() {
    let mut history = closed_history(SEGMENT_BYTES, 24);
    let (segment, bytes) = history.store.view().segments[1];
    let inside: Vec<_> =
        history.ends.iter().filter(|end| end.segment == segment).map(|end| end.offset).collect();
    for offset in 0..bytes {
        let mut disk = history.disk.clone();
        flip(&mut disk, LogPosition { segment, offset }, 0x20);
        let records = inside.partition_point(|end| *end <= offset) as u64;
        // The record that holds the byte begins where the one before it ends; the first one at 56.
        let start = inside.iter().rev().find(|end| **end <= offset).copied();
        let damaged_at = Some(start.unwrap_or(if offset < 56 { 0 } else { 56 }));
        assert_eq!(
            verify_segment(&mut disk, segment, bytes),
            Ok(JobResult::Verified { records, damaged_at })
        );
    }
    let disk = &mut history.disk;
    disk.files.get_mut(&segment).unwrap().truncate(inside[0] as usize);
    assert_eq!(
        verify_segment(disk, segment, bytes),
        Ok(JobResult::Verified { records: 1, damaged_at: Some(inside[0]) })
    );
    assert_eq!(verify_segment(disk, FileId(99), 1), Err(DiskError::NotFound));
}

#[test]
fn a_failing_disk_is_no_damage() {
    struct Unreadable;
    impl kv_core::disk::Disk for Unreadable {
        fn create(&mut self, _: FileId) -> Result<(), DiskError> {
            Err(io())
        }
        fn append(&mut self, _: FileId, _: &[u8]) -> Result<(), DiskError> {
            Err(io())
        }
        fn write_at(&mut self, _: FileId, _: u64, _: &[u8]) -> Result<(), DiskError> {
            Err(io())
        }
        fn read_at(&mut self, _: FileId, _: u64, _: u64) -> Result<Vec<u8>, DiskError> {
            Err(io())
        }
        fn len(&mut self, _: FileId) -> Result<u64, DiskError> {
            Ok(100)
        }
        fn truncate(&mut self, _: FileId, _: u64) -> Result<(), DiskError> {
            panic!("a disk that cannot be read must not be cut")
        }
        fn remove(&mut self, _: FileId) -> Result<(), DiskError> {
            panic!("a disk that cannot be read must not be cut")
        }
        fn list(&mut self) -> Result<Vec<FileId>, DiskError> {
            Ok(vec![FileId(1)])
        }
    }
    fn io() -> DiskError {
        DiskError::Io("unreadable".into())
    }
    assert_eq!(Store::open(1, &mut Unreadable).unwrap_err(), OpenError::Disk(io()));
}
