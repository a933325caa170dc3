//! Single keys: revisions, conditions, expiry, options, bounds; and what a cluster survives.

use kv_tests::process::eventually;
use serde_json::{Value, json};

use crate::{ask, at, cluster, put, refused, revision, serves};

#[test]
fn a_revision_names_a_version_and_conditions_compare_it() {
    let cluster = cluster(1, &[]);
    let node = &cluster.nodes[0];
    let path = at("a%2Fb");
    refused(node.get(&path), 404, "no value");
    let if_match =
        |tag: &str, value: &[u8]| ask("PUT", node, &path, &[("if-match", tag)], Some(value));
    let unmet = refused(if_match("*", b"x"), 412, "nothing under the key");
    assert_eq!((&unmet["found"], &unmet["outcome"]), (&Value::Null, &json!("unchanged")));

    let absent = [("if-none-match", "*")];
    let first = ask("PUT", node, &path, &absent, Some(b"\x00one\xff")).is(200).unwrap();
    let tag = format!("\"{}\"", revision(&first));
    assert_eq!((first.header("etag"), &first.json()["replaced"]), (&*tag, &Value::Null));
    let read = node.get(&path).is(200).unwrap();
    assert_eq!((read.body.as_slice(), read.header("etag")), (&b"\x00one\xff"[..], &*tag));
    let head = ask("HEAD", node, &path, &[], None).is(200).unwrap();
    assert_eq!(
        (head.body.len(), head.header("etag"), head.header("content-length")),
        (0, &*tag, "5")
    );

    let unmet = ask("PUT", node, &path, &absent, Some(b"two"));
    assert_eq!(unmet.header("etag"), tag);
    assert_eq!(
        refused(unmet, 412, &format!("revision {}", revision(&first)))["found"],
        revision(&first)
    );
    let second = if_match(&tag, b"two").is(200).unwrap();
    assert!(revision(&first) < revision(&second));
    assert_eq!(second.json()["replaced"], revision(&first));
    refused(if_match(&tag, b"three"), 412, "nothing was changed");
    assert_eq!(node.get(&path).text(), "two");
    if_match("*", b"three").is(200).unwrap();

    refused(ask("DELETE", node, &path, &[("if-match", &tag)], None), 412, "nothing was changed");
    let gone = node.delete(&path).is(200).unwrap();
    assert!(gone.json()["existed"] == true && revision(&second) < revision(&gone));
    assert_eq!(node.delete(&path).is(200).unwrap().json()["existed"], false);
    refused(ask("DELETE", node, &path, &[("if-match", "*")], None), 412, "nothing under the key");
    node.get(&path).is(404).unwrap();
}

#[test]
fn a_value_lives_as_long_as_it_was_told() {
    let cluster = cluster(1, &[]);
    let node = &cluster.nodes[0];
    let written = node.put(&format!("{}?ttl_ms=600000", at("long")), b"v").is(200).unwrap();
    let read = node.get(&at("long")).is(200).unwrap();
    assert_eq!(written.header("kv-expires"), read.header("kv-expires"));
    let expires: u64 = read.header("kv-expires").parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(u128::from(expires) > now.as_millis(), "{expires} is over");
    // A put without one lives for good.
    put(node, "long", "w");
    assert_eq!(node.get(&at("long")).is(200).unwrap().header("kv-expires"), "");

    node.put(&format!("{}?ttl_ms=50", at("short")), b"v").is(200).unwrap();
    eventually("it expires", || node.get(&at("short")).is(404));
    let absent = [("if-none-match", "*")];
    ask("PUT", node, &at("short"), &absent, Some(b"again")).is(200).unwrap();
    for ttl in ["0", "-1", "x", "9223372036854775807"] {
        node.put(&format!("{}?ttl_ms={ttl}", at("k")), b"v").is(400).unwrap();
    }
    node.get(&at("k")).is(404).unwrap();
}

#[test]
fn options_are_obeyed_or_refused() {
    let cluster = cluster(3, &[]);
    let node = &cluster.nodes[0];
    let receipt = |answer: &str| serde_json::from_str::<Value>(answer).unwrap();
    let written =
        node.put(&format!("{}?receipt=1&timeout_ms=9000", at("k")), b"v").is(200).unwrap();
    let told = receipt(written.header("kv-receipt"));
    assert_eq!((&told["fsynced"], &told["shard"]), (&json!("majority"), &json!(0)));
    assert_eq!(told["replicas"].as_array().map(Vec::len), Some(3), "{told}");
    let read = node.get(&format!("{}?receipt=1&read=linearizable", at("k"))).is(200).unwrap();
    let told = receipt(read.header("kv-receipt"));
    assert_eq!(
        (&told["read"], &told["revision"]),
        (&json!("linearizable"), &json!(revision(&written)))
    );
    assert!(told["log_upto"].as_u64() >= Some(revision(&written)), "{told}");
    eventually("every replica has it", || node.get(&format!("{}?read=stale", at("k"))).is(200));
    assert_eq!(node.get(&at("k")).header("kv-receipt"), "");

    for query in [
        "read=lease",
        "read=",
        "r=1",
        "n=3",
        "ttl_ms=5",
        "timeout_ms=0",
        "mode=strict",
        "receipt=x",
    ] {
        node.get(&format!("{}?{query}", at("k"))).is(400).unwrap();
    }
    for query in ["read=stale", "w=1", "dw=1", "timeout_ms=x", "prefix=a"] {
        refused(node.put(&format!("{}?{query}", at("k")), b"x"), 400, "nothing was changed");
    }
    refused(node.delete(&format!("{}?ttl_ms=5", at("k"))), 400, "nothing was changed");
    assert_eq!(node.get(&at("k")).is(200).unwrap().text(), "v");
}

