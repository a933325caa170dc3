//! Seed 000's surface as its clients use it: `/items`, `/peers`, `/healthcheck`, `/config`, `/docs`.

use kv_tests::cluster::Cluster;
use kv_tests::http::{Answer, call};
use kv_tests::process::{NodeProcess, eventually, free_port};
use serde_json::{Value, json};

fn put(node: &NodeProcess, key: &str, value: &Value) -> Answer {
    node.put(&format!("/items/{key}"), json!({ "value": value }).to_string().as_bytes())
}

fn add(node: &NodeProcess, url: &str) -> Answer {
    node.post("/peers", json!({ "peer_url": url }).to_string().as_bytes())
}

#[test]
fn every_json_value_is_a_value() {
    let cluster = Cluster::apart(1);
    let node = &cluster.nodes[0];
    let values = [
        json!("bar"),
        json!(0),
        json!(""),
        json!(false),
        json!(null),
        json!([]),
        json!({}),
        json!([1, "two", [3.5, null]]),
        json!({ "b": { "c": [true] }, "a": -1 }),
        json!("ä€😀\n\"\\"),
        json!(1e300),
        json!(u64::MAX),
    ];
    for (number, value) in values.iter().enumerate() {
        let key = format!("k{number}");
        let stored = put(node, &key, value).is(200).unwrap().json();
        assert_eq!(stored, json!({ "key": key, "value": value }));
        let read = node.get(&format!("/items/{key}")).is(200).unwrap();
        assert_eq!(read.json(), json!({ "value": value }));
        assert_eq!(read.header("content-type"), "application/json");
    }
    // Numbers keep their digits, keys may be any text.
    let exact = br#"{ "value": 1.000000000000000000001 }"#;
    node.put("/items/caf%C3%A9%2F1", exact).is(200).unwrap();
    let read = node.get("/items/caf%C3%A9%2F1");
    assert_eq!(read.text(), r#"{"value":1.000000000000000000001}"#);
}

#[test]
fn a_put_replaces_and_what_is_absent_is_said_so() {
    let cluster = Cluster::apart(1);
    let node = &cluster.nodes[0];
    for number in 0..5 {
        let answer = put(node, "foo", &json!(number)).is(200).unwrap();
        assert_eq!(answer.header("kv-siblings"), "");
    }
    assert_eq!(node.get("/items/foo").json(), json!({ "value": 4 }));
    let absent = node.get("/items/nothing");
    assert_eq!((absent.status, absent.json()), (404, json!({ "detail": "Item not found" })));
    let refused = node.delete("/items/foo").is(405).unwrap();
    let allowed = refused.header("allow");
    assert!(allowed.contains("GET") && allowed.contains("PUT"), "{allowed}");
    assert!(refused.json()["detail"].as_str().unwrap().contains("DELETE"));
    assert_eq!(node.get("/healthcheck").is(200).unwrap().json(), json!({ "message": "I'm alive" }));
    assert!(node.get("/nowhere").is(404).unwrap().text().contains("/docs"));
}

#[test]
fn a_malformed_body_is_told_where() {
    let cluster = Cluster::apart(1);
    let node = &cluster.nodes[0];
    for body in [&b""[..], b"{", b"[]", b"{}", b"{\"valu\":1}", b"{\"value\":}", b"\xff\xfe"] {
        let answer = node.put("/items/foo", body).is(422).unwrap().json();
        assert_eq!(answer["detail"][0]["loc"], json!(["body", "value"]), "{answer}");
        assert!(answer["detail"][0]["msg"].as_str().is_some_and(|words| !words.is_empty()));
    }
    for body in [&b""[..], b"{", b"{}", b"{\"peer_url\":5}", b"{\"peer_url\":\"nonsense\"}"] {
        let answer = node.post("/peers", body).is(422).unwrap().json();
        assert_eq!(answer["detail"][0]["loc"], json!(["body", "peer_url"]), "{answer}");
    }
    assert_eq!(node.get("/items/foo").status, 404);
}

#[test]
fn peers_are_added_once_and_know_each_other() {
    let mut cluster = Cluster::apart(3);
    put(&cluster.nodes[0], "old", &json!("kept")).is(200).unwrap();
    let added = json!({ "message": "The peer has been successfully added." });
    let urls: Vec<String> = cluster.nodes.iter().map(|node| node.url("")).collect();
    let port = cluster.nodes[0].address.rsplit(':').next().unwrap().to_owned();

    for host in ["127.0.0.1", "localhost", "0.0.0.0"] {
        let itself = add(&cluster.nodes[0], &format!("http://{host}:{port}")).is(400).unwrap();
        assert_eq!(itself.json(), json!({ "detail": "You cannot add yourself as a peer" }));
    }
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let unreachable = add(&cluster.nodes[0], &nobody).is(502).unwrap();
    assert!(unreachable.text().contains("nothing was recorded"), "{}", unreachable.text());
    assert_eq!(cluster.nodes[0].get("/peers").json(), json!({ "peers": [] }));

    assert_eq!(add(&cluster.nodes[0], &urls[1]).is(200).unwrap().json(), added);
    for known in [urls[1].clone(), urls[1].replace("127.0.0.1", "localhost")] {
        let again = add(&cluster.nodes[0], &known).is(409).unwrap();
        assert_eq!(again.json(), json!({ "detail": "This peer has already been added" }));
    }
    cluster.nodes[..2].iter().for_each(|node| drop(node.get("/peers").is(200)));
    // Through either of them the third comes to know all.
    eventually("the third is added", || add(&cluster.nodes[1], &urls[2]).is(200));
    cluster.settled(3);
    for (index, node) in cluster.nodes.iter().enumerate() {
        let mut others: Vec<&String> = urls.iter().filter(|url| **url != urls[index]).collect();
        others.sort();
        assert_eq!(node.get("/peers").json(), json!({ "peers": others }));
        assert_eq!(node.get("/items/old").json(), json!({ "value": "kept" }));
    }
    cluster.linked(0, &[1, 2]);
    cluster.nodes[2].kill();
    eventually("the dead one fails its health check", || {
        let health = cluster.nodes[0].get("/peers/healthcheck").json();
        let seen = (&health[&urls[1]], &health[&urls[2]]);
        if seen == (&json!("success"), &json!("failure")) {
            Ok(())
        } else {
            Err(health.to_string())
        }
    });
}

#[test]
fn port_stands_for_all_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut node = NodeProcess::at(folder.path(), "n1", &format!("127.0.0.1:{port}"), &[]);
    node.set("PORT", &port.to_string());
    node.start().healthy();
    put(&node, "foo", &json!("bar")).is(200).unwrap();
    let read = call("GET", &format!("http://localhost:{port}/items/foo"), &[], None);
    assert_eq!(read.json(), json!({ "value": "bar" }));
}

