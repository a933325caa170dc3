//! The clocks of one machine, and how they run beside the true time that only the world knows.
//!
//! The monotonic clock runs a little too fast or too slow, and never goes backwards: whenever its rate
//! changes it goes on from where it stands. Civil time runs along with it and can be set ahead or back.
//! Both belong to the machine, so they outlive crashes.

use super::world::World;
use crate::time::{Micros, Mono, Now, Wall};

/// The clocks of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// The true time at which the rate changed last.
    since: Mono,
    /// What the monotonic clock showed then.
    showed: Mono,
    drift: i32,
    ahead: i64,
}

impl Clocks {
    /// How much too fast or too slow a clock may run, in parts per million: ten times what makes a
    /// clock useless.
    pub const DRIFT_MAX: i32 = 100_000;
    /// How far civil time may be from the truth, in microseconds: a day.
    pub const AHEAD_MAX: i64 = 24 * 3_600 * 1_000_000;

    /// How much too fast the clock runs, in parts per million; negative if it is too slow.
    #[must_use]
    pub fn drift(&self) -> i32 {
        self.drift
    }

    /// How far civil time was set ahead, in microseconds; negative if it was set back.
    #[must_use]
    pub fn ahead(&self) -> i64 {
        self.ahead
    }

    /// What the clocks show at a true time, not before the rate changed last.
    #[must_use]
    pub fn at(&self, truth: Mono) -> Now {
        let (passed, _) = scale((truth - self.since).0, self.rate(), MILLION);
        let mono = self.showed + Micros(passed);
        Now {
            mono,
            wall: Wall(World::EPOCH.0.saturating_add(mono.0).saturating_add_signed(self.ahead)),
        }
    }

    /// The earliest true time at which the monotonic clock shows this much or more.
    #[must_use]
    pub fn truth(&self, shown: Mono) -> Mono {
        // Rounded up: at the time before, the clock would not have come so far.
        let (whole, rest) = scale((shown - self.showed).0, MILLION, self.rate());
        self.since + Micros(whole.saturating_add(u64::from(rest)))
    }

    /// From a true time on the clock runs so much too fast, at most by [`Self::DRIFT_MAX`].
    pub(super) fn run(&mut self, truth: Mono, drift: i32) {
        self.showed = self.at(truth).mono;
        self.since = truth;
        self.drift = drift.clamp(-Self::DRIFT_MAX, Self::DRIFT_MAX);
    }

    /// Civil time is set ahead, or back.
    pub(super) fn jump(&mut self, by: i64) {
        self.ahead = self.ahead.saturating_add(by).clamp(-Self::AHEAD_MAX, Self::AHEAD_MAX);
    }

    /// Microseconds to a second of true time.
    fn rate(&self) -> u64 {
        MILLION.saturating_add_signed(i64::from(self.drift))
    }
}

const MILLION: u64 = 1_000_000;

/// `span * times / over`, or the greatest number if that is less, and whether there is a rest.
fn scale(span: u64, times: u64, over: u64) -> (u64, bool) {
    let over = over.max(1);
    if times == over {
        return (span, false);
    }
    // For half a year it fits, and 128 bits take a browser far longer.
    if let Some(product) = span.checked_mul(times) {
        return (product / over, !product.is_multiple_of(over));
    }
    let (product, over) = (u128::from(span) * u128::from(times), u128::from(over));
    (u64::try_from(product / over).unwrap_or(u64::MAX), !product.is_multiple_of(over))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn a_true_clock_shows_the_truth() {
        let clocks = Clocks::default();
        for time in [0, 1, 86_400_000_000, u64::MAX] {
            assert_eq!(clocks.at(Mono(time)).mono, Mono(time));
            assert_eq!(clocks.truth(Mono(time)), Mono(time));
        }
    }

    #[test]
    fn the_monotonic_clock_never_goes_back_and_deadlines_are_met() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut clocks = Clocks::default();
            let (mut truth, mut last) = (Mono(0), Mono(0));
            for _ in 0..300 {
                truth = truth + Micros(rng.below(5_000_000));
                let most = Clocks::DRIFT_MAX as u64;
                if rng.below(4) == 0 {
                    clocks.run(truth, rng.below(2 * most + 1) as i32 - Clocks::DRIFT_MAX);
                }
                if rng.below(4) == 0 {
                    clocks.jump(rng.below(2_000_000) as i64 - 1_000_000);
                }
                let now = clocks.at(truth);
                assert!(now.mono >= last);
                last = now.mono;
                let deadline = now.mono + Micros(rng.below(3_000_000));
                let due = clocks.truth(deadline);
                assert!(due >= truth && clocks.at(due).mono >= deadline);
                if due > truth {
                    assert!(clocks.at(Mono(due.0 - 1)).mono < deadline, "not a moment too late");
                }
            }
        }
    }

    #[test]
    fn clocks_drift_and_jump_as_they_are_told() {
        let mut clocks = Clocks::default();
        clocks.run(Mono(1_000_000), 50_000);
        assert_eq!(clocks.at(Mono(2_000_000)).mono, Mono(2_050_000));
        clocks.run(Mono(2_000_000), -50_000);
        assert_eq!(clocks.at(Mono(3_000_000)).mono, Mono(3_000_000));
        let before = clocks.at(Mono(3_000_000));
        clocks.jump(-5_000_000);
        let after = clocks.at(Mono(3_000_000));
        assert_eq!(after.mono, before.mono);
        assert_eq!(after.wall.0 + 5_000_000, before.wall.0);
        assert_eq!((clocks.drift(), clocks.ahead()), (-50_000, -5_000_000));
    }
}
