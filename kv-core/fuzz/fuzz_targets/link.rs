//! Any text as a share link: decoding ends, and what it gives survives another round.

#![no_main]

use kv_core::sim::link;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(found) = link::decode(text) {
        let again = link::decode(&link::encode(&found.run)).expect("it was made by this build");
        assert_eq!(again.run, found.run);
    }
});
