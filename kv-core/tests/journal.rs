//! Journals of nodes: recorded under attack, played again to the same hash, refused when damaged.

use kv_core::io::{Boot, Founding, Input, Output};
use kv_core::journal::{End, Heard, JournalError, Recorder, Replayed, is_journal, replay};
use kv_core::node::Node;
use kv_core::sim::World;
use kv_core::sim::disk::SimDisk;
use kv_core::sim::nemesis::Nemesis;
use kv_core::storage::StoreOptions;
use kv_core::time::{Mono, Now};

/// A run under attack, recorded.
fn attacked(seed: u64, strikes: u32) -> World {
    let mut nemesis = Nemesis::new(seed);
    let mut world = World::recorded(nemesis.config(seed)).unwrap();
    for _ in 0..strikes {
        nemesis.strike(&mut world);
    }
    Nemesis::relent(&mut world);
    world.run_until(Mono(world.now().0 + 1_000_000), u64::MAX);
    world
}

fn journals(world: &World) -> impl Iterator<Item = &Recorder> {
    (0..world.nodes()).flat_map(|node| world.journals(node))
}

#[test]
fn every_opening_of_every_node_is_played_again_to_the_same_hash() {
    let (mut openings, mut inputs) = (0, 0);
    for seed in 0..60 {
        let world = attacked(seed, 60);
        for recorder in journals(&world) {
            let played = replay(&recorder.ended())
                .unwrap_or_else(|error| panic!("seed {seed}, opening {openings}: {error}"));
            assert_eq!((played.hash, played.end), (recorder.hash(), End::Whole), "seed {seed}");
            openings += 1;
            inputs += played.inputs;
        }
    }
    assert!(openings > 500 && inputs > 50_000, "{openings} openings, {inputs} inputs");
}

#[test]
fn recording_changes_nothing_in_a_run() {
    let world = attacked(4, 40);
    let again = World::replay(&world.run()).unwrap();
    assert_eq!(again.hash(), world.hash());
    assert!(again.journals(0).is_empty());
}

/// The longest journal of a small run.
fn one() -> Vec<u8> {
    let world = attacked(2, 12);
    let longest = journals(&world).max_by_key(|recorder| recorder.bytes().len());
    longest.unwrap().bytes().to_vec()
}

#[test]
fn a_flipped_byte_is_refused_with_its_place() {
    let journal = one();
    assert!(is_journal(&journal) && replay(&journal).is_ok());
    for at in (0..journal.len()).step_by(97).chain(0..300) {
        let mut damaged = journal.clone();
        damaged[at] ^= 0x10;
        let refused = replay(&damaged).unwrap_err();
        match refused {
            JournalError::NoJournal => assert!(at < 8, "byte {at}"),
            JournalError::Format(_) => assert_eq!(at, 8),
            JournalError::Damaged(place) => assert!(place <= at as u64, "byte {at}"),
            other => panic!("byte {at}: {other}"),
        }
    }
    let mut other = journal;
    other[8] = 7;
    assert_eq!(
        replay(&other).unwrap_err().to_string(),
        "the journal has format 7, and this release reads format 1; play it with the release that recorded it"
    );
}

#[test]
fn an_end_that_was_cut_off_is_said_and_what_stands_before_it_is_played() {
    let journal = one();
    let whole = replay(&journal).unwrap();
    let (mut torn, mut last) = (0, None);
    for end in (0..journal.len()).step_by(61) {
        match replay(&journal[..end]) {
            Ok(played) => {
                assert!(played.inputs < whole.inputs && Some(played.inputs) >= last);
                let within = matches!(played.end, End::Torn(at) if at < end as u64);
                assert!(within || played.end == End::Open, "nothing says that it ends there");
                (torn, last) = (torn + u64::from(within), Some(played.inputs));
            }
            Err(error) => {
                let early = matches!(error, JournalError::NoJournal | JournalError::Empty);
                assert!(early && last.is_none(), "{end} of {} bytes: {error}", journal.len());
            }
        }
    }
    assert!(torn > 100, "{torn} ends were torn");
}

/// The journal of a node that founds a cluster of its own: its syncs end at once, and it is woken at
/// each of its deadlines. One of its inputs, counted from 1, is recorded as if nothing had come of it.
fn alone(inputs: u64, limit: u64, forgotten: Option<u64>) -> Recorder {
    let boot = Boot {
        name: "n1".into(),
        address: "n1:7000".into(),
        entropy: 7,
        partitions: 8,
        shards: 1,
        founding: Founding::Alone,
        storage: StoreOptions::SIMULATED,
    };
    let (mut disk, mut now, mut synced) = (SimDisk::default(), Now::default(), None);
    let mut recorder = Recorder::new(boot.clone(), now, limit);
    let mut node = Node::open(boot, now, &mut Heard::new(&mut disk, Some(&recorder))).unwrap();
    for number in 0..=inputs {
        if number > 0 {
            let input = synced.take().unwrap_or(Input::Timer);
            if input == Input::Timer {
                now.mono = node.next_deadline().unwrap();
            }
            recorder.input(now, &input);
            node.handle(now, input, &mut Heard::new(&mut disk, Some(&recorder)));
        }
        while let Some(output) = node.poll() {
            if forgotten != Some(number) {
                recorder.output(&output);
            }
            if let Output::Sync { upto } = output {
                synced = Some(Input::Synced { upto, result: disk.sync_log(upto) });
            }
        }
        recorder.done();
    }
    recorder
}

#[test]
fn the_first_input_after_which_a_node_does_something_else_is_named() {
    let journal = alone(9, u64::MAX, None);
    let played = replay(&journal.ended()).unwrap();
    assert_eq!((played.name.as_str(), played.inputs, played.end), ("n1", 9, End::Whole));
    assert_eq!(replay(journal.bytes()).unwrap(), Replayed { end: End::Open, ..played });
    let opening = replay(alone(9, u64::MAX, Some(0)).bytes()).unwrap_err();
    assert!(opening.to_string().starts_with("after input 0, the opening of n1, "), "{opening}");
    let spoke = |input: &u64| alone(9, u64::MAX, Some(*input)).hash() != journal.hash();
    let input = (1..9).find(spoke).expect("something came of an input");
    let differs = replay(alone(9, u64::MAX, Some(input)).bytes()).unwrap_err();
    assert!(differs.to_string().starts_with(&format!("after input {input}, ")), "{differs}");
    assert!(differs.to_string().contains("the node does not do what was recorded"), "{differs}");
}

#[test]
fn a_journal_ends_at_its_bound_and_says_so() {
    let whole = alone(9, u64::MAX, None);
    let limit = whole.bytes().len() as u64 - 1;
    let bounded = alone(9, limit, None);
    assert!(bounded.is_full() && !whole.is_full());
    let played = replay(bounded.bytes()).unwrap();
    assert_eq!((played.inputs, played.end), (8, End::Full));
}
