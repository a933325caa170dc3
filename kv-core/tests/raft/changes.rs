//! Changes of the membership.

use kv_core::id::{GroupId, Replica};
use kv_core::ordered::Set;
use kv_core::raft::RaftEvent;
use kv_core::time::Micros;

use crate::harness::{Cluster, Config};

const GROUP: GroupId = GroupId(1);

fn replicas<const N: usize>(cluster: &Cluster, numbers: [u64; N]) -> Set<Replica> {
    numbers.into_iter().map(|number| cluster.replica(number)).collect()
}

/// Six machines; the first three found the group, and the first leads.
fn six() -> Cluster {
    let mut cluster = Cluster::new(Config { hosts: 6, ..Config::default() });
    cluster.campaign(1, GROUP);
    cluster.stabilize();
    assert_eq!(cluster.leader(GROUP), Some(1));
    cluster
}

fn who_finished(cluster: &Cluster) -> Vec<u64> {
    let done =
        cluster.events.iter().filter(|(.., event)| matches!(event, RaftEvent::Changed { .. }));
    done.map(|(_, number, ..)| *number).collect()
}

#[test]
fn a_leader_that_leaves_leads_until_it_has_left() {
    let mut cluster = six();
    let (voters, learners) = (replicas(&cluster, [2]), replicas(&cluster, [4]));
    cluster.change(1, GROUP, voters.clone(), learners).unwrap();
    cluster.stabilize();
    assert_eq!(who_finished(&cluster), [1]);
    assert_eq!(cluster.leader(GROUP), Some(2));
    assert_eq!(cluster.view(2, GROUP).unwrap().membership.voters, voters);
    assert_eq!(cluster.objection, None);
}

#[test]
fn all_members_are_replaced_at_once() {
    let mut cluster = six();
    let voters = replicas(&cluster, [4, 5, 6]);
    cluster.write(1, GROUP, 0).unwrap();
    cluster.change(1, GROUP, voters.clone(), Set::new()).unwrap();
    cluster.run_for(Micros::from_millis(3_000));
    assert_eq!(who_finished(&cluster), [1]);
    for number in 1..=3 {
        cluster.crash(number);
    }
    let leader = cluster.leader(GROUP).expect("somebody leads");
    assert!(voters.contains(&cluster.replica(leader)));
    cluster.write(leader, GROUP, 0).unwrap();
    cluster.stabilize();
    assert_eq!((cluster.clients.acknowledged, cluster.objection), (2, None));
}
