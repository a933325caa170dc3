//! A history as JSON lines: one operation to a line, as `docs/testing.md` describes it.
//!
//! Whatever is not exactly so is refused with its line: a judge that guesses would judge something
//! else. An operation bears the number of its line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use kv_core::check::{Answer, End as Ended, Kind, Operation, Outcome};
use kv_core::time::Mono;
use serde_json::{Map, Value};

use crate::cli::End;

/// The most operations.
const OPERATIONS_MAX: usize = 1_000_000;
/// The longest line.
const LINE_MAX: u64 = 1 << 20;
/// The fields of an operation.
const FIELDS: [&str; 7] = ["client", "kind", "key", "value", "call", "return", "outcome"];

/// Reads a history from a file, or from the standard input if it is named `-`.
pub(super) fn read(file: &Path) -> Result<Vec<Operation>, End> {
    if file == Path::new("-") {
        return parse(io::stdin().lock());
    }
    let opened = File::open(file);
    let opened = opened.map_err(|error| End::misuse(format!("{}: {error}", file.display())))?;
    parse(BufReader::new(opened))
}

fn parse(mut from: impl BufRead) -> Result<Vec<Operation>, End> {
    let mut history = Vec::new();
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let wrong = |words: String| End::misuse(format!("line {number}: {words}"));
        let read = from.by_ref().take(LINE_MAX + 1).read_until(b'\n', &mut bytes);
        if read.map_err(|error| wrong(error.to_string()))? == 0 {
            break;
        }
        if bytes.len() as u64 > LINE_MAX {
            return Err(wrong(format!("longer than {LINE_MAX} bytes")));
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        if history.len() == OPERATIONS_MAX {
            return Err(wrong(format!(
                "a history has at most {OPERATIONS_MAX} operations; split it by keys, for each is judged by itself"
            )));
        }
        history.push(operation(number, &bytes).map_err(wrong)?);
    }
    if history.is_empty() {
        return Err(End::misuse("there is no operation in it"));
    }
    Ok(history)
}

/// The operation of a line, or what is wrong with it.
fn operation(number: u64, line: &[u8]) -> Result<Operation, String> {
    let value = serde_json::from_slice(line).map_err(|error| format!("no JSON: {error}"))?;
    let Value::Object(fields) = value else {
        return Err("an operation is an object, {\"client\":1, …}".into());
    };
    if let Some(stranger) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(format!("`{stranger}` is no field; there are {}", FIELDS.join(", ")));
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
        other => return Err(format!("`outcome` is ok, failed or unknown, not {other}")),
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
        (other, _) => return Err(format!("`kind` is read, write, delete or cas, not {other}")),
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
        other => Err(format!("a value is a string or null, not {other}")),
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
            number.map(Some).ok_or_else(|| format!("`{field}` is an integer from 0 on"))
        }
    }
}
