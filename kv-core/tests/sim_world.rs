//! What a simulated world promises: the same run every time, however it is played.

use std::collections::BTreeSet;

use bytes::Bytes;
use kv_core::error::RequestError;
use kv_core::event::EventKind;
use kv_core::id::FileId;
use kv_core::rng::{Ratio, Rng};
use kv_core::settings::Setting;
use kv_core::sim::nemesis::{self, Nemesis};
use kv_core::sim::{
    Action, ClientOperation, LinkConfig, NetworkConfig, OperationRecord, Run, SimConfig,
    TimedAction, Workload, World, link,
};
use kv_core::time::{Micros, Mono};

const SECOND: u64 = 1_000_000;

fn busy(seed: u64) -> SimConfig {
    let workload = Workload { per_second: 100, ..Workload::default() };
    SimConfig { seed, workload, ..SimConfig::default() }
}

fn world(config: SimConfig) -> World {
    World::new(config).unwrap()
}

fn get(node: u16, key: &'static str) -> Action {
    Action::Client {
        client: None,
        node,
        operation: ClientOperation::Get { key: Bytes::from_static(key.as_bytes()) },
    }
}

/// Where a world stands, in numbers that differ as soon as anything went another way.
fn state(world: &World) -> (Mono, u64, u64, u64) {
    (world.now(), world.steps(), world.hash(), world.trace_len())
}

#[test]
fn nodes_that_join_together_do_not_write_a_layout_for_each() {
    const NODES: u16 = 50;
    let mut world = world(SimConfig { nodes: NODES, ..SimConfig::default() });
    let (mut seen, mut layouts) = (0, 0);
    let changes = |kind: &EventKind| matches!(kind, EventKind::LayoutChanged { .. });
    while world.now() < Mono(2 * SECOND) {
        world.run_until(Mono(2 * SECOND), 100);
        layouts += world.trace_since(seen).filter(|entry| changes(&entry.event.kind)).count();
        seen = world.trace_len();
    }
    for node in 0..NODES {
        let layout = world.view(node).unwrap().layout.unwrap();
        assert_eq!((layout.members.len(), layout.moving), (usize::from(NODES), None));
    }
    let each = layouts as u64 / u64::from(NODES);
    assert!((1..=12).contains(&each), "each of {NODES} nodes wrote {each} layouts");
}

#[test]
fn the_same_run_twice_is_the_same_run_and_another_seed_is_another() {
    let hash = |seed| nemesis::run(seed, 30).unwrap().hash();
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
}

#[test]
fn a_run_is_the_same_at_once_in_slices_and_step_by_step() {
    let until = Mono(5 * SECOND);
    let mut whole = world(busy(1));
    assert!(whole.run_until(until, u64::MAX));

    let mut sliced = world(busy(1));
    for slice in 1..=300 {
        assert!(sliced.run_until(Mono(until.0 * slice / 300), u64::MAX));
    }
    assert_eq!(state(&sliced), state(&whole));

    let mut bounded = world(busy(1));
    while !bounded.run_until(until, 7) {}
    assert_eq!(state(&bounded), state(&whole));

    let mut stepped = world(busy(1));
    while stepped.steps() < whole.steps() {
        assert!(stepped.step() <= until);
    }
    assert_eq!(stepped.hash(), whole.hash());
}

#[test]
fn a_clone_goes_the_same_way_as_long_as_the_same_is_done_to_it() {
    let mut world = world(busy(2));
    world.run_until(Mono(SECOND), u64::MAX);
    let mut clone = world.clone();
    for world in [&mut world, &mut clone] {
        world.act(Action::Crash { node: 2 }).unwrap();
        world.run_until(Mono(2 * SECOND), u64::MAX);
    }
    assert_eq!(state(&clone), state(&world));
    world.act(get(0, "k1")).unwrap();
    assert_ne!(state(&clone), state(&world));
}

