//! Terms, elections, and which role a message is for.
//!
//! A message of a later term ends this one; what an earlier term sends is answered with this one or
//! forgotten. A leader that does its work is not unseated by a replica that lost touch: who has just heard
//! from it, or is it, drops the request for an election unless the leader itself has asked for that.

use super::candidate::{Candidate, Stage};
use super::core::After;
use super::follower::{Follower, may_vote};
use super::leader::{Fate, Leader};
use super::quorum::Election;
use super::{DropReason, Group, RaftEvent, Role, snapshot};
use crate::bugs::{Bug, planted};
use crate::id::{Replica, Term};
use crate::message::raft::{EntryId, RaftBody, RaftMessage};
use crate::time::{Micros, Mono};

/// How far ahead of its own a term may be that a replica believes in: no sequence of elections in its
/// absence goes further.
const TERM_LEAP_MAX: u64 = 1 << 32;

/// For how many election timeouts a replica rests that was told that it has left the group.
const REST: u64 = 10;

impl Group {
    /// Why a message is not even looked at.
    pub(super) fn objection(&self, from: Replica, message: &RaftMessage) -> Option<DropReason> {
        if message.to != self.core.me.incarnation || message.group != self.core.group {
            Some(DropReason::Misdirected)
        } else if self.core.term.0.saturating_add(TERM_LEAP_MAX) < message.term.0 {
            Some(DropReason::FutureTerm)
        } else if from == self.core.me {
            Some(DropReason::Impostor)
        } else if self.contradicts(from, message) {
            Some(DropReason::Nonsense)
        } else {
            None
        }
    }

    /// Whether nobody who goes by the protocol sends this.
    fn contradicts(&self, from: Replica, message: &RaftMessage) -> bool {
        match &message.body {
            // Who stands has no entry of the term that it stands in.
            RaftBody::PreVote { last } | RaftBody::Vote { last, .. } => message.term <= last.term,
            // Only the leader of a term names its successor.
            RaftBody::TimeoutNow => {
                let leader = self.core.leader.filter(|_| message.term == self.core.term);
                leader.is_some_and(|leader| leader != from)
            }
            _ => false,
        }
    }

    /// A message of an earlier term: who asks or leads in one is told of this one.
    pub(super) fn on_stale(&mut self, from: Replica, body: &RaftBody) {
        match body {
            RaftBody::Vote { .. } => {
                self.core.send(from, After::State, RaftBody::VoteReply { granted: false });
            }
            RaftBody::Append { .. }
            | RaftBody::Heartbeat { .. }
            | RaftBody::Commit { .. }
            | RaftBody::Offer(_)
            | RaftBody::Chunk { .. } => self.core.send(from, After::State, RaftBody::Stale),
            _ => {} // Answers to questions of a term that is over.
        }
    }

    /// A later term has begun somewhere.
    pub(super) fn follow_term(&mut self, now: Mono, term: Term) {
        self.core.enter(term, None);
        self.follow(now, None);
    }

    /// Leads no longer, and stands for nothing.
    pub(super) fn follow(&mut self, now: Mono, leader: Option<Replica>) {
        let follower = match &mut self.role {
            Role::Leader(leader) => {
                leader.drop_reads(&mut self.core);
                self.core.event(RaftEvent::SteppedDown { term: self.core.term });
                Follower::default()
            }
            Role::Candidate(_) => Follower::default(),
            Role::Follower(follower) => {
                follower.give_up_reads(&mut self.core);
                Follower::default()
            }
        };
        self.role = Role::Follower(follower);
        self.core.leader = leader;
        self.core.draw_deadline(now);
    }

    /// A message of this term.
    pub(super) fn on_current(&mut self, now: Mono, from: Replica, body: RaftBody) {
        match body {
            RaftBody::Vote { last, .. } => self.on_vote_asked(now, from, last),
            RaftBody::VoteReply { granted } => {
                if let Role::Candidate(candidate) = &mut self.role
                    && candidate.stage == Stage::Standing
                {
                    candidate.on_vote(from, granted);
                }
            }
            RaftBody::Append { .. }
            | RaftBody::Heartbeat { .. }
            | RaftBody::Commit { .. }
            | RaftBody::Offer(_)
            | RaftBody::Chunk { .. } => self.on_leader(now, from, body),
            RaftBody::AppendReply(outcome) => {
                if let Role::Leader(leader) = &mut self.role
                    && leader.on_appended(&mut self.core, now, from, outcome) == Fate::StepsDown
                {
                    self.follow(now, None);
                }
            }
            RaftBody::HeartbeatReply { read } => {
                if let Role::Leader(leader) = &mut self.role {
                    leader.on_heartbeat_reply(&mut self.core, now, from, read);
                }
            }
            RaftBody::Have { snapshot, next } => {
                if let Role::Leader(leader) = &mut self.role {
                    leader.on_have(&mut self.core, now, from, (snapshot, next));
                }
            }
            RaftBody::Read { attempt } => {
                if let Role::Leader(leader) = &mut self.role {
                    leader.on_read(from, attempt);
                }
            }
            RaftBody::ReadReply { attempt, index } => {
                if let Role::Follower(follower) = &mut self.role
                    && self.core.leader == Some(from)
                {
                    follower.on_read_reply(&mut self.core, now, attempt, index);
                }
            }
            RaftBody::StateLost { applied } => {
                if let Role::Leader(leader) = &mut self.role {
                    leader.on_state_lost(&mut self.core, now, from, applied);
                }
            }
            RaftBody::TimeoutNow => {
                if !self.is_leader() && self.may_campaign() {
                    self.stand_for_election(now, true);
                }
            }
            // The first was seen to before; the others told a term, and no more.
            RaftBody::PreVote { .. }
            | RaftBody::PreVoteReply { .. }
            | RaftBody::Removed
            | RaftBody::Stale => {}
        }
    }

