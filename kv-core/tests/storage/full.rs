//! A full disk refuses writes and changes nothing; a disk that fails stops the store for good.

use kv_core::disk::DiskError;
use kv_core::storage::{Batch, StoreError};

use crate::history::{History, SEGMENT_BYTES, contents_of, get, open};

fn batch(key: &str, value: impl Into<Vec<u8>>) -> Batch {
    let mut batch = Batch::default();
    batch.put(key, value.into());
    batch
}

/// The room ends after every possible number of bytes, within a segment and at the start of one.
#[test]
fn a_batch_that_does_not_fit_changes_nothing() {
    for room in 0..1_500 {
        let mut history = History::new(SEGMENT_BYTES);
        history.put("before", "1");
        history.disk.room = Some(room);
        let mut number = 0;
        let refused = loop {
            let key = format!("key{number}");
            let before = history.store.view();
            match history.store.apply(&batch(&key, vec![5; 90]), &mut history.disk) {
                Ok(_) => number += 1,
                Err(StoreError::Full) => {
                    let full = kv_core::storage::StoreView { full: true, ..before };
                    assert_eq!(history.store.view(), full, "nothing else changed");
                    break key;
                }
                Err(failed) => panic!("{failed}"),
            }
        };
        assert!(history.store.is_full());
        assert_eq!(get(&history.store, &refused), None);
        assert_eq!(get(&history.store, "before").as_deref(), Some(&b"1"[..]), "reads go on");

        let (reopened, recovery) = open(&mut history.disk.clone()).unwrap();
        assert_eq!(recovery.cut, None, "{room}: nothing half written is left");
        assert_eq!(contents_of(&reopened), contents_of(&history.store));

        history.disk.room = None;
        history.store.apply(&batch(&refused, "fits now"), &mut history.disk).unwrap();
        assert!(!history.store.is_full());
        let (reopened, recovery) = open(&mut history.disk).unwrap();
        assert_eq!(recovery.cut, None, "{room}: the log goes on without a gap");
        assert_eq!(contents_of(&reopened), contents_of(&history.store));
    }
}

/// A small batch may fit where a large one did not.
#[test]
fn a_full_disk_is_tried_again_with_every_batch() {
    let mut history = History::new(1 << 20);
    history.put("before", "1");
    history.disk.room = Some(100);
    let refused = history.store.apply(&batch("large", vec![0; 100]), &mut history.disk);
    assert_eq!(refused, Err(StoreError::Full));
    history.put("small", "2");
    assert!(!history.store.is_full());
}

/// What was written of a batch cannot be taken back: the log on the disk is no longer what it seems.
#[test]
fn a_store_stops_when_a_half_written_batch_stays() {
    for segment_bytes in [1 << 20, 1] {
        let mut history = History::new(segment_bytes);
        history.put("before", "1");
        history.sync();
        history.disk.room = Some(70);
        history.disk.stuck = true;
        let failed = StoreError::Failed(DiskError::Io("stuck".into()));
        let applied = history.store.apply(&batch("large", vec![0; 100]), &mut history.disk);
        assert_eq!(applied, Err(failed.clone()));
        history.disk.room = None;
        history.disk.stuck = false;
        let applied = history.store.apply(&batch("small", "2"), &mut history.disk);
        assert_eq!(applied, Err(failed.clone()), "for good");
        assert_eq!(history.store.mark_durable(&mut history.disk), Err(failed));
        assert_eq!(contents_of(&history.store), history.contents[1], "reads go on");

        let (reopened, recovery) = open(&mut history.disk).unwrap();
        assert!(recovery.cut.is_some(), "opening again cuts what is left of it");
        assert_eq!(contents_of(&reopened), history.contents[1]);
    }
}

#[test]
fn a_disk_that_fails_stops_the_store() {
    for segment_bytes in [1 << 20, 1] {
        let mut history = History::new(segment_bytes);
        history.put("before", "1");
        history.disk.changes_left = Some(0);
        let applied = history.store.apply(&batch("a", "2"), &mut history.disk);
        assert_eq!(applied, Err(StoreError::Failed(DiskError::Io("the power is gone".into()))));
        assert_eq!(contents_of(&history.store), history.contents[1], "nothing changed in memory");
    }
}
