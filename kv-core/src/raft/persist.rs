//! How a group stands in the store of a node, and how it is read back.
//!
//! Keys begin with `r` and the number of the group, so a group is one range:
//!
//! | key behind that | value |
//! | --- | --- |
//! | `b` | the base of the log: the last compacted entry, the membership as of it |
//! | `c` and a number | a chunk of a state that is being received, or was |
//! | `e` and an index | an entry: its term and its payload |
//! | `i` | the manifest of that state |
//! | `s` | term and vote |
//!
//! All changes of a turn are one batch, so none of them is ever there without the others. Where a log was
//! cut, everything behind goes in the same batch.

mod kept;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;

pub use self::kept::Kept;
use super::Group;
use super::core::Core;
use super::log::Log;
use super::snapshot::Incoming;
use crate::bugs::{Bug, planted};
use crate::codec;
use crate::disk::Disk;
use crate::id::{GroupId, Index, LogPosition, Replica, Term};
use crate::message::raft::{Entry, EntryId, Manifest, Membership, Payload};
use crate::storage::{Batch, Store, Unreadable};

/// A group as a disk remembers it.
#[derive(Debug)]
pub struct Opened {
    pub(super) group: GroupId,
    pub(super) me: Replica,
    pub(super) term: Term,
    pub(super) vote: Option<Replica>,
    pub(super) log: Log,
    pub(super) incoming: Option<Incoming>,
    pub(super) installed: Option<Manifest>,
    pub(super) at: LogPosition,
    pub(super) is_new: bool,
    pub(super) has_old_chunks: bool,
}

/// Why a group cannot be opened. Nothing changed. It must not vote or confirm anything: what it promised
/// may be in what it cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// A part of the store that it needs is damaged.
    Unreadable(Unreadable),
    /// The store's checksums hold, and yet what it says of the group contradicts itself.
    Malformed(&'static str),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(fault) => write!(f, "{fault}"),
            Self::Malformed(what) => {
                write!(
                    f,
                    "{what} of a replicated log cannot be read: it was written by another release"
                )
            }
        }
    }
}

impl core::error::Error for OpenError {}

impl From<Unreadable> for OpenError {
    fn from(fault: Unreadable) -> Self {
        Self::Unreadable(fault)
    }
}

impl Opened {
    /// A group that begins here, with these members. Whoever is to be told the members by a leader
    /// begins with none.
    #[must_use]
    pub fn new(group: GroupId, me: Replica, membership: Membership, at: LogPosition) -> Self {
        Self::behind(group, me, EntryId::default(), membership, at)
    }

    /// A group that begins here behind an entry that is in no log, with these members: whoever is added
    /// to it later has to take over its state.
    #[must_use]
    pub fn behind(
        group: GroupId,
        me: Replica,
        base: EntryId,
        membership: Membership,
        at: LogPosition,
    ) -> Self {
        let log = Log::new(base, (base.index, membership), VecDeque::new(), at);
        let (term, vote, incoming, installed) = (base.term, None, None, None);
        let (is_new, has_old_chunks) = (true, false);
        Self { group, me, term, vote, log, incoming, installed, at, is_new, has_old_chunks }
    }

    /// Reads a group back; none if the store knows nothing of it.
    pub fn read(
        group: GroupId,
        me: Replica,
        store: &Store,
        disk: &impl Disk,
    ) -> Result<Option<Self>, OpenError> {
        let base: Option<(EntryId, Index, Membership)> =
            one(store, disk, &key(group, BASE), "the base")?;
        let Some((base, membership_at, membership)) = base else { return Ok(None) };
        let state: Option<(Term, Option<Replica>)> =
            one(store, disk, &key(group, STATE), "the term")?;
        let (term, mut vote) = state.unwrap_or_default();
        if planted(Bug::VoteForgotten) {
            vote = None;
        }
        let entries = entries(group, base, store, disk)?;
        let manifest: Option<Manifest> = one(store, disk, &key(group, INCOMING), "a manifest")?;
        let (mut incoming, mut installed, mut has_old_chunks) = (None, None, false);
        if let Some(manifest) = manifest {
            let have = count_chunks(group, store, disk);
            if manifest.last == base && manifest.chunks.len() == have as usize {
                installed = Some(manifest);
            } else if base.index <= manifest.last.index {
                incoming = Some(Incoming::new(manifest, have));
            } else {
                has_old_chunks = true;
            }
        }
        let at = store.end();
        let log = Log::new(base, (membership_at, membership), entries, at);
        if term < log.last().term {
            return Err(OpenError::Malformed("the term"));
        }
        let is_new = false;
        let opened =
            Self { group, me, term, vote, log, incoming, installed, at, is_new, has_old_chunks };
        Ok(Some(opened))
    }

