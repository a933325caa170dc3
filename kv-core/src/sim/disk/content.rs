//! The bytes of one file, in chunks that clones share until one of them changes.

use alloc::sync::Arc;
use alloc::vec::Vec;

/// Bytes in chunks of [`CHUNK`], the last one shorter.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    chunks: Arc<Vec<Arc<Vec<u8>>>>,
    len: u64,
}

const CHUNK: usize = 4_096;

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Replaces bytes; between the end and an offset behind it there will be zeros.
    pub(super) fn write_at(&mut self, offset: u64, mut bytes: &[u8]) {
        self.grow(offset.saturating_add(bytes.len() as u64));
        let chunks = Arc::make_mut(&mut self.chunks);
        let mut place = offset as usize;
        while !bytes.is_empty() {
            let within = place % CHUNK;
            let (fits, rest) = bytes.split_at(bytes.len().min(CHUNK - within));
            let chunk = Arc::make_mut(&mut chunks[place / CHUNK]);
            chunk[within..within + fits.len()].copy_from_slice(fits);
            place += fits.len();
            bytes = rest;
        }
    }

    /// Adds zeros up to this length, if it is shorter. Whole chunks of zeros take no room of their own.
    pub(super) fn grow(&mut self, length: u64) {
        if length <= self.len {
            return;
        }
        let chunks = Arc::make_mut(&mut self.chunks);
        let length_of = |index: usize| (length as usize - index * CHUNK).min(CHUNK);
        if let Some(index) = chunks.len().checked_sub(1) {
            Arc::make_mut(&mut chunks[index]).resize(length_of(index), 0);
        }
        let zeros = Arc::new(alloc::vec![0; CHUNK]);
        for index in chunks.len()..(length as usize).div_ceil(CHUNK) {
            chunks.push(match length_of(index) {
                CHUNK => Arc::clone(&zeros),
                part => Arc::new(alloc::vec![0; part]),
            });
        }
        self.len = length;
    }

    /// Cuts off what lies behind this length, if it is longer.
    pub(super) fn truncate(&mut self, length: u64) {
        if length >= self.len {
            return;
        }
        self.len = length;
        let chunks = Arc::make_mut(&mut self.chunks);
        chunks.truncate((length as usize).div_ceil(CHUNK));
        let within = length as usize % CHUNK;
        if within > 0
            && let Some(last) = chunks.last_mut()
        {
            Arc::make_mut(last).truncate(within);
        }
    }

    /// Exactly so many bytes, if there are.
    pub(super) fn read_at(&self, offset: u64, length: u64) -> Option<Vec<u8>> {
        let end = offset.checked_add(length).filter(|end| *end <= self.len)?;
        let (mut place, end) = (offset as usize, end as usize);
        let mut bytes = Vec::with_capacity(end - place);
        while place < end {
            let within = place % CHUNK;
            let stop = (within + end - place).min(CHUNK);
            bytes.extend_from_slice(&self.chunks[place / CHUNK][within..stop]);
            place += stop - within;
        }
        Some(bytes)
    }

    /// Turns one bit over, if there is one.
    pub(super) fn flip(&mut self, offset: u64, bit: u8) {
        if let Some(byte) = self.read_at(offset, 1) {
            self.write_at(offset, &[byte[0] ^ (1 << (bit % 8))]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn it_behaves_like_a_vector_of_bytes() {
        let mut rng = Rng::new(5);
        let mut content = Content::default();
        let mut model: Vec<u8> = Vec::new();
        for round in 0..600_u64 {
            let bytes = alloc::vec![round as u8; rng.below(6_000) as usize];
            let at = rng.below(model.len() as u64 + 100);
            let before = (content.clone(), model.clone());
            match rng.below(5) {
                0 => {
                    content.truncate(at);
                    model.truncate(at as usize);
                }
                1 => {
                    let length = at + rng.below(20_000);
                    content.grow(length);
                    model.resize(model.len().max(length as usize), 0);
                }
                _ => {
                    content.write_at(at, &bytes);
                    let end = at as usize + bytes.len();
                    model.resize(model.len().max(end), 0);
                    model[at as usize..end].copy_from_slice(&bytes);
                }
            }
            assert_eq!(content.len(), model.len() as u64);
            let start = at.min(content.len());
            let length = rng.below(9_000).min(content.len() - start);
            let read = content.read_at(start, length).unwrap();
            assert!(read == model[start as usize..(start + length) as usize]);
            assert!(before.0.read_at(0, before.0.len()).unwrap() == before.1, "clones are apart");
        }
        assert!(content.read_at(0, content.len()).unwrap() == model);
        assert_eq!(content.read_at(content.len(), 1), None);
        assert_eq!(content.read_at(u64::MAX, 2), None);
    }
}