/// Actions done at any moment of stepping, also between two events of one moment, are found again.
#[test]
fn a_run_made_live_is_replayed_to_the_same_hash_also_through_a_link() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let mut nemesis = Nemesis::new(seed);
        let (latency_min, latency_max) = (Micros(50), Micros(100));
        let config = NetworkConfig { latency_min, latency_max, ..NetworkConfig::default() };
        let mut live = world(SimConfig { network: config, ..nemesis.config(seed) });
        for _ in 0..30 {
            for _ in 0..rng.below(200) {
                live.step();
            }
            let node = rng.below(u64::from(live.nodes())) as u16;
            live.act(get(node, "k1")).unwrap();
            nemesis.strike(&mut live);
            for _ in 0..rng.below(3) {
                live.step();
            }
        }
        let run = live.run();
        let text = link::encode(&run);
        let linked = link::decode(&text).unwrap().run;
        assert_eq!(linked, run);
        let replayed = World::replay(&linked).unwrap();
        assert_eq!(state(&replayed), state(&live), "seed {seed}");
        assert_eq!(replayed.actions(), live.actions());
        // Both go on alike as well.
        let mut both = [replayed, live];
        for world in &mut both {
            world.run_until(Mono(run.until.0 + SECOND), u64::MAX);
        }
        assert_eq!(state(&both[0]), state(&both[1]), "seed {seed}");
    }
}

/// They may change when it is asked, for a client goes on only when it was answered.
#[test]
fn loss_and_latency_change_nothing_of_what_clients_ask() {
    let asked = |loss, latency_max| {
        let network = NetworkConfig { loss, latency_max, ..NetworkConfig::default() };
        let mut world = world(SimConfig { network, ..busy(3) });
        world.run_until(Mono(5 * SECOND), u64::MAX);
        let mut asked = vec![Vec::new(); 4];
        for record in world.operations() {
            let client = usize::from(record.client.unwrap());
            asked[client].push((record.node, record.operation.clone()));
        }
        asked
    };
    let calm = asked(Ratio::ZERO, Micros(10_000));
    for stormy in [asked(Ratio::per_mille(200), Micros(10_000)), asked(Ratio::ZERO, Micros(30_000))]
    {
        for (calm, stormy) in calm.iter().zip(&stormy) {
            let both = calm.len().min(stormy.len());
            assert!(both > 20, "{} and {}", calm.len(), stormy.len());
            assert_eq!(calm[..both], stormy[..both]);
        }
    }
}

#[test]
fn a_client_does_one_thing_after_the_other_and_writes_what_nobody_else_writes() {
    let workload = Workload { clients: 30, per_second: 500, ..Workload::default() };
    let mut world = world(SimConfig { workload, ..busy(5) });
    world.run_until(Mono(2 * SECOND), u64::MAX);
    world.act(Action::Crash { node: 1 }).unwrap();
    world.run_until(Mono(3 * SECOND), u64::MAX);
    let (mut free, mut written) = (vec![Some(Mono(0)); 30], BTreeSet::new());
    for record in world.operations() {
        let free = &mut free[usize::from(record.client.unwrap())];
        assert!(free.is_some_and(|free| free < record.called), "{record:?}");
        *free = record.outcome.as_ref().map(|(at, _)| *at);
        if let ClientOperation::Put { value, .. } = &record.operation {
            assert!(written.insert(value.clone()), "{record:?}");
        }
    }
    assert!(world.operations().count() >= 1_000 && written.len() > 200);
}

#[test]
fn a_crash_leaves_what_was_asked_of_that_node_in_doubt_and_nothing_else() {
    let mut world = world(SimConfig::default());
    world.run_until(Mono(3 * SECOND), u64::MAX);
    world.act(get(0, "k")).unwrap();
    world.act(get(1, "k")).unwrap();
    world.act(Action::Crash { node: 1 }).unwrap();
    let unknown = |record: &OperationRecord| match &record.outcome {
        Some((at, outcome)) => {
            assert!(matches!(outcome, Err(RequestError::Unknown(_))) && *at == world.now());
            true
        }
        None => false,
    };
    assert!(world.operations().map(unknown).eq([false, true]));
    world.run_until(Mono(4 * SECOND), u64::MAX);
    assert!(matches!(world.operations().next().unwrap().outcome, Some((_, Ok(_)))));
}

