//! What gRPC and REST both do, as calls of the node, and how its refusals turn into gRPC's codes.

use kv_core::error::RequestError;
use kv_core::id::{NodeId, ShardId};
use kv_core::request::strong::{
    Action, Condition, Freshness, StrongReply, StrongRequest, WriteOperation,
};
use kv_core::request::{Reply, Request};
use kv_core::ring::layout::Layout;
use kv_core::settings::Setting;
use tonic::Status;

use super::proto::{
    Cluster, GetReply, GetRequest, Node, PutReply, PutRequest, StatusReply, StatusRequest,
};
use crate::api::App;
use crate::api::shards::leader_of;

/// The shard whose replicas stand for the cluster.
const FIRST: ShardId = ShardId(0);

/// Stores a value; done when a majority has it.
pub(super) async fn put(app: &App, request: PutRequest) -> Result<PutReply, Status> {
    let PutRequest { key, value } = request;
    let limit = value_bytes_max(app);
    if value.len() as u64 > limit {
        return Err(too_large(limit));
    }
    let action = Action::Put { value, ttl: None };
    let operation = WriteOperation { key, condition: Condition::Any, action };
    let write = StrongRequest::Write { operations: vec![operation], session: None };
    match ask(app, write).await? {
        StrongReply::Written { .. } => Ok(PutReply { message: "success".into() }),
        other => Err(unexpected(&other)),
    }
}

/// Reads a key.
pub(super) async fn get(app: &App, request: GetRequest) -> Result<GetReply, Status> {
    let GetRequest { key } = request;
    let read = StrongRequest::Get { key: key.clone(), freshness: Freshness::Linearizable };
    match ask(app, read).await? {
        StrongReply::Value { record: Some(record), .. } => {
            Ok(GetReply { key, value: record.value })
        }
        StrongReply::Value { record: None, .. } => Err(Status::not_found("the key is absent")),
        other => Err(unexpected(&other)),
    }
}

/// Tells who leads and who follows.
pub(super) async fn status(app: &App, _: StatusRequest) -> Result<StatusReply, Status> {
    let view = app.handle.view().await;
    let view = view.ok_or_else(|| Status::unavailable("this node is stopping; ask another one"))?;
    let Some(layout) = &view.layout else {
        return Err(Status::unavailable(
            "this node is not a member of a cluster yet; are the other nodes up?",
        ));
    };
    let leader = leader_of(app, &view, FIRST).await;
    Ok(StatusReply { node_id: view.name.clone(), cluster: Some(cluster(leader, layout)) })
}

fn cluster(leader: Option<NodeId>, layout: &Layout) -> Cluster {
    let member = |node| {
        let member = layout.members.get(&node)?;
        Some(Node { id: member.name.clone(), addr: member.address.clone() })
    };
    let followers = layout.holders(FIRST).filter(|node| Some(*node) != leader);
    Cluster {
        leader: leader.and_then(member),
        followers: followers.filter_map(member).map(|node| (node.id.clone(), node)).collect(),
    }
}

/// How large a value may be.
pub(super) fn value_bytes_max(app: &App) -> u64 {
    app.handle.facts().settings.get(Setting::ValueBytesMax)
}

/// That a value is larger than the limit.
pub(super) fn too_large(limit: u64) -> Status {
    Status::out_of_range(format!(
        "the value is larger than value_bytes_max, {limit} bytes; nothing was changed, store it in parts or raise the setting"
    ))
}

async fn ask(app: &App, request: StrongRequest) -> Result<StrongReply, Status> {
    let reply = app.handle.request(Request::Strong { request, timeout: None }).await;
    match reply.map_err(|error| refusal(&error))? {
        Reply::Strong(reply) => Ok(reply),
        other => Err(unexpected(&other)),
    }
}

/// The code says what the caller does next, as the error does.
fn refusal(error: &RequestError) -> Status {
    let words = error.to_string();
    match error {
        RequestError::Invalid(_) => Status::invalid_argument(words),
        RequestError::Conflict(_) => Status::aborted(words),
        RequestError::Unavailable(_) => Status::unavailable(words),
        RequestError::Busy | RequestError::Full => Status::resource_exhausted(words),
        // Of all codes this one alone means that it may have taken effect.
        RequestError::Unknown(_) => Status::deadline_exceeded(words),
    }
}

fn unexpected(reply: &dyn std::fmt::Debug) -> Status {
    tracing::error!(?reply, "an answer that fits no request");
    Status::unknown(
        "internal fault: an answer that fits no request; it may have taken effect, read the key before retrying",
    )
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn an_unknown_outcome_is_never_told_as_unchanged() {
        let unknown = refusal(&RequestError::Unknown("timed out".into()));
        assert_eq!(unknown.code(), Code::DeadlineExceeded);
        assert!(unknown.message().contains("may still have taken effect"));
        assert_eq!(unexpected(&()).code(), Code::Unknown);
        for unchanged in [RequestError::Busy, RequestError::Unavailable(String::new())] {
            assert!(unchanged.is_retryable());
            assert!(matches!(
                refusal(&unchanged).code(),
                Code::ResourceExhausted | Code::Unavailable
            ));
        }
    }
}
