//! How soon somebody leads again, in virtual time; and that a leader who does its work stays.

use kv_core::id::GroupId;
use kv_core::raft::RaftEvent;
use kv_core::rng::Rng;
use kv_core::time::Micros;

use crate::harness::{Cluster, Config};

const GROUP: GroupId = GroupId(1);

/// How long three or five replicas are without a leader, in microseconds.
fn without_a_leader(seed: u64) -> u64 {
    let hosts = 3 + 2 * (seed % 2);
    let mut cluster = Cluster::new(Config { seed, hosts, founders: hosts, ..Config::default() });
    cluster.network.delay = (Micros(1_000), Micros(10_000));
    for number in cluster.numbers() {
        cluster.host_mut(number).sync = (Micros(1_000), Micros(5_000));
    }
    cluster.run_for(Micros::from_millis(10_000));
    let leader = cluster.leader(GROUP).expect("somebody leads");
    cluster.crash(leader);
    let died = cluster.now;
    while cluster.leader(GROUP).is_none() && cluster.objection.is_none() {
        cluster.run_for(Micros::from_millis(5));
    }
    assert_eq!(cluster.objection, None);
    cluster.now - died
}

#[test]
fn a_dead_leader_is_replaced_soon() {
    let timeout = Config::default().limits.election_timeout.0;
    let mut spans: Vec<u64> = (0..200).map(without_a_leader).collect();
    spans.sort_unstable();
    println!("median {} worst {} of an election timeout of {timeout}", spans[100], spans[199]);
    assert!(spans[100] <= 2 * timeout, "median: {}", spans[100]);
    assert!(spans[199] <= 4 * timeout, "worst: {}", spans[199]);
}

/// One of five that does not lead comes and goes for half a minute, in every way there is. Returns how
/// often somebody was elected meanwhile, and how often a write was acknowledged.
fn with_a_flaky_replica(seed: u64) -> (usize, u64) {
    let mut cluster = Cluster::new(Config { seed, hosts: 5, founders: 5, ..Config::default() });
    cluster.network.delay = (Micros(1_000), Micros(10_000));
    cluster.run_for(Micros::from_millis(10_000));
    let leader = cluster.leader(GROUP).expect("somebody leads");
    let flaky = leader % 5 + 1;
    let (seen, acknowledged) = (cluster.events.len(), cluster.clients.acknowledged);
    let mut rng = Rng::stream(seed, 1 << 34);
    for _ in 0..100 {
        let (what, pause) = (rng.below(7), rng.between(10, 600));
        let others = cluster.numbers().filter(|other| *other != flaky);
        match what {
            0 => others.for_each(|other| cluster.network.cut(flaky, other)),
            1 => others.for_each(|other| cluster.network.cut(other, flaky)),
            2 => cluster.network.cut(leader, flaky),
            3 => {
                cluster.crash(flaky);
                cluster.start(flaky);
            }
            4 => cluster.pause(flaky, true),
            5 => cluster.pause(flaky, false),
            _ => cluster.network.heal(),
        }
        cluster.write(leader, GROUP, 10).expect("it leads");
        cluster.run_for(Micros::from_millis(pause));
    }
    assert_eq!(cluster.objection, None);
    let elected = |(.., event): &&(u64, u64, GroupId, RaftEvent)| {
        matches!(event, RaftEvent::Elected { .. } | RaftEvent::Stood { .. })
    };
    let elections = cluster.events[seen..].iter().filter(elected).count();
    (elections, cluster.clients.acknowledged - acknowledged)
}

#[test]
fn a_flaky_minority_unseats_nobody() {
    for seed in 0..10 {
        assert_eq!(with_a_flaky_replica(seed), (0, 100), "seed {seed}");
    }
}
