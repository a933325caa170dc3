//! The commands of a client: one key of the `strong` keyspace, or all of them.
//!
//! Every wait has an end: the node is told how long to try, and is itself waited for a little longer.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kv_core::request::KEY_BYTES;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use ureq::http::StatusCode;

use super::{MgmtArgs, missing};
use crate::cli::{End, output, say};
use crate::client::node::{Answer, Node};

/// How long a node may try to reach a majority.
const TRY_MS: u64 = 5_000;
/// How long it may take to answer at all.
const WAIT: Duration = Duration::from_secs(10);

/// Does one of them.
pub(super) fn run(command: &str, args: &MgmtArgs) -> Result<(), End> {
    let host = args.host()?.reachable().to_string();
    let store = Store { node: Node::within(&host, WAIT), host };
    match (command, &args.key) {
        ("read", None) => store.read_all(),
        (_, None) => Err(missing("-k", "which key")),
        (_, Some(key)) if !KEY_BYTES.contains(&key.len()) => Err(End::failed(format!(
            "a key has {} to {} bytes, and this one has {}; choose another with -k",
            KEY_BYTES.start(),
            KEY_BYTES.end(),
            key.len()
        ))),
        ("read", Some(key)) => store.read(key),
        ("delete", Some(key)) => store.delete(key),
        (_, Some(key)) => {
            let value = args.value.as_ref().ok_or_else(|| missing("-v", "which value"))?;
            store.put(key, value, command == "update")
        }
    }
}

/// The keyspace as one node serves it.
struct Store {
    host: String,
    node: Node,
}

impl Store {
    fn read(&self, key: &str) -> Result<(), End> {
        let answer = self.call("GET", &key_path(key), None, &[])?;
        match answer.status {
            StatusCode::OK => {
                output(&answer.body)?;
                output(b"\n")
            }
            StatusCode::NOT_FOUND => Err(absent(key)),
            _ => Err(failure(&answer)),
        }
    }

    /// Prints every key with its value, a line each, page by page.
    fn read_all(&self) -> Result<(), End> {
        let mut after = None;
        let mut any = false;
        loop {
            let from = after.map(|key| format!("&after={key}")).unwrap_or_default();
            let answer = self.call("GET", &format!("?timeout_ms={TRY_MS}{from}"), None, &[])?;
            if answer.status != StatusCode::OK {
                return Err(failure(&answer));
            }
            let page = answer.json();
            let records = page["records"].as_array().ok_or_else(unreadable)?;
            let lines: Option<String> = records.iter().map(line).collect();
            output(lines.ok_or_else(unreadable)?.as_bytes())?;
            any |= !records.is_empty();
            // It is percent-encoded already.
            after = page["next"].as_str().map(str::to_owned);
            if after.is_none() {
                break;
            }
        }
        if !any {
            say("there are no keys");
        }
        Ok(())
    }

    fn put(&self, key: &str, value: &str, update: bool) -> Result<(), End> {
        let condition: &[(&str, String)] = &[("if-match", "*".into())];
        let condition = if update { condition } else { &[] };
        let answer = self.call("PUT", &key_path(key), Some(value.as_bytes()), condition)?;
        match answer.status {
            StatusCode::OK | StatusCode::CREATED => {
                output(if update { b"updated\n" } else { b"written\n" })
            }
            StatusCode::PRECONDITION_FAILED => Err(absent(key)),
            _ => Err(failure(&answer)),
        }
    }

    fn delete(&self, key: &str) -> Result<(), End> {
        let answer = self.call("DELETE", &key_path(key), None, &[("if-match", "*".into())])?;
        match answer.status {
            StatusCode::OK => output(b"deleted\n"),
            StatusCode::PRECONDITION_FAILED | StatusCode::NOT_FOUND => Err(absent(key)),
            _ => Err(failure(&answer)),
        }
    }

    fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
        headers: &[(&str, String)],
    ) -> Result<Answer, End> {
        let url = self.node.url(&format!("/v1/strong/keys{path}"));
        self.node.send(method, &url, body, headers).map_err(|error| {
            let outcome = match (method, &error) {
                ("GET", _) | (_, ureq::Error::ConnectionFailed | ureq::Error::HostNotFound) => "",
                (_, ureq::Error::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => "",
                _ => "; it is unknown whether anything was changed, read the key before trying again",
            };
            End::failed(format!(
                "{} does not answer: {error}{outcome}; kv mgmt -r server -c list shows which nodes run",
                self.host
            ))
        })
    }
}

fn key_path(key: &str) -> String {
    format!("/{}?timeout_ms={TRY_MS}", utf8_percent_encode(key, NON_ALPHANUMERIC))
}

fn absent(key: &str) -> End {
    End::failed(format!(
        "there is no key {key:?}; nothing was changed, kv mgmt -r client -c write stores one"
    ))
}

fn failure(answer: &Answer) -> End {
    let words = answer.failure_words();
    if matches!(answer.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) {
        return End::failed(format!(
            "{words}; a majority of the nodes must run (kv mgmt -r server -c list shows them, -c restart brings one back)"
        ));
    }
    End::failed(words)
}

fn unreadable() -> End {
    End::failed("the node's answer cannot be read; is it of the same release?")
}

/// The line of a record; none if it is not one.
fn line(record: &Value) -> Option<String> {
    let key: Vec<u8> = percent_decode_str(record["key"].as_str()?).collect();
    let value = STANDARD.decode(record["value_base64"].as_str()?).ok()?;
    Some(format!("{}\t{}\n", shown(&key), shown(&value)))
}

/// Bytes on one line: text as it is but for control characters, anything else escaped.
fn shown(bytes: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else { return bytes.escape_ascii().to_string() };
    let one = |char: char| {
        if char.is_control() { char.escape_default().to_string() } else { char.to_string() }
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_whatever_is_in_it() {
        let record = |key: &str, value: &[u8]| {
            line(&serde_json::json!({ "key": key, "value_base64": STANDARD.encode(value) }))
        };
        assert_eq!(record("a%2Fb", "ä\"".as_bytes()).unwrap(), "a/b\tä\"\n");
        assert_eq!(record("a", b"1\n\t2").unwrap(), "a\t1\\n\\t2\n");
        assert_eq!(record("%FF", b"\xfe\n").unwrap(), "\\xff\t\\xfe\\n\n");
        assert_eq!(line(&serde_json::json!({ "key": "a" })), None);
    }

    #[test]
    fn a_key_is_one_segment_of_the_path() {
        assert_eq!(key_path("a/ ?ä"), format!("/a%2F%20%3F%C3%A4?timeout_ms={TRY_MS}"));
    }
}
