//! The judge of sessions against one that tries every order of the values.

use bytes::Bytes;
use kv_core::check::session::check;
use kv_core::check::{Kind, Objection, Operation, Outcome, Verdict};
use kv_core::rng::Rng;
use kv_core::time::Mono;

use super::register::{self, Load};
use super::{any_value, done, each_spared, known_before, value, witness};

#[test]
fn it_agrees_with_trying_every_order_of_the_values() {
    let mut rng = Rng::new(23);
    let mut wrong = 0;
    for round in 0..20_000 {
        let history = small(&mut rng);
        let verdict = check(&history);
        let order = (0..5).map(|number| value(&format!("v{number}")));
        let order = has_order(&history, &mut Vec::new(), &order.collect::<Vec<_>>());
        assert_eq!(verdict == Verdict::Holds, order, "round {round}: {verdict:?} of {history:#?}");
        if let Some(objection) = verdict.objection() {
            wrong += 1;
            is_minimal(&history, objection);
        }
    }
    assert!((2_000..18_000).contains(&wrong), "{wrong} of 20,000 are wrong");
}

#[test]
fn an_atomic_register_keeps_all_sessions() {
    let mut rng = Rng::new(29);
    for swaps in [0, 20] {
        for _ in 0..100 {
            let load =
                Load { operations: 300, clients: 6, keys: 3, deletes: 0, swaps, unknown: 10 };
            let history = register::history(&mut rng, &load);
            assert_eq!(check(&history), Verdict::Holds);
        }
    }
}

/// Also where outcomes are unknown, clients write the same, and compare and set.
#[test]
fn every_witness_is_minimal() {
    let mut rng = Rng::new(37);
    let mut wrong = 0;
    for _ in 0..20_000 {
        let history = mixed(&mut rng);
        if let Some(objection) = check(&history).objection() {
            wrong += 1;
            is_minimal(&history, objection);
        }
    }
    assert!((2_000..18_000).contains(&wrong), "{wrong} of 20,000 are wrong");
}

/// A client reads so many values, and another the last one and then the first.
#[test]
fn a_long_way_round_is_named_by_its_ends() {
    let (many, last) = (5_000, 6_000);
    let read = |number, client, text| {
        let end = Some(done(number + 1, vec![value(&format!("v{text}"))]));
        let (key, called) = (value("k"), Mono(number));
        Operation { number, client, key, kind: Kind::Read, called, end }
    };
    let mut history: Vec<Operation> = (0..many).map(|number| read(number, 1, number)).collect();
    history.extend([read(last, 2, many - 1), read(last + 1, 2, 0)]);
    let verdict = check(&history);
    let objection = verdict.objection().unwrap();
    assert_eq!(objection.operations, [0, many - 1, last, last + 1]);
    assert_eq!(objection.at, Mono(last + 2));
    is_minimal(&history, objection);
}

/// A circle through more clients than are named.
#[test]
fn words_end_however_many_operations_contradict_each_other() {
    let clients = 1_000;
    let mut history = Vec::new();
    for client in 0..clients {
        for (step, text) in [client, (client + 1) % clients].into_iter().enumerate() {
            let number = 2 * client + step as u64;
            let end = Some(done(number, vec![value(&format!("{text}{}", "v".repeat(100)))]));
            let (key, kind, called) = (value("k"), Kind::Read, Mono(number));
            history.push(Operation { number, client, key, kind, called, end });
        }
    }
    let verdict = check(&history);
    let objection = verdict.objection().unwrap();
    assert_eq!(objection.operations.len() as u64 + objection.more, 2 * clients);
    assert!(objection.words.len() < 2_000, "{objection}");
}

/// No operation of a witness can be spared, but those without which the rest would have been wrong before:
/// where one of two writes of a value failed, these two.
fn is_minimal(history: &[Operation], objection: &Objection) {
    for (removed, rest) in each_spared(&witness(history, objection, check)) {
        let before = check(&known_before(&rest, objection.at));
        let can_be = before.objection().is_none() && check(&rest).objection().is_some();
        assert!(!can_be, "{removed} can be spared in {objection}");
    }
}

/// Two or three clients, one after the other, with few values and all that can become of an operation.
fn mixed(rng: &mut Rng) -> Vec<Operation> {
    let (operations, clients) = (rng.between(2, 9), rng.between(2, 3));
    let mut free = [0; 3];
    let one = |number| {
        let client = rng.below(clients);
        let called = free[client as usize] + rng.below(3);
        let ended = called + rng.below(8);
        free[client as usize] = ended;
        let kind = match rng.below(8) {
            0 | 1 => Kind::Write(any_value(rng, 4).unwrap_or_else(|| value("a"))),
            2 if rng.below(3) == 0 => Kind::Delete,
            3 => Kind::CompareAndSet { old: any_value(rng, 4), new: any_value(rng, 4) },
            _ => Kind::Read,
        };
        let found = if kind == Kind::Read { any_value(rng, 4) } else { None };
        let mut end = Some(done(ended, found.into_iter().collect()));
        match rng.below(12) {
            0 => end = None,
            1 => end.as_mut().unwrap().outcome = Outcome::Unknown,
            2 => end.as_mut().unwrap().outcome = Outcome::Failed,
            _ => {}
        }
        Operation { number, client, key: value("k"), kind, called: Mono(called), end }
    };
    (0..operations).map(one).collect()
}

/// Two or three clients, one after the other, and at most five values.
fn small(rng: &mut Rng) -> Vec<Operation> {
    let (mut written, operations, clients) = (0, rng.between(2, 9), rng.between(2, 3));
    let one = |number| {
        let kind = match rng.below(3) {
            0 if written < 5 => {
                written += 1;
                Kind::Write(value(&format!("v{}", written - 1)))
            }
            _ => Kind::Read,
        };
        let seen = rng.below(written + 1).checked_sub(1).map(|seen| value(&format!("v{seen}")));
        let found = if kind == Kind::Read { seen } else { None };
        let end = Some(done(number + 1, found.into_iter().collect()));
        let (client, key) = (rng.below(clients), value("k"));
        Operation { number, client, key, kind, called: Mono(number), end }
    };
    (0..operations).map(one).collect()
}

/// Whether, for some order of the values, no client ever goes back in it. Absence is before all.
fn has_order(history: &[Operation], order: &mut Vec<Bytes>, rest: &[Bytes]) -> bool {
    if rest.is_empty() {
        let place = |value: Option<&Bytes>| {
            value.map(|value| order.iter().position(|other| other == value).unwrap())
        };
        return (0..3).all(|client| {
            let own = history.iter().filter(|operation| operation.client == client);
            let places = own.map(|operation| match &operation.kind {
                Kind::Write(value) => place(Some(value)),
                _ => place(operation.done().unwrap().1.values.first()),
            });
            places.collect::<Vec<_>>().is_sorted()
        });
    }
    rest.iter().any(|next| {
        order.push(next.clone());
        let others: Vec<Bytes> = rest.iter().filter(|other| *other != next).cloned().collect();
        let found = has_order(history, order, &others);
        order.pop();
        found
    })
}