#[test]
fn a_run_begins_with_the_settings_it_was_given() {
    let settings =
        vec![(Setting::Replicas, 5), (Setting::ReadQuorum, 1), (Setting::WriteQuorum, 5)];
    let mut world = world(SimConfig { settings: settings.clone(), ..SimConfig::default() });
    world.run_until(Mono(5 * SECOND), u64::MAX);
    for index in 0..world.nodes() {
        let node = world.node(index).unwrap();
        for (setting, value) in &settings {
            assert_eq!(node.settings().get(*setting), *value, "n{}", index + 1);
        }
    }
}

#[test]
fn lost_messages_are_shown_until_they_would_have_arrived() {
    let loss = Ratio::per_mille(1_000);
    let mut world = world(SimConfig::default());
    world.run_until(Mono(2 * SECOND), u64::MAX);
    world.act(Action::Network(NetworkConfig { loss, ..NetworkConfig::default() })).unwrap();
    let before: Vec<u64> = world.in_flight().map(|message| message.number).collect();
    let mut seen = 0;
    for _ in 0..2_000 {
        world.step();
        let new = world.in_flight().filter(|message| !before.contains(&message.number));
        for message in new {
            assert!(message.lost && message.arrives >= world.now());
            seen += 1;
        }
    }
    assert!(seen > 0);
    let events = world.trace_since(0).map(|entry| &entry.event.kind);
    assert!(events.filter(|kind| matches!(kind, EventKind::Suspected { .. })).count() > 0);
}

#[test]
fn the_trace_and_the_operations_are_numbered_without_a_gap() {
    let mut world = world(busy(4));
    world.run_until(Mono(60 * SECOND), u64::MAX);
    let first = world.trace_since(0).next().unwrap().index;
    assert!(first > 0 && world.trace_len() - first >= 10_000);
    assert!(world.trace_since(0).map(|entry| entry.index).eq(first..world.trace_len()));
    assert!(world.trace_since(world.trace_len() - 5).count() == 5);
    let numbers: Vec<u64> = world.operations().map(|record| record.number).collect();
    assert!(numbers.len() >= 1_000 && numbers[0] > 0);
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    assert!(
        world
            .operations_since(numbers[10])
            .map(|record| record.number)
            .eq(numbers[10..].iter().copied())
    );
}

#[test]
fn an_action_that_makes_no_sense_is_refused_in_words_and_changes_nothing() {
    let mut world = world(SimConfig { nodes: 3, ..SimConfig::default() });
    world.run_until(Mono(2 * SECOND), u64::MAX);
    world.act(Action::Crash { node: 2 }).unwrap();
    world.act(Action::Cut { from: 0, to: 1 }).unwrap();
    let before = (state(&world), world.actions().len());
    let network = |min, max, loss| {
        let (latency_min, latency_max) = (Micros(min), Micros(max));
        let network = NetworkConfig { latency_min, latency_max, loss, ..NetworkConfig::default() };
        Action::Network(network)
    };
    let workload = |clients, keys, writes| {
        Action::Workload(Workload {
            clients,
            per_second: 1,
            keys,
            writes,
            quorum: 0,
            strong: Ratio::ZERO,
        })
    };
    let set = |node, setting, value| Action::Set { node, changes: vec![(setting, value)] };
    let flip = |file, offset, bit| Action::Flip { node: 0, file, offset, bit };
    for (action, words) in [
        (Action::Crash { node: 2 }, "n3 is down already"),
        (Action::Restart { node: 0 }, "n1 is running"),
        (Action::Crash { node: 3 }, "no node number 3"),
        (Action::Cut { from: 1, to: 1 }, "no link to itself"),
        (Action::Cut { from: 0, to: 1 }, "cannot reach n2 already"),
        (Action::Mend { from: 1, to: 0 }, "reaches n1 already"),
        (Action::Partition { groups: vec![0, 1] }, "3 nodes, not for 2"),
        (network(9, 3, Ratio::ZERO), "shortest latency"),
        (network(0, 90_000_000, Ratio::ZERO), "at most 60000 ms"),
        (network(0, 1, Ratio { numerator: 2, denominator: 1 }), "share from 0 to 1"),
        (workload(0, 1, Ratio::ZERO), "from 1 to 1000 clients"),
        (workload(1_001, 1, Ratio::ZERO), "from 1 to 1000 clients"),
        (workload(1, 0, Ratio::ZERO), "keys"),
        (workload(1, 1, Ratio { numerator: 0, denominator: 0 }), "share from 0 to 1"),
        (set(0, Setting::ReadQuorum, 4), "cannot exceed replicas"),
        (set(2, Setting::ReadQuorum, 1), "n3 is down"),
        (get(9, "k"), "no node number 9"),
        (Action::Fill { node: 3, free: 0 }, "no node number 3"),
        (Action::Slow { node: 0, wait: Micros(90_000_000) }, "at most 60000 ms"),
        (flip(FileId::table(77), 0, 0), "no such file: table 77"),
        (flip(FileId::log(1), 1 << 40, 0), "counted from 0"),
        (flip(FileId::log(1), 0, 8), "no bit 8"),
    ] {
        let refused = world.act(action.clone()).expect_err("it makes no sense");
        assert!(refused.0.contains(words), "{action:?}: {refused}");
        assert_eq!((state(&world), world.actions().len()), before);
    }
    world.act(Action::Partition { groups: vec![0, 0, 1] }).unwrap();
    let refused = world.act(Action::Mend { from: 0, to: 2 }).unwrap_err();
    assert!(refused.0.contains("heal the network"), "{refused}");
}

