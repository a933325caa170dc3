//! The judge of linearizability against one that tries every order, and on registers that are atomic
//! but for one answer.

use bytes::Bytes;
use kv_core::check::linear::{Bounds, check};
use kv_core::check::{End, Kind, Objection, Operation, Outcome, Verdict};
use kv_core::rng::Rng;
use kv_core::time::Mono;

use super::register::{self, Load};
use super::{any_value, done, each_spared, expected, known_before, left, value, witness};

fn judge(history: &[Operation]) -> Verdict {
    check(history, Bounds::default())
}

#[test]
fn it_agrees_with_trying_every_order() {
    let mut rng = Rng::new(17);
    let mut wrong = 0;
    for round in 0..20_000 {
        let history = small(&mut rng);
        let verdict = judge(&history);
        let order = has_order(&history, None, &mut Vec::new());
        assert_eq!(verdict == Verdict::Holds, order, "round {round}: {verdict:?} of {history:#?}");
        if let Verdict::Wrong(objection) = &verdict {
            wrong += 1;
            is_minimal(&history, objection);
        }
    }
    assert!((5_000..15_000).contains(&wrong), "{wrong} of 20,000 are wrong");
}

#[test]
fn an_atomic_register_is_accepted_and_one_wrong_answer_is_not() {
    let mut rng = Rng::new(3);
    for round in 0..400 {
        let load = Load {
            operations: rng.between(5, 300),
            clients: rng.between(1, 12),
            keys: rng.between(1, 3),
            deletes: if round % 2 == 0 { 0 } else { 10 },
            swaps: if round % 3 == 0 { 0 } else { 15 },
            unknown: if round % 5 == 0 { 0 } else { 10 },
        };
        let mut history = register::history(&mut rng, &load);
        assert_eq!(judge(&history), Verdict::Holds, "round {round}");
        let reads =
            |operation: &&mut Operation| operation.kind == Kind::Read && operation.done().is_some();
        let mut reads: Vec<&mut Operation> = history.iter_mut().filter(reads).collect();
        if reads.is_empty() {
            continue;
        }
        let changed = rng.below(reads.len() as u64) as usize;
        let changed = &mut reads[changed];
        let (at, _) = changed.done().unwrap();
        changed.end = Some(done(at.0, vec![value("never")]));
        let number = changed.number;
        let verdict = judge(&history);
        let objection = verdict.objection().unwrap_or_else(|| panic!("round {round}: {verdict:?}"));
        assert_eq!(
            (objection.operations.as_slice(), objection.at),
            (&[number][..], at),
            "{objection}"
        );
    }
}

#[test]
fn a_stale_read_in_a_long_history_is_named_with_few_others() {
    let mut rng = Rng::new(5);
    let mut found = 0;
    for _ in 0..60 {
        let load = Load { operations: 400, clients: 6, keys: 1, deletes: 5, swaps: 5, unknown: 5 };
        let mut history = register::history(&mut rng, &load);
        // Some late read returns what an early one had returned.
        let reads: Vec<usize> = (0..history.len())
            .filter(|index| history[*index].kind == Kind::Read && history[*index].done().is_some())
            .collect();
        let (early, late) = (reads[reads.len() / 4], reads[reads.len() * 3 / 4]);
        let old = history[early].done().unwrap().1.values.clone();
        let (at, _) = history[late].done().unwrap();
        history[late].end = Some(done(at.0, old));
        if let Verdict::Wrong(objection) = judge(&history) {
            found += 1;
            assert!(objection.operations.len() <= 8, "{objection}");
            assert!(objection.operations.contains(&history[late].number), "{objection}");
            is_minimal(&history, &objection);
        }
    }
    assert!(found > 40, "only {found} of 60 were found");
}

#[test]
fn many_open_writes_and_deep_concurrency_are_decided() {
    let mut rng = Rng::new(8);
    let plain =
        Load { operations: 3_000, clients: 100, keys: 1, deletes: 0, swaps: 0, unknown: 30 };
    let mixed =
        Load { operations: 3_000, clients: 300, keys: 8, deletes: 10, swaps: 5, unknown: 20 };
    for load in [plain, mixed] {
        for _ in 0..5 {
            assert_eq!(judge(&register::history(&mut rng, &load)), Verdict::Holds);
        }
    }
}

