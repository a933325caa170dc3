//! Following: taking entries, giving votes, and asking the leader about reads.
//!
//! Appending is the one place where a log may be cut, and only at the first entry that contradicts the
//! leader's: a message that is late and short cuts nothing.

use alloc::vec::Vec;

use super::core::{After, Core};
use super::{DropReason, RaftEvent, ReadError, ReadId};
use crate::bugs::{Bug, planted};
use crate::id::{Index, Replica, Term};
use crate::message::raft::{Appended, Entry, EntryId, RaftBody};
use crate::ordered::Map;
use crate::time::Mono;

/// A replica that leads nobody and does not want to.
#[derive(Clone, Debug, Default)]
pub(super) struct Follower {
    /// Reads that were asked of the leader, by attempt, with the time of the question.
    asked: Map<u64, (ReadId, Mono)>,
    /// Up to here the log is known to equal that of the leader of this term.
    common: Index,
}

impl Follower {
    /// Entries of the leader of this term.
    pub(super) fn on_append(
        &mut self,
        core: &mut Core,
        from: Replica,
        prev: EntryId,
        entries: Vec<Entry>,
        commit: Index,
    ) {
        if !follows_on(core, prev, &entries) {
            core.event(RaftEvent::Dropped { from, reason: DropReason::Nonsense });
            return;
        }
        let last = entries.last().map_or(prev, |entry| entry.id);
        let outcome = if prev.index < core.commit {
            // A late message. What is committed is the same everywhere.
            Appended::UpTo(core.commit)
        } else if core.log.matches(prev) {
            take(core, entries);
            self.common = self.common.max(last.index);
            core.commit_to(commit.min(last.index).max(core.commit));
            Appended::UpTo(last.index)
        } else {
            Appended::Missing { prev: prev.index, hint: core.log.may_agree(prev) }
        };
        core.send(from, After::Log, RaftBody::AppendReply(outcome));
    }

    /// The leader says what is committed; never more than what this log has in common with its own.
    pub(super) fn on_commit(&mut self, core: &mut Core, from: Replica, commit: Index) {
        if core.log.last().index < commit {
            // It counts on entries that this replica has confirmed and does not have.
            core.event(RaftEvent::Dropped { from, reason: DropReason::Nonsense });
            return;
        }
        self.common = self.common.max(commit);
        core.commit_to(commit);
    }

    /// A client reads here: the leader is asked how much must be applied for that.
    pub(super) fn read(&mut self, core: &mut Core, now: Mono, id: ReadId) {
        let Some(leader) = core.leader else {
            core.out.reads.push_back((id, Err(ReadError::NoLeader)));
            return;
        };
        core.attempts += 1;
        let attempt = core.attempts;
        self.asked.insert(attempt, (id, now));
        core.send(leader, After::State, RaftBody::Read { attempt });
    }

    /// The leader answered.
    pub(super) fn on_read_reply(&mut self, core: &mut Core, now: Mono, attempt: u64, index: Index) {
        let Some((id, _)) = self.asked.remove(&attempt) else { return };
        core.await_applied(now, index, id);
        // The leader has committed this much, so what is the same here is committed too.
        core.commit_to(index.min(self.common));
    }

    /// Nobody will answer what was asked of the leader up to an election timeout ago.
    pub(super) fn give_up_old_reads(&mut self, core: &mut Core, now: Mono) {
        while let Some((_, (id, asked))) = self.asked.first_key_value()
            && *asked + core.limits.election_timeout <= now
        {
            let id = *id;
            self.asked.pop_first();
            core.out.reads.push_back((id, Err(ReadError::Unanswered)));
        }
    }

    /// Nobody will answer what was asked of the leader.
    pub(super) fn give_up_reads(&mut self, core: &mut Core) {
        for (id, _) in core::mem::take(&mut self.asked).into_values() {
            core.out.reads.push_back((id, Err(ReadError::Unanswered)));
        }
    }

    /// When the first question will have waited too long.
    pub(super) fn next_read_deadline(&self, core: &Core) -> Option<Mono> {
        let (_, (_, asked)) = self.asked.first_key_value()?;
        Some(*asked + core.limits.election_timeout)
    }
}

/// Whether this vote may be given, apart from a leader that is still there.
pub(super) fn may_vote(core: &Core, from: Replica, term: Term, last: EntryId) -> bool {
    let free = core.term < term
        || core.vote == Some(from)
        || (core.vote.is_none() && core.leader.is_none());
    let own = core.log.last();
    if planted(Bug::LongerLogIsNewer) {
        return free && own.index <= last.index;
    }
    free && own <= last
}

/// Whether entries can stand behind `prev` in a log of this term.
fn follows_on(core: &Core, prev: EntryId, entries: &[Entry]) -> bool {
    let mut before = prev;
    prev.term <= core.term
        && entries.iter().all(|entry| {
            let follows = before.index.0.checked_add(1) == Some(entry.id.index.0)
                && before.term <= entry.id.term
                && entry.id.term <= core.term
                && entry.id.index.0 < INDEX_MAX
                && entry.payload.is_sound();
            before = entry.id;
            follows
        })
}

/// No log lives to see so many entries; a message that speaks of one is broken.
const INDEX_MAX: u64 = 1 << 60;

/// Puts entries into the log that are not there, from the first that contradicts it.
fn take(core: &mut Core, entries: Vec<Entry>) {
    for entry in entries {
        if entry.id.index <= core.log.base().index || core.log.matches(entry.id) {
            if planted(Bug::MatchingSuffixCut) && core.commit < entry.id.index {
                core.cut(entry.id.index);
                core.push(entry);
            }
            continue;
        }
        if entry.id.index <= core.log.last().index {
            core.cut(entry.id.index);
        }
        core.push(entry);
    }
}
