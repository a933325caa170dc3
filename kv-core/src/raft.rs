//! Consensus: one Raft group on one replica. It knows nothing of keys, sockets or files.
//!
//! A [`Group`] is a value. Its owner feeds it messages, proposals and the time, then ends the turn:
//!
//! ```text
//! step, propose, read, change, transfer, tick      any number of them, then
//! settle                                           entries of the turn travel together
//! write ─▶ (owner's batch, owner's log) ─▶ written what must reach the disk, and where it stands now
//! next_message, next_read, next_event …            what to do; a message names the position to wait for
//! synced                                           the owner's log is durable up to there
//! next_committed                                   entries for the state machine, each once, in order
//! ```
//!
//! What must be on disk before which message leaves:
//!
//! | message | on the sender's disk before |
//! | --- | --- |
//! | request for a vote | its term, its own vote, all entries it boasts of |
//! | vote, or refusal | term and vote |
//! | own vote counted | the same |
//! | entries of a leader | nothing of them: its disk works while they travel |
//! | leader counted for a commit | its entries |
//! | confirmation of entries or of a state | term, and all of the log |
//! | heartbeats, their answers, reads | the term |
//! | an entry given to the state machine | the entry |
//!
//! After Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014), and Ongaro's
//! dissertation. Chosen here: a question before each election (9.6), check-quorum, reads without log
//! writes in numbered rounds (6.4), membership by joint consensus in force on append (4.3), states in
//! chunks named by their content. A replica whose log was found damaged is not opened at all by its
//! store, so it does not vote. Left out: leases, quiescence, states from several sources at once.

mod candidate;
mod core;
mod follower;
pub mod groups;
mod leader;
pub mod log;
mod persist;
mod progress;
mod quorum;
mod routing;
mod snapshot;
mod view;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use self::candidate::{Candidate, Stage};
use self::core::{After, Core, Outgoing, Unwritten};
use self::follower::Follower;
use self::leader::{Fate, Leader};
use self::log::Log;
pub use self::persist::{Kept, OpenError, Opened, group_of_key, key_words};
pub use self::view::{GroupView, PeerView, RoleView};
use crate::bugs::{Bug, planted};
pub use crate::event::raft::{DropReason, RaftEvent};
use crate::id::{GroupId, Index, LogPosition, Replica, Term};
use crate::message::raft::{Entry, EntryId, Manifest, Membership, Payload, RaftBody, RaftMessage};
use crate::ordered::{Map, Set};
use crate::rng::Rng;
use crate::time::{Micros, Mono};

/// A read that was asked of a group, numbered by whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadId(pub u64);

/// The times and bounds a group goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// After how long without a leader a replica stands for election, at least; at most twice that.
    /// A leader that does not hear from a quorum for so long steps down. More than five heartbeats.
    pub election_timeout: Micros,
    /// The time from one heartbeat of a leader to the next.
    pub heartbeat: Micros,
    /// The most bytes of entries in one message; one entry may be longer.
    pub append_bytes_max: u64,
    /// The most messages with entries on their way to one replica.
    pub in_flight_max: usize,
    /// The most bytes of entries on their way to one replica; one message may exceed it.
    pub in_flight_bytes_max: u64,
    /// The most bytes of entries that wait to be committed; one entry may exceed it.
    pub uncommitted_bytes_max: u64,
    /// The longest command.
    pub command_bytes_max: u64,
    /// The most chunks of a state on their way to one replica.
    pub chunks_in_flight: u32,
    /// From how many bytes of entries on the log is compacted.
    pub log_bytes_max: u64,
    /// How many applied entries stay for replicas that are a little behind.
    pub trailing_entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            election_timeout: Micros::from_millis(1_000),
            heartbeat: Micros::from_millis(100),
            append_bytes_max: 256 << 10,
            in_flight_max: 16,
            in_flight_bytes_max: 4 << 20,
            uncommitted_bytes_max: 64 << 20,
            command_bytes_max: 9 << 20,
            chunks_in_flight: 4,
            log_bytes_max: 16 << 20,
            trailing_entries: 5_000,
        }
    }
}

/// Why a proposal was not taken. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposeError {
    /// This replica does not lead; ask that one, if there is one.
    NotLeader(Option<Replica>),
    /// The command is longer than a group takes.
    TooLarge,
    /// As much waits to be committed as is allowed, or leadership is being handed on. Try again shortly.
    Busy,
    /// The disk does not take what there is already.
    Stuck,
}