/// Each of them may have found what another one left, but nobody has to have found any of it.
#[test]
fn operations_that_only_explain_each_other_are_not_named() {
    for many in [2, 3, 6, 40] {
        let (none, some) = (None, Some(value("a")));
        let swap = |number: u64| {
            let (old, new) = if number & 1 == 0 { (&none, &some) } else { (&some, &none) };
            let (old, new) = (old.clone(), new.clone());
            let kind = Kind::CompareAndSet { old, new };
            Operation { end: None, ..operation(number, number, kind, 0, done(0, vec![])) }
        };
        let mut history: Vec<Operation> = (0..many).map(swap).collect();
        history.push(operation(many, many, Kind::Read, 5, done(6, vec![value("zz")])));
        let Verdict::Wrong(objection) = judge(&history) else { panic!("nobody wrote zz") };
        assert_eq!(objection.operations, [many], "{objection}");
    }
}

/// Writes and reads, one after the other: each is answered before the next is called, or at its call.
fn one_after_the_other(rounds: u64, pause: u64) -> Vec<Operation> {
    let mut history = Vec::new();
    for round in 0..rounds {
        let text = value(&format!("v{round}"));
        let (at, number) = (2 * (1 + pause) * round, 2 * round);
        let write = Kind::Write(text.clone());
        history.push(operation(number, 1, write, at, done(at + 1, vec![])));
        let (at, number) = (at + 1 + pause, number + 1);
        history.push(operation(number, 1, Kind::Read, at, done(at + 1, vec![text])));
    }
    history
}

/// The set of what is placed is long, but all of it is placed up to one word.
#[test]
fn operations_that_do_not_overlap_are_decided_however_many_they_are() {
    for pause in [0, 1] {
        let history = one_after_the_other(150_000, pause);
        assert_eq!(judge(&history), Verdict::Holds);
    }
}

fn operation(number: u64, client: u64, kind: Kind, called: u64, end: End) -> Operation {
    let (key, called) = (value("k"), Mono(called));
    Operation { number, client, key, kind, called, end: Some(end) }
}

/// The steps that the verdict takes are enough for a few operations that prove it, too.
#[test]
fn the_witness_of_a_long_history_is_small_also_where_the_steps_are_scarce() {
    let mut history = one_after_the_other(2_000, 1);
    history.push(operation(4_000, 1, Kind::Read, 8_000, done(8_001, vec![value("v5")])));
    let mut steps = 1_000;
    loop {
        match check(&history, Bounds { steps, ..Bounds::default() }) {
            Verdict::Undecided(_) => steps += steps / 4,
            Verdict::Wrong(found) => {
                assert!(found.operations.len() <= 4, "{} steps: {found}", steps);
                assert!(found.operations.contains(&4_000), "{found}");
                return;
            }
            Verdict::Holds => panic!("v5 had been replaced"),
        }
    }
}

/// Every look at an operation is a step, also where many readers wait for many writes of one value.
#[test]
fn many_writes_and_readers_of_one_value_end_with_the_steps() {
    let (many, late) = (20_000, 1_000_000);
    let mut history = Vec::new();
    for number in 0..many {
        history.push(operation(number, number, Kind::Write(value("a")), 0, done(late, vec![])));
        let (number, end) = (many + number, done(late, vec![value("a")]));
        history.push(operation(number, number, Kind::Read, 0, end));
    }
    let swap = Kind::CompareAndSet { old: Some(value("a")), new: Some(value("z")) };
    history.push(operation(2 * many, 2 * many, swap, 0, done(late, vec![])));
    for round in 0..200 {
        let (number, at) = (2 * many + 1 + 2 * round, 10 + 20 * round);
        let text = value(&format!("u{round}"));
        let write = Kind::Write(text.clone());
        history.push(operation(number, many * 3, write, at, done(at + 10, vec![])));
        history.push(operation(
            number + 1,
            many * 3 + 1,
            Kind::Read,
            at,
            done(at + 10, vec![text]),
        ));
    }
    let verdict = check(&history, Bounds { steps: 200_000, ..Bounds::default() });
    assert!(matches!(verdict, Verdict::Undecided(_)), "{verdict:?}");
}

