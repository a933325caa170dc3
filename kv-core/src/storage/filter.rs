//! Bloom filters: whether a table may hold a key, without looking into it.
//!
//! Each key sets k bits of m; a key with a bit that is not set is not there. With 10 bits for a key and
//! k = 7, about 0.8 % of absent keys pass. The k places come from one 64-bit hash by double hashing
//! (Kirsch and Mitzenmacher, "Less Hashing, Same Performance", 2006), and from a place to a bit by the
//! high half of a product instead of a remainder.
//!
//! Form: the bits, then k in one byte.

use alloc::vec::Vec;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// The hash that a filter is asked with.
pub(super) fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// A filter with so many bits for each of these keys.
pub(super) fn build(hashes: &[u64], bits_per_key: u64) -> Vec<u8> {
    let bytes = (hashes.len() as u64 * bits_per_key).div_ceil(8).max(8);
    // k = bits per key · ln 2 sets half of all bits, which lets the fewest absent keys pass.
    let probes = ((bits_per_key * 69 + 50) / 100).clamp(1, 30);
    let mut filter = alloc::vec![0_u8; bytes as usize];
    for hash in hashes {
        for bit in places(*hash, probes, bytes * 8) {
            filter[(bit / 8) as usize] |= 1 << (bit % 8);
        }
    }
    filter.push(probes as u8);
    filter
}

/// A filter as it was read from a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    bits: Bytes,
    probes: u64,
}

impl Filter {
    /// None if these bytes are no filter.
    pub(super) fn decode(bytes: &Bytes) -> Option<Self> {
        let (&probes, bits) = bytes.split_last()?;
        let sound = (1..=30).contains(&probes) && !bits.is_empty();
        let bits = bytes.slice(..bits.len());
        sound.then_some(Self { bits, probes: u64::from(probes) })
    }

    /// False if no key with this hash is in the table.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        let bits = self.bits.len() as u64 * 8;
        places(hash, self.probes, bits)
            .all(|bit| self.bits[(bit / 8) as usize] & (1 << (bit % 8)) != 0)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bits.len() as u64
    }
}

fn places(hash: u64, probes: u64, bits: u64) -> impl Iterator<Item = u64> {
    let step = hash.rotate_left(32) | 1;
    (0..probes).map(move |probe| {
        let place = hash.wrapping_add(probe.wrapping_mul(step));
        ((u128::from(place) * u128::from(bits)) >> 64) as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_passes_and_at_most_one_absent_key_in_a_hundred() {
        let hashes: Vec<u64> = (0..20_000_u64).map(|key| hash(&key.to_le_bytes())).collect();
        let filter = Filter::decode(&Bytes::from(build(&hashes, 10))).unwrap();
        assert!(hashes.iter().all(|hash| filter.may_hold(*hash)));
        let absent = (20_000..120_000_u64).map(|key| hash(&key.to_le_bytes()));
        let passed = absent.filter(|hash| filter.may_hold(*hash)).count();
        assert!(passed <= 1_000, "{passed} of 100,000 absent keys passed");
    }

    #[test]
    fn a_filter_of_no_keys_lets_none_pass_and_foreign_bytes_are_none() {
        let filter = Filter::decode(&Bytes::from(build(&[], 10))).unwrap();
        assert!(!filter.may_hold(hash(b"key")));
        for bytes in [&[][..], &[7], &[0, 0], &[0, 31]] {
            assert!(Filter::decode(&Bytes::copy_from_slice(bytes)).is_none(), "{bytes:?}");
        }
    }
}
