//! A section of a table: a payload, compressed or not, and a checksum that is bound to its place.

use alloc::vec::Vec;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::id::FileId;

/// What stands behind a payload.
pub(super) const TRAILER: u64 = 9;

const PLAIN: u8 = 0;
const LZ4: u8 = 1;

/// Longer payloads are not compressed: from here on the compressor gives other bytes on 32 bits.
const COMPRESSED_MAX: usize = 65_534;

/// Turns a payload into a section at this place.
pub(super) fn seal(file: FileId, offset: u64, mut payload: Vec<u8>, compress: bool) -> Vec<u8> {
    let mut kind = PLAIN;
    if compress && payload.len() <= COMPRESSED_MAX {
        let packed = lz4_flex::block::compress_prepend_size(&payload);
        // What saves less than an eighth costs more than it saves.
        if packed.len() < payload.len() - payload.len() / 8 {
            (payload, kind) = (packed, LZ4);
        }
    }
    payload.push(kind);
    let checksum = checksum(file, offset, &payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    payload
}

/// The payload of a section; none if it is not the section of this place.
pub(super) fn open(file: FileId, offset: u64, section: &Bytes) -> Option<Bytes> {
    let (sealed, sum) = section.split_last_chunk::<8>()?;
    if checksum(file, offset, sealed) != u64::from_le_bytes(*sum) {
        return None;
    }
    let (&kind, payload) = sealed.split_last()?;
    match kind {
        PLAIN => Some(section.slice(..payload.len())),
        LZ4 => {
            let (size, packed) = payload.split_first_chunk::<4>()?;
            let size = u32::from_le_bytes(*size) as usize;
            let plain = (size <= COMPRESSED_MAX)
                .then(|| lz4_flex::block::decompress(packed, size).ok())??;
            Some(Bytes::from(plain))
        }
        _ => None,
    }
}

/// The checksum of what stands at this place.
pub(in super::super) fn checksum(file: FileId, offset: u64, bytes: &[u8]) -> u64 {
    // An odd factor keeps apart what two files have at the same offset.
    xxh3_64_with_seed(bytes, file.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_one_only_in_its_place_and_every_bit_counts() {
        let text = b"to be or not to be or not to be or not to be".repeat(20);
        for compress in [false, true] {
            let section = Bytes::from(seal(FileId(3), 70, text.clone(), compress));
            assert_eq!(compress, section.len() < text.len());
            assert_eq!(open(FileId(3), 70, &section).as_deref(), Some(&text[..]));
            assert_eq!(open(FileId(3), 71, &section), None);
            assert_eq!(open(FileId(4), 70, &section), None);
            for at in 0..section.len() {
                for bit in 0..8 {
                    let mut flipped = section.to_vec();
                    flipped[at] ^= 1 << bit;
                    assert_eq!(open(FileId(3), 70, &Bytes::from(flipped)), None);
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_compressed_stays_as_it_is() {
        let noise: Vec<u8> = (0..99_u64).map(|at| ((at * at * 7_919) >> 5) as u8).collect();
        let section = seal(FileId(1), 0, noise.clone(), true);
        assert_eq!(section.len() as u64, noise.len() as u64 + TRAILER);
    }
}
