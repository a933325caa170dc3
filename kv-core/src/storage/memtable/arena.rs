//! The bytes of a memtable, in chunks that are given up all at once.
//!
//! A version is `revision u64 | key length u32 | value length + 1, or 0 for a removal, u32 | key | value`,
//! little endian, whole within one chunk.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Version;

#[derive(Clone, Default)]
pub(super) struct Arena {
    chunks: Vec<Arc<Vec<u8>>>,
    bytes: u64,
}

/// Where a version begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    chunk: u32,
    offset: u32,
}

/// What a chunk holds, unless one version needs more.
const CHUNK: usize = 64 * 1_024;

const HEAD: usize = 16;

impl Arena {
    /// How many bytes keys and values have.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn add(&mut self, key: &[u8], revision: u64, value: Option<&[u8]>) -> Place {
        let size = HEAD + key.len() + value.map_or(0, <[u8]>::len);
        self.bytes += (size - HEAD) as u64;
        if self.chunks.last().is_none_or(|chunk| CHUNK < chunk.len() + size) {
            self.chunks.push(Arc::new(Vec::with_capacity(size.max(CHUNK))));
        }
        let number = self.chunks.len() - 1;
        let chunk = Arc::make_mut(&mut self.chunks[number]);
        // A memtable is far smaller than 2^32 chunks, and a version than 2^32 bytes.
        let place = Place { chunk: number as u32, offset: chunk.len() as u32 };
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&revision.to_le_bytes());
        head[8..12].copy_from_slice(&(key.len() as u32).to_le_bytes());
        let value_length = value.map_or(0, |value| value.len() as u32 + 1);
        head[12..].copy_from_slice(&value_length.to_le_bytes());
        chunk.extend_from_slice(&head);
        chunk.extend_from_slice(key);
        chunk.extend_from_slice(value.unwrap_or_default());
        place
    }

    pub(super) fn get(&self, place: Place) -> Version<'_> {
        let bytes = self.from(place);
        let (key, revision) = key(bytes);
        let value = match number(bytes, 12) {
            0 => None,
            length => Some(&bytes[HEAD + key.len()..][..length as usize - 1]),
        };
        Version { key, revision, value }
    }

    /// The key and the revision of a version.
    pub(super) fn key(&self, place: Place) -> (&[u8], u64) {
        key(self.from(place))
    }

    fn from(&self, place: Place) -> &[u8] {
        &self.chunks[place.chunk as usize][place.offset as usize..]
    }
}

fn key(bytes: &[u8]) -> (&[u8], u64) {
    let revision = u64::from(number(bytes, 0)) | u64::from(number(bytes, 4)) << 32;
    (&bytes[HEAD..][..number(bytes, 8) as usize], revision)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
