//! The store against a map, over long random histories that are opened again and again.

use kv_core::id::LogPosition;
use kv_core::rng::Rng;
use kv_core::storage::{Batch, Store};

use crate::history::{Contents, History, contents_of, get};

const MIB: usize = 1 << 20;

#[test]
fn a_store_holds_what_a_map_would() {
    for seed in 0..30 {
        let mut rng = Rng::new(seed);
        let segment_bytes = rng.between(1, 5_000);
        let mut history = History::new(segment_bytes);
        for step in 0..400 {
            match rng.below(20) {
                0 => history.sync(),
                1 => history.close(),
                2 => {
                    let (reopened, recovery) =
                        Store::open(segment_bytes, &mut history.disk).unwrap();
                    assert_eq!(recovery.cut, None, "seed {seed}, step {step}");
                    assert_eq!(reopened.end(), history.store.end(), "seed {seed}, step {step}");
                    assert_eq!(reopened.view().segments, history.store.view().segments);
                    history.store = reopened;
                }
                _ => history.apply_any(&mut rng),
            }
            assert_reads_like(&history.store, &history.contents[history.batches()], &mut rng);
        }
    }
}

fn assert_reads_like(store: &Store, contents: &Contents, rng: &mut Rng) {
    let view = store.view();
    assert_eq!(view.keys, contents.len() as u64);
    let bytes = contents.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    assert_eq!(view.bytes, bytes as u64);
    let key = format!("k{}", rng.below(25));
    assert_eq!(get(store, &key).map(Vec::from), contents.get(key.as_bytes()).cloned());
    let (prefix, start) = (["", "k", "k1", "z"][rng.below(4) as usize], key.as_bytes());
    let scanned: Vec<_> = store.scan(prefix.as_bytes(), start).map(|(key, ..)| key).collect();
    let expected: Vec<_> = contents
        .keys()
        .map(Vec::as_slice)
        .filter(|key| key.starts_with(prefix.as_bytes()) && start <= *key)
        .collect();
    assert_eq!(scanned, expected);
}

/// What a sync covers may be shown; what came later may not, values of older keys included.
#[test]
fn a_value_requires_the_position_of_its_own_batch() {
    let mut history = History::new(200);
    history.put("a", "1");
    let first = history.store.end();
    history.put("b", "2");
    history.put("a", "3");
    let last = history.store.end();
    let required = |history: &History, key: &str| history.store.get(key.as_bytes()).unwrap().1;
    assert_eq!(required(&history, "a"), last);
    history.store.synced(first);
    assert_eq!(required(&history, "a"), last, "the value is newer than the sync");
    assert_eq!(history.store.durable(), first);
    let unsynced = history.store.unsynced_bytes();
    assert!(0 < unsynced);
    history.store.synced(last);
    assert_eq!(required(&history, "a"), LogPosition::START);
    assert_eq!(required(&history, "b"), LogPosition::START);
    assert_eq!(history.store.unsynced_bytes(), 0);
    history.store.synced(first);
    assert_eq!(history.store.durable(), last, "durability is never taken back");
}

#[test]
fn the_later_change_of_a_batch_wins() {
    let mut history = History::new(1 << 20);
    let change = |key: &str, value: Option<&str>| (key.into(), value.map(Into::into));
    history.apply(&[
        change("a", Some("1")),
        change("a", None),
        change("b", None),
        change("b", Some("2")),
    ]);
    let (reopened, _) = Store::open(1 << 20, &mut history.disk).unwrap();
    assert_eq!(get(&reopened, "a"), None);
    assert_eq!(get(&reopened, "b").as_deref(), Some(&b"2"[..]));
}

#[test]
fn an_empty_batch_writes_nothing() {
    let mut history = History::new(1 << 20);
    let end = history.store.apply(&Batch::default(), &mut history.disk).unwrap();
    assert_eq!(end, LogPosition::START);
    assert!(history.disk.files.is_empty());
}

#[test]
fn empty_and_large_keys_and_values_come_back() {
    let mut history = History::new(1 << 20);
    history.apply(&[(vec![], Some(vec![]))]);
    history.apply(&[(vec![0xff; 70_000], Some(vec![1; 40_000])), (vec![1], None)]);
    history.apply(&[(b"huge".to_vec(), Some(vec![0xa5; 64 * MIB]))]);
    history.apply(&[(vec![], None), (b"after".to_vec(), Some(vec![2]))]);
    history.close();
    assert_eq!(history.store.view().segments.len(), 2, "a batch does not span segments");
    let (reopened, recovery) = Store::open(1 << 20, &mut history.disk).unwrap();
    assert_eq!(recovery.cut, None);
    assert!(contents_of(&reopened) == history.contents[4], "after opening again");
}

/// Lengths that end a record at, just before and just behind the end of a block.
#[test]
fn every_way_to_meet_the_end_of_a_block_comes_back() {
    for length in (32_768 - 56 - 28 - 120)..(32_768 - 56 - 28 + 40) {
        let mut history = History::new(1 << 20);
        history.put("k", vec![3; length]);
        history.put("next", "value");
        history.put("k2", vec![4; 2 * length]);
        history.close();
        let (reopened, recovery) = Store::open(1 << 20, &mut history.disk).unwrap();
        assert_eq!(recovery.cut, None, "{length}");
        assert!(contents_of(&reopened) == history.contents[3], "{length}");
    }
}

#[test]
fn more_changes_than_16_bits_count_are_one_batch() {
    let mut history = History::new(1 << 20);
    let changes: Vec<_> =
        (0..70_000_u32).map(|key| (key.to_be_bytes().to_vec(), Some(vec![]))).collect();
    history.apply(&changes);
    history.close();
    let (reopened, recovery) = Store::open(1 << 20, &mut history.disk).unwrap();
    assert_eq!((recovery.records, reopened.view().keys), (2, 70_000));
}

/// A clone is a rewind: neither of the two sees what happens to the other.
#[test]
fn clones_go_separate_ways() {
    let mut history = History::new(1 << 20);
    history.put("a", "1");
    let mut fork = history.clone();
    fork.put("a", "2");
    history.put("b", "3");
    assert_eq!(get(&history.store, "a").as_deref(), Some(&b"1"[..]));
    assert_eq!(get(&fork.store, "b"), None);
}
