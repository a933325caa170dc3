//! The metadata group: the replicated log that puts the changes of the cluster in order.
//!
//! Group 0 exists on every member. Its commands are those of [`crate::cluster`], its state is the layout,
//! and a state in chunks is the layout in one chunk. The leader sees to it that an odd number of
//! members, at most five, votes, and that all others get the log too.
//!
//! A founder begins with an entry that was never in a log, so whoever joins takes over the state first.
//! A node that joins another cluster forgets the log of the one it came from.

use alloc::vec::Vec;

use bytes::Bytes;

use super::Node;
use crate::cluster::{Adoption, Cluster, change};
use crate::codec;
use crate::disk::Disk;
use crate::event::{EventKind, raft};
use crate::hash;
use crate::id::{Epoch, GroupId, Index, Replica, Term};
use crate::message::ClusterCommand;
use crate::message::raft::{Entry, EntryId, Manifest, Membership, Payload, RaftMessage};
use crate::raft::{Group, Limits, OpenError, Opened, RaftEvent};
use crate::ring::layout::Layout;
use crate::settings::{Setting, Settings};
use crate::storage::Batch;
use crate::time::Now;

/// The metadata group.
pub const METADATA: GroupId = GroupId(0);

/// From how many bytes on the log of the metadata group is compacted, and how many entries stay.
const LOG_BYTES_MAX: u64 = 256 << 10;
const TRAILING: u64 = 200;

/// The times and bounds of the groups of a node.
pub(super) fn limits(settings: &Settings) -> Limits {
    Limits {
        election_timeout: settings.span(Setting::ElectionTimeoutMs),
        heartbeat: settings.span(Setting::RaftHeartbeatMs),
        log_bytes_max: LOG_BYTES_MAX,
        trailing_entries: TRAILING,
        ..Limits::default()
    }
}

impl Node {
    /// Opens the metadata group of a node that knows a layout. It applies its entries again: a layout that
    /// came by message says nothing about the node's own log, which may end in entries that a later leader
    /// replaced.
    pub(super) fn open_metadata(&mut self, now: Now, disk: &impl Disk) -> Result<(), OpenError> {
        if self.cluster.layout().is_none() {
            return Ok(());
        }
        let opened = match Opened::read(METADATA, self.replica(), &self.store, disk)? {
            Some(opened) => opened,
            None => self.empty_group(),
        };
        let group = Group::open(opened, limits(&self.settings), self.rng.any(), now.mono);
        self.groups.insert(group);
        Ok(())
    }

    /// The metadata group of a cluster that this node has just founded, or has become a member of. The
    /// batch removes what it knew of another cluster's, and founds this one.
    pub(super) fn begin_metadata(&mut self, now: Now, layout: &Layout, batch: &mut Batch) -> Group {
        Group::remove(METADATA, batch);
        let me = self.replica();
        let founded = layout.at == change::FIRST && layout.founder == me.node;
        let mut opened = self.empty_group();
        if founded {
            let first = EntryId { term: Term(1), index: change::FIRST };
            opened = Opened::behind(METADATA, me, first, Membership::of([me]), self.store.end());
        }
        let mut group = Group::open(opened, limits(&self.settings), self.rng.any(), now.mono);
        if founded {
            group.campaign(now.mono);
        }
        group.write(batch);
        group
    }

    fn empty_group(&self) -> Opened {
        Opened::new(METADATA, self.replica(), Membership::default(), self.store.end())
    }

    /// Messages of groups. Every group checks them itself, for a new member may hear from one that does
    /// not know it yet.
    pub(super) fn on_raft(&mut self, now: Now, from: Replica, messages: Vec<RaftMessage>) {
        for _ in 0..self.groups.step(now.mono, from, messages) {
            self.drop_raft(from);
        }
    }

    /// A message of another cluster, or of a group that is not here, does nothing.
    pub(super) fn drop_raft(&mut self, from: Replica) {
        let event = RaftEvent::Dropped { from, reason: raft::DropReason::Misdirected };
        self.out.event(EventKind::Raft { group: METADATA, event });
    }

    /// Whether the groups have nothing to do unless the input concerned them.
    pub(super) fn groups_rest(&self) -> bool {
        self.groups.rest() && !self.cluster.proposes() && !self.voters_due && !self.shards_due
    }

    /// What follows from any input for the groups. Returns whether the cluster may have changed by it.
    pub(super) fn settle_groups(&mut self, now: Now, disk: &mut impl Disk) -> bool {
        self.enter_proposals(now);
        self.enter_strong(now, disk);
        self.review_voters(now);
        self.review_shards(now);
        self.compact_metadata(now);
        self.serve_state();
        self.groups.settle(now.mono, &mut self.store, disk, &mut self.out);
        self.tell_group_events();
        let installed = self.install_metadata(now, disk);
        let applied = self.apply_metadata(now, disk);
        self.serve_strong(now, disk);
        installed || applied
    }

    /// Commands of this node, and those it was handed as the leader, enter the log.
    fn enter_proposals(&mut self, now: Now) {
        for proposal in self.cluster.take_proposals() {
            if let Some(group) = self.groups.touch(METADATA) {
                // Whoever still wants what is refused asks again.
                let _ = group.propose(now.mono, Bytes::from(codec::encode(&proposal)));
            }
        }
    }

