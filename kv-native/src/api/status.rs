//! What a node shows of itself: `/v1/status`, `/v1/ring`, `/health`.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use kv_core::id::PartitionId;
use kv_core::node::NodeView;
use kv_core::node::entry::{key_words, last_words};
use kv_core::ring::layout::{Layout, Stage};
use kv_core::storage::{LevelView, StoreView, Suspect, TableView};
use serde_json::{Value, json};

use super::answer::{Failure, Style};
use super::{App, Body, Operation, Surface};
use crate::disk::file_name;

/// Adds these paths.
pub(crate) fn surface(surface: Surface) -> Surface {
    let get = |path, summary, answers| Operation {
        method: Method::GET,
        path,
        summary,
        query: &[],
        headers: &[],
        body: Body::None,
        answers,
    };
    surface
        .on(
            get(
                "/v1/status",
                "This node as it is right now",
                &[(
                    200,
                    "node, cluster, peers, Raft groups, and storage: memtable, levels with their tables, filters, cache, amplification, suspects",
                )],
            ),
            status,
        )
        .on(
            get("/v1/ring", "Which member owns which partition", &[(200, "One row per partition")]),
            ring,
        )
        .on(
            get(
                "/health",
                "Whether this node can take part",
                &[(200, "It is a member of a cluster"), (503, "It is not, or it is stopping")],
            ),
            health,
        )
}

async fn view(app: &App) -> Result<NodeView, Failure> {
    app.handle.view().await.ok_or_else(|| Failure::stopping(Style::Error))
}

async fn status(State(app): State<App>) -> Result<Response, Failure> {
    let view = view(&app).await?;
    let facts = app.handle.facts();
    let peers: Vec<Value> = view
        .peers
        .iter()
        .map(|peer| {
            json!({
                "name": facts.name_of(peer.node),
                "linked": peer.linked,
                "alive": peer.alive,
                "silent_ms": peer.silent.map(|silent| silent.as_millis()),
            })
        })
        .collect();
    let group = |group| super::groups::status(group, |node| facts.name_of(node));
    let body = json!({
        "node": {
            "name": view.name,
            "id": view.node.to_string(),
            "address": view.address,
            "incarnation": view.incarnation.to_string(),
            "boot": view.boot.0,
            "version": env!("CARGO_PKG_VERSION"),
            "core_build": kv_core::BUILD,
        },
        "cluster": view.layout.as_ref().map(cluster),
        "peers": peers,
        "groups": view.groups.iter().map(group).collect::<Vec<_>>(),
        "storage": storage(&view.storage),
        "requests_open": view.requests_open,
        "outputs_held": view.outputs_held,
    });
    Ok(Json(body).into_response())
}

fn storage(store: &StoreView) -> Value {
    let (spared, vain, found) = store.filter;
    let (cache_bytes, hits, misses) = store.cache;
    let (user, log, tables) = store.written;
    let thousandths = |value: Option<u64>| value.map(|value| value as f64 / 1_000.0);
    let suspect = |suspect: &Suspect| {
        json!({
            "first": key_words(&suspect.start),
            "last": last_words(&suspect.end),
            "file": file_name(suspect.file),
            "offset": suspect.offset,
        })
    };
    json!({
        "entries": store.versions,
        "bytes": store.bytes,
        "segments": store.segments.len(),
        "log_bytes": store.log_bytes(),
        "unsynced_bytes": store.unsynced_bytes,
        "full": store.full,
        "memtable": {
            "versions": store.memtable.0,
            "bytes": store.memtable.1,
            "limit_bytes": store.memtable_limit,
            "waiting": store.frozen.0,
            "waiting_bytes": store.frozen.1,
        },
        "table_bytes": store.table_bytes(),
        "levels": store.levels.iter().map(level).collect::<Vec<_>>(),
        "index_bytes": store.index_bytes,
        "filter": {
            "spared": spared,
            "false_positives": vain,
            "found": found,
            "false_positive_rate":
                store.false_positives_per_million().map(|share| share as f64 / 1_000_000.0),
        },
        "cache": {
            "bytes": cache_bytes,
            "hits": hits,
            "misses": misses,
            "hit_rate": (hits + misses > 0).then(|| hits as f64 / (hits + misses) as f64),
        },
        "written": { "user_bytes": user, "log_bytes": log, "table_bytes": tables },
        "write_amplification": thousandths(store.write_amplification()),
        "space_amplification": thousandths(store.space_amplification()),
        "jobs": store.jobs,
        "snapshots": store.snapshots,
        "suspects": store.suspects.iter().map(suspect).collect::<Vec<_>>(),
    })
}

fn level(level: &LevelView) -> Value {
    let table = |table: &TableView| {
        json!({
            "file": file_name(table.file),
            "bytes": table.bytes,
            "raw_bytes": table.raw_bytes,
            "versions": table.versions,
            "removals": table.removals,
            "ranges": table.ranges,
            "filter_bytes": table.filter_bytes,
            "first": key_words(&table.first),
            "last": last_words(&table.end),
            "fault": table.fault.as_ref().map(ToString::to_string),
        })
    };
    json!({
        "bytes": level.bytes(),
        "target_bytes": level.target_bytes,
        "tables": level.tables.iter().map(table).collect::<Vec<_>>(),
    })
}

fn cluster(layout: &Layout) -> Value {
    let moving = layout.moving.as_ref().map(|moving| {
        let stage = match moving.stage {
            Stage::Copy => "copy",
            Stage::Switch => "switch",
        };
        json!({ "stage": stage, "done": moving.done.len() })
    });
    json!({
        "id": layout.cluster.to_string(),
        "epoch": layout.epoch.0,
        "founder": layout.name_of(layout.founder),
        "members": layout.members.len(),
        "replicas": layout.replicas,
        "partitions": layout.ring.partitions(),
        "moving": moving,
    })
}

async fn ring(State(app): State<App>) -> Result<Response, Failure> {
    let view = view(&app).await?;
    let rows = view.layout.as_ref().map(|layout| {
        let row = |number| {
            let partition = PartitionId(number);
            let names = |nodes: Vec<_>| -> Vec<String> {
                nodes.into_iter().map(|node| layout.name_of(node)).collect()
            };
            json!({
                "partition": number,
                "owners": names(layout.owners(partition)),
                "moving_from": layout.old_owners(partition).map(names),
            })
        };
        (0..layout.ring.partitions()).map(row).collect::<Vec<_>>()
    });
    let epoch = view.layout.as_ref().map(|layout| layout.epoch.0);
    Ok(Json(json!({ "epoch": epoch, "partitions": rows.unwrap_or_default() })).into_response())
}

async fn health(State(app): State<App>) -> Result<Response, Failure> {
    let view = view(&app).await?;
    if view.layout.is_none() {
        let words =
            "this node is not a member of a cluster yet; is a node of --join or --cluster up?";
        return Err(Failure::new(Style::Error, axum::http::StatusCode::SERVICE_UNAVAILABLE, words));
    }
    Ok(Json(json!({ "status": "ok", "node": view.name })).into_response())
}
