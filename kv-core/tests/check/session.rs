//! The judge of sessions against one that tries every order of the values.

use bytes::Bytes;
use kv_core::check::session::check;
use kv_core::check::{Kind, Operation, Verdict};
use kv_core::rng::Rng;
use kv_core::time::Mono;

use super::register::{self, Load};
use super::{done, value};

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
            let named = |operation: &&Operation| objection.operations.contains(&operation.number);
            let witness: Vec<Operation> = history.iter().filter(named).cloned().collect();
            assert!(check(&witness).objection().is_some(), "{objection} of {history:#?}");
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
