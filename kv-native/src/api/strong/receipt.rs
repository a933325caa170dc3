//! How an answer of the strong keyspace came about, in `KV-Receipt`.

use axum::http::HeaderValue;
use axum::response::Response;
use kv_core::id::Index;
use kv_core::request::strong::Freshness;
use serde_json::{Value, json};

use super::super::App;
use super::super::keys::RECEIPT;

/// What is told of a read.
pub(super) fn of_read(freshness: Freshness, found: Option<Index>, upto: Index) -> Value {
    let read = match freshness {
        Freshness::Linearizable => "linearizable",
        Freshness::Stale => "stale",
    };
    json!({ "read": read, "revision": found.map(|found| found.0), "log_upto": upto.0 })
}

/// What is told of a write. It is answered when a majority of the shard's voters has synced it.
pub(super) fn of_write(revision: Index) -> Value {
    json!({ "fsynced": "majority", "revision": revision.0 })
}

/// Adds what is told, and the shard that the key is in.
pub(super) fn add(response: &mut Response, app: &App, key: &[u8], mut told: Value) {
    let facts = app.handle.facts();
    let Some(layout) = &facts.layout else { return };
    let Some(shard) = layout.shard_of(key) else { return };
    let replicas: Vec<String> = layout.holders(shard).map(|node| layout.name_of(node)).collect();
    told["shard"] = shard.0.into();
    told["replicas"] = replicas.into();
    told["ring_epoch"] = layout.epoch.0.into();
    if let Ok(text) = HeaderValue::try_from(told.to_string()) {
        response.headers_mut().insert(RECEIPT, text);
    }
}
