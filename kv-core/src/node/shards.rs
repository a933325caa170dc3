//! The shards of the strong keyspace on this node: which of them it holds, and how their machine and their
//! replicated logs come together.
//!
//! The layout says where a shard is to be; its leader brings its group there, one change of the membership
//! after the other. A node that is to hold a shard begins with an empty log and takes over the state. One
//! that no longer holds it forgets it when the group goes on without it.
//!
//! How far the state of a shard is in tables is known by a name of its own, drawn when the node begins to
//! hold the shard: what was known of the state of an earlier time says nothing of this one.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Node;
use super::metadata::METADATA;
use crate::cluster::change;
use crate::codec;
use crate::disk::Disk;
use crate::event::EventKind;
use crate::id::{FileId, GroupId, Index, LogPosition, NodeId, ShardId, Term};
use crate::message::raft::{Entry, EntryId, Membership};
use crate::ordered::Set;
use crate::raft::{self as consensus, Group, Limits, Opened, ProposeError, RaftEvent, ReadId};
use crate::ring::layout::Layout;
use crate::settings::{Setting, Settings};
use crate::storage::{Batch, Store, StoreError, Unreadable};
use crate::strong::{Ground, NotApplied, NotProposed, Proposal, Strong};
use crate::time::Now;

/// Where the name stands under which the store counts how far a shard goes.
const STREAMS: &[u8] = b"m/stream/";

/// How long the logs of all shards of a node get together before they are compacted: as much as a memtable
/// holds, so that the state is in tables by then, and no table is written for the log's sake.
const LOGS_BYTES_MAX: u64 = 64 << 20;

/// How long the log of one shard may always get.
const LOG_BYTES_MIN: u64 = 4 << 20;

/// The times and bounds of the groups of so many shards.
pub(super) fn limits(settings: &Settings, shards: u64) -> Limits {
    Limits {
        election_timeout: settings.span(Setting::ElectionTimeoutMs),
        heartbeat: settings.span(Setting::RaftHeartbeatMs),
        log_bytes_max: (LOGS_BYTES_MAX / shards.max(1)).max(LOG_BYTES_MIN),
        ..Limits::default()
    }
}

impl Node {
    /// Opens the shards that the store knows of.
    pub(super) fn open_shards(
        &mut self,
        now: Now,
        disk: &impl Disk,
    ) -> Result<(), consensus::OpenError> {
        for id in Opened::list(&self.store, disk)? {
            let Some(shard) = ShardId::of_group(id) else { continue };
            let opened = Opened::read(id, self.replica(), &self.store, disk)?;
            let stream = stream_of(shard, &self.store, disk)?;
            let (Some(opened), Some(stream)) = (opened, stream) else {
                return Err(consensus::OpenError::Malformed("a shard"));
            };
            let base = opened.log().base().index;
            let needed = opened.installed().map_or(base, |manifest| manifest.last.index);
            let mark = self.store.mark(stream).unwrap_or_default();
            // Whoever founded it has applied nothing, and the log begins behind an entry that never was.
            let is_there = needed.0 <= mark || (needed <= change::FIRST && base == needed);
            let alone = opened.log().membership().1.is_sole_voter(self.replica());
            let is_whole = match self.strong.hold(shard, stream, &self.store, disk) {
                // Nobody else has what it cannot read.
                Err(fault) if alone => return Err(fault.into()),
                held => is_there && held.is_ok(),
            };
            let installs = opened.installed().is_some();
            let mut group = Group::open(opened, self.shard_limits(), self.rng.any(), now.mono);
            if is_whole {
                group.resume_at(self.strong.applied(shard).unwrap_or_default());
            } else {
                self.strong.hold_without_state(shard, stream);
                if !installs {
                    group.want_state();
                    self.damaged.insert(shard);
                }
            }
            self.groups.insert(group);
        }
        Ok(())
    }

