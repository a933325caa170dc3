//! The native API: contexts, siblings, options, listings, and the client commands on top of it.

use std::io::Write;
use std::process::Stdio;

use kv_tests::cluster::Cluster;
use kv_tests::http::{Answer, call};
use kv_tests::process::{NodeProcess, command};
use serde_json::json;

fn put(node: &NodeProcess, path: &str, context: &str, value: &[u8]) -> Answer {
    let headers = [("kv-context", context)];
    let headers = if context.is_empty() { &headers[..0] } else { &headers[..] };
    call("PUT", &node.url(path), headers, Some(value))
}

#[test]
fn concurrent_writes_are_siblings_until_one_has_seen_them() {
    let mut cluster = Cluster::listed(&[0, 1, 2]);
    cluster.settled(3);
    let [first, second, third] = &cluster.nodes[..] else { unreachable!() };
    let path = "/v1/eventual/keys/cart";
    put(first, path, "", b"milk").is(200).unwrap();
    let beside = put(second, path, "", b"\x00bread\xff").is(200).unwrap();
    assert_eq!((beside.header("kv-siblings"), beside.json()["siblings"].clone()), ("2", json!(2)));

    let read = third.get(path).is(300).unwrap();
    assert_eq!(read.header("kv-siblings"), "2");
    let siblings = read.json()["siblings"].clone();
    let values: Vec<&str> = siblings
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["value_base64"].as_str().unwrap())
        .collect();
    // Newest first.
    assert_eq!(values, ["AGJyZWFk/w==", "bWlsaw=="]);
    assert!(siblings[0]["dot"].is_string() && siblings[0]["stamp_ms"].is_u64());
    let newest = third.get("/items/cart").is(200).unwrap();
    assert_eq!(newest.header("kv-siblings"), "2");
    assert_eq!(newest.json(), json!({ "value": "AGJyZWFk/w==", "encoding": "base64" }));

    put(third, path, read.header("kv-context"), b"both").is(200).unwrap();
    let settled = first.get(path).is(200).unwrap();
    assert_eq!((settled.text(), settled.header("kv-siblings")), ("both".into(), ""));

    let context = settled.header("kv-context").to_owned();
    let gone = call("DELETE", &second.url(path), &[("kv-context", &context)], None);
    gone.is(200).unwrap();
    let absent = third.get(path).is(404).unwrap();
    assert!(!absent.header("kv-context").is_empty());
    // A write with a context that saw less than the delete stands beside it.
    put(first, path, &context, b"again").is(200).unwrap();
    assert_eq!(second.get(path).is(200).unwrap().text(), "again");
}

#[test]
fn options_are_obeyed_or_refused() {
    let mut cluster = Cluster::listed(&[0, 1, 2]);
    cluster.settled(3);
    let node = &cluster.nodes[0];
    let put = |query: &str| put(node, &format!("/v1/eventual/keys/k?{query}"), "", b"v");
    let receipt = put("w=3&receipt=1").is(200).unwrap().header("kv-receipt").to_owned();
    let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap();
    assert_eq!(receipt["acknowledged"].as_array().map(Vec::len), Some(3), "{receipt}");
    assert_eq!(receipt["fsynced"], receipt["acknowledged"]);
    assert!(receipt["ring_epoch"].as_u64() > Some(0) && receipt["dots"][0].is_string());
    let read = node.get("/v1/eventual/keys/k?r=1&timeout_ms=500&receipt=1").is(200).unwrap();
    assert!(read.header("kv-receipt").contains("\"coordinator\""));
    assert_eq!(node.get("/v1/eventual/keys/k").header("kv-receipt"), "");

    for query in ["r=1", "n=3", "dw=1", "mode=strict", "w=0", "w=x", "timeout_ms=-1"] {
        let words = put(query).is(400).unwrap().json()["error"].to_string();
        assert!(words.contains("nothing was changed"), "{query}: {words}");
    }
    for query in ["w=1", "read=linearizable"] {
        node.get(&format!("/v1/eventual/keys/k?{query}")).is(400).unwrap();
    }
    for header in ["if-match", "if-none-match", "kv-session"] {
        let url = node.url("/v1/eventual/keys/k");
        let words = call("PUT", &url, &[(header, "x")], Some(b"v")).is(400).unwrap().text();
        assert!(words.contains("KV-Context"), "{words}");
    }
    let url = node.url("/v1/eventual/keys/k");
    call("PUT", &url, &[("kv-context", "nonsense")], Some(b"v")).is(400).unwrap();

    cluster.nodes[1].kill();
    cluster.nodes[2].kill();
    let node = &cluster.nodes[0];
    let path = "/v1/eventual/keys/k?w=2&timeout_ms=300";
    let answer = call("PUT", &node.url(path), &[], Some(b"alone"));
    match answer.status {
        503 => assert_eq!(answer.json()["outcome"], "unchanged"),
        504 => assert_eq!(answer.json()["outcome"], "unknown"),
        other => panic!("status {other}: {}", answer.text()),
    }
    // What one replica can do, it does.
    assert_eq!(node.get("/v1/eventual/keys/k?r=1").is(200).unwrap().status, 200);
}

