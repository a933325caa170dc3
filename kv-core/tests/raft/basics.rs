//! The plain cases, each step of which can be followed.

use kv_core::id::{GroupId, Index};
use kv_core::time::Micros;

use crate::harness::{Cluster, Config};

const GROUP: GroupId = GroupId(1);

/// Runs until somebody leads.
fn led(config: Config) -> (Cluster, u64) {
    let mut cluster = Cluster::new(config);
    cluster.campaign(1, GROUP);
    cluster.stabilize();
    let leader = cluster.leader(GROUP).expect("somebody leads");
    (cluster, leader)
}

fn settled(mut cluster: Cluster, clean: u64) {
    cluster.run_for(Micros::from_millis(3_000));
    assert_eq!(cluster.objection, None);
    assert_eq!(cluster.clients.acknowledged, clean);
}

#[test]
fn a_write_is_acknowledged_and_read_everywhere() {
    let (mut cluster, leader) = led(Config::default());
    assert_eq!(leader, 1);
    cluster.write(1, GROUP, 0).unwrap();
    cluster.stabilize();
    assert_eq!(cluster.clients.acknowledged, 1);
    for number in cluster.numbers() {
        cluster.read(number, GROUP);
    }
    cluster.stabilize();
    assert_eq!(cluster.clients.served, 3);
    assert_eq!(cluster.watch.committed(GROUP), Index(2));
    settled(cluster, 1);
}

#[test]
fn one_replica_alone_is_a_group() {
    let (mut cluster, _) = led(Config { hosts: 1, founders: 1, ..Config::default() });
    cluster.write(1, GROUP, 0).unwrap();
    cluster.read(1, GROUP);
    cluster.stabilize();
    assert_eq!((cluster.clients.acknowledged, cluster.clients.served), (1, 1));
    cluster.crash(1);
    cluster.start(1);
    cluster.run_for(Micros::from_millis(3_000));
    cluster.write(1, GROUP, 0).unwrap();
    settled(cluster, 2);
}

#[test]
fn another_replica_leads_when_the_leader_is_gone() {
    let (mut cluster, _) = led(Config::default());
    cluster.write(1, GROUP, 0).unwrap();
    cluster.stabilize();
    cluster.crash(1);
    cluster.run_for(Micros::from_millis(4_000));
    let leader = cluster.leader(GROUP).unwrap();
    assert_ne!(leader, 1);
    cluster.write(leader, GROUP, 0).unwrap();
    cluster.start(1);
    cluster.run_for(Micros::from_millis(1_000));
    assert_eq!(cluster.view(1, GROUP).unwrap().applied, cluster.watch.committed(GROUP));
    settled(cluster, 2);
}
