//! What a cluster does on disks that are full, slow or damaged, or lose power in the middle of a job.

use std::collections::BTreeSet;

use bytes::Bytes;
use kv_core::disk::Disk;
use kv_core::error::RequestError;
use kv_core::id::{FileId, FileKind};
use kv_core::request::Reply;
use kv_core::settings::Setting;
use kv_core::sim::{Action, ClientOperation, SimConfig, Workload, World};
use kv_core::time::{Micros, Mono};

const SECOND: u64 = 1_000_000;

/// A cluster whose clients need one answer only.
fn cluster(seed: u64, nodes: u16) -> World {
    let settings = vec![(Setting::ReadQuorum, 1), (Setting::WriteQuorum, 1)];
    let config = SimConfig { seed, nodes, partitions: 8, settings, ..SimConfig::default() };
    let mut world = World::new(config).unwrap();
    pass(&mut world, 3 * SECOND);
    world
}

fn pass(world: &mut World, micros: u64) {
    assert!(world.run_until(Mono(world.now().0 + micros), u64::MAX));
}

/// Does it on the first node; what came of it, and how long that took.
fn ask(world: &mut World, operation: ClientOperation) -> (Result<Reply, RequestError>, Micros) {
    world.act(Action::Client { client: None, node: 0, operation }).unwrap();
    pass(world, 5 * SECOND);
    let record = world.operations().last().unwrap();
    match &record.outcome {
        Some((at, result)) => (result.clone(), *at - record.called),
        other => panic!("no answer: {other:?}"),
    }
}

fn put(world: &mut World, key: &str, bytes: usize) -> (Result<Reply, RequestError>, Micros) {
    let key = Bytes::copy_from_slice(key.as_bytes());
    ask(world, ClientOperation::Put { key, value: vec![b'v'; bytes].into() })
}

fn is_there(world: &mut World, key: &str) -> bool {
    let key = Bytes::copy_from_slice(key.as_bytes());
    match ask(world, ClientOperation::Get { key }).0.unwrap() {
        Reply::Read { values, .. } => !values.is_empty(),
        other => panic!("{other:?}"),
    }
}

fn files(world: &World, kind: FileKind) -> Vec<FileId> {
    let files = world.disk(0).unwrap().list().unwrap();
    files.into_iter().filter(|file| file.kind() == Some(kind)).collect()
}

#[test]
fn a_full_disk_refuses_writes_and_serves_reads_until_there_is_room() {
    let mut world = cluster(1, 1);
    world.act(Action::Fill { node: 0, free: 30_000 }).unwrap();
    let mut kept = Vec::new();
    let refused = loop {
        let key = format!("k{}", kept.len());
        match put(&mut world, &key, 10_000).0 {
            Ok(_) => kept.push(key),
            Err(refused) => break refused,
        }
        assert!(kept.len() < 100, "a full disk cannot take everything");
    };
    assert_eq!(refused, RequestError::Full);
    assert!(!kept.is_empty());
    assert!(kept.iter().all(|key| is_there(&mut world, key)), "reads go on");
    assert!(!is_there(&mut world, "refused"));

    // Neither a restart nor time makes room.
    world.act(Action::Crash { node: 0 }).unwrap();
    world.act(Action::Restart { node: 0 }).unwrap();
    pass(&mut world, 5 * SECOND);
    if world.is_up(0) {
        assert_eq!(put(&mut world, "refused", 10_000).0, Err(RequestError::Full));
    }
    world.act(Action::Free { node: 0 }).unwrap();
    if !world.is_up(0) {
        world.act(Action::Restart { node: 0 }).unwrap();
    }
    pass(&mut world, 5 * SECOND);
    for number in 0..30 {
        put(&mut world, &format!("after{number}"), 10_000).0.unwrap();
    }
    assert!(kept.iter().all(|key| is_there(&mut world, key)), "nothing acknowledged is lost");
}

#[test]
fn a_slow_disk_delays_writes_and_not_reads() {
    let mut world = cluster(1, 1);
    let wait = Micros::from_millis(300);
    assert!(put(&mut world, "k", 10).1 < wait);
    world.act(Action::Slow { node: 0, wait }).unwrap();
    let (written, took) = put(&mut world, "k", 10);
    assert!(written.is_ok() && wait <= took, "{took:?}");
    let read = ask(&mut world, ClientOperation::Get { key: Bytes::from_static(b"k") });
    assert!(read.0.is_ok() && read.1 < wait, "{:?}", read.1);
    let wait = world.config().sync;
    world.act(Action::Slow { node: 0, wait }).unwrap();
    assert!(put(&mut world, "k", 10).1 < Micros::from_millis(300));
}

