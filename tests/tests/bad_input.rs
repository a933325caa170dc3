//! Bad input of every kind: each gives words that say what to do, and none crashes a node or loses data.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use kv_core::codec::encode_frame;
use kv_core::id::{BootCount, Incarnation, MessageId, NodeId};
use kv_core::message::{Envelope, Hello, Message};
use kv_tests::cluster::Cluster;
use kv_tests::http::call;
use kv_tests::process::{NodeProcess, eventually};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tungstenite::Message as Frame;

fn put(node: &NodeProcess, key: &str) {
    let body = format!("{{\"value\":\"of {key}\"}}");
    node.put(&format!("/items/{key}"), body.as_bytes()).is(200).unwrap();
}

fn serves(node: &NodeProcess, key: &str) {
    eventually(&format!("{} serves {key}", node.name), || {
        let value = node.get(&format!("/items/{key}")).is(200)?.json()["value"].clone();
        if value == format!("of {key}") { Ok(()) } else { Err(value.to_string()) }
    });
}

#[test]
fn keyspaces_keys_and_values_have_bounds() {
    let cluster = Cluster::apart(1);
    let node = &cluster.nodes[0];
    for path in ["/v1/nowhere/keys/k", "/v1/nowhere/keys?local=true"] {
        let words = node.get(path).is(404).unwrap().json()["error"].to_string();
        assert!(words.contains("nowhere") && words.contains("eventual"), "{words}");
    }
    let long = "k".repeat(1_025);
    for path in [format!("/v1/eventual/keys/{long}"), format!("/items/{long}")] {
        let words = node.put(&path, b"{\"value\":1}").is(400).unwrap().text();
        assert!(words.contains("1024") || words.contains("1,024"), "{words}");
        node.get(&path).is(400).unwrap();
    }
    node.put(&format!("/items/{}", &long[1..]), b"{\"value\":1}").is(200).unwrap();
    node.put("/v1/eventual/keys/", b"v").is(400).unwrap();
    node.get("/v1/eventual/keys/").is(400).unwrap();

    // The client has sent all of it and still gets the answer.
    let large = vec![b'x'; (8 << 20) + 1];
    let words = node.put("/v1/eventual/keys/large", &large).is(413).unwrap().text();
    assert!(words.contains("value_bytes_max, 8388608 bytes"), "{words}");
    node.put("/v1/eventual/keys/large", &large[1..]).is(200).unwrap();
    assert_eq!(node.get("/v1/eventual/keys/large").body.len(), 8 << 20);

    node.put("/config", b"{\"value_bytes_max\": 10}").is(200).unwrap();
    node.put("/v1/eventual/keys/k", b"0123456789").is(200).unwrap();
    node.put("/v1/eventual/keys/k", b"0123456789a").is(413).unwrap();
    node.put("/items/k", b"{\"value\":\"01234567\"}").is(200).unwrap();
    let words = node.put("/items/k", b"{\"value\":\"012345678\"}").is(413).unwrap().text();
    assert!(words.contains("value_bytes_max, 10 bytes"), "{words}");
    let wrong = call("POST", &node.url("/v1/eventual/keys/k"), &[], Some(b"v")).is(405).unwrap();
    assert!(wrong.header("allow").contains("PUT"), "{}", wrong.header("allow"));
}