    fn tell_group_events(&mut self) {
        while let Some((group, event)) = self.groups.next_event() {
            self.out.event(EventKind::Raft { group, event });
            self.note_shard_event(group, event);
            if let RaftEvent::Elected { .. } | RaftEvent::Changed { .. } | RaftEvent::ChangeFailed =
                event
            {
                self.voters_due = true;
            }
        }
        let Some(group) = self.groups.get(METADATA) else { return };
        self.cluster.led_by(group.leader().map(|leader| leader.node));
        if let Some(electorate) = group.settled_membership() {
            self.cluster.voted_by(electorate, &mut self.out);
        }
    }

    /// Applies what is committed, and lives by what comes of all of it: of a hundred nodes that join
    /// together nobody has to write a hundred layouts. Returns whether there was anything.
    fn apply_metadata(&mut self, now: Now, disk: &mut impl Disk) -> bool {
        let (mut entries, mut after) = (Vec::new(), None);
        while let Some(entry) = self.groups.next_committed(METADATA) {
            let before = after.as_ref().or_else(|| self.cluster.layout());
            after = before.and_then(|before| layout_after(before, &entry)).or(after);
            entries.push(entry);
        }
        let Some(layout) = after else { return !entries.is_empty() };
        let adopted = self.adopt_committed(now, Adoption { layout, switched: false }, disk);
        if !adopted {
            for entry in entries.into_iter().rev() {
                self.groups.put_back(now.mono, METADATA, entry);
            }
        }
        adopted
    }

    /// Lives by a layout that is committed, or notes a report in it. Returns false if there is no room.
    fn adopt_committed(&mut self, now: Now, adoption: Adoption, disk: &mut impl Disk) -> bool {
        if self.epoch() < adoption.layout.epoch {
            return self.adopt(now, adoption, disk);
        }
        let mut batch = Batch::default();
        batch.put(super::opening::LAYOUT, codec::encode(&adoption.layout));
        let written = self.store.apply_always(&batch, disk);
        if let Ok(at) = written {
            self.cluster.noted(adoption.layout, at, &mut self.out);
        }
        written.is_ok()
    }

    /// Takes over the state of the group. Returns whether there was one.
    fn install_metadata(&mut self, now: Now, disk: &mut impl Disk) -> bool {
        let Some(group) = self.groups.get(METADATA) else { return false };
        if group.to_install().is_none() {
            return false;
        }
        // An unreadable chunk is read again with the next input; until then nothing is applied.
        let Ok(chunk) = group.received_chunk(0, &mut self.store, disk) else { return false };
        if let Some(layout) = chunk.and_then(|bytes| codec::decode::<Layout>(&bytes).ok()) {
            let known = self.cluster.layout().map(|layout| (layout.cluster, layout.at));
            let newer =
                known.is_some_and(|(cluster, at)| cluster == layout.cluster && at < layout.at);
            if newer && !self.adopt_committed(now, Adoption { layout, switched: false }, disk) {
                return false;
            }
        }
        if let Some(group) = self.groups.touch(METADATA) {
            group.installed();
            group.forget_chunks();
        }
        true
    }

    /// The leader makes the state for those who lack entries, and sends its chunk.
    fn serve_state(&mut self) {
        let Some(layout) = self.cluster.layout() else { return };
        if !self.groups.get(METADATA).is_some_and(Group::needs_state) {
            return;
        }
        let Some(group) = self.groups.touch(METADATA) else { return };
        if group.take_snapshot_wanted() {
            let bytes = Bytes::from(codec::encode(layout));
            self.state = group
                .snapshot_made(group.applied(), [hash::of(&bytes)].into())
                .map(|made| (made, bytes));
        }
        while let Some((to, snapshot, number)) = group.next_chunk() {
            let made = |(manifest, _): &&(Manifest, Bytes)| manifest.id() == snapshot;
            if let Some((_, bytes)) = self.state.as_ref().filter(made) {
                group.send_chunk(to, snapshot, number, bytes.clone());
            }
        }
    }

    /// The leader sees to it that the right members vote.
    fn review_voters(&mut self, now: Now) {
        if !self.voters_due {
            return;
        }
        let reachable = self.gossip.reachable();
        let Some(group) = self.groups.get(METADATA).filter(|group| group.is_leader()) else {
            self.voters_due = false;
            return;
        };
        let membership = group.membership();
        let (voters, learners) = self.cluster.voters(&membership.voters, reachable);
        if !membership.is_joint() && membership.voters == voters && membership.learners == learners
        {
            self.voters_due = false;
        } else if let Some(group) = self.groups.touch(METADATA)
            && group.change(now.mono, voters, learners).is_ok()
        {
            self.voters_due = false;
        }
    }

    fn compact_metadata(&mut self, now: Now) {
        let Some(group) = self.groups.get(METADATA) else { return };
        if LOG_BYTES_MAX <= group.log().bytes()
            && let Some(group) = self.groups.touch(METADATA)
        {
            // The layout is written in the same log before the entries go, so it is never behind them.
            group.compact(now.mono, Index(u64::MAX));
        }
    }

    /// This node with its data folder, as groups know it.
    pub(super) fn replica(&self) -> Replica {
        let hello = self.cluster.hello();
        Replica { node: hello.node, incarnation: hello.incarnation }
    }
}

/// The layout after a committed entry, if the entry changes it.
fn layout_after(before: &Layout, entry: &Entry) -> Option<Layout> {
    let Payload::Command(command) = &entry.payload else { return None };
    // One of another release cannot be read. All replicas of this one pass over it.
    let (epoch, command) = codec::decode::<(Epoch, ClusterCommand)>(command).ok()?;
    Cluster::apply(before, entry.id.index, epoch, &command)
}
