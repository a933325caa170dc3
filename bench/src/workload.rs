//! The data every engine is given: entry `n` has the same key and value for all of them.
//!
//! Keys are a mixed counter, so they arrive in random order and never twice, and a counter beyond
//! those inserted gives keys that are absent but lie between those that are present. One half of a
//! value is random, the other constant: what a compressor may gain is known.

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 16;
/// Bytes of a value.
pub(crate) const VALUE_BYTES: usize = 100;

pub(crate) type Key = [u8; KEY_BYTES];
pub(crate) type Value = [u8; VALUE_BYTES];

/// The key of an entry.
pub(crate) fn key(number: u64) -> Key {
    let mut key = [0; KEY_BYTES];
    key[..8].copy_from_slice(&mixed(number).to_be_bytes());
    key[8..].copy_from_slice(&mixed(!number).to_be_bytes());
    key
}

/// The value of an entry.
pub(crate) fn value(number: u64) -> Value {
    let mut value = [b'v'; VALUE_BYTES];
    for (at, bytes) in value[..VALUE_BYTES / 2].chunks_mut(8).enumerate() {
        let random = mixed(number.wrapping_add((at as u64 + 1) << 40)).to_le_bytes();
        bytes.copy_from_slice(&random[..bytes.len()]);
    }
    value
}

/// Numbers below a limit in random order, with repetitions.
pub(crate) fn random_numbers(seed: u64, below: u64) -> impl Iterator<Item = u64> {
    (0..).map(move |at: u64| {
        let wide = u128::from(mixed(seed.wrapping_mul(0x1_0000_0001).wrapping_add(at)));
        (wide * u128::from(below) >> 64) as u64
    })
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014): a bijection without visible order.
fn mixed(number: u64) -> u64 {
    let mut x = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
