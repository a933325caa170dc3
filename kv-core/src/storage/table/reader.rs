//! An open table: its filter, index and removed ranges in memory, its blocks on the disk.

use core::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::super::cache::Cache;
use super::super::filter::Filter;
use super::super::ranges::Ranges;
use super::block::{Block, Search};
use super::index::{Index, Span};
use super::section::{self, checksum};
use super::{Described, FOOTER, FORMAT, MAGIC, Properties, TableMeta};
use crate::codec;
use crate::disk::{Disk, DiskError};
use crate::id::FileId;

/// A place in a table that cannot be read. What it held is not known to be absent: whoever needs it
/// must ask another replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// The file.
    pub file: FileId,
    /// Where in it.
    pub offset: u64,
    /// What the disk said; none if it gave bytes and they are damaged.
    pub error: Option<DiskError>,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "{} cannot be read at {}: {error}", self.file, self.offset),
            None => write!(f, "{} is damaged at offset {}", self.file, self.offset),
        }
    }
}

impl core::error::Error for Unreadable {}

/// A table of a store. One that cannot be read stays in its place, so that what it held is missed.
#[derive(Clone, Debug)]
pub(in super::super) struct Table {
    pub(in super::super) meta: TableMeta,
    parts: Result<Parts, Unreadable>,
}

#[derive(Clone, Debug)]
struct Parts {
    filter: Filter,
    index: Index,
    ranges: Ranges,
}

/// What a look into one table came to.
pub(in super::super) enum Found {
    /// The newest version, and its value.
    Version(u64, Option<Bytes>),
    /// The filter had said there may be one, and there is none.
    FalsePositive,
    /// There is none.
    Nothing,
}

impl Table {
    /// Opens a table that a root names.
    pub(in super::super) fn open(meta: TableMeta, disk: &impl Disk) -> Self {
        let parts = Self::read(meta.file, Some(&meta), disk).map(|(_, parts)| parts);
        Self { meta, parts }
    }

    /// Opens a file of which nothing is known but that it should be a table.
    pub(in super::super) fn open_file(file: FileId, disk: &impl Disk) -> Result<Self, Unreadable> {
        let (meta, parts) = Self::read(file, None, disk)?;
        Ok(Self { meta, parts: Ok(parts) })
    }

    /// Why nothing of it can be read, if so.
    pub(in super::super) fn fault(&self) -> Option<&Unreadable> {
        self.parts.as_ref().err()
    }

    /// The removed ranges.
    pub(in super::super) fn ranges(&self) -> Result<&Ranges, Unreadable> {
        self.parts().map(|parts| &parts.ranges)
    }

    pub(in super::super) fn index(&self) -> Result<&Index, Unreadable> {
        self.parts().map(|parts| &parts.index)
    }

    /// Bytes of the filter, and of filter and index in memory.
    pub(in super::super) fn memory(&self) -> (u64, u64) {
        self.parts.as_ref().map_or((0, 0), |parts| {
            let filter = parts.filter.bytes();
            (filter, filter + parts.index.bytes())
        })
    }

    /// Looks for the newest version of a key that is not above `upto`. `hash` is the key's.
    pub(in super::super) fn find(
        &self,
        key: &[u8],
        hash: u64,
        upto: u64,
        mut cache: Option<&mut Cache>,
        disk: &impl Disk,
    ) -> Result<Found, Unreadable> {
        let parts = self.parts()?;
        if !parts.filter.may_hold(hash) {
            return Ok(Found::Nothing);
        }
        let mut number = parts.index.seek(key);
        while let Some(span) = parts.index.span(number) {
            let block = self.block(span, cache.as_deref_mut(), disk)?;
            match block.find(key, upto) {
                Search::Found(revision, value) => return Ok(Found::Version(revision, value)),
                Search::Absent => break,
                // Versions of one key may fill the rest of a block and go on in the next.
                Search::Behind if parts.index.separator(number) == key => number += 1,
                Search::Behind => break,
            }
        }
        Ok(Found::FalsePositive)
    }

