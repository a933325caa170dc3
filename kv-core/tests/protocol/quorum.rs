//! Quorums that must meet although layouts change and replicas fail under them.

use kv_core::io::Founding;
use kv_core::message::Message;
use kv_core::request::{QuorumOptions, Request};
use kv_core::ring::layout::Stage;
use kv_core::settings::Setting;

use crate::net::{Net, get, id, is_written, put, values};

pub(crate) fn with_quorums(mut request: Request, read: Option<u32>, write: Option<u32>) -> Request {
    if let Request::Put { options, .. } | Request::Get { options, .. } = &mut request {
        *options = QuorumOptions { read_quorum: read, write_quorum: write, timeout: None };
    }
    request
}

#[test]
fn a_read_meets_the_last_write_while_fewer_replicas_are_being_set() {
    let mut net = Net::cluster(3);
    let n3 = id(2);
    net.hold = Box::new(move |envelope| {
        envelope.to == n3 && matches!(envelope.message, Message::Store { .. })
    });
    assert!(is_written(Some(&net.ask(0, put("k", "v")))));
    net.hold = Box::new(|envelope| matches!(envelope.message, Message::HandOff { .. }));
    let changes = vec![(Setting::Replicas, 1), (Setting::ReadQuorum, 1), (Setting::WriteQuorum, 1)];
    net.request(0, Request::Set { changes });
    net.run(1_000);
    for index in 0..3 {
        let layout = net.layout(index).expect("it is a member");
        assert!(layout.replicas == 1 && layout.moving.is_some());
    }
    assert_eq!(values(&net.ask(2, get("k"))), ["v"]);
}

#[test]
fn what_is_shown_while_partitions_are_copied_stands_on_a_quorum_of_the_new_owners() {
    let mut net = Net::cluster(3);
    for number in 0..50 {
        assert!(is_written(Some(&net.ask(0, put(&format!("handed on {number}"), "v")))));
    }
    net.hold = Box::new(|envelope| matches!(envelope.message, Message::HandOff { .. }));
    net.add(Founding::Join);
    net.link_all();
    net.run(3_000);
    let layout = net.layout(0).expect("it is a member");
    let moving = layout.moving.as_ref().expect("a member more moves partitions");
    assert_eq!(moving.stage, Stage::Copy);
    // A key with an old owner that will be none, which writes it and reaches nobody.
    let moved = (0..100).map(|number| format!("k{number}")).find_map(|key| {
        let partition = layout.ring.partition_of(key.as_bytes());
        let (old, new) = (layout.old_owners(partition)?, layout.owners(partition));
        let leaves = *old.iter().find(|node| !new.contains(node))?;
        let stays = *old.iter().find(|node| new.contains(node))?;
        Some((key, leaves, stays, new))
    });
    let (key, leaves, stays, new) = moved.expect("some partition moves");
    let index = |node| (0..4).find(|index| id(*index) == node).expect("it is one of four");
    net.hold = Box::new(|envelope| {
        matches!(envelope.message, Message::HandOff { .. } | Message::Store { .. })
    });
    net.request(index(leaves), put(&key, "v"));
    net.run(100);
    net.hold = Box::new(move |envelope| match envelope.message {
        Message::HandOff { .. } => true,
        Message::Fetch { .. } => envelope.to == stays,
        _ => false,
    });
    assert_eq!(values(&net.ask(index(leaves), get(&key))), ["v"]);
    let holds = |node: &&_| net.object(index(**node), key.as_bytes()).is_some();
    assert!(new.iter().filter(holds).count() >= 2, "a read of new owners might miss it");
}

#[test]
fn a_read_that_mends_a_replica_goes_on_under_a_new_layout() {
    let mut net = Net::cluster(3);
    let n3 = id(2);
    net.hold = Box::new(move |envelope| {
        envelope.to == n3 && matches!(envelope.message, Message::Store { .. })
    });
    assert!(is_written(Some(&net.ask(0, put("k", "v")))));
    let n2 = id(1);
    net.hold = Box::new(move |envelope| {
        let store = envelope.to == n3 && matches!(envelope.message, Message::Store { .. });
        store || (envelope.to == n2 && matches!(envelope.message, Message::Fetch { .. }))
    });
    let read = net.request(0, get("k"));
    net.run(100);
    assert!(net.answer(0, read).is_none());
    net.hold = Box::new(|_| false);
    let n4 = net.add(Founding::Join);
    net.link(n4, 0);
    net.run(1_000);
    assert_eq!(values(net.answer(0, read).expect("a layout ends no read")), ["v"]);
}

#[test]
fn a_replica_that_turns_out_to_have_it_all_counts_as_well_as_one_that_was_mended() {
    let mut net = Net::cluster(3);
    let n3 = id(2);
    net.hold = Box::new(move |envelope| {
        envelope.to == n3 && matches!(envelope.message, Message::Store { .. })
    });
    assert!(is_written(Some(&net.ask(0, put("k", "v")))));
    let n2 = id(1);
    net.hold = Box::new(move |envelope| {
        envelope.to == n2 && matches!(envelope.message, Message::Fetch { .. })
            || envelope.to == n3 && matches!(envelope.message, Message::Store { .. })
    });
    let read = net.request(0, get("k"));
    net.run(100);
    assert!(net.answer(0, read).is_none());
    net.crash(2);
    net.release();
    assert_eq!(values(net.answer(0, read).expect("two of three hold it")), ["v"]);
}

#[test]
fn a_disk_that_was_lost_before_the_answer_does_not_count_as_one_that_has_the_write() {
    let mut net = Net::cluster(3);
    let [n2, n3] = [id(1), id(2)];
    net.hold = Box::new(move |envelope| {
        envelope.to == n2 && matches!(envelope.message, Message::Store { .. })
    });
    let mut request = with_quorums(put("k", "v"), None, Some(3));
    if let Request::Put { options, .. } = &mut request {
        options.timeout = Some(kv_core::time::Micros::from_millis(60_000));
    }
    let write = net.request(0, request);
    net.run(100);
    assert!(net.object(2, b"k").is_some() && net.answer(0, write).is_none());
    net.crash(2);
    net.wipe(2);
    net.hold = Box::new(move |envelope| match envelope.message {
        Message::HandOff { .. } => true,
        Message::Store { .. } => envelope.to == n3,
        _ => false,
    });
    net.start(2);
    net.link_all();
    net.run(2_000);
    assert!(net.object(2, b"k").is_none());
    assert!(net.answer(0, write).is_none(), "it stands on two disks and was to stand on three");
    net.release();
    net.run_until_answered(0, write);
    assert!(is_written(net.answer(0, write)));
    assert!(net.object(2, b"k").is_some());
}
