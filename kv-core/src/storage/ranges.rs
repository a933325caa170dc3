//! Removed ranges: for each key, at which revisions a removal covered it.
//!
//! The removals of one memtable or table are cut where they overlap, so that a key is looked up by one
//! binary search. A removal hides whatever is older. Older removals under a newer one are kept only as
//! far as a snapshot may still see them; neighbours that say the same are joined. So a log that is
//! truncated at its front a thousand times leaves one range.

use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Removed ranges without overlaps, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ranges {
    pieces: Vec<Piece>,
}

/// The keys from `start` on and before `end`, and when they were removed, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) start: Bytes,
    pub(super) end: Bytes,
    pub(super) revisions: Vec<u64>,
}

impl Ranges {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Whether these are pieces as [`Self::add`] leaves them.
    pub(super) fn is_sound(&self) -> bool {
        let apart = self.pieces.windows(2).all(|pair| pair[0].end <= pair[1].start);
        apart
            && self.pieces.iter().all(|piece| {
                let falling = piece.revisions.windows(2).all(|pair| pair[0] > pair[1]);
                piece.start < piece.end && !piece.revisions.is_empty() && falling
            })
    }

    /// The newest revision, not above `upto`, at which a removal covered the key; 0 if none did.
    pub(super) fn covering(&self, key: &[u8], upto: u64) -> u64 {
        let behind = self.pieces.partition_point(|piece| piece.start.as_ref() <= key);
        let Some(piece) = behind.checked_sub(1).and_then(|at| self.pieces.get(at)) else {
            return 0;
        };
        if piece.end.as_ref() <= key {
            return 0;
        }
        piece.revisions.iter().copied().find(|revision| *revision <= upto).unwrap_or(0)
    }

    /// Whether removals not older than `revision` cover every key from `start` on and before `end`.
    pub(super) fn cover(&self, start: &[u8], end: &[u8], revision: u64) -> bool {
        cover([self], (start, end), revision, u64::MAX)
    }

    /// Where the piece ends that covers this key, if a removal of it lies from `revision` on up to `upto`.
    fn covered_to(&self, key: &[u8], revision: u64, upto: u64) -> Option<&[u8]> {
        let behind = self.pieces.partition_point(|piece| piece.start.as_ref() <= key);
        let piece = self.pieces.get(behind.checked_sub(1)?)?;
        let newest = piece.revisions.iter().find(|at| **at <= upto)?;
        (key < piece.end.as_ref() && revision <= *newest).then_some(piece.end.as_ref())
    }

    /// Adds a removal. `snapshots`, ascending, tells which older ones must stay beside newer ones.
    /// Returns the bytes of the pieces that it changed, before and after.
    pub(super) fn add(
        &mut self,
        start: &Bytes,
        end: &Bytes,
        revision: u64,
        snapshots: &[u64],
    ) -> (u64, u64) {
        if end <= start {
            return (0, 0);
        }
        // Neighbours that it only touches may be joined with it.
        let from = self.pieces.partition_point(|piece| piece.end < *start);
        let to = self.pieces.partition_point(|piece| piece.start <= *end);
        let (start, end) = (start.clone(), end.clone());
        let new = Piece { start, end, revisions: alloc::vec![revision] };
        let changed = merged(&self.pieces[from..to], &[new], snapshots);
        let bytes = |pieces: &[Piece]| pieces.iter().map(Piece::bytes).sum();
        let (before, after) = (bytes(&self.pieces[from..to]), bytes(&changed));
        self.pieces.splice(from..to, changed);
        debug_assert!(self.is_sound());
        (before, after)
    }

    /// Adds all removals of another.
    pub(super) fn add_all(&mut self, other: &Self, snapshots: &[u64]) {
        self.pieces = merged(&self.pieces, &other.pieces, snapshots);
        debug_assert!(self.is_sound());
    }

    /// What of them lies from `start` on and before `end`; to the last if there is no `end`.
    pub(super) fn within(&self, start: &Bytes, end: Option<&Bytes>) -> Self {
        let clipped = self.pieces.iter().filter_map(|piece| {
            let from = start.max(&piece.start).clone();
            let to = end.map_or(&piece.end, |end| end.min(&piece.end)).clone();
            (from < to).then(|| Piece { start: from, end: to, revisions: piece.revisions.clone() })
        });
        Self { pieces: clipped.collect() }
    }

    /// Forgets the removals that nothing older can exist for: those up to `revision`.
    pub(super) fn drop_upto(&mut self, revision: u64) {
        for piece in &mut self.pieces {
            piece.revisions.retain(|at| *at > revision);
        }
        self.pieces.retain(|piece| !piece.revisions.is_empty());
    }
}

/// Whether together, removals from `revision` on up to `upto` cover every key from the first on and before
/// the second.
pub(super) fn cover<'a>(
    all: impl IntoIterator<Item = &'a Ranges> + Clone,
    (start, end): (&[u8], &[u8]),
    revision: u64,
    upto: u64,
) -> bool {
    let mut reached = start;
    while reached < end {
        let ranges = all.clone().into_iter();
        let farthest = ranges.filter_map(|ranges| ranges.covered_to(reached, revision, upto)).max();
        let Some(farthest) = farthest else { return false };
        reached = farthest;
    }
    true
}