    /// Checks every section; returns how many there are.
    pub(in super::super) fn verify(&self, disk: &impl Disk) -> Result<u64, Unreadable> {
        let parts = self.parts()?;
        for number in 0..parts.index.len() {
            if let Some(span) = parts.index.span(number) {
                self.block(span, None, disk)?;
            }
        }
        Ok(parts.index.len() as u64)
    }

    /// Turns the section of a block into the block.
    pub(super) fn unseal(&self, offset: u64, section: &Bytes) -> Result<Block, Unreadable> {
        section::open(self.meta.file, offset, section)
            .and_then(Block::decode)
            .ok_or_else(|| self.damaged(offset))
    }

    pub(super) fn damaged(&self, offset: u64) -> Unreadable {
        Unreadable { file: self.meta.file, offset, error: None }
    }

    fn block(
        &self,
        span: Span,
        cache: Option<&mut Cache>,
        disk: &impl Disk,
    ) -> Result<Block, Unreadable> {
        let file = self.meta.file;
        let read = || {
            let section = read(file, span, disk)?;
            self.unseal(span.offset, &section)
        };
        match cache {
            Some(cache) => cache.block(file, span.offset, read),
            None => read(),
        }
    }

    fn parts(&self) -> Result<&Parts, Unreadable> {
        self.parts.as_ref().map_err(Clone::clone)
    }

    fn read(
        file: FileId,
        expected: Option<&TableMeta>,
        disk: &impl Disk,
    ) -> Result<(TableMeta, Parts), Unreadable> {
        let damaged = |offset| Unreadable { file, offset, error: None };
        let bytes = match expected {
            Some(meta) => meta.bytes,
            None => disk.len(file).map_err(|error| failed(file, 0, error))?,
        };
        let footer_at = bytes.checked_sub(FOOTER).ok_or_else(|| damaged(0))?;
        let footer = read(file, Span { offset: footer_at, length: FOOTER }, disk)?;
        let number = |at: usize| {
            footer[at..].first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
        };
        let (places, sum) = ([number(0), number(8), number(16)], number(36));
        let sound = checksum(file, footer_at, &footer[..36]) == sum
            && footer[24..28] == FORMAT.to_le_bytes()
            && footer[28..36] == *MAGIC
            && expected.is_none_or(|meta| meta.checksum == sum)
            && places[0] <= places[1]
            && places[1] <= places[2]
            && places[2] <= footer_at;
        if !sound {
            return Err(damaged(footer_at));
        }
        let section = |offset: u64, end: u64| {
            let section = read(file, Span { offset, length: end - offset }, disk)?;
            section::open(file, offset, &section).ok_or_else(|| damaged(offset))
        };
        let filter = section(places[0], places[1])?;
        let index = section(places[1], places[2])?;
        let described = section(places[2], footer_at)?;
        let described: Described = codec::decode(&described).map_err(|_| damaged(places[2]))?;
        let parts = Parts {
            filter: Filter::decode(&filter).ok_or_else(|| damaged(places[0]))?,
            index: Index::decode(index, places[0]).ok_or_else(|| damaged(places[1]))?,
            ranges: described.ranges,
        };
        let Described { properties, .. } = Described { ranges: Ranges::default(), ..described };
        let meta = TableMeta { file, bytes, checksum: sum, properties };
        match parts.ranges.is_sound() && is_sound(&meta.properties) {
            true => Ok((meta, parts)),
            false => Err(damaged(places[2])),
        }
    }
}

fn is_sound(properties: &Properties) -> bool {
    properties.first <= properties.end
}

fn read(file: FileId, span: Span, disk: &impl Disk) -> Result<Bytes, Unreadable> {
    disk.read_at(file, span.offset, span.length)
        .map(Bytes::from)
        .map_err(|error| failed(file, span.offset, error))
}

/// A file that is not there or too short is damaged; otherwise the disk failed.
pub(super) fn failed(file: FileId, offset: u64, error: DiskError) -> Unreadable {
    let error = match error {
        DiskError::NotFound | DiskError::OutOfBounds => None,
        error => Some(error),
    };
    Unreadable { file, offset, error }
}
