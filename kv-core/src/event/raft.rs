//! What happens in a Raft group, for people, for counting and for those who wait for it.

use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::Severity;
use crate::id::{Index, NodeId, Replica, Term};

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
        last: Index,
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

impl DropReason {
    fn words(self) -> &'static str {
        match self {
            Self::Misdirected => "it was meant for another data folder",
            Self::Nonsense => "it contradicts what its sender must know",
            Self::FutureTerm => "no election can have led to its term",
            Self::Impostor => "it claims to come from this very replica",
            Self::LeaderIsThere => "there is a leader",
        }
    }
}

impl RaftEvent {
    /// How much attention it deserves.
    #[must_use]
    pub(super) fn severity(self) -> Severity {
        match self {
            Self::Asked { .. }
            | Self::Stood { .. }
            | Self::Follows { .. }
            // A node without its disk gets what was meant for it before, until all know.
            | Self::Dropped {
                reason: DropReason::LeaderIsThere | DropReason::Misdirected,
                ..
            } => Severity::Trace,
            Self::Elected { .. }
            | Self::SteppedDown { .. }
            | Self::Installed { .. }
            | Self::Changed { .. }
            | Self::Removed => Severity::Info,
            Self::ChangeFailed | Self::TransferFailed | Self::Dropped { .. } => Severity::Warning,
        }
    }

    /// What happened, in words. `name` says how to call a node.
    pub(super) fn words(self, name: impl Fn(NodeId) -> String) -> String {
        match self {
            Self::Asked { term } => format!("asks whether it would be elected in term {}", term.0),
            Self::Stood { term } => format!("stands for election in term {}", term.0),
            Self::Elected { term } => format!("leads in term {}", term.0),
            Self::Follows { leader, term } => {
                format!("follows {} in term {}", name(leader.node), term.0)
            }
            Self::SteppedDown { term } => format!("no longer leads, in term {}", term.0),
            Self::Installed { last } => format!("took over the state up to entry {}", last.0),
            Self::Changed { at } => format!("has the members of entry {} from now on", at.0),
            Self::ChangeFailed => {
                String::from("gave a change of its members up: a new one does not catch up")
            }
            Self::TransferFailed => {
                String::from("goes on leading: its successor was not elected in time")
            }
            Self::Removed => String::from("was told that it is no longer a member"),
            Self::Dropped { from, reason } => {
                format!("dropped a message of {}: {}", name(from.node), reason.words())
            }
        }
    }

    /// A name for counting.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Asked { .. } => "raft_asked",
            Self::Stood { .. } => "raft_stood",
            Self::Elected { .. } => "raft_elected",
            Self::Follows { .. } => "raft_follows",
            Self::SteppedDown { .. } => "raft_stepped_down",
            Self::Installed { .. } => "raft_installed",
            Self::Changed { .. } => "raft_changed",
            Self::ChangeFailed => "raft_change_failed",
            Self::TransferFailed => "raft_transfer_failed",
            Self::Removed => "raft_removed",
            Self::Dropped { reason, .. } => match reason {
                DropReason::Misdirected => "raft_dropped_misdirected",
                DropReason::Nonsense => "raft_dropped_nonsense",
                DropReason::FutureTerm => "raft_dropped_future_term",
                DropReason::Impostor => "raft_dropped_impostor",
                DropReason::LeaderIsThere => "raft_dropped_leader_is_there",
            },
        }
    }
}
