//! What the replicas of a Raft group say to each other, and what they replicate.
//!
//! ```text
//! election      candidate ── PreVote, Vote ──▶ voter ── PreVoteReply, VoteReply ─▶ candidate
//! replication   leader ───── Append ─────────▶ replica ─ AppendReply ────────────▶ leader
//!               leader ───── Heartbeat ──────▶ replica ─ HeartbeatReply ─────────▶ leader
//!               leader ───── Commit ─────────▶ replica                              one way
//! reads         replica ──── Read ───────────▶ leader ── ReadReply ──────────────▶ replica
//! snapshots     leader ───── Offer, Chunk ───▶ replica ─ Have ───────────────────▶ leader
//!               replica ──── StateLost ──────▶ leader                               one way
//! transfer      leader ───── TimeoutNow ─────▶ voter
//! anything      sender of an old term ───────▶ replica ─ Stale ──────────────────▶ sender
//!               a candidate that was removed ▶ replica ─ Removed ────────────────▶ candidate
//! ```
//!
//! Every message names the group, the term of its sender and the data folder it is meant for: what was
//! said to a folder that is gone reaches nobody.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::hash;
use crate::id::{GroupId, Incarnation, Index, Replica, Term};
use crate::ordered::Set;

/// A message of one replica of a group to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaftMessage {
    /// The group.
    pub group: GroupId,
    /// The data folder it is meant for.
    pub to: Incarnation,
    /// The sender's term; of a [`RaftBody::PreVote`] and of a granted [`RaftBody::PreVoteReply`] the term
    /// that the candidate would stand in.
    pub term: Term,
    /// What it says.
    pub body: RaftBody,
}

impl RaftMessage {
    /// Whether it carries entries or a part of a state, and so may hold up others.
    #[must_use]
    pub fn is_large(&self) -> bool {
        match &self.body {
            RaftBody::Append { entries, .. } => !entries.is_empty(),
            RaftBody::Chunk { .. } | RaftBody::Offer(_) => true,
            _ => false,
        }
    }
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RaftBody {
    /// Would you vote for me? Nobody's state changes by it (dissertation, 9.6).
    PreVote {
        /// The sender's last entry.
        last: EntryId,
    },
    /// Yes, or no.
    PreVoteReply {
        /// Which.
        granted: bool,
    },
    /// Vote for me. The sender's own vote for itself and its log up to `last` are on its disk.
    Vote {
        /// The sender's last entry.
        last: EntryId,
        /// Whether the leader itself told the sender to stand: then nobody waits for that leader.
        transfer: bool,
    },
    /// The vote is on the sender's disk, or it was not given.
    VoteReply {
        /// Whether it was given.
        granted: bool,
    },
    /// These entries follow on that one.
    Append {
        /// The entry before the first of them.
        prev: EntryId,
        /// Entries with consecutive indexes; none if only the place is to be tried.
        entries: Vec<Entry>,
        /// Up to where entries are committed.
        commit: Index,
    },
    /// Everything up to there equals the leader's log and is on the sender's disk; or not.
    AppendReply(Appended),
    /// I lead. `commit` is never behind what the receiver is known to have in common with the leader.
    Heartbeat {
        /// Up to where entries are committed, as far as the receiver has them.
        commit: Index,
        /// The newest round of reads that asks whether the sender still leads.
        read: u64,
    },
    /// You lead, as far as I know.
    HeartbeatReply {
        /// As in the heartbeat.
        read: u64,
    },
    /// Entries were committed and no new ones follow. Needs no answer.
    Commit {
        /// Up to where, as far as the receiver has them.
        commit: Index,
    },
    /// Up to which entry must I have applied everything for a linearizable read?
    Read {
        /// The sender's number for this question, never used again by it in this term.
        attempt: u64,
    },
    /// Up to this one. The leader made sure after the question that it still led.
    ReadReply {
        /// As in the question.
        attempt: u64,
        /// The entry.
        index: Index,
    },
    /// You lack entries that I no longer have: take this state instead.
    Offer(Box<Manifest>),
    /// A part of an offered state.
    Chunk {
        /// [`Manifest::id`] of the offer.
        snapshot: u64,
        /// Which part, counted from 0.
        number: u32,
        /// Its bytes.
        bytes: Bytes,
    },
    /// The parts before this one are on the sender's disk.
    Have {
        /// [`Manifest::id`] of the offer.
        snapshot: u64,
        /// The first part that is missing.
        next: u32,
    },
    /// Stand for election at once, in my place.
    TimeoutNow,
    /// Your term is over; mine is the one of this message.
    Stale,
    /// You are no longer one of the group.
    Removed,
    /// My state machine cannot read all of its state: offer me one. My log is as I said.
    StateLost {
        /// The last entry that the state machine has applied; an older state will not do.
        applied: Index,
    },
}

/// What came of an [`RaftBody::Append`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Appended {
    /// The sender's log equals the leader's up to here, and that much is on its disk.
    UpTo(Index),
    /// The entry before those sent is not in the sender's log.
    Missing {
        /// Its index.
        prev: Index,
        /// The last place at which the logs may agree: the sender's last entry up to `prev` whose term
        /// is not greater than that of the entry asked for.
        hint: EntryId,
    },
}

