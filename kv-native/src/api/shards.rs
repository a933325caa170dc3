//! Where the shards of the strong keyspace are, and how far this node is with them: `/v1/shards`.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use kv_core::id::ShardId;
use kv_core::raft::GroupView;
use serde_json::{Value, json};

use super::answer::{Failure, Style};
use super::groups::apply_lag;
use super::{App, Body, Operation, Surface};

/// Adds this path.
pub(crate) fn surface(surface: Surface) -> Surface {
    let operation = Operation {
        method: Method::GET,
        path: "/v1/shards",
        summary: "The shards of the strong keyspace: who has them, and how far this node is",
        query: &[],
        headers: &[],
        body: Body::None,
        answers: &[(
            200,
            "{\"epoch\", \"shards\": [{\"shard\", \"group\", \"replicas\", \"leader\", \"here\"}]}: here is {\"role\", \"term\", \"commit\", \"applied\", \"lag\"} where this node has a part of the shard, else null as the leader",
        )],
    };
    surface.on(operation, shards)
}

async fn shards(State(app): State<App>) -> Result<Response, Failure> {
    let view = app.handle.view().await.ok_or_else(|| Failure::stopping(Style::Error))?;
    let facts = app.handle.facts();
    let here = |group: &GroupView| {
        json!({
            "role": group.role.name(),
            "term": group.term.0,
            "commit": group.commit.0,
            "applied": group.applied.0,
            "lag": apply_lag(group),
        })
    };
    let rows = view.layout.as_ref().map(|layout| -> Vec<Value> {
        let row = |shard: ShardId| {
            let names: Vec<String> =
                layout.holders(shard).map(|node| layout.name_of(node)).collect();
            let own = view.groups.iter().find(|group| group.group == shard.group());
            json!({
                "shard": shard.0,
                "group": shard.group().0,
                "replicas": names,
                "leader": own.and_then(|group| group.leader).map(|it| facts.name_of(it.node)),
                "here": own.map(here),
            })
        };
        let count = u32::try_from(layout.shards.len()).unwrap_or(u32::MAX);
        (0..count).map(ShardId).map(row).collect()
    });
    let epoch = view.layout.as_ref().map(|layout| layout.epoch.0);
    Ok(Json(json!({ "epoch": epoch, "shards": rows.unwrap_or_default() })).into_response())
}
