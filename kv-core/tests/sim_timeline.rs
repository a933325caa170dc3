//! Time travel: whatever one looks at is what was there, and no future is lost.

use bytes::Bytes;
use kv_core::check::{Demand, Verdict};
use kv_core::rng::Rng;
use kv_core::settings::Setting;
use kv_core::sim::nemesis::{self, Nemesis};
use kv_core::sim::timeline::{BRANCHES_MAX, Timeline};
use kv_core::sim::{Action, ClientOperation, Run, SimConfig, Verdicts, Workload, World};
use kv_core::time::{Micros, Mono};

const SECOND: Micros = Micros(1_000_000);

fn busy(seed: u64) -> SimConfig {
    let workload = Workload { per_second: 100, ..Workload::default() };
    SimConfig { seed, workload, ..SimConfig::default() }
}

/// Where a world stands, in numbers that differ as soon as anything went another way.
fn state(world: &World) -> (Mono, u64, u64, u64) {
    (world.now(), world.steps(), world.hash(), world.trace_len())
}

fn seek(timeline: &mut Timeline, branch: usize, at: Mono) {
    timeline.seek(branch, at).unwrap();
    while !timeline.go_on(100).unwrap() {}
}

fn put(node: u16, value: &str) -> Action {
    let (key, value) = (Bytes::from_static(b"k"), Bytes::from(value.to_owned()));
    Action::Client { client: None, node, operation: ClientOperation::Put { key, value } }
}

#[test]
fn every_moment_of_an_attacked_run_is_found_again() {
    for seed in 0..10 {
        let run = nemesis::run(seed, 25).unwrap().run();
        let mut timeline = Timeline::of_run(&run).unwrap();
        assert!(timeline.is_seeking());
        while !timeline.go_on(1_000).unwrap() {}
        assert_eq!(timeline.world().run(), run, "seed {seed}");
        assert!(timeline.is_at_end());

        let mut rng = Rng::new(seed);
        for _ in 0..40 {
            let at = Mono(rng.between(0, run.until.0));
            seek(&mut timeline, 0, at);
            let before = |action: &&kv_core::sim::TimedAction| action.at <= at;
            let actions: Vec<_> = run.actions.iter().take_while(before).cloned().collect();
            let prefix = Run { actions, until: at, steps: u64::MAX, ..run.clone() };
            assert_eq!(
                state(timeline.world()),
                state(&World::replay(&prefix).unwrap()),
                "seed {seed} at {at:?}"
            );
        }
        seek(&mut timeline, 0, run.until);
        assert_eq!(timeline.world().run(), run, "seed {seed}");
    }
}

#[test]
fn a_run_that_was_stopped_within_a_moment_ends_there_again() {
    let mut world = World::new(busy(3)).unwrap();
    while world.steps() < 777 {
        world.step();
    }
    let mut timeline = Timeline::of_run(&world.run()).unwrap();
    assert!(timeline.go_on(u64::MAX).unwrap());
    assert_eq!(state(timeline.world()), state(&world));
    seek(&mut timeline, 0, Mono(world.now().0 / 2));
    seek(&mut timeline, 0, world.now());
    assert_eq!(state(timeline.world()), state(&world));
}

#[test]
fn playing_on_from_the_past_goes_through_the_same_future() {
    let mut timeline = Timeline::new(busy(1)).unwrap();
    assert!(timeline.run_until(Mono(SECOND.0), u64::MAX).unwrap());
    timeline.act(Action::Crash { node: 2 }).unwrap();
    assert!(timeline.run_until(Mono(3 * SECOND.0), u64::MAX).unwrap());
    let end = state(timeline.world());

    seek(&mut timeline, 0, Mono(0));
    assert!(timeline.world().is_up(2));
    while !timeline.run_until(Mono(3 * SECOND.0), 50).unwrap() {}
    assert_eq!(state(timeline.world()), end);

    seek(&mut timeline, 0, Mono(SECOND.0 / 2));
    while timeline.world().steps() < end.1 {
        timeline.step().unwrap();
    }
    assert_eq!(timeline.world().hash(), end.2);
    assert_eq!(timeline.branches().len(), 1);
    assert!(timeline.run_until(Mono(4 * SECOND.0), u64::MAX).unwrap());
    assert_eq!(timeline.branches()[0].end(), Mono(4 * SECOND.0));
}

