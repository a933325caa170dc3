//! What a node says of itself, as far as `kv mgmt` needs it.

use std::time::Duration;

use serde_json::Value;
use ureq::http::StatusCode;

use crate::client::node::Node;

/// How long a node may take to say it.
const WAIT: Duration = Duration::from_secs(3);
/// The most voters of the metadata group.
const VOTERS_MAX: u64 = 5;

/// It.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its name.
    pub(super) name: String,
    /// What it is a member of, if it is.
    pub(super) cluster: Option<Membership>,
    /// The Raft groups it has a part in.
    pub(super) groups: Vec<Group>,
}

/// A cluster as a member knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Membership {
    /// Its id.
    pub(super) cluster: String,
    /// How many members it has.
    pub(super) members: u64,
    /// How many copies of each key.
    replicas: u64,
}

/// A Raft group as one of its replicas knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    id: u64,
    /// Whether this node leads it.
    pub(super) leads: bool,
    voters: u64,
    changing: bool,
}

/// Asks the node at a `HOST:PORT`; nothing if no node answers there.
pub(super) fn at(address: &str) -> Option<Seen> {
    let node = Node::within(address, WAIT);
    let answer = node.send("GET", &node.url("/v1/status"), None, &[]).ok()?;
    if answer.status == StatusCode::OK { Seen::of(&answer.json()) } else { None }
}

impl Seen {
    fn of(status: &Value) -> Option<Self> {
        let name = status["node"]["name"].as_str()?.to_owned();
        let cluster = &status["cluster"];
        let cluster = cluster["id"].as_str().map(|id| Membership {
            cluster: id.to_owned(),
            members: cluster["members"].as_u64().unwrap_or_default(),
            replicas: cluster["replicas"].as_u64().unwrap_or_default(),
        });
        let count = |list: &Value| list.as_array().map_or(0, Vec::len) as u64;
        let group = |group: &Value| {
            Some(Group {
                id: group["id"].as_u64()?,
                leads: group["role"] == "leader",
                voters: count(&group["voters"]),
                changing: count(&group["outgoing"]) > 0,
            })
        };
        let groups = status["groups"].as_array()?.iter().map(group).collect::<Option<_>>()?;
        Some(Self { name, cluster, groups })
    }

    /// Whether as many vote in each group as will when so many members have found their places.
    pub(super) fn settled(&self, members: u64) -> bool {
        let Some(cluster) = self.cluster.as_ref().filter(|it| members <= it.members) else {
            return false;
        };
        let members = cluster.members;
        self.groups.iter().all(|group| {
            let voters = match group.id {
                // An odd number: one more would only have to answer as well.
                0 => members.min(VOTERS_MAX).saturating_sub(1) / 2 * 2 + 1,
                _ => members.min(cluster.replicas),
            };
            group.voters == voters && !group.changing
        })
    }

    /// The parts it has in the strong keyspace.
    pub(super) fn shards(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| !group.is_metadata())
    }
}

impl Group {
    /// Whether it is that of the cluster's members, not a shard of the strong keyspace.
    pub(super) fn is_metadata(&self) -> bool {
        self.id == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(members: u64, voters: &[usize], outgoing: usize) -> Seen {
        let groups = voters.iter().enumerate().map(|(id, voters)| {
            json!({ "id": id, "role": "follower", "voters": vec!["n"; *voters], "outgoing": vec!["n"; outgoing] })
        });
        let groups: Vec<Value> = groups.collect();
        let cluster = json!({ "id": "c", "members": members, "replicas": 3 });
        let status = json!({ "node": { "name": "n" }, "cluster": cluster, "groups": groups });
        Seen::of(&status).unwrap()
    }

    #[test]
    fn a_cluster_is_settled_when_all_vote_that_shall() {
        for (members, voters) in
            [(1, [1, 1]), (2, [1, 2]), (3, [3, 3]), (4, [3, 3]), (5, [5, 3]), (99, [5, 3])]
        {
            assert!(status(members, &voters, 0).settled(members));
            assert!(!status(members, &voters, 1).settled(members), "one is let go yet");
            assert!(!status(members, &voters, 0).settled(members + 1), "one is not in yet");
            assert!(!status(members, &[voters[0], voters[1] - 1], 0).settled(members));
        }
        assert!(status(4, &[3], 0).settled(4), "it has no part of a shard");
    }

    #[test]
    fn an_answer_that_is_not_a_node_is_none() {
        for other in [json!(null), json!({ "node": 1 }), json!({ "node": { "name": "n" } })] {
            assert_eq!(Seen::of(&other), None);
        }
        let alone = json!({ "node": { "name": "n" }, "cluster": null, "groups": [] });
        assert_eq!(Seen::of(&alone).unwrap().cluster, None);
    }
}
