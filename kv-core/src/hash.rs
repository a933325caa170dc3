//! Stable hashes: the same bytes give the same hash on every platform and in every release.
//!
//! Only canonical bytes and fields are hashed, never values through `core::hash::Hash`: that trait feeds
//! lengths as `usize`, which differ between 32 and 64 bits.

mod fields;

use serde::Serialize;

use self::fields::Fields;

/// The hash of a sequence of bytes.
#[must_use]
pub fn of(bytes: &[u8]) -> u64 {
    seahash::hash(bytes)
}

/// The hash of a value, by what it serialises to.
#[must_use]
pub fn of_value<T: Serialize + ?Sized>(value: &T) -> u64 {
    let mut rolling = Rolling::default();
    rolling.take(value);
    rolling.value()
}

/// A rolling hash over a sequence of values and byte strings, in which order and boundaries count.
///
/// Each word takes the step that XXH64 takes for the last ones of its input, and the value its last mix
/// (Collet, "xxHash fast digest algorithm", 2012). It tells runs apart; nobody is meant to trust it
/// against an enemy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rolling(u64);

const PRIMES: [u64; 4] =
    [0x9e37_79b1_85eb_ca87, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0x85eb_ca77_c2b2_ae63];

impl Rolling {
    /// Takes the next value in, by what it serialises to.
    pub fn take<T: Serialize + ?Sized>(&mut self, value: &T) {
        // This fails only for floats and types of unknown length, which the core has none of.
        let hashed = value.serialize(&mut Fields(self));
        debug_assert!(hashed.is_ok(), "there is nothing else in the core");
    }

    /// Takes the next byte string in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.word(u64::from_le_bytes(last));
        }
    }

    /// The hash so far.
    #[must_use]
    pub fn value(self) -> u64 {
        let hash = (self.0 ^ self.0 >> 33).wrapping_mul(PRIMES[1]);
        let hash = (hash ^ hash >> 29).wrapping_mul(PRIMES[2]);
        hash ^ hash >> 32
    }

    #[inline]
    fn word(&mut self, word: u64) {
        let word = word.wrapping_mul(PRIMES[1]).rotate_left(31).wrapping_mul(PRIMES[0]);
        let hash = (self.0 ^ word).rotate_left(27);
        self.0 = hash.wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]);
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::{BTreeMap, BTreeSet};
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn the_hash_of_known_bytes_never_changes() {
        assert_eq!(of(b"to be or not to be"), 1_988_685_042_348_123_509);
        let mut rolling = Rolling::default();
        rolling.update(b"to be or not to be");
        assert_eq!(rolling.value(), 5_586_928_810_211_358_179);
    }

    #[test]
    fn order_and_boundaries_count() {
        let roll = |parts: &[&[u8]]| {
            let mut rolling = Rolling::default();
            parts.iter().for_each(|part| rolling.update(part));
            rolling.value()
        };
        assert_ne!(roll(&[b"a", b"b"]), roll(&[b"b", b"a"]));
        assert_ne!(roll(&[b"a", b"b"]), roll(&[b"ab"]));
        assert_ne!(roll(&[b"a"]), roll(&[b"a\0"]));
        assert_ne!(roll(&[b""]), roll(&[]));
    }

    #[test]
    fn values_of_one_type_that_differ_hash_apart() {
        #[derive(Serialize)]
        enum Kind {
            Unit,
            Other,
            One(u8),
            Two(u8, u8),
            Named { text: String, list: Vec<Option<i16>> },
        }
        let named =
            |text: &str, list: &[Option<i16>]| Kind::Named { text: text.into(), list: list.into() };
        let values = [
            Kind::Unit,
            Kind::Other,
            Kind::One(0),
            Kind::One(1),
            Kind::Two(0, 1),
            Kind::Two(1, 0),
            named("", &[]),
            named("", &[None]),
            named("", &[None, None]),
            named("", &[Some(0)]),
            named("", &[Some(-1)]),
            named("a", &[]),
            named("\0", &[]),
        ];
        let hashes: BTreeSet<u64> = values.iter().map(of_value).collect();
        assert_eq!(hashes.len(), values.len());
        let map = |pairs: &[(u8, u8)]| of_value(&pairs.iter().copied().collect::<BTreeMap<_, _>>());
        assert_ne!(map(&[(1, 2), (3, 4)]), map(&[(1, 2), (3, 5)]));
        assert_ne!(map(&[(1, 2)]), map(&[(1, 2), (3, 4)]));
    }

    #[test]
    fn a_bit_that_turns_over_turns_over_half_of_the_hash() {
        let mut rng = Rng::new(5);
        for _ in 0..200 {
            let words: [u64; 4] = core::array::from_fn(|_| rng.any());
            let hash = of_value(&words);
            let mut turned = 0;
            for bit in 0..256 {
                let mut other = words;
                other[bit / 64] ^= 1 << (bit % 64);
                turned += (hash ^ of_value(&other)).count_ones();
            }
            // 8,192 of 16,384, and about 64 is one standard deviation.
            assert!((7_700..8_700).contains(&turned), "{turned}");
        }
    }

    #[test]
    fn small_numbers_do_not_collide() {
        let mut hashes = BTreeSet::new();
        for one in 0..300_u64 {
            for other in 0..300_u64 {
                assert!(hashes.insert(of_value(&(one, other))), "{one} {other}");
            }
        }
    }
}
