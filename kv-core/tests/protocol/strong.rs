//! The strong keyspace where nodes fail, come and go on its way.

use bytes::Bytes;
use kv_core::error::RequestError;
use kv_core::id::{Index, ShardId};
use kv_core::message::Message;
use kv_core::message::raft::RaftMessage;
use kv_core::request::strong::{
    Action, Condition, Freshness, Session, SessionSeq, StrongReply, StrongRequest, WriteOperation,
};
use kv_core::request::{Reply, Request};
use kv_core::time::Micros;

use crate::net::{Net, id};

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn strong(request: StrongRequest) -> Request {
    Request::Strong { request, timeout: None }
}

fn put_operation(key: &str, value: &str) -> WriteOperation {
    let action = Action::Put { value: bytes(value), ttl: None };
    WriteOperation { key: bytes(key), condition: Condition::Any, action }
}

fn write(operations: Vec<WriteOperation>) -> Request {
    strong(StrongRequest::Write { operations, session: None })
}

fn put(key: &str, value: &str) -> Request {
    write(vec![put_operation(key, value)])
}

fn put_if(key: &str, value: &str, condition: Condition) -> Request {
    write(vec![WriteOperation { condition, ..put_operation(key, value) }])
}

fn put_named(key: &str, value: &str, session: &Session, seq: u64) -> Request {
    let session = Some(SessionSeq { session: session.clone(), seq, acknowledged: 0 });
    strong(StrongRequest::Write { operations: vec![put_operation(key, value)], session })
}

fn get(key: &str) -> Request {
    get_as(key, Freshness::Linearizable)
}

fn get_as(key: &str, freshness: Freshness) -> Request {
    strong(StrongRequest::Get { key: bytes(key), freshness })
}

/// The revision of a write that was carried out.
fn written(net: &mut Net, node: usize, request: Request) -> u64 {
    match net.ask(node, request) {
        Ok(Reply::Strong(StrongReply::Written { revision, .. })) => revision.0,
        other => panic!("expected a write, got {other:?}"),
    }
}

/// The value under a key, as a node answers.
fn value(net: &mut Net, node: usize, request: Request) -> Option<String> {
    match net.ask(node, request) {
        Ok(Reply::Strong(StrongReply::Value { record, .. })) => {
            record.map(|record| String::from_utf8_lossy(&record.value).into_owned())
        }
        other => panic!("expected a read, got {other:?}"),
    }
}

fn open_session(net: &mut Net, node: usize) -> Session {
    let shard = ShardId(0);
    match net.ask(node, strong(StrongRequest::OpenSession { shard })) {
        Ok(Reply::Strong(StrongReply::Session(name))) => Session(vec![name]),
        other => panic!("expected a session, got {other:?}"),
    }
}

/// Which node leads the shard.
fn leader(net: &Net) -> usize {
    let leads = |index: &usize| {
        let view = net.view(*index);
        view.groups.iter().any(|group| {
            group.group == ShardId(0).group() && group.role == kv_core::raft::RoleView::Leader
        })
    };
    (0..net.len()).filter(|index| net.is_up(*index)).find(leads).expect("somebody leads")
}

#[test]
fn any_node_takes_any_request_and_reads_what_was_written_before() {
    let mut net = Net::cluster(5);
    let mut before = 0;
    for node in 0..5 {
        let text = format!("v{node}");
        let revision = written(&mut net, node, put("k", &text));
        assert!(before < revision, "revisions grow");
        before = revision;
        for reader in 0..5 {
            assert_eq!(value(&mut net, reader, get("k")), Some(text.clone()));
        }
    }
    assert_eq!(value(&mut net, 3, get("other")), None);
}

#[test]
fn any_node_tells_who_leads_and_none_does_without_a_majority() {
    let mut net = Net::cluster(5);
    let shard = ShardId(0);
    let ask = || strong(StrongRequest::Leader { shard });
    written(&mut net, 0, put("k", "1"));
    let leads = leader(&net);
    let expected = id(leads);
    for node in 0..5 {
        let told = net.ask(node, ask());
        assert!(
            matches!(told, Ok(Reply::Strong(StrongReply::Leader(node))) if node == expected),
            "{told:?}"
        );
    }
    let outside = |net: &Net, node: usize| net.view(node).groups.len() == 1;
    let asked = (0..5).find(|node| outside(&net, *node)).expect("two have no part of the shard");
    for node in (0..5).filter(|node| *node != asked && !outside(&net, *node)).collect::<Vec<_>>() {
        net.crash(node);
    }
    net.run(2_000);
    let told = net.ask(asked, ask());
    assert!(matches!(told, Err(RequestError::Unavailable(_))), "{told:?}");
    let none = net.ask(asked, strong(StrongRequest::Leader { shard: ShardId(9) }));
    assert!(matches!(none, Err(RequestError::Invalid(_))), "{none:?}");
}

