//! Leading: sending entries, counting who has them, and nothing that a majority did not agree to.
//!
//! The leader writes its own disk while the entries travel, and counts itself when its disk has them
//! (dissertation, 10.2.1). It commits only by an entry of its own term; those before come along (Raft
//! paper, 5.4.2 and figure 8). If it does not hear from a quorum for an election timeout, it steps down:
//! it may be the only one who thinks that it leads.

mod change;
mod reads;
mod replicate;

use alloc::collections::VecDeque;
use alloc::sync::Arc;

pub(super) use self::change::Change;
use self::reads::Reads;
use super::core::{After, Core};
use super::progress::Progress;
use super::quorum;
use super::{RaftEvent, TransferError};
use crate::bugs::{Bug, planted};
use crate::id::{Index, Replica};
use crate::message::raft::{Entry, Manifest, Payload, RaftBody};
use crate::ordered::Map;
use crate::time::Mono;

/// A replica that leads.
#[derive(Clone, Debug)]
pub(super) struct Leader {
    /// The others it sends to: all of the membership in force, and those who just left it.
    pub(super) peers: Map<Replica, Progress>,
    /// The first entry of its term: before that is committed, it knows neither what else is nor
    /// whether the membership in force is.
    first: Index,
    /// Entries of its term that are not committed yet, and their bytes.
    uncommitted: VecDeque<(Index, u64)>,
    uncommitted_bytes: u64,
    reads: Reads,
    /// To whom it hands leadership on, and until when it waits for that.
    transfer: Option<(Replica, Mono)>,
    change: Option<Change>,
    /// A state made for those who lack what was compacted.
    snapshot: Option<(u64, Arc<Manifest>)>,
    heartbeat_at: Mono,
    quorum_at: Mono,
}

/// What becomes of a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on.
    Leads,
    /// It no longer leads.
    StepsDown,
}

impl Leader {
    /// Begins its term with an entry of its own.
    pub(super) fn elected(core: &mut Core, now: Mono) -> Self {
        let first = core.log.last().index.next();
        let mut leader = Self {
            peers: Map::new(),
            first,
            uncommitted: VecDeque::new(),
            uncommitted_bytes: 0,
            reads: Reads::default(),
            transfer: None,
            change: None,
            snapshot: None,
            heartbeat_at: now + core.limits.heartbeat,
            quorum_at: now + core.limits.election_timeout,
        };
        for peer in core.log.membership().1.clone().replicas().filter(|peer| *peer != core.me) {
            leader.peers.insert(peer, Progress::new(first, now));
        }
        leader.append(core, now, Payload::Empty);
        leader
    }

    /// Adds an entry of its term.
    pub(super) fn append(&mut self, core: &mut Core, now: Mono, payload: Payload) -> Index {
        let index = core.append(payload).index;
        let bytes = core.log.get(index).map_or(0, Entry::bytes);
        self.uncommitted.push_back((index, bytes));
        self.uncommitted_bytes += bytes;
        if core.log.membership().0 == index {
            self.follow_membership(core, now);
        }
        index
    }

    /// Whether so many more bytes may wait for a commit. One entry always may.
    pub(super) fn has_room(&self, core: &Core, bytes: u64) -> bool {
        self.uncommitted.is_empty()
            || self.uncommitted_bytes + bytes <= core.limits.uncommitted_bytes_max
    }

    /// Whether what was committed before its term is known.
    pub(super) fn knows_commit(&self, core: &Core) -> bool {
        self.first <= core.commit
    }

    /// Whether it hands leadership on.
    pub(super) fn is_leaving(&self) -> bool {
        self.transfer.is_some()
    }

    /// Sends to everybody in the membership in force, and no longer to others, unless they do not know
    /// yet that they have left.
    fn follow_membership(&mut self, core: &Core, now: Mono) {
        let membership = core.log.membership().1;
        let next = core.log.last().index;
        for peer in membership.replicas().filter(|peer| *peer != core.me) {
            self.peers.entry(peer).or_insert_with(|| Progress::new(next, now));
        }
    }

