//! The one source of randomness of the core: a seeded generator whose stream is part of a recording.
//!
//! There are no floating point numbers: a probability is a [`Ratio`] of integers.

use rand_core::Rng as _;
use rand_core::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

/// A probability as `numerator` in `denominator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ratio {
    /// How many of `denominator` tries succeed.
    pub numerator: u32,
    /// Out of how many; zero stands for a probability of zero.
    pub denominator: u32,
}

impl Ratio {
    /// Never.
    pub const ZERO: Self = Self { numerator: 0, denominator: 1 };

    /// So many in a thousand.
    #[must_use]
    pub const fn per_mille(numerator: u32) -> Self {
        Self { numerator, denominator: 1_000 }
    }
}

/// A seeded generator (PCG64-MCG). Equal seeds give equal streams on every platform.
#[derive(Clone, Debug)]
pub struct Rng(Pcg64Mcg);

impl Rng {
    /// The generator of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed))
    }

    /// The generator of a named stream of this seed, independent of its other streams.
    #[must_use]
    pub fn stream(seed: u64, stream: u64) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..].copy_from_slice(&stream.to_le_bytes());
        Self::new(crate::hash::of(&bytes))
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Leaves so many numbers out.
    pub fn pass(&mut self, numbers: u32) {
        for _ in 0..numbers {
            self.any();
        }
    }

    /// A number below `bound`; zero if `bound` is zero. The bias is below 2^-32 for bounds below 2^32.
    pub fn below(&mut self, bound: u64) -> u64 {
        let any = self.any();
        // The same number by 64 bits where they are enough: 128 take a browser far longer.
        if let Ok(bound) = u32::try_from(bound).map(u64::from) {
            let (high, low) = (any >> 32, any & u64::from(u32::MAX));
            return (high * bound + ((low * bound) >> 32)) >> 32;
        }
        ((u128::from(any) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included; `low` if the range is empty.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// Whether a try of this probability succeeds.
    pub fn chance(&mut self, ratio: Ratio) -> bool {
        self.below(u64::from(ratio.denominator)) < u64::from(ratio.numerator)
    }

    /// Takes up to `count` different elements, in random order, leaving the rest in `from`.
    pub fn draw<T>(&mut self, from: &mut alloc::vec::Vec<T>, count: u64) -> alloc::vec::Vec<T> {
        let mut drawn = alloc::vec::Vec::new();
        while (drawn.len() as u64) < count && !from.is_empty() {
            let index = self.below(from.len() as u64);
            drawn.push(from.swap_remove(index as usize));
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_known_seed_never_changes() {
        let mut rng = Rng::new(1);
        assert_eq!([rng.any(), rng.any()], [15_803_641_690_485_367_939, 2_537_432_388_316_380_799]);
    }

    #[test]
    fn a_number_below_a_bound_is_the_high_half_of_the_product() {
        let mut rng = Rng::new(3);
        for round in 0..10_000 {
            let bound = rng.any() >> (round % 64);
            let any = rng.clone().any();
            let wide = u128::from(any) * u128::from(bound);
            assert_eq!(rng.below(bound), (wide >> 64) as u64, "{any} below {bound}");
        }
    }

    #[test]
    fn a_ratio_of_zero_never_succeeds_and_of_one_always_does() {
        let mut rng = Rng::new(7);
        for _ in 0..1_000 {
            assert!(!rng.chance(Ratio::ZERO));
            assert!(rng.chance(Ratio::per_mille(1_000)));
            assert!((3..=5).contains(&rng.between(3, 5)));
        }
    }
}