#[test]
fn a_fault_that_makes_no_sense_is_refused_in_words_and_changes_nothing() {
    let mut world = world(SimConfig { nodes: 3, ..SimConfig::default() });
    world.run_until(Mono(2 * SECOND), u64::MAX);
    world.act(Action::Crash { node: 2 }).unwrap();
    let flying = loop {
        world.step();
        if let Some(message) = world.in_flight().find(|message| !message.lost) {
            break message.number;
        }
    };
    let before = (state(&world), world.actions().len());
    let own = |min, max, loss| {
        let (latency_min, latency_max) = (Micros(min), Micros(max));
        let own = LinkConfig { latency_min, latency_max, loss };
        Action::Link { from: 0, to: 1, own: Some(own) }
    };
    let tangle = |straggle, duplication, reordering| {
        let config = NetworkConfig { straggle, duplication, reordering, ..world.network() };
        Action::Network(config)
    };
    let late = Micros(90_000_000);
    let wrong = Ratio { numerator: 3, denominator: 2 };
    for (action, words) in [
        (Action::Pause { node: 2 }, "n3 is down"),
        (Action::Resume { node: 0 }, "n1 is not suspended"),
        (Action::Pause { node: 7 }, "no node number 7"),
        (Action::Wipe { node: 3 }, "no node number 3"),
        (own(9, 3, Ratio::ZERO), "shortest latency"),
        (own(0, 1, wrong), "share from 0 to 1"),
        (Action::Link { from: 1, to: 1, own: None }, "no link to itself"),
        (Action::Link { from: 0, to: 1, own: None }, "no settings of its own already"),
        (tangle(0, Ratio::ZERO, Ratio::ZERO), "1 to 1000 times longer"),
        (tangle(1, wrong, Ratio::ZERO), "duplication must be a share"),
        (tangle(1, Ratio::ZERO, wrong), "reordering must be a share"),
        (Action::Lose { message: 1 }, "no message of number 1 is under way"),
        (Action::Delay { message: u64::MAX, by: Micros(1) }, "is under way"),
        (Action::Delay { message: flying, by: late }, "held up for at most 60000 ms"),
        (Action::FailSync { node: 2 }, "n3 is down and syncs nothing"),
        (Action::Misread { node: 0 }, "n1 has no tables yet"),
        (Action::Drift { node: 0, ppm: 100_001 }, "at most 100000 parts per million"),
        (Action::Drift { node: 0, ppm: i32::MIN }, "at most 100000 parts per million"),
        (Action::Jump { node: 0, by: 86_400_000_001 }, "at most a day off"),
        (Action::Jump { node: 0, by: i64::MIN }, "at most a day off"),
    ] {
        let refused = world.act(action.clone()).expect_err("it makes no sense");
        assert!(refused.0.contains(words), "{action:?}: {refused}");
        assert_eq!((state(&world), world.actions().len()), before);
    }
    world.act(Action::Wipe { node: 2 }).unwrap();
    let refused = world.act(Action::Wipe { node: 2 }).unwrap_err();
    assert!(refused.0.contains("n3 has nothing on its disk"), "{refused}");
    world.act(Action::Pause { node: 0 }).unwrap();
    let refused = world.act(Action::Pause { node: 0 }).unwrap_err();
    assert!(refused.0.contains("n1 is suspended already"), "{refused}");
}

