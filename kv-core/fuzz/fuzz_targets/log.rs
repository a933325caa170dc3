//! Any bytes as log segments: opening ends, and what it leaves can be written to and opened again.

#![no_main]

#[path = "../../tests/storage/image.rs"]
#[expect(dead_code, reason = "which files are of a kind is of no interest here")]
mod image;

use image::{Image, disk_of, image_of};
use kv_core::id::FileId;
use kv_core::storage::{Batch, Store, StoreOptions, verify_segment};
use libfuzzer_sys::fuzz_target;

const OPTIONS: StoreOptions =
    StoreOptions { segment_bytes: 1_000, reserve_bytes: 0, ..StoreOptions::SIMULATED };

fuzz_target!(|input: (Vec<u8>, Vec<u8>, Vec<u8>)| {
    let mut image = Image::new();
    for (number, bytes) in [input.0, input.1, input.2].into_iter().enumerate() {
        image.insert(FileId::log(number as u64 + 1), bytes);
    }
    let mut disk = disk_of(&image);
    for (segment, bytes) in &image {
        let length = bytes.len() as u64;
        verify_segment(&disk, *segment, length).expect("the disk does not fail");
    }
    let Ok((mut store, _)) = Store::open(OPTIONS, &mut disk) else {
        assert_eq!(image_of(&disk), image, "a refused disk is left alone");
        return;
    };
    let mut batch = Batch::default();
    batch.put("key", "value");
    store.apply(&batch, &mut disk).expect("there is room");
    let (reopened, recovery) = Store::open(OPTIONS, &mut disk).expect("it was opened before");
    assert_eq!(recovery.cut, None);
    assert_eq!(reopened.view().versions, store.view().versions);
});
