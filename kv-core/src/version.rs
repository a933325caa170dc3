//! Dotted version vectors: which writes a value has seen, and which values are concurrent.
//!
//! Every write is one event, named by a [`Dot`]: the incarnation that coordinated it and a counter. An
//! [`Object`] is what a replica keeps under a key: a [`Clock`] of all events it has seen, and one
//! sibling for each event that no later one has replaced. This is the explicit form of Preguiça et al.,
//! "Dotted Version Vectors" (2010): each sibling carries its own dot.
//!
//! Counters come from a durable lease of the coordinator ([`crate::eventual`]) and never from the
//! clock, so a clock may be pruned without a new write ever looking old. An entry `(a, c)` means "all
//! events of `a` on this key up to `c`", which holds because `a` writes one after the other and objects
//! travel whole.
//!
//! Left out: causal stability (dropping entries that all replicas have) and resolvers.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::hash;
use crate::id::Incarnation;
use crate::pairs::Pairs;
use crate::time::Stamp;

/// The name of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dot {
    /// Who coordinated it.
    pub actor: Incarnation,
    /// Its number among the writes of the actor in one partition, from 1.
    pub counter: u64,
}

/// How far the events of one actor are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockEntry {
    /// All events up to this one.
    pub counter: u64,
    /// When the last of them was made; it only decides which entry is pruned first.
    pub stamp: Stamp,
}

/// A version vector: for each actor, how far its events on one key are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock(Pairs<Incarnation, ClockEntry>);

impl Clock {
    /// Whether the event is among those known.
    #[must_use]
    pub fn covers(&self, dot: Dot) -> bool {
        self.0.get(dot.actor).is_some_and(|entry| dot.counter <= entry.counter)
    }

    /// How far the events of an actor are known; zero if not at all.
    #[must_use]
    pub fn counter_of(&self, actor: Incarnation) -> u64 {
        self.0.get(actor).map_or(0, |entry| entry.counter)
    }

    /// Takes in all events of another clock. Returns whether any of them was not known.
    pub fn merge(&mut self, other: &Self) -> bool {
        let mut learned = false;
        for (actor, theirs) in other.entries() {
            learned |= self.learn(actor, theirs);
        }
        learned
    }

    /// Takes in one event and, with it, all earlier ones of its actor.
    pub fn advance(&mut self, dot: Dot, stamp: Stamp) {
        self.learn(dot.actor, ClockEntry { counter: dot.counter, stamp });
    }

    fn learn(&mut self, actor: Incarnation, theirs: ClockEntry) -> bool {
        let is_new = self.0.get(actor).is_none_or(|mine| mine.counter < theirs.counter);
        let mine = self.0.get_or_insert(actor, theirs);
        if (theirs.counter, theirs.stamp) > (mine.counter, mine.stamp) {
            *mine = theirs;
        }
        is_new
    }

    /// The pairs \[actor:counter\], by actor.
    pub fn entries(&self) -> impl Iterator<Item = (Incarnation, ClockEntry)> + '_ {
        self.0.iter().map(|(actor, entry)| (actor, *entry))
    }

    /// How many pairs there are.
    #[must_use]
    pub fn pairs(&self) -> u64 {
        self.0.len() as u64
    }
}

/// What a client has seen of a key: opaque to it, handed back with its next write.
///
/// It names its key, because under another key of the partition the same counters stand for writes
/// that the client has never seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    clock: Clock,
    /// The hash of the key; any if nothing was seen.
    key: u64,
}

impl Context {
    /// What has been seen of this key.
    #[must_use]
    pub fn of(key: &[u8], clock: Clock) -> Self {
        Self { clock, key: hash::of(key) }
    }

    /// The events that were seen.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether it may be used for this key.
    #[must_use]
    pub fn is_of(&self, key: &[u8]) -> bool {
        self.clock.pairs() == 0 || self.key == hash::of(key)
    }

    /// The context as text that fits into a header.
    #[must_use]
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(codec::encode_frame(self))
    }

    /// The context of a text made by [`Context::to_text`], or nothing if it was not.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        codec::decode_frame(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

