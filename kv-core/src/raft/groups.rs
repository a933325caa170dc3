//! All groups of a node: one batch and one sync for all of them, one frame per peer, no scan of idle ones.
//!
//! Each input touches the groups it is for. At the end of the turn only those are looked at: what they
//! must write goes into the node's log as one batch, and what they say to one node that waits for the
//! same place in that log travels as one message. A group that waits for nothing but its timer stands in
//! an ordered set of deadlines.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{Group, Limits, RaftEvent, ReadError, ReadId};
use crate::disk::Disk;
use crate::id::{GroupId, Index, LogPosition, NodeId, Replica};
use crate::message::raft::{Entry, RaftMessage};
use crate::message::{Lane, Message};
use crate::ordered::{Map, Set};
use crate::outbox::Outbox;
use crate::storage::{Batch, Store};
use crate::time::{Micros, Mono};

/// The groups of a node.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    groups: Map<GroupId, Group>,
    /// When each group wants to be called, and the same by group.
    deadlines: Set<(Mono, GroupId)>,
    deadline_of: Map<GroupId, Mono>,
    /// The groups that the turn has touched.
    touched: Set<GroupId>,
    /// The groups that wait for a sync.
    unsynced: Set<GroupId>,
    /// The groups whose writes were refused, and when they are tried again.
    refused: Set<GroupId>,
    retry_at: Option<Mono>,
    committed: Map<GroupId, VecDeque<Entry>>,
    /// The groups to which something has happened since somebody asked.
    stirred: Set<GroupId>,
    reads: VecDeque<(GroupId, ReadId, Result<Index, ReadError>)>,
    events: VecDeque<(GroupId, RaftEvent)>,
}

/// How long until a write that was refused is tried again.
const RETRY: Micros = Micros::from_millis(300);

impl Groups {
    /// Takes a group in, in place of one of the same number.
    pub fn insert(&mut self, group: Group) {
        let id = group.id();
        if group.is_unsynced() {
            self.unsynced.insert(id);
        }
        self.groups.insert(id, group);
        self.touched.insert(id);
    }

    /// A group.
    #[must_use]
    pub fn get(&self, group: GroupId) -> Option<&Group> {
        self.groups.get(&group)
    }

    /// A group, to which something is about to happen.
    pub fn touch(&mut self, group: GroupId) -> Option<&mut Group> {
        let found = self.groups.get_mut(&group)?;
        self.touched.insert(group);
        Some(found)
    }

    /// All groups.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// Messages of a replica of another node. Returns how many are for groups that are not here.
    pub fn step(&mut self, now: Mono, from: Replica, messages: Vec<RaftMessage>) -> u64 {
        let mut strange = 0;
        for message in messages {
            match self.touch(message.group) {
                Some(group) => group.step(now, from, message),
                None => strange += 1,
            }
        }
        strange
    }

    /// Timers may have run out.
    pub fn tick(&mut self, now: Mono) {
        while let Some(&(deadline, id)) = self.deadlines.first()
            && deadline <= now
        {
            self.deadlines.pop_first();
            self.deadline_of.remove(&id);
            if let Some(group) = self.touch(id) {
                group.tick(now);
            }
        }
        if self.retry_at.take_if(|at| *at <= now).is_some() {
            self.touched.append(&mut self.refused);
        }
    }