#[test]
fn a_start_that_cannot_work_says_what_to_do() {
    let mut cluster = Cluster::apart(1);
    let folder = cluster.folder.path().to_owned();
    let fails = |node: &mut NodeProcess, code: i32, words: &[&str]| {
        let (exit, said) = node.fails();
        assert_eq!(exit, Some(code), "{said}");
        assert!(!said.contains("panicked") && !said.contains("backtrace"), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
    };
    let taken = cluster.nodes[0].address.clone();
    let at = |name: &str, arguments: &[&str]| NodeProcess::at(&folder, name, "", arguments);
    fails(&mut at("n2", &["--listen", &taken]), 1, &["another program uses it", "--listen"]);
    fails(&mut at("n2", &["--listen", "203.0.113.1:7101"]), 1, &["not an address of this machine"]);

    let mut same_folder = NodeProcess::new(&folder, "n1", &[]);
    fails(&mut same_folder, 1, &["in use by another kv process", "--data"]);
    fs::write(folder.join("file"), "").unwrap();
    let mut unwritable = NodeProcess::new(&folder, "file/n2", &["--name", "n2"]);
    fails(&mut unwritable, 2, &["cannot be used multiple times"]);
    let mut unwritable = NodeProcess::new(&folder.join("file"), "n2", &[]);
    fails(&mut unwritable, 1, &["cannot be used", "choose another with --data"]);

    assert!(cluster.nodes[0].stop("TERM").success());
    let data = cluster.nodes[0].data.display().to_string();
    fs::rename(&data, folder.join("n9")).unwrap();
    fails(
        &mut NodeProcess::new(&folder, "n9", &[]),
        1,
        &["belongs to node n1", "nothing was changed"],
    );

    fails(&mut at("n2", &["--cluster", "n1@127.0.0.1:1"]), 2, &["add n2@HOST:PORT"]);
    fails(&mut at("n2", &["--listen", "7101"]), 2, &["write HOST:PORT"]);
    fails(&mut at("n2", &["--join", "a:1", "--cluster", "n2@a:1"]), 2, &["cannot be used with"]);
    fails(&mut at("n2", &["--log", "=="]), 2, &["error, warn, info, debug or trace"]);
    fails(&mut at("-n2", &[]), 2, &[]);
}

#[test]
fn a_second_node_of_a_name_is_kept_out_and_told_why() {
    let mut cluster = Cluster::listed(&[0, 1]);
    put(&cluster.nodes[0], "foo");
    let other_folder = cluster.folder.path().join("other");
    fs::create_dir(&other_folder).unwrap();
    let through = cluster.nodes[1].address.clone();
    let mut second = NodeProcess::new(&other_folder, "n1", &["--join", &through]);
    second.start();
    eventually("it is told why", || {
        let log = second.log();
        if log.contains("give each node a --name of its own") { Ok(()) } else { Err(log) }
    });
    second.get("/health").is(503).unwrap();
    cluster.linked(1, &[0]);
    serves(&cluster.nodes[1], "foo");
    cluster.settled(2);
}

/// The content of all files of a data folder but the lock.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let logs = entries.filter(|entry| entry.file_name() != "lock");
    logs.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect()
}

fn last_log(folder: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let mut files = content(folder);
    files.retain(|name, _| name.ends_with(".log"));
    let (name, mut bytes) = files.pop_last().unwrap();
    // Behind what was written there is room for more.
    bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
    (folder.join(name), bytes)
}

#[test]
fn a_damaged_log_is_refused_and_a_wiped_node_comes_back() {
    let mut cluster = Cluster::listed(&[0, 1, 2]);
    for number in 0..40 {
        put(&cluster.nodes[number % 3], &format!("k{number}"));
    }
    assert!(cluster.nodes[2].stop("TERM").success());
    let data = cluster.nodes[2].data.clone();
    let (path, mut bytes) = last_log(&data);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&path, &bytes).unwrap();
    let before = content(&data);
    let (exit, said) = cluster.nodes[2].fails();
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("damaged") && said.contains("empty one under the same name"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(content(&data) == before, "the folder is as it was");
    serves(&cluster.nodes[0], "k7");
    serves(&cluster.nodes[1], "k8");

    fs::rename(&data, data.with_extension("damaged")).unwrap();
    cluster.nodes[2].start().healthy();
    cluster.settled(3);
    for number in 0..40 {
        serves(&cluster.nodes[2], &format!("k{number}"));
    }
    // It holds them itself: both others may go.
    cluster.nodes[0].kill();
    cluster.nodes[1].kill();
    for number in 0..40 {
        let path = format!("/v1/eventual/keys/k{number}?r=1");
        let node = &cluster.nodes[2];
        let value = eventually(&format!("k{number} is held"), || node.get(&path).is(200));
        assert_eq!(value.text(), format!("\"of k{number}\""));
    }
}

#[test]
fn a_torn_end_of_the_log_is_cut() {
    let mut cluster = Cluster::listed(&[0, 1, 2]);
    for number in 0..10 {
        put(&cluster.nodes[0], &format!("k{number}"));
    }
    cluster.nodes[1].kill();
    let (path, mut bytes) = last_log(&cluster.nodes[1].data);
    bytes.extend([0x5a; 77]);
    fs::write(&path, &bytes).unwrap();
    cluster.nodes[1].start().healthy();
    let log = cluster.nodes[1].log();
    assert!(log.contains("torn by a crash"), "{log}");
    serves(&cluster.nodes[1], "k9");

    cluster.nodes[1].kill();
    let (path, bytes) = last_log(&cluster.nodes[1].data);
    fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
    cluster.nodes[1].start().healthy();
    for number in 0..10 {
        serves(&cluster.nodes[1], &format!("k{number}"));
    }
}

fn hello(name: &str) -> Hello {
    Hello {
        node: NodeId::of_name(name),
        name: name.into(),
        address: "127.0.0.1:1".into(),
        incarnation: Incarnation(1),
        boot: BootCount(1),
        cluster: None,
    }
}

