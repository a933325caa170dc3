//! Any bytes as log segments: opening ends, and what it leaves can be written to and opened again.

#![no_main]

#[path = "../../tests/storage/disk.rs"]
#[expect(dead_code, reason = "crashes and full disks are no part of this target")]
mod disk;

use disk::TestDisk;
use kv_core::id::FileId;
use kv_core::storage::{Batch, Store, verify_segment};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, Vec<u8>, Vec<u8>)| {
    let mut disk = TestDisk::default();
    for (number, bytes) in [input.0, input.1, input.2].into_iter().enumerate() {
        let length = bytes.len() as u64;
        let segment = FileId(number as u64 + 1);
        disk.files.insert(segment, bytes);
        verify_segment(&mut disk, segment, length).expect("the disk does not fail");
    }
    let before = disk.files.clone();
    let Ok((mut store, _)) = Store::open(1_000, &mut disk) else {
        assert_eq!(disk.files, before, "a refused disk is left alone");
        return;
    };
    let mut batch = Batch::default();
    batch.put("key", "value");
    store.apply(&batch, &mut disk).expect("there is room");
    let (reopened, recovery) = Store::open(1_000, &mut disk).expect("it was opened before");
    assert_eq!(recovery.cut, None);
    assert_eq!(reopened.view().keys, store.view().keys);
});