    /// The state that its log begins with, if it was received and the chunks are kept.
    #[must_use]
    pub fn installed(&self) -> Option<&Manifest> {
        self.installed.as_ref()
    }

    /// Which group it is.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Its term, and for whom it voted in it.
    #[must_use]
    pub fn state(&self) -> (Term, Option<Replica>) {
        (self.term, self.vote)
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// All groups that the store knows of.
    pub fn list(store: &Store, disk: &impl Disk) -> Result<Vec<GroupId>, OpenError> {
        let mut groups = Vec::new();
        let mut start = GROUPS.to_vec();
        while let Some(item) = store.scan_prefix(GROUPS, &start).next(disk)? {
            let Some(group) = group_of_key(item.key) else {
                return Err(OpenError::Malformed("a key"));
            };
            groups.push(group);
            let Some(next) = group.0.checked_add(1) else { break };
            start = prefix(GroupId(next)).to_vec();
        }
        Ok(groups)
    }
}

impl Group {
    /// Adds to a batch that a store forgets a group.
    pub fn remove(group: GroupId, batch: &mut Batch) {
        batch.remove_range(key(group, 0), key(group, u8::MAX));
    }

    /// Adds to a batch what the disk must know, and returns whether there was anything. The owner then
    /// calls [`Self::written`] or [`Self::refused`].
    pub fn write(&self, batch: &mut Batch) -> bool {
        let core = &self.core;
        let unwritten = &core.unwritten;
        if unwritten.state {
            batch.put(key(core.group, STATE), codec::encode(&(core.term, core.vote)));
        }
        if unwritten.base {
            write_base(core, batch);
        }
        if unwritten.cut {
            let first = unwritten.entries.unwrap_or_else(|| core.log.last().index.next());
            batch.remove_range(entry_key(core.group, first), key(core.group, ENTRY + 1));
        }
        if let Some(first) = unwritten.entries {
            let bytes = core.log.get(first).map_or(0, Entry::bytes);
            let mut value = Vec::with_capacity(bytes as usize);
            for entry in core.log.from(first) {
                value.clear();
                codec::encode_onto(&(entry.id.term, &entry.payload), &mut value);
                batch.put(entry_key(core.group, entry.id.index), &value);
            }
        }
        if unwritten.forget || unwritten.incoming.is_some() {
            batch.remove_range(key(core.group, CHUNK), key(core.group, CHUNK + 1));
            batch.remove(key(core.group, INCOMING));
        }
        if let Some(manifest) = &unwritten.incoming {
            batch.put(key(core.group, INCOMING), codec::encode(manifest));
        }
        for (number, bytes) in &unwritten.chunks {
            batch.put(chunk_key(core.group, *number), bytes);
        }
        !unwritten.is_empty()
    }

    /// What [`Self::write`] gave is in the owner's log, which ends here now.
    pub fn written(&mut self, at: LogPosition) {
        self.core.written(at);
    }

