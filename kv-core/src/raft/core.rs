//! What every role of a replica has: its term and vote, its log, and what it wants done.
//!
//! Nothing is done here. What must reach the disk is noted as unwritten; what shall be sent is kept with
//! the disk state that it depends on ([`After`]); the owner of the group writes, learns the position in
//! its log, and then takes the messages, each with the position it has to wait for.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use super::log::Log;
use super::snapshot::Incoming;
use super::{Limits, RaftEvent, ReadError, ReadId};
use crate::bugs::{Bug, planted};
use crate::id::{GroupId, Index, LogPosition, Replica, Term};
use crate::message::raft::{Entry, EntryId, Manifest, Membership, Payload, RaftBody, RaftMessage};
use crate::ordered::Map;
use crate::rng::Rng;
use crate::time::{Micros, Mono};

/// The part of a replica that does not depend on its role.
#[derive(Clone, Debug)]
pub(super) struct Core {
    pub(super) group: GroupId,
    pub(super) me: Replica,
    pub(super) limits: Limits,
    pub(super) rng: Rng,
    pub(super) term: Term,
    pub(super) vote: Option<Replica>,
    pub(super) log: Log,
    pub(super) commit: Index,
    pub(super) applied: Index,
    /// Who leads, as far as this replica knows.
    pub(super) leader: Option<Replica>,
    /// When the leader was last heard.
    pub(super) heard: Mono,
    /// When this replica stands for election unless it hears from a leader.
    pub(super) deadline: Mono,
    /// Reads that wait until this much is applied, and until when; the oldest first.
    pub(super) reads: VecDeque<(Index, ReadId, Mono)>,
    /// The number of the last question to a leader. It begins anywhere and is never used again, not
    /// even after a restart: a late answer must not pass for that to another question.
    pub(super) attempts: u64,
    /// A state that is being received.
    pub(super) incoming: Option<Incoming>,
    /// Whether the chunks of a state that was received are still needed: they fill the place of those
    /// of a next one.
    pub(super) keeps_chunks: bool,
    /// Whether the state machine cannot read all of its state: nothing is applied until another is there.
    pub(super) wants_state: bool,
    pub(super) unwritten: Unwritten,
    /// The owner could not write what there is: nothing new is taken in until it can.
    pub(super) stuck: bool,
    /// Where the term and the vote were written, and everything.
    pub(super) state_at: LogPosition,
    pub(super) log_at: LogPosition,
    pub(super) durable: LogPosition,
    pub(super) out: Outgoing,
}

/// What is not written yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Unwritten {
    /// The term or the vote.
    pub(super) state: bool,
    /// The entries from here on. They replace all that stand there.
    pub(super) entries: Option<Index>,
    /// Whether there may be entries on disk behind the last one.
    pub(super) cut: bool,
    /// The base of the log.
    pub(super) base: bool,
    /// A state that is being received.
    pub(super) incoming: Option<Manifest>,
    /// Chunks of it.
    pub(super) chunks: Vec<(u32, Bytes)>,
    /// Whether the chunks of the state received last can go.
    pub(super) forget: bool,
}

impl Unwritten {
    pub(super) fn is_empty(&self) -> bool {
        !self.state
            && self.entries.is_none()
            && !self.cut
            && !self.base
            && self.incoming.is_none()
            && self.chunks.is_empty()
            && !self.forget
    }
}

/// What must be on disk before a message leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing of this turn: the message promises nothing that could be lost.
    Nothing,
    /// The term and the vote.
    State,
    /// Everything: term, vote and log.
    Log,
}

/// What the owner of a group is to do.
#[derive(Clone, Debug, Default)]
pub(super) struct Outgoing {
    pub(super) messages: VecDeque<(Replica, After, RaftMessage)>,
    pub(super) reads: VecDeque<(ReadId, Result<Index, ReadError>)>,
    pub(super) events: VecDeque<RaftEvent>,
    pub(super) chunks: VecDeque<(Replica, u64, u32)>,
    pub(super) snapshot_wanted: bool,
    pub(super) installed: Option<Manifest>,
    pub(super) counters: Map<&'static str, u64>,
}

impl Core {
    pub(super) fn send(&mut self, to: Replica, after: After, body: RaftBody) {
        self.send_in(self.term, to, after, body);
    }

    /// Sends a message that speaks of another term than this replica's.
    pub(super) fn send_in(&mut self, term: Term, to: Replica, after: After, body: RaftBody) {
        debug_assert!(to != self.me, "a replica does not write to itself");
        let early = match &body {
            RaftBody::VoteReply { .. } => planted(Bug::VoteUnsynced),
            RaftBody::Vote { .. } => planted(Bug::CandidacyUnsynced),
            RaftBody::AppendReply(_) => planted(Bug::EntriesUnsynced),
            _ => false,
        };
        let after = if early { After::Nothing } else { after };
        let message = RaftMessage { group: self.group, to: to.incarnation, term, body };
        self.out.messages.push_back((to, after, message));
    }