#[test]
fn headers_without_meaning_are_refused() {
    let cluster = cluster(1, &[]);
    let node = &cluster.nodes[0];
    put(node, "k", "v");
    let wrong = |method: &str, headers: &[(&str, &str)], words: &str| {
        let body = (method == "PUT").then_some(&b"x"[..]);
        refused(ask(method, node, &at("k"), headers, body), 400, words);
    };
    for method in ["GET", "PUT", "DELETE"] {
        wrong(method, &[("kv-context", "x")], "no contexts");
    }
    for name in ["if-match", "if-none-match", "kv-session", "kv-seq", "kv-ack"] {
        wrong("GET", &[(name, "1")], name);
    }
    for tag in ["1", "W/\"1\"", "\"x\"", "\"1\", \"2\""] {
        wrong("PUT", &[("if-match", tag)], "one entity tag");
    }
    wrong("PUT", &[("if-none-match", "\"1\"")], "takes *");
    wrong("PUT", &[("if-none-match", "*"), ("if-match", "*")], "exclude each other");
    wrong("DELETE", &[("if-none-match", "*")], "no meaning");
    assert_eq!(node.get(&at("k")).is(200).unwrap().text(), "v");
}

#[test]
fn keys_and_values_have_bounds() {
    let cluster = cluster(1, &[]);
    let node = &cluster.nodes[0];
    let long = "k".repeat(1_025);
    for method in ["GET", "PUT", "DELETE"] {
        let body = (method == "PUT").then_some(&b"v"[..]);
        refused(ask(method, node, &at(&long), &[], body), 400, "1024");
        refused(ask(method, node, &at(""), &[], body), 400, "1 to 1024 bytes");
    }
    put(node, &long[1..], "v");
    assert_eq!(node.get(&at(&long[1..])).is(200).unwrap().text(), "v");
    let large = vec![b'x'; (8 << 20) + 1];
    refused(node.put(&at("large"), &large), 413, "value_bytes_max, 8388608 bytes");
    node.put(&at("large"), &large[1..]).is(200).unwrap();
    assert_eq!(node.get(&at("large")).body.len(), 8 << 20);
    put(node, "empty", "");
    assert_eq!(node.get(&at("empty")).is(200).unwrap().body, b"");

    refused(node.get("/v1/nowhere/keys/k"), 404, "eventual and strong");
    let wrong = ask("POST", node, &at("k"), &[], Some(b"v")).is(405).unwrap();
    assert!(wrong.header("allow").contains("DELETE"), "{}", wrong.header("allow"));
    // The other keyspace does not see it.
    node.get(&format!("/v1/eventual/keys/{}", &long[1..])).is(404).unwrap();
}

#[test]
fn any_node_takes_any_operation_and_a_read_sees_every_write_before_it() {
    let cluster = cluster(3, &["--shards", "4"]);
    for number in 0..12 {
        let [writer, reader, other] = [0, 1, 2].map(|at| &cluster.nodes[(number + at) % 3]);
        let key = format!("key{}", number % 4);
        let value = format!("value {number}");
        let tag = put(writer, &key, &value);
        let read = reader.get(&at(&key)).is(200).unwrap();
        assert_eq!((read.text(), read.header("etag")), (value, &*format!("\"{tag}\"")));
        other.delete(&at(&key)).is(200).unwrap();
        writer.get(&at(&key)).is(404).unwrap();
    }
}

#[test]
fn a_write_survives_the_death_of_everything() {
    let mut cluster = cluster(3, &["--shards", "2"]);
    let written: Vec<(String, u64)> = (0..20)
        .map(|number| {
            let key = format!("key{number}");
            let revision = put(&cluster.nodes[number % 3], &key, "kept");
            (key, revision)
        })
        .collect();
    cluster.nodes.iter_mut().for_each(|node| node.kill());
    for node in &mut cluster.nodes {
        node.start();
    }
    serves(&cluster);
    for (number, (key, revision)) in written.iter().enumerate() {
        let read = cluster.nodes[number % 3].get(&at(key)).is(200).unwrap();
        assert_eq!(
            (read.text(), read.header("etag")),
            ("kept".into(), &*format!("\"{revision}\""))
        );
    }
}

#[test]
fn without_a_majority_nothing_is_acknowledged() {
    let mut cluster = cluster(3, &[]);
    put(&cluster.nodes[0], "k", "before");
    let stale = format!("{}?read=stale", at("k"));
    eventually("n1 has it", || cluster.nodes[0].get(&stale).is(200));
    cluster.nodes[1].kill();
    cluster.nodes[2].kill();
    let node = &cluster.nodes[0];
    let limited = format!("{}?timeout_ms=400", at("k"));
    for _ in 0..3 {
        let answer = node.put(&limited, b"after");
        let outcome = match answer.status {
            503 => "unchanged",
            504 => "unknown",
            other => panic!("status {other}: {}", answer.text()),
        };
        assert_eq!(answer.json()["outcome"], outcome);
        let read = node.get(&limited).status;
        assert!([503, 504].contains(&read), "status {read}");
    }
    assert_eq!(node.get(&stale).is(200).unwrap().text(), "before");
    cluster.nodes[1].start();
    let node = &cluster.nodes[0];
    eventually("a majority goes on", || node.put(&at("k"), b"again").is(200));
    assert_eq!(cluster.nodes[1].get(&at("k")).is(200).unwrap().text(), "again");
}