    /// Forgets the shards of another cluster, and begins those of one that this node founds. The groups
    /// are to be inserted when the batch is written.
    pub(super) fn begin_shards<D: Disk>(
        &mut self,
        now: Now,
        layout: &Layout,
        batch: &mut Batch,
        disk: &mut D,
    ) -> Vec<(Group, u64)> {
        for shard in self.strong.shards().collect::<Vec<_>>() {
            self.forget_shard(now, shard, batch, disk);
        }
        let founded = layout.at == change::FIRST && layout.founder == self.cluster.hello().node;
        let shards = (0..layout.shards.len() as u32).map(ShardId).filter(|_| founded);
        let first = EntryId { term: Term(1), index: change::FIRST };
        shards
            .collect::<Vec<_>>()
            .into_iter()
            .map(|shard| {
                let (me, end) = (self.replica(), self.store.end());
                let opened = Opened::behind(shard.group(), me, first, Membership::of([me]), end);
                let (mut group, stream) = self.begin_shard(now, opened, shard, batch);
                group.campaign(now.mono);
                group.write(batch);
                (group, stream)
            })
            .collect()
    }

    /// Takes in what [`Self::begin_shards`] gave, which is written.
    pub(super) fn insert_shards(
        &mut self,
        groups: Vec<(Group, u64)>,
        at: LogPosition,
        disk: &impl Disk,
    ) {
        for (mut group, stream) in groups {
            let Some(shard) = ShardId::of_group(group.id()) else { continue };
            // There is nothing yet that could be unreadable.
            let _ = self.strong.hold(shard, stream, &self.store, disk);
            group.written(at);
            self.groups.insert(group);
        }
    }

    fn shard_limits(&self) -> Limits {
        let shards = self.cluster.layout().map_or(1, |layout| layout.shards.len());
        limits(&self.settings, shards as u64)
    }

    fn begin_shard(
        &mut self,
        now: Now,
        opened: Opened,
        shard: ShardId,
        batch: &mut Batch,
    ) -> (Group, u64) {
        let stream = self.rng.any();
        batch.put(stream_key(shard), codec::encode(&stream));
        let group = Group::open(opened, self.shard_limits(), self.rng.any(), now.mono);
        (group, stream)
    }

    /// Begins to hold the shards that the layout places here.
    pub(super) fn follow_shards(&mut self, now: Now, disk: &mut impl Disk) {
        let me = self.cluster.hello().node;
        let Some(layout) = self.cluster.membership() else { return };
        let missing = (0..layout.shards.len() as u32).map(ShardId).filter(|shard| {
            layout.holders(*shard).any(|node| node == me)
                && self.groups.get(shard.group()).is_none()
        });
        for shard in missing.collect::<Vec<_>>() {
            let mut batch = Batch::default();
            // Nothing that may be left of an earlier time belongs to it.
            Strong::remove(shard, &mut batch);
            let (me, end) = (self.replica(), self.store.end());
            let opened = Opened::new(shard.group(), me, Membership::default(), end);
            let (group, stream) = self.begin_shard(now, opened, shard, &mut batch);
            group.write(&mut batch);
            // Without room it is tried again with the next layout or timer.
            let Ok(at) = self.store.apply_always(&batch, disk) else { return };
            self.insert_shards(Vec::from([(group, stream)]), at, &*disk);
        }
        self.shards_due = true;
    }

    /// Lets go of the shards that are placed elsewhere and go on without this node.
    pub(super) fn leave_shards(&mut self, now: Now, disk: &mut impl Disk) {
        let me = self.cluster.hello().node;
        let Some(layout) = self.cluster.membership() else { return };
        let left = self.strong.shards().filter(|shard| {
            let placed = layout.holders(*shard).any(|node| node == me);
            let has_no_vote =
                |group: &Group| group.has_left() || !group.membership().is_voter(group.me());
            !placed
                && (self.dismissed.contains(shard)
                    || self.groups.get(shard.group()).is_some_and(has_no_vote))
        });
        for shard in left.collect::<Vec<_>>() {
            let mut batch = Batch::default();
            self.forget_shard(now, shard, &mut batch, disk);
            // A shard that comes back after a crash is told again that it has left.
            let _ = self.store.apply_always(&batch, disk);
            self.out.event(EventKind::ShardLeft(shard));
        }
    }

