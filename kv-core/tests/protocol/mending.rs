//! A shard whose state is damaged on one replica, and the others that still have it.

use bytes::Bytes;
use kv_core::disk::Disk;
use kv_core::error::RequestError;
use kv_core::id::{FileKind, Index, ShardId};
use kv_core::raft::RoleView;
use kv_core::request::strong::{
    Action, Condition, Freshness, StrongReply, StrongRequest, WriteOperation,
};
use kv_core::request::{Reply, Request};

use crate::net::Net;

const SHARD: ShardId = ShardId(0);

fn key(number: usize) -> Bytes {
    Bytes::from(format!("k{number}"))
}

fn put(number: usize, value: &str) -> Request {
    let action = Action::Put { value: Bytes::copy_from_slice(value.as_bytes()), ttl: None };
    let operations = vec![WriteOperation { key: key(number), condition: Condition::Any, action }];
    Request::Strong { request: StrongRequest::Write { operations, session: None }, timeout: None }
}

/// A write that is done, at the latest when it is tried again: it may be told as unknown where its leader
/// cannot apply it.
fn written(net: &mut Net, node: usize, number: usize, value: &str) {
    let mut answer = net.ask(node, put(number, value));
    if matches!(answer, Err(RequestError::Unknown(_))) {
        answer = net.ask(node, put(number, value));
    }
    assert!(matches!(answer, Ok(Reply::Strong(StrongReply::Written { .. }))), "{answer:?}");
}

fn read(net: &mut Net, node: usize, number: usize) -> Option<Bytes> {
    let request = StrongRequest::Get { key: key(number), freshness: Freshness::Linearizable };
    match net.ask(node, Request::Strong { request, timeout: None }) {
        Ok(Reply::Strong(StrongReply::Value { record, .. })) => record.map(|record| record.value),
        other => panic!("expected a value, got {other:?}"),
    }
}

/// Three nodes with 40 keys of 2 kB, so many that most stand in tables.
fn filled() -> Net {
    let mut net = Net::cluster(3);
    for number in 0..40 {
        written(&mut net, number % 3, number, &"v".repeat(2_000));
    }
    net.run(1_000);
    net
}

fn leader(net: &Net) -> Option<usize> {
    let leads = |node: &usize| {
        let groups = net.view(*node).groups;
        let shard = groups.iter().find(|group| group.group == SHARD.group());
        shard.is_some_and(|group| group.role == RoleView::Leader)
    };
    (0..net.len()).filter(|node| net.is_up(*node)).find(leads)
}

/// Turns bits of tables over, so that not all of the shard can be read, though the node could be opened.
fn rot(net: &mut Net, node: usize) {
    let mut tables = net.disk(node).list().expect("it has power");
    tables.retain(|file| file.kind() == Some(FileKind::Table));
    for file in tables {
        let length = net.disk(node).len(file).expect("it is there");
        for offset in (0..length).step_by(4_001) {
            let mut disk = net.disk(node).clone();
            disk.flip(file, offset, 3).expect("it reaches there");
            if net.opens(node, &disk) {
                *net.disk(node) = disk;
            }
        }
    }
    assert_eq!(state(net, node), None, "some key stood there");
}

/// Up to where a shard is applied on a node, and a digest of all of it, if all can be read.
fn state(net: &Net, node: usize) -> Option<(Index, u64)> {
    let shards = net.shards(node);
    shards
        .into_iter()
        .find(|(shard, ..)| *shard == SHARD)
        .map(|(_, applied, digest)| (applied, digest))
}

/// After a while all have all of it, and the same.
fn mended(net: &mut Net) {
    net.run(5_000);
    let states: Vec<_> = (0..3).map(|node| state(net, node)).collect();
    assert!(states[0].is_some() && states.iter().all(|state| *state == states[0]), "{states:?}");
}

