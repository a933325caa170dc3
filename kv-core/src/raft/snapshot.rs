//! Receiving a state in place of entries that the leader no longer has.
//!
//! An offer names the state by the hashes of its chunks, so it does not matter who sends them, and a
//! transfer goes on where it stopped: after a lost message, a restart of the receiver or a new leader.
//! Each chunk is on disk before it is confirmed. With the last of them the log begins anew behind the
//! state, in the same write.
//!
//! A replica whose state machine cannot read its state takes one that is not older than what that has applied.
//! Its log has more, which others count on, so it is compacted up to the state and not begun anew.

use bytes::Bytes;

use super::core::{After, Core};
use super::{DropReason, RaftEvent};
use crate::bugs::{Bug, planted};
use crate::hash;
use crate::id::{Index, Replica, Term};
use crate::message::raft::{Appended, Manifest, RaftBody};

/// A state of which a part has arrived.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    id: u64,
    manifest: Manifest,
    /// The first chunk that is missing.
    next: u32,
    /// In which term it was last offered; zero if that was before a restart.
    offered: Term,
}

/// How many chunks a state may have: more than fit on any disk.
const CHUNKS_MAX: usize = 1 << 22;

impl Incoming {
    /// A state of which the first chunks are on disk.
    pub(super) fn new(manifest: Manifest, next: u32) -> Self {
        Self { id: manifest.id(), manifest, next, offered: Term(0) }
    }

    /// Whether it holds nothing behind this entry.
    pub(super) fn ends_by(&self, index: Index) -> bool {
        self.manifest.last.index <= index
    }

    fn is_complete(&self) -> bool {
        self.manifest.chunks.len() <= self.next as usize
    }
}

/// The leader offers a state.
pub(super) fn on_offer(core: &mut Core, from: Replica, manifest: Manifest) {
    let believable = manifest.last.term <= core.term
        && manifest.membership_at <= manifest.last.index
        && manifest.membership.is_sound()
        && manifest.chunks.len() <= CHUNKS_MAX;
    if !believable {
        core.event(RaftEvent::Dropped { from, reason: DropReason::Nonsense });
        return;
    }
    let upto = has(core, &manifest);
    if core.wants_state {
        if manifest.last.index < core.applied {
            return; // The leader makes a newer one when it is told again.
        }
    } else if let Some(upto) = upto {
        core.send(from, After::Log, RaftBody::AppendReply(Appended::UpTo(upto)));
        return;
    }
    if core.incoming.as_ref().is_some_and(|now| {
        now.offered == core.term && manifest.last.index < now.manifest.last.index
    }) {
        return; // A late offer: the same leader has made a newer one.
    }
    if core.keeps_chunks {
        return; // The state machine has not saved the last state yet. The offer will be repeated.
    }
    let offered = Incoming::new(manifest, 0);
    if core.incoming.as_ref().is_none_or(|now| now.id != offered.id) {
        core.unwritten.incoming = Some(offered.manifest.clone());
        core.unwritten.chunks.clear();
        core.incoming = Some(offered);
    }
    if let Some(now) = &mut core.incoming {
        now.offered = core.term;
    }
    go_on(core, from);
}

/// Up to where the log equals that of the leader, if it holds all of a state.
fn has(core: &mut Core, manifest: &Manifest) -> Option<Index> {
    if core.log.matches(manifest.last) {
        core.commit_to(manifest.last.index);
    }
    (manifest.last.index <= core.commit).then_some(core.commit)
}

/// A part of a state.
pub(super) fn on_chunk(core: &mut Core, from: Replica, part: (u64, u32), bytes: Bytes) {
    let (snapshot, number) = part;
    let Some(now) = core.incoming.as_mut().filter(|now| now.id == snapshot) else { return };
    if number == now.next {
        if now.manifest.chunks.get(number as usize) != Some(&hash::of(&bytes)) {
            core.event(RaftEvent::Dropped { from, reason: DropReason::Nonsense });
            return;
        }
        core.unwritten.chunks.push((number, bytes));
        now.next += 1;
    }
    go_on(core, from);
}

/// Asks for what is missing, or begins anew behind the state.
fn go_on(core: &mut Core, from: Replica) {
    let Some(now) = core.incoming.take_if(|now| now.is_complete()) else {
        if let Some(now) = &core.incoming {
            let body = RaftBody::Have { snapshot: now.id, next: now.next };
            core.send(from, After::Log, body);
        }
        return;
    };
    let manifest = now.manifest;
    let upto = has(core, &manifest);
    let wanted = core::mem::take(&mut core.wants_state);
    if let Some(upto) = upto.filter(|_| !wanted && !planted(Bug::StateOverCommitted)) {
        // Entries came meanwhile, and more than the state has may be committed.
        core.forget_incoming();
        core.send(from, After::Log, RaftBody::AppendReply(Appended::UpTo(upto)));
        return;
    }
    if wanted && core.log.matches(manifest.last) {
        core.log.compact(manifest.last.index);
    } else {
        core.log.restart(manifest.last, (manifest.membership_at, manifest.membership.clone()));
        core.unwritten.entries = None;
        core.unwritten.cut = !planted(Bug::StateKeepsEntries);
        core.commit = manifest.last.index;
    }
    core.unwritten.base = true;
    core.applied = manifest.last.index;
    core.release_reads();
    core.event(RaftEvent::Installed { last: manifest.last.index });
    core.send(from, After::Log, RaftBody::AppendReply(Appended::UpTo(manifest.last.index)));
    core.keeps_chunks = true;
    core.out.installed = Some(manifest);
}
