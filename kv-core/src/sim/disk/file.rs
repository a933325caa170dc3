//! One file: what reading sees, what is durable, and the changes in between.
//!
//! A device writes sectors, in any order. So of the changes that were not synced a crash keeps some: each
//! sector has gone through the first few of those that touch it, none of them up to all. A file that
//! was growing may end anywhere between where it began and where it would end, and bytes that it has
//! but that were lost are zeros. That the file was shortened is kept or lost in the order in which it
//! happened, and what followed a lost one is lost as well.

use alloc::vec::Vec;

use bytes::Bytes;

use super::Harm;
use super::content::Content;
use crate::ordered::Map;
use crate::rng::Rng;

/// What a device writes whole or not at all, in bytes.
pub(super) const SECTOR: u64 = 512;

/// A file that is there.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    /// What reading sees.
    now: Content,
    /// What no crash can take; none if not even the file's existence is durable.
    durable: Option<Content>,
    /// What was done since, oldest first.
    pending: Vec<Change>,
    /// Whether changes are no longer pending and yet not durable: a sync failed.
    forgot: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, bytes: Bytes },
    Grow { length: u64 },
    Cut { length: u64 },
}

impl File {
    /// A new file of so many zeros.
    pub(super) fn new(room: u64) -> Self {
        let mut file = Self::default();
        file.now.grow(room);
        file.pending.push(Change::Grow { length: room });
        file
    }

    /// A file that came out of a crash.
    pub(super) fn left(content: Content) -> Self {
        Self { now: content.clone(), durable: Some(content), ..Self::default() }
    }

    pub(super) fn now(&self) -> &Content {
        &self.now
    }

    /// What no crash can take, if the file's existence is durable.
    pub(super) fn durable(&self) -> Option<&Content> {
        self.durable.as_ref()
    }

    /// Whether a sync has nothing to do.
    pub(super) fn is_durable(&self) -> bool {
        self.durable.is_some() && self.pending.is_empty()
    }

    pub(super) fn write_at(&mut self, offset: u64, bytes: &[u8]) {
        self.now.write_at(offset, bytes);
        self.pending.push(Change::Write { offset, bytes: Bytes::copy_from_slice(bytes) });
    }

    pub(super) fn truncate(&mut self, length: u64) {
        self.now.truncate(length);
        self.pending.push(Change::Cut { length });
    }

    /// Turns over a bit that lies on the device, whoever reads it. One that was not synced is turned
    /// over in memory only.
    pub(super) fn flip(&mut self, offset: u64, bit: u8) {
        self.now.flip(offset, bit);
        if let Some(durable) = &mut self.durable {
            durable.flip(offset, bit);
        }
    }

    /// Makes durable that it exists and its bytes before `upto`. Bytes behind that stay pending.
    pub(super) fn sync(&mut self, upto: u64) {
        let behind = |change: &Change| match change {
            Change::Write { offset, bytes } => offset + bytes.len() as u64 > upto,
            Change::Grow { .. } | Change::Cut { .. } => false,
        };
        if !self.forgot && !self.pending.iter().any(behind) {
            self.sync_all();
            return;
        }
        let durable = self.durable.get_or_insert_default();
        // What was done before the file was last shortened is covered whole: that is more than was
        // asked for, and keeps their order.
        let cut = self.pending.iter().rposition(|change| matches!(change, Change::Cut { .. }));
        for (index, change) in core::mem::take(&mut self.pending).into_iter().enumerate() {
            match change {
                Change::Write { offset, mut bytes } => {
                    let covered = match cut {
                        Some(cut) if index < cut => bytes.len() as u64,
                        _ => upto.saturating_sub(offset).min(bytes.len() as u64),
                    };
                    durable.write_at(offset, &bytes.split_to(covered as usize));
                    if !bytes.is_empty() {
                        self.pending.push(Change::Write { offset: offset + covered, bytes });
                    }
                }
                Change::Grow { length } => durable.grow(length),
                Change::Cut { length } => durable.truncate(length),
            }
        }
    }

    /// Makes durable what reading sees.
    fn sync_all(&mut self) {
        let grown = |change: &Change| !matches!(change, Change::Write { .. });
        match &mut self.durable {
            // A log is written again and again; what is shared would have to be copied each time.
            Some(durable) if !self.pending.iter().any(grown) => {
                for change in &self.pending {
                    if let Change::Write { offset, bytes } = change {
                        durable.write_at(*offset, bytes);
                    }
                }
            }
            _ => self.durable = Some(self.now.clone()),
        }
        self.pending.clear();
    }

    /// What is pending will never be durable, though it is still seen until the next crash.
    pub(super) fn forget(&mut self) {
        self.forgot = true;
        self.pending.clear();
    }

