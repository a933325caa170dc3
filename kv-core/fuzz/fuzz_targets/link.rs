//! Any content as a share link under a checksum that holds: decoding ends, and what it gives survives another
//! round.

#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kv_core::sim::link;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let mut bytes = content.to_vec();
    bytes.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
    if let Ok(found) = link::decode(&URL_SAFE_NO_PAD.encode(bytes)) {
        let again = link::decode(&link::encode(&found.run)).expect("it was made by this build");
        assert_eq!(again.run, found.run);
    }
});
