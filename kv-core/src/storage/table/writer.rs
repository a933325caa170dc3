//! Writes a table from versions in their order.

use alloc::vec::Vec;

use bytes::Bytes;

use super::super::filter;
use super::super::memtable::Version;
use super::super::ranges::Ranges;
use super::index::{self, separator};
use super::section::{self, TRAILER, checksum};
use super::{Described, FOOTER, FORMAT, MAGIC, Properties, TableMeta, behind, block};
use crate::codec;
use crate::disk::{DiskError, JobDisk};
use crate::id::FileId;
use crate::storage::options::TableForm;

/// A table being written. What it has written is of no use before [`Self::finish`].
pub(in super::super) struct TableWriter {
    file: FileId,
    form: TableForm,
    block: block::Builder,
    index: index::Builder,
    /// The last key and the length of a finished block whose separator waits for the next key.
    pending: Option<(Vec<u8>, u64)>,
    hashes: Vec<u64>,
    last_hashed: Option<u64>,
    properties: Properties,
    buffer: Vec<u8>,
    /// How much of the file is written.
    written: u64,
}

/// After so many bytes they go to the disk.
const BUFFER: usize = 256 * 1_024;

impl TableWriter {
    /// Makes the file.
    pub(in super::super) fn create(
        file: FileId,
        form: TableForm,
        disk: &mut impl JobDisk,
    ) -> Result<Self, DiskError> {
        disk.create(file, 0)?;
        Ok(Self {
            file,
            form,
            block: block::Builder::default(),
            index: index::Builder::default(),
            pending: None,
            hashes: Vec::new(),
            last_hashed: None,
            properties: Properties::default(),
            buffer: Vec::with_capacity(BUFFER + form.block_bytes as usize * 2),
            written: 0,
        })
    }

    /// About how many bytes it has so far.
    pub(in super::super) fn bytes(&self) -> u64 {
        self.offset() + self.block.len()
    }

    /// Whether this is the key of the last version.
    pub(in super::super) fn ends_with(&self, key: &[u8]) -> bool {
        match &self.pending {
            Some((last, _)) => last == key,
            None => self.block.last_key() == key,
        }
    }

    /// Adds a version, which stands behind all that were added.
    pub(in super::super) fn add(
        &mut self,
        version: Version<'_>,
        disk: &mut impl JobDisk,
    ) -> Result<(), DiskError> {
        let key = version.key;
        if let Some((last, length)) = self.pending.take() {
            self.index.add(separator(&last, key), length);
        }
        if self.properties.versions == 0 {
            self.properties.first = Bytes::copy_from_slice(key);
        }
        let hash = filter::hash(key);
        if self.last_hashed != Some(hash) {
            self.last_hashed = Some(hash);
            self.hashes.push(hash);
        }
        self.properties.versions += 1;
        self.properties.removals += u64::from(version.value.is_none());
        self.properties.raw_bytes += (key.len() + version.value.map_or(0, <[u8]>::len)) as u64;
        self.properties.newest = self.properties.newest.max(version.revision);
        self.block.add(version);
        if self.block.len() >= self.form.block_bytes {
            self.finish_block(disk)?;
        }
        Ok(())
    }

    /// Writes the rest and makes the file durable. The ranges belong to the table as well. None, and no
    /// file, if nothing was added and there are none.
    pub(in super::super) fn finish(
        mut self,
        ranges: Ranges,
        disk: &mut impl JobDisk,
    ) -> Result<Option<TableMeta>, DiskError> {
        if self.properties.versions == 0 && ranges.is_empty() {
            disk.remove(self.file)?;
            return Ok(None);
        }
        if !self.block.is_empty() {
            self.finish_block(disk)?;
        }
        self.bound(&ranges);
        if let Some((last, length)) = self.pending.take() {
            self.index.add(&last, length);
        }
        let bits = filter::build(&self.hashes, self.form.filter_bits);
        let filter_at = self.section(bits, false);
        let index = core::mem::take(&mut self.index).finish();
        let index_at = self.section(index, false);
        let described = Described { properties: self.properties.clone(), ranges };
        let properties_at = self.section(codec::encode(&described), false);

        let footer_at = self.offset();
        let mut footer = Vec::with_capacity(FOOTER as usize);
        for place in [filter_at, index_at, properties_at] {
            footer.extend_from_slice(&place.to_le_bytes());
        }
        footer.extend_from_slice(&FORMAT.to_le_bytes());
        footer.extend_from_slice(MAGIC);
        let checksum = checksum(self.file, footer_at, &footer);
        footer.extend_from_slice(&checksum.to_le_bytes());
        self.buffer.extend_from_slice(&footer);
        self.write(disk)?;
        disk.sync(self.file)?;
        let Self { file, written: bytes, properties, .. } = self;
        Ok(Some(TableMeta { file, bytes, checksum, properties }))
    }

    /// Sets the span from the keys and the ranges.
    fn bound(&mut self, ranges: &Ranges) {
        let versions = self.properties.versions > 0;
        let mut end = match &self.pending {
            Some((last, _)) => behind(last),
            None => Bytes::new(),
        };
        if let (Some(first), Some(last)) = (ranges.pieces().first(), ranges.pieces().last()) {
            if !versions || first.start < self.properties.first {
                self.properties.first = first.start.clone();
            }
            end = end.max(last.end.clone());
        }
        self.properties.end = end;
        self.properties.ranges = ranges.pieces().len() as u64;
        let newest = ranges.pieces().iter().flat_map(|piece| &piece.revisions).max();
        self.properties.newest = self.properties.newest.max(newest.copied().unwrap_or(0));
    }

    fn finish_block(&mut self, disk: &mut impl JobDisk) -> Result<(), DiskError> {
        let last = self.block.last_key().to_vec();
        let payload = self.block.finish();
        let from = self.offset();
        self.section(payload, self.form.compress);
        self.pending = Some((last, self.offset() - from));
        if self.buffer.len() >= BUFFER { self.write(disk) } else { Ok(()) }
    }

    /// Adds a section and returns where it begins.
    fn section(&mut self, payload: Vec<u8>, compress: bool) -> u64 {
        let offset = self.offset();
        debug_assert!(payload.len() as u64 + TRAILER < u64::from(u32::MAX));
        self.buffer.extend_from_slice(&section::seal(self.file, offset, payload, compress));
        offset
    }

    fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn write(&mut self, disk: &mut impl JobDisk) -> Result<(), DiskError> {
        disk.append(self.file, &self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
