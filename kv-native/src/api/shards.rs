//! Where the shards of the strong keyspace are, who leads them, and how far this node is with them:
//! `/v1/shards`.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use kv_core::id::{NodeId, ShardId};
use kv_core::node::NodeView;
use kv_core::raft::GroupView;
use kv_core::request::strong::{StrongReply, StrongRequest};
use kv_core::request::{Reply, Request};
use kv_core::time::Micros;
use serde_json::{Value, json};

use super::answer::{Failure, Style};
use super::groups::apply_lag;
use super::{App, Body, Operation, Surface};

/// How long another node is waited for that is to say who leads.
const LEADER_WAIT: Micros = Micros::from_millis(1_000);

/// How many shards are asked at a time who leads them.
const SHARDS_AT_ONCE: usize = 16;

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
            "{\"epoch\", \"shards\": [{\"shard\", \"group\", \"replicas\", \"leader\", \"here\"}]}: here is {\"role\", \"term\", \"commit\", \"applied\", \"lag\"} where this node has a part of the shard, else null; so is the leader where nobody knows one",
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
    let count = view.layout.as_ref().map_or(0, |layout| layout.shards.len());
    let shards = (0..u32::try_from(count).unwrap_or(u32::MAX)).map(ShardId);
    let (app, shown) = (&app, &view);
    let leader = async |shard| (shard, leader_of(app, shown, shard).await);
    let leaders: Vec<(ShardId, Option<NodeId>)> =
        stream::iter(shards).map(leader).buffered(SHARDS_AT_ONCE).collect().await;
    let rows = view.layout.as_ref().map(|layout| -> Vec<Value> {
        let row = |(shard, leader): (ShardId, Option<NodeId>)| {
            let names: Vec<String> =
                layout.holders(shard).map(|node| layout.name_of(node)).collect();
            let own = view.groups.iter().find(|group| group.group == shard.group());
            json!({
                "shard": shard.0,
                "group": shard.group().0,
                "replicas": names,
                "leader": leader.map(|leader| facts.name_of(leader)),
                "here": own.map(here),
            })
        };
        leaders.into_iter().map(row).collect()
    });
    let epoch = view.layout.as_ref().map(|layout| layout.epoch.0);
    Ok(Json(json!({ "epoch": epoch, "shards": rows.unwrap_or_default() })).into_response())
}

/// Who leads a shard, as far as this node knows; if it has no part of the shard, as far as another does.
pub(crate) async fn leader_of(app: &App, view: &NodeView, shard: ShardId) -> Option<NodeId> {
    let own = view.groups.iter().find(|group| group.group == shard.group());
    if let Some(leader) = own.and_then(|group| group.leader) {
        return Some(leader.node);
    }
    let (request, timeout) = (StrongRequest::Leader { shard }, Some(LEADER_WAIT));
    match app.handle.request(Request::Strong { request, timeout }).await {
        Ok(Reply::Strong(StrongReply::Leader(leader))) => Some(leader),
        _ => None,
    }
}
