//! Nodes that come, go, merge and fail on the way.

use kv_core::io::Founding;
use kv_core::message::{ClusterCommand, Message};
use kv_core::request::{Reply, Request};
use kv_core::ring::layout::Stage;
use kv_core::settings::Setting;

use crate::net::{Net, get, id, is_written, put, values};

/// Two clusters of one, linked, of which the one with this index joins the other.
fn two_alone(joiner: usize) -> Net {
    for entropy in 0..64 {
        let mut net = Net::new();
        net.add_with(Founding::Alone, entropy);
        net.add_with(Founding::Alone, entropy);
        net.run(1_000);
        let cluster = |index| net.layout(index).expect("it founded a cluster").cluster;
        if (cluster(1) > cluster(0)) == (joiner == 1) {
            net.link_all();
            return net;
        }
    }
    panic!("one of them should have had the greater id");
}

#[test]
fn a_removed_member_comes_to_rest_and_answers_what_it_had_open() {
    let mut net = Net::cluster(3);
    net.hold = Box::new(|envelope| matches!(envelope.message, Message::Fetch { .. }));
    let open = [net.request(2, get("a")), net.request(2, put("b", "1"))];
    assert!(open.iter().all(|request| net.answer(2, *request).is_none()));
    let removed = net.request(0, Request::RemoveMember { node: id(2), force: false });
    net.run(1_500);
    assert_eq!(net.answer(0, removed), Some(&Ok(Reply::Done)));
    assert!(net.layout(2).is_some_and(|layout| !layout.members.contains_key(&id(2))));
    assert!(open.iter().all(|request| matches!(net.answer(2, *request), Some(Err(_)))));
    net.release();
    net.run(10_000);
    assert!(net.ask(2, get("a")).is_err());

    let back = net.ask(0, Request::AddPeer { peer: id(2) });
    assert_eq!(back, Ok(Reply::Done));
    net.run(5_000);
    assert!(is_written(Some(&net.ask(2, put("a", "2")))));
}

#[test]
fn a_removed_member_that_is_taken_in_again_hears_of_it_although_the_layout_was_lost() {
    let mut net = Net::cluster(3);
    assert_eq!(net.ask(0, Request::RemoveMember { node: id(2), force: false }), Ok(Reply::Done));
    net.run(5_000);
    net.hold = Box::new(|envelope| matches!(envelope.message, Message::Adopt(_)));
    net.request(0, Request::AddPeer { peer: id(2) });
    net.hold = Box::new(|_| false);
    net.run(5_000);
    let layout = net.layout(0).expect("it is a member");
    assert_eq!((layout.members.len(), &layout.moving), (3, &None));
    assert_eq!(net.layout(2), Some(layout));
}

#[test]
fn a_removed_member_can_be_taken_in_by_another_cluster() {
    let mut net = Net::cluster(3);
    assert!(is_written(Some(&net.ask(2, put("k", "v")))));
    assert_eq!(net.ask(0, Request::RemoveMember { node: id(2), force: false }), Ok(Reply::Done));
    net.run(5_000);
    let n4 = net.add(Founding::Alone);
    net.run(1_000);
    net.link(n4, 2);
    assert_eq!(net.ask(n4, Request::AddPeer { peer: id(2) }), Ok(Reply::Done));
    net.run(2_000);
    assert_eq!(net.layout(2), net.layout(n4));
    assert_eq!(values(&net.ask(n4, get("k"))), ["v"]);
}

#[test]
fn the_first_of_a_list_does_not_found_a_second_cluster_beside_one_that_exists() {
    let mut net = Net::new();
    let nodes = vec![id(0), id(1), id(2)];
    let n1 = net.add(Founding::Join);
    net.crash(n1);
    let n2 = net.add(Founding::Alone);
    let n3 = net.add(Founding::Join);
    net.link_all();
    net.run(5_000);
    net.crash(n2);
    net.wipe(n1);
    net.found_by(n1, Founding::Listed { nodes });
    net.start(n1);
    net.link(n1, n3);
    net.run(10_000);
    assert_eq!(net.layout(n1), None, "the founder is only away");
    net.start(n2);
    net.link_all();
    net.run(5_000);
    let cluster = net.layout(n3).expect("it is a member").cluster;
    assert_eq!(net.layout(n1).map(|layout| layout.cluster), Some(cluster));
}