/// Sends frames to `/ws/peer` and waits until the node closes the connection.
fn is_closed_after(node: &NodeProcess, frames: Vec<Frame>) {
    let stream = TcpStream::connect(&node.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let url = format!("ws://{}/ws/peer", node.address);
    let (mut socket, _) = tungstenite::client(url, stream).unwrap();
    for frame in frames {
        // The node may close before it has read all.
        let _ = socket.send(frame);
    }
    loop {
        match socket.read() {
            Ok(_) => {}
            Err(tungstenite::Error::Io(error))
                if error.kind() == std::io::ErrorKind::WouldBlock =>
            {
                panic!("the connection stays open")
            }
            Err(_) => return,
        }
    }
}

#[test]
fn a_peer_that_speaks_nonsense_loses_its_connection_and_nothing_else() {
    let mut cluster = Cluster::listed(&[0, 1, 2]);
    put(&cluster.nodes[0], "foo");
    let node = &cluster.nodes[0];
    let binary = |bytes: Vec<u8>| Frame::Binary(bytes.into());
    let good = || binary(encode_frame(&hello("stranger")));
    let in_other_name = Envelope {
        id: MessageId(1),
        cluster: None,
        from: NodeId::of_name("n2"),
        incarnation: Incarnation(1),
        to: NodeId::of_name("n1"),
        message: Message::HandedOff { token: 1 },
    };
    let mut other_version = encode_frame(&hello("stranger"));
    other_version[0] = 99;
    let whole = encode_frame(&hello("stranger"));
    let nonsense = [
        vec![Frame::Text("hello".into())],
        vec![binary((0..=255).collect())],
        vec![binary(Vec::new())],
        vec![binary(whole[..whole.len() - 3].to_vec())],
        vec![binary(other_version)],
        vec![binary(encode_frame(&hello("n1")))],
        vec![good(), binary(vec![0xff; 1_000])],
        vec![good(), Frame::Text("and now?".into())],
        vec![good(), binary(encode_frame(&in_other_name))],
        vec![good(), binary(vec![1; 73 << 20])],
    ];
    let count = nonsense.len();
    for frames in nonsense {
        is_closed_after(node, frames);
        serves(node, "foo");
    }
    let line = format!("kv_nonsense_total {count}");
    eventually("all of it is counted", || {
        let metrics = node.get("/metrics").is(200)?.text();
        if metrics.contains(&line) { Ok(()) } else { Err(metrics) }
    });
    let log = node.log();
    for words in ["protocol version 99", "give each node a --name", "it sent text", "another node"]
    {
        assert!(log.contains(words), "{words:?} is not in: {log}");
    }
    assert!(!log.contains("panicked"), "{log}");

    // What is not even HTTP.
    let mut raw = TcpStream::connect(&node.address).unwrap();
    raw.write_all(&[0x16, 0x03, 0x01, 0, 0xff, 0, 0, 0xff]).unwrap();
    raw.write_all(b"\r\n\r\n").unwrap();
    raw.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut said = Vec::new();
    let _ = raw.read_to_end(&mut said);

    // Someone who says nothing holds no one up, not even at the end.
    let _silent = TcpStream::connect(&node.address).unwrap();
    put(node, "bar");
    serves(&cluster.nodes[1], "bar");
    assert!(cluster.nodes[0].stop("TERM").success());
    assert!(cluster.nodes[1].stop("INT").success());
}

#[test]
fn ten_thousand_connections_cost_little_and_stop_nobody() {
    const COUNT: usize = 10_000;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let cluster = Cluster::apart(1);
    let node = &cluster.nodes[0];
    put(node, "before");
    let (bytes, files) = node.weight();

    let mut open: Vec<TcpStream> =
        (0..COUNT).map(|_| TcpStream::connect(&node.address).unwrap()).collect();
    // Half a request each, so that none is only a number in the system's queue.
    for connection in &mut open {
        connection.write_all(b"GET /health HTTP/1.1\r\nHost: k").unwrap();
    }
    // The one that the last request above came by may have been closed.
    eventually("all are taken", || match node.weight().1 + 1 {
        now if files + COUNT <= now => Ok(()),
        now => Err(format!("{now} files")),
    });
    put(node, "meanwhile");
    serves(node, "before");
    let grown = node.weight().0.saturating_sub(bytes);
    assert!(grown < 300 << 20, "{grown} bytes more");

    let last = open.last_mut().unwrap();
    last.write_all(b"v\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(open);
    eventually("all are let go", || match node.weight().1 {
        now if now < files + 100 => Ok(()),
        now => Err(format!("{now} files")),
    });
    serves(node, "meanwhile");
}
