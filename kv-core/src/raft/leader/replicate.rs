//! Sending entries, and what the answers mean.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Fate, Leader};
use crate::bugs::{Bug, planted};
use crate::id::{Index, Replica};
use crate::message::raft::{Appended, Entry, EntryId, Manifest, RaftBody};
use crate::raft::core::{After, Core};
use crate::raft::progress::{Flow, Progress};
use crate::raft::{DropReason, RaftEvent};
use crate::time::Mono;

impl Leader {
    /// Sends everybody what it may get: the end of a turn, so that all proposals of the turn travel in
    /// one message.
    pub(in crate::raft) fn send_all(&mut self, core: &mut Core, now: Mono) {
        // Since those it waits for have left, a round may be confirmed without another answer.
        self.confirm_reads(core, now);
        self.begin_reads(core, now);
        let mut wanted = false;
        for (&peer, progress) in self.peers.iter_mut() {
            while progress.next <= core.log.last().index
                && progress.may_send(core.limits.in_flight_max, core.limits.in_flight_bytes_max)
            {
                if !send_entries(core, peer, progress) {
                    progress.need_snapshot();
                    wanted = true;
                }
            }
            tell_commit(core, peer, progress);
        }
        if wanted {
            self.offer_snapshot(core);
        }
    }

    /// A replica answered [`RaftBody::Append`].
    pub(in crate::raft) fn on_appended(
        &mut self,
        core: &mut Core,
        now: Mono,
        from: Replica,
        outcome: Appended,
    ) -> Fate {
        let Some(progress) = self.peers.get_mut(&from) else { return Fate::Leads };
        progress.heard = now;
        match outcome {
            Appended::UpTo(matched) => {
                if core.log.last().index < matched {
                    // Nobody has more of this log than its leader.
                    core.event(RaftEvent::Dropped { from, reason: DropReason::Nonsense });
                    return Fate::Leads;
                }
                let news = progress.advance(matched);
                let connects = core.log.base().index <= matched;
                match &progress.flow {
                    Flow::Probe { .. } => progress.replicate(),
                    Flow::Snapshot(_) if connects => progress.replicate(),
                    Flow::Snapshot(_) | Flow::Replicate(_) => {}
                }
                if news {
                    return self.on_news(core, now, from, matched);
                }
            }
            Appended::Missing { prev, hint } => {
                // Skip whole terms that this log does not have (Raft paper, end of 5.3).
                let hint = core.log.may_agree(hint).index;
                progress.reject(prev, hint);
            }
        }
        Fate::Leads
    }

    fn on_news(&mut self, core: &mut Core, now: Mono, from: Replica, matched: Index) -> Fate {
        // Confirming what is committed commits no more.
        let fate = if core.commit < matched { self.count(core, now) } else { Fate::Leads };
        if fate == Fate::Leads {
            self.on_caught_up(core, now);
        }
        if let Some((to, _)) = self.transfer
            && to == from
        {
            self.hand_on(core, to);
        }
        fate
    }

    /// A replica answered a heartbeat.
    pub(in crate::raft) fn on_heartbeat_reply(
        &mut self,
        core: &mut Core,
        now: Mono,
        from: Replica,
        read: u64,
    ) {
        let Some(progress) = self.peers.get_mut(&from) else { return };
        if self.reads.round() < read {
            // It would vouch for reads that are not asked yet.
            core.event(RaftEvent::Dropped { from, reason: DropReason::Nonsense });
            return;
        }
        progress.heard = now;
        let read = if planted(Bug::LateAnswerConfirmsRead) { self.reads.round() } else { read };
        progress.read = progress.read.max(read);
        if !progress.resume() {
            self.confirm_reads(core, now);
            return;
        }
        match &progress.flow {
            Flow::Snapshot(transfer) => match &transfer.manifest {
                Some((_, manifest))
                    if core.log.base().index <= manifest.last.index
                        || planted(Bug::OutgrownStateOffered) =>
                {
                    let body = RaftBody::Offer(Box::new((**manifest).clone()));
                    core.send(from, After::Nothing, body);
                }
                // There is none yet, or no entry here follows on it any more.
                Some(_) | None => {
                    progress.need_snapshot();
                    self.offer_snapshot(core);
                }
            },
            Flow::Probe { .. } | Flow::Replicate(_) => {
                if !send_entries(core, from, progress) {
                    progress.need_snapshot();
                    self.offer_snapshot(core);
                }
            }
        }
        self.confirm_reads(core, now);
    }

    /// A replica has its log, and cannot read all of the state that its log led to.
    pub(in crate::raft) fn on_state_lost(
        &mut self,
        core: &mut Core,
        now: Mono,
        from: Replica,
        applied: Index,
    ) {
        let Some(progress) = self.peers.get_mut(&from) else { return };
        progress.heard = now;
        let old = |manifest: &Manifest| manifest.last.index < applied;
        if let Flow::Snapshot(transfer) = &progress.flow
            && transfer.manifest.as_ref().is_none_or(|(_, manifest)| !old(manifest))
        {
            return; // It is on its way, or being made.
        }
        progress.need_snapshot();
        if self.snapshot.take_if(|(_, manifest)| old(manifest)).is_some() {
            // Whoever is sent the old one will not get the rest of it.
            let waits = |progress: &&mut Progress| matches!(progress.flow, Flow::Snapshot(_));
            self.peers.values_mut().filter(waits).for_each(Progress::need_snapshot);
        }
        self.offer_snapshot(core);
    }