    /// When [`Self::tick`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.deadlines.first().map(|(at, _)| *at).into_iter().chain(self.retry_at).min()
    }

    /// The node's log is durable up to here.
    pub fn synced(&mut self, now: Mono, upto: LogPosition) {
        for id in core::mem::take(&mut self.unsynced) {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            group.synced(now, upto);
            if group.is_unsynced() {
                self.unsynced.insert(id);
            }
            self.touched.insert(id);
        }
    }

    /// Each group goes by these times and bounds from now on.
    pub fn set_limits(&mut self, limits: impl Fn(GroupId) -> Limits) {
        self.groups.iter_mut().for_each(|(id, group)| group.set_limits(limits(*id)));
    }

    /// Whether nothing has happened to any group since the last turn, and no entry waits.
    #[must_use]
    pub fn rest(&self) -> bool {
        self.touched.is_empty() && self.stirred.is_empty() && self.committed.is_empty()
    }

    /// Ends the turn: what the touched groups brought is written and sent.
    pub fn settle(&mut self, now: Mono, store: &mut Store, disk: &mut impl Disk, out: &mut Outbox) {
        while !self.touched.is_empty() {
            let touched = core::mem::take(&mut self.touched);
            self.write(now, &touched, store, disk);
            let mut frames = Frames::default();
            for id in touched {
                self.collect(id, &mut frames);
            }
            frames.send(out);
        }
    }

    /// Lets a group go.
    pub fn remove(&mut self, group: GroupId) {
        self.groups.remove(&group);
        self.committed.remove(&group);
        if let Some(deadline) = self.deadline_of.remove(&group) {
            self.deadlines.remove(&(deadline, group));
        }
        for groups in [&mut self.touched, &mut self.unsynced, &mut self.refused, &mut self.stirred]
        {
            groups.remove(&group);
        }
        self.reads.retain(|(id, ..)| *id != group);
        self.events.retain(|(id, _)| *id != group);
    }

    /// The groups to which something has happened since this was last asked.
    pub fn take_stirred(&mut self) -> Set<GroupId> {
        core::mem::take(&mut self.stirred)
    }

    /// The groups that have entries for their state machines.
    pub fn with_committed(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.committed.keys().copied()
    }

    /// The next entry for the state machine of a group.
    pub fn next_committed(&mut self, group: GroupId) -> Option<Entry> {
        let entries = self.committed.get_mut(&group)?;
        let entry = entries.pop_front();
        if entries.is_empty() {
            self.committed.remove(&group);
        }
        entry
    }

    /// The state machine could not take an entry: it is shown again, after a while.
    pub fn put_back(&mut self, now: Mono, group: GroupId, entry: Entry) {
        self.committed.entry(group).or_default().push_front(entry);
        self.retry_at.get_or_insert(now + RETRY);
    }

    /// The state machine of a group cannot read all of its state: see [`Group::want_state`]. The entries that
    /// wait for it are part of the next state.
    pub fn want_state(&mut self, group: GroupId) {
        self.committed.remove(&group);
        if let Some(group) = self.touch(group) {
            group.want_state();
        }
    }

    /// The next read that can be served, or cannot be.
    pub fn next_read(&mut self) -> Option<(GroupId, ReadId, Result<Index, ReadError>)> {
        self.reads.pop_front()
    }

    /// The next thing that happened in a group.
    pub fn next_event(&mut self) -> Option<(GroupId, RaftEvent)> {
        self.events.pop_front()
    }

    /// Writes what the touched groups must know after a crash, as one batch.
    fn write(
        &mut self,
        now: Mono,
        touched: &Set<GroupId>,
        store: &mut Store,
        disk: &mut impl Disk,
    ) {
        let mut batch = Batch::default();
        let mut writers = Vec::new();
        for id in touched {
            let Some(group) = self.groups.get_mut(id) else { continue };
            group.settle(now);
            if group.write(&mut batch) {
                writers.push(*id);
            }
        }
        if writers.is_empty() {
            return;
        }
        // Terms and votes are worth the room kept aside: without them nobody could be elected.
        let written = store.apply_always(&batch, disk);
        for id in writers {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            match written {
                Ok(at) => {
                    group.written(at);
                    self.unsynced.insert(id);
                }
                Err(_) => {
                    group.refused(now);
                    self.refused.insert(id);
                    self.retry_at.get_or_insert(now + RETRY);
                }
            }
        }
    }

    /// Takes what a group wants done.
    fn collect(&mut self, id: GroupId, frames: &mut Frames) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        self.stirred.insert(id);
        let me = group.me();
        while let Some((to, at, message)) = group.next_message() {
            // An earlier folder of this node may still be a member. Nobody is there any more.
            if to.node != me.node {
                frames.add(to.node, at, message);
            }
        }
        while let Some(entry) = group.next_committed() {
            self.committed.entry(id).or_default().push_back(entry);
        }
        while let Some((read, result)) = group.next_read() {
            self.reads.push_back((id, read, result));
        }
        while let Some(event) = group.next_event() {
            self.events.push_back((id, event));
        }
        let deadline = group.next_deadline();
        if self.deadline_of.get(&id).copied() != deadline {
            if let Some(old) = self.deadline_of.remove(&id) {
                self.deadlines.remove(&(old, id));
            }
            if let Some(at) = deadline {
                self.deadline_of.insert(id, at);
                self.deadlines.insert((at, id));
            }
        }
    }
}

/// Messages of a turn, by whom they are for and what they wait for.
#[derive(Debug, Default)]
struct Frames(Map<(NodeId, LogPosition, Lane), Vec<RaftMessage>>);

impl Frames {
    fn add(&mut self, to: NodeId, at: LogPosition, message: RaftMessage) {
        let lane = if message.is_large() { Lane::Bulk } else { Lane::Urgent };
        self.0.entry((to, at, lane)).or_default().push(message);
    }

    fn send(self, out: &mut Outbox) {
        for ((to, at, _), messages) in self.0 {
            out.send_unordered(to, at, Message::Raft(messages));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Incarnation;
    use crate::io::Output;
    use crate::message::raft::Membership;
    use crate::raft::Opened;
    use crate::sim::disk::SimDisk;
    use crate::storage::StoreOptions;
    use crate::time::{Now, Wall};

    #[test]
    fn nothing_is_said_to_a_lost_folder_of_the_node_itself() {
        let mut disk = SimDisk::default();
        let (mut store, _) = Store::open(StoreOptions::SIMULATED, &mut disk).unwrap();
        let replica =
            |node, folder| Replica { node: NodeId(node), incarnation: Incarnation(folder) };
        let (me, lost, other) = (replica(1, 2), replica(1, 1), replica(2, 3));
        let now = Now { mono: Mono(0), wall: Wall(0) };
        let mut out = Outbox::new(me.node, me.incarnation, now);
        let voters = Membership::of([me, lost, other]);
        let opened = Opened::new(GroupId(1), me, voters, store.end());
        let mut groups = Groups::default();
        groups.insert(Group::open(opened, Limits::default(), 7, now.mono));
        groups.touch(GroupId(1)).unwrap().campaign(now.mono);
        groups.settle(now.mono, &mut store, &mut disk, &mut out);
        let end = store.end();
        disk.sync_log(end).unwrap();
        store.synced(end);
        groups.synced(now.mono, end);
        groups.settle(now.mono, &mut store, &mut disk, &mut out);
        out.release(end);
        let sent: Vec<NodeId> = core::iter::from_fn(|| out.poll())
            .filter_map(|output| match output {
                Output::Send { envelope, .. } => Some(envelope.to),
                _ => None,
            })
            .collect();
        assert_eq!(sent, [other.node]);
    }
}
