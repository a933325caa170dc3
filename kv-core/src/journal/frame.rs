//! The bytes of a journal: eight that name it, the version of the format, then frames.
//!
//! A frame is the length of what it holds, a checksum of that length, a checksum of what it holds (each
//! four bytes, little-endian), and what it holds. Both checksums take in where the frame stands, like
//! those of the log. As a length has a checksum of its own, a file that ends too early is told from
//! one that is damaged.

use alloc::vec::Vec;

const MAGIC: [u8; 8] = *b"kvjourn\n";

/// The version of the format.
pub(super) const FORMAT: u8 = 1;

/// Bytes before what a frame holds.
pub(super) const HEAD: usize = 12;

/// Whether these bytes begin like a journal.
#[must_use]
pub fn is_journal(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

pub(super) fn header() -> Vec<u8> {
    let mut bytes = Vec::from(MAGIC);
    bytes.push(FORMAT);
    bytes
}

/// The version of the format of these bytes, and where frames begin; none if that is not there.
pub(super) fn version(bytes: &[u8]) -> Option<(u8, usize)> {
    let version = bytes.strip_prefix(&MAGIC)?.first()?;
    Some((*version, MAGIC.len() + 1))
}

pub(super) fn append(bytes: &mut Vec<u8>, content: &[u8]) {
    let at = bytes.len();
    let length = (content.len() as u32).to_le_bytes();
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(&checksum(at, &length));
    bytes.extend_from_slice(&checksum(at, content));
    bytes.extend_from_slice(content);
}

/// What stands at a place.
pub(super) enum Found<'a> {
    /// A whole frame, and where the next one begins.
    Whole(&'a [u8], usize),
    /// The end of the file, within a frame.
    Torn,
    /// Something that was never written there.
    Damaged,
    /// The end of the file, behind a frame.
    End,
}

pub(super) fn at(bytes: &[u8], place: usize) -> Found<'_> {
    let rest = bytes.get(place..).unwrap_or_default();
    let Some((head, rest)) = rest.split_at_checked(HEAD) else {
        return if rest.is_empty() { Found::End } else { Found::Torn };
    };
    let (length, sums) = head.split_at(4);
    let (of_length, of_content) = sums.split_at(4);
    if checksum(place, length) != of_length {
        return Found::Damaged;
    }
    let length = length.try_into().map_or(0, u32::from_le_bytes) as usize;
    match rest.get(..length) {
        None => Found::Torn,
        Some(content) if checksum(place, content) == of_content => {
            Found::Whole(content, place + HEAD + length)
        }
        Some(_) => Found::Damaged,
    }
}

fn checksum(at: usize, bytes: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(at as u64).to_le_bytes());
    hasher.update(bytes);
    hasher.finalize().to_le_bytes()
}
