//! How soon somebody leads again, in virtual time.

use kv_core::id::GroupId;
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