#[test]
fn a_follower_gets_the_state_of_its_leader_when_somebody_reads_there() {
    let mut net = filled();
    let follower = (0..3).find(|node| Some(*node) != leader(&net)).expect("two follow");
    rot(&mut net, follower);
    // Nobody who reads there sees anything of it.
    for number in 0..40 {
        assert_eq!(read(&mut net, follower, number).map(|value| value.len()), Some(2_000));
    }
    mended(&mut net);
    // What was mended stays so when it is opened again, and when all is merged.
    net.crash(follower);
    written(&mut net, (follower + 1) % 3, 7, "meanwhile");
    net.start(follower);
    net.link_all();
    assert_eq!(read(&mut net, follower, 7), Some("meanwhile".into()));
    mended(&mut net);
}

#[test]
fn a_leader_hands_its_shard_on_and_gets_its_state_back() {
    let mut net = filled();
    let first = leader(&net).expect("one leads");
    rot(&mut net, first);
    for number in 0..40 {
        written(&mut net, first, number, &format!("new {number}"));
        assert_eq!(read(&mut net, first, number), Some(format!("new {number}").into()));
    }
    mended(&mut net);
    assert_ne!(leader(&net), Some(first));
}

#[test]
fn damage_that_nobody_reads_is_found_and_mended() {
    let mut net = filled();
    let follower = (0..3).find(|node| Some(*node) != leader(&net)).expect("two follow");
    rot(&mut net, follower);
    // Tables are read through one after the other, all ten seconds.
    net.run(400_000);
    mended(&mut net);
}

#[test]
fn a_replica_that_dies_while_it_is_mended_goes_on_with_it() {
    for pause in [1, 5, 20, 60, 110, 150, 200, 300] {
        let mut net = filled();
        let follower = (0..3).find(|node| Some(*node) != leader(&net)).expect("two follow");
        rot(&mut net, follower);
        for number in 0..40 {
            net.request(follower, {
                let request = StrongRequest::Get { key: key(number), freshness: Freshness::Stale };
                Request::Strong { request, timeout: None }
            });
        }
        net.run(pause);
        net.crash(follower);
        net.start(follower);
        net.link_all();
        for number in 0..40 {
            assert_eq!(read(&mut net, follower, number).map(|value| value.len()), Some(2_000));
        }
        mended(&mut net);
    }
}

/// It has nobody to ask, so it must not wait for a state.
#[test]
fn a_node_alone_is_opened_with_what_it_needs_or_not_at_all() {
    let alone = || {
        let mut net = Net::cluster(1);
        for number in 0..40 {
            written(&mut net, 0, number, &"v".repeat(2_000));
        }
        net.run(1_000);
        net
    };
    let (mut opened, mut refused) = (0, 0);
    let mut tables = alone().disk(0).list().expect("it has power");
    tables.retain(|file| file.kind() == Some(FileKind::Table));
    for file in tables {
        let length = alone().disk(0).len(file).expect("it is there");
        for offset in (0..length).step_by(1_999).chain([length - 1]) {
            let mut net = alone();
            net.crash(0);
            net.disk(0).flip(file, offset, 3).expect("it reaches there");
            let disk = net.disk(0).clone();
            if !net.opens(0, &disk) {
                refused += 1;
                continue;
            }
            opened += 1;
            net.start(0);
            net.run(3_000);
            for number in [0, 20, 39] {
                let freshness = Freshness::Linearizable;
                let request = StrongRequest::Get { key: key(number), freshness };
                let told = net.ask(0, Request::Strong { request, timeout: None });
                let words = told.as_ref().err().map(ToString::to_string).unwrap_or_default();
                assert!(told.is_ok() || words.contains("no other node has the key"), "{words}");
            }
        }
    }
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused");
}

#[test]
fn a_node_alone_serves_what_it_can_read() {
    let mut net = Net::cluster(1);
    for number in 0..40 {
        written(&mut net, 0, number, &"v".repeat(2_000));
    }
    net.run(1_000);
    rot(&mut net, 0);
    let (mut read, mut refused) = (0, 0);
    for number in 0..40 {
        let request = StrongRequest::Get { key: key(number), freshness: Freshness::Linearizable };
        match net.ask(0, Request::Strong { request, timeout: None }) {
            Ok(_) => read += 1,
            Err(error) => {
                assert!(error.to_string().contains("no other node has the key"), "{error}");
                refused += 1;
            }
        }
    }
    assert!(read > 0 && refused > 0, "{read} read, {refused} refused");
}