#[test]
fn conditions_compare_revisions_and_a_batch_is_all_or_nothing() {
    let mut net = Net::cluster(3);
    let unmet = |answer| match answer {
        Ok(Reply::Strong(StrongReply::Unmet { operation, found })) => (operation, found),
        other => panic!("expected an unmet condition, got {other:?}"),
    };
    let first = written(&mut net, 1, put_if("k", "1", Condition::Absent));
    let found = unmet(net.ask(2, put_if("k", "2", Condition::Absent)));
    assert_eq!(found, (0, Some(Index(first))));
    let second = written(&mut net, 2, put_if("k", "2", Condition::Revision(Index(first))));
    let found = unmet(net.ask(0, put_if("k", "3", Condition::Revision(Index(first)))));
    assert_eq!(found, (0, Some(Index(second))));
    let absent = Condition::Present;
    let both = vec![
        put_operation("k", "4"),
        WriteOperation { condition: absent, ..put_operation("other", "4") },
    ];
    assert_eq!(unmet(net.ask(0, write(both))), (1, None));
    assert_eq!(value(&mut net, 1, get("k")).as_deref(), Some("2"));
    assert_eq!(value(&mut net, 1, get("other")), None);
}

#[test]
fn a_majority_goes_on_without_the_leader_and_a_minority_acknowledges_nothing() {
    let mut net = Net::cluster(3);
    written(&mut net, 0, put("k", "1"));
    let first = leader(&net);
    net.crash(first);
    let others: Vec<usize> = (0..3).filter(|node| *node != first).collect();
    net.run(5_000);
    written(&mut net, others[0], put("k", "2"));
    assert_eq!(value(&mut net, others[1], get("k")).as_deref(), Some("2"));
    net.crash(others[1]);
    net.run(5_000);
    let refused = net.ask(others[0], put("k", "3"));
    assert!(matches!(refused, Err(RequestError::Unavailable(_) | RequestError::Unknown(_))));
    assert!(net.ask(others[0], get("k")).is_err());
    assert_eq!(
        value(&mut net, others[0], get_as("k", Freshness::Stale)).as_deref(),
        Some("2"),
        "who does not mind old values is served"
    );
    net.start(first);
    net.start(others[1]);
    net.link_all();
    net.run(5_000);
    let now = value(&mut net, first, get("k"));
    assert!(matches!(now.as_deref(), Some("2" | "3")), "{now:?}");
}

#[test]
fn what_was_acknowledged_survives_the_loss_of_all_power() {
    let mut net = Net::cluster(3);
    for number in 0..100 {
        written(&mut net, number % 3, put(&format!("k{number}"), &format!("v{number}")));
    }
    (0..3).for_each(|node| net.crash(node));
    (0..3).for_each(|node| net.start(node));
    net.link_all();
    net.run(5_000);
    for number in 0..100 {
        let text = Some(format!("v{number}"));
        assert_eq!(value(&mut net, number % 3, get(&format!("k{number}"))), text);
    }
}

#[test]
fn a_named_write_is_carried_out_once_however_often_it_is_sent() {
    let mut net = Net::cluster(3);
    let session = open_session(&mut net, 1);
    let first = written(&mut net, 1, put_named("k", "1", &session, 1));
    written(&mut net, 2, put("k", "2"));
    assert_eq!(written(&mut net, 0, put_named("k", "1", &session, 1)), first);
    assert_eq!(value(&mut net, 0, get("k")).as_deref(), Some("2"));
    let strange = Session(vec![Index(999)]);
    let refused = net.ask(0, put_named("k", "3", &strange, 1));
    assert!(matches!(refused, Err(RequestError::Conflict(_))), "{refused:?}");
}

#[test]
fn a_write_whose_answer_was_lost_is_unknown_unless_it_has_a_name() {
    let mut net = Net::cluster(3);
    let session = open_session(&mut net, 1);
    let first = leader(&net);
    let other = (first + 1) % 3;
    let answers = move |envelope: &kv_core::message::Envelope| {
        envelope.from == id(first) && envelope.message.name() == "strong_answer"
    };
    net.hold = Box::new(answers);
    let plain = net.request(other, put("a", "1"));
    let named = net.request(other, put_named("b", "1", &session, 1));
    net.run(600);
    net.drop_held();
    net.hold = Box::new(|_| false);
    net.run_until_answered(other, plain);
    net.run_until_answered(other, named);
    let plain = net.answer(other, plain).cloned();
    assert!(matches!(plain, Some(Err(RequestError::Unknown(_)))), "{plain:?}");
    let named = net.answer(other, named).cloned();
    assert!(matches!(named, Some(Ok(Reply::Strong(StrongReply::Written { .. })))), "{named:?}");
    assert_eq!(value(&mut net, other, get("b")).as_deref(), Some("1"));
}

