//! The store against a map, over long random histories with jobs in any order and snapshots, opened
//! again and again.

use kv_core::id::LogPosition;
use kv_core::rng::Rng;
use kv_core::storage::{Batch, Direction, Snapshot, Store, StoreError, StoreOptions};

use crate::history::{Change, Contents, History, SMALL, Step, any_step, entries};

/// A snapshot and what it must show.
struct Held {
    snapshot: Snapshot,
    contents: Contents,
}

#[test]
fn a_store_holds_what_a_map_would() {
    let (mut deepest, mut refused, mut snapshots) = (0, 0, 0);
    for seed in 0..24 {
        let mut rng = Rng::new(seed);
        let options = StoreOptions {
            segment_bytes: rng.between(1, 5_000),
            memtable_bytes: rng.between(300, 3_000),
            block_bytes: rng.between(1, 600),
            cache_bytes: rng.between(0, 5_000),
            compressed_from: rng.below(4),
            filter_bits: rng.below(12),
            ..SMALL
        };
        let mut history = History::new(options);
        let mut held: Vec<Held> = Vec::new();
        for number in 0..1_500 {
            match rng.below(100) {
                0..3 if held.len() < 4 => {
                    let snapshot = history.store.snapshot();
                    held.push(Held { snapshot, contents: history.expected() });
                    snapshots += 1;
                }
                3..6 if !held.is_empty() => {
                    let at = rng.below(held.len() as u64) as usize;
                    history.store.release(held.swap_remove(at).snapshot);
                }
                6 => {
                    held.clear();
                    history.reopen();
                }
                7 => history.settle(),
                _ => match history.step(&any_step(&mut rng)) {
                    Ok(()) => {}
                    Err(StoreError::Busy) => refused += 1,
                    Err(error) => panic!("seed {seed}, step {number}: {error}"),
                },
            }
            let context = format!("seed {seed}, step {number}");
            let expected = history.expected();
            assert_reads_like(&mut history, None, &expected, &mut rng, &context);
            for held in &held {
                assert_reads_like(
                    &mut history,
                    Some(&held.snapshot),
                    &held.contents,
                    &mut rng,
                    &context,
                );
            }
            if number % 100 == 0 {
                assert_eq!(history.read().as_ref(), Ok(&expected), "{context}");
            }
        }
        let levels = history.store.view().levels;
        deepest =
            deepest.max(levels.iter().rposition(|level| !level.tables.is_empty()).unwrap_or(0));
    }
    assert!(deepest >= 2 && refused > 0 && snapshots > 100, "{deepest} {refused} {snapshots}");
}

/// Looks one key up, and goes through a part of the keys either way.
fn assert_reads_like(
    history: &mut History,
    snapshot: Option<&Snapshot>,
    contents: &Contents,
    rng: &mut Rng,
    context: &str,
) {
    let letter = if rng.below(3) == 0 { 'u' } else { 'k' };
    let key = format!("{letter}{:02}", rng.below(42)).into_bytes();
    let History { store, disk, .. } = history;
    let found = match snapshot {
        Some(snapshot) => store.get_at(snapshot, &key, disk),
        None => store.get(&key, disk),
    };
    let found = found.unwrap().map(|(value, _)| value.to_vec());
    assert_eq!(found.as_ref(), contents.get(&key), "{context}, key {key:?}");
    if snapshot.is_none() {
        let peeked = store.peek(&key, disk).unwrap().map(|value| value.to_vec());
        assert_eq!(peeked.as_ref(), contents.get(&key), "{context}, key {key:?}, peeked");
    }
    let end = (rng.below(4) > 0).then(|| format!("{letter}{:02}", rng.below(42)).into_bytes());
    let direction = [Direction::Forward, Direction::Backward][rng.below(2) as usize];
    let scan = match snapshot {
        Some(snapshot) => store.scan_at(snapshot, &key, end.as_deref(), direction),
        None => store.scan(&key, end.as_deref(), direction),
    };
    let scanned = entries(scan, disk).unwrap();
    let within = |at: &Vec<u8>| key <= *at && end.as_ref().is_none_or(|end| at < end);
    let expected = contents.iter().filter(|(at, _)| within(at));
    let mut expected: Vec<_> = expected.map(|(key, value)| (key.clone(), value.clone())).collect();
    if direction == Direction::Backward {
        expected.reverse();
    }
    assert_eq!(scanned, expected, "{context}, {key:?} to {end:?}, {direction:?}");
}

#[test]
fn keys_of_a_prefix_come_from_a_start_on() {
    let mut history = History::new(SMALL);
    for key in ["a", "b", "b1", "b2", "b\u{ff}", "c"] {
        history.put(key, key);
    }
    history.step(&Step::Flush).unwrap();
    history.settle();
    let keys = |prefix: &[u8], start: &[u8]| -> Vec<Vec<u8>> {
        let scan = history.store.scan_prefix(prefix, start);
        entries(scan, &history.disk).unwrap().into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys(b"b", b""), [&b"b"[..], b"b1", b"b2", "b\u{ff}".as_bytes()]);
    assert_eq!(keys(b"b", b"b11"), [&b"b2"[..], "b\u{ff}".as_bytes()]);
    assert_eq!(keys(b"", b"b2"), [&b"b2"[..], "b\u{ff}".as_bytes(), b"c"]);
    assert!(keys(b"b", b"c").is_empty() && keys(b"\xff", b"").is_empty());
}

