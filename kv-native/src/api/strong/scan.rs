//! Many keys of the strong keyspace, page by page: `/v1/strong/keys`.
//!
//! The order is by shard, then by key. The last key of a page tells the shard, so a client goes on with
//! nothing but that. Pages are read one after the other: together they are no picture of one moment.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use kv_core::request::strong::{Record, StrongReply, StrongRequest};
use serde_json::{Value, json};

use super::super::answer::Failure;
use super::super::{App, Body, Operation, Surface, query};
use super::options::Options;
use super::{ask, header, shard_of, shards, shown, unexpected};

/// How many records a page has if nothing else is said.
const LIMIT: u32 = 1_000;
/// A page ends with the answer of the core that reaches so many bytes of keys and values.
const PAGE_BYTES: usize = 1 << 20;

/// Adds this path.
pub(super) fn surface(surface: Surface) -> Surface {
    let operation = Operation {
        method: Method::GET,
        path: "/v1/strong/keys",
        summary: "Keys with their values, page by page, in the order of the shards and then of the keys",
        query: &[
            ("prefix", "only keys that begin so"),
            ("after", "go on behind this key: the field next of the page before"),
            ("limit", "the most records, up to 10000; 1000 if absent. A page may hold fewer"),
            ("read", "linearizable (the default), or stale: what some replica has applied"),
            ("timeout_ms", "how long to wait for each shard"),
        ],
        headers: &[],
        body: Body::None,
        answers: &[
            (
                200,
                "{\"records\": [{\"key\", \"value_base64\", \"revision\", \"expires_ms\"}], \"next\"}: keys are percent-encoded, next is null behind the last page",
            ),
            (400, "An option has no meaning here"),
            (503, "A shard has no leader that a majority follows, or the node is busy"),
            (504, "No answer in time"),
        ],
    };
    surface.on(operation, scan)
}

async fn scan(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Failure> {
    header::refuse(&headers, &[])?;
    let options = Options::of(&uri, &["prefix", "after", "limit", "read", "timeout_ms"])?;
    let mut after = options.after.clone();
    let first = after.as_deref().map(|key| shard_of(&app, key)).transpose()?;
    let mut shards = shards(&app)?.into_iter().skip_while(|shard| Some(*shard) < first).peekable();
    let mut page = Page { records: Vec::new(), last: None, bytes: 0 };
    let limit = options.limit.unwrap_or(LIMIT);
    while let Some(shard) = shards.peek().copied() {
        let room = page.room(limit);
        if room == 0 {
            break;
        }
        let request = StrongRequest::Scan {
            shard,
            prefix: options.prefix.clone(),
            after: after.take(),
            limit: room,
            freshness: options.freshness,
        };
        match ask(&app, request, options.timeout).await? {
            StrongReply::Page { records, next, .. } => {
                page.add(records);
                after = next;
            }
            other => return Err(unexpected(other)),
        }
        if after.is_none() {
            shards.next();
        }
    }
    let more = shards.peek().is_some();
    let next = after.or(page.last).filter(|_| more).map(|key| query::encoded(&key));
    Ok(Json(json!({ "records": page.records, "next": next })).into_response())
}

/// What was found so far.
struct Page {
    records: Vec<Value>,
    last: Option<Bytes>,
    bytes: usize,
}

impl Page {
    /// How many records still fit.
    fn room(&self, limit: u32) -> u32 {
        let count = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        if PAGE_BYTES <= self.bytes { 0 } else { limit.saturating_sub(count) }
    }

    fn add(&mut self, records: Vec<(Bytes, Record)>) {
        self.bytes += records.iter().map(|(key, it)| key.len() + it.value.len()).sum::<usize>();
        self.records.extend(records.iter().map(|(key, record)| shown(key, record)));
        if let Some((key, _)) = records.into_iter().last() {
            self.last = Some(key);
        }
    }
}
