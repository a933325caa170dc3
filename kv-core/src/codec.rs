//! Bytes for the wire, the disk and the trace: postcard, with a version in front where bytes travel.
//!
//! Decoding is the one place where foreign bytes become values. It never panics and never reads past
//! the end; what remains after a value is an error, so that two encodings of one value cannot exist.

use alloc::vec::Vec;
use core::fmt;

use postcard::ser_flavors::Flavor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The bytes of a value. Equal values give equal bytes on every platform.
#[must_use]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    encode_onto(value, &mut bytes);
    bytes
}

/// Appends the bytes of a value.
pub fn encode_onto<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) {
    // Serialising into a growing vector fails only for types of unknown length, which the core has none of.
    let _ = postcard::serialize_with_flavor(value, Onto(bytes));
}

/// Takes what postcard writes.
struct Onto<'a>(&'a mut Vec<u8>);

impl Flavor for Onto<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// The value of these bytes, all of them.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    decode_borrowed(bytes)
}

/// The value of these bytes, all of them, which it may borrow from.
pub fn decode_borrowed<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes::<T>(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(DecodeError::Trailing(rest.len() as u64)),
        Err(postcard::Error::DeserializeUnexpectedEnd) => Err(DecodeError::Short),
        Err(_) => Err(DecodeError::Malformed),
    }
}

/// The bytes of a value that travels between nodes: the version, then the value.
#[must_use]
pub fn encode_frame<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = alloc::vec![WIRE_VERSION];
    encode_onto(value, &mut bytes);
    bytes
}

/// The value of a frame of [`encode_frame`].
pub fn decode_frame<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes {
        [] => Err(DecodeError::Short),
        [WIRE_VERSION, value @ ..] => decode(value),
        [version, ..] => Err(DecodeError::Version(*version)),
    }
}

/// The version of everything that travels between nodes.
pub const WIRE_VERSION: u8 = 1;

/// Why bytes are not a value. Nothing was changed; the sender is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end before the value does.
    Short,
    /// So many bytes remain behind the value.
    Trailing(u64),
    /// The bytes stand for no value of the type.
    Malformed,
    /// The frame is of another version of the protocol.
    Version(u8),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the bytes end too early"),
            Self::Trailing(count) => write!(f, "{count} bytes too many"),
            Self::Malformed => f.write_str("the bytes are malformed"),
            Self::Version(version) => write!(
                f,
                "protocol version {version} is not spoken here (this is version {WIRE_VERSION}); run the same release on all nodes"
            ),
        }
    }
}

impl core::error::Error for DecodeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_returns_what_was_put_in() {
        let frame = encode_frame(&(7_u64, "seven"));
        assert_eq!(decode_frame::<(u64, alloc::string::String)>(&frame), Ok((7, "seven".into())));
    }

    #[test]
    fn foreign_bytes_are_refused_by_kind() {
        assert_eq!(decode_frame::<u64>(&[]), Err(DecodeError::Short));
        assert_eq!(decode_frame::<u64>(&[9, 1]), Err(DecodeError::Version(9)));
        assert_eq!(decode_frame::<u64>(&[WIRE_VERSION, 1, 1]), Err(DecodeError::Trailing(1)));
        assert_eq!(decode::<bool>(&[2]), Err(DecodeError::Malformed));
    }
}
