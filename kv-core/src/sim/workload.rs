//! Generated clients: what each of them asks, of which node, and when.
//!
//! A client is sequential, as a person or a thread is: the next operation begins after a random pause
//! since the last one began, but never before that was answered. Each has a generator of its own and
//! draws equally many numbers for every operation, so what it asks depends on nothing but the seed and
//! the workload; only when it asks depends on the answers.

use alloc::format;
use alloc::vec::Vec;

use bytes::Bytes;

use super::action::ClientOperation;
use super::config::{Chance, Workload};
use crate::rng::{Ratio, Rng};
use crate::time::{Micros, Mono};

/// How many of the generated writes delete.
const DELETES: Ratio = Ratio { numerator: 1, denominator: 8 };

/// The generated clients of a run.
#[derive(Clone, Debug)]
pub(super) struct Generators {
    seed: u64,
    workload: Workload,
    /// All that ever were; those beyond the workload's number are idle.
    clients: Vec<Generator>,
}

#[derive(Clone, Debug)]
struct Generator {
    rng: Rng,
    /// How many operations it has begun.
    begun: u64,
    /// Its next operation does not begin before.
    next: Mono,
    /// Whether it waits for an answer.
    waits: bool,
}

impl Generators {
    pub(super) fn new(seed: u64, workload: Workload) -> Self {
        Self { seed, workload, clients: Vec::new() }
    }

    pub(super) fn workload(&self) -> Workload {
        self.workload
    }

    /// The clients do so from now on. Returns who begins when, of those that wait for no answer; what
    /// was said of that before no longer holds.
    pub(super) fn change(&mut self, now: Mono, workload: Workload) -> Vec<(u16, Mono)> {
        self.workload = workload;
        let seed = self.seed;
        for client in self.clients.len() as u16..workload.clients {
            let rng = Chance::Client(client).generator(seed);
            self.clients.push(Generator { rng, begun: 0, next: now, waits: false });
        }
        let Some(mean) = mean_pause(workload) else { return Vec::new() };
        let mut begins = Vec::new();
        for (client, generator) in (0..workload.clients).zip(&mut self.clients) {
            generator.next = now + generator.pause(mean);
            if !generator.waits {
                begins.push((client, generator.next));
            }
        }
        begins
    }

    /// A client begins its next operation: on a node of so many, unless that is down.
    pub(super) fn begin(
        &mut self,
        now: Mono,
        client: u16,
        nodes: u16,
    ) -> Option<(u16, ClientOperation)> {
        let workload = self.workload;
        let mean = mean_pause(workload)?;
        let generator = self.clients.get_mut(usize::from(client))?;
        generator.waits = true;
        generator.begun += 1;
        generator.next = now + generator.pause(mean);
        Some(generator.draw(client, nodes, workload))
    }

    /// A client's operation has ended. Returns when its next one begins, if there is to be one.
    pub(super) fn ended(&mut self, now: Mono, client: u16) -> Option<Mono> {
        let generator = self.clients.get_mut(usize::from(client))?;
        generator.waits = false;
        let goes_on = client < self.workload.clients && self.workload.per_second > 0;
        goes_on.then(|| generator.next.max(now + Micros(1)))
    }
}

impl Generator {
    fn pause(&mut self, mean: u64) -> Micros {
        Micros(self.rng.between(1, (2 * mean).saturating_sub(1).max(1)))
    }

    fn draw(&mut self, client: u16, nodes: u16, workload: Workload) -> (u16, ClientOperation) {
        let node = self.rng.below(u64::from(nodes)) as u16;
        let key = self.rng.between(1, u64::from(workload.keys));
        let writes = self.rng.chance(workload.writes);
        let deletes = self.rng.chance(DELETES);
        let strong = self.rng.chance(workload.strong);
        let key = Bytes::from(format!("k{key}"));
        let operation = match (writes, deletes) {
            (false, _) => ClientOperation::Get { key },
            (true, true) => ClientOperation::Delete { key },
            (true, false) => {
                let value = format!("v{}.{}", u32::from(client) + 1, self.begun);
                ClientOperation::Put { key, value: Bytes::from(value) }
            }
        };
        (node, if strong { operation.in_strong() } else { operation })
    }
}

/// The mean pause of one client in microseconds; none if none begins anything.
fn mean_pause(workload: Workload) -> Option<u64> {
    (u64::from(workload.clients) * 1_000_000).checked_div(u64::from(workload.per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKLOAD: Workload = Workload {
        clients: 3,
        per_second: 100,
        keys: 3,
        writes: Ratio::per_mille(500),
        quorum: 0,
        strong: Ratio::ZERO,
    };

    #[test]
    fn operations_are_drawn_as_the_workload_says() {
        let mut generators = Generators::new(1, WORKLOAD);
        let mut due = generators.change(Mono(0), WORKLOAD);
        assert_eq!(due.len(), 3);
        let (mut writes, mut now, mut values) = (0, Mono(0), Vec::new());
        for _ in 0..10_000 {
            due.sort_by_key(|(client, at)| core::cmp::Reverse((*at, *client)));
            let (client, at) = due.pop().unwrap();
            now = at;
            let (node, operation) = generators.begin(now, client, 5).unwrap();
            assert!(node < 5 && operation.key().len() == 2);
            writes += u64::from(!matches!(operation, ClientOperation::Get { .. }));
            if let ClientOperation::Put { value, .. } = operation {
                values.push(value);
            }
            due.push((client, generators.ended(now, client).unwrap()));
        }
        assert!((4_700..5_300).contains(&writes), "{writes}");
        assert!((97_000_000..103_000_000).contains(&now.0), "{now:?} for 10,000 operations");
        let count = values.len();
        values.sort();
        values.dedup();
        assert_eq!(values.len(), count, "no value is written twice");
    }

    #[test]
    fn a_client_waits_for_its_answer_and_then_goes_on() {
        let mut generators = Generators::new(1, WORKLOAD);
        let (client, at) = generators.change(Mono(0), WORKLOAD)[0];
        let first = generators.begin(at, client, 5);
        assert!(first.is_some());
        assert_eq!(generators.change(at, WORKLOAD).len(), 2, "one of three waits");
        let late = at + Micros(60_000_000);
        assert_eq!(generators.ended(late, client), Some(late + Micros(1)));
        let none = Workload { per_second: 0, ..WORKLOAD };
        assert_eq!(generators.change(late, none), []);
        assert_eq!(generators.ended(late, client), None);
        let fewer = Workload { clients: 1, ..WORKLOAD };
        assert_eq!(generators.change(late, fewer).len(), 1);
        assert_eq!(generators.ended(late, 2), None, "it is one of those that left");
    }
}
