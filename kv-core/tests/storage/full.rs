//! A full disk refuses writes and changes nothing; a disk that fails stops the store for good.

use kv_core::disk::{Disk, DiskError};
use kv_core::id::{FileId, FileKind};
use kv_core::rng::Rng;
use kv_core::storage::{Batch, Store, StoreError, StoreOptions, StoreView};

use crate::history::{Change, History, SMALL, Step, any_changes, any_step, contents_of};
use crate::image::{image_of, of_kind};

fn batch(key: &str, value: impl Into<Vec<u8>>) -> Batch {
    let mut batch = Batch::default();
    batch.put(key, value.into());
    batch
}

/// The room ends after every possible number of bytes, within a segment and at the start of one.
#[test]
fn a_batch_that_does_not_fit_changes_nothing() {
    let options = StoreOptions { segment_bytes: 400, memtable_bytes: 1 << 20, ..SMALL };
    for room in 0..1_500 {
        let mut history = History::new(options);
        history.put("before", "1");
        history.disk.limit(Some(history.disk.used() + room));
        let mut number = 0;
        let refused = loop {
            let key = format!("key{number}");
            let before = history.store.view();
            match history.store.apply(&batch(&key, vec![5; 90]), &mut history.disk) {
                Ok(_) => number += 1,
                Err(StoreError::Full) => {
                    let full = StoreView { full: true, ..before };
                    assert_eq!(history.store.view(), full, "nothing else changed");
                    break key;
                }
                Err(failed) => panic!("{failed}"),
            }
        };
        assert!(history.store.is_full());
        assert_eq!(history.get(refused.as_bytes()), Ok(None));
        assert_eq!(history.get(b"before").unwrap().as_deref(), Some(&b"1"[..]), "reads go on");

        let mut disk = history.disk.clone();
        let (reopened, recovery) = Store::open(options, &mut disk).unwrap();
        assert_eq!(recovery.cut, None, "{room}: nothing half written is left");
        assert_eq!(contents_of(&reopened, &disk), history.read());

        history.disk.limit(None);
        history.store.apply(&batch(&refused, "fits now"), &mut history.disk).unwrap();
        assert!(!history.store.is_full());
        let (reopened, recovery) = Store::open(options, &mut history.disk).unwrap();
        assert_eq!(recovery.cut, None, "{room}: the log goes on without a gap");
        assert_eq!(contents_of(&reopened, &history.disk), history.read());
    }
}

/// A small batch may fit where a large one did not.
#[test]
fn a_full_disk_is_tried_again_with_every_batch() {
    let mut history = History::new(SMALL);
    history.put("before", "1");
    history.disk.limit(Some(history.disk.used() + 100));
    let refused = history.store.apply(&batch("large", vec![0; 2_000]), &mut history.disk);
    assert_eq!(refused, Err(StoreError::Full));
    history.put("small", "2");
    assert!(!history.store.is_full());
}

/// The disk fills up at any moment of any history, and room returns some time later.
#[test]
fn a_disk_that_fills_up_loses_nothing_and_goes_on_when_there_is_room() {
    let (mut refused, mut starved, mut spent) = (0, 0, 0);
    for seed in 0..150 {
        let mut rng = Rng::new(seed);
        let mut history = History::new(SMALL);
        for _ in 0..rng.between(20, 150) {
            let _ = history.step(&any_step(&mut rng));
        }
        let context = format!("seed {seed}");
        history.disk.limit(Some(history.disk.used() + rng.below(3_000)));
        let mut full = false;
        for _ in 0..150 {
            match history.step(&any_step(&mut rng)) {
                Ok(()) | Err(StoreError::Busy) => {}
                Err(StoreError::Full) => {
                    refused += 1;
                    full = true;
                    assert!(history.store.is_full(), "{context}");
                }
                Err(error) => panic!("{context}: {error}"),
            }
            assert_eq!(history.read().as_ref(), Ok(&history.expected()), "{context}: reads go on");
            if rng.below(20) == 0 {
                history.store.retry(&mut history.disk);
            }
            if history.disk.len(FileId::RESERVE).is_err() {
                spent += 1;
                assert!(history.store.is_full(), "{context}: without a reserve it is full");
            }
        }
        starved += u64::from(full && !history.store.is_settled());

        // A crash on a full disk, and opening while it is full.
        let mut crashed = history.disk.clone();
        crashed.crash(&mut rng);
        let (store, _) =
            Store::open(SMALL, &mut crashed).unwrap_or_else(|error| panic!("{context}: {error}"));
        let mut found = contents_of(&store, &crashed).unwrap();
        found.retain(|key, _| key.starts_with(b"k"));
        assert!(history.contents[history.synced..].contains(&found), "{context}");

        // Jobs that found no room may be told of only now.
        history.disk.limit(None);
        history.settle();
        history.store.retry(&mut history.disk);
        history.settle();
        history.step(&Step::Batch(any_changes(&mut rng, 'k'))).unwrap();
        history.settle();
        assert!(!history.store.is_full(), "{context}");
        assert!(history.disk.len(FileId::RESERVE).is_ok(), "{context}: the reserve is there again");
        assert_eq!(history.read().as_ref(), Ok(&history.expected()), "{context}");
        history.reopen();
    }
    println!(
        "{refused} refused, {starved} histories with waiting jobs, {spent} steps without reserve"
    );
    assert!(refused > 1_000 && starved > 10 && spent > 500, "{refused} {starved} {spent}");
}

