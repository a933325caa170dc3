//! The command line on the strong keyspace, and where the cluster shows it.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use kv_tests::process::{NodeProcess, command, eventually};
use serde_json::{Value, json};

use crate::{cluster, put};

/// Runs a client command; its exit code, output and words.
fn kv(node: &NodeProcess, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output =
        command(arguments).env("KV_ADDR", &node.address).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_client_commands_speak_to_the_strong_keyspace() {
    let cluster = cluster(3, &["--shards", "2"]);
    let strong = |node: usize, arguments: &[&str]| {
        let arguments = [&arguments[..1], &["--keyspace", "strong"], &arguments[1..]].concat();
        kv(&cluster.nodes[node], &arguments)
    };
    let done = |node: usize, arguments: &[&str]| {
        let (code, output, words) = strong(node, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {words}");
        output
    };
    let failed = |node: usize, arguments: &[&str], words: &str| {
        let (code, output, said) = strong(node, arguments);
        assert_eq!((code, &*output), (Some(1), ""), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    };
    failed(0, &["get", "a/b"], "no value");
    done(0, &["put", "a/b", "one", "--if-absent"]);
    failed(1, &["put", "a/b", "two", "--if-absent"], "nothing was changed");
    assert_eq!(done(2, &["get", "a/b"]), "one");
    let revision = put(&cluster.nodes[0], "a%2Fb", "two").to_string();
    done(1, &["put", "a/b", "three", "--if-match", &revision]);
    failed(1, &["delete", "a/b", "--if-match", &revision], "nothing was changed");
    done(0, &["put", "a/c", "four", "--ttl", "600"]);
    put(&cluster.nodes[0], "a%2Fd", "\u{1}");
    let mut lines: Vec<String> = done(2, &["scan", "a/"]).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["a%2Fb\tthree", "a%2Fc\tfour", "a%2Fd\tbase64:AQ=="]);
    done(1, &["delete", "a/b"]);
    eventually("every replica knows it", || {
        let (code, _, words) = strong(0, &["get", "--stale", "a/b"]);
        if code == Some(1) && words.contains("no value") { Ok(()) } else { Err(words) }
    });
    failed(0, &["get", "--quorum", "2", "a/c"], "no meaning");
    let (code, _, words) = kv(&cluster.nodes[0], &["put", "--ttl", "5", "k", "v"]);
    assert!(code == Some(1) && words.contains("no meaning"), "{words}");
    let (code, _, words) = kv(&cluster.nodes[0], &["get", "--stale", "k"]);
    assert!(code == Some(1) && words.contains("no meaning"), "{words}");
    assert_eq!(kv(&cluster.nodes[0], &["put", "k", "v"]).0, Some(0));
    assert_eq!(kv(&cluster.nodes[0], &["scan"]), (Some(0), "k\n".into(), String::new()));
}

#[test]
fn a_watch_is_told_on_the_command_line() {
    let cluster = cluster(1, &[]);
    let node = &cluster.nodes[0];
    let begin = kv_tests::events::Events::open(node, "/v1/strong/watch", &[]).next().unwrap().id;
    put(node, "a", "one");
    let mut child = command(&["watch", "--after", &begin, "a"])
        .env("KV_ADDR", &node.address)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["changes"][0]["value_base64"], "b25l");
    put(node, "a", "two");
    assert_eq!(next()["changes"][0]["value_base64"], "dHdv");
    child.kill().unwrap();
    child.wait().unwrap();
    let (code, _, words) = kv(node, &["watch", "--after", "nonsense"]);
    assert!(code == Some(1) && words.contains("not the id"), "{words}");
}

#[test]
fn shards_status_and_metrics_tell_where_shards_are() {
    let cluster = cluster(3, &["--shards", "2"]);
    put(&cluster.nodes[0], "k", "v");
    let node = &cluster.nodes[1];
    let answer = node.get("/v1/shards").is(200).unwrap().json();
    let shards = answer["shards"].as_array().unwrap();
    assert_eq!(shards.len(), 2);
    for (number, shard) in shards.iter().enumerate() {
        assert_eq!((&shard["shard"], &shard["group"]), (&json!(number), &json!(number + 1)));
        let mut replicas: Vec<&str> =
            shard["replicas"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        replicas.sort_unstable();
        assert_eq!(replicas, ["n1", "n2", "n3"]);
        assert!(replicas.contains(&shard["leader"].as_str().unwrap_or_default()), "{shard}");
        let here = &shard["here"];
        assert!(here["term"].as_u64() > Some(0) && here["lag"].is_u64(), "{shard}");
    }
    let status = node.get("/v1/status").is(200).unwrap().json();
    let group = &status["groups"][1];
    assert_eq!((&group["id"], &group["shard"]), (&json!(1), &json!(0)));
    assert_eq!(status["groups"][0]["shard"], Value::Null);
    let metrics = node.get("/metrics").is(200).unwrap().text();
    for line in ["kv_raft_voters{group=\"2\"} 3", "kv_raft_leader_known{group=\"2\"} 1"] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in {metrics}");
    }
    assert!(metrics.contains("kv_raft_apply_lag{group=\"1\"}"), "{metrics}");
    let words = kv(node, &["status"]).1;
    assert!(words.contains("metadata led by") && words.contains("shard 1  led by"), "{words}");
}

#[test]
fn a_node_that_has_no_part_of_a_shard_knows_who_leads_it() {
    let cluster = cluster(4, &[]);
    let shard = |node: &NodeProcess| {
        let answer = node.get("/v1/shards").is(200).unwrap().json();
        answer["shards"][0].clone()
    };
    let outside = cluster.nodes.iter().filter(|node| shard(node)["here"].is_null());
    assert_eq!(outside.count(), 1, "three of four have it");
    eventually("all name the same leader", || {
        let mut told: Vec<Value> =
            cluster.nodes.iter().map(|node| shard(node)["leader"].clone()).collect();
        told.extend(cluster.nodes.iter().map(|node| {
            let status = node.get("/v0/cluster/status").is(200).unwrap().json();
            status["cluster"]["leader"]["id"].clone()
        }));
        let same = told.iter().all(|leader| leader.is_string() && *leader == told[0]);
        if same { Ok(()) } else { Err(format!("{told:?}")) }
    });
}

#[test]
fn members_are_listed_taken_in_and_let_go() {
    let mut cluster = kv_tests::cluster::Cluster::apart(3);
    let add =
        |node: &NodeProcess, other: &NodeProcess| kv(node, &["members", "add", &other.address]);
    let (code, _, words) = add(&cluster.nodes[0], &cluster.nodes[1]);
    assert!(code == Some(0) && words.contains("n2 is a member now"), "{words}");
    cluster.nodes[0].post("/v1/members", b"{}").is(400).unwrap();
    let body = json!({ "address": cluster.nodes[2].address }).to_string();
    let taken = cluster.nodes[0].post("/v1/members", body.as_bytes()).is(200).unwrap();
    assert_eq!(taken.json(), json!({ "name": "n3" }));
    cluster.settled(3);
    let node = &cluster.nodes[0];
    let (code, listed, _) = kv(node, &["members"]);
    assert!(
        code == Some(0) && ["n1", "n2", "n3"].iter().all(|name| listed.contains(name)),
        "{listed}"
    );
    for query in ["force=x", "power=1"] {
        node.delete(&format!("/v1/members/n3?{query}")).is(400).unwrap();
    }
    eventually("n3 is let go", || match kv(node, &["members", "remove", "n3"]) {
        (Some(0), ..) => Ok(()),
        (_, _, words) => Err(words),
    });
    let (code, _, words) = kv(node, &["members", "remove", "n3"]);
    assert!(code == Some(1) && words.contains("no member"), "{words}");
}

#[test]
fn a_member_that_a_majority_needs_is_let_go_by_force_only() {
    let mut cluster = cluster(3, &[]);
    cluster.nodes[2].kill();
    let node = &cluster.nodes[0];
    eventually("n3 is missed", || {
        let members = node.get("/v1/members").is(200)?.json();
        let rows = members["members"].as_array().cloned().unwrap_or_default();
        let dead = rows.iter().any(|one| one["name"] == "n3" && one["alive"] == false);
        if dead { Ok(()) } else { Err(members.to_string()) }
    });
    let refusal = node.delete("/v1/members/n2").is(409).unwrap().json();
    assert!(refusal["error"].as_str().unwrap().contains("majority"), "{refusal}");
    let (code, _, words) = kv(node, &["members", "remove", "n2"]);
    assert!(code == Some(1) && words.contains("nothing was changed"), "{words}");
    node.put("/v1/strong/keys/k", b"v").is(200).unwrap();
    let (code, _, words) = kv(node, &["members", "remove", "n2", "--force"]);
    assert_eq!(code, Some(0), "{words}");
}
