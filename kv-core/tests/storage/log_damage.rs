//! Damage to the log alone, and what a torn end looks like beside it.

use kv_core::disk::DiskError;
use kv_core::id::{FileId, LogPosition};
use kv_core::rng::Rng;
use kv_core::storage::{
    Batch, Damage, Fault, Job, JobResult, OpenError, Outcome, Recovery, Store, StoreOptions,
    verify_segment,
};

use crate::history::{Change, History, Step, any_changes, contents_of};
use crate::image::{Image, disk_of, image_of};

/// Everything stays in the log.
const LOG: StoreOptions = StoreOptions { reserve_bytes: 0, ..StoreOptions::SERVER };

/// The history of a log with segments of this size.
fn log(segment_bytes: u64) -> History {
    History::new(StoreOptions { segment_bytes, ..LOG })
}

/// So small that a short history has many segments.
const SEGMENT_BYTES: u64 = 400;

/// A closed log of several segments.
fn closed_log(segment_bytes: u64, batches: u64) -> History {
    let mut rng = Rng::new(3);
    let mut history = log(segment_bytes);
    for _ in 0..batches {
        history.step(&Step::Batch(any_changes(&mut rng, 'k'))).unwrap();
    }
    history.close();
    history
}

/// Opens an image that must be refused.
fn damage(image: &Image) -> Damage {
    let mut disk = disk_of(image);
    let Err(OpenError::Damaged(damage)) = Store::open(LOG, &mut disk) else {
        panic!("damage was not noticed")
    };
    assert_eq!(image_of(&disk), *image, "a refused disk is left alone");
    damage
}

fn at(segment: u64, offset: u64) -> LogPosition {
    LogPosition { segment: FileId::log(segment), offset }
}

fn flip(image: &mut Image, at: LogPosition, mask: u8) {
    image.get_mut(&at.segment).unwrap()[at.offset as usize] ^= mask;
}

/// Where the records of a segment end.
fn written(history: &History, segment: FileId) -> u64 {
    let segments = history.store.view().segments;
    segments.iter().find(|(file, _)| *file == segment).map_or(0, |(_, bytes)| *bytes)
}

/// Flips bits of a byte and opens: the answer is the right one, or names a place at or before the byte.
fn flip_is_named(history: &History, place: LogPosition, mask: u8) -> bool {
    let mut disk = history.disk.clone();
    for bit in (0..8).filter(|bit| mask >> bit & 1 == 1) {
        disk.flip(place.segment, place.offset, bit).unwrap();
    }
    match Store::open(history.options, &mut disk) {
        Ok((store, _)) => {
            assert_eq!(contents_of(&store, &disk).as_ref(), Ok(&history.expected()), "{place:?}");
            false
        }
        Err(OpenError::Damaged(damage)) => {
            assert_eq!(damage.at.segment, place.segment, "{damage}");
            assert!(damage.at.offset <= place.offset, "{damage}");
            true
        }
        Err(other) => panic!("{place:?}: {other}"),
    }
}

#[test]
fn every_flipped_byte_of_a_closed_log_is_harmless_or_named() {
    let history = closed_log(SEGMENT_BYTES, 24);
    let last = *history.ends.last().unwrap();
    let mut named = 0;
    for (segment, bytes) in image_of(&history.disk) {
        for offset in 0..bytes.len() as u64 {
            for mask in [0x01, 0x80, 0xff] {
                let place = LogPosition { segment, offset };
                let is_named = flip_is_named(&history, place, mask);
                // Only the marker at the end of the log, and room, can go without loss.
                let matters = offset < written(&history, segment) && place < last;
                assert_eq!(is_named, matters, "{place:?}");
                named += u64::from(is_named);
            }
        }
    }
    assert!(named > 3 * 2_000, "{named}");
}