#[test]
fn two_clusters_become_one_although_the_one_that_joins_restarts_on_the_way() {
    for asked in [0, 1] {
        let mut net = two_alone(1);
        assert!(is_written(Some(&net.ask(1, put("k", "v")))));
        net.hold = Box::new(|envelope| matches!(envelope.message, Message::Adopt(_)));
        net.request(asked, Request::AddPeer { peer: id(1 - asked) });
        net.run(1_000);
        assert_eq!(net.layout(0).expect("it is a member").members.len(), 2);
        assert_eq!(net.layout(1).expect("it is a member").members.len(), 1);
        net.crash(1);
        net.hold = Box::new(|_| false);
        net.start(1);
        net.link_all();
        net.run(5_000);
        for index in [0, 1] {
            let layout = net.layout(index).expect("it is a member");
            assert_eq!((layout.members.len(), layout.moving), (2, None));
            assert_eq!(values(&net.ask(index, get("k"))), ["v"]);
        }
    }
}

#[test]
fn when_two_clusters_are_said_to_be_one_the_values_of_both_are_there() {
    for (joiner, asked) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let mut net = two_alone(joiner);
        for index in [0, 1] {
            assert!(is_written(Some(&net.ask(index, put(&format!("k{index}"), "v")))));
        }
        assert_eq!(net.ask(asked, Request::AddPeer { peer: id(1 - asked) }), Ok(Reply::Done));
        for key in ["k0", "k1"] {
            assert_eq!(values(&net.ask(0, get(key))), ["v"]);
            assert_eq!(values(&net.ask(1, get(key))), ["v"]);
        }
    }
}

#[test]
fn a_report_of_an_earlier_cluster_does_not_count_in_the_next() {
    let mut net = two_alone(1);
    // n2's last report was for epoch 3 of its own cluster; the first move with n1 begins in epoch 3.
    let changes = vec![(Setting::Replicas, 2), (Setting::ReadQuorum, 2)];
    assert_eq!(net.ask(1, Request::Set { changes }), Ok(Reply::Done));
    net.crash(0);
    net.move_to(0, "elsewhere:1");
    net.start(0);
    net.run(1_000);
    assert_eq!(net.node(0).epoch().0, 2);
    for key in 0..20 {
        assert!(is_written(Some(&net.ask(1, put(&format!("k{key}"), "v")))));
    }
    net.link_all();
    net.hold = Box::new(|envelope| matches!(envelope.message, Message::HandOff { .. }));
    net.request(0, Request::AddPeer { peer: id(1) });
    net.run(3_000);
    let moving = net.layout(0).and_then(|layout| layout.moving).expect("nothing was handed on");
    assert_eq!((moving.since.0, moving.stage), (3, Stage::Copy));
    net.release();
    net.run(5_000);
    for key in 0..20 {
        assert_eq!(values(&net.ask(0, get(&format!("k{key}")))), ["v"]);
    }
}

#[test]
fn a_newcomer_serves_under_the_settings_of_its_cluster_from_the_start() {
    let mut net = Net::cluster(1);
    let changes = vec![(Setting::ReadQuorum, 1), (Setting::WriteQuorum, 3)];
    assert_eq!(net.ask(0, Request::Set { changes }), Ok(Reply::Done));
    let n2 = net.add(Founding::Join);
    net.link(0, n2);
    while net.layout(n2).is_none() {
        net.run(1);
    }
    assert_eq!(net.node(n2).settings(), net.node(0).settings());
}

#[test]
fn a_newcomer_says_nothing_before_its_identity_is_on_disk() {
    let mut net = Net::cluster(1);
    net.stuck_disks = true;
    let n2 = net.add(Founding::Join);
    net.link(0, n2);
    net.run(2_000);
    net.stuck_disks = false;
    assert_eq!(net.layout(0).expect("it is a member").members.len(), 1);
    net.crash(n2);
    net.start(n2);
    net.link(0, n2);
    net.run(2_000);
    let layout = net.layout(0).expect("it is a member");
    assert!(layout.is_member(id(n2), net.hello(n2).incarnation));
}

#[test]
fn a_proposal_that_was_held_up_does_not_undo_what_was_chosen_since() {
    let mut net = Net::cluster(4);
    let replicas = |net: &Net| net.layout(0).expect("it is a member").replicas;
    let choose = |value| Request::Set { changes: vec![(Setting::Replicas, value)] };
    let epoch = net.node(1).epoch();
    assert_eq!(net.ask(1, choose(4)), Ok(Reply::Done));
    net.run(2_000);
    assert_eq!(net.ask(1, choose(3)), Ok(Reply::Done));
    net.run(2_000);
    // The first proposal once more: messages can arrive twice.
    let again = Message::Propose { epoch, command: ClusterCommand::SetReplicas(4) };
    net.inject(1, 0, again);
    net.run(2_000);
    assert_eq!(replicas(&net), 3);
    assert_eq!(net.ask(1, choose(4)), Ok(Reply::Done), "who asks anew is heard");
    assert_eq!(replicas(&net), 4);
}