/// Why a read got no index. Ask again, perhaps elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// Nobody is known to lead, or whoever was asked no longer does.
    NoLeader,
    /// The leader did not answer in time.
    Unanswered,
    /// Too many reads wait.
    Busy,
}

/// Why a change of the membership was not begun. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// This replica does not lead; ask that one, if there is one.
    NotLeader(Option<Replica>),
    /// Nobody would be left to vote, or somebody would both vote and learn.
    NoVoter,
    /// The leader was elected just now and does not know yet what is committed. Try again shortly.
    TooEarly,
    /// Another change, or a transfer of leadership, is under way. Try again when it is done.
    Busy,
}

/// Why leadership is not handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferError {
    /// This replica does not lead; ask that one, if there is one.
    NotLeader(Option<Replica>),
    /// The successor has no vote.
    NotAVoter,
    /// A change, or another transfer, is under way.
    Busy,
}

/// One group on one replica.
#[derive(Clone, Debug)]
pub struct Group {
    core: Core,
    role: Role,
}

#[derive(Clone, Debug)]
enum Role {
    Follower(Follower),
    Candidate(Candidate),
    Leader(alloc::boxed::Box<Leader>),
}

impl Group {
    /// A replica as its disk remembers it. What was read back may never have been synced: none of it
    /// counts as durable until [`Self::synced`] reports the position at which it was opened. The seed
    /// must differ from that of every opening before.
    #[must_use]
    pub fn open(opened: Opened, limits: Limits, seed: u64, now: Mono) -> Self {
        let mut rng = Rng::stream(seed, opened.group.0);
        // Half of the numbers, so that they never begin anew and stay in the order of the questions.
        let attempts = if planted(Bug::QuestionsRestart) { 0 } else { rng.any() >> 1 };
        let mut core = Core {
            group: opened.group,
            me: opened.me,
            limits,
            rng,
            term: opened.term,
            vote: opened.vote,
            commit: opened.log.base().index,
            applied: opened.log.base().index,
            log: opened.log,
            leader: None,
            heard: now,
            deadline: now,
            reads: VecDeque::new(),
            attempts,
            incoming: opened.incoming,
            keeps_chunks: opened.installed.is_some(),
            wants_state: false,
            unwritten: Unwritten::default(),
            stuck: false,
            state_at: opened.at,
            log_at: opened.at,
            durable: LogPosition::START,
            out: Outgoing::default(),
        };
        core.draw_deadline(now);
        if core.membership().is_sole_voter(core.me) {
            core.deadline = now; // Nobody else could lead.
        }
        core.out.installed = opened.installed;
        core.unwritten.base = opened.is_new;
        core.unwritten.forget = opened.has_old_chunks;
        Self { core, role: Role::Follower(Follower::default()) }
    }

    /// Tells how much of the log the state machine had applied when it was opened, and that so much is
    /// committed. Entries behind it follow.
    pub fn resume_at(&mut self, applied: Index) {
        let applied = applied.min(self.core.log.last().index);
        self.core.log.vouch(applied);
        self.core.commit = self.core.commit.max(applied);
        self.core.applied = self.core.applied.max(applied);
    }

    /// A message of another replica.
    pub fn step(&mut self, now: Mono, from: Replica, message: RaftMessage) {
        if self.core.stuck {
            return; // What it would promise cannot be written; the sender will ask again.
        }
        if let Some(reason) = self.objection(from, &message) {
            self.core.event(RaftEvent::Dropped { from, reason });
            return;
        }
        let RaftMessage { term, body, .. } = message;
        match body {
            RaftBody::PreVote { last } => return self.on_pre_vote(now, from, term, last),
            RaftBody::PreVoteReply { granted: true } => return self.on_promise(now, from, term),
            RaftBody::Removed => return self.on_removed(now),
            _ => {}
        }
        let counts = planted(Bug::OldConfirmationCounts)
            && self.is_leader()
            && matches!(body, RaftBody::AppendReply(_));
        if term < self.core.term && !counts {
            self.on_stale(from, &body);
            return;
        }
        if self.core.term < term {
            if let RaftBody::Vote { transfer: false, .. } = body
                && (self.core.follows_a_leader(now) || self.is_leader())
            {
                // Else a replica that lost touch could unseat a leader that does its work.
                let reason = DropReason::LeaderIsThere;
                self.core.event(RaftEvent::Dropped { from, reason });
                return;
            }
            self.follow_term(now, term);
        }
        self.on_current(now, from, body);
        self.settle_role(now);
    }