    /// What a crash leaves of it.
    pub(super) fn crash(&self, rng: &mut Rng) -> Content {
        let kept = self.changes_in_order(rng);
        let sectors = Survivors::draw(kept, rng);
        let mut left = self.durable.clone().unwrap_or_default();
        let (low, high) = sectors.replay(kept, &mut left);
        let length = match rng.below(3) {
            0 => left.len(),
            1 => high,
            _ => rng.between(low, high),
        };
        left.truncate(length);
        left.grow(length);
        left
    }

    /// Counts the pending writes that a crash which has left this, or not even the file, took in part or
    /// whole: where reading saw something else before.
    pub(super) fn add_harm(&self, left: Option<&Content>, harm: &mut Harm) {
        let taken = |(place, piece): &(u64, &[u8])| {
            let read = |content: &Content| content.read_at(*place, piece.len() as u64);
            // What was cut off since nobody misses.
            read(&self.now).is_some_and(|seen| left.and_then(read) != Some(seen))
        };
        for change in &self.pending {
            match (change.pieces().filter(taken).count(), change.pieces().count()) {
                (0, _) => {}
                (taken, all) if taken == all => harm.lost += 1,
                _ => harm.torn += 1,
            }
        }
    }

    /// The pending changes up to the first cut that is lost.
    fn changes_in_order(&self, rng: &mut Rng) -> &[Change] {
        let is_cut = |change: &&Change| matches!(change, Change::Cut { .. });
        let cuts = self.pending.iter().filter(is_cut).count() as u64;
        let mut kept = rng.below(cuts + 1);
        let end = self.pending.iter().position(|change| {
            let lost = is_cut(&change) && kept == 0;
            kept -= u64::from(is_cut(&change) && !lost);
            lost
        });
        &self.pending[..end.unwrap_or(self.pending.len())]
    }
}

/// How many of the writes that touch a sector have reached the device, for each sector.
struct Survivors(Map<u64, u64>);

impl Survivors {
    /// Mostly each sector for itself. But such a state almost never has everything, nothing, or all up
    /// to some moment, so these have chances of their own; as has a hole in what is whole otherwise.
    fn draw(changes: &[Change], rng: &mut Rng) -> Self {
        let all = changes.len();
        let (whole, torn, odds) = match rng.below(8) {
            0 => (0, 0, 1),
            1 => (all, all, 1),
            2 | 3 => {
                let whole = rng.below(all as u64 + 1) as usize;
                (whole, all.min(whole + 1), 1)
            }
            4 => (0, all, 16),
            _ => (0, all, 1),
        };
        let mut kept = Self::touches(&changes[..whole]);
        for (sector, count) in Self::touches(&changes[whole..torn]) {
            let reached = if rng.below(odds) == 0 { rng.below(count + 1) } else { count };
            *kept.entry(sector).or_insert(0) += reached;
        }
        Self(kept)
    }

    /// How many writes touch each sector.
    fn touches(changes: &[Change]) -> Map<u64, u64> {
        let mut touches = Map::new();
        for change in changes {
            for (place, _) in change.pieces() {
                *touches.entry(place / SECTOR).or_insert(0) += 1;
            }
        }
        touches
    }

    /// Does to the durable bytes what has reached the device. Returns between which lengths the file may
    /// end.
    fn replay(mut self, changes: &[Change], left: &mut Content) -> (u64, u64) {
        let (mut low, mut high) = (left.len(), left.len());
        for change in changes {
            match change {
                Change::Write { offset, bytes } => high = high.max(offset + bytes.len() as u64),
                Change::Grow { length } => high = high.max(*length),
                Change::Cut { length } => {
                    left.truncate(*length);
                    (low, high) = (low.min(*length), *length);
                }
            }
            for (place, piece) in change.pieces() {
                if let Some(count @ 1..) = self.0.get_mut(&(place / SECTOR)) {
                    *count -= 1;
                    left.write_at(place, piece);
                }
            }
        }
        (low, high)
    }
}

impl Change {
    /// What it writes to each sector, and where.
    fn pieces(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let (mut place, mut rest) = match self {
            Self::Write { offset, bytes } => (*offset, &bytes[..]),
            Self::Grow { .. } | Self::Cut { .. } => (0, &[][..]),
        };
        core::iter::from_fn(move || {
            let fits = rest.len().min((SECTOR - place % SECTOR) as usize);
            let (piece, behind) = rest.split_at(fits);
            let at = place;
            (place, rest) = (place + fits as u64, behind);
            (!piece.is_empty()).then_some((at, piece))
        })
    }
}