    /// A message that only the leader of this term sends.
    pub(super) fn on_leader(&mut self, now: Mono, from: Replica, body: RaftBody) {
        if self.is_leader() || self.core.leader.is_some_and(|leader| leader != from) {
            // There is one leader in a term: this is not a replica of this group.
            let reason = DropReason::Nonsense;
            self.core.event(RaftEvent::Dropped { from, reason });
            return;
        }
        if self.core.leader.is_none() {
            self.follow(now, Some(from));
            self.core.event(RaftEvent::Follows { leader: from, term: self.core.term });
        }
        self.core.heard = now;
        self.core.draw_deadline(now);
        let Role::Follower(follower) = &mut self.role else { return };
        let core = &mut self.core;
        match body {
            RaftBody::Append { prev, entries, commit } => {
                follower.on_append(core, from, prev, entries, commit);
            }
            RaftBody::Heartbeat { commit, read } => {
                follower.on_commit(core, from, commit);
                core.send(from, After::State, RaftBody::HeartbeatReply { read });
                if core.wants_state {
                    let applied = core.applied;
                    core.send(from, After::State, RaftBody::StateLost { applied });
                }
            }
            RaftBody::Commit { commit } => follower.on_commit(core, from, commit),
            RaftBody::Offer(manifest) => {
                snapshot::on_offer(core, from, *manifest);
            }
            RaftBody::Chunk { snapshot, number, bytes } => {
                snapshot::on_chunk(core, from, (snapshot, number), bytes);
            }
            _ => {}
        }
    }

    pub(super) fn on_vote_asked(&mut self, now: Mono, from: Replica, last: EntryId) {
        let granted = !self.is_leader() && may_vote(&self.core, from, self.core.term, last);
        if granted && self.core.vote.is_none() {
            self.core.enter(self.core.term, Some(from));
        }
        if granted {
            self.core.draw_deadline(now);
        }
        self.core.send(from, After::State, RaftBody::VoteReply { granted });
    }

    /// Somebody asks whether this replica would vote for it.
    pub(super) fn on_pre_vote(&mut self, now: Mono, from: Replica, term: Term, last: EntryId) {
        let (at, membership) = self.core.log.membership();
        let left = !membership.contains(from) && at <= self.core.commit;
        let led = self.is_leader() || self.core.follows_a_leader(now);
        if left && led {
            self.core.send(from, After::State, RaftBody::Removed);
            return;
        }
        let granted = !led && self.core.term <= term && may_vote(&self.core, from, term, last);
        let reply_in = if granted { term } else { self.core.term };
        let body = RaftBody::PreVoteReply { granted };
        self.core.send_in(reply_in, from, After::State, body);
    }

    /// Somebody would vote for this replica in this term.
    pub(super) fn on_promise(&mut self, now: Mono, from: Replica, term: Term) {
        if let Role::Candidate(candidate) = &mut self.role
            && candidate.stage == Stage::Asking
            && candidate.term(&self.core) == term
        {
            candidate.on_vote(from, true);
        }
        self.settle_role(now);
    }

    /// Somebody who follows a leader says that this replica has left the group. That may be long ago: it
    /// goes on asking, but seldom.
    pub(super) fn on_removed(&mut self, now: Mono) {
        if matches!(self.role, Role::Candidate(_)) {
            self.follow(now, None);
            let rest = self.core.limits.election_timeout.0.saturating_mul(REST);
            self.core.deadline = now + Micros(rest);
            self.core.event(RaftEvent::Removed);
        }
    }

    pub(super) fn may_campaign(&self) -> bool {
        self.core.may_lead() && !self.core.stuck
    }

    pub(super) fn tick_election(&mut self, now: Mono) {
        if now < self.core.deadline {
            return;
        }
        self.core.draw_deadline(now);
        if !self.may_campaign() {
            return;
        }
        if planted(Bug::TermRaisedUnasked) {
            self.stand_for_election(now, false);
            return;
        }
        self.leave_follower();
        self.core.leader = None;
        self.core.event(RaftEvent::Asked { term: self.core.term.next() });
        self.role = Role::Candidate(Candidate::ask(&mut self.core));
    }

    pub(super) fn stand_for_election(&mut self, now: Mono, transfer: bool) {
        self.leave_follower();
        self.core.leader = None;
        self.core.draw_deadline(now);
        let candidate = Candidate::stand(&mut self.core, transfer);
        self.core.event(RaftEvent::Stood { term: self.core.term });
        self.role = Role::Candidate(candidate);
    }

    pub(super) fn leave_follower(&mut self) {
        if let Role::Follower(follower) = &mut self.role {
            follower.give_up_reads(&mut self.core);
        }
    }

    /// What became of an election.
    pub(super) fn settle_role(&mut self, now: Mono) {
        while let Role::Candidate(candidate) = &mut self.role {
            match (candidate.election(&self.core), candidate.stage) {
                (Election::Open, _) => return,
                (Election::Lost, _) => self.follow(now, None),
                (Election::Won, Stage::Asking) => self.stand_for_election(now, false),
                (Election::Won, Stage::Standing) => {
                    self.core.event(RaftEvent::Elected { term: self.core.term });
                    self.core.leader = Some(self.core.me);
                    let leader = Leader::elected(&mut self.core, now);
                    self.role = Role::Leader(alloc::boxed::Box::new(leader));
                }
            }
        }
    }
}