    fn forget_shard<D: Disk>(&mut self, now: Now, shard: ShardId, batch: &mut Batch, disk: &mut D) {
        Group::remove(shard.group(), batch);
        batch.remove(stream_key(shard));
        self.groups.remove(shard.group());
        self.dismissed.remove(&shard);
        self.damaged.remove(&shard);
        self.with_strong(now, disk, |strong, ground| strong.let_go(ground, shard, batch));
    }

    /// Hands what the machine has gathered to the groups.
    pub(super) fn enter_strong(&mut self, now: Now, disk: &mut impl Disk) {
        let mut proposals = self.strong.next_proposals(now);
        if self.timers.take_due(super::TICK_TIMER, now.mono) {
            proposals.extend(self.strong.ticks(now));
        }
        for Proposal { group, token, command } in proposals {
            let result = match self.groups.touch(group) {
                Some(group) => group.propose(now.mono, command).map_err(not_proposed),
                None => Err(NotProposed::Busy),
            };
            let Some(token) = token else { continue };
            self.with_strong(now, disk, |strong, ground| strong.proposed(ground, token, result));
        }
        for (group, round) in self.strong.next_rounds() {
            if let Some(group) = self.groups.touch(group) {
                group.read(now.mono, ReadId(round));
            }
        }
    }

    /// Tells the machine what the groups have for it: who leads, what is committed, what may be read.
    pub(super) fn serve_strong(&mut self, now: Now, disk: &mut impl Disk) {
        let mut stirred: Set<ShardId> = self.strong.busy().collect();
        stirred.extend(self.groups.take_stirred().into_iter().filter_map(ShardId::of_group));
        for shard in stirred {
            let leader = self.groups.get(shard.group()).and_then(Group::leader);
            let leader = leader.map(|leader| leader.node);
            self.with_strong(now, disk, |strong, ground| strong.led_by(ground, shard, leader));
            self.install_shard(now, shard, disk);
            self.compact_shard(now, shard);
            self.serve_shard_state(shard, &*disk);
        }
        self.apply_strong(now, disk);
        while let Some((group, ReadId(round), result)) = self.groups.next_read() {
            let Some(shard) = ShardId::of_group(group) else { continue };
            self.with_strong(now, disk, |strong, ground| {
                strong.on_round(ground, shard, round, result.ok());
            });
        }
        self.mend_shards(now, disk);
        self.strong.end_turn(&mut self.out);
        match self.strong.next_tick(now) {
            // Never later than before: else other inputs could put it off for ever.
            Some(at) => self.timers.set_by(super::TICK_TIMER, at),
            None => self.timers.stop(super::TICK_TIMER),
        }
    }

    /// Applies what is committed in the shards.
    fn apply_strong(&mut self, now: Now, disk: &mut impl Disk) {
        let waiting = self.groups.with_committed().filter_map(ShardId::of_group);
        for shard in waiting.collect::<Vec<_>>() {
            while let Some(entry) = self.groups.next_committed(shard.group()) {
                let applied = self.apply_entry(now, shard, &entry, disk);
                if let Err(error) = applied {
                    self.groups.put_back(now.mono, shard.group(), entry);
                    if let NotApplied::Unreadable(fault) = error {
                        let kind = EventKind::Unreadable { file: fault.file, offset: fault.offset };
                        self.out.event(kind);
                        self.note_damage(shard, &fault);
                    }
                    break;
                }
            }
        }
    }

    fn apply_entry(
        &mut self,
        now: Now,
        shard: ShardId,
        entry: &Entry,
        disk: &mut impl Disk,
    ) -> Result<(), NotApplied> {
        let done = self.with_strong(now, disk, |strong, ground| strong.apply(ground, shard, entry));
        done.unwrap_or(Err(NotApplied::Refused(StoreError::Busy)))
    }

    /// Something of the state of a shard cannot be read. A disk that only fails is asked again.
    fn note_damage(&mut self, shard: ShardId, fault: &Unreadable) {
        if fault.error.is_none() {
            self.damaged.insert(shard);
        }
    }