#[test]
fn flipped_bytes_around_the_ends_of_blocks_are_harmless_or_named() {
    let mut history = log(1 << 20);
    for batch in 0_u8..40 {
        history.put(&format!("k{batch}"), vec![batch; 3_333]);
    }
    history.put("big", vec![1; 70_000]);
    history.close();
    let segment = history.store.end().segment;
    let near_block_end = |offset: &u64| (offset + 80) % 32_768 < 160 || offset.is_multiple_of(211);
    for offset in (0..history.store.end().offset).filter(near_block_end) {
        flip_is_named(&history, LogPosition { segment, offset }, 0x10);
    }
}

/// What no record vouches for may be a torn end, so it is cut; but not without a word.
#[test]
fn damage_that_nothing_proves_is_cut_and_reported() {
    let mut history = log(1 << 20);
    for number in 1..=20 {
        history.put(&format!("key{number}"), "value");
    }
    history.sync();
    let mut image = image_of(&history.disk);
    flip(&mut image, history.ends[9], 0x04);
    let mut disk = disk_of(&image);
    let (store, recovery) = Store::open(history.options, &mut disk).unwrap();
    assert_eq!(contents_of(&store, &disk).as_ref(), Ok(&history.contents[9]));
    let cut = recovery.cut.expect("the cut is reported");
    // A record is padded with zeros, which look like room that was never written to.
    let behind = history.store.end().offset - history.ends[9].offset;
    assert_eq!(cut.at, history.ends[9]);
    assert!(cut.bytes <= behind && behind < cut.bytes + 8, "{} of {behind}", cut.bytes);
}

#[test]
fn every_gap_is_named() {
    let history = closed_log(1 << 20, 30);
    let mut image = image_of(&history.disk);
    for batch in [4, 5, 17] {
        flip(&mut image, history.ends[batch], 0x40);
    }
    let damage = damage(&image);
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
    let mut history = log(1 << 20);
    for number in 0..1_000 {
        history.put(&format!("key{number:04}"), vec![9; 100]);
    }
    history.close();
    let mut image = image_of(&history.disk);
    image.get_mut(&FileId::log(1)).unwrap()[32_768..65_536].fill(0);
    let first = history.ends.iter().position(|end| end.offset > 32_768).unwrap() as u64;
    let last = history.ends.iter().position(|end| end.offset > 65_536).unwrap() as u64;
    // The batch that lies across the end of the block is lost as well.
    assert_eq!(damage(&image).lost, [(first, last)]);
}

#[test]
fn a_missing_segment_is_named() {
    let history = closed_log(SEGMENT_BYTES, 24);
    let batches_of = |segment: u64| {
        let inside = |end: &LogPosition| end.segment == FileId::log(segment);
        let first = history.ends.iter().position(inside).unwrap() as u64;
        (first, history.ends.iter().rposition(inside).unwrap() as u64)
    };
    for segment in [1, 3] {
        let mut image = image_of(&history.disk);
        image.remove(&FileId::log(segment));
        let expected =
            Damage { fault: Fault::Missing, at: at(segment, 0), lost: vec![batches_of(segment)] };
        assert_eq!(damage(&image), expected);
    }
}

/// A segment with two batches or more, and the number of its last.
fn crowded_segment(history: &History) -> (FileId, usize) {
    let crowded = history
        .ends
        .windows(3)
        .position(|ends| ends[0].segment == ends[1].segment && ends[1].segment != ends[2].segment);
    let last = crowded.expect("some segment holds several batches") + 1;
    (history.ends[last].segment, last)
}

#[test]
fn a_segment_that_ends_too_early_or_in_zeros_is_named() {
    let history = closed_log(SEGMENT_BYTES, 24);
    let (segment, last) = crowded_segment(&history);
    let from = history.ends[last - 1];
    let lost = vec![(last as u64, last as u64)];
    let expected = Damage { fault: Fault::Short, at: from, lost };
    let mut short = image_of(&history.disk);
    short.get_mut(&segment).unwrap().truncate(from.offset as usize);
    assert_eq!(damage(&short), expected);
    let mut zeros = image_of(&history.disk);
    zeros.get_mut(&segment).unwrap()[from.offset as usize..].fill(0);
    assert_eq!(damage(&zeros), expected);
}