    pub(super) fn event(&mut self, event: RaftEvent) {
        *self.out.counters.entry(event.name()).or_default() += 1;
        self.out.events.push_back(event);
    }

    pub(super) fn membership(&self) -> &Membership {
        if planted(Bug::MembershipOnCommit) {
            return self.log.membership_at(self.commit).1;
        }
        self.log.membership().1
    }

    /// Goes on to a term, with a vote in it or none.
    pub(super) fn enter(&mut self, term: Term, vote: Option<Replica>) {
        debug_assert!(self.term < term || (self.term == term && self.vote.is_none()));
        self.term = term;
        self.vote = vote;
        self.unwritten.state = true;
    }

    /// Whether term and vote are on disk.
    pub(super) fn state_is_durable(&self) -> bool {
        (!self.unwritten.state && self.state_at <= self.durable) || planted(Bug::OwnVoteUnsynced)
    }

    /// Adds an entry behind the last one.
    pub(super) fn append(&mut self, payload: Payload) -> EntryId {
        let id = EntryId { term: self.term, index: self.log.last().index.next() };
        self.push(Entry { id, payload });
        id
    }

    pub(super) fn push(&mut self, entry: Entry) {
        let index = entry.id.index;
        self.unwritten.entries.get_or_insert(index);
        self.log.push(entry);
    }

    /// Cuts the log before an entry that contradicts the leader's.
    pub(super) fn cut(&mut self, first: Index) {
        debug_assert!(self.commit < first, "what is committed stays");
        self.log.cut(first);
        self.unwritten.cut = true;
        if let Some(from) = &mut self.unwritten.entries {
            *from = first.min(*from);
        }
    }

    /// The state that is being received is no longer needed.
    pub(super) fn forget_incoming(&mut self) {
        self.incoming = None;
        self.unwritten.incoming = None;
        self.unwritten.chunks.clear();
        self.unwritten.forget = true;
    }

    /// Whether this replica has a vote in the membership in force or, as long as that may not be
    /// committed, had one before: it may be needed until it is (dissertation, 4.2.2).
    pub(super) fn may_lead(&self) -> bool {
        if planted(Bug::LeaverNeverStands) {
            return self.membership().is_voter(self.me);
        }
        self.log.memberships_since(self.commit).any(|membership| membership.is_voter(self.me))
    }

    /// Entries up to here are committed, which this replica has.
    pub(super) fn commit_to(&mut self, index: Index) {
        debug_assert!(index <= self.log.last().index, "an entry is known before it is committed");
        self.commit = self.commit.max(index.min(self.log.last().index));
    }

    /// Up to where the state machine may go.
    pub(super) fn applicable(&self) -> Index {
        if planted(Bug::AppliedUnsynced) {
            self.commit
        } else {
            self.commit.min(self.log.durable())
        }
    }

    /// Answers a read as soon as this much is applied.
    pub(super) fn await_applied(&mut self, now: Mono, index: Index, id: ReadId) {
        self.reads.push_back((index, id, now + self.limits.election_timeout));
        self.release_reads();
    }

    /// Answers the reads whose entry is applied.
    pub(super) fn release_reads(&mut self) {
        let (applied, out) = (self.applied, &mut self.out.reads);
        self.reads.retain(|(index, id, _)| {
            if *index <= applied {
                out.push_back((*id, Ok(*index)));
            }
            applied < *index
        });
    }

    /// Reads that have waited too long wait no longer: who has left the group never applies more.
    pub(super) fn give_up_waiting_reads(&mut self, now: Mono) {
        while let Some((_, id, _)) = self.reads.pop_front_if(|(_, _, until)| *until <= now) {
            self.out.reads.push_back((id, Err(ReadError::Unanswered)));
        }
    }

    /// When the first of them will have waited too long.
    pub(super) fn next_read_deadline(&self) -> Option<Mono> {
        self.reads.front().map(|(_, _, until)| *until)
    }

    /// A time for an election, different on each replica (Raft paper, 5.2).
    pub(super) fn draw_deadline(&mut self, now: Mono) {
        let least = self.limits.election_timeout;
        let more = self.rng.below(least.0.max(1));
        self.deadline = now + least + Micros(more);
    }

    /// Whether a leader was heard of so lately that nobody else may be elected (dissertation, 4.2.3).
    pub(super) fn follows_a_leader(&self, now: Mono) -> bool {
        self.leader.is_some() && now < self.heard + self.limits.election_timeout
    }

    /// Everything unwritten is in the owner's log now, which ends here.
    pub(super) fn written(&mut self, at: LogPosition) {
        if self.unwritten.state {
            self.state_at = at;
        }
        self.log_at = at;
        self.log.written(at);
        self.unwritten = Unwritten::default();
        self.stuck = false;
    }
}
