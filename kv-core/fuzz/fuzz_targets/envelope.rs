//! Any bytes as what a peer sends: decoding ends, and what it gives survives another round.

#![no_main]

use kv_core::codec::{decode_frame, encode_frame};
use kv_core::message::{Envelope, Hello};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = decode_frame::<Envelope>(bytes) {
        assert_eq!(decode_frame(&encode_frame(&envelope)), Ok(envelope));
    }
    if let Ok(hello) = decode_frame::<Hello>(bytes) {
        assert_eq!(decode_frame(&encode_frame(&hello)), Ok(hello));
    }
});