/// Bytes of a log that ended up in another place of it are not taken for what belongs there.
#[test]
fn misplaced_bytes_are_noticed() {
    let history = closed_log(SEGMENT_BYTES, 24);
    let mut swapped = image_of(&history.disk);
    let second = swapped[&FileId::log(2)].clone();
    let third = swapped.insert(FileId::log(3), second).unwrap();
    swapped.insert(FileId::log(2), third);
    assert_eq!(damage(&swapped).at, at(2, 0));

    let mut history = log(1 << 20);
    for number in 1..=9 {
        history.put(&format!("key{number}"), "value");
    }
    history.close();
    let [from, behind, to] = [3, 4, 6].map(|batch| history.ends[batch].offset as usize);
    let mut moved = image_of(&history.disk);
    moved.get_mut(&FileId::log(1)).unwrap().copy_within(from..behind, to);
    assert_eq!(damage(&moved).lost, [(7, 7)]);
}

/// Batch 2 is lost in a crash and batch 3 survives it, so both are cut. Then another batch 2 of the same
/// length is written, and the disk brings the old batch 3 back: right behind it, with the right number.
#[test]
fn a_batch_that_was_cut_never_follows_its_successor() {
    for segment_bytes in [1 << 20, 100] {
        let mut history = log(segment_bytes);
        history.put("a", "1");
        history.sync();
        for key in ["b", "c", "d", "e"] {
            history.put(key, "old");
        }
        let mut crashed = image_of(&history.disk);
        let lost = history.ends[2];
        crashed.get_mut(&lost.segment).unwrap()[lost.offset as usize - 8] ^= 1;

        let mut disk = disk_of(&crashed);
        let (mut store, recovery) = Store::open(history.options, &mut disk).unwrap();
        assert_eq!((recovery.records, recovery.cut.is_some()), (1, true));
        let mut batch = Batch::default();
        batch.put("b", "new");
        store.apply(&batch, &mut disk).unwrap();

        let mut image = image_of(&disk);
        for (file, old) in &crashed {
            let now = image.entry(*file).or_default();
            let length = now.len();
            now.extend(old.get(length..).unwrap_or_default());
        }
        let mut again = disk_of(&image);
        let (reopened, recovery) = Store::open(history.options, &mut again).unwrap();
        assert_eq!((recovery.records, recovery.cut), (2, None), "{segment_bytes}");
        assert_eq!(contents_of(&reopened, &again), contents_of(&store, &disk), "{segment_bytes}");
    }
}

#[test]
fn a_later_format_is_refused_by_its_number() {
    let history = closed_log(1 << 20, 3);
    let mut image = image_of(&history.disk);
    let bytes = image.get_mut(&FileId::log(1)).unwrap();
    bytes[36..40].copy_from_slice(&2_u32.to_le_bytes());
    seal(1, 0, &mut bytes[..56]);
    let mut disk = disk_of(&image);
    let error = Store::open(history.options, &mut disk).unwrap_err();
    assert_eq!(error, OpenError::Format { file: FileId::log(1), found: 2 });
    assert_eq!(image_of(&disk), image);
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
    let mut history = log(1 << 20);
    history.put("a", vec![1; 40_000]);
    history.put("b", "2");
    history.close();
    let mut image = image_of(&history.disk);
    let bytes = image.get_mut(&FileId::log(1)).unwrap();
    let end = history.ends[1].offset as usize;
    bytes[32_768 + 8] += 1;
    seal(1, 32_768, &mut bytes[32_768..end]);
    assert_eq!(damage(&image).lost, [(1, 1)]);
}

