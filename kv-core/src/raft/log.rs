//! The log of one replica: every entry that was not compacted, and how far the disk has it.
//!
//! Entries stand in memory until they are compacted; a policy of the group bounds them. What is behind
//! the log, the *base*, is the last compacted entry with the membership as of it. The membership in
//! force is that of the last entry that holds one, committed or not; cutting the log brings back the one
//! before (dissertation, 4.1).
//!
//! Durability: after each write of the disk the log notes how far it went. When a conflicting entry is
//! cut away, so is what was noted of it; so a sync that ends late never vouches for entries that took
//! the place of those it covered.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use crate::bugs::{Bug, planted};
use crate::id::{Index, LogPosition, Term};
use crate::message::raft::{Entry, EntryId, Membership, Payload};

/// The entries of one replica.
#[derive(Clone, Debug)]
pub struct Log {
    base: EntryId,
    entries: VecDeque<Entry>,
    /// What the entries take.
    bytes: u64,
    /// Memberships with the entries that hold them, oldest first; the first is that of the base.
    memberships: VecDeque<(Index, Arc<Membership>)>,
    /// Up to here the disk has the log.
    durable: Index,
    /// Writes that the disk may not have: where each ends, and how far into the log it went.
    unsynced: VecDeque<(LogPosition, Index)>,
}

impl Log {
    /// A log read back from a disk whose own log ends at a position: when that is durable, so are the
    /// entries.
    #[must_use]
    pub fn new(
        base: EntryId,
        membership: (Index, Membership),
        entries: VecDeque<Entry>,
        at: LogPosition,
    ) -> Self {
        let mut log = Self {
            base,
            entries: VecDeque::new(),
            bytes: 0,
            memberships: VecDeque::from([(membership.0, Arc::new(membership.1))]),
            durable: base.index,
            unsynced: VecDeque::new(),
        };
        for entry in entries {
            log.push(entry);
        }
        log.written(at);
        log
    }

    /// The disk has everything up to this entry, for the state machine has its effect on disk.
    pub(super) fn vouch(&mut self, index: Index) {
        self.durable = self.durable.max(index);
    }

    /// The last entry that was compacted.
    #[must_use]
    pub fn base(&self) -> EntryId {
        self.base
    }