    /// A table was read through and is damaged: shards of which it has something that counts are.
    pub(super) fn note_damaged_file(&mut self, file: FileId) {
        for shard in self.strong.shards() {
            let (start, end) = Strong::range(shard);
            if self.store.shows(file, &start, &end) {
                self.damaged.insert(shard);
            }
        }
    }

    /// What a compaction could not read is missed by the shards that it was of.
    pub(super) fn note_losses(&mut self) {
        for shard in self.strong.shards() {
            let (start, end) = Strong::range(shard);
            if self.store.misses(&start, &end) {
                self.damaged.insert(shard);
            }
        }
    }

    /// Shards whose state cannot be read here get that of their leader. One that this node leads it hands on
    /// first: a leader that cannot read its own state is none. Until then, and where there is nobody else,
    /// what can be read is served.
    fn mend_shards(&mut self, now: Now, disk: &mut impl Disk) {
        while let Some((shard, fault)) = self.strong.next_unreadable() {
            self.note_damage(shard, &fault);
        }
        for shard in self.damaged.clone() {
            let Some(group) = self.groups.get(shard.group()) else {
                self.damaged.remove(&shard);
                continue;
            };
            if group.is_leader() {
                self.pass_on_leading(now, shard);
            } else if group.leader().is_some()
                && group.to_install().is_none()
                && !self.strong.is_damaged(shard)
            {
                self.groups.want_state(shard.group());
                self.with_strong(now, disk, |strong, ground| strong.give_up_state(ground, shard));
                self.out.event(EventKind::ShardDamaged(shard));
            }
        }
    }

    /// Hands a shard on to the voter that has most of the log of those that can be reached: one that lacks the
    /// state might wait for it for ever. If that comes to nothing, or another transfer is under way, it is tried
    /// again with the next turn.
    fn pass_on_leading(&mut self, now: Now, shard: ShardId) {
        let reachable = self.gossip.reachable();
        let Some(group) = self.groups.get(shard.group()) else { return };
        let me = group.me();
        let others = group.membership().voters.iter().filter(|voter| **voter != me);
        let others = others.filter(|voter| reachable.contains(&voter.node));
        let next = others.max_by_key(|voter| group.matched(**voter)).copied();
        // Who has nobody to hand it on to has nothing to do for it either.
        if let Some((next, group)) = next.zip(self.groups.touch(shard.group())) {
            let _ = group.transfer(now.mono, next);
        }
    }

    /// Takes over one more chunk of a state that was received.
    fn install_shard(&mut self, now: Now, shard: ShardId, disk: &mut impl Disk) {
        let Some(group) = self.groups.get(shard.group()) else { return };
        let Some(manifest) = group.to_install() else { return };
        let (last, count) = (manifest.last.index, manifest.chunks.len() as u32);
        let number = self.strong.next_to_install(shard);
        let lacks = self.strong.is_damaged(shard)
            || self.strong.applied(shard).is_none_or(|applied| applied < last);
        if number < count && lacks {
            let chunk = group.received_chunk(number, &mut self.store, &*disk);
            // What cannot be read or written now is tried again with the next input.
            let Ok(Some(bytes)) = chunk else {
                self.strong.pause_transfer(now.mono, shard);
                if let Err(fault) = chunk {
                    self.note_damage(shard, &fault);
                    if fault.error.is_none() {
                        self.groups.want_state(shard.group());
                    }
                }
                return;
            };
            if number == 0 && !self.begin_install(shard, disk) {
                return;
            }
            let upto = (number + 1 == count).then_some(last);
            let Self { strong, store, .. } = self;
            let taken = strong.install_chunk(shard, &bytes, upto, store, disk);
            if let Err(NotApplied::Unreadable(fault)) = &taken {
                self.note_damage(shard, fault);
            }
            if taken.is_err() {
                self.strong.pause_transfer(now.mono, shard);
            }
            if taken.is_err() || upto.is_none() {
                return;
            }
        }
        self.damaged.remove(&shard);
        self.with_strong(now, disk, |strong, ground| strong.installed(ground, shard, last));
        if let Some(group) = self.groups.touch(shard.group()) {
            group.installed();
        }
    }