/// The name of an entry. Greater is newer: the term counts first (Raft paper, 5.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EntryId {
    /// The term of the leader that made it.
    pub term: Term,
    /// Its place in the log.
    pub index: Index,
}

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub id: EntryId,
    /// What it holds.
    pub payload: Payload,
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: the first entry of every leader.
    Empty,
    /// The members from here on, in force on every replica that has the entry.
    Membership(Box<Membership>),
    /// Something for the state machine.
    Command(Bytes),
}

impl Entry {
    /// How much memory and log it takes, about.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        ENTRY_BYTES + self.payload.bytes()
    }
}

/// What an entry takes beside its payload.
const ENTRY_BYTES: u64 = 24;

impl Payload {
    /// Whether a log can hold it.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Empty | Self::Command(_) => true,
            Self::Membership(membership) => membership.is_sound(),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Membership(membership) => 16 * membership.replicas().count() as u64,
            Self::Command(bytes) => bytes.len() as u64,
        }
    }
}

/// Who belongs to a group. While it is joint, elections and commits need a majority of `voters` and one
/// of `outgoing` (dissertation, 4.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Who votes, from now on.
    pub voters: Set<Replica>,
    /// Who voted before; empty unless a change is under way.
    pub outgoing: Set<Replica>,
    /// Who gets everything and votes on nothing.
    pub learners: Set<Replica>,
}

impl Membership {
    /// These voters, and nobody else.
    #[must_use]
    pub fn of(voters: impl IntoIterator<Item = Replica>) -> Self {
        Self { voters: voters.into_iter().collect(), ..Self::default() }
    }

    /// Whether a change is under way.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether this replica has a vote.
    #[must_use]
    pub fn is_voter(&self, replica: Replica) -> bool {
        self.voters.contains(&replica) || self.outgoing.contains(&replica)
    }

    /// Whether nobody but this replica has a vote.
    #[must_use]
    pub fn is_sole_voter(&self, replica: Replica) -> bool {
        !self.is_joint() && self.voters.len() == 1 && self.voters.contains(&replica)
    }

    /// Whether this replica belongs to the group.
    #[must_use]
    pub fn contains(&self, replica: Replica) -> bool {
        self.is_voter(replica) || self.learners.contains(&replica)
    }

    /// Everybody, once each, in order.
    pub fn replicas(&self) -> impl Iterator<Item = Replica> + '_ {
        let outgoing = self.outgoing.difference(&self.voters);
        let learners = self.learners.iter().filter(|replica| !self.is_voter(**replica));
        self.voters.iter().chain(outgoing).chain(learners).copied()
    }

    /// Whether it can be in force: somebody votes, and who votes does not learn.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !self.voters.is_empty() && self.learners.is_disjoint(&self.voters)
    }
}

/// The whole state of a group up to an entry, named by what it contains. The state is a sequence of
/// chunks; equal states have equal chunks, so any replica can go on with sending them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The last entry in it.
    pub last: EntryId,
    /// Who belongs to the group as of that entry.
    pub membership: Membership,
    /// The entry that said so; zero if the group was founded so.
    pub membership_at: Index,
    /// The hash of each chunk, see [`hash::of`].
    pub chunks: Vec<u64>,
}

impl Manifest {
    /// The name of this state.
    #[must_use]
    pub fn id(&self) -> u64 {
        hash::of(&codec::encode(self))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index.0, self.term.0)
    }
}

impl RaftBody {
    /// What kind of message it is, in a word of the field.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::PreVote { .. } => "pre_vote",
            Self::PreVoteReply { .. } => "pre_vote_reply",
            Self::Vote { .. } => "vote",
            Self::VoteReply { .. } => "vote_reply",
            Self::Append { .. } => "append",
            Self::AppendReply(_) => "append_reply",
            Self::Heartbeat { .. } => "heartbeat",
            Self::HeartbeatReply { .. } => "heartbeat_reply",
            Self::Commit { .. } => "commit",
            Self::Read { .. } => "read",
            Self::ReadReply { .. } => "read_reply",
            Self::Offer(_) => "snapshot_offer",
            Self::Chunk { .. } => "snapshot_chunk",
            Self::Have { .. } => "snapshot_have",
            Self::TimeoutNow => "timeout_now",
            Self::Stale => "stale",
            Self::Removed => "removed",
            Self::StateLost { .. } => "state_lost",
        }
    }
}
