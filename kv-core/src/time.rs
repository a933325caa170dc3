//! Time as the core sees it: two clocks that arrive as arguments, and stamps made from one of them.
//!
//! The core never reads a clock. Each input carries a [`Now`]: `mono` never goes backwards and serves
//! timers; `wall` is the civil time and serves only stamps that people compare. A [`HybridClock`] turns
//! the wall time into strictly increasing [`Stamp`]s (Kulkarni et al., "Logical Physical Clocks", 2014).
//!
//! Left out: time zones, calendars and anything that formats a time.

use core::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// A span of time in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Micros(pub u64);

impl Micros {
    /// The span of so many milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Whole milliseconds in the span, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }
}

/// A moment of the monotonic clock, in microseconds since an origin of the shell's choice.
/// Comparable only between inputs of one opened node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mono(pub u64);

impl Add<Micros> for Mono {
    type Output = Self;

    fn add(self, span: Micros) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub for Mono {
    type Output = Micros;

    /// The time from `earlier` to `self`; zero if `earlier` is the later one.
    fn sub(self, earlier: Self) -> Micros {
        Micros(self.0.saturating_sub(earlier.0))
    }
}

/// A moment of civil time, in microseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wall(pub u64);

/// Both clocks at the moment of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// For timers, timeouts and leases.
    pub mono: Mono,
    /// For stamps only.
    pub wall: Wall,
}

/// A hybrid logical time stamp: milliseconds of civil time in the upper 48 bits, a counter below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The civil time in the stamp, in milliseconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 >> 16
    }

    /// The smallest greater stamp.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    const fn at(wall: Wall) -> Self {
        Self((wall.0 / 1_000) << 16)
    }
}

/// Makes stamps that only grow, even when the wall clock jumps back.
#[derive(Clone, Debug, Default)]
pub struct HybridClock {
    last: Stamp,
}

impl HybridClock {
    /// How far a remote stamp may be ahead of the local wall clock before it is not followed.
    pub const DRIFT_MAX: Micros = Micros::from_millis(500);

    /// A stamp greater than every stamp made or followed before.
    pub fn tick(&mut self, wall: Wall) -> Stamp {
        let next = self.last.0.saturating_add(1).max(Stamp::at(wall).0);
        self.last = Stamp(next);
        self.last
    }

    /// Follows a stamp that arrived from another node, so that later local stamps are greater.
    /// A stamp further ahead than [`Self::DRIFT_MAX`] is not followed: one broken clock must not
    /// drag the others along.
    pub fn follow(&mut self, remote: Stamp, wall: Wall) {
        if remote <= Stamp::at(Wall(wall.0.saturating_add(Self::DRIFT_MAX.0))) {
            self.last = self.last.max(remote);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_grow_while_the_wall_clock_jumps_back() {
        let mut clock = HybridClock::default();
        let first = clock.tick(Wall(5_000_000));
        let second = clock.tick(Wall(1_000_000));
        assert!(second > first);
        assert_eq!(second.millis(), 5_000);
    }

    #[test]
    fn a_stamp_from_far_ahead_is_not_followed() {
        let mut clock = HybridClock::default();
        let wall = Wall(1_000_000);
        clock.follow(Stamp::at(Wall(10_000_000)), wall);
        assert_eq!(clock.tick(wall).millis(), 1_000);
        clock.follow(Stamp::at(Wall(1_400_000)), wall);
        assert_eq!(clock.tick(wall).millis(), 1_400);
    }
}
