//! Several operations at once, all or none: `/v1/strong/batch`.
//!
//! A batch is one entry of the log of a shard, so its keys must be in one shard.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kv_core::id::Index;
use kv_core::request::strong::{Action, Condition, StrongReply, StrongRequest, WriteOperation};
use kv_core::settings::Setting;
use kv_core::time::Micros;
use serde::Deserialize;
use serde_json::json;

use super::super::answer::{Failure, Style};
use super::super::{App, Body as Carries, Operation as Described, Surface, body, query};
use super::options::Options;
use super::{ask, header, receipt, refused, session, unexpected, unmet};

/// Adds this path.
pub(super) fn surface(surface: Surface) -> Surface {
    let operation = Described {
        method: Method::POST,
        path: "/v1/strong/batch",
        summary: "Changes several keys of one shard, all or none",
        query: &[
            ("timeout_ms", "how long to wait"),
            (
                "receipt",
                "1: tell in KV-Receipt the shard, its replicas and how the answer came about",
            ),
        ],
        headers: &[
            ("KV-Session", "the session of the client, for exactly-once writes"),
            ("KV-Seq", "the number of this write in the session, from 1 on"),
            ("KV-Ack", "the client has the answers of all numbers up to this one"),
        ],
        body: Carries::Json(
            r#"{"operations": [{"action": "put", "key": "foo", "value": "bar", "if": "absent"}, {"action": "put", "key": "foo2", "value_base64": "AP8=", "ttl_ms": 60000}, {"action": "delete", "key": "foo3", "if": 17}, {"action": "check", "key": "foo4", "if": "present"}]}"#,
        ),
        answers: &[
            (
                200,
                "{\"revision\", \"replaced\"}: a majority of the shard has it on disk; replaced tells for each operation the revision of what was there before",
            ),
            (
                400,
                "The body has another shape, keys are of several shards, or a key is named twice; nothing was changed",
            ),
            (
                409,
                "The session is not open, or this number of it is over; this attempt changed nothing",
            ),
            (
                412,
                "A condition is not met: {\"operation\", \"found\"} tell which, counted from 0, and the revision; nothing was changed",
            ),
            (413, "The values together are larger than value_bytes_max"),
            (
                503,
                "The shard has no leader that a majority follows, or the node is busy; nothing was changed",
            ),
            (
                504,
                "It is unknown whether it took effect; read before trying again, or send it again in its session",
            ),
            (507, "A disk is full; nothing was acknowledged"),
        ],
    };
    surface.on(operation, batch)
}

/// The body of a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    operations: Vec<Operation>,
}

/// One operation. Keys are written as in a path, percent-encoded where they are not plain text.
#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
enum Operation {
    Put {
        key: String,
        value: Option<String>,
        value_base64: Option<String>,
        ttl_ms: Option<u64>,
        #[serde(rename = "if")]
        demand: Option<Demand>,
    },
    Delete {
        key: String,
        #[serde(rename = "if")]
        demand: Option<Demand>,
    },
    Check {
        key: String,
        #[serde(rename = "if")]
        demand: Demand,
    },
}

/// What must be under the key.
#[derive(Deserialize)]
#[serde(untagged, expecting = "if takes \"absent\", \"present\" or a revision")]
enum Demand {
    Revision(u64),
    Word(Word),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Absent,
    Present,
}

async fn batch(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    header::refuse(&headers, &[header::SESSION, header::SEQ, header::ACK])?;
    let options = Options::of(&uri, &["timeout_ms", "receipt"])?;
    let session = session::of(&headers)?;
    let operations = operations_of(&body::batch(&app, &headers, body).await?)?;
    let limit = app.handle.facts().settings.get(Setting::ValueBytesMax);
    if limit < operations.iter().map(value_bytes).sum() {
        return Err(body::too_large(Style::Error, limit));
    }
    let first = operations.first().map(|operation| operation.key.clone()).unwrap_or_default();
    match ask(&app, StrongRequest::Write { operations, session }, options.timeout).await? {
        StrongReply::Written { revision, replaced, .. } => {
            let replaced: Vec<_> = replaced.into_iter().map(|old| old.map(|old| old.0)).collect();
            let body = json!({ "revision": revision.0, "replaced": replaced });
            let mut response = Json(body).into_response();
            if options.receipt {
                receipt::add(&mut response, &app, &first, receipt::of_write(revision));
            }
            Ok(response)
        }
        StrongReply::Unmet { operation, found } => Ok(unmet(Some(operation), found)),
        other => Err(unexpected(other)),
    }
}

