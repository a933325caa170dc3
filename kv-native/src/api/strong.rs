//! The native API of the strong keyspace: `/v1/strong`.
//!
//! Any node takes any request; the core finds the shard and its leader. A write names what must be there
//! in `If-Match` or `If-None-Match`, and itself in `KV-Session` and `KV-Seq`, so that it is carried out at
//! most once. Whoever wants several keys of one shard changed together sends a batch. Options and headers
//! without meaning are refused rather than ignored.

mod batch;
mod condition;
mod header;
mod keys;
mod options;
mod receipt;
mod revisions;
mod scan;
mod session;
mod watch;

use axum::http::{HeaderValue, StatusCode, header as http_header};
use axum::response::{IntoResponse, Response};
use kv_core::id::{Index, ShardId};
use kv_core::request::strong::{Record, StrongReply, StrongRequest};
use kv_core::request::{Reply, Request};
use kv_core::time::Micros;
use serde_json::{Map, Value, json};

use super::answer::{Failure, Style};
use super::{App, Surface, query};

/// How many shards are asked at the same time by one request.
const SHARDS_AT_ONCE: usize = 16;

/// Adds these paths.
pub(crate) fn surface(surface: Surface) -> Surface {
    [keys::surface, scan::surface, batch::surface, session::surface, watch::surface]
        .into_iter()
        .fold(surface, |all, add| add(all))
}

/// Asks the strong keyspace.
async fn ask(
    app: &App,
    request: StrongRequest,
    timeout: Option<Micros>,
) -> Result<StrongReply, Failure> {
    match app.handle.request(Request::Strong { request, timeout }).await {
        Ok(Reply::Strong(reply)) => Ok(reply),
        Ok(other) => Err(Failure::unexpected(Style::Error, &other)),
        Err(error) => Err(Failure::of(Style::Error, &error)),
    }
}

/// An answer that fits no request: a fault of this program.
fn unexpected(reply: StrongReply) -> Failure {
    Failure::unexpected(Style::Error, &Reply::Strong(reply))
}

/// That a request makes no sense as it is.
fn refused(words: impl Into<String>) -> Failure {
    Failure::new(Style::Error, StatusCode::BAD_REQUEST, words)
}

/// All shards, in their order.
fn shards(app: &App) -> Result<Vec<ShardId>, Failure> {
    let facts = app.handle.facts();
    let count = facts.layout.as_ref().map(|layout| layout.shards.len());
    let count = count.and_then(|count| u32::try_from(count).ok()).ok_or_else(no_member)?;
    Ok((0..count).map(ShardId).collect())
}

/// The shard of a key.
fn shard_of(app: &App, key: &[u8]) -> Result<ShardId, Failure> {
    let facts = app.handle.facts();
    facts.layout.as_ref().and_then(|layout| layout.shard_of(key)).ok_or_else(no_member)
}

fn no_member() -> Failure {
    let words = "this node is not a member of a cluster yet; nothing was changed, try again shortly or ask another";
    Failure::new(Style::Error, StatusCode::SERVICE_UNAVAILABLE, words)
}

/// A record under its key, as JSON. Keys are written as in a path.
fn shown(key: &[u8], record: &Record) -> Value {
    use base64::Engine;
    let mut fields = Map::new();
    fields.insert("key".into(), query::encoded(key).into());
    let value = base64::engine::general_purpose::STANDARD.encode(&record.value);
    fields.insert("value_base64".into(), value.into());
    fields.insert("revision".into(), record.revision.0.into());
    if let Some(expires) = record.expires {
        fields.insert("expires_ms".into(), (expires.0 / 1_000).into());
    }
    Value::Object(fields)
}

/// The revision of what is under a key, as an entity tag.
fn add_tag(response: &mut Response, revision: Index) {
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", revision.0)) {
        response.headers_mut().insert(http_header::ETAG, tag);
    }
}

/// That a condition was not met. `operation` says which, where there are several.
fn unmet(operation: Option<u32>, found: Option<Index>) -> Response {
    let what = found.map_or_else(
        || "there is nothing under the key".to_owned(),
        |revision| format!("revision {} is under the key", revision.0),
    );
    let which = operation.map(|at| format!("operation {at}: ")).unwrap_or_default();
    let words = format!("{which}the condition is not met, {what}; nothing was changed");
    let mut body = json!({ "error": words, "outcome": "unchanged", "found": found.map(|at| at.0) });
    if let Some(at) = operation {
        body["operation"] = at.into();
    }
    let mut response = (StatusCode::PRECONDITION_FAILED, axum::Json(body)).into_response();
    if let Some(revision) = found {
        add_tag(&mut response, revision);
    }
    response
}
