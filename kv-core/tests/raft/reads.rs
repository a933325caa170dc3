//! Reads when messages are late or lost.

use kv_core::id::GroupId;
use kv_core::message::raft::RaftBody;
use kv_core::time::Micros;

use crate::harness::network::Flying;
use crate::harness::{Cluster, Config};

const GROUP: GroupId = GroupId(1);

/// Three replicas, the first of which leads.
fn three() -> Cluster {
    let mut cluster = Cluster::new(Config::default());
    cluster.campaign(1, GROUP);
    cluster.stabilize();
    assert_eq!(cluster.leader(GROUP), Some(1));
    cluster
}

#[test]
fn a_follower_reads_where_all_is_applied_already() {
    let mut cluster = three();
    cluster.read(2, GROUP);
    cluster.stabilize();
    assert_eq!((cluster.clients.served, cluster.objection), (1, None));
}

#[test]
fn a_question_that_nobody_answers_is_given_up_once() {
    let mut cluster = three();
    cluster.network.cut(2, 1);
    cluster.read(2, GROUP);
    cluster.run_for(Micros::from_millis(5_000));
    assert_eq!((cluster.clients.refused, cluster.objection), (1, None));
}

#[test]
fn a_read_is_served_when_those_it_waits_for_have_left() {
    let mut cluster = three();
    cluster.read(1, GROUP);
    let me = [cluster.replica(1)].into_iter().collect();
    cluster.change(1, GROUP, me, Default::default()).unwrap();
    let confirms = |flying: &Flying| matches!(flying.message.body, RaftBody::HeartbeatReply { .. });
    assert_eq!(cluster.stabilize_but(confirms).len(), 2, "nobody has confirmed that it leads");
    cluster.network.cut(2, 1);
    cluster.network.cut(3, 1);
    cluster.run_for(Micros::from_millis(5_000));
    assert_eq!((cluster.clients.served, cluster.objection), (1, None));
}

fn is_answer(flying: &Flying) -> bool {
    matches!(flying.message.body, RaftBody::ReadReply { .. })
}

fn is_for_2(flying: &Flying) -> bool {
    flying.to.node.0 == 2 && !matches!(flying.message.body, RaftBody::Heartbeat { .. })
}

/// Asks on replica 2, holds the answer back until 2 has forgotten the question, and asks once more when
/// 2 is behind: the late answer must not count for the second question.
fn late_answer(forget: impl FnOnce(&mut Cluster)) {
    let mut cluster = three();
    cluster.read(2, GROUP);
    let late = cluster.stabilize_but(is_answer);
    assert_eq!(late.len(), 1);
    forget(&mut cluster);
    cluster.stabilize();
    assert_eq!(cluster.leader(GROUP), Some(1), "it leads in the same term");

    cluster.write(1, GROUP, 0).unwrap();
    cluster.read(2, GROUP);
    cluster.stabilize_but(is_for_2);
    assert_eq!(cluster.clients.acknowledged, 1);
    cluster.read(2, GROUP);
    for flying in late {
        cluster.network.arrive_at(cluster.now, flying);
    }
    cluster.stabilize_but(is_for_2);
    assert_eq!(cluster.objection, None);
}

#[test]
fn an_answer_from_before_a_restart_counts_for_nothing() {
    late_answer(|cluster| {
        cluster.crash(2);
        cluster.start(2);
        cluster.run_for(Micros::from_millis(250));
    });
}

#[test]
fn an_answer_from_before_a_candidacy_counts_for_nothing() {
    late_answer(|cluster| {
        cluster.network.cut(1, 2);
        cluster.network.take(|flying| flying.to.node.0 == 2);
        while cluster.group(2, GROUP).unwrap().leader().is_some() {
            cluster.run_for(Micros::from_millis(50));
        }
        cluster.network.heal();
        cluster.run_for(Micros::from_millis(250));
        assert!(cluster.group(2, GROUP).unwrap().leader().is_some());
    });
}
