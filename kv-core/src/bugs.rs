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
    /// Raft: a vote is told before it is on disk.
    VoteUnsynced,
    /// Raft: a candidate asks for votes before its own is on disk.
    CandidacyUnsynced,
    /// Raft: a candidate counts its own vote before it is on disk.
    OwnVoteUnsynced,
    /// Raft: entries are confirmed before they are on disk.
    EntriesUnsynced,
    /// Raft: entries are applied before they are on disk.
    AppliedUnsynced,
    /// Raft: a sync that ends late vouches for entries that took the place of those it covered.
    LateSyncVouches,
    /// Raft: entries of an earlier term are committed by counting (Raft paper, figure 8).
    OldTermCommitted,
    /// Raft: a new leader serves reads before it knows what is committed.
    ReadBeforeFirstCommit,
    /// Raft: any answer to a heartbeat confirms the reads that wait now.
    LateAnswerConfirmsRead,
    /// Raft: a replica numbers its questions from the start again when it was restarted.
    QuestionsRestart,
    /// Raft: a vote is forgotten by a restart.
    VoteForgotten,
    /// Raft: entries that are there already cut those behind them.
    MatchingSuffixCut,
    /// Raft: a confirmation of an earlier leadership counts.
    OldConfirmationCounts,
    /// Raft: a state takes the place of a log whose entries stay on disk.
    StateKeepsEntries,
    /// Raft: a state takes the place of a log in which more has been committed meanwhile.
    StateOverCommitted,
    /// Raft: a state that the leader's log has outgrown is offered for ever.
    OutgrownStateOffered,
    /// Raft: a leader does not leave a joint membership that it inherited.
    JointNeverLeft,
    /// Raft: a membership is in force only when it is committed.
    MembershipOnCommit,
    /// Raft: one half of a joint membership decides.
    JointByHalf,
    /// Raft: learners count for quorums.
    LearnersCount,
    /// Raft: one voter too few is a quorum.
    MajorityOneShort,
    /// Raft: the longer log is the newer one, whatever its terms.
    LongerLogIsNewer,
    /// Raft: a probe whose answer was lost is never repeated.
    ProbeNeverRepeated,
    /// Raft: entries under way that were lost stay under way for ever.
    WindowNeverDrains,
    /// Raft: leadership is handed to a replica that does not have everything.
    SuccessorBehind,
    /// Raft: a leader that hears from no quorum goes on.
    LeaderWithoutQuorum,
    /// Raft: who has no vote in a membership that may not be committed does not stand.
    LeaverNeverStands,
    /// Raft: a change of the membership begins while another one is in the log and not committed.
    ChangesOverlap,
    /// Raft: a replica that misses its leader raises its term without asking first whether it would be
    /// elected.
    TermRaisedUnasked,
    /// Damage to what was durable is taken for a torn end, and cut off.
    DamageCutOff,
    /// Strong: the answers to earlier writes of a session are not looked at.
    SessionForgotten,
    /// Strong: a state that is taken over comes without the sessions.
    SessionsNotInState,
    /// Strong: a write without a name is sent again when nobody knows what became of it.
    UnnamedWriteRepeated,
    /// Strong: a linearizable read is served from what a replica has, unasked.
    ReadWithoutRound,
    /// Strong: a write is acknowledged by another entry that took its place.
    PlaceTaken,
    /// A coordinator sends a write, and reports it, before its own disk holds it.
    WriteSentUnsynced,
    /// A new owner confirms what was handed off to it before its disk holds it.
    HandOffUnsynced,
    /// What was answered and waits for a replica that never answers waits for ever.
    AnsweredKept,
}

impl Bug {
    /// Those of the eventually consistent keyspaces and of what is below them.
    pub const ALL: [Self; 12] = [
        Self::AcknowledgeBeforeSync,
        Self::ReadOfUnsynced,
        Self::QuorumOneShort,
        Self::DuplicateReplyCounts,
        Self::UnknownReportedAsFailed,
        Self::DotsRestart,
        Self::SettingsReadTwice,
        Self::RecoveryCutsAcknowledged,
        Self::HeldReleasedEarly,
        Self::WriteSentUnsynced,
        Self::HandOffUnsynced,
        Self::AnsweredKept,
    ];

    /// Those of the consensus machine, and of the log below it.
    pub const RAFT: [Self; 30] = [
        Self::VoteUnsynced,
        Self::CandidacyUnsynced,
        Self::OwnVoteUnsynced,
        Self::EntriesUnsynced,
        Self::AppliedUnsynced,
        Self::LateSyncVouches,
        Self::OldTermCommitted,
        Self::ReadBeforeFirstCommit,
        Self::LateAnswerConfirmsRead,
        Self::QuestionsRestart,
        Self::VoteForgotten,
        Self::MatchingSuffixCut,
        Self::OldConfirmationCounts,
        Self::StateKeepsEntries,
        Self::StateOverCommitted,
        Self::OutgrownStateOffered,
        Self::JointNeverLeft,
        Self::MembershipOnCommit,
        Self::JointByHalf,
        Self::LearnersCount,
        Self::MajorityOneShort,
        Self::LongerLogIsNewer,
        Self::ProbeNeverRepeated,
        Self::WindowNeverDrains,
        Self::SuccessorBehind,
        Self::LeaderWithoutQuorum,
        Self::LeaverNeverStands,
        Self::ChangesOverlap,
        Self::TermRaisedUnasked,
        Self::DamageCutOff,
    ];

    /// Those of the strong keyspace.
    pub const STRONG: [Self; 5] = [
        Self::SessionForgotten,
        Self::SessionsNotInState,
        Self::UnnamedWriteRepeated,
        Self::ReadWithoutRound,
        Self::PlaceTaken,
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
