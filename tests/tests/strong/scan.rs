//! Scans: every key once, page by page, over all shards.

use kv_tests::process::NodeProcess;
use serde_json::{Value, json};

use crate::{at, cluster, put, refused, shard_of};

/// The keys of all pages, and how many pages there were.
fn scan(node: &NodeProcess, query: &str) -> (Vec<String>, usize) {
    let (mut keys, mut pages, mut after) = (Vec::new(), 0, String::new());
    loop {
        let page = node.get(&format!("/v1/strong/keys?{query}{after}")).is(200).unwrap().json();
        let records = page["records"].as_array().unwrap().clone();
        keys.extend(records.iter().map(|record| record["key"].as_str().unwrap().to_owned()));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return (keys, pages),
        }
    }
}

#[test]
fn a_scan_finds_every_key_once_in_pages() {
    let cluster = cluster(3, &["--shards", "4"]);
    let body = |key: &str| json!({ "operations": [{ "action": "put", "key": key, "value": key }] });
    let keys: Vec<String> = (0..60).map(|number| format!("user%2F{number:02}")).collect();
    for (number, key) in keys.iter().enumerate() {
        let node = &cluster.nodes[number % 3];
        node.post("/v1/strong/batch", body(key).to_string().as_bytes()).is(200).unwrap();
    }
    let node = &cluster.nodes[1];
    put(node, "other%FF", "v");
    let (mut found, pages) = scan(node, "prefix=user%2F&limit=7");
    assert!((9..=13).contains(&pages), "{pages} pages");
    let shards: Vec<u64> = found.iter().map(|key| shard_of(node, key)).collect();
    let order: Vec<(u64, &String)> = shards.into_iter().zip(&found).collect();
    assert!(order.is_sorted(), "{order:?}");
    found.sort();
    assert_eq!(found, keys);
    let (all, pages) = scan(&cluster.nodes[2], "");
    assert_eq!((all.len(), pages), (61, 1));
    assert!(all.contains(&"other%FF".to_owned()));
    assert_eq!(scan(node, "prefix=nothing").0, Vec::<String>::new());
    assert_eq!(scan(node, "limit=1&read=stale&prefix=user%2F").1, 60);
    for node in &cluster.nodes {
        node.delete(&at(&keys[0])).is(200).unwrap();
        assert_eq!(scan(node, "prefix=user%2F00").0, Vec::<String>::new());
        put(node, &keys[0], "again");
        assert_eq!(scan(node, "prefix=user%2F00").0, keys[..1]);
    }
}

#[test]
fn a_page_is_bounded_in_bytes_and_tells_what_is_there() {
    let cluster = cluster(1, &["--shards", "2"]);
    let node = &cluster.nodes[0];
    let large = "x".repeat(700 << 10);
    for number in 0..8 {
        put(node, &format!("k{number}"), &large);
    }
    let page = node.get("/v1/strong/keys").is(200).unwrap().json();
    let count = page["records"].as_array().map(Vec::len).unwrap();
    assert!((1..8).contains(&count) && page["next"].is_string(), "{count} records");
    assert_eq!(scan(node, "").0.len(), 8);

    let written = node.put(&format!("{}?ttl_ms=600000", at("small")), b"\x00\xff").is(200).unwrap();
    let page = node.get("/v1/strong/keys?prefix=small").is(200).unwrap().json();
    let record = &page["records"][0];
    assert_eq!(record["value_base64"], "AP8=");
    assert_eq!(record["revision"], written.json()["revision"]);
    assert!(record["expires_ms"].is_u64() && page["next"] == Value::Null, "{page}");

    for query in ["limit=0", "limit=10001", "limit=x", "local=true", "read=lease", "r=1"] {
        refused(node.get(&format!("/v1/strong/keys?{query}")), 400, "");
    }
}