#[test]
fn the_changes_of_a_batch_are_counted() {
    let mut history = log(1 << 20);
    history.put("a", "1");
    history.close();
    let mut image = image_of(&history.disk);
    let bytes = image.get_mut(&FileId::log(1)).unwrap();
    bytes[56 + 18] += 1;
    seal(1, 56, &mut bytes[56..history.ends[1].offset as usize]);
    assert_eq!(damage(&image).lost, [(1, 1)]);
}

/// Records that say anything at all under a checksum that holds: opening ends, one way or the other.
#[test]
fn forged_records_do_no_harm() {
    let history = closed_log(SEGMENT_BYTES, 24);
    let image = image_of(&history.disk);
    let mut rng = Rng::new(11);
    let mut opened = 0;
    for _ in 0..5_000 {
        let mut image = image.clone();
        for _ in 0..rng.between(1, 3) {
            let batch = rng.below(history.batches() as u64) as usize;
            let (start, end) = (history.ends[batch], history.ends[batch + 1]);
            if start.segment != end.segment {
                continue;
            }
            let bytes = image.get_mut(&start.segment).unwrap();
            let record = &mut bytes[start.offset as usize..end.offset as usize];
            for _ in 0..rng.between(1, 3) {
                let byte = rng.between(4, record.len() as u64 - 1) as usize;
                record[byte] = [0, 1, 2, 0x7f, 0x80, 0xff, rng.any() as u8][rng.below(7) as usize];
            }
            seal(start.segment.0, start.offset, record);
        }
        let mut disk = disk_of(&image);
        if let Ok((mut store, _)) = Store::open(history.options, &mut disk) {
            let mut batch = Batch::default();
            batch.put("still", "alive");
            store.apply(&batch, &mut disk).unwrap();
            let (reopened, _) = Store::open(history.options, &mut disk).unwrap();
            assert_eq!(contents_of(&reopened, &disk), contents_of(&store, &disk));
            opened += 1;
        }
    }
    assert!(opened > 250, "{opened}");
}

#[test]
fn a_folder_of_garbage_is_cut_or_refused() {
    let mut rng = Rng::new(12);
    for _ in 0..300 {
        let mut image = Image::new();
        for _ in 0..rng.between(1, 4) {
            let most = if rng.below(9) == 0 { 100_000 } else { 200 };
            let length = rng.between(1, most);
            let file = FileId::log([0, 1, 2, 7, FileId::NUMBERS - 1][rng.below(5) as usize]);
            image.insert(file, (0..length).map(|_| rng.any() as u8 | 1).collect());
        }
        let bytes: usize = image.values().map(Vec::len).sum();
        let mut disk = disk_of(&image);
        let (store, recovery) = Store::open(LOG, &mut disk).unwrap();
        assert_eq!(store.view().versions, 0);
        assert_eq!(recovery.cut.map_or(0, |cut| cut.bytes), bytes as u64);
    }
}

/// Room that was made in advance, or that a crash left behind the log, is no damage.
#[test]
fn zeros_behind_the_log_are_a_clean_end() {
    let mut history = log(1 << 20);
    history.put("a", "1");
    history.close();
    let mut image = image_of(&history.disk);
    for bytes in image.values_mut() {
        bytes.resize(bytes.len() + 100_001, 0);
    }
    image.insert(FileId::log(2), vec![0; 5_000]);
    let mut disk = disk_of(&image);
    let (mut store, recovery) = Store::open(history.options, &mut disk).unwrap();
    assert_eq!(recovery, Recovery { records: 2, cut: None });
    assert_eq!(store.end(), history.store.end());
    let mut batch = Batch::default();
    batch.put("b", "2");
    store.apply(&batch, &mut disk).unwrap();
    let (reopened, recovery) = Store::open(history.options, &mut disk).unwrap();
    assert_eq!((recovery.records, recovery.cut), (3, None));
    assert_eq!(contents_of(&reopened, &disk), contents_of(&store, &disk));
}

