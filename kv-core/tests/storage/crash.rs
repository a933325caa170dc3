//! After a crash the store holds the first so many batches whole, and all that had been synced.

use kv_core::id::LogPosition;
use kv_core::rng::Rng;
use kv_core::storage::{Batch, Recovery, Store};

use crate::disk::TestDisk;
use crate::history::{History, SEGMENT_BYTES, contents_of, open};

/// Opens a crashed disk, checks it against the history, and returns how many batches survived.
fn survivors(history: &History, disk: &mut TestDisk, context: &str) -> (Store, usize) {
    let before = disk.clone();
    let (store, recovery) = open(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    let survived = recovery.records as usize;
    assert!(history.synced <= survived, "{context}: {} synced, {survived} found", history.synced);
    assert_eq!(
        contents_of(&store),
        history.contents[survived],
        "{context}: a prefix of the batches"
    );
    let bytes = |disk: &TestDisk| disk.files.values().map(Vec::len).sum::<usize>() as u64;
    match recovery.cut {
        Some(cut) => {
            assert_eq!(cut.at, store.end(), "{context}: the cut is where the log ends");
            assert_eq!(
                cut.bytes,
                bytes(&before) - bytes(disk),
                "{context}: the cut is all that went"
            );
        }
        None => {
            // Without a cut nothing went but room that was never written to.
            for (file, old) in &before.files {
                let kept = disk.files.get(file).map_or(0, Vec::len);
                assert!(old[kept..].iter().all(|byte| *byte == 0), "{context}: cut without a word");
            }
        }
    }
    (store, survived)
}

/// Opening again finds the same and cuts nothing.
fn assert_settled(disk: &TestDisk, store: &Store, context: &str) {
    let mut again = disk.clone();
    let (reopened, recovery) = open(&mut again).unwrap();
    assert_eq!(recovery.cut, None, "{context}: a second recovery cuts nothing");
    assert_eq!(contents_of(&reopened), contents_of(store), "{context}: and finds the same");
    assert_eq!(reopened.end(), store.end(), "{context}: in the same place");
    assert_eq!(again.files, disk.files, "{context}: and changes nothing");
}

/// The store goes on after a recovery, and what was cut never returns, even if the disk brings it back.
fn assert_goes_on(mut store: Store, crashed: &TestDisk, mut disk: TestDisk, context: &str) {
    let mut batch = Batch::default();
    batch.put("after", "the crash");
    store.apply(&batch, &mut disk).unwrap();
    let expected = contents_of(&store);
    let mut reopened = disk.clone();
    let (after, recovery) = open(&mut reopened).unwrap();
    assert_eq!(recovery.cut, None, "{context}: nothing more to cut");
    assert_eq!(contents_of(&after), expected, "{context}: goes on");
    for (file, old) in &crashed.files {
        let now = disk.files.entry(*file).or_default();
        if now.len() < old.len() {
            now.extend_from_slice(&old[now.len()..]);
        }
    }
    let (after, recovery) = open(&mut disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(contents_of(&after), expected, "{context}: what was cut stays cut");
    assert_eq!(recovery.records, after_records(&reopened), "{context}: to the batch");
}

fn after_records(disk: &TestDisk) -> u64 {
    open(&mut disk.clone()).unwrap().1.records
}

/// Loses power before each change that a recovery makes, and recovers again.
fn assert_can_crash_while_recovering(crashed: &TestDisk, store: &Store, context: &str) {
    for changes in 0.. {
        let mut disk = TestDisk { changes_left: Some(changes), ..crashed.clone() };
        let interrupted = open(&mut disk).is_err();
        disk.changes_left = None;
        let (again, _) = open(&mut disk).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(contents_of(&again), contents_of(store), "{context}: after {changes} changes");
        assert_eq!(again.end(), store.end(), "{context}: after {changes} changes");
        if !interrupted {
            return;
        }
    }
}

/// A history of small batches over several segments, a crash after each of them, and in each crash
/// every possible end of what had not been synced.
#[test]
fn a_crash_at_every_byte_leaves_a_prefix_with_everything_synced() {
    let mut rng = Rng::new(1);
    let mut history = History::new(SEGMENT_BYTES);
    let mut cuts = 0;
    for batch in 1..=24 {
        history.apply_any(&mut rng);
        for kept in 0..=history.disk.unsynced_len() {
            let names = kept % 2 == 0;
            let context = format!("batch {batch}, {kept} bytes kept");
            let crashed = history.disk.crash_after(kept, names);
            let mut disk = crashed.clone();
            let (store, survived) = survivors(&history, &mut disk, &context);
            let whole = history.ends[..=history.batches()]
                .iter()
                .filter(|end| {
                    crashed.files.range(..=end.segment).next_back().is_some_and(|(file, bytes)| {
                        (file.0, bytes.len() as u64) >= (end.segment.0, end.offset)
                    })
                })
                .count();
            assert_eq!(survived, whole, "{context}: every batch that is whole is found");
            cuts += u64::from(disk.files != crashed.files);
            assert_settled(&disk, &store, &context);
            assert_goes_on(store.clone(), &crashed, disk, &context);
            if kept % 7 == 0 {
                assert_can_crash_while_recovering(&crashed, &store, &context);
            }
        }
        if batch % 5 == 0 {
            history.sync();
        }
    }
    assert!(history.store.view().segments.len() > 3, "the history spans segments");
    assert!(cuts > 1_000, "and most crashes tore something");
}

/// Sectors that were not synced survive on their own, empty or as garbage, and files end anywhere.
#[test]
fn torn_sectors_leave_a_prefix_with_everything_synced() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut history = History::new(if seed % 2 == 0 { SEGMENT_BYTES } else { 6_000 });
        for _ in 0..rng.between(5, 60) {
            history.apply_any(&mut rng);
            match rng.below(8) {
                0 => history.sync(),
                1 => history.close(),
                _ => {}
            }
        }
        for crash in 0..20 {
            let context = format!("seed {seed}, crash {crash}");
            let crashed = history.disk.crash_torn(&mut rng);
            let mut disk = crashed.clone();
            let Ok((store, recovery)) = open(&mut disk) else {
                panic!("{context}: {}", open(&mut disk).unwrap_err())
            };
            // Markers are records too, so contents are looked up rather than counted.
            let found = contents_of(&store);
            assert!(
                history.contents[history.synced..].contains(&found),
                "{context}: a prefix with everything synced, {recovery:?}"
            );
            assert_settled(&disk, &store, &context);
            assert_can_crash_while_recovering(&crashed, &store, &context);
            assert_goes_on(store, &crashed, disk, &context);
        }
    }
}