    /// The last entry.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.entries.back().map_or(self.base, |entry| entry.id)
    }

    /// Up to where the disk has the log.
    #[must_use]
    pub fn durable(&self) -> Index {
        self.durable
    }

    /// What the entries take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The term of an entry, if the log has it or begins right behind it.
    #[must_use]
    pub fn term(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        self.get(index).map(|entry| entry.id.term)
    }

    /// An entry.
    #[must_use]
    pub fn get(&self, index: Index) -> Option<&Entry> {
        let place = index.0.checked_sub(self.base.index.0.checked_add(1)?)?;
        self.entries.get(usize::try_from(place).ok()?)
    }

    /// The entries from this one on.
    pub fn from(&self, first: Index) -> impl Iterator<Item = &Entry> + '_ {
        let skipped = first.0.saturating_sub(self.base.index.0.saturating_add(1));
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX).min(self.entries.len());
        self.entries.range(skipped..)
    }

    /// Whether the log has this very entry.
    #[must_use]
    pub fn matches(&self, id: EntryId) -> bool {
        self.term(id.index) == Some(id.term)
    }

    /// The last place, up to this entry, at which a log that has it may agree with this one: no later
    /// than the entry, and of no greater term.
    #[must_use]
    pub fn may_agree(&self, with: EntryId) -> EntryId {
        let mut index = with.index.min(self.last().index);
        loop {
            match self.term(index) {
                Some(term) if with.term < term && self.base.index < index => {
                    index = index.previous();
                }
                Some(term) => return EntryId { term, index },
                None => return self.base,
            }
        }
    }

    /// The membership in force, and the entry that holds it.
    #[must_use]
    pub fn membership(&self) -> (Index, &Arc<Membership>) {
        let (at, membership) =
            self.memberships.back().expect("the membership of the base is always there");
        (*at, membership)
    }

    /// The membership that was in force at an entry, and the entry that holds it.
    #[must_use]
    pub fn membership_at(&self, index: Index) -> (Index, &Arc<Membership>) {
        let found = self.memberships.iter().rev().find(|(at, _)| *at <= index);
        let (at, membership) = found.unwrap_or(&self.memberships[0]);
        (*at, membership)
    }

    /// The membership that was in force at an entry, and all that came later.
    pub(super) fn memberships_since(&self, index: Index) -> impl Iterator<Item = &Membership> {
        let first = self.memberships.iter().rposition(|(at, _)| *at <= index).unwrap_or(0);
        self.memberships.range(first..).map(|(_, membership)| &**membership)
    }

    /// Adds the next entry.
    pub(super) fn push(&mut self, entry: Entry) {
        debug_assert!(entry.id.index == self.last().index.next(), "indexes have no gaps");
        debug_assert!(self.last().term <= entry.id.term, "terms never decrease along a log");
        if let Payload::Membership(membership) = &entry.payload {
            self.memberships.push_back((entry.id.index, Arc::new((**membership).clone())));
        }
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
    }

    /// Cuts this entry and all behind it.
    pub(super) fn cut(&mut self, first: Index) {
        while self.entries.back().is_some_and(|entry| first <= entry.id.index) {
            let cut = self.entries.pop_back();
            self.bytes -= cut.map_or(0, |entry| entry.bytes());
        }
        while self.memberships.len() > 1
            && self.memberships.back().is_some_and(|(at, _)| first <= *at)
        {
            self.memberships.pop_back();
        }
        let last = self.last().index;
        self.durable = self.durable.min(last);
        for (_, upto) in self.unsynced.iter_mut().filter(|_| !planted(Bug::LateSyncVouches)) {
            *upto = (*upto).min(last);
        }
    }

    /// Lets go of the entries up to this one, which the log must have.
    pub(super) fn compact(&mut self, upto: Index) {
        let Some(term) = self.term(upto) else { return };
        while self.memberships.get(1).is_some_and(|(at, _)| *at <= upto) {
            self.memberships.pop_front();
        }
        while self.entries.front().is_some_and(|entry| entry.id.index <= upto) {
            let gone = self.entries.pop_front();
            self.bytes -= gone.map_or(0, |entry| entry.bytes());
        }
        self.base = EntryId { term, index: upto };
    }

    /// Begins anew behind an entry, with the membership as of it. Every entry is dropped, not only those
    /// up to it: the others may contradict what the group has committed.
    pub(super) fn restart(&mut self, base: EntryId, membership: (Index, Membership)) {
        self.entries.clear();
        self.bytes = 0;
        self.memberships = VecDeque::from([(membership.0, Arc::new(membership.1))]);
        self.base = base;
        self.durable = base.index;
        self.unsynced.clear();
    }

    /// Everything was handed to the disk; its log ends here now.
    pub(super) fn written(&mut self, at: LogPosition) {
        self.unsynced.push_back((at, self.last().index));
    }

    /// The disk has everything up to this position.
    pub(super) fn synced(&mut self, upto: LogPosition) {
        while let Some((_, index)) = self.unsynced.pop_front_if(|(at, _)| *at <= upto) {
            self.durable = self.durable.max(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{FileId, Incarnation, NodeId, Replica};

    fn entry(index: u64, term: u64) -> Entry {
        Entry { id: EntryId { term: Term(term), index: Index(index) }, payload: Payload::Empty }
    }

    fn log(terms: &[u64]) -> Log {
        let entries = (1..).zip(terms).map(|(index, term)| entry(index, *term)).collect();
        let mut log =
            Log::new(EntryId::default(), (Index(0), Membership::default()), entries, at(0));
        log.synced(at(0));
        log
    }

    fn at(offset: u64) -> LogPosition {
        LogPosition { segment: FileId(1), offset }
    }

    fn voters(node: u64) -> Membership {
        Membership::of([Replica { node: NodeId(node), incarnation: Incarnation(1) }])
    }

    #[test]
    fn a_late_sync_does_not_vouch_for_what_took_the_place_of_what_it_covered() {
        let mut log = log(&[1]);
        log.push(entry(2, 1));
        log.push(entry(3, 1));
        log.written(at(10));
        log.cut(Index(2));
        log.push(entry(2, 2));
        log.synced(at(10));
        assert_eq!(log.durable(), Index(1));
        log.written(at(20));
        log.synced(at(20));
        assert_eq!(log.durable(), Index(2));
    }

    #[test]
    fn a_cut_brings_back_the_membership_before() {
        let mut log = log(&[1, 1]);
        let payload = Payload::Membership(alloc::boxed::Box::new(voters(7)));
        log.push(Entry { payload, ..entry(3, 1) });
        assert_eq!((log.membership().0, &**log.membership().1), (Index(3), &voters(7)));
        assert_eq!(log.membership_at(Index(2)).0, Index(0));
        log.cut(Index(3));
        assert_eq!(log.membership().0, Index(0));
    }

    #[test]
    fn a_compacted_log_keeps_the_membership_of_its_base() {
        let mut log = log(&[1, 1]);
        let payload = Payload::Membership(alloc::boxed::Box::new(voters(7)));
        log.push(Entry { payload, ..entry(3, 2) });
        log.push(entry(4, 2));
        log.compact(Index(3));
        assert_eq!(log.base(), EntryId { term: Term(2), index: Index(3) });
        assert_eq!((log.membership().0, &**log.membership().1), (Index(3), &voters(7)));
        assert_eq!((log.get(Index(3)), log.term(Index(2))), (None, None));
        assert_eq!(log.from(Index(0)).count(), 1);
        assert_eq!(log.bytes(), entry(4, 2).bytes());
    }

    #[test]
    fn the_place_to_try_next_skips_whole_terms() {
        // The Raft paper's figure 7: a leader of term 8 asks logs that went other ways.
        let ask = |terms: &[u64], index, term| {
            let EntryId { term, index } =
                log(terms).may_agree(EntryId { term: Term(term), index: Index(index) });
            (index.0, term.0)
        };
        assert_eq!(ask(&[1, 1, 1, 4, 4, 5, 5, 6, 6], 10, 6), (9, 6));
        assert_eq!(ask(&[1, 1, 1, 4], 10, 6), (4, 4));
        assert_eq!(ask(&[1, 1, 1, 4, 4, 4, 4], 10, 6), (7, 4));
        assert_eq!(ask(&[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3], 10, 6), (10, 3));
        assert_eq!(ask(&[2, 2], 2, 1), (0, 0));
    }
}
