//! Roots that say anything at all under checksums that hold: the store is refused, or can be used.

#![no_main]

#[expect(dead_code, reason = "the target of tables needs more of it")]
mod forge;

use forge::Edit;
use kv_core::codec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|edits: Vec<Edit>| {
    let mut image = forge::genuine();
    let mut payload = codec::encode(&forge::root_of(&image));
    for (cut, at, replacement) in edits {
        let at = usize::from(at) % payload.len();
        let end = payload.len().min(at + usize::from(cut % 8));
        payload.splice(at..end, replacement);
        payload.push(0);
    }
    forge::set_root(&mut image, &payload);
    forge::use_store(forge::disk_of(&image));
});
