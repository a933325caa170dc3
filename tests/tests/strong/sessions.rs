//! Exactly-once writes: a write that is sent again in its session is carried out once.

use kv_tests::http::Answer;
use kv_tests::process::NodeProcess;
use serde_json::json;

use crate::{ask, at, cluster, put, refused, revision};

fn open(node: &NodeProcess) -> String {
    let answer = node.post("/v1/strong/sessions", b"").is(200).unwrap().json();
    assert!(answer["window"].as_u64() > Some(1) && answer["idle_ms"].as_u64() > Some(60_000));
    answer["session"].as_str().unwrap().to_owned()
}

fn write(node: &NodeProcess, session: &str, seq: u64, ack: u64, value: &str) -> Answer {
    let (seq, ack) = (seq.to_string(), ack.to_string());
    let headers = [("kv-session", session), ("kv-seq", &*seq), ("kv-ack", &*ack)];
    ask("PUT", node, &at("k"), &headers, Some(value.as_bytes()))
}

#[test]
fn a_write_sent_again_is_carried_out_once() {
    let mut cluster = cluster(3, &["--shards", "2"]);
    let session = open(&cluster.nodes[0]);
    let first = write(&cluster.nodes[0], &session, 1, 0, "one").is(200).unwrap();
    put(&cluster.nodes[1], "k", "another's");
    for node in &cluster.nodes {
        let again = write(node, &session, 1, 0, "one").is(200).unwrap();
        assert_eq!((again.json(), again.header("etag")), (first.json(), first.header("etag")));
        assert_eq!(node.get(&at("k")).text(), "another's");
    }
    // Another client has a session of its own.
    let other = open(&cluster.nodes[1]);
    assert_ne!(other, session);
    let second = write(&cluster.nodes[1], &other, 1, 0, "two").is(200).unwrap();
    assert!(revision(&first) < revision(&second));

    // It outlives a restart of everything.
    cluster.nodes.iter_mut().for_each(NodeProcess::kill);
    for node in &mut cluster.nodes {
        node.start();
    }
    crate::serves(&cluster);
    let again = write(&cluster.nodes[2], &session, 1, 0, "one").is(200).unwrap();
    assert_eq!(again.json(), first.json());
    assert_eq!(cluster.nodes[0].get(&at("k")).text(), "two");

    // A refused condition is an answer like any other.
    let headers = [("kv-session", &*session), ("kv-seq", "2"), ("if-none-match", "*")];
    let node = &cluster.nodes[0];
    let unmet = ask("PUT", node, &at("k"), &headers, Some(b"x")).is(412).unwrap();
    node.delete(&at("k")).is(200).unwrap();
    let again = ask("PUT", node, &at("k"), &headers, Some(b"x")).is(412).unwrap();
    assert_eq!(again.json(), unmet.json());
}

#[test]
fn a_number_is_over_once_its_answer_has_arrived() {
    let cluster = cluster(1, &[]);
    let node = &cluster.nodes[0];
    let session = open(node);
    write(node, &session, 1, 0, "one").is(200).unwrap();
    write(node, &session, 3, 1, "three").is(200).unwrap();
    write(node, &session, 2, 1, "two").is(200).unwrap();
    refused(write(node, &session, 1, 0, "one"), 409, "acknowledged");
    refused(write(node, &session, 1_000, 2, "far"), 400, "acknowledge answers first");
    assert_eq!(node.get(&at("k")).text(), "two");
}

#[test]
fn what_names_no_write_is_refused() {
    let cluster = cluster(1, &["--shards", "2"]);
    let node = &cluster.nodes[0];
    let session = open(node);
    refused(write(node, "999999.999999", 1, 0, "x"), 409, "no such session");
    refused(write(node, "999999", 1, 0, "x"), 409, "not one of this cluster");
    let wrong = |headers: &[(&str, &str)], words: &str| {
        refused(ask("PUT", node, &at("k"), headers, Some(b"x")), 400, words);
    };
    wrong(&[("kv-session", &session)], "go together");
    wrong(&[("kv-seq", "1")], "go together");
    wrong(&[("kv-session", "nonsense"), ("kv-seq", "1")], "unaltered");
    wrong(&[("kv-session", &session), ("kv-seq", "0")], "from 1 on");
    wrong(&[("kv-session", &session), ("kv-seq", "1"), ("kv-ack", "1")], "is over");
    node.get(&at("k")).is(404).unwrap();
    let batch =
        json!({ "operations": [{ "action": "put", "key": "k", "value": "v" }] }).to_string();
    let headers = [("kv-session", &*session), ("kv-seq", "1")];
    let first = ask("POST", node, "/v1/strong/batch", &headers, Some(batch.as_bytes())).is(200);
    let again = ask("POST", node, "/v1/strong/batch", &headers, Some(batch.as_bytes())).is(200);
    assert_eq!(first.unwrap().json(), again.unwrap().json());
}
