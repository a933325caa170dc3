//! Seed 003's `dkv`: three nodes that are told everything by its variables, asked over gRPC and over REST.

mod client;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use client::{Client, framed};
use kv_tests::http::{Answer, call};
use kv_tests::process::{NodeProcess, eventually, free_ports, kv, python};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Three nodes.
struct Dkv {
    nodes: Vec<Node>,
    folder: TempDir,
}

/// One of them, with a port for gRPC and one for REST.
struct Node {
    process: NodeProcess,
    rest: String,
    grpc: Client,
}

/// The program under the name `dkv`.
fn linked(folder: &Path) -> PathBuf {
    let program = folder.join("dkv");
    symlink(kv(), &program).unwrap();
    program
}

impl Dkv {
    /// They run and take writes.
    fn started() -> Self {
        let folder = tempfile::Builder::new().prefix("kv-test-").tempdir().unwrap();
        let program = linked(folder.path());
        let first = free_ports(6);
        let rpc = |at: usize| first + at as u16;
        let list: Vec<String> =
            (0..3).map(|at| format!("{}@127.0.0.1:{}", NAMES[at], rpc(at))).collect();
        let mut nodes = Vec::new();
        for (at, name) in NAMES.iter().enumerate() {
            let address = format!("127.0.0.1:{}", rpc(at));
            let rest = rpc(at) + 3;
            let mut process = NodeProcess::called(&program, folder.path(), name, &address);
            process.set("DKV_NODE_ID", name);
            process.set("DKV_RPC_PORT", &rpc(at).to_string());
            process.set("DKV_REST_PORT", &rest.to_string());
            process.set("DKV_DB_PATH", &folder.path().join(name).display().to_string());
            process.set("DKV_CLUSTER", &list.join(","));
            process.set("DKV_LOG_LEVEL", "info");
            process.start();
            let grpc = Client::of(&address);
            nodes.push(Node { process, rest: format!("127.0.0.1:{rest}"), grpc });
        }
        let dkv = Self { nodes, folder };
        for node in &dkv.nodes {
            eventually(&format!("{} takes writes", node.process.name), || {
                node.grpc.put(b"first", b"").map_err(|status| status.to_string())
            });
        }
        dkv
    }

    /// Who leads, in the words of those that run; all of them must agree.
    fn leader(&self, running: &[usize]) -> usize {
        eventually("all know the leader", || {
            let told = |at: &usize| self.nodes[*at].rest("GET", "/v0/cluster/status").json();
            let leaders: Vec<Value> =
                running.iter().map(|at| told(at)["cluster"]["leader"]["id"].clone()).collect();
            let leader = running.iter().find(|at| leaders[0] == NAMES[**at]);
            match leader {
                Some(at) if leaders.iter().all(|leader| *leader == leaders[0]) => Ok(*at),
                _ => Err(format!("{leaders:?}")),
            }
        })
    }
}

impl Node {
    fn rest(&self, method: &str, path: &str) -> Answer {
        call(method, &format!("http://{}{path}", self.rest), &[], None)
    }

    fn post(&self, body: &str) -> Answer {
        call("POST", &format!("http://{}/v0/kv", self.rest), &[], Some(body.as_bytes()))
    }
}

/// The code of an answer over gRPC, or that there is no error.
fn code<T>(answer: Result<T, tonic::Status>) -> Code {
    answer.err().map_or(Code::Ok, |status| status.code())
}

/// The answer is an error of REST with this status and code.
fn refused(answer: &Answer, status: u16, code: i32) {
    let body = answer.json();
    assert_eq!((answer.status, &body["code"]), (status, &json!(code)), "{}", answer.text());
    let message = body["message"].as_str().unwrap();
    assert!(!message.is_empty());
    let expected = format!("{{\"code\":{code},\"message\":{},\"details\":[]}}", json!(message));
    assert_eq!(answer.text(), expected);
}