/// No operation of a witness can be spared, but one whose value others expect, for that would then seem to
/// come from nowhere, and one that failed, which explains nothing. Each of these is there because it might
/// have explained the rest, had its outcome not been known.
fn is_minimal(history: &[Operation], objection: &Objection) {
    let witness = witness(history, objection, judge);
    let (failed, kept): (Vec<Operation>, Vec<Operation>) =
        witness.iter().cloned().partition(Operation::failed);
    for (removed, rest) in each_spared(&kept) {
        if !is_needed(&removed, &rest) && !is_needed(&removed, &failed) {
            assert_eq!(judge(&rest), Verdict::Holds, "{removed} can be spared in {objection}");
        }
    }
    let with = |some: &[Operation]| {
        let unknown = some.iter().cloned().map(|one| Operation { end: None, ..one });
        judge(&kept.iter().cloned().chain(unknown).collect::<Vec<_>>())
    };
    for (one, others) in each_spared(&failed) {
        let explains = subsets(&others).into_iter().any(|mut some| {
            let before = with(&some);
            some.push(one.clone());
            before != Verdict::Holds && with(&some) == Verdict::Holds
        });
        let rest: Vec<Operation> =
            witness.iter().filter(|other| other.number != one.number).cloned().collect();
        let was_wrong = judge(&known_before(&rest, objection.at)) != Verdict::Holds;
        assert!(explains || was_wrong, "{one} explains nothing in {objection}");
    }
}

/// Whether some expect what an operation leaves.
fn is_needed(operation: &Operation, some: &[Operation]) -> bool {
    left(operation).is_some_and(|value| some.iter().any(|other| expected(other) == Some(value)))
}

fn subsets(all: &[Operation]) -> Vec<Vec<Operation>> {
    let mut subsets = vec![Vec::new()];
    for one in all {
        let with = |some: &Vec<Operation>| [some.as_slice(), std::slice::from_ref(one)].concat();
        subsets.extend(subsets.iter().map(with).collect::<Vec<_>>());
    }
    subsets
}

/// A history of a few operations, right or wrong. Times are few, so that many are equal.
fn small(rng: &mut Rng) -> Vec<Operation> {
    let (operations, values) = (rng.between(1, 7), rng.between(1, 3));
    let one = |number| {
        let called = rng.below(12);
        let kind = match rng.below(8) {
            0..=3 => Kind::Read,
            4 | 5 => Kind::Write(any_value(rng, values).unwrap_or_else(|| value("a"))),
            6 => Kind::Delete,
            _ => Kind::CompareAndSet { old: any_value(rng, values), new: any_value(rng, values) },
        };
        let found = if kind == Kind::Read { any_value(rng, values) } else { None };
        let mut end = Some(done(called + rng.below(8), found.into_iter().collect()));
        match rng.below(10) {
            0 => end = None,
            1 => end.as_mut().unwrap().outcome = Outcome::Unknown,
            2 | 3 => end.as_mut().unwrap().outcome = Outcome::Failed,
            _ => {}
        }
        let key = value("k");
        Operation { number, client: number, key, kind, called: Mono(called), end }
    };
    (0..operations).map(one).collect()
}

/// Whether some order explains all answers, by trying all.
fn has_order(history: &[Operation], held: Option<&Bytes>, placed: &mut Vec<u64>) -> bool {
    let left_over = |operation: &&Operation| !placed.contains(&operation.number);
    let rest: Vec<&Operation> = history.iter().filter(left_over).collect();
    if rest.iter().all(|operation| operation.done().is_none()) {
        return true;
    }
    rest.iter().any(|next| {
        let hidden = next.done().is_none() && next.kind == Kind::Read;
        let in_time =
            rest.iter().all(|other| other.done().is_none_or(|(ended, _)| ended >= next.called));
        let fits = expected(next).is_none_or(|value| value == held);
        if next.failed() || hidden || !in_time || !fits {
            return false;
        }
        placed.push(next.number);
        let found = has_order(history, left(next).unwrap_or(held), placed);
        placed.pop();
        found
    })
}