/// What a sync covers may be shown; what came later may not, values of older keys included.
#[test]
fn a_value_requires_the_position_of_its_own_batch() {
    let mut history = History::new(StoreOptions { segment_bytes: 200, ..SMALL });
    history.put("a", "1");
    let first = history.store.end();
    history.put("b", "2");
    history.put("a", "3");
    let last = history.store.end();
    let required = |history: &mut History, key: &str| {
        history.store.get(key.as_bytes(), &history.disk).unwrap().unwrap().1
    };
    assert_eq!(required(&mut history, "a"), last);
    history.store.synced(first);
    assert_eq!(required(&mut history, "a"), last, "the value is newer than the sync");
    assert_eq!(history.store.durable(), first);
    assert!(0 < history.store.unsynced_bytes());
    history.store.synced(last);
    assert_eq!(required(&mut history, "a"), LogPosition::START);
    assert_eq!(required(&mut history, "b"), LogPosition::START);
    assert_eq!(history.store.unsynced_bytes(), 0);
    history.store.synced(first);
    assert_eq!(history.store.durable(), last, "durability is never taken back");
}

/// Tables that lie whole within a removed range go unread, once nobody can look behind the removal.
#[test]
fn what_only_a_snapshot_shows_goes_when_it_is_given_back() {
    let mut history = History::new(SMALL);
    for number in 0..60 {
        history.put(&format!("k{number:02}"), vec![number; 100]);
        history.settle();
    }
    history.step(&Step::Everything).unwrap();
    history.settle();
    let bytes = history.store.view().table_bytes();
    let snapshot = history.store.snapshot();
    history.step(&Step::Batch(vec![Change::RemoveRange(b"k".into(), b"l".into())])).unwrap();
    history.step(&Step::Flush).unwrap();
    history.settle();
    assert_eq!(history.read(), Ok(Contents::new()));
    let found = history.store.get_at(&snapshot, b"k07", &history.disk).unwrap();
    assert_eq!(found.map(|(value, _)| value.to_vec()), Some(vec![7; 100]));
    assert!(bytes < history.store.view().table_bytes());
    history.store.release(snapshot);
    history.settle();
    let view = history.store.view();
    assert!(view.table_bytes() < bytes / 10 && view.versions == 0, "{view:?}");
}

