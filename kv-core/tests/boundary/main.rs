//! What a shell may rely on: nothing leaves a node before the disk covers it, a failed sync is the end,
//! a full disk is not, and a long answer comes as far as there is credit.
//!
//! The tests play the shell themselves, one input at a time, and decide when a sync ends.

mod bench;

use bench::{Bench, get, keys_of, put, value_of};
use bytes::Bytes;
use kv_core::disk::DiskError;
use kv_core::error::RequestError;
use kv_core::event::EventKind;
use kv_core::io::{Input, Output};
use kv_core::request::{Reply, Request};

#[test]
fn a_write_is_acknowledged_only_when_its_sync_has_ended() {
    let mut bench = Bench::alone();
    let put = bench.request(put("k", "v"));
    assert!(bench.replies(put).is_empty(), "the write is not on disk yet");
    bench.sync(Ok(()));
    assert!(matches!(bench.replies(put)[..], [Ok(Reply::Written { .. })]));
}

#[test]
fn a_read_does_not_show_what_is_not_on_disk() {
    let mut bench = Bench::alone();
    bench.request(put("k", "v"));
    let read = bench.request(get("k"));
    let other = bench.request(get("absent"));
    assert!(bench.replies(read).is_empty());
    assert_eq!(bench.replies(other).len(), 1, "a read of something else does not wait");
    bench.sync(Ok(()));
    assert_eq!(value_of(&bench.replies(read)), "v");
}

#[test]
fn one_sync_is_outstanding_and_the_next_covers_what_came_meanwhile() {
    let mut bench = Bench::alone();
    let first = bench.request(put("a", "1"));
    assert!(bench.syncing.is_some());
    let later = [bench.request(put("b", "2")), bench.request(put("c", "3"))];
    bench.sync(Ok(()));
    assert_eq!(bench.replies(first).len(), 1);
    assert!(later.iter().all(|id| bench.replies(*id).is_empty()));
    assert!(bench.syncing.is_some(), "asked for at once");
    bench.sync(Ok(()));
    assert!(later.iter().all(|id| bench.replies(*id).len() == 1));
    assert!(bench.syncing.is_none());
}

#[test]
fn a_failed_sync_halts_the_node_and_acknowledges_nothing() {
    let mut bench = Bench::alone();
    let write = bench.request(put("k", "v"));
    bench.sync(Err(DiskError::Io("input/output error".into())));
    assert!(bench.replies(write).is_empty());
    assert!(bench.node.halted().is_some());
    assert!(bench.events.iter().any(|kind| matches!(kind, EventKind::Halted { .. })));
    let read = bench.request(get("k"));
    let Err(RequestError::Unavailable(words)) = &bench.replies(read)[0] else {
        panic!("a halted node serves nothing");
    };
    assert!(words.contains("halted") && words.contains("input/output error"), "{words}");
    assert_eq!(bench.node.next_deadline(), None);
}

#[test]
fn a_full_disk_refuses_writes_keeps_reading_and_recovers() {
    let mut bench = Bench::alone();
    let write = bench.request(put("k", "old"));
    bench.sync(Ok(()));
    assert!(bench.replies(write)[0].is_ok());
    bench.disk.limit(Some(bench.disk.used() + 10));
    let refused = bench.request(put("k", "new"));
    assert_eq!(bench.replies(refused), [Err(RequestError::Full)]);
    let read = bench.request(get("k"));
    assert_eq!(value_of(&bench.replies(read)), "old");
    assert_eq!(bench.node.halted(), None);
    bench.disk.limit(None);
    let accepted = bench.request(put("k", "new"));
    bench.sync(Ok(()));
    assert!(bench.replies(accepted)[0].is_ok());
    let names: Vec<&str> = bench.events.iter().map(EventKind::name).collect();
    let full = names.iter().position(|name| *name == "disk_full");
    let freed = names.iter().position(|name| *name == "disk_freed");
    assert!(full.is_some() && full < freed, "{names:?}");
}