#[test]
fn who_acts_in_the_past_keeps_both_futures() {
    let mut timeline = Timeline::new(busy(1)).unwrap();
    timeline.run_until(Mono(2 * SECOND.0), u64::MAX).unwrap();
    timeline.act(put(0, "first")).unwrap();
    timeline.run_until(Mono(4 * SECOND.0), u64::MAX).unwrap();
    let first = timeline.world().run();

    seek(&mut timeline, 0, Mono(SECOND.0));
    timeline.act(Action::Crash { node: 1 }).unwrap();
    assert_eq!((timeline.branch(), timeline.branches().len()), (1, 2));
    let parent = timeline.branches()[1].parent().unwrap();
    assert_eq!((parent.branch, parent.at), (0, Mono(SECOND.0)));
    timeline.run_until(Mono(3 * SECOND.0), u64::MAX).unwrap();
    timeline.act(put(0, "second")).unwrap();
    timeline.run_until(Mono(5 * SECOND.0), u64::MAX).unwrap();
    let second = timeline.world().run();
    assert_eq!(timeline.branches().len(), 2, "at the end of a branch one goes on");

    for (branch, run) in [(0, &first), (1, &second)] {
        seek(&mut timeline, branch, Mono(u64::MAX));
        assert_eq!(timeline.world().run(), *run);
        // Before the fork both have one past.
        seek(&mut timeline, branch, Mono(SECOND.0 / 3));
        let past = state(timeline.world());
        seek(&mut timeline, 1 - branch, Mono(SECOND.0 / 3));
        assert_eq!(state(timeline.world()), past);
    }
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let mut timeline = Timeline::new(SimConfig::default()).unwrap();
    timeline.run_until(Mono(SECOND.0), u64::MAX).unwrap();
    let here = state(timeline.world());
    timeline.seek(1, Mono(0)).unwrap_err();
    timeline.act(Action::Restart { node: 0 }).unwrap_err();
    assert_eq!((state(timeline.world()), timeline.branches().len()), (here, 1));

    let end = Mono(SECOND.0);
    for number in 1..BRANCHES_MAX as u64 {
        seek(&mut timeline, 0, Mono(number));
        timeline.act(Action::Crash { node: 0 }).unwrap();
    }
    seek(&mut timeline, 0, Mono(1));
    let refused = timeline.act(Action::Crash { node: 0 }).unwrap_err();
    assert!(refused.0.contains("at most"), "{refused}");
    seek(&mut timeline, 0, end);
    assert_eq!(state(timeline.world()), here);

    let mut backwards = nemesis::run(1, 5).unwrap().run();
    backwards.actions.reverse();
    Timeline::of_run(&backwards).unwrap_err();
    let mut short = nemesis::run(1, 5).unwrap().run();
    short.steps = 3;
    let mut timeline = Timeline::of_run(&short).unwrap();
    let refused = timeline.go_on(u64::MAX).unwrap_err();
    assert!(refused.0.contains("more events up to its actions than it says"), "{refused}");
}

#[test]
fn a_long_run_keeps_few_moments_and_all_are_near() {
    let mut nemesis = Nemesis::new(5);
    let mut world = World::new(busy(5)).unwrap();
    for _ in 0..150 {
        nemesis.strike(&mut world);
    }
    Nemesis::relent(&mut world);
    world.act(Action::Workload(busy(5).workload)).unwrap();
    world.run_until(world.now() + Micros(30 * SECOND.0), u64::MAX);
    assert!(world.steps() > 30_000, "a short run shows nothing: {}", world.steps());
    let run = world.run();
    let mut timeline = Timeline::of_run(&run).unwrap();
    while !timeline.go_on(5_000).unwrap() {}
    let near = run.steps / 16;
    let mut rng = Rng::new(5);
    for _ in 0..50 {
        timeline.seek(0, Mono(rng.between(0, run.until.0))).unwrap();
        let from = timeline.world().steps();
        assert!(timeline.go_on(u64::MAX).unwrap());
        assert!(timeline.world().steps() - from <= near, "of {} in all", run.steps);
    }
}

