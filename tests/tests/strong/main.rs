//! The native surface of the strong keyspace, on clusters of one and three nodes.

mod batch;
mod keys;
mod scan;
mod sessions;
mod tools;
mod watch;

use kv_tests::cluster::Cluster;
use kv_tests::http::{Answer, call};
use kv_tests::process::{NodeProcess, eventually};
use serde_json::Value;

/// So many nodes that list each other, in which every shard answers at every node.
fn cluster(nodes: usize, arguments: &[&str]) -> Cluster {
    let order: Vec<usize> = (0..nodes).collect();
    let cluster = Cluster::listed_with(&order, arguments);
    serves(&cluster);
    cluster
}

/// Waits until every shard answers at every node.
fn serves(cluster: &Cluster) {
    for node in &cluster.nodes {
        eventually(&format!("{} serves strong", node.name), || {
            node.get("/v1/strong/keys?limit=1&timeout_ms=1000&prefix=%FF%FF").is(200)
        });
    }
}

/// Where a key is.
fn at(key: &str) -> String {
    format!("/v1/strong/keys/{key}")
}

/// A request with headers.
fn ask(
    method: &str,
    node: &NodeProcess,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Answer {
    call(method, &node.url(path), headers, body)
}

/// A put that is done. Returns its revision.
fn put(node: &NodeProcess, key: &str, value: &str) -> u64 {
    revision(&node.put(&at(key), value.as_bytes()).is(200).unwrap())
}

/// The revision that a write has told.
fn revision(answer: &Answer) -> u64 {
    answer.json()["revision"].as_u64().unwrap_or_else(|| panic!("no revision: {}", answer.text()))
}

/// That an answer has this status and words that contain this; returns its JSON.
fn refused(answer: Answer, status: u16, words: &str) -> Value {
    let json = answer.is(status).unwrap().json();
    let said = json["error"].as_str().unwrap_or_default().to_owned();
    assert!(said.contains(words), "{words:?} is not in {said:?}");
    json
}

/// The shard of a key, as a receipt tells it.
fn shard_of(node: &NodeProcess, key: &str) -> u64 {
    let receipt = node.get(&format!("{}?receipt=1", at(key))).header("kv-receipt").to_owned();
    let receipt: Value = serde_json::from_str(&receipt).unwrap();
    receipt["shard"].as_u64().unwrap()
}