    /// Draws a new name under which the store counts how far a state goes that is about to be taken over.
    /// Returns false if there is no room for it.
    fn begin_install(&mut self, shard: ShardId, disk: &mut impl Disk) -> bool {
        let stream = self.rng.any();
        let mut batch = Batch::default();
        batch.put(stream_key(shard), codec::encode(&stream));
        let written = self.store.apply_always(&batch, disk).is_ok();
        if written {
            self.strong.begin_install(shard, stream);
        }
        written
    }

    /// Lets go of entries, and of a received state, that are in tables.
    fn compact_shard(&mut self, now: Now, shard: ShardId) {
        let Some(group) = self.groups.get(shard.group()) else { return };
        let long = group.log_is_long();
        if !long && !group.keeps_chunks() {
            return;
        }
        let Some((stream, applied)) = self.strong.stream(shard) else { return };
        let mark = Index(self.store.mark(stream).unwrap_or_default());
        let Some(group) = self.groups.touch(shard.group()) else { return };
        if group.keeps_chunks() && group.to_install().is_none() && group.log().base().index <= mark
        {
            group.forget_chunks();
        }
        if long {
            group.compact(now.mono, mark);
            let behind = mark < applied && self.strong.wants_flush(shard, mark);
            if behind && self.groups.get(shard.group()).is_some_and(Group::log_is_long) {
                self.store.flush();
            }
        }
    }

    /// The leader makes the state for those who lack entries, and sends its chunks.
    fn serve_shard_state(&mut self, shard: ShardId, disk: &impl Disk) {
        let wanted = self.groups.get(shard.group()).is_some_and(Group::needs_state);
        if !wanted && !self.strong.has_state(shard) {
            return;
        }
        let Self { groups, strong, store, .. } = self;
        let Some(group) = groups.touch(shard.group()) else { return };
        if group.take_snapshot_wanted() {
            let applied = strong.applied(shard).unwrap_or_default();
            // Entries that do nothing count for the group and not for the state.
            if group.applied() == applied {
                strong.begin_state(shard, applied, store);
            } else {
                group.want_snapshot_again();
            }
        }
        if let Some((at, hashes)) = strong.made_state(shard) {
            let manifest = group.snapshot_made(at, hashes.to_vec());
            strong.name_state(shard, manifest.map(|manifest| manifest.id()), store);
        }
        while let Some((to, snapshot, number)) = group.next_chunk() {
            if let Some(bytes) = strong.state_chunk(shard, snapshot, number, store, disk) {
                group.send_chunk(to, snapshot, number, bytes);
            }
        }
        if group.drop_idle_snapshot() {
            strong.drop_state(shard, store);
        }
    }

    /// Leaders see to it that the right members vote on their shards.
    pub(super) fn review_shards(&mut self, now: Now) {
        if !core::mem::take(&mut self.shards_due) {
            return;
        }
        // A leader that was let go still has to hand its shards on.
        let Some(layout) = self.cluster.layout() else { return };
        let mut arrived = Vec::new();
        for shard in self.strong.shards() {
            let Some(group) = self.groups.get(shard.group()).filter(|group| group.is_leader())
            else {
                continue;
            };
            let voters = layout.replicas_of(shard);
            let membership = group.membership();
            let is_so = !membership.is_joint()
                && membership.voters == voters
                && membership.learners.is_empty();
            let placed = layout.shards.get(shard.0 as usize).filter(|placed| !placed.settled);
            if let Some(placed) = placed.filter(|_| is_so) {
                if group.settled_membership().is_some() {
                    arrived.push((shard, placed.since));
                } else {
                    self.shards_due = true;
                }
            }
            if is_so || voters.is_empty() {
                continue;
            }
            if let Some(group) = self.groups.touch(shard.group()) {
                // One that is refused now is tried again with the next review.
                let _ = group.change(now.mono, voters, [].into());
            }
        }
        for (shard, since) in arrived {
            self.cluster.shard_settled(now, shard, since, &mut self.out);
        }
    }