fn value_bytes(operation: &WriteOperation) -> u64 {
    match &operation.action {
        Action::Put { value, .. } => value.len() as u64,
        Action::Delete | Action::Check => 0,
    }
}

/// The operations of a body.
fn operations_of(body: &[u8]) -> Result<Vec<WriteOperation>, Failure> {
    let batch: Batch = serde_json::from_slice(body).map_err(|error| {
        refused(format!(
            "the body must be like {{\"operations\": [{{\"action\": \"put\", \"key\": \"foo\", \"value\": \"bar\"}}]}}: {error}; nothing was changed"
        ))
    })?;
    let one = |(number, operation): (usize, Operation)| {
        operation
            .translated()
            .map_err(|words| refused(format!("operation {number}: {words}; nothing was changed")))
    };
    batch.operations.into_iter().enumerate().map(one).collect()
}

impl Operation {
    fn translated(self) -> Result<WriteOperation, String> {
        let (key, demand, action) = match self {
            Self::Put { key, value, value_base64, ttl_ms, demand } => {
                let value = value_of(value, value_base64)?;
                (key, demand, Action::Put { value, ttl: ttl_ms.map(Micros::from_millis) })
            }
            Self::Delete { key, demand } => (key, demand, Action::Delete),
            Self::Check { key, demand } => (key, Some(demand), Action::Check),
        };
        let condition = match demand {
            None => Condition::Any,
            Some(Demand::Revision(revision)) => Condition::Revision(Index(revision)),
            Some(Demand::Word(Word::Absent)) => Condition::Absent,
            Some(Demand::Word(Word::Present)) => Condition::Present,
        };
        let key = query::decoded(&key).ok_or_else(|| {
            format!("the key {key:?} has a % without two hexadecimal digits; write % as %25")
        })?;
        Ok(WriteOperation { key: key.into(), condition, action })
    }
}

fn value_of(text: Option<String>, base64: Option<String>) -> Result<Bytes, String> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into()),
        (None, Some(base64)) => STANDARD
            .decode(base64)
            .map(Bytes::from)
            .map_err(|error| format!("value_base64 is no base64: {error}")),
        _ => Err("a put has one of value and value_base64".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(json: &str) -> Option<WriteOperation> {
        let body = format!("{{\"operations\": [{json}]}}");
        operations_of(body.as_bytes()).ok().and_then(|mut all| all.pop())
    }

    #[test]
    fn operations_are_read() {
        let put =
            operation(r#"{"action":"put","key":"a%2Fb%FF","value":"ü","ttl_ms":5,"if":"absent"}"#);
        let action = Action::Put { value: "ü".into(), ttl: Some(Micros(5_000)) };
        let key = Bytes::from_static(b"a/b\xff");
        assert_eq!(put, Some(WriteOperation { key, condition: Condition::Absent, action }));
        let put = operation(r#"{"action":"put","key":"a","value_base64":"AP8="}"#).unwrap();
        let value = Bytes::from_static(b"\x00\xff");
        assert_eq!(put.action, Action::Put { value, ttl: None });
        let delete = operation(r#"{"action":"delete","key":"a","if":17}"#).unwrap();
        assert_eq!(
            (delete.condition, delete.action),
            (Condition::Revision(Index(17)), Action::Delete)
        );
        let check = operation(r#"{"action":"check","key":"a","if":"present"}"#).unwrap();
        assert_eq!((check.condition, check.action), (Condition::Present, Action::Check));
    }

    #[test]
    fn what_has_another_shape_is_refused() {
        for json in [
            r#"{}"#,
            r#"{"key":"a","value":"b"}"#,
            r#"{"action":"post","key":"a","value":"b"}"#,
            r#"{"action":"put","key":"a"}"#,
            r#"{"action":"put","key":"a","value":"b","value_base64":"AA=="}"#,
            r#"{"action":"put","key":"a","value_base64":"?"}"#,
            r#"{"action":"put","key":"a","value":5}"#,
            r#"{"action":"put","key":"a","value":"b","ttl":5}"#,
            r#"{"action":"put","key":"a","value":"b","ttl_ms":-5}"#,
            r#"{"action":"put","key":"100%","value":"b"}"#,
            r#"{"action":"delete","key":"a","value":"b"}"#,
            r#"{"action":"delete","key":"a","if":"gone"}"#,
            r#"{"action":"delete","key":"a","if":1.5}"#,
            r#"{"action":"check","key":"a"}"#,
        ] {
            assert_eq!(operation(json), None, "{json}");
        }
        for body in ["", "[]", "{}", r#"{"operations": {}}"#, r#"{"operations": [], "more": 1}"#] {
            assert!(operations_of(body.as_bytes()).is_err(), "{body}");
        }
    }
}
