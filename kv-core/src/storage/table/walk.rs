//! Goes through a table in order, forward or backward, reading ahead when it goes on for long.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use super::super::memtable::Version;
use super::behind;
use super::block::{Block, Walk};
use super::index::Span;
use super::reader::{Table, Unreadable, failed};
use crate::disk::Disk;

/// A place in a table.
#[derive(Clone, Debug)]
pub(in super::super) struct TableWalk {
    table: Arc<Table>,
    /// The block that the place is in, or that could not be read.
    block: usize,
    way: Way,
    ahead: Ahead,
}

/// Forward a block is read as it stands; backward it is taken apart first, for a version says only how
/// it differs from the one before.
#[derive(Clone, Debug)]
enum Way {
    Forward(Walk, bool),
    Backward { block: Block, rows: Vec<Row> },
}

#[derive(Clone, Debug)]
struct Row {
    key: Vec<u8>,
    revision: u64,
    value: Option<Range<usize>>,
}

/// Bytes of the file that were read before they were needed.
#[derive(Clone, Debug, Default)]
struct Ahead {
    bytes: Bytes,
    at: u64,
    /// How much is read next.
    window: u64,
}

/// The first and the greatest amount that is read ahead.
const WINDOW: Range<u64> = 16 * 1_024..256 * 1_024;

impl TableWalk {
    /// Before the first key that is not smaller than `start`.
    pub(in super::super) fn forward(
        table: &Arc<Table>,
        start: &[u8],
        whole: bool,
        disk: &impl Disk,
    ) -> (Self, Result<(), Unreadable>) {
        let block = table.index().map_or(0, |index| index.seek(start));
        let window = if whole { WINDOW.end } else { 0 };
        let mut walk = Self {
            table: Arc::clone(table),
            block,
            way: Way::Forward(Walk::default(), false),
            ahead: Ahead { window, ..Ahead::default() },
        };
        let mut result = walk.enter(disk);
        while result.is_ok() && walk.current().is_some_and(|version| version.key < start) {
            result = walk.step(disk);
        }
        (walk, result)
    }

    /// Behind the last key that is smaller than `end`, or behind all.
    pub(in super::super) fn backward(
        table: &Arc<Table>,
        end: Option<&[u8]>,
        disk: &impl Disk,
    ) -> (Self, Result<(), Unreadable>) {
        let blocks = table.index().map_or(0, |index| index.len());
        let block = match (end, table.index()) {
            // Versions of the last key before `end` may begin in this block or in the one before.
            (Some(end), Ok(index)) => index.seek(end).min(blocks.saturating_sub(1)),
            _ => blocks.saturating_sub(1),
        };
        let way = Way::Backward { block: Block::default(), rows: Vec::new() };
        let mut walk = Self { table: Arc::clone(table), block, way, ahead: Ahead::default() };
        let mut result = walk.enter(disk);
        while result.is_ok()
            && end.is_some_and(|end| walk.current().is_some_and(|version| end <= version.key))
        {
            result = walk.step(disk);
        }
        (walk, result)
    }

