//! What happened in a group, for people, for counting and for those who wait for it.

use serde::{Deserialize, Serialize};

use crate::id::{Index, Replica, Term};
use crate::message::raft::EntryId;

/// Something that happened in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RaftEvent {
    /// This replica asks whether it would be elected in this term.
    Asked {
        /// The term.
        term: Term,
    },
    /// This replica stands for election.
    Stood {
        /// The term.
        term: Term,
    },
    /// This replica leads.
    Elected {
        /// The term.
        term: Term,
    },
    /// This replica follows another one.
    Follows {
        /// Whom.
        leader: Replica,
        /// In which term.
        term: Term,
    },
    /// This replica no longer leads.
    SteppedDown {
        /// The term it has seen.
        term: Term,
    },
    /// A state took the place of entries that were missing.
    Installed {
        /// The last entry in it.
        last: EntryId,
    },
    /// A change of the membership is done.
    Changed {
        /// The entry with the membership now in force.
        at: Index,
    },
    /// A change of the membership was given up: a newcomer does not catch up. It stays a learner.
    ChangeFailed,
    /// Nobody took leadership over in time; this replica goes on leading.
    TransferFailed,
    /// This replica was told that it is no longer one of the group.
    Removed,
    /// A message was dropped; nothing changed.
    Dropped {
        /// Who sent it.
        from: Replica,
        /// Why.
        reason: DropReason,
    },
}

/// Why a message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DropReason {
    /// It was meant for another data folder of this node.
    Misdirected,
    /// Its values contradict each other, or what the sender must know.
    Nonsense,
    /// Its term is so far ahead that no election can have led there.
    FutureTerm,
    /// It claims to come from this replica itself.
    Impostor,
    /// It asks for an election while a leader is there.
    LeaderIsThere,
}

impl RaftEvent {
    /// A name for counting.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Asked { .. } => "asked",
            Self::Stood { .. } => "stood",
            Self::Elected { .. } => "elected",
            Self::Follows { .. } => "follows",
            Self::SteppedDown { .. } => "stepped_down",
            Self::Installed { .. } => "installed",
            Self::Changed { .. } => "changed",
            Self::ChangeFailed => "change_failed",
            Self::TransferFailed => "transfer_failed",
            Self::Removed => "removed",
            Self::Dropped { reason, .. } => match reason {
                DropReason::Misdirected => "dropped_misdirected",
                DropReason::Nonsense => "dropped_nonsense",
                DropReason::FutureTerm => "dropped_future_term",
                DropReason::Impostor => "dropped_impostor",
                DropReason::LeaderIsThere => "dropped_leader_is_there",
            },
        }
    }
}