#[test]
fn what_one_node_wrote_all_read_over_grpc_and_rest() {
    let dkv = Dkv::started();
    for (at, writer) in dkv.nodes.iter().enumerate() {
        let (key, value) = ([0xfb, 0xff, at as u8], [0, at as u8, 0xff]);
        assert_eq!(writer.grpc.put(&key, &value).unwrap(), "success");
        let base64 = ["+/8A", "+/8B", "+/8C"][at];
        let body = format!(r#"{{"key":"{base64}","value":"{}"}}"#, ["AAD/", "AAH/", "AAL/"][at]);
        for reader in &dkv.nodes {
            assert_eq!(reader.grpc.get(&key).unwrap(), value);
            for path in [
                base64.to_owned(),
                base64.replace('/', "%2F"),
                base64.replace('+', "-").replace('/', "_"),
            ] {
                let answer = reader.rest("GET", &format!("/v0/kv/key/{path}")).is(200).unwrap();
                assert_eq!(answer.text(), body, "{path}");
                assert_eq!(answer.header("content-type"), "application/json");
            }
        }
    }
    for writer in &dkv.nodes {
        let written = writer.post(r#"{"key":"Zm9v","value":"YmFy"}"#).is(200).unwrap();
        assert_eq!(written.text(), r#"{"message":"success"}"#);
        assert_eq!(dkv.nodes[0].grpc.get(b"foo").unwrap(), b"bar");
        // An overwrite is seen at once by every node.
        assert_eq!(writer.post(r#"{"key":"Zm9v"}"#).status, 200);
        for reader in &dkv.nodes {
            let read = reader.rest("GET", "/v0/kv/key/Zm9v");
            assert_eq!(read.text(), r#"{"key":"Zm9v","value":""}"#);
        }
    }
    // Each port serves everything, and the type of a body is not asked for.
    let node = &dkv.nodes[1];
    assert_eq!(Client::of(&node.rest).get(b"foo").unwrap(), b"");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/grpc", ""] {
        let url = node.process.url("/v0/kv");
        let body = br#"{"key": "-_8", "value": null, "unknown": 1}"#;
        let answer = call("POST", &url, &[("content-type", kind)], Some(body));
        assert_eq!((answer.status, answer.text()), (200, r#"{"message":"success"}"#.into()));
    }
    assert_eq!(node.grpc.get(b"\xfb\xff").unwrap(), b"");
}

#[test]
fn large_values_pass() {
    let dkv = Dkv::started();
    let value: Vec<u8> = (0..6_u32 << 18).flat_map(u32::to_le_bytes).collect();
    dkv.nodes[0].grpc.put(b"large", &value).unwrap();
    for node in &dkv.nodes {
        assert!(node.grpc.get(b"large").unwrap() == value, "another value");
    }
    let read = dkv.nodes[1].rest("GET", "/v0/kv/key/bGFyZ2U").is(200).unwrap();
    dkv.nodes[2].post(&read.text()).is(200).unwrap();
    assert!(dkv.nodes[1].grpc.get(b"large").unwrap() == value, "another value");
}

#[test]
fn an_error_has_the_same_code_on_both() {
    let dkv = Dkv::started();
    let change = br#"{"value_bytes_max": 1000}"#;
    dkv.nodes[0].process.put("/config", change).is(200).unwrap();
    for node in &dkv.nodes {
        eventually("the setting arrives", || {
            let config = node.process.get("/config").json();
            if config["value_bytes_max"] == 1_000 { Ok(()) } else { Err(config.to_string()) }
        });
        assert_eq!(code(node.grpc.get(b"absent")), Code::NotFound);
        refused(&node.rest("GET", "/v0/kv/key/YWJzZW50"), 404, 5);
        assert_eq!(code(node.grpc.get(b"")), Code::InvalidArgument);
        refused(&node.rest("GET", "/v0/kv/key/"), 400, 3);
        assert_eq!(code(node.grpc.put(b"", b"v")), Code::InvalidArgument);
        refused(&node.post(r#"{"value":"dg=="}"#), 400, 3);
        assert_eq!(code(node.grpc.get(&[b'k'; 1_025])), Code::InvalidArgument);
        refused(&node.rest("GET", &format!("/v0/kv/key/{}", "a2tr".repeat(342))), 400, 3);
        // A little too large, and much.
        for size in [1_001, 100_000] {
            assert_eq!(code(node.grpc.put(b"k", &vec![0; size])), Code::OutOfRange);
            let value = "AAAA".repeat(size / 3 + 1);
            refused(&node.post(&format!(r#"{{"key":"aw==","value":"{value}"}}"#)), 400, 11);
        }
        refused(&node.rest("GET", "/v0/kv/key/aw=="), 404, 5);
        for path in ["a", "%21%21%21%21", "Zm9v=", "Zm9v YmFy"] {
            refused(&node.rest("GET", &format!("/v0/kv/key/{}", path.replace(' ', "%20"))), 400, 3);
        }
        for body in ["", "{", "[]", "null", r#"{"key":7}"#, r#"{"key":"!","value":""}"#] {
            refused(&node.post(body), 400, 3);
        }
        for path in ["/v0", "/v0/", "/v0/kv/", "/v0/kv/key", "/v0/cluster", "/v0/nothing/at/all"] {
            refused(&node.rest("GET", path), 404, 5);
        }
        for (method, path) in [
            ("GET", "/v0/kv"),
            ("PUT", "/v0/kv"),
            ("DELETE", "/v0/kv/key/Zm9v"),
            ("POST", "/v0/kv/key/"),
            ("POST", "/v0/cluster/status"),
        ] {
            refused(&node.rest(method, path), 501, 12);
        }
    }
}

#[test]
fn a_message_of_the_wrong_shape_gets_a_code_and_the_node_lives_on() {
    let mut dkv = Dkv::started();
    let node = &dkv.nodes[0];
    let put = "/dkv.v0.KVStore/Put";
    // Fields that the definition does not have are ignored.
    let mut known = vec![0x0a, 3, b'o', b'd', b'd', 0x12, 1, b'v'];
    known.extend([0x7a, 2, 1, 2, 0x80, 0x01, 5]);
    assert_eq!(node.grpc.post(put, &framed(&known)).0, Code::Ok);
    assert_eq!(node.grpc.get(b"odd").unwrap(), b"v");

    let cut_in_a_field = framed(&[0x0a, 200, b'k']);
    let another_type = framed(&[0x08, 1]);
    let no_field = framed(&[0xff; 16]);
    let mut cut_in_the_frame = framed(&known);
    cut_in_the_frame.truncate(8);
    let mut compressed = framed(&known);
    compressed[0] = 1;
    let mut flagged = framed(&known);
    flagged[0] = 7;
    let endless = [0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
    let wrong =
        [&cut_in_a_field, &another_type, &no_field, &cut_in_the_frame, &compressed, &flagged];
    for bytes in wrong.into_iter().map(Vec::as_slice).chain([&endless[..], &[]]) {
        let (code, words) = node.grpc.post(put, bytes);
        let told = [Code::Internal, Code::InvalidArgument, Code::OutOfRange, Code::Unimplemented];
        assert!(told.contains(&code), "{bytes:?}: {code:?} {words}");
        assert!(!words.is_empty());
    }
    for path in ["/dkv.v0.KVStore/Delete", "/dkv.v1.KVStore/Put", "/dkv.v0.Nothing/Get", "/none"] {
        assert_eq!(node.grpc.post(path, &framed(&known)).0, Code::Unimplemented, "{path}");
    }
    assert_eq!(node.grpc.get(b"odd").unwrap(), b"v");
    assert!(dkv.nodes[0].process.runs());
}

#[test]
fn health_and_reflection_are_services_too() {
    let dkv = Dkv::started();
    for node in &dkv.nodes {
        for service in ["", "dkv.v0.KVStore", "dkv.v0.ClusterService"] {
            assert_eq!(node.grpc.health(service).unwrap(), ServingStatus::Serving);
            assert_eq!(node.grpc.watched_health(service), ServingStatus::Serving);
        }
        assert_eq!(code(node.grpc.health("dkv.v0.Nothing")), Code::NotFound);
        assert_eq!(node.grpc.watched_health("dkv.v0.Nothing"), ServingStatus::ServiceUnknown);
        let services = node.grpc.services();
        for service in ["dkv.v0.KVStore", "dkv.v0.ClusterService", "grpc.health.v1.Health"] {
            assert!(services.contains(&service.to_owned()), "{services:?}");
        }
        let definition = node.grpc.definition("dkv.v0.KVStore");
        let has = |words: &[u8]| definition[0].windows(words.len()).any(|part| part == words);
        assert!(definition.len() == 1 && has(b"dkv/v0/dkv.proto") && has(b"PutRequest"));
    }
}

#[test]
fn a_node_that_cannot_join_its_cluster_is_not_healthy() {
    let folder = tempfile::tempdir().unwrap();
    let first = free_ports(2);
    let address = format!("127.0.0.1:{first}");
    // Started as `kv node`, with options of its own, it understands the variables as well.
    let mut node = NodeProcess::at(folder.path(), "b", &address, &[]);
    node.set("DKV_RPC_PORT", &first.to_string());
    node.set("DKV_CLUSTER", &format!("a@127.0.0.1:{},b@{address}", first + 1));
    node.start();
    let grpc = Client::of(&address);
    eventually("the node answers", || grpc.health("").map_err(|status| status.to_string()));
    assert_eq!(grpc.health("dkv.v0.KVStore").unwrap(), ServingStatus::NotServing);
    assert_eq!(code(grpc.status()), Code::Unavailable);
    assert_eq!(code(grpc.get(b"k")), Code::Unavailable);
    refused(&node.get("/v0/cluster/status"), 503, 14);
    refused(&node.get("/v0/kv/key/aw=="), 503, 14);
    refused(&node.post("/v0/kv", br#"{"key":"aw=="}"#), 503, 14);
}

#[test]
fn the_status_tells_the_leader_and_the_followers() {
    let dkv = Dkv::started();
    let leader = dkv.leader(&[0, 1, 2]);
    for (at, node) in dkv.nodes.iter().enumerate() {
        let shown = |at: usize| {
            let id = NAMES[at];
            format!(r#"{{"id":"{id}","addr":"{}"}}"#, dkv.nodes[at].process.address)
        };
        let followers: Vec<String> = (0..3)
            .filter(|at| *at != leader)
            .map(|at| format!(r#""{}":{}"#, NAMES[at], shown(at)))
            .collect();
        let expected = format!(
            r#"{{"nodeId":"{}","cluster":{{"leader":{},"followers":{{{}}}}}}}"#,
            NAMES[at],
            shown(leader),
            followers.join(",")
        );
        assert_eq!(node.rest("GET", "/v0/cluster/status").is(200).unwrap().text(), expected);
        let status = node.grpc.status().unwrap();
        let cluster = status.cluster.unwrap();
        assert_eq!(status.node_id, NAMES[at]);
        assert_eq!(cluster.leader.unwrap().id, NAMES[leader]);
        for (id, follower) in &cluster.followers {
            let at = NAMES.iter().position(|name| name == id).unwrap();
            assert_eq!((&follower.id, &follower.addr), (id, &dkv.nodes[at].process.address));
        }
        assert_eq!(cluster.followers.len(), 2);
    }
}

#[test]
fn without_the_leader_the_rest_goes_on_and_without_a_majority_nothing_is_acknowledged() {
    let mut dkv = Dkv::started();
    let leader = dkv.leader(&[0, 1, 2]);
    dkv.nodes[leader].grpc.put(b"before", b"1").unwrap();
    dkv.nodes[leader].process.kill();
    let rest: Vec<usize> = (0..3).filter(|at| *at != leader).collect();
    let [last, other] = rest[..] else { unreachable!() };
    for at in [last, other] {
        let grpc = &dkv.nodes[at].grpc;
        eventually("the others elect a leader", || {
            grpc.put(b"after", b"2").map_err(|status| status.to_string())
        });
        assert_eq!(grpc.get(b"before").unwrap(), b"1");
        assert_eq!(dkv.nodes[at].rest("GET", "/v0/kv/key/YWZ0ZXI=").status, 200);
    }
    assert!(rest.contains(&dkv.leader(&rest)));

    dkv.nodes[other].process.kill();
    let alone = &dkv.nodes[last];
    let mut attempts = 0_u32;
    let mut unchanged = Vec::new();
    // A write that was on its way when the majority went is unknown; from then on it is refused.
    eventually("a write is refused", || {
        attempts += 1;
        let key = format!("refused{attempts}").into_bytes();
        match code(alone.grpc.put(&key, b"v")) {
            Code::Unavailable => unchanged.push(key),
            Code::DeadlineExceeded => return Err("unknown".into()),
            other => panic!("{other:?}"),
        }
        let answer = alone.post(&format!(r#"{{"key":"UkVT{attempts:04}","value":""}}"#));
        match answer.status {
            503 => refused(&answer, 503, 14),
            504 => refused(&answer, 504, 4),
            _ => panic!("{answer:?}"),
        }
        if answer.status == 503 { Ok(()) } else { Err("unknown".into()) }
    });
    eventually("a read is refused", || match code(alone.grpc.get(b"before")) {
        Code::Unavailable => Ok(()),
        Code::DeadlineExceeded => Err("unknown".to_owned()),
        other => panic!("{other:?}"),
    });
    refused(&alone.rest("GET", "/v0/kv/key/YmVmb3Jl"), 503, 14);
    // The node itself is well.
    assert_eq!(alone.grpc.health("").unwrap(), ServingStatus::Serving);
    alone.rest("GET", "/v0/cluster/status").is(200).unwrap();

    dkv.nodes[other].process.start();
    dkv.nodes[leader].process.start();
    for node in &dkv.nodes {
        let read = |key: &[u8]| {
            eventually(&format!("{} reads", node.process.name), || match node.grpc.get(key) {
                Ok(value) => Ok(Some(value)),
                Err(status) if status.code() == Code::NotFound => Ok(None),
                Err(status) => Err(status.to_string()),
            })
        };
        assert_eq!(read(b"before"), Some(b"1".to_vec()));
        assert_eq!(read(b"after"), Some(b"2".to_vec()));
        for key in &unchanged {
            assert_eq!(read(key), None, "a write that was refused has changed something");
        }
    }
}

#[test]
fn variables_that_make_no_sense_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let program = linked(folder.path());
    let data = folder.path().join("db");
    let cluster = format!("a@127.0.0.1:{},b@127.0.0.1:1", free_ports(1));
    let wrong = [
        ("DKV_NODE_ID", "c".to_owned(), "add c@HOST:PORT"),
        ("DKV_RPC_PORT", "grpc".to_owned(), "DKV_RPC_PORT"),
        ("DKV_CLUSTER", "a=127.0.0.1:1".to_owned(), "NAME@HOST:PORT"),
        ("DKV_CLUSTER", format!("{cluster},b@127.0.0.1:2"), "twice"),
    ];
    for (variable, value, words) in wrong {
        let mut node = NodeProcess::called(&program, folder.path(), "a", "");
        node.set("DKV_NODE_ID", "a");
        node.set("DKV_CLUSTER", &cluster);
        node.set("DKV_DB_PATH", &data.display().to_string());
        node.set(variable, &value);
        let (code, said) = node.fails();
        assert_eq!(code, Some(2), "{variable}={value}: {said}");
        assert!(said.contains(words), "{variable}={value}: {said}");
    }
    assert!(!data.exists());
}

/// What no Rust of this project had a part in: stubs made from the definition by the reference compiler.
#[test]
fn a_client_of_another_implementation_is_served() {
    let dkv = Dkv::started();
    let workspace = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let stubs = dkv.folder.path().join("stubs");
    std::fs::create_dir(&stubs).unwrap();
    let mut client = Command::new(python());
    client.arg(workspace.join("tests/python/grpc_client.py"));
    client.arg(workspace.join("kv-native/proto")).arg(&stubs);
    client.args(dkv.nodes.iter().map(|node| &node.process.address));
    let output = client.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "put get status health reflection\n".repeat(3)
    );
    assert_eq!(dkv.nodes[2].grpc.get(b"from Python at b").unwrap(), b"\x00b\xff");
}