#[test]
fn one_message_is_picked_out_and_lost_or_held_up() {
    let mut world = world(SimConfig { nodes: 3, ..SimConfig::default() });
    world.run_until(Mono(3 * SECOND), u64::MAX);
    let put = Action::Client {
        client: None,
        node: 0,
        operation: ClientOperation::Put { key: "k".into(), value: "v".into() },
    };
    world.act(put).unwrap();
    let stores = loop {
        world.step();
        let stores: Vec<_> =
            world.in_flight().filter(|message| message.kind == "store").cloned().collect();
        if stores.len() == 2 {
            break stores;
        }
    };
    let [lost, late] = [stores[0].number, stores[1].number];
    world.act(Action::Lose { message: lost }).unwrap();
    world.act(Action::Delay { message: late, by: Micros(500_000) }).unwrap();
    assert!(world.act(Action::Lose { message: lost }).unwrap_err().0.contains("lost already"));
    // Two of three have it once the one that is late has come.
    let arrives = stores[1].arrives + Micros(500_000);
    world.run_until(Mono(arrives.0 - 1), u64::MAX);
    assert!(world.operations().last().unwrap().outcome.is_none());
    assert!(world.in_flight().any(|message| message.number == late && message.arrives == arrives));
    world.run_until(arrives + Micros(50_000), u64::MAX);
    assert!(matches!(world.operations().last().unwrap().outcome, Some((_, Ok(_)))));
    assert_eq!(world.object(stores[0].to, b"k"), None);
}

#[test]
fn what_waits_for_a_paused_node_stays_under_way_until_it_goes_on_or_crashes() {
    for end in [Action::Resume { node: 1 }, Action::Crash { node: 1 }, Action::Wipe { node: 1 }] {
        let mut world = world(busy(6));
        world.run_until(Mono(3 * SECOND), u64::MAX);
        world.act(Action::Pause { node: 1 }).unwrap();
        world.act(Action::Cut { from: 0, to: 1 }).unwrap();
        world.run_until(Mono(4 * SECOND), u64::MAX);
        let late = |world: &World| {
            let now = world.now();
            world.in_flight().filter(|message| message.arrives < now).count()
        };
        assert!(world.is_up(1) && world.is_paused(1) && late(&world) > 10);
        world.act(end).unwrap();
        assert!(!world.is_paused(1));
        assert_eq!(late(&world), 0);
    }
}

#[test]
fn the_clock_of_a_node_never_goes_back_not_even_over_restarts() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let mut world = world(busy(seed));
        for _ in 0..30 {
            let node = rng.below(5) as u16;
            let ppm = rng.below(200_001) as i32 - 100_000;
            let by = rng.below(20_000_000) as i64 - 10_000_000;
            let action = match rng.below(4) {
                0 => Action::Drift { node, ppm },
                1 => Action::Jump { node, by },
                2 => Action::Crash { node },
                _ => Action::Restart { node },
            };
            drop(world.act(action));
            world.run_until(world.now() + Micros(rng.below(200_000)), u64::MAX);
        }
        let mut last = [Mono(0); 5];
        for entry in world.trace_since(0) {
            let last = &mut last[usize::from(entry.node)];
            assert!(entry.event.at.mono >= *last, "seed {seed}: {entry:?}");
            *last = entry.event.at.mono;
        }
    }
}

