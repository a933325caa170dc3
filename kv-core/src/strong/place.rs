//! Where the state of a shard stands in the store of a node.
//!
//! Keys begin with `s` and the number of the shard, so a shard is one range:
//!
//! | key behind that | value |
//! | --- | --- |
//! | `c` and an index | a session, by the entry that opened it |
//! | `d` and a key | what is under the key: [`Stored`] |
//! | `i` | how far the log is applied, and its clock |
//! | `x`, a time and a key | nothing: the key expires then |

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};

use crate::codec;
use crate::id::{Index, ShardId};
use crate::request::strong::Record;
use crate::time::Wall;

/// Where all shards stand.
const SHARDS: u8 = b's';

pub(super) const SESSIONS: u8 = b'c';
pub(super) const DATA: u8 = b'd';
pub(super) const INFO: u8 = b'i';
pub(super) const EXPIRING: u8 = b'x';

/// What the store holds under a key: revision, expiry, value.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored<'a> {
    pub(super) revision: Index,
    pub(super) expires: Option<Wall>,
    #[serde(borrow, serialize_with = "as_bytes")]
    pub(super) value: &'a [u8],
}

/// In one piece, not byte by byte.
fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

impl Stored<'_> {
    pub(super) fn decode(bytes: &[u8]) -> Option<Stored<'_>> {
        codec::decode_borrowed(bytes).ok()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Whether it is there at this time of the log.
    pub(super) fn is_live(&self, clock: Wall) -> bool {
        self.expires.is_none_or(|expires| clock < expires)
    }

    pub(super) fn record(&self) -> Record {
        Record {
            revision: self.revision,
            value: Bytes::copy_from_slice(self.value),
            expires: self.expires,
        }
    }
}

/// What all keys of a shard begin with.
pub(super) fn prefix(shard: ShardId) -> [u8; 5] {
    let mut prefix = [SHARDS; 5];
    prefix[1..].copy_from_slice(&shard.0.to_be_bytes());
    prefix
}

/// The key behind all of a shard.
pub(super) fn end(shard: ShardId) -> [u8; 6] {
    kind(shard, u8::MAX)
}

/// What all keys of one kind begin with.
pub(super) fn kind(shard: ShardId, kind: u8) -> [u8; 6] {
    let mut key = [kind; 6];
    key[..5].copy_from_slice(&prefix(shard));
    key
}

/// A key of some kind, made of parts.
pub(super) fn key(shard: ShardId, of: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(6 + parts.iter().map(|part| part.len()).sum::<usize>());
    bytes.extend_from_slice(&kind(shard, of));
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

pub(super) fn data(shard: ShardId, name: &[u8]) -> Vec<u8> {
    key(shard, DATA, &[name])
}

pub(super) fn session(shard: ShardId, name: Index) -> Vec<u8> {
    key(shard, SESSIONS, &[&name.0.to_be_bytes()])
}

pub(super) fn expiring(shard: ShardId, at: Wall, name: &[u8]) -> Vec<u8> {
    key(shard, EXPIRING, &[&at.0.to_be_bytes(), name])
}

/// The time and the key of an entry that says what expires.
pub(super) fn parse_expiring(place: &[u8]) -> Option<(Wall, &[u8])> {
    let (at, name) = place.get(6..)?.split_first_chunk::<8>()?;
    Some((Wall(u64::from_be_bytes(*at)), name))
}

/// A key of a shard in words; none if it is not one.
#[must_use]
pub fn key_words(place: &[u8]) -> Option<String> {
    let (shard, rest) = place.strip_prefix(&[SHARDS])?.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first()?;
    let text = |bytes: &[u8]| match core::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => String::from(text),
        _ => format!("{}", bytes.escape_ascii()),
    };
    let what = match *kind {
        DATA => text(rest),
        INFO => String::from("how far it is applied"),
        SESSIONS => format!("session {}", u64::from_be_bytes(rest.try_into().ok()?)),
        EXPIRING => format!("expiry of {}", text(parse_expiring(place)?.1)),
        _ => return None,
    };
    Some(format!("{what} (shard {})", u32::from_be_bytes(*shard)))
}

/// What stands under a key of a shard, if that is a key with a value of a client.
#[must_use]
pub fn value_of(place: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let is_data = place.first() == Some(&SHARDS) && place.get(5) == Some(&DATA);
    Stored::decode(value).filter(|_| is_data).map(|stored| stored.value.to_vec())
}
