//! A history as JSON lines: one operation to a line, as `docs/testing.md` describes it.
//!
//! Whatever is not exactly so is refused with its line: a judge that guesses would judge something
//! else. An operation bears the number of its line.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::mem::size_of;
use std::path::Path;

use bytes::Bytes;
use kv_core::check::{Answer, End as Ended, Kind, Operation, Outcome};
use kv_core::time::Mono;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::cli::End;

/// The most operations.
const OPERATIONS_MAX: usize = 1_000_000;
/// The longest line.
const LINE_MAX: u64 = 1 << 20;
/// How many bytes all keys and values may take in memory.
const ROOM: usize = 1 << 30;
/// What some programs write at the beginning of a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// The fields of an operation.
const FIELDS: [&str; 7] = ["client", "kind", "key", "value", "call", "return", "outcome"];

/// Reads a history from a file, or from the standard input if it is named `-`.
pub(super) fn read(file: &Path) -> Result<Vec<Operation>, End> {
    if file == Path::new("-") {
        return parse(io::stdin().lock(), ROOM).map_err(End::misuse);
    }
    let opened = File::open(file);
    let opened = opened.map_err(|error| End::misuse(format!("{}: {error}", file.display())))?;
    parse(BufReader::new(opened), ROOM).map_err(End::misuse)
}

/// The operations, or the line and what is wrong with it. Keys and values have so many bytes of room.
fn parse(mut from: impl BufRead, mut room: usize) -> Result<Vec<Operation>, String> {
    let mut history = Vec::new();
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let wrong = |words: String| format!("line {number}: {words}");
        let read = from.by_ref().take(LINE_MAX + 1).read_until(b'\n', &mut bytes);
        if read.map_err(|error| format!("it cannot be read: {error}"))? == 0 {
            break;
        }
        if bytes.len() as u64 > LINE_MAX {
            return Err(wrong(format!("longer than {LINE_MAX} bytes")));
        }
        let line = match bytes.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if number == 1 => rest,
            _ => &bytes,
        };
        if line.trim_ascii().is_empty() {
            continue;
        }
        if history.len() == OPERATIONS_MAX {
            return Err(wrong(format!(
                "a history has at most {OPERATIONS_MAX} operations; split it by keys, for each is judged by itself"
            )));
        }
        let operation = operation(number, line).map_err(wrong)?;
        room = room.checked_sub(size(&operation)).ok_or_else(|| {
            wrong("the keys and values up to here take too much memory; split it by keys, for each is judged by itself".into())
        })?;
        history.push(operation);
    }
    if history.is_empty() {
        return Err("there is no operation in it".into());
    }
    Ok(history)
}

/// How many bytes the key and the values of an operation take.
fn size(operation: &Operation) -> usize {
    let found = operation.done().map_or(&[][..], |(_, answer)| &answer.values);
    let (old, new) = match &operation.kind {
        Kind::Read | Kind::Delete => (None, None),
        Kind::Write(value) => (None, Some(value)),
        Kind::CompareAndSet { old, new } => (old.as_ref(), new.as_ref()),
    };
    let all = found.iter().chain(old).chain(new).chain([&operation.key]);
    all.map(|bytes| size_of::<Bytes>() + bytes.len()).sum()
}

/// The fields of a line.
#[derive(Default)]
struct Fields {
    fields: Map<String, Value>,
    /// One that is there twice.
    twice: Option<String>,
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for Fields {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some((field, value)) = map.next_entry::<String, Value>()? {
            if self.fields.contains_key(&field) {
                self.twice = Some(field);
            } else {
                self.fields.insert(field, value);
            }
        }
        Ok(self)
    }
}

