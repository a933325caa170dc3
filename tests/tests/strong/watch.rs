//! Watching: every change once, in the order of its shard, from where a client says.

use kv_tests::events::{Event, Events};
use kv_tests::process::{NodeProcess, eventually};
use serde_json::json;

use crate::{at, cluster, put, refused};

const WATCH: &str = "/v1/strong/watch";

/// A stream from now on: it is open when this returns.
fn watch(node: &NodeProcess, query: &str) -> (Events, String) {
    let mut events = Events::open(node, &format!("{WATCH}{query}"), &[]);
    assert_eq!(events.status, 200);
    let begin = events.next().expect("it says where it begins");
    (events, begin.id)
}

/// The keys and values of an event.
fn changes(event: &Event) -> Vec<(String, Option<String>)> {
    let changes = event.data["changes"].as_array().expect("changes");
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    changes
        .iter()
        .map(|one| {
            assert_ne!(one["value_base64"].is_string(), one["deleted"] == true, "{one}");
            (text(&one["key"]).unwrap(), text(&one["value_base64"]))
        })
        .collect()
}

fn one(key: &str, value: Option<&str>) -> Vec<(String, Option<String>)> {
    vec![(key.to_owned(), value.map(str::to_owned))]
}

#[test]
fn a_watch_tells_changes_as_they_happen() {
    let cluster = cluster(3, &[]);
    let [first, second, third] = &cluster.nodes[..] else { unreachable!() };
    put(first, "user%2F0", "before");
    // Whoever has read it has it behind itself.
    second.get(&at("user%2F0")).is(200).unwrap();
    let (mut events, _) = watch(second, "?prefix=user%2F");
    let revision = put(first, "user%2F1", "one");
    put(third, "other", "unseen");
    first.delete(&at("user%2F1")).is(200).unwrap();
    let batch = json!({ "operations": [
        { "action": "put", "key": "user/2", "value": "two" },
        { "action": "delete", "key": "user/0" },
        { "action": "put", "key": "elsewhere", "value": "unseen" },
    ] });
    third.post("/v1/strong/batch", batch.to_string().as_bytes()).is(200).unwrap();
    second.put(&format!("{}?ttl_ms=50", at("user%2F3")), b"three").is(200).unwrap();

    let event = events.told();
    assert_eq!(changes(&event), one("user%2F1", Some("b25l")));
    assert_eq!((&event.data["revision"], &event.data["shard"]), (&json!(revision), &json!(0)));
    assert_eq!(changes(&events.told()), one("user%2F1", None));
    let mut whole = changes(&events.told());
    whole.sort();
    assert_eq!(whole, [one("user%2F0", None), one("user%2F2", Some("dHdv"))].concat());
    let event = events.told();
    assert_eq!(changes(&event), one("user%2F3", Some("dGhyZWU=")));
    assert!(event.data["changes"][0]["expires_ms"].is_u64());
    assert_eq!(changes(&events.told()), one("user%2F3", None));
}

#[test]
fn a_client_that_comes_back_misses_nothing_and_sees_nothing_twice() {
    let cluster = cluster(3, &["--shards", "4"]);
    let key = |number: u64| format!("key{number:02}");
    let (mut events, begin) = watch(&cluster.nodes[0], "");
    for number in 0..20 {
        put(&cluster.nodes[0], &key(number), "v");
    }
    let mut seen = Vec::new();
    let mut last = String::new();
    for _ in 0..10 {
        let event = events.told();
        seen.extend(changes(&event));
        last = event.id;
    }
    drop(events);
    for number in 20..30 {
        put(&cluster.nodes[1], &key(number), "v");
    }
    // At another node, and Last-Event-ID comes before what the address says.
    let path = format!("{WATCH}?after={begin}");
    let mut events = Events::open(&cluster.nodes[2], &path, &[("Last-Event-ID", &last)]);
    assert_eq!(events.status, 200);
    while seen.len() < 30 {
        seen.extend(changes(&events.told()));
    }
    seen.sort();
    let expected: Vec<_> = (0..30).flat_map(|number| one(&key(number), Some("dg=="))).collect();
    assert_eq!(seen, expected);

    let mut events = Events::open(&cluster.nodes[1], &path, &[]);
    let mut all: Vec<_> = (0..30).flat_map(|_| changes(&events.told())).collect();
    all.sort();
    assert_eq!(all, expected);
}

#[test]
fn a_watch_goes_on_when_leaders_die() {
    let mut cluster = cluster(3, &["--shards", "2"]);
    let (mut events, _) = watch(&cluster.nodes[0], "");
    for (number, dead) in [(0, 1), (1, 2)] {
        cluster.nodes[dead].kill();
        let node = &cluster.nodes[0];
        let path = at(&format!("key{number}"));
        // What is tried again under a condition is done once.
        eventually("a majority takes writes", || {
            match kv_tests::http::call(
                "PUT",
                &node.url(&path),
                &[("if-none-match", "*")],
                Some(b"v"),
            ) {
                answer if answer.status == 412 => Ok(()),
                answer => answer.is(200).map(drop),
            }
        });
        assert_eq!(changes(&events.told()), one(&format!("key{number}"), Some("dg==")));
        cluster.nodes[dead].start().healthy();
        crate::serves(&cluster);
    }
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let cluster = cluster(1, &["--shards", "2"]);
    let node = &cluster.nodes[0];
    for after in ["1", "x.y", "1.2.3", "01.2", ""] {
        refused(node.get(&format!("{WATCH}?after={after}")), 400, "");
    }
    for query in ["read=stale", "limit=5", "local=true"] {
        refused(node.get(&format!("{WATCH}?{query}")), 400, "no meaning");
    }
}

#[test]
fn who_leaves_costs_nothing_and_who_stays_does_not_hold_up_a_stop() {
    let mut cluster = cluster(1, &["--shards", "4"]);
    let node = &cluster.nodes[0];
    let open = |node: &NodeProcess| node.get("/v1/status").json()["requests_open"].as_u64();
    let streams: Vec<_> = (0..5).map(|_| watch(node, "")).collect();
    eventually("each shard is asked for each client", || match open(node) {
        Some(20) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    drop(streams);
    eventually("the requests are withdrawn", || match open(node) {
        Some(0) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let (mut events, _) = watch(node, "");
    assert!(cluster.nodes[0].stop("TERM").success());
    assert!(events.next().is_none());
    let log = cluster.nodes[0].log();
    assert!(log.contains("everything acknowledged is on disk"), "{log}");
}

#[test]
fn who_reads_too_slowly_is_told_and_begins_anew() {
    let cluster = cluster(1, &[]);
    let node = &cluster.nodes[0];
    let (mut events, begin) = watch(node, "");
    // More than the node keeps, and more than is on its way to a client that does not read.
    let large = "x".repeat(1 << 20);
    for _ in 0..40 {
        put(node, "k", &large);
    }
    let mut last = begin.clone();
    let end = loop {
        let event = events.next().expect("the stream says why it ends");
        if event.name == "end" {
            break event;
        }
        last = event.id;
    };
    assert!(end.data["error"].as_str().unwrap().contains("no longer kept"), "{}", end.data);
    assert!(events.next().is_none());
    for after in [begin, last] {
        let header = [("last-event-id", &*after)];
        refused(crate::ask("GET", node, WATCH, &header, None), 410, "no longer kept");
        refused(node.get(&format!("{WATCH}?after={after}")), 410, "no longer kept");
    }
    let (mut events, _) = watch(node, "");
    put(node, "k", "v");
    assert_eq!(changes(&events.told()), one("k", Some("dg==")));
}