#[test]
fn a_node_lists_the_keys_it_holds() {
    let cluster = Cluster::apart(1);
    let node = &cluster.nodes[0];
    // More than are on their way to a client at once.
    let count = 1_200;
    std::thread::scope(|scope| {
        for first in 0..16 {
            scope.spawn(move || {
                for number in (first..count).step_by(16) {
                    let path = format!("/v1/eventual/keys/user%2F{number:04}");
                    put(node, &path, "", b"v").is(200).unwrap();
                }
            });
        }
    });
    put(node, "/v1/eventual/keys/other", "", b"v").is(200).unwrap();
    let listed = node.get("/v1/eventual/keys?local=true&prefix=user%2F").is(200).unwrap().text();
    let mut keys: Vec<&str> = listed.lines().collect();
    keys.sort_unstable();
    let all: Vec<String> = (0..count).map(|number| format!("user%2F{number:04}")).collect();
    assert_eq!(keys, all);
    let all = node.get("/v1/eventual/keys?local=true").is(200).unwrap().text();
    assert!(all.lines().count() == count + 1 && all.lines().any(|key| key == "other"));
    let words = node.get("/v1/eventual/keys").is(400).unwrap().text();
    assert!(words.contains("local=true"), "{words}");
    node.get("/v1/eventual/keys?local=true&after=x").is(400).unwrap();
}

#[test]
fn health_status_ring_and_metrics_agree() {
    let mut cluster = Cluster::listed(&[0, 1, 2]);
    cluster.settled(3);
    let node = &cluster.nodes[1];
    let status = node.get("/v1/status").is(200).unwrap().json();
    assert_eq!(status["node"]["name"], "n2");
    assert_eq!(status["cluster"]["members"], 3);
    let members = node.get("/v1/members").is(200).unwrap().json();
    let names: Vec<&str> = members["members"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(names.len(), 3);
    let ring = node.get("/v1/ring").is(200).unwrap().json();
    let partitions = ring["partitions"].as_array().unwrap().clone();
    assert_eq!(json!(partitions.len()), status["cluster"]["partitions"]);
    assert!(partitions.iter().all(|one| one["owners"].as_array().map(Vec::len) == Some(3)));
    let metrics = node.get("/metrics").is(200).unwrap().text();
    assert!(metrics.lines().any(|line| line == "kv_members 3"), "{metrics}");
    assert!(metrics.contains("kv_events_total{kind=\"opened\"} 1"), "{metrics}");
}

/// Runs a client command; its exit code, output and words.
fn kv(node: &NodeProcess, arguments: &[&str], input: &[u8]) -> (Option<i32>, Vec<u8>, String) {
    let mut child = command(arguments)
        .env("KV_ADDR", &node.address)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), output.stdout, words)
}

#[test]
fn the_client_commands_do_what_they_say() {
    let cluster = Cluster::apart(1);
    let node = &cluster.nodes[0];
    let done = |arguments: &[&str], input: &[u8]| {
        let (code, output, words) = kv(node, arguments, input);
        assert_eq!(code, Some(0), "{arguments:?}: {words}");
        String::from_utf8(output).unwrap()
    };
    let failed = |arguments: &[&str]| {
        let (code, output, words) = kv(node, arguments, b"");
        assert_eq!((code, output.as_slice()), (Some(1), &b""[..]), "{arguments:?}: {words}");
        words
    };
    assert_eq!(done(&["put", "a key/1", "one"], b""), "");
    assert_eq!(done(&["put", "a key/1", "two"], b""), "");
    assert_eq!(done(&["get", "a key/1"], b""), "two");
    done(&["put", "piped"], b"from a pipe\n");
    assert_eq!(done(&["get", "piped"], b""), "from a pipe\n");
    done(&["delete", "piped"], b"");
    assert!(failed(&["get", "piped"]).contains("no value under this key"));

    put(node, "/v1/eventual/keys/twice", "", b"x").is(200).unwrap();
    put(node, "/v1/eventual/keys/twice", "", b"y").is(200).unwrap();
    assert_eq!(done(&["get", "twice"], b""), "y\nx\n");
    done(&["put", "twice", "z"], b"");
    assert_eq!(done(&["get", "twice"], b""), "z");

    let settings = done(&["settings"], b"");
    let row = settings.lines().find(|line| line.starts_with("request_timeout_ms ")).unwrap();
    assert!(row.contains(" 2000 ms ") && row.contains(" 10 to 60000 "), "{row}");
    assert!(done(&["settings", "read_quorum", "1"], b"").starts_with("read_quorum = 1 nodes"));
    assert!(done(&["settings", "blocking_read_repair", "false"], b"").contains("= false"));
    assert!(failed(&["settings", "read_quorum", "99"]).contains("from 1 to 9"));
    assert!(failed(&["settings", "nonsense"]).contains("no setting"));
    assert!(done(&["status"], b"").contains("this node"));
    assert!(
        failed(&["get", "--keyspace", "nowhere", "k"]).contains("there are eventual and strong")
    );
    assert!(failed(&["get", "--addr", "127.0.0.1:1", "k"]).contains("--addr"));
    assert_eq!(kv(node, &["get"], b"").0, Some(2));
    assert_eq!(kv(node, &["nonsense"], b"").0, Some(2));
}