/// One value that no known write has replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sibling {
    /// When it was written, by the hybrid clock of its coordinator.
    pub stamp: Stamp,
    /// The value; none if the write was a delete.
    pub value: Option<Bytes>,
}

/// What a replica keeps under one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    clock: Clock,
    siblings: Pairs<Dot, Sibling>,
}

impl Object {
    /// Records a write that has seen so much: it replaces the siblings that are covered by that and
    /// stands beside the others.
    pub fn write(&mut self, seen: &Clock, dot: Dot, sibling: Sibling) {
        debug_assert!(!self.clock.covers(dot), "a dot is used once");
        self.siblings.retain(|known, _| !seen.covers(known));
        self.clock.merge(seen);
        self.clock.advance(dot, sibling.stamp);
        self.siblings.insert(dot, sibling);
    }

    /// Joins two copies: a sibling stays if both have it or the other has not seen it.
    /// Commutative, associative and idempotent. Returns whether it is no longer level with what it was.
    pub fn merge(&mut self, other: &Self) -> bool {
        let before = self.siblings.len();
        self.siblings.retain(|dot, _| other.siblings.contains(dot) || !other.clock.covers(dot));
        let mut changed = self.siblings.len() < before;
        for (dot, sibling) in other.siblings() {
            if !self.clock.covers(dot) {
                self.siblings.insert(dot, sibling.clone());
                changed = true;
            }
        }
        self.clock.merge(&other.clock) || changed
    }

    /// Drops the oldest pairs of the clock until at most `threshold` are left (DeCandia et al.,
    /// "Dynamo", 2007, section 4.4). The pair of `newest` and those of live siblings always stay.
    /// Returns how many were dropped. Only the coordinator of a client's write may do this: anywhere
    /// else two copies would take turns in pruning and restoring each other.
    pub fn prune(&mut self, threshold: u64, newest: Dot) -> u64 {
        let mut dropped = 0;
        while self.clock.pairs() > threshold {
            let oldest = self
                .clock
                .entries()
                .filter(|(actor, _)| *actor != newest.actor && !self.backs_sibling(*actor))
                .min_by_key(|(actor, entry)| (entry.stamp, *actor));
            let Some((actor, _)) = oldest else { break };
            self.clock.0.remove(actor);
            dropped += 1;
        }
        dropped
    }

    fn backs_sibling(&self, actor: Incarnation) -> bool {
        self.siblings.keys().any(|dot| dot.actor == actor)
    }

    /// What has been seen.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The values that no known write has replaced, deletes among them, by dot.
    pub fn siblings(&self) -> impl ExactSizeIterator<Item = (Dot, &Sibling)> {
        self.siblings.iter()
    }

