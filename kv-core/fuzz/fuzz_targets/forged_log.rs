//! A log whose records say anything at all under checksums that hold: opening ends, and what it leaves
//! can be written to and opened again.

#![no_main]

#[path = "../../tests/storage/image.rs"]
#[expect(dead_code, reason = "which files are of a kind is of no interest here")]
mod image;

use image::{Image, disk_of, image_of};
use kv_core::id::LogPosition;
use kv_core::sim::disk::SimDisk;
use kv_core::storage::{Batch, Store, StoreOptions};
use libfuzzer_sys::fuzz_target;

const OPTIONS: StoreOptions =
    StoreOptions { segment_bytes: 200, reserve_bytes: 0, ..StoreOptions::SIMULATED };

/// Which byte of which record becomes what.
type Edit = (u8, u8, u8);

fuzz_target!(|edits: Vec<Edit>| {
    let (mut image, ends) = genuine();
    for (batch, offset, byte) in edits {
        let batch = usize::from(batch) % (ends.len() - 1);
        let (start, end) = (ends[batch], ends[batch + 1]);
        if start.segment != end.segment {
            continue;
        }
        let bytes = image.get_mut(&start.segment).expect("it was written");
        let record = &mut bytes[start.offset as usize..end.offset as usize];
        let place = usize::from(offset) % record.len();
        record[place] = byte;
        seal(start, record);
    }
    let mut disk = disk_of(&image);
    let Ok((mut store, _)) = Store::open(OPTIONS, &mut disk) else { return };
    let mut batch = Batch::default();
    batch.put("key", "value");
    store.apply(&batch, &mut disk).expect("there is room");
    let (reopened, recovery) = Store::open(OPTIONS, &mut disk).expect("it was opened before");
    assert_eq!(recovery.cut, None);
    assert_eq!(reopened.view().versions, store.view().versions);
});

/// A log of three segments, and where its batches end.
fn genuine() -> (Image, Vec<LogPosition>) {
    let mut disk = SimDisk::default();
    let (mut store, _) = Store::open(OPTIONS, &mut disk).expect("an empty disk opens");
    let mut ends = vec![store.end()];
    for number in 0..9_u8 {
        let mut batch = Batch::default();
        batch.put([number], [number; 20].to_vec());
        batch.remove([number / 2]);
        batch.remove_range([number], [number + 3]);
        ends.push(store.apply(&batch, &mut disk).expect("there is room"));
        if number == 4 {
            store.synced(store.end());
        }
    }
    (image_of(&disk), ends)
}

/// Gives a record the checksum of what it holds.
fn seal(at: LogPosition, record: &mut [u8]) {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&at.segment.0.to_le_bytes());
    hasher.update(&at.offset.to_le_bytes());
    hasher.update(&record[4..]);
    record[..4].copy_from_slice(&hasher.finalize().to_le_bytes());
}
