//! Clients that remember what they were promised.
//!
//! What is acknowledged is in every read that begins later, and stands behind everything that was
//! acknowledged or seen before it was asked for. A state is a prefix of one history
//! ([`super::watch::Watch`] proves that), so the index up to which it goes tells all.

use std::collections::BTreeMap;

use bytes::Bytes;
use kv_core::id::{GroupId, Index};
use kv_core::message::raft::{Entry, EntryId, Payload};
use kv_core::raft::{ReadError, ReadId};

/// All clients together.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    asked: u64,
    /// Up to where each group's state was shown or promised to anybody.
    floor: BTreeMap<GroupId, Index>,
    /// Writes under way: on which machine, in which group, under which name; with the floor at their
    /// beginning.
    writes: BTreeMap<(u64, GroupId, EntryId), (Bytes, Index)>,
    reads: BTreeMap<ReadId, (u64, GroupId, Index)>,
    pub(crate) acknowledged: u64,
    pub(crate) served: u64,
    pub(crate) refused: u64,
}

impl Clients {
    /// A command that no other is equal to.
    pub(crate) fn command(&mut self, bytes: u64) -> Bytes {
        self.asked += 1;
        let mut command = self.asked.to_be_bytes().to_vec();
        command.resize(8 + bytes as usize, 7);
        command.into()
    }

    fn floor(&self, group: GroupId) -> Index {
        self.floor.get(&group).copied().unwrap_or_default()
    }

    fn saw(&mut self, group: GroupId, index: Index) {
        let floor = self.floor.entry(group).or_default();
        *floor = index.max(*floor);
    }

    /// A machine has taken a command.
    pub(crate) fn wrote(&mut self, host: u64, group: GroupId, id: EntryId, command: Bytes) {
        let floor = self.floor(group);
        self.writes.insert((host, group, id), (command, floor));
    }

    /// A read is about to be asked of a machine.
    pub(crate) fn reads(&mut self, host: u64, group: GroupId) -> ReadId {
        self.asked += 1;
        let id = ReadId(self.asked);
        self.reads.insert(id, (host, group, self.floor(group)));
        id
    }

    /// How many reads a machine owes an answer.
    pub(crate) fn unanswered(&self, host: u64) -> usize {
        self.reads.values().filter(|(at, ..)| *at == host).count()
    }

    /// A machine has lost power: it will answer nothing.
    pub(crate) fn forget(&mut self, host: u64) {
        self.writes.retain(|(at, ..), _| *at != host);
        self.reads.retain(|_, (at, ..)| *at != host);
    }

    /// A machine has applied an entry, and acknowledges it if it was asked for it.
    pub(crate) fn applied(
        &mut self,
        host: u64,
        group: GroupId,
        entry: &Entry,
    ) -> Result<(), String> {
        let Some((command, floor)) = self.writes.remove(&(host, group, entry.id)) else {
            return Ok(());
        };
        if entry.payload != Payload::Command(command) {
            return Err(format!("entry {} is not what was proposed", entry.id));
        }
        if entry.id.index <= floor {
            return Err(format!("entry {} was proposed when {floor:?} was shown", entry.id));
        }
        self.acknowledged += 1;
        self.saw(group, entry.id.index);
        Ok(())
    }

    /// A machine has answered a read from a state that goes so far.
    pub(crate) fn answered(
        &mut self,
        id: ReadId,
        answer: Result<Index, ReadError>,
        state: Index,
    ) -> Result<(), String> {
        let Some((host, group, floor)) = self.reads.remove(&id) else {
            return Err(format!("{id:?} was answered twice"));
        };
        let Ok(index) = answer else {
            self.refused += 1;
            return Ok(());
        };
        if state < index || state < floor {
            return Err(format!(
                "stale read: n{host} shows {state:?} of {group:?} for {index:?}, and {floor:?} was known"
            ));
        }
        self.served += 1;
        self.saw(group, state);
        Ok(())
    }
}