    /// Something for the log. It is done when [`Self::next_committed`] shows it under this name; if
    /// that shows another entry of the same index, it will never be.
    pub fn propose(&mut self, now: Mono, command: Bytes) -> Result<EntryId, ProposeError> {
        let Role::Leader(leader) = &mut self.role else {
            return Err(ProposeError::NotLeader(self.core.leader));
        };
        let bytes = command.len() as u64;
        if self.core.limits.command_bytes_max < bytes {
            return Err(ProposeError::TooLarge);
        }
        if self.core.stuck {
            return Err(ProposeError::Stuck);
        }
        if leader.is_leaving() || !leader.has_room(&self.core, bytes) {
            return Err(ProposeError::Busy);
        }
        let index = leader.append(&mut self.core, now, Payload::Command(command));
        Ok(EntryId { term: self.core.term, index })
    }

    /// Asks for a linearizable read: once [`Self::next_read`] shows the id with an index, the state
    /// machine has applied everything that was acknowledged before the question.
    pub fn read(&mut self, now: Mono, id: ReadId) {
        match &mut self.role {
            Role::Leader(leader) => leader.read(&mut self.core, id),
            Role::Follower(follower) => follower.read(&mut self.core, now, id),
            Role::Candidate(_) => self.core.out.reads.push_back((id, Err(ReadError::NoLeader))),
        }
    }

    /// Begins a change to these voters and learners, on the leader. [`RaftEvent::Changed`] tells that it
    /// is done.
    pub fn change(
        &mut self,
        now: Mono,
        voters: Set<Replica>,
        learners: Set<Replica>,
    ) -> Result<(), ChangeError> {
        let Role::Leader(leader) = &mut self.role else {
            return Err(ChangeError::NotLeader(self.core.leader));
        };
        leader.change(&mut self.core, now, voters, learners)
    }

    /// Begins to hand leadership on.
    pub fn transfer(&mut self, now: Mono, to: Replica) -> Result<(), TransferError> {
        let Role::Leader(leader) = &mut self.role else {
            return Err(TransferError::NotLeader(self.core.leader));
        };
        leader.transfer(&mut self.core, now, to)
    }

    /// Stands for election now, whatever the clock says: somebody has said so, or the group is new.
    pub fn campaign(&mut self, now: Mono) {
        if !self.is_leader() && self.may_campaign() {
            self.stand_for_election(now, false);
            self.settle_role(now);
        }
    }

    /// A timer may have run out.
    pub fn tick(&mut self, now: Mono) {
        self.core.give_up_waiting_reads(now);
        match &mut self.role {
            Role::Leader(leader) => {
                if leader.tick(&mut self.core, now) == Fate::StepsDown {
                    self.follow(now, None);
                }
            }
            Role::Follower(follower) => {
                follower.give_up_old_reads(&mut self.core, now);
                self.tick_election(now);
            }
            Role::Candidate(_) => self.tick_election(now),
        }
        self.settle_role(now);
    }

