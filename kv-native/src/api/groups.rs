//! The Raft groups of a node, for `/v1/status` and `/metrics`.

use kv_core::id::{NodeId, ShardId};
use kv_core::raft::{GroupView, RoleView};
use serde_json::{Value, json};

/// One group as `/v1/status` shows it. `name` says how to call a node.
pub(super) fn status(group: &GroupView, name: impl Fn(NodeId) -> String) -> Value {
    let names = |replicas: &kv_core::ordered::Set<kv_core::id::Replica>| -> Vec<String> {
        let mut names: Vec<String> = replicas.iter().map(|replica| name(replica.node)).collect();
        names.sort();
        names
    };
    let lag = |matched: u64| group.last.index.0.saturating_sub(matched);
    json!({
        "id": group.group.0,
        "shard": ShardId::of_group(group.group).map(|shard| shard.0),
        "role": group.role.name(),
        "term": group.term.0,
        "leader": group.leader.map(|leader| name(leader.node)),
        "commit": group.commit.0,
        "applied": group.applied.0,
        "lag": apply_lag(group),
        "durable": group.durable.0,
        "first": group.base.index.0 + 1,
        "last": group.last.index.0,
        "voters": names(&group.membership.voters),
        "outgoing": names(&group.membership.outgoing),
        "learners": names(&group.membership.learners),
        "replicas": group.peers.iter().map(|peer| json!({
            "name": name(peer.replica.node),
            "matched": peer.matched.0,
            "lag": lag(peer.matched.0),
            "flow": peer.flow,
        })).collect::<Vec<_>>(),
    })
}

/// The gauges of a group: name, meaning and value.
pub(super) fn gauges(group: &GroupView) -> [(&'static str, &'static str, u64); 8] {
    [
        ("term", "The term.", group.term.0),
        ("leading", "1 while this node leads the group.", (group.role == RoleView::Leader).into()),
        ("commit_index", "Up to where entries are committed.", group.commit.0),
        ("applied_index", "Up to where entries are applied here.", group.applied.0),
        ("apply_lag", "Committed entries that are not applied here yet.", apply_lag(group)),
        (
            "leader_known",
            "1 while this node knows who leads the group.",
            group.leader.is_some().into(),
        ),
        ("voters", "Members that vote in the group.", group.membership.voters.len() as u64),
        ("log_entries", "Entries in the log.", group.last.index.0 - group.base.index.0),
    ]
}

/// How many committed entries this node has not applied yet.
pub(super) fn apply_lag(group: &GroupView) -> u64 {
    group.commit.0.saturating_sub(group.applied.0)
}