    /// The version at this place; none behind the last.
    pub(in super::super) fn current(&self) -> Option<Version<'_>> {
        match &self.way {
            Way::Forward(walk, true) => {
                Some(Version { key: walk.key(), revision: walk.revision(), value: walk.value() })
            }
            Way::Forward(_, false) => None,
            Way::Backward { block, rows } => rows.last().map(|row| Version {
                key: &row.key,
                revision: row.revision,
                value: row.value.clone().map(|range| &block.bytes()[range]),
            }),
        }
    }

    /// The value at this place, sharing the memory of its block.
    pub(in super::super) fn value(&self) -> Option<Bytes> {
        match &self.way {
            Way::Forward(walk, _) => walk.shared_value(),
            Way::Backward { block, rows } => {
                let range = rows.last()?.value.clone()?;
                Some(block.bytes().slice(range))
            }
        }
    }

    /// Goes on by one version. After an error the place is before the block that cannot be read.
    pub(in super::super) fn step(&mut self, disk: &impl Disk) -> Result<(), Unreadable> {
        match &mut self.way {
            Way::Forward(walk, valid) => {
                *valid = walk.step();
                if *valid {
                    return Ok(());
                }
                if !walk.is_done() {
                    return Err(self.broken_block());
                }
                self.block += 1;
                self.enter(disk)
            }
            Way::Backward { rows, .. } => {
                rows.pop();
                if !rows.is_empty() {
                    return Ok(());
                }
                match self.block.checked_sub(1) {
                    Some(block) => self.block = block,
                    None => return Ok(()),
                }
                self.enter(disk)
            }
        }
    }

    /// Gives up a block that cannot be read, after an error, and goes on behind it.
    /// Returns the keys that were in it: from the first on and before the second.
    pub(in super::super) fn skip(&mut self) -> (Bytes, Bytes) {
        let properties = &self.table.meta.properties;
        let Ok(index) = self.table.index() else {
            return (properties.first.clone(), properties.end.clone());
        };
        let start = match self.block.checked_sub(1) {
            Some(before) => Bytes::copy_from_slice(index.separator(before)),
            None => properties.first.clone(),
        };
        let end = behind(index.separator(self.block));
        // An empty block that is done: the next step enters the one behind.
        match &mut self.way {
            Way::Forward(walk, valid) => (*walk, *valid) = (Walk::default(), false),
            Way::Backward { rows, .. } => rows.clear(),
        }
        (start, end)
    }

    /// Takes up the block of this place.
    fn enter(&mut self, disk: &impl Disk) -> Result<(), Unreadable> {
        let index = self.table.index()?;
        let Some(span) = index.span(self.block) else {
            self.way = Way::Forward(Walk::default(), false);
            return Ok(());
        };
        let blocks_end = index.blocks_end();
        let sequential = matches!(self.way, Way::Forward(..));
        let section = self.ahead.read(&self.table, span, sequential.then_some(blocks_end), disk)?;
        let entered = self.table.unseal(span.offset, &section)?;
        let sound = match &mut self.way {
            Way::Forward(walk, valid) => {
                walk.enter(entered);
                *valid = walk.step();
                *valid
            }
            Way::Backward { block, rows } => {
                *block = entered;
                take_apart(block, rows)
            }
        };
        if sound { Ok(()) } else { Err(self.broken_block()) }
    }

    fn broken_block(&mut self) -> Unreadable {
        self.way = match self.way {
            Way::Forward(..) => Way::Forward(Walk::default(), false),
            Way::Backward { .. } => Way::Backward { block: Block::default(), rows: Vec::new() },
        };
        let span = self.table.index().ok().and_then(|index| index.span(self.block));
        self.table.damaged(span.map_or(0, |span| span.offset))
    }
}

impl Ahead {
    /// A section of the table. If `upto` is given the next ones will be wanted, as far as there.
    fn read(
        &mut self,
        table: &Table,
        span: Span,
        upto: Option<u64>,
        disk: &impl Disk,
    ) -> Result<Bytes, Unreadable> {
        if let Some(from) = span.offset.checked_sub(self.at)
            && from + span.length <= self.bytes.len() as u64
        {
            return Ok(self.bytes.slice(from as usize..(from + span.length) as usize));
        }
        let file = table.meta.file;
        let wanted = match upto {
            Some(end) => self.window.min(end - span.offset).max(span.length),
            None => span.length,
        };
        self.window = (self.window * 2).clamp(WINDOW.start, WINDOW.end);
        let read = match disk.read_at(file, span.offset, wanted) {
            // What lies ahead may be what cannot be read.
            Err(_) if wanted > span.length => disk.read_at(file, span.offset, span.length),
            read => read,
        };
        self.bytes = read.map(Bytes::from).map_err(|error| failed(file, span.offset, error))?;
        self.at = span.offset;
        Ok(self.bytes.slice(..span.length as usize))
    }
}

/// All versions of a block in their order. False if there are other bytes in it, or none.
fn take_apart(block: &Block, rows: &mut Vec<Row>) -> bool {
    rows.clear();
    let mut walk = Walk::new(block.clone());
    while walk.step() {
        let value = walk.value_range();
        rows.push(Row { key: walk.key().to_vec(), revision: walk.revision(), value });
    }
    walk.is_done() && !rows.is_empty()
}
