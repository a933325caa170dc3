//! Bytes in JSON and in paths, as proto3's JSON has them: written in the standard alphabet with padding,
//! read in that and the URL-safe one, padded or not.

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of a text; else words that say what is wrong with it.
pub(super) fn decode(text: &[u8]) -> Result<Bytes, String> {
    let standard = |byte: &u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => *byte,
    };
    let text: Vec<u8> = text.iter().map(standard).collect();
    let decoded = LENIENT.decode(text);
    decoded.map(Bytes::from).map_err(|error| format!("this is no base64: {error}"))
}

/// Writes bytes.
pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

/// Reads bytes; null stands for none.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    decode(text.as_bytes()).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_are_read_padded_or_not() {
        for text in ["+/8=", "+/8", "-_8=", "-_8", "-/8"] {
            assert_eq!(decode(text.as_bytes()).unwrap(), &b"\xfb\xff"[..], "{text}");
        }
        assert_eq!(decode(b"").unwrap(), &b""[..]);
    }

    #[test]
    fn what_no_encoder_writes_is_refused() {
        for text in ["a", "ab!=", "Zm9v=", "Zm9vYg===", "Zm 9v", "Zh==", "=", "\u{e4}"] {
            assert!(decode(text.as_bytes()).unwrap_err().contains("base64"), "{text}");
        }
    }
}