    /// Tells the cluster machine whether this node would lose keys if it joined another cluster.
    pub(super) fn note_keys(&mut self, disk: &impl Disk) {
        // What cannot be read may be a key.
        let keeps = self.strong.has_keys(&self.store, disk).unwrap_or(true);
        self.cluster.keeps(keeps);
    }

    /// Who would be missing if a member went: a log whose remaining voters that can be reached would be no
    /// majority, in words.
    pub(super) fn loses_majority(&self, leaving: NodeId) -> Option<String> {
        let reachable = self.gossip.reachable();
        let lost = |voters: &mut dyn Iterator<Item = NodeId>| {
            let (mut all, mut up) = (0_u64, 0_u64);
            for voter in voters.filter(|voter| *voter != leaving) {
                all += 1;
                up += u64::from(reachable.contains(&voter));
            }
            up <= all / 2
        };
        let layout = self.cluster.membership()?;
        for number in 0..layout.shards.len() as u32 {
            let shard = ShardId(number);
            let holders = || layout.holders(shard);
            if self.cannot_change(holders(), leaving) || lost(&mut holders()) {
                return Some(format!("shard {number} of the strong keyspace"));
            }
        }
        let group = self.groups.get(METADATA)?;
        let voters = &group.membership().voters;
        let others = || voters.iter().map(|voter| voter.node);
        (voters.len() > 1 && lost(&mut others())).then(|| String::from("the metadata group"))
    }

    /// Whether those who vote on a shard are too few for the change that a removal begins. The change needs
    /// a majority of them, perhaps after the member that leaves was switched off. They are those of the
    /// layout, for until a shard has arrived nobody is let go.
    fn cannot_change(&self, holders: impl Iterator<Item = NodeId>, leaving: NodeId) -> bool {
        let reachable = self.gossip.reachable();
        let (mut all, mut up, mut last) = (0_u64, 0_u64, 0_u64);
        for voter in holders {
            all += 1;
            let is_up = u64::from(reachable.contains(&voter));
            if voter == leaving { last += is_up } else { up += is_up }
        }
        // Of two, both are needed until the change is done.
        (if all > 2 { up } else { up + last }) <= all / 2
    }

    /// Runs the strong machine on the ground it needs; nothing if this node was never in a cluster. One that
    /// was let go still hands its shards on.
    pub(super) fn with_strong<D: Disk, R>(
        &mut self,
        now: Now,
        disk: &mut D,
        run: impl FnOnce(&mut Strong, &mut Ground<'_, D>) -> R,
    ) -> Option<R> {
        let layout = self.cluster.layout()?;
        let mut ground = Ground {
            now,
            layout,
            settings: &self.settings,
            reachable: self.gossip.reachable(),
            store: &mut self.store,
            disk,
            out: &mut self.out,
        };
        Some(run(&mut self.strong, &mut ground))
    }

    /// Whether an event of a group concerns who votes on a shard.
    pub(super) fn note_shard_event(&mut self, group: GroupId, event: RaftEvent) {
        if group == METADATA {
            return;
        }
        if let RaftEvent::Elected { .. }
        | RaftEvent::Changed { .. }
        | RaftEvent::ChangeFailed
        | RaftEvent::Removed = event
        {
            self.shards_due = true;
        }
        if let (RaftEvent::Removed, Some(shard)) = (event, ShardId::of_group(group)) {
            self.dismissed.insert(shard);
        }
    }
}

fn not_proposed(error: ProposeError) -> NotProposed {
    match error {
        ProposeError::NotLeader(leader) => NotProposed::NotLeader(leader.map(|leader| leader.node)),
        ProposeError::TooLarge => NotProposed::TooLarge,
        ProposeError::Busy | ProposeError::Stuck => NotProposed::Busy,
    }
}

fn stream_key(shard: ShardId) -> Vec<u8> {
    [STREAMS, &shard.0.to_be_bytes()].concat()
}

fn stream_of(
    shard: ShardId,
    store: &Store,
    disk: &impl Disk,
) -> Result<Option<u64>, consensus::OpenError> {
    let found = store.peek(&stream_key(shard), disk)?;
    Ok(found.and_then(|bytes| codec::decode(&bytes).ok()))
}
