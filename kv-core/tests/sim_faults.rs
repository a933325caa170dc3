//! Clusters under attack: many seeded runs, and what must be true of each of them.
//!
//! A failure names its seed; that and the commit are a full report. The judges
//! ([`kv_core::check`]) know only what clients saw, never how the protocol works.

use std::collections::BTreeSet;

use bytes::Bytes;
use kv_core::check::{Operation, Verdict, dots};
use kv_core::sim::nemesis::Nemesis;
use kv_core::sim::{Action, ClientOperation, History, World};
use kv_core::time::Micros;

/// Longer than any request may wait for its quorum, by the default setting.
const PATIENCE: Micros = Micros::from_millis(2_500);
/// How long a cluster may take to be whole again once nothing is broken any more.
const RECOVERY: Micros = Micros::from_millis(8_000);

#[test]
fn nothing_acknowledged_is_lost_under_any_fault() {
    each(seeds(200), |seed| attack(seed, Nemesis::new(seed), 60));
}

#[test]
fn nothing_acknowledged_is_lost_while_partitions_move() {
    each(seeds(100), |seed| attack(seed, Nemesis::moving_partitions(seed, 5), 60));
}

/// Judges the run of each seed, and names all that failed.
fn each(seeds: Vec<u64>, run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let fails = |seed: &u64| std::panic::catch_unwind(|| run(*seed)).is_err();
    let failed: Vec<u64> = seeds.into_iter().filter(fails).collect();
    assert!(failed.is_empty(), "seeds that failed: {failed:?}; run one with SEED=");
}

/// The first `count`, or as many as the environment says in `SEEDS`, or only the one in `SEED`.
fn seeds(count: u64) -> Vec<u64> {
    let number = |name| {
        let text = std::env::var(name).ok()?;
        Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
    };
    match number("SEED") {
        Some(seed) => vec![seed],
        None => (0..number("SEEDS").unwrap_or(count)).collect(),
    }
}

/// One run: strikes, then peace, then everything is read and judged.
fn attack(seed: u64, mut nemesis: Nemesis, strikes: u32) {
    let mut world = World::new(nemesis.config(seed)).unwrap();
    let mut history = History::default();
    for _ in 0..strikes {
        nemesis.strike(&mut world);
        history.follow(&world);
    }
    Nemesis::relent(&mut world);
    pass(&mut world, RECOVERY);
    history.follow(&world);
    all_are_whole(&world, seed);
    let keys = keys(&history);
    let last = history.end();
    for round in 0..2 {
        for (number, key) in (0..).zip(&keys) {
            let node = (number + round) % world.nodes();
            let operation = ClientOperation::Get { key: key.clone() };
            world.act(Action::Client { node, operation }).unwrap();
        }
        pass(&mut world, PATIENCE);
    }
    history.follow(&world);
    for operation in history.operations().iter().filter(|operation| operation.number >= last) {
        assert!(operation.done().is_some(), "seed {seed}: unanswered in peace: {operation}");
    }
    judge(&history, seed, &world);
    replicas_are_equal(&world, &keys, seed);
}

fn pass(world: &mut World, span: Micros) {
    assert!(world.run_until(world.now() + span, u64::MAX));
}

/// Every node runs, is a member and agrees with the others.
fn all_are_whole(world: &World, seed: u64) {
    let mut views = Vec::new();
    for index in 0..world.nodes() {
        let node = world.node(index);
        let node = node.unwrap_or_else(|| panic!("seed {seed}: {:?}", world.failure(index)));
        views.push(node.view(world.now()));
    }
    for view in &views {
        let layout = view.layout.as_ref().unwrap_or_else(|| panic!("seed {seed}: no layout"));
        assert_eq!(layout.members.len(), views.len(), "seed {seed}: {} of {layout:?}", view.name);
        assert!(layout.moving.is_none(), "seed {seed}: {layout:?}");
        assert_eq!(Some(layout), views[0].layout.as_ref(), "seed {seed}");
        assert_eq!(view.settings, views[0].settings, "seed {seed}: {}", view.name);
        assert_eq!(view.halted, None, "seed {seed}");
        assert_eq!(view.requests_open, 0, "seed {seed}: {}", view.name);
        assert_eq!(view.outputs_held, 0, "seed {seed}: {}", view.name);
        let unheard: Vec<_> =
            view.peers.iter().filter(|peer| !peer.alive || !peer.linked).collect();
        assert!(unheard.is_empty(), "seed {seed}: {} of {unheard:?}", view.name);
    }
}

/// All owners of a key hold the same once it was read.
fn replicas_are_equal(world: &World, keys: &[Bytes], seed: u64) {
    let layout = world.node(0).unwrap().view(world.now()).layout.unwrap();
    for key in keys {
        let owners = layout.owners(layout.ring.partition_of(key));
        let held = (0..world.nodes()).filter(|node| owners.contains(&world.node_id(*node)));
        let copies: Vec<_> = held.map(|node| world.object(node, key)).collect();
        let digests: Vec<_> =
            copies.iter().map(|copy| copy.as_ref().map(|object| object.digest())).collect();
        assert!(
            digests.iter().all(|digest| *digest == digests[0]),
            "seed {seed}: {key:?} differs: {copies:#?}"
        );
    }
}

/// Every operation was answered in time, and nothing that clients saw contradicts what they are
/// promised. A dot names one write; what failed left nothing; with R + W > N, whoever begins after an
/// operation has ended knows what was known then.
fn judge(history: &History, seed: u64, world: &World) {
    assert!(history.is_whole(), "seed {seed}: records were missed");
    for operation in history.operations() {
        let ended = operation.end.as_ref().map_or_else(|| world.now(), |end| end.at);
        let waited = ended - operation.called;
        assert!(waited <= PATIENCE, "seed {seed}: not answered in time: {operation}");
    }
    let verdict =
        dots::check(history.operations()).and(dots::check_overlapping(history.operations()));
    if let Some(objection) = verdict.objection() {
        let named = |operation: &&Operation| objection.operations.contains(&operation.number);
        let named: Vec<_> = history.operations().iter().filter(named).collect();
        panic!("seed {seed}: {objection}\n{named:#?}");
    }
    assert_eq!(verdict, Verdict::Holds, "seed {seed}");
}

fn keys(history: &History) -> Vec<Bytes> {
    let keys: BTreeSet<Bytes> =
        history.operations().iter().map(|operation| operation.key.clone()).collect();
    keys.into_iter().collect()
}