    /// Up to which entry another replica has the log on disk, as far as this one has heard.
    pub(super) fn matched(&self, replica: Replica) -> Index {
        self.peers.get(&replica).map_or(Index(0), |progress| progress.matched)
    }

    /// Commits what a quorum has on disk.
    pub(super) fn count(&mut self, core: &mut Core, now: Mono) -> Fate {
        let own = core.log.durable();
        let has = |replica: Replica| {
            if replica == core.me { own } else { self.matched(replica) }
        };
        let reached = quorum::reached(core.membership(), has);
        let own = core.log.term(reached) == Some(core.term) || planted(Bug::OldTermCommitted);
        if reached <= core.commit || !own {
            return Fate::Leads;
        }
        // What on_commit sees to, it does once: with the entry of the membership in force, at the
        // earliest with the first of this term.
        let settled = core.log.membership().0.max(self.first) <= core.commit;
        core.commit_to(reached);
        while let Some((_, bytes)) = self.uncommitted.pop_front_if(|(index, _)| *index <= reached) {
            self.uncommitted_bytes -= bytes;
        }
        if settled { Fate::Leads } else { self.on_commit(core, now) }
    }

    /// A timer may have run out.
    pub(super) fn tick(&mut self, core: &mut Core, now: Mono) -> Fate {
        if self.transfer.take_if(|(_, until)| *until <= now).is_some() {
            core.event(RaftEvent::TransferFailed);
        }
        if self.quorum_at <= now {
            self.quorum_at = now + core.limits.election_timeout;
            let since = Mono(now.0.saturating_sub(core.limits.election_timeout.0));
            let heard = |replica: Replica| {
                replica == core.me
                    || self.peers.get(&replica).is_some_and(|progress| since <= progress.heard)
            };
            if !quorum::reached(core.membership(), heard) && !planted(Bug::LeaderWithoutQuorum) {
                return Fate::StepsDown;
            }
        }
        self.give_up_change(core, now);
        if self.heartbeat_at <= now {
            let last = core.log.last().index;
            self.peers.values_mut().for_each(|progress| progress.mark(last));
            self.beat(core, now);
        }
        Fate::Leads
    }

    /// When [`Self::tick`] has something to do.
    pub(super) fn next_deadline(&self) -> Mono {
        let transfer = self.transfer.map_or(self.quorum_at, |(_, until)| until);
        self.heartbeat_at.min(self.quorum_at).min(transfer)
    }

    /// Hands leadership on to a voter, once that has everything. Until then nothing new is taken in.
    pub(super) fn transfer(
        &mut self,
        core: &mut Core,
        now: Mono,
        to: Replica,
    ) -> Result<(), TransferError> {
        if to == core.me {
            return Ok(());
        }
        if !core.membership().voters.contains(&to) {
            return Err(TransferError::NotAVoter);
        }
        if self.transfer.is_some() || self.change.is_some() {
            return Err(TransferError::Busy);
        }
        self.transfer = Some((to, now + core.limits.election_timeout));
        self.hand_on(core, to);
        Ok(())
    }

    /// Tells the next leader to stand, if it has everything.
    fn hand_on(&mut self, core: &mut Core, to: Replica) {
        let complete = self.matched(to) == core.log.last().index;
        if complete || planted(Bug::SuccessorBehind) {
            core.send(to, After::Nothing, RaftBody::TimeoutNow);
        }
    }

    /// Tells everybody that it leads, and up to where they can apply.
    pub(super) fn beat(&mut self, core: &mut Core, now: Mono) {
        self.heartbeat_at = now + core.limits.heartbeat;
        let read = self.reads.round();
        for (peer, progress) in self.peers.iter_mut() {
            let commit = core.commit.min(progress.matched);
            progress.told = progress.told.max(commit);
            core.send(*peer, After::Nothing, RaftBody::Heartbeat { commit, read });
        }
    }
}
