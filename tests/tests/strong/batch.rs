//! Batches: all or none, in one shard.

use kv_tests::http::Answer;
use kv_tests::process::NodeProcess;
use serde_json::{Value, json};

use crate::{ask, at, cluster, put, refused, revision, shard_of};

fn batch(node: &NodeProcess, operations: &Value) -> Answer {
    let body = json!({ "operations": operations }).to_string();
    node.post("/v1/strong/batch", body.as_bytes())
}

#[test]
fn a_batch_is_done_whole_or_not_at_all() {
    let cluster = cluster(3, &[]);
    let [first, second, third] = &cluster.nodes[..] else { unreachable!() };
    let old = put(first, "a", "old");
    let answer = batch(
        second,
        &json!([
            { "action": "put", "key": "a", "value": "new", "if": old },
            { "action": "put", "key": "b%2F%FF", "value_base64": "AP8=", "if": "absent" },
            { "action": "delete", "key": "c" },
            { "action": "check", "key": "d", "if": "absent" },
        ]),
    );
    let answer = answer.is(200).unwrap();
    assert_eq!(answer.json()["replaced"], json!([old, null, null, null]));
    // All of it has one revision.
    let tag = format!("\"{}\"", revision(&answer));
    let (a, b) = (third.get(&at("a")).is(200).unwrap(), third.get(&at("b%2F%FF")).is(200).unwrap());
    assert_eq!((a.text(), a.header("etag")), ("new".into(), &*tag));
    assert_eq!((b.body.as_slice(), b.header("etag")), (&b"\x00\xff"[..], &*tag));

    let unmet = batch(
        first,
        &json!([
            { "action": "put", "key": "e", "value": "x" },
            { "action": "delete", "key": "a", "if": old },
        ]),
    );
    let unmet = refused(unmet, 412, "operation 1");
    assert_eq!((&unmet["operation"], &unmet["found"]), (&json!(1), &json!(revision(&answer))));
    third.get(&at("e")).is(404).unwrap();
    assert_eq!(third.get(&at("a")).text(), "new");
    let unmet = batch(first, &json!([{ "action": "check", "key": "e", "if": "present" }]));
    assert_eq!(refused(unmet, 412, "operation 0")["found"], Value::Null);
}

#[test]
fn keys_of_several_shards_are_refused() {
    let cluster = cluster(1, &["--shards", "4"]);
    let node = &cluster.nodes[0];
    let keys: Vec<String> = (0..40).map(|number| format!("key{number}")).collect();
    let shards: Vec<u64> = keys.iter().map(|key| shard_of(node, key)).collect();
    let together = keys.iter().zip(&shards).filter(|(_, shard)| **shard == shards[0]);
    let apart = shards.iter().position(|shard| *shard != shards[0]).expect("keys spread");
    let operation = |key: &str| json!({ "action": "put", "key": key, "value": "v" });
    let across = batch(node, &json!([operation(&keys[0]), operation(&keys[apart])]));
    refused(across, 400, "shard");
    node.get(&at(&keys[0])).is(404).unwrap();
    let together: Vec<Value> = together.map(|(key, _)| operation(key)).collect();
    assert!(together.len() > 1);
    batch(node, &json!(together)).is(200).unwrap();
    assert_eq!(node.get(&at(&keys[0])).is(200).unwrap().text(), "v");
}

#[test]
fn what_is_no_batch_is_refused() {
    let cluster = cluster(1, &[]);
    let node = &cluster.nodes[0];
    let put = |key: &str| json!({ "action": "put", "key": key, "value": "v" });
    refused(batch(node, &json!([])), 400, "");
    refused(batch(node, &json!([put("k"), put("k")])), 400, "k");
    refused(batch(node, &json!([put("")])), 400, "1024");
    refused(batch(node, &json!([put("k"), put("100%")])), 400, "operation 1");
    let many: Vec<Value> = (0..1_025).map(|number| put(&format!("k{number}"))).collect();
    refused(batch(node, &json!(many)), 400, "1024");
    refused(batch(node, &json!([{ "action": "check", "key": "k" }])), 400, "missing field");
    refused(
        batch(node, &json!([{ "action": "delete", "key": "k", "if": "x" }])),
        400,
        "a revision",
    );
    refused(node.post("/v1/strong/batch", b"{"), 400, "operations");
    refused(node.post("/v1/strong/batch?w=1", b"{}"), 400, "no meaning");
    let conditional = [("if-match", "*")];
    let body = json!({ "operations": [put("k")] }).to_string();
    let answer = ask("POST", node, "/v1/strong/batch", &conditional, Some(body.as_bytes()));
    refused(answer, 400, "if-match");
    let half = "x".repeat((4 << 20) + 1);
    let large = |key: &str| json!({ "action": "put", "key": key, "value": half });
    refused(batch(node, &json!([large("k"), large("l")])), 413, "value_bytes_max");
    node.get(&at("k")).is(404).unwrap();
    batch(node, &json!(many[..1_024])).is(200).unwrap();
    assert_eq!(node.get(&at("k1023")).is(200).unwrap().text(), "v");
}