/// Whatever bit turns over, the node says so when it starts, or answers as if nothing had been.
#[test]
fn a_bit_that_turned_over_is_reported_or_does_no_harm() {
    let mut world = cluster(1, 1);
    for number in 0..10 {
        put(&mut world, &format!("k{number}"), 9_000).0.unwrap();
    }
    world.act(Action::Crash { node: 0 }).unwrap();
    let mut reported = 0;
    for file in world.disk(0).unwrap().list().unwrap() {
        let length = world.disk(0).unwrap().len(file).unwrap();
        for offset in (0..length).step_by(4_801) {
            let mut world = world.clone();
            world.act(Action::Flip { node: 0, file, offset, bit: 5 }).unwrap();
            world.act(Action::Restart { node: 0 }).unwrap();
            if let Some(words) = world.failure(0) {
                assert!(words.contains("damaged"), "{file} at {offset}: {words}");
                reported += 1;
                continue;
            }
            pass(&mut world, 3 * SECOND);
            for number in 0..10 {
                let key = Bytes::from(format!("k{number}"));
                match ask(&mut world, ClientOperation::Get { key }).0 {
                    Ok(Reply::Read { values, .. }) => {
                        assert_eq!(values.len(), 1, "{file} at {offset}: k{number}");
                        assert!(values[0].value.iter().all(|byte| *byte == b'v'));
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => reported += 1,
                }
            }
        }
    }
    assert!(reported > 0);
}

/// Checksums are bound to the file and the place, so a block that is whole is no good elsewhere.
#[test]
fn a_read_of_the_wrong_place_is_noticed() {
    let mut world = cluster(1, 1);
    for number in 0..20 {
        put(&mut world, &format!("k{number}"), 9_000).0.unwrap();
    }
    assert!(files(&world, FileKind::Table).len() > 1, "there are tables to be confused");
    let (mut at_start, mut refused) = (0, 0);
    for number in 0..20 {
        for opens in [true, false] {
            let mut world = world.clone();
            world.act(Action::Crash { node: 0 }).unwrap();
            if opens {
                world.act(Action::Misread { node: 0 }).unwrap();
            }
            world.act(Action::Restart { node: 0 }).unwrap();
            if let Some(words) = world.failure(0) {
                assert!(opens && words.contains("damaged"), "{words}");
                at_start += 1;
                continue;
            }
            if !opens {
                world.act(Action::Misread { node: 0 }).unwrap();
            }
            let key = Bytes::from(format!("k{number}"));
            match ask(&mut world, ClientOperation::Get { key }).0 {
                Ok(Reply::Read { values, .. }) => {
                    assert_eq!(values.len(), 1, "k{number}");
                    assert!(values[0].value.iter().all(|byte| *byte == b'v'));
                }
                Ok(other) => panic!("{other:?}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(at_start + refused > 0, "{at_start} and {refused}");
}

#[test]
fn a_failed_sync_halts_the_node_at_whatever_moment_and_costs_nothing() {
    for seed in 0..20 {
        let mut world = cluster(seed, 1);
        for number in 0..4 {
            put(&mut world, &format!("k{number}"), 9_000).0.unwrap();
        }
        let (key, value) = ("k4".into(), vec![b'v'; 9_000].into());
        world
            .act(Action::Client {
                client: None,
                node: 0,
                operation: ClientOperation::Put { key, value },
            })
            .unwrap();
        // Now the next sync is that of the log, or of a table, or of the root that names it.
        pass(&mut world, seed * 500);
        world.act(Action::FailSync { node: 0 }).unwrap();
        for number in 5..9 {
            drop(put(&mut world, &format!("k{number}"), 9_000));
        }
        assert!(world.node(0).unwrap().halted().is_some(), "seed {seed}");
        world.act(Action::Crash { node: 0 }).unwrap();
        world.act(Action::Restart { node: 0 }).unwrap();
        pass(&mut world, 3 * SECOND);
        assert!((0..4).all(|number| is_there(&mut world, &format!("k{number}"))), "seed {seed}");
        put(&mut world, "after", 10).0.unwrap();
    }
}

#[test]
fn jobs_that_a_crash_cuts_short_leave_files_that_the_next_start_removes() {
    let (mut left, mut removed) = (0, 0);
    for seed in 0..30 {
        let mut world = cluster(seed, 1);
        let workload =
            Workload { clients: 500, per_second: 2_000, keys: 5_000, ..Workload::default() };
        world.act(Action::Workload(workload)).unwrap();
        world.act(Action::Slow { node: 0, wait: Micros::from_millis(100) }).unwrap();
        pass(&mut world, SECOND + seed * 50_000);
        world.act(Action::Crash { node: 0 }).unwrap();
        let before: BTreeSet<_> = files(&world, FileKind::Table).into_iter().collect();
        left += usize::from(!before.is_empty());
        world.act(Action::Restart { node: 0 }).unwrap();
        assert_eq!(world.failure(0), None, "seed {seed}");
        let after = files(&world, FileKind::Table);
        removed += before.iter().filter(|file| !after.contains(file)).count();
    }
    assert!(left > 0 && removed > 0, "{left} and {removed}");
}
