//! Known pitfalls that can be switched on, to prove that the checkers find them.
//!
//! A checker that has never objected proves nothing. With the cargo feature `bugs`, and only for tests,
//! one pitfall at a time can be planted in the whole process; the place where it sits asks
//! [`planted`]. Without the feature that is `false` at compile time, and nothing of it is in a build that
//! anybody runs.
//!
//! A machine adds its own pitfalls at the end of [`Bug`] and asks where they belong;
//! `tests/bugs.rs` then demands that a search finds each.

#[cfg(feature = "bugs")]
use core::sync::atomic::{AtomicU8, Ordering};

/// A pitfall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// A replica confirms a write that its disk does not hold yet.
    AcknowledgeBeforeSync = 1,
    /// A replica shows a value that its disk does not hold yet.
    ReadOfUnsynced,
    /// A write is done when one replica too few has it.
    QuorumOneShort,
    /// The same confirmation counts twice if it arrives twice.
    DuplicateReplyCounts,
    /// A client is told that a write failed which may still happen.
    UnknownReportedAsFailed,
    /// Dots are counted from the start of the lease again after a crash.
    DotsRestart,
    /// A request takes its quorum from the settings once more, when they may have changed.
    SettingsReadTwice,
    /// Where the end of the log is torn, its whole block is cut off.
    RecoveryCutsAcknowledged,
    /// What waits for a sync leaves with the sync before it.
    HeldReleasedEarly,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::AcknowledgeBeforeSync,
        Self::ReadOfUnsynced,
        Self::QuorumOneShort,
        Self::DuplicateReplyCounts,
        Self::UnknownReportedAsFailed,
        Self::DotsRestart,
        Self::SettingsReadTwice,
        Self::RecoveryCutsAcknowledged,
        Self::HeldReleasedEarly,
    ];
}

#[cfg(feature = "bugs")]
static PLANTED: AtomicU8 = AtomicU8::new(0);

/// Plants one bug in every node of this process, in place of the one before.
#[cfg(feature = "bugs")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(0, |bug| bug as u8), Ordering::Relaxed);
}

/// Whether this bug is planted.
#[cfg(feature = "bugs")]
pub(crate) fn planted(bug: Bug) -> bool {
    PLANTED.load(Ordering::Relaxed) == bug as u8
}

/// Whether this bug is planted: never.
#[cfg(not(feature = "bugs"))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}
