//! Input that no client or member in its senses would give.

use kv_core::error::RequestError;
use kv_core::id::{Epoch, Incarnation};
use kv_core::message::{ClusterCommand, Message};
use kv_core::request::{Basis, Reply, Request};
use kv_core::settings::Setting;
use kv_core::time::Stamp;
use kv_core::version::{Clock, Context, Dot};

use crate::net::{Net, get, is_written, put, put_with, values};

fn claiming(key: &str, actor: Incarnation, counter: u64) -> Context {
    let mut clock = Clock::default();
    clock.advance(Dot { actor, counter }, Stamp(1));
    Context::of(key.as_bytes(), clock)
}

fn two_keys_of_one_partition() -> [String; 2] {
    let partition = |key: &str| kv_core::ring::partition_of(key.as_bytes(), 8);
    let second =
        (0..).map(|number| format!("k{number}")).find(|key| partition(key) == partition("a"));
    ["a".into(), second.expect("numbers do not end")]
}

#[test]
fn a_context_that_claims_writes_nobody_made_costs_no_later_write_its_value() {
    let mut net = Net::cluster(3);
    let n2 = net.hello(1).incarnation;
    for counter in [1_000_000, u64::MAX] {
        let basis = Basis::Context(claiming("k", n2, counter));
        net.ask(0, put_with("k", b"claims".to_vec(), basis)).ok();
        net.run(1_000);
        let write = net.ask(1, put_with("k", b"later".to_vec(), Basis::Nothing));
        let read = net.ask(2, get("k"));
        assert!(
            write.is_err() || values(&read).contains(&"later".to_string()),
            "{write:?} {read:?}"
        );
    }
}

#[test]
fn a_context_of_another_key_is_refused() {
    let mut net = Net::cluster(1);
    let [a, b] = two_keys_of_one_partition();
    assert!(is_written(Some(&net.ask(0, put(&b, "unseen")))));
    let Ok(Reply::Written { context, .. }) = net.ask(0, put(&a, "1")) else { panic!("a write") };
    let context = Context::from_text(&context.to_text()).expect("it is its own text");
    let other = net.ask(0, put_with(&b, b"2".to_vec(), Basis::Context(context.clone())));
    assert!(matches!(other, Err(RequestError::Invalid(_))), "{other:?}");
    assert_eq!(values(&net.ask(0, get(&b))), ["unseen"]);
    let same = net.ask(0, put_with(&a, b"2".to_vec(), Basis::Context(context)));
    assert!(is_written(Some(&same)));
    assert_eq!(values(&net.ask(0, get(&a))), ["2"]);
}

#[test]
fn a_layout_that_makes_no_sense_is_not_adopted() {
    let mut net = Net::cluster(2);
    let layout = net.layout(1).expect("it is a member");
    let last = kv_core::ring::layout::Layout { epoch: Epoch(u64::MAX), ..layout.clone() };
    let members = layout.members.keys().copied().collect();
    let finer = kv_core::ring::layout::Layout {
        epoch: Epoch(layout.epoch.0 + 1),
        ring: kv_core::ring::Ring::new(16, &members),
        ..layout.clone()
    };
    for nonsense in [last, finer] {
        net.inject(1, 0, Message::Adopt(Box::new(nonsense)));
        assert_eq!(net.layout(0).as_ref(), Some(&layout));
    }
    let changes = vec![(Setting::Replicas, 4)];
    assert_eq!(net.ask(0, Request::Set { changes }), Ok(Reply::Done));
}

#[test]
fn a_newcomer_with_a_boundless_name_is_not_taken_in() {
    let mut net = Net::cluster(2);
    let epoch = net.node(0).epoch();
    let [long, short] = ["x".repeat(10_000), "x".to_string()];
    for (name, address) in [(long.clone(), short.clone()), (short, long)] {
        let command = ClusterCommand::AddMember { name, incarnation: Incarnation(7), address };
        net.inject(1, 0, Message::Propose { epoch, command });
    }
    assert_eq!(net.node(0).epoch(), epoch);
}