/// Moving to a table does not make a value durable before its log is.
#[test]
fn a_table_is_named_only_when_the_log_before_it_is_durable() {
    let mut history = History::new(SMALL);
    history.put("a", "1");
    history.step(&Step::Flush).unwrap();
    for _ in 0..9 {
        history.step(&Step::Run(0)).unwrap();
        history.step(&Step::Tell(0)).unwrap();
    }
    assert!(history.store.view().levels[0].tables.is_empty());
    history.settle();
    assert_eq!(history.store.view().levels[0].tables.len(), 1);
    assert_eq!(history.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
}

/// The root is edited in the order in which its edits came up. So a table that is to move stands behind
/// a flush that waits for the log; when that is synced, both are done and merging goes on.
#[test]
fn a_move_that_waits_behind_a_flush_holds_nothing_up_for_good() {
    let mut waited = 0;
    for seed in 0..30 {
        let mut rng = Rng::new(seed);
        let mut history = History::new(SMALL);
        for number in 0..200_u64 {
            // Ascending keys, so that nothing overlaps.
            let key = format!("k{number:05}").into_bytes();
            let _ = history.step(&Step::Batch(vec![Change::Put(key, vec![0; 100])]));
            for _ in 0..rng.below(4) {
                history.step(&Step::Run(rng.any())).unwrap();
                history.step(&Step::Tell(rng.any())).unwrap();
            }
            if rng.below(12) == 0 {
                history.sync();
            }
            let view = history.store.view();
            let too_large = view.levels[1].target_bytes < view.levels[1].bytes();
            waited += u64::from(too_large && !history.is_busy());
        }
        history.settle();
        let view = history.store.view();
        assert!(history.store.is_settled());
        assert!(view.levels[1].bytes() <= view.levels[1].target_bytes, "seed {seed}");
        assert!(view.levels[0].tables.len() < 4, "seed {seed}");
        assert_eq!(history.read().as_ref(), Ok(&history.expected()), "seed {seed}");
    }
    assert!(waited > 10, "{waited}");
}

/// Else a node that is often started would read the same back again and again.
#[test]
fn what_was_read_back_goes_to_a_table_unless_it_is_little() {
    let mut history = History::new(SMALL);
    history.put("a", [0; 100]);
    history.reopen();
    history.settle();
    let view = history.store.view();
    assert_eq!((view.levels[0].tables.len(), view.memtable.0), (1, 0));
    history.put("b", "1");
    history.reopen();
    history.settle();
    let view = history.store.view();
    assert_eq!((view.levels[0].tables.len(), view.memtable.0), (1, 1));
}

#[test]
fn the_later_change_of_a_batch_wins() {
    let mut history = History::new(SMALL);
    let put = |key: &str, value: &str| Change::Put(key.into(), value.into());
    let remove = |key: &str| Change::Remove(key.into());
    let range = |start: &str, end: &str| Change::RemoveRange(start.into(), end.into());
    let changes = vec![
        put("a", "1"),
        remove("a"),
        remove("b"),
        put("b", "2"),
        put("c", "3"),
        range("c", "e"),
        put("d", "4"),
    ];
    history.step(&Step::Batch(changes)).unwrap();
    let keys = |history: &History| history.read().unwrap().into_keys().collect::<Vec<_>>();
    assert_eq!(keys(&history), [b"b", b"d"]);
    history.step(&Step::Flush).unwrap();
    history.settle();
    assert_eq!(keys(&history), [b"b", b"d"], "from a table");
    history.reopen();
    assert_eq!(keys(&history), [b"b", b"d"], "after opening again");
}

#[test]
fn an_empty_batch_writes_nothing() {
    let mut history = History::new(SMALL);
    let operations = history.disk.operations();
    let end = history.store.apply(&Batch::default(), &mut history.disk).unwrap();
    assert_eq!((end, history.disk.operations()), (LogPosition::START, operations));
}

#[test]
fn empty_and_large_keys_and_values_come_back() {
    let mut history = History::new(StoreOptions { segment_bytes: 1 << 20, ..SMALL });
    let batches = [
        vec![Change::Put(vec![], vec![])],
        vec![Change::Put(vec![0xff; 70_000], vec![1; 40_000]), Change::Remove(vec![1])],
        vec![Change::Put(b"huge".to_vec(), vec![0xa5; 16 << 20])],
        vec![Change::Remove(vec![]), Change::Put(b"zz".to_vec(), vec![2])],
    ];
    for batch in batches {
        history.step(&Step::Batch(batch)).unwrap();
        history.close();
    }
    history.reopen();
    assert!(history.read().unwrap() == history.expected(), "from the log");
    history.settle();
    history.step(&Step::Everything).unwrap();
    history.settle();
    assert!(history.read().unwrap() == history.expected(), "from tables");
    history.reopen();
}

/// Lengths that end a record at, just before and just behind the end of a block.
#[test]
fn every_way_to_meet_the_end_of_a_block_comes_back() {
    let options = StoreOptions { segment_bytes: 1 << 20, memtable_bytes: 1 << 20, ..SMALL };
    for length in (32_768 - 56 - 28 - 120)..(32_768 - 56 - 28 + 40) {
        let mut history = History::new(options);
        history.put("k", vec![3; length]);
        history.put("next", "value");
        history.put("k2", vec![4; 2 * length]);
        history.close();
        history.reopen();
    }
}

#[test]
fn more_changes_than_16_bits_count_are_one_batch() {
    let options = StoreOptions::SIMULATED;
    let mut history = History::new(options);
    let changes = (0..70_000_u32).map(|key| Change::Put(key.to_be_bytes().to_vec(), vec![]));
    history.step(&Step::Batch(changes.collect())).unwrap();
    history.close();
    let (reopened, recovery) = Store::open(options, &mut history.disk).unwrap();
    assert_eq!((recovery.records, reopened.view().versions), (2, 70_000));
}

/// A clone is a rewind: neither of the two sees what happens to the other.
#[test]
fn clones_go_separate_ways() {
    let mut history = History::new(SMALL);
    history.put("a", "1");
    let mut fork = history.clone();
    fork.put("a", "2");
    fork.step(&Step::Everything).unwrap();
    fork.settle();
    history.put("b", "3");
    assert_eq!(history.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(fork.get(b"b").unwrap(), None);
    assert_eq!(fork.get(b"a").unwrap().as_deref(), Some(&b"2"[..]));
}

/// Truncating the front of a log-like range is cheap and leaves nothing behind.
#[test]
fn a_log_that_is_cut_at_its_front_takes_no_more_room_than_what_is_left() {
    let mut history = History::new(SMALL);
    let key = |index: u64| format!("k{index:06}").into_bytes();
    for index in 0..4_000_u64 {
        let put = Change::Put(key(index), vec![index as u8; 40]);
        let cut = Change::RemoveRange(key(0), key(index.saturating_sub(20)));
        let step = Step::Batch(if index % 10 == 9 { vec![put, cut] } else { vec![put] });
        while history.step(&step) == Err(StoreError::Busy) {
            history.settle();
        }
        history.contents.drain(..history.contents.len() - 1);
        if index % 7 == 0 {
            history.settle();
        }
    }
    history.step(&Step::Everything).unwrap();
    history.settle();
    let view = history.store.view();
    assert!(view.versions < 40, "{} versions", view.versions);
    assert!(history.disk.used() < 10_000, "{} bytes", history.disk.used());
    assert_eq!(history.read().unwrap().len(), 21);
}
