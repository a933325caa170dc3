//! Tables whose blocks, filter, index, properties and footer say anything at all under checksums that
//! hold: reading, verifying and merging them ends without a panic.

#![no_main]

mod forge;

use forge::Edit;
use kv_core::codec;
use kv_core::storage::{Job, JobResult};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|edits: (bool, Vec<Edit>)| {
    let mut image = forge::genuine();
    let mut root = forge::root_of(&image);
    let (newer, edits) = edits;
    let meta = &mut root.levels[0][usize::from(!newer)];
    let bytes = image.get_mut(&meta.file).expect("the root names it");
    meta.checksum = forge::forge_table(meta.file, bytes, &edits);
    let table = meta.clone();
    forge::set_root(&mut image, &codec::encode(&root));
    let mut disk = forge::disk_of(&image);
    let verified = Job::VerifyTable { table }.run(&mut disk);
    assert!(matches!(verified, Ok(JobResult::Verified { .. })));
    forge::use_store(disk);
});
