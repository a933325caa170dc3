//! Stable hashes: the same bytes give the same hash on every platform and in every release.
//!
//! Only canonical bytes are hashed, never values through `core::hash::Hash`: that trait feeds lengths
//! as `usize`, which differ between 32 and 64 bits.

/// The hash of a sequence of bytes.
#[must_use]
pub fn of(bytes: &[u8]) -> u64 {
    seahash::hash(bytes)
}

/// A rolling hash over a sequence of byte strings, in which order and boundaries count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rolling(u64);

impl Rolling {
    /// Takes the next byte string in.
    pub fn update(&mut self, bytes: &[u8]) {
        // The four seeds of SeaHash must differ from each other, else a chain could cancel out.
        let seed = self.0;
        self.0 = seahash::hash_seeded(
            bytes,
            seed ^ 0x16f1_1fe8_9b0d_677c,
            seed.rotate_left(17) ^ 0xb480_a793_d8e6_c86c,
            seed.rotate_left(34) ^ 0x6fe2_e5aa_f078_ebc9,
            seed.rotate_left(51) ^ 0x14f9_94a4_c525_9381,
        );
    }

    /// The hash so far.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_known_bytes_never_changes() {
        assert_eq!(of(b"to be or not to be"), 1_988_685_042_348_123_509);
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
    }
}