    /// A chunk of a state that was received, from the owner's store.
    pub fn received_chunk(
        &self,
        number: u32,
        store: &mut Store,
        disk: &impl Disk,
    ) -> Result<Option<Bytes>, Unreadable> {
        let found = store.get(&chunk_key(self.core.group, number), disk)?;
        Ok(found.map(|(bytes, _)| bytes))
    }
}

/// The group that a key of a store belongs to, if it belongs to one.
#[must_use]
pub fn group_of_key(key: &[u8]) -> Option<GroupId> {
    let (group, _) = key.strip_prefix(GROUPS)?.split_first_chunk::<8>()?;
    Some(GroupId(u64::from_be_bytes(*group)))
}

/// A key of a group in words.
#[must_use]
pub fn key_words(key: &[u8]) -> Option<String> {
    let (group, rest) = key.strip_prefix(GROUPS)?.split_first_chunk::<8>()?;
    let what = match rest {
        [BASE] => String::from("base of the log"),
        [STATE] => String::from("term and vote"),
        [INCOMING] => String::from("state being received"),
        [CHUNK, number @ ..] => {
            format!("chunk {} of it", u32::from_be_bytes(number.try_into().ok()?))
        }
        [ENTRY, index @ ..] => format!("entry {}", u64::from_be_bytes(index.try_into().ok()?)),
        _ => return None,
    };
    Some(format!("{what} (group {})", u64::from_be_bytes(*group)))
}

/// The entry under a key of a store, if it is one of a group.
fn parse_entry(key: &[u8], value: &[u8]) -> Option<Entry> {
    let (_, rest) = key.strip_prefix(GROUPS)?.split_first_chunk::<8>()?;
    let (kind, index) = rest.split_first()?;
    if *kind != ENTRY {
        return None;
    }
    let index = Index(u64::from_be_bytes(index.try_into().ok()?));
    let (term, payload): (Term, Payload) = codec::decode(value).ok()?;
    Some(Entry { id: EntryId { term, index }, payload })
}

/// Where groups stand in a store.
const GROUPS: &[u8; 1] = b"r";

const BASE: u8 = b'b';
const CHUNK: u8 = b'c';
const ENTRY: u8 = b'e';
const INCOMING: u8 = b'i';
const STATE: u8 = b's';

fn prefix(group: GroupId) -> [u8; 9] {
    let mut prefix = [GROUPS[0]; 9];
    prefix[1..].copy_from_slice(&group.0.to_be_bytes());
    prefix
}

fn key(group: GroupId, kind: u8) -> [u8; 10] {
    let mut key = [kind; 10];
    key[..9].copy_from_slice(&prefix(group));
    key
}

fn entry_key(group: GroupId, index: Index) -> [u8; 18] {
    let mut entry = [0; 18];
    entry[..10].copy_from_slice(&key(group, ENTRY));
    entry[10..].copy_from_slice(&index.0.to_be_bytes());
    entry
}

fn chunk_key(group: GroupId, number: u32) -> [u8; 14] {
    let mut chunk = [0; 14];
    chunk[..10].copy_from_slice(&key(group, CHUNK));
    chunk[10..].copy_from_slice(&number.to_be_bytes());
    chunk
}

fn write_base(core: &Core, batch: &mut Batch) {
    let base = core.log.base();
    let (at, membership) = core.log.membership_at(base.index);
    batch.put(key(core.group, BASE), codec::encode(&(base, at, &**membership)));
    let first = entry_key(core.group, Index(0));
    batch.remove_range(first, entry_key(core.group, base.index.next()));
}

/// The value of one key.
fn one<T: DeserializeOwned>(
    store: &Store,
    disk: &impl Disk,
    key: &[u8],
    what: &'static str,
) -> Result<Option<T>, OpenError> {
    let mut scan = store.scan_prefix(key, key);
    let Some(item) = scan.next(disk)? else { return Ok(None) };
    codec::decode(item.value).map(Some).map_err(|_| OpenError::Malformed(what))
}

/// The entries behind the base, without a gap.
fn entries(
    group: GroupId,
    base: EntryId,
    store: &Store,
    disk: &impl Disk,
) -> Result<VecDeque<Entry>, OpenError> {
    let mut entries = VecDeque::new();
    let mut before = base;
    let mut scan = store.scan_prefix(&key(group, ENTRY), &entry_key(group, base.index.next()));
    while let Some(item) = scan.next(disk)? {
        let entry = parse_entry(item.key, item.value).ok_or(OpenError::Malformed("an entry"))?;
        if entry.id.index != before.index.next() || entry.id.term < before.term {
            return Err(OpenError::Malformed("the order"));
        }
        before = entry.id;
        entries.push_back(entry);
    }
    Ok(entries)
}

/// How many chunks are there, from the first on. One that cannot be read is not.
fn count_chunks(group: GroupId, store: &Store, disk: &impl Disk) -> u32 {
    let prefix = key(group, CHUNK);
    let mut count = 0;
    let mut scan = store.scan_prefix(&prefix, &prefix);
    while let Ok(Some(item)) = scan.next(disk) {
        if item.key != chunk_key(group, count) {
            break;
        }
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_group_and_its_entry() {
        let id = EntryId { term: Term(3), index: Index(0x0102_0304_0506_0708) };
        let group = GroupId(0x1112_1314_1516_1718);
        let key = entry_key(group, id.index);
        assert_eq!(&key, b"r\x11\x12\x13\x14\x15\x16\x17\x18e\x01\x02\x03\x04\x05\x06\x07\x08");
        let payload = Payload::Command(Bytes::from_static(b"put"));
        let value = codec::encode(&(id.term, &payload));
        assert_eq!(parse_entry(&key, &value), Some(Entry { id, payload }));
        for key in [&key[..], &chunk_key(group, 7), &super::key(group, BASE)] {
            assert_eq!(group_of_key(key), Some(group));
        }
    }
}