/// A request may take half a second of the clock of the node that it was made of.
#[test]
fn a_fast_clock_makes_requests_time_out_early_and_a_slow_one_late() {
    let waited = |ppm| {
        let settings = vec![(Setting::RequestTimeoutMs, 500)];
        let mut world = world(SimConfig { nodes: 3, settings, ..SimConfig::default() });
        world.run_until(Mono(3 * SECOND), u64::MAX);
        world.act(Action::Drift { node: 0, ppm }).unwrap();
        world.act(Action::Partition { groups: vec![0, 1, 1] }).unwrap();
        world.act(get(0, "k")).unwrap();
        world.run_until(Mono(5 * SECOND), u64::MAX);
        let record = world.operations().last().unwrap();
        (record.outcome.as_ref().unwrap().0 - record.called).0
    };
    assert_eq!(waited(0), 500_000);
    assert_eq!(waited(100_000), 454_546);
    assert_eq!(waited(-100_000), 555_556);
}

#[test]
fn a_configuration_that_cannot_be_is_refused_in_words() {
    let base = SimConfig::default();
    let settings = vec![(Setting::WriteQuorum, 9)];
    for (config, words) in [
        (SimConfig { nodes: 0, ..base.clone() }, "from 1 to 200"),
        (SimConfig { nodes: 201, ..base.clone() }, "from 1 to 200"),
        (SimConfig { partitions: 48, ..base.clone() }, "power of two"),
        (SimConfig { partitions: 0, ..base.clone() }, "power of two"),
        (SimConfig { sync: Micros(u64::MAX), ..base.clone() }, "a sync takes"),
        (SimConfig { settings, ..base }, "cannot exceed replicas"),
    ] {
        let refused = World::new(config).expect_err("it cannot be");
        assert!(refused.0.contains(words), "{refused}");
    }
}

#[test]
fn a_link_whose_actions_make_no_sense_is_refused_when_it_is_played() {
    let run = |actions: &[(u64, Action)]| {
        let timed =
            |(at, action): &(u64, Action)| TimedAction { at: Mono(*at), action: action.clone() };
        let run = Run {
            config: SimConfig::default(),
            actions: actions.iter().map(timed).collect(),
            until: Mono(SECOND),
            steps: 1_000_000,
            hash: 0,
        };
        World::replay(&run)
    };
    let words = |actions| run(actions).unwrap_err().0;
    assert!(words(&[(5, Action::Restart { node: 0 })]).contains("running"));
    assert!(words(&[(5, Action::Cut { from: 0, to: 77 })]).contains("no node number 77"));
    assert!(words(&[(5, Action::Heal), (4, Action::Heal)]).contains("order"));
    assert!(words(&[(2 * SECOND, Action::Heal)]).contains("order"));
    let mut endless = world(busy(1)).run();
    endless.until = Mono(3_600 * SECOND);
    endless.actions = vec![TimedAction { at: Mono(1_800 * SECOND), action: Action::Heal }];
    endless.steps = 1_000;
    assert!(World::replay(&endless).unwrap_err().0.contains("more events"));
}

#[test]
fn garbage_links_are_refused_without_a_panic() {
    let mut rng = Rng::new(6);
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let good = link::encode(&nemesis::run(5, 5).unwrap().run());
    let mut played = 0;
    for round in 0..1_000 {
        let mut text = if round % 3 == 0 {
            vec![b'A'; rng.below(300) as usize]
        } else {
            good.clone().into_bytes()
        };
        for _ in 0..=rng.below(4) {
            let index = rng.below(text.len().max(1) as u64) as usize;
            if let Some(place) = text.get_mut(index) {
                *place = alphabet[rng.below(64) as usize];
            }
        }
        let text = String::from_utf8(text).unwrap();
        if let Ok(mut link) = link::decode(&text) {
            // What still looks like a run is played, whatever it says, but not for long.
            link.run.steps = link.run.steps.min(2_000);
            played += u32::from(World::replay(&link.run).is_ok());
        }
    }
    assert!(played > 0, "some changes leave a run that can be played");
}