impl Piece {
    /// What it takes in memory, about, and the same on every machine.
    fn bytes(&self) -> u64 {
        (self.start.len() + self.end.len() + 8 * self.revisions.len()) as u64 + 32
    }
}

/// Pieces that are gone through from cut to cut.
struct Rest<'a> {
    /// Where what is left of the first one begins.
    start: Bytes,
    pieces: &'a [Piece],
}

impl<'a> Rest<'a> {
    fn of(pieces: &'a [Piece]) -> Self {
        Self { start: pieces.first().map(|piece| piece.start.clone()).unwrap_or_default(), pieces }
    }

    fn start(&self) -> Option<&Bytes> {
        self.pieces.first().map(|_| &self.start)
    }

    /// The next place behind this one where a piece begins or ends.
    fn cut_behind(&self, at: &Bytes) -> Option<&Bytes> {
        let piece = self.pieces.first()?;
        Some(if *at < self.start { &self.start } else { &piece.end })
    }

    fn revisions(&self, at: &Bytes) -> &[u64] {
        self.pieces.first().filter(|_| self.start <= *at).map_or(&[], |piece| &piece.revisions)
    }

    /// Goes on to the next cut.
    fn go_to(&mut self, at: &Bytes) {
        let Some((piece, rest)) = self.pieces.split_first() else { return };
        if piece.end <= *at {
            *self = Self::of(rest);
        } else if self.start < *at {
            self.start = at.clone();
        }
    }
}

/// The pieces of both, cut where they overlap.
fn merged(a: &[Piece], b: &[Piece], snapshots: &[u64]) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (Rest::of(a), Rest::of(b));
    while let Some(start) = a.start().into_iter().chain(b.start()).min().cloned() {
        let cuts = a.cut_behind(&start).into_iter().chain(b.cut_behind(&start));
        let Some(end) = cuts.min().cloned() else { break };
        let revisions = union(a.revisions(&start), b.revisions(&start), snapshots);
        a.go_to(&end);
        b.go_to(&end);
        join(&mut pieces, Piece { start, end, revisions });
    }
    pieces
}

/// Appends a piece, or joins it to the last if they say the same.
fn join(pieces: &mut Vec<Piece>, piece: Piece) {
    match pieces.last_mut() {
        Some(last) if last.end == piece.start && last.revisions == piece.revisions => {
            last.end = piece.end;
        }
        _ => pieces.push(piece),
    }
}

/// The revisions of both, without those that no snapshot sees.
fn union(a: &[u64], b: &[u64], snapshots: &[u64]) -> Vec<u64> {
    let mut all = [a, b].concat();
    if a.is_empty() || b.is_empty() {
        return all;
    }
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.dedup();
    let mut above: Option<u64> = None;
    all.retain(|older| {
        let seen = above.is_none_or(|newer| {
            // Some snapshot is not older than this one and older than the next newer.
            let at = snapshots.partition_point(|snapshot| snapshot < older);
            snapshots.get(at).is_some_and(|snapshot| *snapshot < newer)
        });
        if seen {
            above = Some(*older);
        }
        seen
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn key(number: u64) -> Bytes {
        Bytes::copy_from_slice(&[number as u8])
    }

    #[test]
    fn a_lookup_agrees_with_a_list_of_all_removals() {
        let mut rng = Rng::new(3);
        for _ in 0..300 {
            let mut snapshots: Vec<u64> = (0..rng.below(3)).map(|_| rng.below(20)).collect();
            snapshots.sort_unstable();
            let (mut ranges, mut all) = (Ranges::default(), Vec::new());
            // The same in two parts, as two tables have them.
            let mut parts = [Ranges::default(), Ranges::default()];
            let mut bytes = 0;
            for revision in 1..=rng.below(20) {
                let (start, end) = (key(rng.below(30)), key(rng.below(31)));
                let (before, after) = ranges.add(&start, &end, revision, &snapshots);
                bytes = bytes + after - before;
                parts[rng.below(2) as usize].add(&start, &end, revision, &snapshots);
                all.push((start[0]..end[0], revision));
            }
            assert!(ranges.is_sound());
            assert_eq!(ranges.pieces().iter().map(Piece::bytes).sum::<u64>(), bytes);
            let [mut joined, other] = parts;
            joined.add_all(&other, &snapshots);
            assert_eq!(joined, ranges);
            for at in 0..31_u8 {
                for upto in snapshots.iter().copied().chain([u64::MAX]) {
                    let expected = all
                        .iter()
                        .filter(|(keys, revision)| keys.contains(&at) && *revision <= upto)
                        .map(|(_, revision)| *revision)
                        .max();
                    assert_eq!(ranges.covering(&[at], upto), expected.unwrap_or(0));
                }
            }
        }
    }

    #[test]
    fn truncating_a_log_again_and_again_leaves_one_range() {
        let mut ranges = Ranges::default();
        for index in 1..200 {
            ranges.add(&key(0), &key(index), index, &[]);
        }
        assert_eq!(ranges.pieces().len(), 1);
        assert!(ranges.cover(&key(0), &key(199), 199) && !ranges.cover(&key(0), &key(200), 1));
        let middle = ranges.within(&key(5), Some(&key(7)));
        assert_eq!((middle.covering(&key(4), 999), middle.covering(&key(5), 999)), (0, 199));
    }
}
