//! Quorums that must meet although layouts change and replicas fail under them.

use kv_core::io::Founding;
use kv_core::message::Message;
use kv_core::request::{QuorumOptions, Request};
use kv_core::settings::Setting;

use crate::net::{Net, get, id, is_written, put, values};

fn with_quorums(mut request: Request, read: Option<u32>, write: Option<u32>) -> Request {
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
