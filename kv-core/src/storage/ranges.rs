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
        let mut reached = start;
        for piece in &self.pieces {
            let newest = piece.revisions.first().copied().unwrap_or(0);
            if piece.start.as_ref() <= reached && reached < piece.end.as_ref() && revision <= newest
            {
                reached = piece.end.as_ref();
            }
        }
        end <= reached
    }

    /// Adds a removal. `snapshots`, ascending, tells which older ones must stay beside newer ones.
    pub(super) fn add(&mut self, start: &Bytes, end: &Bytes, revision: u64, snapshots: &[u64]) {
        let mut pieces = Vec::with_capacity(self.pieces.len() + 2);
        // What of the new range lies behind all pieces looked at so far.
        let mut from = start.clone();
        for piece in self.pieces.drain(..) {
            if piece.end <= *start || *end <= piece.start {
                if *end <= piece.start && from < *end {
                    join(&mut pieces, Piece::of(&from, end, revision));
                    from = end.clone();
                }
                join(&mut pieces, piece);
                continue;
            }
            if from < piece.start {
                join(&mut pieces, Piece::of(&from, &piece.start, revision));
            }
            let Piece { start: left, end: right, revisions } = piece;
            if left < *start {
                let revisions = revisions.clone();
                join(&mut pieces, Piece { start: left.clone(), end: start.clone(), revisions });
            }
            let (inner_start, inner_end) =
                (left.max(start.clone()), right.clone().min(end.clone()));
            let both = with(&revisions, revision, snapshots);
            join(
                &mut pieces,
                Piece { start: inner_start, end: inner_end.clone(), revisions: both },
            );
            if *end < right {
                join(&mut pieces, Piece { start: end.clone(), end: right, revisions });
            }
            from = inner_end;
        }
        if from < *end {
            join(&mut pieces, Piece::of(&from, end, revision));
        }
        self.pieces = pieces;
        debug_assert!(self.is_sound());
    }

    /// Adds all removals of another.
    pub(super) fn add_all(&mut self, other: &Self, snapshots: &[u64]) {
        for piece in &other.pieces {
            for revision in piece.revisions.iter().rev() {
                self.add(&piece.start, &piece.end, *revision, snapshots);
            }
        }
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

impl Piece {
    fn of(start: &Bytes, end: &Bytes, revision: u64) -> Self {
        Self { start: start.clone(), end: end.clone(), revisions: alloc::vec![revision] }
    }
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

/// The revisions with one more, without those that no snapshot sees.
fn with(revisions: &[u64], revision: u64, snapshots: &[u64]) -> Vec<u64> {
    let mut all = revisions.to_vec();
    let place = all.partition_point(|other| *other > revision);
    if all.get(place) != Some(&revision) {
        all.insert(place, revision);
    }
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
            for revision in 1..=rng.below(20) {
                let (start, end) = (rng.below(30), rng.below(31));
                if start < end {
                    ranges.add(&key(start), &key(end), revision, &snapshots);
                    all.push((start, end, revision));
                }
            }
            assert!(ranges.is_sound());
            for at in 0..31 {
                for upto in snapshots.iter().copied().chain([u64::MAX]) {
                    let expected = all
                        .iter()
                        .filter(|(start, end, revision)| {
                            (*start..*end).contains(&at) && *revision <= upto
                        })
                        .map(|(_, _, revision)| *revision)
                        .max();
                    assert_eq!(ranges.covering(&key(at), upto), expected.unwrap_or(0));
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