#[test]
fn going_back_passes_every_place_that_going_forward_passed() {
    for seed in 0..4 {
        let run = nemesis::run(seed, 4).unwrap().run();
        let mut timeline = Timeline::of_run(&run).unwrap();
        while !timeline.go_on(1_000).unwrap() {}
        timeline.seek(0, Mono(0)).unwrap();
        timeline.go_on(u64::MAX).unwrap();
        let mut passed = Vec::new();
        for _ in 0..400 {
            passed.push((state(timeline.world()), timeline.world().actions().len()));
            timeline.step().unwrap();
        }
        for (before, actions) in passed.into_iter().rev() {
            timeline.step_back().unwrap();
            while !timeline.go_on(64).unwrap() {}
            assert_eq!(
                (state(timeline.world()), timeline.world().actions().len()),
                (before, actions)
            );
        }
        while timeline.step_back().is_ok() {
            timeline.go_on(u64::MAX).unwrap();
        }
        assert_eq!((timeline.world().steps(), timeline.world().actions().len()), (0, 0));
    }
}

#[test]
fn the_verdict_is_that_of_the_moment_and_of_its_branch() {
    let weak = vec![(Setting::ReadQuorum, 1), (Setting::WriteQuorum, 1)];
    let mut timeline = Timeline::new(SimConfig { settings: weak, ..busy(3) }).unwrap();
    let mut verdicts = Verdicts::default();
    let run = |timeline: &mut Timeline, verdicts: &mut Verdicts, until: Mono| {
        while !timeline.run_until(until, 256).unwrap() {
            verdicts.follow(timeline);
        }
        verdicts.follow(timeline);
    };
    let end = Mono(0) + Micros(20 * SECOND.0);
    run(&mut timeline, &mut verdicts, end);
    let verdict = verdicts.judge(&timeline, Demand::Latest);
    let objection = verdict.objection().expect("quorums of one do not meet").clone();
    assert_eq!(verdicts.records(&timeline, &objection.operations).count(), 2);

    seek(&mut timeline, 0, Mono(objection.at.0 - 1));
    assert_eq!(verdicts.judge(&timeline, Demand::Latest), Verdict::Holds);
    // Before it came so far somebody mends it, and on that branch it never comes so far.
    seek(&mut timeline, 0, Mono(objection.at.0 / 2));
    assert_eq!(verdicts.judge(&timeline, Demand::Latest), Verdict::Holds);
    let majority = vec![(Setting::ReadQuorum, 2), (Setting::WriteQuorum, 2)];
    timeline.act(Action::Set { node: 0, changes: majority }).unwrap();
    verdicts.follow(&timeline);
    assert_eq!(timeline.branch(), 1);
    let begun = verdicts.judged(&timeline, Demand::Latest);
    run(&mut timeline, &mut verdicts, end);
    assert!(verdicts.judged(&timeline, Demand::Latest) > begun + 500);
    seek(&mut timeline, 0, end);
    assert_eq!(verdicts.judge(&timeline, Demand::Latest).objection(), Some(&objection));
}

#[test]
fn of_a_very_long_run_only_the_latest_operations_are_judged_and_the_judges_say_so() {
    let workload = Workload { per_second: 1_000, keys: 2, ..Workload::default() };
    let config = SimConfig { nodes: 3, workload, ..SimConfig::default() };
    let mut timeline = Timeline::new(config).unwrap();
    let mut verdicts = Verdicts::default();
    while verdicts.judged(&timeline, Demand::Latest) < Verdicts::OPERATIONS_MAX {
        timeline.run_until(timeline.world().now() + SECOND, 256).unwrap();
        verdicts.follow(&timeline);
    }
    timeline.run_until(timeline.world().now() + SECOND, 256).unwrap();
    verdicts.follow(&timeline);
    assert_eq!(verdicts.judged(&timeline, Demand::Latest), Verdicts::OPERATIONS_MAX);
    assert_eq!(verdicts.judge(&timeline, Demand::Latest), Verdict::Holds);
    assert!(matches!(verdicts.judge(&timeline, Demand::Sound), Verdict::Undecided(_)));
}