#[test]
fn records_expire_by_the_clock_of_the_log() {
    let mut net = Net::cluster(3);
    let action = Action::Put { value: bytes("1"), ttl: Some(Micros::from_millis(2_000)) };
    let put = WriteOperation { key: bytes("k"), condition: Condition::Any, action };
    let revision = written(&mut net, 0, write(vec![put]));
    net.run(1_900);
    assert_eq!(value(&mut net, 1, get("k")).as_deref(), Some("1"));
    net.run(200);
    assert_eq!(value(&mut net, 1, get("k")), None);
    let watch = StrongRequest::Watch {
        shard: ShardId(0),
        prefix: bytes("k"),
        after: Some(Index(revision - 1)),
        limit: 10,
    };
    match net.ask(2, strong(watch)) {
        Ok(Reply::Strong(StrongReply::Changes { changes, .. })) => {
            let there: Vec<bool> = changes.iter().map(|change| change.record.is_some()).collect();
            assert_eq!(there, [true, false]);
        }
        other => panic!("expected changes, got {other:?}"),
    }
}

#[test]
fn records_expire_also_where_no_moment_is_idle() {
    let mut net = Net::cluster(3);
    let action = Action::Put { value: bytes("1"), ttl: Some(Micros::from_millis(500)) };
    let put = WriteOperation { key: bytes("k"), condition: Condition::Any, action };
    written(&mut net, 0, write(vec![put]));
    let leads = leader(&net);
    let busy = |net: &mut Net, millis: u64| {
        for _ in 0..millis / 4 {
            net.request(leads, strong(StrongRequest::Leader { shard: ShardId(0) }));
            net.run(4);
        }
    };
    busy(&mut net, 400);
    assert_eq!(value(&mut net, leads, get_as("k", Freshness::Stale)).as_deref(), Some("1"));
    busy(&mut net, 200);
    assert_eq!(value(&mut net, leads, get_as("k", Freshness::Stale)), None);
}

#[test]
fn a_scan_goes_through_all_keys_in_pages_and_a_watch_goes_on_behind_it() {
    let mut net = Net::cluster(3);
    for number in 0..25 {
        written(&mut net, 0, put(&format!("k{number:02}"), "v"));
    }
    let shard = ShardId(0);
    let (mut after, mut seen, mut behind) = (None, Vec::new(), Index(0));
    loop {
        let freshness = Freshness::Linearizable;
        let scan = StrongRequest::Scan { shard, prefix: bytes("k"), after, limit: 10, freshness };
        let Ok(Reply::Strong(StrongReply::Page { records, next, revision })) =
            net.ask(2, strong(scan))
        else {
            panic!("expected a page")
        };
        seen.extend(records.into_iter().map(|(key, _)| String::from_utf8_lossy(&key).into_owned()));
        behind = behind.max(revision);
        after = next;
        if after.is_none() {
            break;
        }
    }
    let all: Vec<String> = (0..25).map(|number| format!("k{number:02}")).collect();
    assert_eq!(seen, all);
    let watch = StrongRequest::Watch { shard, prefix: bytes("k"), after: Some(behind), limit: 10 };
    let watching = net.request(1, strong(watch));
    net.run(100);
    assert_eq!(net.answer(1, watching), None, "nothing has happened yet");
    written(&mut net, 0, put("other", "v"));
    written(&mut net, 0, put("k99", "v"));
    net.run_until_answered(1, watching);
    match net.answer(1, watching) {
        Some(Ok(Reply::Strong(StrongReply::Changes { changes, .. }))) => {
            assert_eq!(changes[0].key, bytes("k99"));
        }
        other => panic!("expected changes, got {other:?}"),
    }
}

#[test]
fn all_members_are_replaced_while_clients_write() {
    let mut net = Net::cluster(3);
    for number in 0..50 {
        written(&mut net, 0, put(&format!("k{number}"), "v"));
    }
    for _ in 0..2 {
        net.add(kv_core::io::Founding::Join);
        net.link_all();
        net.run(5_000);
    }
    for leaving in 0..3 {
        let removed = Request::RemoveMember { node: id(leaving), force: false };
        assert_eq!(net.ask(4, removed), Ok(Reply::Done));
        written(&mut net, 4, put("during", &leaving.to_string()));
        net.run(5_000);
    }
    assert_eq!(value(&mut net, 3, get("during")).as_deref(), Some("2"));
    for number in 0..50 {
        assert_eq!(value(&mut net, 3, get(&format!("k{number}"))).as_deref(), Some("v"));
    }
    let voters = |net: &Net| {
        let view = net.view(leader(net));
        let group = view.groups.iter().find(|group| group.group == ShardId(0).group()).cloned();
        group.expect("it leads").membership.voters.len()
    };
    assert_eq!(voters(&net), 2);
}

