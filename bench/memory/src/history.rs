//! A history of registers that really are atomic, for timing the judge.

use kv_core::check::{Answer, End, Kind, Operation, Outcome};
use kv_core::rng::{Ratio, Rng};
use kv_core::time::Mono;

/// So many operations on so many keys, half of them writes. One in twenty has an unknown outcome.
#[must_use]
pub fn of_registers(operations: u64, keys: u64, clients: u64) -> Vec<Operation> {
    const UNKNOWN: Ratio = Ratio { numerator: 1, denominator: 20 };
    let mut rng = Rng::new(1);
    let mut free = vec![0; clients as usize];
    let mut planned: Vec<(u64, Operation)> = (0..operations)
        .map(|number| {
            let client = rng.below(clients);
            let called = free[client as usize] + rng.between(0, 10);
            let ended = called + rng.between(0, 30);
            free[client as usize] = ended;
            let key = format!("k{}", rng.below(keys)).into();
            let writes = rng.below(2) == 0;
            let kind = if writes { Kind::Write(format!("v{number}").into()) } else { Kind::Read };
            let unknown = rng.chance(UNKNOWN);
            let outcome = if unknown { Outcome::Unknown } else { Outcome::Done(Answer::default()) };
            let end = Some(End { at: Mono(ended), outcome });
            let effect = rng.between(called, ended);
            (effect, Operation { number, client, key, kind, called: Mono(called), end })
        })
        .collect();
    planned.sort_by_key(|(effect, operation)| (*effect, operation.number));
    let mut registers = std::collections::BTreeMap::new();
    for (_, operation) in &mut planned {
        match &operation.kind {
            Kind::Write(value) => drop(registers.insert(operation.key.clone(), value.clone())),
            _ => {
                if let Some(End { outcome: Outcome::Done(answer), .. }) = &mut operation.end {
                    answer.values = registers.get(&operation.key).cloned().into_iter().collect();
                }
            }
        }
    }
    let mut history: Vec<Operation> = planned.into_iter().map(|(_, operation)| operation).collect();
    history.sort_by_key(|operation| operation.number);
    history
}