/// The segments whose verification a store has asked for.
fn verifications(history: &mut History) -> Vec<(FileId, Outcome)> {
    let mut found = Vec::new();
    while let Some((id, job)) = history.store.next_job() {
        let Job::VerifySegment { segment, .. } = job else { panic!("{job:?}") };
        let result = job.run(&mut history.disk);
        let outcome = history.store.job_done(id, result, &mut history.disk);
        found.push((segment, outcome.expect("it says what it found")));
    }
    found
}

#[test]
fn full_segments_are_verified_once_and_only_when_they_are_durable() {
    let mut history = log(SEGMENT_BYTES);
    for number in 0..24 {
        history
            .store
            .apply(
                &crate::history::batch_of(&[Change::Put(vec![number], vec![0; 60])]),
                &mut history.disk,
            )
            .unwrap();
    }
    let segments = history.store.view().segments;
    assert!(segments.len() > 3);
    assert_eq!(verifications(&mut history), []);
    let end = history.store.end();
    history.disk.sync_log(end).unwrap();
    history.store.synced(end);
    let found = verifications(&mut history);
    let (last, full) = segments.split_last().unwrap();
    assert!(found.iter().map(|(segment, _)| segment).eq(full.iter().map(|(file, _)| file)));
    let mut records = 0;
    for (_, outcome) in found {
        match outcome {
            Outcome::Verified { records: found, damaged_at: None, .. } => records += found,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(verifications(&mut history), [], "once");
    let found = verify_segment(&history.disk, last.0, last.1);
    assert_eq!(found, Ok(JobResult::Verified { records: 24 - records, damaged_at: None }));
}

#[test]
fn nothing_is_said_of_a_segment_that_went_while_it_was_verified() {
    let mut history = log(SEGMENT_BYTES);
    history.put("a", vec![0; 300]);
    history.put("b", vec![0; 300]);
    let History { store, disk, .. } = &mut history;
    disk.sync_log(store.end()).unwrap();
    store.synced(store.end());
    let (verification, verify) = store.next_job().expect("a full segment is durable");
    assert!(matches!(verify, Job::VerifySegment { segment, .. } if segment == FileId::log(1)));
    store.flush();
    while let Some((id, job)) = store.next_job() {
        store.job_done(id, job.run(disk), disk);
    }
    let result = verify.run(disk);
    assert_eq!(result, Err(DiskError::NotFound), "its batches are in a table");
    assert_eq!(store.job_done(verification, result, disk), None);
}

#[test]
fn verifying_names_the_first_damaged_record() {
    let history = closed_log(SEGMENT_BYTES, 24);
    let (segment, _) = crowded_segment(&history);
    let bytes = written(&history, segment);
    let inside: Vec<_> =
        history.ends.iter().filter(|end| end.segment == segment).map(|end| end.offset).collect();
    for offset in 0..bytes {
        let mut disk = history.disk.clone();
        disk.flip(segment, offset, 5).unwrap();
        // Damage behind the first is not what is named.
        disk.flip(segment, bytes - 1, 6).unwrap();
        let records = inside.partition_point(|end| *end <= offset) as u64;
        // The record that holds the byte begins where the one before it ends; the first one at 56.
        let start = inside.iter().rev().find(|end| **end <= offset).copied();
        let damaged_at = Some(start.unwrap_or(if offset < 56 { 0 } else { 56 }));
        assert_eq!(
            verify_segment(&disk, segment, bytes),
            Ok(JobResult::Verified { records, damaged_at })
        );
    }
    let (mut short, mut zeros) = (image_of(&history.disk), image_of(&history.disk));
    short.get_mut(&segment).unwrap().truncate(inside[0] as usize);
    zeros.get_mut(&segment).unwrap()[inside[0] as usize..].fill(0);
    for image in [short, zeros] {
        assert_eq!(
            verify_segment(&disk_of(&image), segment, bytes),
            Ok(JobResult::Verified { records: 1, damaged_at: Some(inside[0]) })
        );
    }
    assert_eq!(verify_segment(&history.disk, FileId::log(99), 1), Err(DiskError::NotFound));
}
