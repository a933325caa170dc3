//! Clusters under attack: many seeded runs, and what must be true of each of them.
//!
//! A failure names its seed; that and the commit are a full report. The judges here know only what
//! clients saw and what nodes show, never how the protocol works.

use std::collections::BTreeMap;

use bytes::Bytes;
use kv_core::error::RequestError;
use kv_core::request::{Receipt, Reply};
use kv_core::sim::nemesis::Nemesis;
use kv_core::sim::{Action, ClientOperation, OperationRecord, TimedAction, World};
use kv_core::time::{Micros, Mono};
use kv_core::version::{Context, Dot};

/// Longer than any request may wait for its quorum, by the default setting and a slow clock.
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
    let keys = history.keys();
    for round in 0..2 {
        for (number, key) in (0..).zip(&keys) {
            let node = (number + round) % world.nodes();
            let operation = ClientOperation::Get { key: key.clone() };
            world.act(Action::Client { client: None, node, operation }).unwrap();
        }
        pass(&mut world, PATIENCE);
    }
    let last = history.end;
    history.follow(&world);
    for record in history.records.values().filter(|record| record.number >= last) {
        assert!(read(record).is_some(), "seed {seed}: unanswered in peace: {}", words(record));
    }
    history.judge(seed, &world);
    replicas_are_equal(&world, &keys, seed);
}

fn pass(world: &mut World, span: Micros) {
    assert!(world.run_until(world.now() + span, u64::MAX));
}