/// What stands in a history, for people: short, and nothing that a terminal obeys.
fn shown(text: &str) -> String {
    const SHOWN: usize = 24;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// The operation of a line, or what is wrong with it.
fn operation(number: u64, line: &[u8]) -> Result<Operation, String> {
    let Fields { fields, twice } = serde_json::from_slice(line).map_err(|error| {
        if error.is_data() {
            return "an operation is an object, {\"client\":1, …}".into();
        }
        format!("no JSON: {error}")
    })?;
    if let Some(stranger) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(format!("`{}` is no field; there are {}", shown(stranger), FIELDS.join(", ")));
    }
    if let Some(field) = twice {
        return Err(format!("`{field}` is there twice; which of them is meant?"));
    }
    let client = integer(&fields, "client")?.ok_or("`client` is missing")?;
    let key = Bytes::from(text(&fields, "key")?.to_owned());
    let called = Mono(integer(&fields, "call")?.ok_or("`call` is missing")?);
    let returned = integer(&fields, "return")?.map(Mono);
    if returned.is_some_and(|returned| returned < called) {
        return Err("it returns before it is called".into());
    }
    let outcome = text(&fields, "outcome")?;
    let kind = kind(&fields)?;
    let outcome = match outcome {
        "ok" => Outcome::Done(Answer { values: found(&kind, &fields)?, versions: None }),
        "failed" => Outcome::Failed,
        "unknown" => Outcome::Unknown,
        other => return Err(format!("`outcome` is ok, failed or unknown, not {}", shown(other))),
    };
    let end = match returned {
        Some(at) => Some(Ended { at, outcome }),
        None if outcome == Outcome::Unknown => None,
        None => return Err("`return` is missing; only an unknown outcome can do without".into()),
    };
    Ok(Operation { number, client, key, kind, called, end })
}

fn kind(fields: &Map<String, Value>) -> Result<Kind, String> {
    let value = fields.get("value").unwrap_or(&Value::Null);
    Ok(match (text(fields, "kind")?, value) {
        ("read", _) => Kind::Read,
        ("write", Value::String(value)) => Kind::Write(Bytes::from(value.clone())),
        ("write", _) => return Err("the `value` of a write is a string".into()),
        ("delete", Value::Null) => Kind::Delete,
        ("delete", _) => return Err("a delete has no `value`".into()),
        ("cas", Value::Array(pair)) if pair.len() == 2 => {
            Kind::CompareAndSet { old: maybe(&pair[0])?, new: maybe(&pair[1])? }
        }
        ("cas", _) => return Err("the `value` of a cas is [old, new]".into()),
        (other, _) => {
            return Err(format!("`kind` is read, write, delete or cas, not {}", shown(other)));
        }
    })
}

/// What an operation that was done found.
fn found(kind: &Kind, fields: &Map<String, Value>) -> Result<Vec<Bytes>, String> {
    if *kind != Kind::Read {
        return Ok(Vec::new());
    }
    match fields.get("value") {
        None => Err("the `value` that was read is missing; null if there was none".into()),
        Some(Value::Array(values)) => values
            .iter()
            .map(|value| maybe(value)?.ok_or_else(|| "null among several values".into()))
            .collect(),
        Some(value) => Ok(maybe(value)?.into_iter().collect()),
    }
}

fn maybe(value: &Value) -> Result<Option<Bytes>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(value) => Ok(Some(Bytes::from(value.clone()))),
        other => Err(format!("a value is a string or null, not {}", shown(&other.to_string()))),
    }
}

fn text<'a>(fields: &'a Map<String, Value>, field: &str) -> Result<&'a str, String> {
    let value = fields.get(field).ok_or_else(|| format!("`{field}` is missing"))?;
    value.as_str().ok_or_else(|| format!("`{field}` is a string"))
}

fn integer(fields: &Map<String, Value>, field: &str) -> Result<Option<u64>, String> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_u64();
            number
                .map(Some)
                .ok_or_else(|| format!("`{field}` is an integer from 0 to {}", u64::MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Short lines take much memory where each of many values is empty.
    #[test]
    fn keys_and_values_take_a_bounded_memory() {
        let read = |values: usize| {
            let values = vec!["\"\""; values].join(",");
            format!(
                r#"{{"client":1,"kind":"read","key":"k","value":[{values}],"call":0,"return":1,"outcome":"ok"}}"#
            )
        };
        let room = 2 * (1 + size_of::<Bytes>()) + 10 * size_of::<Bytes>();
        let fits = format!("{}\n{}\n", read(4), read(6));
        assert_eq!(parse(fits.as_bytes(), room).unwrap().len(), 2);
        let refused = parse(format!("{}\n{}\n", read(4), read(7)).as_bytes(), room);
        let words = refused.unwrap_err();
        assert!(words.starts_with("line 2: ") && words.contains("too much memory"), "{words}");
    }
}