#[test]
fn settings_spread_and_outlive_a_restart() {
    let mut cluster = Cluster::listed(&[0, 1, 2]);
    let change = br#"{"read_quorum": 1, "blocking_read_repair": false, "gossip_interval_ms": 100}"#;
    let answer = cluster.nodes[1].put("/config", change).is(200).unwrap().json();
    assert_eq!(answer["read_quorum"], 1);
    assert_eq!(answer["write_quorum"], 2);
    let spread = |cluster: &Cluster| {
        for node in &cluster.nodes {
            eventually(&format!("{} knows the change", node.name), || {
                let config = node.get("/config").is(200)?.json();
                let known = config["read_quorum"] == 1 && config["blocking_read_repair"] == false;
                if known { Ok(()) } else { Err(config.to_string()) }
            });
        }
    };
    spread(&cluster);
    for body in [
        &br#"{"read_quorum": 1, "nonsense": 1}"#[..],
        br#"{"read_quorum": 10}"#,
        br#"{"read_quorum": "2"}"#,
        br#"{"write_quorum": 4}"#,
        b"[]",
        b"{",
    ] {
        let answer = cluster.nodes[0].put("/config", body).is(400).unwrap();
        let words = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(words.contains("nothing was changed"), "{words}");
    }
    for node in &mut cluster.nodes {
        assert!(node.stop("TERM").success());
    }
    for node in &mut cluster.nodes {
        node.start();
    }
    cluster.settled(3);
    spread(&cluster);
    let rows = cluster.nodes[2].get("/v1/settings").is(200).unwrap().json();
    let rows = rows["settings"].as_array().unwrap().clone();
    let row = rows.iter().find(|row| row["name"] == "read_quorum").unwrap();
    assert_eq!(
        (&row["value"], &row["default"], &row["chosen_on"]),
        (&json!(1), &json!(2), &json!("n2"))
    );
}

#[test]
fn the_document_tells_of_what_there_is() {
    let cluster = Cluster::apart(1);
    let node = &cluster.nodes[0];
    let page = node.get("/docs").is(200).unwrap();
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(!page.text().contains("https://"), "the page needs nothing from elsewhere");
    let document = node.get("/openapi.json").is(200).unwrap().json();
    let paths = document["paths"].as_object().unwrap();
    for path in ["/items/{key}", "/peers", "/config", "/v1/{keyspace}/keys/{key}", "/v1/status"] {
        assert!(paths.contains_key(path), "{path}");
    }
    // Whatever it tells of is there, and a method it does not tell of is not.
    for (path, methods) in paths {
        let concrete =
            path.replace("{keyspace}", "eventual").replace("{key}", "k").replace("{name}", "n");
        let url = node.url(&concrete);
        let refused = call("OPTIONS", &url, &[], None);
        if path.starts_with("/v0/") {
            // The twin of gRPC says so as gRPC does, and names no methods.
            assert_eq!(refused.status, 501, "{path}");
            for method in methods.as_object().unwrap().keys() {
                let answered = call(&method.to_uppercase(), &url, &[], None);
                assert_ne!(answered.status, 501, "{method} {path}");
            }
            continue;
        }
        assert_eq!(refused.status, 405, "{path}");
        for method in methods.as_object().unwrap().keys() {
            let allowed = refused.header("allow").to_ascii_lowercase();
            assert!(
                allowed.split(',').any(|one| one.trim() == method),
                "{method} {path}: {allowed}"
            );
        }
    }
}
