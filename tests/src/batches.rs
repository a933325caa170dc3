//! Batches that follow from their numbers, so that a writer and whoever checks on it agree on what a
//! store must hold after so many of them.

use std::collections::BTreeMap;

use kv_core::rng::Rng;
use kv_core::storage::{Batch, Direction, Store, StoreOptions};
use kv_native::disk::FileDisk;

/// So small that tables are written and merged all the time.
pub const OPTIONS: StoreOptions = StoreOptions { compressed_from: 1, ..StoreOptions::SIMULATED };

/// Where a store says how many batches it holds.
const COUNT: &[u8] = b"count";

/// How many keys there are beside that.
const KEYS: u64 = 3_000;

/// What a store holds.
pub type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

enum Change {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    RemoveRange(Vec<u8>, Vec<u8>),
}

/// The changes of the batch with this number, counted from 1.
fn changes(number: u64) -> Vec<Change> {
    let mut rng = Rng::new(number);
    let key = |number: u64| format!("key{number:05}").into_bytes();
    let mut changes = vec![Change::Put(COUNT.to_vec(), number.to_le_bytes().to_vec())];
    for _ in 0..rng.between(1, 4) {
        let at = rng.below(KEYS);
        changes.push(match rng.below(50) {
            0 => Change::RemoveRange(key(at), key(at + 30)),
            1..8 => Change::Remove(key(at)),
            _ => {
                Change::Put(key(at), number.to_string().repeat(rng.between(1, 30) as usize).into())
            }
        });
    }
    changes
}

/// The batch with this number, counted from 1.
#[must_use]
pub fn batch(number: u64) -> Batch {
    let mut batch = Batch::default();
    for change in changes(number) {
        match change {
            Change::Put(key, value) => batch.put(key, value),
            Change::Remove(key) => batch.remove(key),
            Change::RemoveRange(start, end) => batch.remove_range(start, end),
        }
    }
    batch
}

/// Does to a map what a batch does to a store.
pub fn apply(number: u64, contents: &mut Contents) {
    for change in changes(number) {
        match change {
            Change::Put(key, value) => drop(contents.insert(key, value)),
            Change::Remove(key) => drop(contents.remove(&key)),
            Change::RemoveRange(start, end) => {
                contents.retain(|key, _| *key < start || end <= *key);
            }
        }
    }
}

/// How many batches a store holds, in its own words.
///
/// # Panics
///
/// If the store cannot be read.
pub fn count(store: &mut Store, disk: &FileDisk) -> u64 {
    let count = store.get(COUNT, disk).expect("it can be read");
    count.map_or(0, |(count, _)| {
        u64::from_le_bytes(count.as_ref().try_into().expect("a count has eight bytes"))
    })
}

/// Everything that a store holds.
///
/// # Panics
///
/// If the store cannot be read.
#[must_use]
pub fn contents(store: &Store, disk: &FileDisk) -> Contents {
    let mut contents = Contents::new();
    let mut scan = store.scan(b"", None, Direction::Forward);
    while let Some(item) = scan.next(disk).expect("it can be read") {
        contents.insert(item.key.to_vec(), item.value.to_vec());
    }
    contents
}