/// A batch of several blocks is there whole or not at all.
#[test]
fn a_crash_within_a_batch_of_several_blocks_leaves_nothing_of_it() {
    let mut history = History::new(1 << 20);
    history.put("before", "1");
    history.sync();
    history.apply(&[(b"big".to_vec(), Some(vec![7; 100_000])), (b"before".to_vec(), None)]);
    let length = history.disk.unsynced_len();
    let block_ends = [32_768, 65_536, 98_304].map(|end| end - history.ends[1].offset as usize);
    for kept in (0..length).step_by(131).chain(block_ends).chain(length - 40..=length) {
        let context = format!("{kept} bytes kept of {length}");
        let mut disk = history.disk.crash_after(kept, true);
        let (_, survived) = survivors(&history, &mut disk, &context);
        assert_eq!(survived, if kept == length { 2 } else { 1 }, "{context}");
        // The file may have grown before its bytes were there.
        let mut grown = history.disk.crash_after(kept, true);
        for bytes in grown.files.values_mut() {
            bytes.resize(bytes.len() + 40_000, 0);
        }
        let (_, survived) = survivors(&history, &mut grown, &context);
        assert_eq!(survived, if kept == length { 2 } else { 1 }, "{context}, then zeros");
    }
}

/// Batch 2 is lost in a crash and batch 3 survives it, so both are cut. Then another batch 2 of the same
/// length is written, and the disk brings the old batch 3 back: right behind it, with the right number.
#[test]
fn a_batch_that_was_cut_never_follows_its_successor() {
    for segment_bytes in [1 << 20, 100] {
        let mut history = History::new(segment_bytes);
        history.put("a", "1");
        history.sync();
        for key in ["b", "c", "d", "e"] {
            history.put(key, "old");
        }
        let mut disk = history.disk.clone();
        let lost = history.ends[2];
        disk.files.get_mut(&lost.segment).unwrap()[lost.offset as usize - 8] ^= 1;
        let crashed = disk.clone();

        let (mut store, recovery) = Store::open(segment_bytes, &mut disk).unwrap();
        assert_eq!((recovery.records, recovery.cut.is_some()), (1, true));
        let mut batch = Batch::default();
        batch.put("b", "new");
        store.apply(&batch, &mut disk).unwrap();

        for (file, old) in &crashed.files {
            let now = disk.files.entry(*file).or_default();
            let length = now.len();
            now.extend(old.get(length..).unwrap_or_default());
        }
        let (reopened, recovery) = Store::open(segment_bytes, &mut disk).unwrap();
        assert_eq!((recovery.records, recovery.cut), (2, None), "{segment_bytes}");
        assert_eq!(contents_of(&reopened), contents_of(&store), "{segment_bytes}");
    }
}

/// Room that a crash left behind the log, or that was made in advance, is no damage.
#[test]
fn zeros_behind_the_log_are_a_clean_end() {
    let mut history = History::new(1 << 20);
    history.put("a", "1");
    history.close();
    let mut disk = history.disk.clone();
    for bytes in disk.files.values_mut() {
        bytes.resize(bytes.len() + 100_001, 0);
    }
    let (mut store, recovery) = open(&mut disk).unwrap();
    assert_eq!(recovery, Recovery { records: 2, cut: None });
    assert_eq!(store.end(), history.store.end());
    let mut batch = Batch::default();
    batch.put("b", "2");
    store.apply(&batch, &mut disk).unwrap();
    let (reopened, recovery) = open(&mut disk).unwrap();
    assert_eq!((recovery.records, recovery.cut), (3, None));
    assert_eq!(contents_of(&reopened), contents_of(&store));
}

/// The process dies without the machine: what it wrote is there, but may never have been synced.
#[test]
fn nothing_counts_as_durable_right_after_opening() {
    let mut history = History::new(SEGMENT_BYTES);
    history.put("a", "1");
    history.sync();
    assert_eq!(history.store.get(b"a").unwrap().1, LogPosition::START);
    let (mut store, _) = open(&mut history.disk).unwrap();
    assert_eq!(store.get(b"a").unwrap().1, store.end());
    assert_eq!(store.mark_durable(&mut history.disk), Ok(None), "nothing to say yet");
    store.synced(store.end());
    assert_eq!(store.get(b"a").unwrap().1, LogPosition::START);
    assert!(store.mark_durable(&mut history.disk).unwrap().is_some());
    store.synced(store.end());
    assert_eq!(store.mark_durable(&mut history.disk), Ok(None), "once is enough");
}