/// The reserve is room for the jobs of a full disk, and only for them.
#[test]
fn the_reserve_lets_a_memtable_be_written_and_is_taken_again() {
    let mut history = History::new(StoreOptions { memtable_bytes: 1 << 20, ..SMALL });
    for number in 0..10 {
        history.put(&format!("k{number}"), vec![number; 100]);
    }
    history.disk.limit(Some(history.disk.used()));
    history.step(&Step::Flush).unwrap();
    history.settle();
    assert_eq!(history.store.view().levels[0].tables.len(), 1, "the flush had room");
    assert!(history.disk.len(FileId::RESERVE).is_err(), "that of the reserve");
    let write = Step::Batch(vec![Change::Put(b"k".to_vec(), vec![1])]);
    assert_eq!(history.step(&write), Err(StoreError::Full));
    let unlogged = Step::Unlogged(vec![Change::Put(b"u".to_vec(), vec![1])]);
    assert_eq!(history.step(&unlogged), Err(StoreError::Full), "it would fill the memory");
    assert_eq!(history.read().as_ref(), Ok(&history.expected()));
    history.disk.limit(None);
    history.step(&write).unwrap();
    assert!(history.disk.len(FileId::RESERVE).is_ok() && !history.store.is_full());
}

/// Writes may find room for themselves; for a compaction somebody must say that there may be.
#[test]
fn a_compaction_that_found_no_room_is_begun_again_when_the_store_is_told_to() {
    for reserve_bytes in [0, 2_000] {
        let options = StoreOptions { reserve_bytes, memtable_bytes: 1 << 20, ..SMALL };
        let mut history = History::new(options);
        for key in ["a", "b"] {
            history.put(key, vec![1; 100]);
            history.step(&Step::Flush).unwrap();
            history.settle();
        }
        history.step(&Step::Everything).unwrap();
        history.disk.limit(Some(0));
        history.settle();
        let tables = of_kind(&image_of(&history.disk), FileKind::Table).count();
        assert_eq!(tables, 2, "what it had begun to write takes no room");
        history.disk.limit(None);
        history.put("k", "there is room");
        history.settle();
        assert!(history.store.wants_retry() && !history.store.is_full());
        history.store.retry(&mut history.disk);
        history.settle();
        assert!(!history.store.wants_retry() && history.store.is_settled());
        assert_eq!(history.store.view().levels[0].tables.len(), 0, "{reserve_bytes}");
    }
}

#[test]
fn a_disk_that_fails_stops_the_store() {
    for segment_bytes in [1 << 20, 1] {
        let mut history = History::new(StoreOptions { segment_bytes, ..SMALL });
        history.put("before", "1");
        history.sync();
        history.disk.fail_power_after(0);
        let failed = StoreError::Failed(DiskError::Io("the power is gone".into()));
        let applied = history.store.apply(&batch("a", "2"), &mut history.disk);
        assert_eq!(applied, Err(failed.clone()));
        history.disk.crash(&mut Rng::new(0));
        let applied = history.store.apply(&batch("a", "2"), &mut history.disk);
        assert_eq!(applied, Err(failed.clone()), "for good");
        assert_eq!(history.store.mark_durable(&mut history.disk), Err(failed));
        assert_eq!(history.read().as_ref(), Ok(&history.contents[1]), "nothing changed in memory");
    }
}