    /// Whether any sibling holds a value.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.siblings.values().any(|sibling| sibling.value.is_some())
    }

    /// Whether two copies have seen the same events and hold the same siblings. Stamps do not count,
    /// for they may differ where nothing else does.
    #[must_use]
    pub fn is_level_with(&self, other: &Self) -> bool {
        let counter = |(actor, entry): (Incarnation, ClockEntry)| (actor, entry.counter);
        self.siblings.keys().eq(other.siblings.keys())
            && self.clock.entries().map(counter).eq(other.clock.entries().map(counter))
    }

    /// A number that is the same for copies that are level with each other.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let dots: Vec<Dot> = self.siblings.keys().collect();
        let counters: Vec<(Incarnation, u64)> =
            self.clock.entries().map(|(actor, entry)| (actor, entry.counter)).collect();
        hash::of(&codec::encode(&(dots, counters)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn dot(actor: u64, counter: u64) -> Dot {
        Dot { actor: Incarnation(actor), counter }
    }

    fn value(text: &'static str, stamp: u64) -> Sibling {
        Sibling { stamp: Stamp(stamp), value: Some(Bytes::from_static(text.as_bytes())) }
    }

    fn dots(object: &Object) -> Vec<Dot> {
        object.siblings().map(|(dot, _)| dot).collect()
    }

    #[test]
    fn a_write_that_saw_the_other_replaces_it() {
        let mut object = Object::default();
        object.write(&Clock::default(), dot(1, 1), value("a", 1));
        let seen = object.clock().clone();
        object.write(&seen, dot(1, 2), value("b", 2));
        assert_eq!(dots(&object), [dot(1, 2)]);
    }

    #[test]
    fn interleaved_stale_writes_through_one_server_do_not_pile_up() {
        let mut object = Object::default();
        object.write(&Clock::default(), dot(1, 1), value("x", 1));
        let mut seen = [object.clock().clone(), object.clock().clone()];
        for counter in 2..200 {
            let client = (counter % 2) as usize;
            object.write(&seen[client], dot(1, counter), value("x", counter));
            seen[client] = object.clock().clone();
        }
        assert!(dots(&object).len() <= 2, "{:?}", dots(&object));
    }

    #[test]
    fn a_write_concurrent_with_a_delete_survives_the_merge() {
        let mut base = Object::default();
        base.write(&Clock::default(), dot(1, 1), value("a", 1));
        let (mut left, mut right) = (base.clone(), base.clone());
        left.write(base.clock(), dot(1, 2), Sibling { stamp: Stamp(2), value: None });
        right.write(base.clock(), dot(2, 1), value("b", 2));
        left.merge(&right);
        assert_eq!(dots(&left), [dot(1, 2), dot(2, 1)]);
        assert!(left.is_live());
    }

    /// Random copies, grown from writes at three actors and merges among them.
    fn random_copies(rng: &mut Rng) -> Vec<Object> {
        let mut copies = alloc::vec![Object::default(); 3];
        let mut counters = [0; 3];
        for step in 0..rng.between(1, 30) {
            let at = rng.below(3) as usize;
            if rng.below(3) == 0 {
                let from = copies[rng.below(3) as usize].clone();
                copies[at].merge(&from);
            } else {
                let seen =
                    if rng.below(2) == 0 { copies[at].clock().clone() } else { Clock::default() };
                counters[at] += 1;
                let new = dot(at as u64, counters[at]);
                copies[at].write(&seen, new, value("v", step));
                if rng.below(4) == 0 {
                    copies[at].prune(2, new);
                }
            }
        }
        copies
    }

    #[test]
    fn merging_is_commutative_associative_and_idempotent() {
        let mut rng = Rng::new(11);
        let merged = |parts: &[&Object]| {
            let mut all = parts[0].clone();
            for part in &parts[1..] {
                all.merge(part);
            }
            all
        };
        for _ in 0..2_000 {
            let copies = random_copies(&mut rng);
            let [a, b, c] = [&copies[0], &copies[1], &copies[2]];
            assert_eq!(merged(&[a, b]).digest(), merged(&[b, a]).digest());
            assert_eq!(merged(&[a, a]), *a);
            assert!(merged(&[a, b]).is_level_with(&merged(&[b, a])));
            assert_eq!(a.clone().merge(b), !merged(&[a, b]).is_level_with(a));
            assert_eq!(a.is_level_with(b), a.digest() == b.digest());
            let bc = merged(&[b, c]);
            assert_eq!(merged(&[a, b, c]).digest(), merged(&[a, &bc]).digest());
        }
    }

    #[test]
    fn pruning_drops_the_oldest_pair_and_never_that_of_a_live_value() {
        let mut object = Object::default();
        for actor in 1..=4 {
            object.write(&object.clock().clone(), dot(actor, 1), value("v", actor));
        }
        assert_eq!(object.prune(2, dot(4, 1)), 2);
        assert_eq!(object.clock().counter_of(Incarnation(3)), 1);
        assert_eq!(object.clock().counter_of(Incarnation(1)), 0);
        assert_eq!(object.prune(0, dot(9, 1)), 1);
        assert_eq!(dots(&object), [dot(4, 1)]);
        assert_eq!(object.clock().counter_of(Incarnation(4)), 1);
    }

    #[test]
    fn a_context_survives_its_text_and_nonsense_is_none() {
        let mut clock = Clock::default();
        clock.advance(dot(7, 9), Stamp(3));
        let context = Context::of(b"k", clock);
        assert_eq!(Context::from_text(&context.to_text()).as_ref(), Some(&context));
        assert!(context.is_of(b"k") && !context.is_of(b"l"));
        assert!(Context::default().is_of(b"l"));
        assert_eq!(Context::from_text("nonsense!"), None);
        assert_eq!(Context::from_text(""), None);
    }
}
