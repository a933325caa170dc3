//! The entries of a node's store in words, for people who look into its files.
//!
//! Words are made to be read, not parsed: what is no text is escaped, what is long is cut short.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::codec;
use crate::eventual::{parse_lease_key, parse_object_key};
use crate::raft;
use crate::strong;
use crate::version::Object;

/// How many bytes of a value are shown.
const SHOWN: usize = 64;

/// A key of the store.
#[must_use]
pub fn key_words(key: &[u8]) -> String {
    if let Some((partition, key)) = parse_object_key(key) {
        return format!("{} (partition {})", text(key), partition.0);
    }
    if let Some(group) = raft::group_of_key(key) {
        return raft::key_words(key).unwrap_or_else(|| format!("group {}", group.0));
    }
    if let Some(words) = strong::key_words(key) {
        return words;
    }
    match parse_lease_key(key) {
        Some(partition) => format!("counters (partition {})", partition.0),
        None => text(key),
    }
}

/// The last key before this one, as far as it can be told.
#[must_use]
pub fn last_words(end: &[u8]) -> String {
    match end {
        [last @ .., 0] => key_words(last),
        _ => format!("before {}", key_words(end)),
    }
}

/// What stands under a key of the store.
#[must_use]
pub fn value_words(key: &[u8], value: &[u8]) -> String {
    if parse_object_key(key).is_some()
        && let Ok(object) = codec::decode::<Object>(value)
    {
        return object_words(&object);
    }
    if let Some(value) = strong::value_of(key, value) {
        return short(&value);
    }
    if parse_lease_key(key).is_some()
        && let Ok(end) = codec::decode::<u64>(value)
    {
        return format!("used up to {end}");
    }
    short(value)
}

fn object_words(object: &Object) -> String {
    let siblings = object.siblings().map(|(dot, sibling)| {
        let value = sibling.value.as_deref().map_or_else(|| "deleted".into(), short);
        format!("{value} [{}:{}]", dot.actor, dot.counter)
    });
    siblings.collect::<Vec<_>>().join(" and ")
}

fn short(value: &[u8]) -> String {
    match value.get(..SHOWN) {
        Some(begin) if begin.len() < value.len() => {
            format!("{}… ({} bytes)", text(begin), value.len())
        }
        _ => text(value),
    }
}

fn text(bytes: &[u8]) -> String {
    match core::str::from_utf8(bytes) {
        Ok("") => "\"\"".into(),
        Ok(text) if !text.contains(char::is_control) => text.into(),
        _ => bytes.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventual::object_key;
    use crate::id::{Incarnation, PartitionId};
    use crate::time::Stamp;
    use crate::version::{Clock, Dot, Sibling};

    #[test]
    fn keys_are_text_with_their_partition_and_other_bytes_are_escaped() {
        let key = object_key(PartitionId(300), "grüße".as_bytes());
        assert_eq!(key_words(&key), "grüße (partition 300)");
        assert_eq!(last_words(&[&key[..], &[0]].concat()), "grüße (partition 300)");
        assert_eq!(last_words(&key), "before grüße (partition 300)");
        assert_eq!(key_words(b"l\x00\x07"), "counters (partition 7)");
        assert_eq!(key_words(b"m/layout"), "m/layout");
        assert_eq!(key_words(b"a\xff\n"), "a\\xff\\n");
        assert_eq!(value_words(b"l\x00\x07", &codec::encode(&2_048_u64)), "used up to 2048");
    }

    #[test]
    fn objects_are_shown_as_their_values_and_anything_else_as_it_is() {
        let key = object_key(PartitionId(1), b"k");
        let mut object = Object::default();
        for (counter, value) in [(1, Some("one".into())), (2, None)] {
            let dot = Dot { actor: Incarnation(5), counter };
            let sibling = Sibling { stamp: Stamp::default(), value };
            object.write(&Clock::default(), dot, sibling);
        }
        let words = value_words(&key, &codec::encode(&object));
        assert_eq!(words, "one [0000000000000005:1] and deleted [0000000000000005:2]");
        assert_eq!(value_words(&key, b"\xff"), "\\xff", "no object");
        let long = "x".repeat(SHOWN + 1);
        assert_eq!(
            value_words(b"m/any", long.as_bytes()),
            format!("{}… (65 bytes)", &long[..SHOWN])
        );
    }
}