/// Every node runs, is a member and agrees with the others.
fn all_are_whole(world: &World, seed: u64) {
    let mut views = Vec::new();
    for index in 0..world.nodes() {
        let view = world.view(index);
        views.push(view.unwrap_or_else(|| panic!("seed {seed}: {:?}", world.failure(index))));
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
    let layout = world.view(0).unwrap().layout.unwrap();
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

/// All operations of a run, also those that the world keeps no longer.
#[derive(Default)]
struct History {
    records: BTreeMap<u64, OperationRecord>,
    end: u64,
}

impl History {
    /// Takes in what is new, and what was open when it was last taken in.
    fn follow(&mut self, world: &World) {
        let open = self.records.values().find(|record| record.outcome.is_none());
        let from = open.map_or(self.end, |record| record.number);
        for record in world.operations_since(from) {
            self.records.insert(record.number, record.clone());
            self.end = record.number + 1;
        }
    }

    fn keys(&self) -> Vec<Bytes> {
        let mut keys: Vec<Bytes> =
            self.records.values().map(|record| record.operation.key().clone()).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    fn judge(&self, seed: u64, world: &World) {
        assert_eq!(self.records.len() as u64, self.end, "seed {seed}: records were missed");
        for record in self.records.values() {
            let waited =
                record.outcome.as_ref().map_or_else(|| world.now(), |(at, _)| *at) - record.called;
            let late = waited > PATIENCE && !was_paused(world, record);
            assert!(!late, "seed {seed}: not answered in time: {}", words(record));
        }
        for key in self.keys() {
            let about: Vec<&OperationRecord> =
                self.records.values().filter(|record| *record.operation.key() == key).collect();
            nothing_is_wrong_with_the_requests(seed, &about);
            one_value_for_each_dot(seed, &about);
            what_failed_left_nothing(seed, &about);
            later_sees_earlier(seed, &about);
        }
    }
}

/// Whether the node was paused while the client waited, so that it could not answer.
fn was_paused(world: &World, record: &OperationRecord) -> bool {
    let end = record.outcome.as_ref().map_or_else(|| world.now(), |(at, _)| *at);
    let changes = world.actions().iter().filter_map(|TimedAction { at, action }| match action {
        Action::Pause { node } => Some((*at, *node, true)),
        Action::Resume { node } | Action::Crash { node } | Action::Wipe { node } => {
            Some((*at, *node, false))
        }
        _ => None,
    });
    let mine = changes.filter(|(at, node, _)| *node == record.node && *at <= end);
    let (before, during): (Vec<_>, Vec<_>) = mine.partition(|(at, ..)| *at < record.called);
    let paused = |change: &(Mono, u16, bool)| change.2;
    before.last().is_some_and(paused) || during.iter().any(paused)
}

/// No fault makes a sound request look unsound.
fn nothing_is_wrong_with_the_requests(seed: u64, records: &[&OperationRecord]) {
    for record in records {
        let refused = matches!(&record.outcome, Some((_, Err(RequestError::Invalid(_)))));
        assert!(!refused, "seed {seed}: {}", words(record));
    }
}

/// A dot names one write: whoever sees it sees the same value.
fn one_value_for_each_dot(seed: u64, records: &[&OperationRecord]) {
    let mut values: BTreeMap<Dot, Option<Bytes>> = BTreeMap::new();
    for record in records {
        let seen: Vec<(Dot, Option<Bytes>)> = match (&record.outcome, &record.operation) {
            (Some((_, Ok(Reply::Written { dot, .. }))), ClientOperation::Put { value, .. }) => {
                vec![(*dot, Some(value.clone()))]
            }
            (Some((_, Ok(Reply::Written { dot, .. }))), _) => vec![(*dot, None)],
            (Some((_, Ok(Reply::Read { values, .. }))), _) => {
                values.iter().map(|value| (value.dot, Some(value.value.clone()))).collect()
            }
            _ => Vec::new(),
        };
        for (dot, value) in seen {
            let first = values.entry(dot).or_insert_with(|| value.clone());
            assert_eq!(
                *first,
                value,
                "seed {seed}: {dot:?} names two writes, see {}",
                words(record)
            );
        }
    }
}

/// An error that says "nothing was changed" is true: nobody ever reads what that write carried.
fn what_failed_left_nothing(seed: u64, records: &[&OperationRecord]) {
    for record in records {
        let (ClientOperation::Put { value, .. }, Some((_, Err(error)))) =
            (&record.operation, &record.outcome)
        else {
            continue;
        };
        if matches!(error, RequestError::Unknown(_)) {
            continue;
        }
        let readers = records.iter().filter_map(|record| read(record));
        for (dots, _, values) in readers {
            assert!(
                !values.contains(value),
                "seed {seed}: {dots:?} shows failed {}",
                words(record)
            );
        }
    }
}

/// With R + W > N, whoever begins after a write has ended has seen it and all that it had seen; with
/// blocking read repair the same holds after a read, as long as the owners of the key stay the same.
fn later_sees_earlier(seed: u64, records: &[&OperationRecord]) {
    for earlier in records {
        let Some((ended, seen, under)) = knowledge(earlier) else { continue };
        for later in records.iter().filter(|later| later.called > ended) {
            let Some((_, known, now_under)) = knowledge(later) else { continue };
            if read(earlier).is_some() && under.epoch != now_under.epoch {
                continue;
            }
            for (actor, entry) in seen.clock().entries() {
                let dot = Dot { actor, counter: entry.counter };
                assert!(
                    known.clock().covers(dot),
                    "seed {seed}: {dot:?} is forgotten\nearlier {}\nlater   {}",
                    words(earlier),
                    words(later)
                );
            }
        }
    }
}

/// An operation in a line.
fn words(record: &OperationRecord) -> String {
    let (number, node) = (record.number, record.node + 1);
    let (called, operation) = (record.called.0, &record.operation);
    let what = format!("#{number} on n{node} at {called}: {operation:?}");
    match &record.outcome {
        None => format!("{what} is open"),
        Some((at, Ok(Reply::Read { context, receipt, .. }))) => {
            format!("{what} read at {} {context:?} {receipt:?}", at.0)
        }
        Some((at, Ok(Reply::Written { dot, context, receipt, .. }))) => {
            format!("{what} written at {} {dot:?} {context:?} {receipt:?}", at.0)
        }
        Some((at, outcome)) => format!("{what} ended at {} {outcome:?}", at.0),
    }
}

/// When a successful operation ended, and what was known of its key then.
fn knowledge(record: &OperationRecord) -> Option<(Mono, &Context, &Receipt)> {
    match &record.outcome {
        Some((
            at,
            Ok(Reply::Read { context, receipt, .. } | Reply::Written { context, receipt, .. }),
        )) => Some((*at, context, receipt)),
        _ => None,
    }
}

/// What a successful read showed: dots, context and values.
fn read(record: &OperationRecord) -> Option<(Vec<Dot>, &Context, Vec<Bytes>)> {
    match &record.outcome {
        Some((_, Ok(Reply::Read { values, context, .. }))) => {
            let dots = values.iter().map(|value| value.dot).collect();
            Some((dots, context, values.iter().map(|value| value.value.clone()).collect()))
        }
        _ => None,
    }
}