    /// When [`Self::tick`] has something to do, if ever.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let election = self.may_campaign().then_some(self.core.deadline);
        let (role, asked) = match &self.role {
            Role::Leader(leader) => (Some(leader.next_deadline()), None),
            Role::Candidate(_) => (election, None),
            Role::Follower(follower) => (election, follower.next_read_deadline(&self.core)),
        };
        role.into_iter().chain(asked).chain(self.core.next_read_deadline()).min()
    }

    /// Ends a turn: what it brought is sent.
    pub fn settle(&mut self, now: Mono) {
        if let Role::Leader(leader) = &mut self.role {
            leader.send_all(&mut self.core, now);
        }
    }

    /// The owner's log is durable up to here.
    pub fn synced(&mut self, now: Mono, upto: LogPosition) {
        self.core.durable = self.core.durable.max(upto);
        self.core.log.synced(upto);
        if let Role::Leader(leader) = &mut self.role
            && leader.count(&mut self.core, now) == Fate::StepsDown
        {
            self.follow(now, None);
        }
        self.settle_role(now);
    }

    /// The owner's disk does not take what there is. Leading makes no sense then; what was to be
    /// written stays, and the owner tries again.
    pub fn refused(&mut self, now: Mono) {
        self.core.stuck = true;
        if self.is_leader() {
            self.follow(now, None);
        }
    }

    /// The next entry for the state machine: committed, on disk, and not shown before.
    pub fn next_committed(&mut self) -> Option<Entry> {
        let waits = self.core.wants_state || self.core.out.installed.is_some();
        if waits || self.core.applicable() <= self.core.applied {
            return None;
        }
        let entry = self.core.log.get(self.core.applied.next())?.clone();
        self.core.applied = entry.id.index;
        self.core.release_reads();
        Some(entry)
    }

    /// The next message to send, with the position up to which the owner's log must be durable first.
    pub fn next_message(&mut self) -> Option<(Replica, LogPosition, RaftMessage)> {
        let unwritten = !self.core.unwritten.is_empty();
        let (_, after, _) = self.core.out.messages.front()?;
        let at = match after {
            After::Nothing => LogPosition::START,
            // It depends on what could not be written yet.
            After::State | After::Log if unwritten => return None,
            After::State => self.core.state_at,
            After::Log => self.core.log_at,
        };
        let (to, _, message) = self.core.out.messages.pop_front()?;
        Some((to, at, message))
    }

    /// The next read that can be served, or cannot be.
    pub fn next_read(&mut self) -> Option<(ReadId, Result<Index, ReadError>)> {
        if self.core.out.installed.is_some() {
            return None; // It may be served from that state only.
        }
        self.core.out.reads.pop_front()
    }

    /// The next thing that happened.
    pub fn next_event(&mut self) -> Option<RaftEvent> {
        self.core.out.events.pop_front()
    }

    /// A chunk that somebody needs: for whom, of which state, which. Answer with [`Self::send_chunk`].
    pub fn next_chunk(&mut self) -> Option<(Replica, u64, u32)> {
        self.core.out.chunks.pop_front()
    }

    /// Whether a state is to be made, or a chunk of one to be sent.
    #[must_use]
    pub fn needs_state(&self) -> bool {
        self.core.out.snapshot_wanted || !self.core.out.chunks.is_empty()
    }

    /// Sends a chunk of a state.
    pub fn send_chunk(&mut self, to: Replica, snapshot: u64, number: u32, bytes: Bytes) {
        if let Role::Leader(leader) = &self.role {
            leader.send_chunk(&mut self.core, to, (snapshot, number), bytes);
        }
    }

    /// Whether the state machine is to make a state as of what it has applied; answer with
    /// [`Self::snapshot_made`].
    pub fn take_snapshot_wanted(&mut self) -> bool {
        ::core::mem::take(&mut self.core.out.snapshot_wanted)
    }

    /// The chunks of a state as of an applied entry, made by this replica's state machine, by their
    /// hashes. Keep them until [`Self::drop_idle_snapshot`] says that nobody needs them.
    pub fn snapshot_made(&mut self, index: Index, chunks: Vec<u64>) -> Option<Manifest> {
        let Role::Leader(leader) = &mut self.role else { return None };
        let term = self.core.log.term(index)?;
        let (at, membership) = self.core.log.membership_at(index);
        let manifest = Manifest {
            last: EntryId { term, index },
            membership: (**membership).clone(),
            membership_at: at,
            chunks,
        };
        leader.on_snapshot(&mut self.core, manifest.clone());
        Some(manifest)
    }

    /// Whether nobody needs a state made before; then it is forgotten.
    pub fn drop_idle_snapshot(&mut self) -> bool {
        match &mut self.role {
            Role::Leader(leader) => leader.drop_idle_snapshot(),
            Role::Follower(_) | Role::Candidate(_) => true,
        }
    }

    /// A state that took the place of the log. The state machine begins with it, then calls
    /// [`Self::installed`]; entries follow. The chunks are in the owner's store until
    /// [`Self::forget_chunks`].
    #[must_use]
    pub fn to_install(&self) -> Option<&Manifest> {
        // Parts of it may not be there before they are written.
        self.core.out.installed.as_ref().filter(|_| self.core.unwritten.is_empty())
    }

    /// The state machine has begun with what was received.
    pub fn installed(&mut self) {
        self.core.out.installed = None;
    }

    /// The state machine cannot read all that it has, or all that was received. It gets no more entries; the
    /// leader is asked for its state, which will be shown by [`Self::to_install`]. The log stays as it is,
    /// for others count on it. A state that was received and not installed is given up.
    pub fn want_state(&mut self) {
        self.core.wants_state = true;
        if self.core.out.installed.take().is_some() {
            // Its chunks make room for those of the next.
            self.core.keeps_chunks = false;
        }
    }

    /// The state machine has durably what was received.
    pub fn forget_chunks(&mut self) {
        self.core.unwritten.forget |= self.core.keeps_chunks;
        self.core.keeps_chunks = false;
    }

    /// Compacts the log if it is long: of the entries that the state machine has durably applied, up to
    /// `durable`, some stay for replicas that are a little behind.
    pub fn compact(&mut self, now: Mono, durable: Index) {
        let core = &mut self.core;
        if core.log.bytes() < core.limits.log_bytes_max {
            return;
        }
        let trailing = core.limits.trailing_entries;
        let mut upto = Index(durable.0.min(core.applied.0).saturating_sub(trailing));
        if let Role::Leader(leader) = &self.role
            && core.log.bytes() < core.limits.log_bytes_max.saturating_mul(4)
        {
            upto = upto.min(leader.needed_after(core, now));
        }
        self.compact_to(upto);
    }

    /// Lets go of all entries up to this one, which the state machine has durably applied.
    pub fn compact_to(&mut self, upto: Index) {
        let core = &mut self.core;
        // Who was told the log from its beginning does not know the founders; what it makes of its log
        // for others must name members.
        let names_members = core.log.membership_at(upto).1.is_sound();
        let has = core.log.base().index < upto && upto <= core.applicable().min(core.applied);
        if has && names_members {
            core.log.compact(upto);
            core.unwritten.base = true;
            if core.incoming.as_ref().is_some_and(|incoming| incoming.ends_by(upto)) {
                core.forget_incoming();
            }
        }
    }

    /// Whether the log is long enough to be compacted.
    #[must_use]
    pub fn log_is_long(&self) -> bool {
        self.core.limits.log_bytes_max <= self.core.log.bytes()
    }

    /// Whether the chunks of a state that was received are still kept; see [`Self::forget_chunks`].
    #[must_use]
    pub fn keeps_chunks(&self) -> bool {
        self.core.keeps_chunks
    }

    /// Asks once more for a state that could not be made just now.
    pub fn want_snapshot_again(&mut self) {
        self.core.out.snapshot_wanted = true;
    }

    /// Whether this replica has left the group: it has nothing to do there, whatever else happens.
    #[must_use]
    pub fn has_left(&self) -> bool {
        let (at, membership) = self.core.log.membership();
        !self.is_leader() && !membership.contains(self.core.me) && at <= self.core.commit
    }

    /// Up to where entries were given to the state machine.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.core.applied
    }

    /// This replica.
    #[must_use]
    pub fn me(&self) -> Replica {
        self.core.me
    }

    /// Goes by these times and bounds from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.core.limits = limits;
    }

    /// Whether something that was written is not known to be durable.
    #[must_use]
    pub fn is_unsynced(&self) -> bool {
        self.core.durable < self.core.log_at
    }

    /// Whether this replica leads, as far as it knows.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Who leads, as far as this replica knows.
    #[must_use]
    pub fn leader(&self) -> Option<Replica> {
        self.core.leader
    }

    /// Its term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.core.term
    }

    /// Its number among the groups of the cluster.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.core.group
    }

    /// Up to which entry another replica has the log on disk, as far as the leader has heard. Nobody else
    /// knows.
    #[must_use]
    pub fn matched(&self, replica: Replica) -> Index {
        match &self.role {
            Role::Leader(leader) => leader.matched(replica),
            _ => Index(0),
        }
    }

    /// The membership in force.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.core.membership()
    }

    /// The membership in force if it is there to stay: committed, as far as this replica knows.
    #[must_use]
    pub fn settled_membership(&self) -> Option<&Arc<Membership>> {
        let (at, membership) = self.core.log.membership();
        (at <= self.core.commit).then_some(membership)
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.core.log
    }

    /// How often each kind of event has happened.
    #[must_use]
    pub fn counters(&self) -> &Map<&'static str, u64> {
        &self.core.out.counters
    }
}