#[test]
fn a_broken_disk_halts_the_node() {
    let mut bench = Bench::alone();
    bench.disk.fail_power_after(0);
    let write = bench.request(put("k", "v"));
    assert!(bench.replies(write).iter().all(Result::is_err));
    assert!(bench.node.halted().is_some());
}

#[test]
fn a_list_comes_as_far_as_there_is_credit_and_stops_when_cancelled() {
    let mut bench = Bench::alone();
    for key in ["a1", "a2", "a3", "b1"] {
        bench.request(put(key, "v"));
    }
    bench.settle();
    let list = bench.request(Request::ListLocal { prefix: Bytes::from("a"), credit: 2 });
    assert_eq!(keys_of(&bench.replies(list)).len(), 2);
    assert!(!bench.is_finished(list));
    bench.handle(Input::Credit { id: list, items: 5 });
    let mut keys = keys_of(&bench.replies(list));
    keys.sort();
    assert_eq!(keys, ["a1", "a2", "a3"]);
    assert!(bench.is_finished(list));

    let cancelled = bench.request(Request::ListLocal { prefix: Bytes::new(), credit: 1 });
    bench.handle(Input::Cancel { id: cancelled });
    bench.handle(Input::Credit { id: cancelled, items: 9 });
    assert_eq!(keys_of(&bench.replies(cancelled)).len(), 1);
}

#[test]
fn a_deleted_key_is_absent_and_listed_no_more() {
    let mut bench = Bench::alone();
    bench.request(put("k", "v"));
    bench.settle();
    bench.request(bench::delete("k"));
    bench.settle();
    let read = bench.request(get("k"));
    assert!(
        matches!(&bench.replies(read)[..], [Ok(Reply::Read { values, .. })] if values.is_empty())
    );
    let list = bench.request(Request::ListLocal { prefix: Bytes::new(), credit: 9 });
    assert_eq!(keys_of(&bench.replies(list)).len(), 0);
}

#[test]
fn dots_are_never_used_twice_whatever_a_crash_takes_back() {
    let mut bench = Bench::alone();
    let mut dots = Vec::new();
    for round in 0..5 {
        for _ in 0..3 {
            let id = bench.request(put("k", "v"));
            bench.settle();
            dots.extend(bench::dot_of(&bench.replies(id)));
        }
        bench.request(put("k", "lost"));
        bench.crash(round);
    }
    let different: std::collections::BTreeSet<_> = dots.iter().collect();
    assert_eq!((dots.len(), different.len()), (15, 15));
}

#[test]
fn an_idle_node_says_in_its_log_that_all_of_it_is_durable() {
    let mut bench = Bench::alone();
    bench.request(put("k", "v"));
    bench.settle();
    let before = bench.node.view(bench.now.mono).storage.end;
    bench.advance(2_000);
    bench.settle();
    let marked = bench.node.view(bench.now.mono).storage.end;
    assert!(marked > before);
    bench.advance(5_000);
    assert_eq!(bench.node.view(bench.now.mono).storage.end, marked, "once is enough");
}

#[test]
fn requests_that_make_no_sense_are_refused_in_words() {
    let mut bench = Bench::alone();
    let long = "k".repeat(1_025);
    let cases = [
        (put("", "v"), "1 to 1024 bytes"),
        (put(&long, "v"), "not 1025"),
        (put("k", &"v".repeat(9 << 20)), "raise value_bytes_max"),
        (bench::with_write_quorum(put("k", "v"), 9), "write_quorum must be from 1 to"),
    ];
    for (request, words) in cases {
        let id = bench.request(request);
        let Err(RequestError::Invalid(said)) = &bench.replies(id)[0] else {
            panic!("expected a refusal that says {words}");
        };
        assert!(said.contains(words), "{said}");
    }
    assert!(bench.outputs.iter().all(|output| !matches!(output, Output::Sync { .. })));
}
