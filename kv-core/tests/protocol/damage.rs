//! A disk that lost something, and the other replicas that still have it.

use kv_core::disk::Disk;
use kv_core::id::FileKind;
use kv_core::message::Message;
use kv_core::request::Basis;

use crate::net::{Net, get, id, is_written, put, put_with, values};
use crate::quorum::with_quorums;

/// Three nodes with keys k0, k1, … of 2 kB each, so many that most stand in tables.
fn filled() -> Net {
    let mut net = Net::cluster(3);
    fill(&mut net, "k");
    net
}

fn fill(net: &mut Net, keys: &str) {
    for number in 0..40 {
        let request = put_with(&format!("{keys}{number}"), vec![b'v'; 2_000], Basis::ReadFirst);
        assert!(is_written(Some(&net.ask(0, request))));
    }
    net.run(1_000);
}

/// Turns a bit of each table over. Returns the keys that are lost by it.
fn rot(net: &mut Net, index: usize) -> Vec<String> {
    let disk = net.disk(index);
    let mut tables = disk.list().expect("it has power");
    tables.retain(|file| file.kind() == Some(FileKind::Table));
    for file in tables {
        let middle = disk.len(file).expect("it is there") / 2;
        disk.flip(file, middle, 3).expect("it reaches there");
    }
    let lost = (0..40).map(|number| format!("k{number}")).filter(|key| net.is_lost(index, key));
    let lost: Vec<String> = lost.collect();
    assert!(!lost.is_empty(), "some key stood there");
    lost
}

#[test]
fn what_a_damaged_disk_lost_is_got_back_when_somebody_asks_for_it() {
    let mut net = filled();
    for (place, key) in rot(&mut net, 2).iter().enumerate() {
        let before = net.object(0, key.as_bytes());
        // Whoever coordinates, and also where all replicas must answer.
        let answer = net.ask(place % 3, with_quorums(get(key), Some(3), None));
        assert_eq!(values(&answer), ["v".repeat(2_000)]);
        assert!(!net.is_lost(2, key));
        assert_eq!(net.object(2, key.as_bytes()), before);
    }
}

#[test]
fn a_key_that_is_lost_is_refused_to_writers_until_it_is_back() {
    let mut net = filled();
    let key = &rot(&mut net, 2)[0];
    let n3 = id(2);
    net.hold = Box::new(move |envelope| {
        envelope.to == n3 && matches!(envelope.message, Message::Fetched { .. })
    });
    let write = with_quorums(put(key, "new"), None, Some(3));
    assert!(!is_written(Some(&net.ask(0, write))), "n3 does not know what it would replace");
    net.release();
    assert_eq!(values(&net.ask(1, with_quorums(get(key), Some(3), None))), ["new"]);
    assert!(is_written(Some(&net.ask(2, with_quorums(put(key, "newer"), None, Some(3))))));
}

#[test]
fn what_the_others_said_before_a_write_does_not_undo_the_write() {
    let mut net = filled();
    let n3 = id(2);
    net.hold = Box::new(move |envelope| {
        envelope.to == n3 && matches!(envelope.message, Message::Fetched { .. })
    });
    net.disk(2).misread_next_table();
    net.request(0, get("k0"));
    // It can read the key again, so it takes the write.
    let write = with_quorums(put("k0", "new"), None, Some(3));
    assert!(is_written(Some(&net.ask(0, write))));
    let written = net.object(2, b"k0");
    let keep = with_quorums(put_with("x", vec![b'x'; 60_000], Basis::ReadFirst), None, Some(3));
    assert!(is_written(Some(&net.ask(0, keep))), "the write moves on into a table");
    net.disk(2).misread_next_table();
    net.release();
    net.run(2_000);
    net.disk(2).mend();
    assert_eq!(net.object(2, b"k0"), written);
}