    /// Offers the state to those who wait for one; if it is too old, a new one is asked for.
    fn offer_snapshot(&mut self, core: &mut Core) {
        let base = core.log.base().index;
        let usable = self.snapshot.as_ref().filter(|(_, manifest)| base <= manifest.last.index);
        let Some((id, manifest)) = usable else {
            core.out.snapshot_wanted = true;
            return;
        };
        for (peer, progress) in self.peers.iter_mut() {
            if let Flow::Snapshot(transfer) = &mut progress.flow
                && transfer.manifest.is_none()
            {
                transfer.manifest = Some((*id, Arc::clone(manifest)));
                let body = RaftBody::Offer(Box::new((**manifest).clone()));
                core.send(*peer, After::Nothing, body);
            }
        }
    }

    /// The state machine has made a state.
    pub(in crate::raft) fn on_snapshot(&mut self, core: &mut Core, manifest: Manifest) {
        self.snapshot = Some((manifest.id(), Arc::new(manifest)));
        self.offer_snapshot(core);
    }

    /// A replica has the first chunks of a state.
    pub(in crate::raft) fn on_have(
        &mut self,
        core: &mut Core,
        now: Mono,
        from: Replica,
        (snapshot, have): (u64, u32),
    ) {
        let Some(progress) = self.peers.get_mut(&from) else { return };
        progress.heard = now;
        let Flow::Snapshot(transfer) = &mut progress.flow else { return };
        let Some((id, manifest)) = &transfer.manifest else { return };
        let count = manifest.chunks.len() as u32;
        if *id != snapshot || count < have {
            return;
        }
        transfer.acked = transfer.acked.max(have);
        transfer.next = transfer.next.max(have);
        let end = count.min(transfer.acked.saturating_add(core.limits.chunks_in_flight));
        while transfer.next < end {
            core.out.chunks.push_back((from, snapshot, transfer.next));
            transfer.next += 1;
        }
    }

    /// A chunk that was asked for.
    pub(in crate::raft) fn send_chunk(
        &self,
        core: &mut Core,
        to: Replica,
        (snapshot, number): (u64, u32),
        bytes: Bytes,
    ) {
        if self.peers.contains_key(&to) {
            core.send(to, After::Nothing, RaftBody::Chunk { snapshot, number, bytes });
        }
    }

    /// The state is no longer needed, unless somebody is being sent it.
    pub(in crate::raft) fn drop_idle_snapshot(&mut self) -> bool {
        let waits = |progress: &Progress| matches!(progress.flow, Flow::Snapshot(_));
        let idle = !self.peers.values().any(waits);
        if idle {
            self.snapshot = None;
        }
        idle
    }

    /// Up to where entries are not needed by anybody who is still being sent entries.
    pub(in crate::raft) fn needed_after(&self, core: &Core, now: Mono) -> Index {
        let since = Mono(now.0.saturating_sub(core.limits.election_timeout.0));
        let needs =
            self.peers.values().filter(|progress| since <= progress.heard).map(|progress| {
                match &progress.flow {
                    Flow::Snapshot(transfer) => match &transfer.manifest {
                        Some((_, manifest)) => manifest.last.index,
                        None => core.log.base().index,
                    },
                    Flow::Probe { .. } | Flow::Replicate(_) => progress.matched,
                }
            });
        needs.min().unwrap_or_else(|| core.log.last().index)
    }
}

/// Sends the next entries, or none to try the place. Returns false if the entry before them was
/// compacted.
fn send_entries(core: &mut Core, peer: Replica, progress: &mut Progress) -> bool {
    let before = progress.next.previous();
    let Some(term) = core.log.term(before) else { return false };
    let prev = EntryId { term, index: before };
    let (mut count, mut bytes) = (0, 0);
    if progress.may_send(core.limits.in_flight_max, core.limits.in_flight_bytes_max) {
        for entry in core.log.from(progress.next) {
            if 0 < count && core.limits.append_bytes_max < bytes + entry.bytes() {
                break;
            }
            bytes += entry.bytes();
            count += 1;
        }
    }
    let entries: Vec<Entry> = core.log.from(progress.next).take(count).cloned().collect();
    let last = entries.last().map_or(before, |entry| entry.id.index);
    progress.told = progress.told.max(core.commit.min(last));
    progress.sent(last, bytes);
    core.send(peer, After::Nothing, RaftBody::Append { prev, entries, commit: core.commit });
    true
}

/// Tells a replica up to where it can apply, if no entries will.
fn tell_commit(core: &mut Core, peer: Replica, progress: &mut Progress) {
    let commit = core.commit.min(progress.matched);
    if progress.told < commit && !progress.is_waiting() {
        progress.told = commit;
        core.send(peer, After::Nothing, RaftBody::Commit { commit });
    }
}
