//! What a node shows of itself: `/v1/status`, `/v1/ring`, `/health`.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use kv_core::id::PartitionId;
use kv_core::node::NodeView;
use kv_core::ring::layout::{Layout, Stage};
use serde_json::{Value, json};

use super::answer::{Failure, Style};
use super::{App, Body, Operation, Surface};

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
                &[(200, "node, cluster, peers, storage")],
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
    let storage = json!({
        "entries": view.storage.keys,
        "bytes": view.storage.bytes,
        "segments": view.storage.segments.len(),
        "log_bytes": view.storage.segments.iter().map(|(_, bytes)| bytes).sum::<u64>(),
        "unsynced_bytes": view.storage.unsynced_bytes,
        "full": view.storage.full,
    });
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
        "storage": storage,
        "requests_open": view.requests_open,
        "outputs_held": view.outputs_held,
    });
    Ok(Json(body).into_response())
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