#[test]
fn a_member_goes_when_no_shard_needs_it_and_the_next_one_only_then() {
    let mut net = Net::cluster(5);
    let layout = net.layout(0).expect("it is a member").clone();
    let has = |node: &usize| layout.holders(ShardId(0)).any(|holder| holder == id(*node));
    let (holders, mut free): (Vec<usize>, Vec<usize>) = (0..5).partition(has);
    // The shard goes on to the first of those that have none. That one hears nothing of it for now.
    free.sort_by_key(|node| id(*node));
    let (next, asked) = (free[0], free[1]);
    let of_a_shard = |message: &RaftMessage| ShardId::of_group(message.group).is_some();
    net.hold = Box::new(move |envelope| match &envelope.message {
        Message::Raft(messages) => envelope.to == id(next) && messages.iter().any(of_a_shard),
        _ => false,
    });
    let removal = |at: usize| Request::RemoveMember { node: id(holders[at]), force: false };
    let first = net.request(asked, removal(0));
    net.run(3_000);
    assert_eq!(net.answer(asked, first), None, "the shard still needs it");
    let refused = net.ask(asked, removal(1));
    assert!(matches!(refused, Err(RequestError::Unavailable(_))), "{refused:?}");

    net.release();
    net.run(5_000);
    assert_eq!(net.answer(asked, first), Some(&Ok(Reply::Done)));
    net.crash(holders[0]);
    assert_eq!(net.ask(asked, removal(1)), Ok(Reply::Done));
    net.crash(holders[1]);
    net.run(5_000);
    written(&mut net, asked, put("k", "v"));
}

#[test]
fn either_of_two_may_be_switched_off_as_soon_as_it_is_let_go() {
    for leaving in 0..2 {
        let mut net = Net::cluster(2);
        let staying = 1 - leaving;
        written(&mut net, staying, put("k", "v"));
        let removal = Request::RemoveMember { node: id(leaving), force: false };
        assert_eq!(net.ask(staying, removal), Ok(Reply::Done));
        net.crash(leaving);
        net.run(3_000);
        assert_eq!(value(&mut net, staying, get("k")).as_deref(), Some("v"));
        written(&mut net, staying, put("k", "w"));
        let newcomer = net.add(kv_core::io::Founding::Join);
        net.link(staying, newcomer);
        net.run(5_000);
        assert_eq!(value(&mut net, newcomer, get("k")).as_deref(), Some("w"));
    }
}

#[test]
fn a_removal_that_would_leave_no_majority_must_be_forced() {
    let mut net = Net::cluster(3);
    net.crash(2);
    net.run(5_000);
    let gone = |force| Request::RemoveMember { node: id(1), force };
    let refused = net.ask(0, gone(false));
    assert!(matches!(refused, Err(RequestError::Conflict(_))), "{refused:?}");
    assert_eq!(net.ask(0, Request::RemoveMember { node: id(2), force: false }), Ok(Reply::Done));
    net.run(5_000);
    assert_eq!(net.ask(0, gone(false)), Ok(Reply::Done), "two are left, and both are up");
}

#[test]
fn a_wiped_member_takes_the_state_over_and_serves_it() {
    let mut net = Net::cluster(3);
    for number in 0..50 {
        written(&mut net, 0, put(&format!("k{number}"), "v"));
    }
    let lost = (leader(&net) + 1) % 3;
    net.crash(lost);
    net.wipe(lost);
    net.start(lost);
    net.link_all();
    net.run(10_000);
    let stale = value(&mut net, lost, get_as("k7", Freshness::Stale));
    assert_eq!(stale.as_deref(), Some("v"), "it has the state");
}

#[test]
fn a_message_that_arrives_twice_is_carried_out_once() {
    let mut net = Net::cluster(3);
    let first = leader(&net);
    let other = (first + 1) % 3;
    let asks = move |envelope: &kv_core::message::Envelope| {
        envelope.to == id(first) && envelope.message.name() == "strong_ask"
    };
    net.hold = Box::new(asks);
    let open = net.request(other, put("k", "1"));
    net.run(100);
    let copies: Vec<Message> = net.held.iter().map(|held| held.message.clone()).collect();
    assert_eq!(copies.len(), 1);
    net.release();
    net.run_until_answered(other, open);
    let revision = written(&mut net, other, put("k", "2"));
    for copy in copies {
        net.inject(other, first, copy);
    }
    net.run(1_000);
    assert_eq!(value(&mut net, other, get("k")).as_deref(), Some("2"));
    assert_eq!(written(&mut net, other, put("k", "3")), revision + 1, "nothing came between");
}
